"""Builds the web server: the parts for the routes, the description of the service, and the counters."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version

import msgspec

from podium_daemon.api.service import ServiceOut
from podium_daemon.app.core import Core
from podium_daemon.app.parts import Parts
from podium_daemon.app.readiness import Readiness
from podium_daemon.app.relays import relay_information
from podium_daemon.conference.service import TrainingCallingIntegration
from podium_daemon.config import Config
from podium_daemon.runtime import descriptors
from podium_daemon.runtime.connections import Caps, Proxies
from podium_daemon.runtime.tasks import Watched
from podium_daemon.services.sessions.calling import CallersSessions, NotedAttendance
from podium_daemon.web.calendars import Face
from podium_daemon.web.context import Context
from podium_daemon.web.drafts import Drafts
from podium_daemon.web.metrics import Counted
from podium_daemon.web.series import SeriesDrafts
from podium_daemon.web.server import WebServer
from podium_daemon.web.site import Site, build_site
from podium_daemon.web.views import Views
from podium_protocol.events import Pubkey
from podium_protocol.live.session import GuestPolicy
from podium_protocol.nips import nip19


class WebParts(msgspec.Struct, frozen=True, kw_only=True):
    """The site and the server that serves it."""

    context: Context
    caps: Callable[[], Caps]
    site: Site
    server: WebServer


def build_web(
    parts: Parts, listener: socket.socket, *, missing: Callable[[], Sequence[str]], watched: list[Watched]
) -> WebParts:
    """Build the site on all other parts; `missing`: the services that do not run, `watched`: their tasks."""
    caps = connection_caps(parts.core)
    context = build_context(parts, caps=caps, ready=Readiness(parts, missing, watched).trouble, watched=watched)
    proxies = Proxies(parts.core.config.web.trusted_proxies)
    web = serve_context(context, listener, hosts=hosts_of(parts.core.config), caps=caps, proxies=proxies)
    watched.append(web.site.tasks)
    parts.mirror.profiles.follow(web.site.refresh)
    return web


def serve_context(
    context: Context,
    listener: socket.socket,
    *,
    hosts: Sequence[str],
    caps: Callable[[], Caps],
    proxies: Proxies | None = None,
) -> WebParts:
    """Build the site with its server; `hosts`: what a request may be addressed to, beside the public URL's host."""
    site = build_site(context, hosts=hosts)
    return WebParts(context=context, caps=caps, site=site, server=WebServer(site, listener, caps=caps, proxies=proxies))


def connection_caps(core: Core) -> Callable[[], Caps]:
    """How many connections are open at once: as configured, within what the process may open."""
    most = descriptors.raise_limit()

    def caps() -> Caps:
        given = core.config.web
        return Caps(min(given.connections, descriptors.for_strangers(most)), given.connections_per_address)

    return caps


def build_context(
    parts: Parts, *, caps: Callable[[], Caps], ready: Callable[[], Awaitable[str | None]], watched: Sequence[Watched]
) -> Context:
    """Join what the routes are given; `ready` says why the daemon does not do all of its work, if it does not."""
    core, rooms, sessions = parts.core, parts.rooms, parts.sessions
    drafts = _build_drafts(parts)
    return Context(
        store=core.store,
        outbox=parts.mirror.outbox,
        views=_build_views(parts),
        drafts=drafts,
        series=SeriesDrafts(drafts, parts.mirror.mirror, core.store, core.clock),
        submission=sessions.submission,
        passed_over=parts.mirror.passed_over,
        lifecycle=sessions.lifecycle,
        engine=rooms.engine,
        rooms=rooms.rooms,
        controls=rooms.controls,
        recorder=rooms.recorder,
        watching=rooms.watching,
        certificates=parts.attendance.certificates,
        badges=parts.attendance.badges,
        questions=sessions.questions,
        guests=sessions.guests,
        calling=Calling(parts),
        relays=parts.relays.pool,
        signers=parts.signers.pages,
        instructor_list=parts.mirror.instructor_list,
        instructor_signers=parts.signers.instructors,
        clock=core.clock,
        service=lambda: service_out(parts),
        ready=ready,
        remarks=parts.relays.gaps.remarks,
        relay_information=lambda: relay_information(core),
        partial=parts.relays.syncer.told_in_part,
        allowances=parts.relays.admission.allowances,
        counted=lambda: [*_counted_of_relays(parts), *_counted_of_sessions(parts, watched)],
        calendar=lambda: calendar_face(core),
        language=core.language,
        service_pubkey=core.service,
        public_url=core.config.public_url,
        connections=lambda: caps().in_all,
    )


def _build_views(parts: Parts) -> Views:
    core = parts.core
    return Views(
        core.store,
        public_url=core.config.public_url,
        relay_hints=core.write_relays,
        introduce=parts.mirror.profiles.profile_of,
        load_names=parts.mirror.profiles.load,
        doors=core.doors,
        participation=parts.attendance.participations.of,
        service=core.service,
        guests=lambda: GuestPolicy(core.config.conference.guests),
    )


def _build_drafts(parts: Parts) -> Drafts:
    core = parts.core
    return Drafts(
        parts.mirror.mirror,
        service=core.service,
        public_url=core.config.public_url,
        relay_hints=core.write_relays,
        clock=core.clock,
        can_encrypt=parts.rooms.can_encrypt,
        attendance=core.default_attendance,
    )


class Calling:
    """Makes the model's calling service with the authority of the caller who signed the call."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, by: Pubkey, note: str | None = None) -> TrainingCallingIntegration:
        """The service for one call; `note` goes with attendance that is corrected by hand."""
        parts, core = self._parts, self._parts.core
        sessions = CallersSessions(
            by,
            store=core.store,
            lifecycle=parts.sessions.lifecycle,
            page_of=core.page_of,
            room_of=core.room_of,
        )
        return TrainingCallingIntegration(
            engine=parts.rooms.engine,
            sessions=sessions,
            attendance=NotedAttendance(parts.attendance.attendance, note=note, clock=core.clock),
            random_bytes=core.random_bytes,
        )


def service_out(parts: Parts) -> ServiceOut:
    """The service's description for the API."""
    core = parts.core
    return ServiceOut(
        service_pubkey=core.service,
        npub=nip19.encode_npub(core.service),
        public_url=core.config.public_url,
        relays=tuple(relay.url for relay in core.relays),
        instructors=tuple(sorted(parts.mirror.instructors.pubkeys)),
        version=version("podium-nostr"),
        engine=parts.rooms.engine.name,
        attendance=core.default_attendance(),
        guests=core.config.conference.guests,
        trouble=parts.people.twins.trouble,
    )


def calendar_face(core: Core) -> Face:
    """The calendar feed's name and its alarms."""
    # the message at the start is sent when the session is live, which no alarm can know
    before = (offset.before for offset in core.config.reminders.offsets())
    return Face(core.config.identity.service_name, tuple(seconds for seconds in before if seconds > 0))


def _counted_of_relays(parts: Parts) -> list[Counted]:
    public, messages = parts.relays.syncer.ingest, parts.relays.gift_wraps.ingest
    return [
        Counted("podium_events", "Events from relays.", "outcome", public.dropped | Counter(accepted=public.accepted)),
        Counted(
            "podium_gift_wraps",
            "Gift wraps from relays, before they were opened.",
            "outcome",
            messages.dropped | Counter(accepted=messages.accepted),
        ),
        Counted(
            "podium_refused_writes",
            "Requests and events over what people may send.",
            "bucket",
            parts.relays.admission.allowances.refused,
        ),
        Counted("podium_relay_faults", "What relays did against the protocol.", "fault", _faults_of_relays(parts)),
        Counted("podium_messages", "Private messages to the service.", "outcome", parts.messages.replies.counts),
    ]


def _faults_of_relays(parts: Parts) -> Counter[str]:
    found: Counter[str] = Counter()
    for status in parts.relays.pool.states():
        found.update(status.violations)
    return found


def _counted_of_sessions(parts: Parts, watched: Sequence[Watched]) -> list[Counted]:
    mirror = parts.mirror
    return [
        Counted(
            "podium_sessions_passed_over",
            "Events of instructors that were no sessions here.",
            "reason",
            mirror.passed_over.counts,
        ),
        Counted(
            "podium_task_faults",
            "Unexpected failures of tasks: each is in the log with its traceback.",
            "service",
            {one.service: one.faults for one in watched},
        ),
        Counted(
            "podium_chat_passed_over",
            "Live chat under the room that is about no session.",
            "reason",
            mirror.projections.questions.passed_over,
        ),
        Counted(
            "podium_presence_passed_over",
            "Presence events that are no evidence of attendance.",
            "reason",
            mirror.projections.presence.passed_over,
        ),
        Counted("podium_room_drops", "What people sent and was not taken.", "reason", _dropped(parts)),
        Counted("podium_conference_drops", "What was dropped at the rooms.", "reason", parts.rooms.engine.flaws),
    ]


def hosts_of(config: Config) -> list[str]:
    """The hosts to which a request may be addressed, besides that of the public URL."""
    local = [config.web.host, "localhost", "127.0.0.1", "[::1]"]
    return [*config.web.allowed_hosts, *(f"{host}:{config.web.port}" for host in local)]


def _dropped(parts: Parts) -> Counter[str]:
    return parts.rooms.rooms.chat.dropped + parts.rooms.rooms.polls.dropped
