"""The composition root: the one place where the parts of the daemon are made and joined."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import structlog

from podium_daemon.api.service import ServiceOut
from podium_daemon.app import policies
from podium_daemon.app.recording_parts import RecordingPlace, join_recorder
from podium_daemon.app.reload import Reloader
from podium_daemon.conference.engine import RoomId, RoomSpec
from podium_daemon.conference.engines.link import LinkSettings
from podium_daemon.conference.registry import EngineParts, build_engine, configured_servers
from podium_daemon.conference.service import TrainingCallingIntegration
from podium_daemon.conference.values import Support
from podium_daemon.config import Config
from podium_daemon.config.values import is_nip05
from podium_daemon.keys.key_file import locate_key, new_secret, read_key, write_key_file
from podium_daemon.media.job import Layout
from podium_daemon.relays.addresses import SystemLookup
from podium_daemon.relays.embedded import EmbeddedRelay
from podium_daemon.relays.embedded_child import RelaySettings
from podium_daemon.relays.embedded_information import document_of
from podium_daemon.relays.gaps import Gaps
from podium_daemon.relays.gift_wraps import GiftWraps
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.mailboxes import Mailboxes
from podium_daemon.relays.outbox_model import OutboxModel, OutboxSettings
from podium_daemon.relays.pool import RelayPool
from podium_daemon.relays.publisher import Publisher
from podium_daemon.relays.relay_state import PoolRelay
from podium_daemon.relays.strangers import DiskBudget, Strangers
from podium_daemon.relays.syncer import Syncer
from podium_daemon.runtime import descriptors, logs
from podium_daemon.runtime.allowances import Allowances
from podium_daemon.runtime.clock import Clock, ClockWatch, SystemClock
from podium_daemon.runtime.state_directory import explained, lock_state_directory, prepare_state_directory
from podium_daemon.runtime.supervisor import Service, Supervisor, stop_on_signals
from podium_daemon.runtime.tasks import Watched
from podium_daemon.services.attendance.attendance import Attendance
from podium_daemon.services.attendance.attestation import AttendanceSettings
from podium_daemon.services.attendance.certificates import Certificates
from podium_daemon.services.attendance.observation import ObservationLog
from podium_daemon.services.attendance.presence import PresenceProjection
from podium_daemon.services.housekeeping.housekeeping import Housekeeping, kept_from
from podium_daemon.services.people.nip05_lookup import look_up
from podium_daemon.services.people.profiles import Profiles
from podium_daemon.services.people.relay_lists import announce_relay_lists
from podium_daemon.services.people.service_profile import ServiceFace, announce_profile
from podium_daemon.services.people.twin_watch import TwinWatch
from podium_daemon.services.private.inbox import PrivateInbox
from podium_daemon.services.private.sender import PrivateSender
from podium_daemon.services.questions.questions import Questions
from podium_daemon.services.recording.blossom import BlossomServer
from podium_daemon.services.recording.publishing import InstructorOrService
from podium_daemon.services.recording.recording import RecordingSettings
from podium_daemon.services.recording.watching import Watching
from podium_daemon.services.recording.work import WorkSettings
from podium_daemon.services.reminders.planner import PlannerSettings
from podium_daemon.services.reminders.reminders import Reminders
from podium_daemon.services.reminders.replies import Replies
from podium_daemon.services.reminders.sending import ReminderSettings
from podium_daemon.services.rooms.controls import RoomControls
from podium_daemon.services.rooms.rooms import Rooms, RoomSettings
from podium_daemon.services.seats.rsvps import Rsvps
from podium_daemon.services.sessions.calling import CallersSessions, NotedAttendance
from podium_daemon.services.sessions.event_submission import EventSubmission
from podium_daemon.services.sessions.instructors import Instructors
from podium_daemon.services.sessions.lifecycle import Lifecycle, LifecycleSettings
from podium_daemon.services.sessions.passed_over import PassedOver, UnreadNotices
from podium_daemon.services.sessions.spreading import Spreading
from podium_daemon.signers.instructors import InstructorSigners
from podium_daemon.signers.known_bunkers import KnownBunkers
from podium_daemon.signers.mining import MiningSigner
from podium_daemon.signers.page_registry import PageSignerRegistry
from podium_daemon.signers.signer import LocalSigner
from podium_daemon.web.calendar_feed import Face
from podium_daemon.web.connections import Caps
from podium_daemon.web.context import Context
from podium_daemon.web.drafts import Drafts
from podium_daemon.web.metrics import Counted
from podium_daemon.web.server import WebServer, listen
from podium_daemon.web.site import build_site
from podium_daemon.web.views import Views
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.gift_wrapper import Wrapper
from podium_daemon.writers.live_status import StatusEvents, StatusSettings
from podium_daemon.writers.private_notifications import PrivateNotifications
from podium_daemon.writers.private_outbox import PrivateOutbox
from podium_protocol import kinds
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, SignedEvent, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_DM_RELAYS
from podium_protocol.live.lifecycle_rules import StartPolicy
from podium_protocol.live.session import Guests, RecordingAccess, Visibility
from podium_protocol.nips import nip05, nip19, nip42
from podium_protocol.nips.nip11 import Asked, asked_by
from podium_protocol.relay_url import normalise
from podium_storage.meta import Meta
from podium_storage.mirror.fold import EventChange
from podium_storage.mirror.mirror import Mirror
from podium_storage.mirror.progress import OpenedWraps, Watermarks
from podium_storage.outbox.outbox import Outbox
from podium_storage.projections.attendance import AttendanceProjection
from podium_storage.projections.questions import QuestionProjection
from podium_storage.projections.rsvps import RsvpProjection
from podium_storage.projections.sessions import SessionProjection
from podium_storage.retention import Retention
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

_log = structlog.get_logger(__name__)

SYNC_PATIENCE = 12.0  # seconds; two more than an EOSE may take
_GREETING = """
Podium {version} is running.

  page and API   {public_url}
  service        {npub}
  relays         {relays}
  state          {state}

Schedule a session from a second terminal:

  {command} session create "Know your rights" --at "tomorrow 18:00" --tz Europe/Berlin --duration 90

Stop with Ctrl-C. `{command} --help` shows the rest.
"""


def run(config: Config, *, key_option: Path | None = None) -> None:
    """Run the daemon in this process until it is told to stop.

    Raises:
        InvalidInput: the key, the port or the state directory cannot be used; says what to do.
        AlreadyRunning: another daemon holds the state directory.
        DatabaseDamaged: the database cannot be read any more.
        ServiceFailed: a part of the daemon ended on its own; says which.
    """
    logs.configure(config.logging.level, config.logging.format)
    prepare_state_directory(config.state_directory)
    with lock_state_directory(config.state_directory), explained(config.database_file):
        asyncio.run(_serve(config, key_option))


async def _serve(config: Config, key_option: Path | None) -> None:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        listener = listen(config.web.host, config.web.port)
        stack.callback(listener.close)
        signer = LocalSigner(_service_key(config, key_option))
        store = await stack.enter_async_context(await Store.open(config.database_file))
        meta = Meta(store.database)
        await meta.bind_service(signer.pubkey, now=int(clock.now()))
        daemon = Daemon(config, store=store, meta=meta, signer=signer, clock=clock, listener=listener)
        supervisor = daemon.supervisor
        with stop_on_signals(supervisor):
            greeting = asyncio.create_task(_greet(config, signer, supervisor))
            try:
                await supervisor.run()
            finally:
                greeting.cancel()


class Daemon:
    """Every part, made and joined; nothing runs before the supervisor runs `services`."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        meta: Meta,
        signer: LocalSigner,
        clock: Clock,
        listener: socket.socket,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._config = config
        self._store = store
        self._signer = signer
        self._mining = MiningSigner(signer, bits=self._work_of_ours)
        """Signs what goes to relays."""
        self._clock = clock
        self._random_bytes = random_bytes
        self._watched: list[Watched] = []
        self._statuses: list[StatusEvents] = []
        self._descriptors = descriptors.raise_limit()
        self._has_own_relay = config.runs_embedded_relay
        self._relays = relays_of(config)
        self._join_ground()
        self._join_services(meta)
        self._join_signers()
        self._join_recording()
        site = build_site(self._context(), hosts=_hosts(config))
        self._profiles.follow(site.refresh)
        web = WebServer(site, listener, caps=self._caps)
        reloader = Reloader(config, self.apply)
        self.services: list[Service] = [ClockWatch(clock), *self._embedded_relay()]
        self.services += [
            self._pool,
            self._syncer,
            self._outbox_model,
            self._gift_wraps,
            self._publisher,
            self._engine,
            self._instructors,
            self._profiles,
            self._replies,
            self._rsvps,
        ]
        self.services += [self._private_post]
        self.services += [self._attendance, self._reminders, self._lifecycle, self._rooms, self._housekeeping]
        self.services += [self._controls, self._questions, self._recorder]
        self.services += [self._twins, self._mailboxes, self._desk, reloader, web]
        """In the order in which they start; they stop in the reverse order."""
        self._watched += [self._syncer.tasks, self._gift_wraps.tasks, self._replies.tasks, site.tasks]
        self.supervisor = Supervisor(self.services, clock=clock)

    def apply(self, config: Config) -> None:
        """Take over what a running daemon can of a new configuration."""
        self._use_relays(config)
        self._config = config
        logs.set_level(config.logging.level)
        self._instructors.replace(*_allowed(config))
        self._lifecycle.settings = self._lifecycle_settings()
        self._reminders.settings = self._reminder_settings()
        self._attendance.settings = self._attendance_settings()
        self._rooms.settings = self._room_settings()
        self._recorder.settings = self._recording_settings()
        self._blossom.within = config.recording.transfer_within
        self._rsvps.policy = policies.seat_policy(config)
        self._outbox_model.settings = self._outbox_settings()
        self._syncer.doors = config.lifecycle.doors
        self._housekeeping.retention_days = config.attendance.retention_days
        self._desk.service_name = config.identity.service_name
        for status in self._statuses:
            status.settings = self._status_settings()
        self._lifecycle.announce_again()
        self._store.changes.resync()  # what was due by the old numbers may be due earlier by the new ones

    def _use_relays(self, config: Config) -> None:
        """Connect to new relays, and leave those that are not listed any more.

        Raises:
            InvalidInput: none would be left; nothing has changed then.
        """
        relays = relays_of(config, embedded=self._has_own_relay)
        if not relays:
            raise InvalidInput("relays: none is left, and the embedded relay starts with the daemon only: restart it")
        if relays == self._relays:
            return
        self._pool.configure(relays)
        self._relays = relays
        self._syncer.relays_changed()
        self._gift_wraps.relays_changed()
        self._mailboxes.use(relays)

    # -- the ground: mirror, relays, engine

    def _join_ground(self) -> None:
        config, store, clock = self._config, self._store, self._clock
        keys, names = _allowed(config)
        lookup = SystemLookup()
        self._instructors = Instructors(
            service=self._signer.pubkey,
            keys=keys,
            names=names,
            lookup=lambda name: look_up(name, lookup),
            changed=self._look_at_sessions_again,
            clock=clock,
        )
        limits = policies.session_limits(config)
        self._passed_over = PassedOver(
            store,
            service=self._signer.pubkey,
            allows=self._instructors.allows,
            instructors=lambda: self._instructors.pubkeys,
            limits=limits,
        )
        self._sessions = SessionProjection(
            store.sessions,
            service=self._signer.pubkey,
            accepts=self._instructors.accepts,
            attendance=self._default_attendance,
            guests=Guests(config.conference.guests),
            limits=limits,
            passed_over=self._passed_over.note,
            recording_access=lambda: RecordingAccess(self._config.recording.access),
        )
        self._question_projection = QuestionProjection(store, service=self._signer.pubkey)
        self._rsvp_projection = RsvpProjection(store.rsvps, store.database, store.interner)
        self._attendance_projection = AttendanceProjection(
            store.attendance, store.intervals, service=self._signer.pubkey
        )
        self._presence = PresenceProjection(
            store,
            service=self._signer.pubkey,
            counts=self._reads_presence,
            policy=lambda: policies.attendance_policy(self._config),
            door=lambda: policies.door_policy(self._config),
        )
        self._mirror = Mirror(
            store.database,
            store.interner,
            [
                self._rsvp_projection,
                self._sessions,
                self._attendance_projection,
                self._question_projection,
                self._presence,
                UnreadNotices(store, PrivateOutbox(store, clock), service=self._signer.pubkey, page_of=self._page_of),
            ],
        )
        self._profiles = Profiles(
            mirror=self._mirror,
            changes=store.changes,
            instructors=lambda: self._instructors.pubkeys,
            lookup=lambda name: look_up(name, lookup),
            clock=clock,
        )
        self._outbox = Outbox(store.database, store.interner)
        watermarks = Watermarks(store.database)
        self._budget = DiskBudget(store.database, lambda: self._config.storage.max_megabytes * 1_000_000, clock)
        self._allowances = Allowances(clock)
        self._strangers = Strangers(self._allowances, self._budget, self._is_own)
        self._syncer = Syncer(
            mirror=self._mirror,
            store=store,
            watermarks=watermarks,
            instructors=lambda: self._instructors.pubkeys,
            service=self._signer.pubkey,
            patience=SYNC_PATIENCE,
            doors=config.lifecycle.doors,
            clock=clock,
            outdated=self._give_newest,
            reads_presence=self._reads_presence,
            kept_from=self._kept_from,
            objection=Strangers(Allowances(clock), self._budget, self._is_own).objection,
        )
        self._gift_wraps = GiftWraps(
            service=self._signer.pubkey,
            deliver=self._read_wraps,
            watermarks=watermarks,
            clock=clock,
            past_is_read=self._read_what_waited,
            patience=SYNC_PATIENCE,
        )
        self._pool = RelayPool(
            self._relays,
            sink=self._take_in,
            on_eose=self._on_eose,
            signer=self._sign_in,
            clock=clock,
        )
        self._outbox_model = OutboxModel(
            self._outbox_settings(),
            pool=self._pool,
            syncer=self._syncer,
            mirror=self._mirror,
            spread=self._give_lists,
            clock=clock,
        )
        self._gaps = Gaps(self._pool.states, self._syncer.told_in_part)
        self._syncer.join(self._pool)
        self._gift_wraps.join(self._pool)
        self._join_twin_watch()
        self._publisher = Publisher(
            outbox=self._outbox, store=store, pool=self._pool, clock=clock, may_send=lambda: self._twins.may_send
        )
        link = LinkSettings(heartbeat=config.conference.heartbeat)  # rooms say their meeting themselves: `_room_of`
        servers = configured_servers(config, os.environ)
        parts = EngineParts(clock=clock, random_bytes=self._random_bytes, link=link, servers=servers)
        self._engine = build_engine(config.conference.chosen_engine, parts)

    def _reads_presence(self) -> bool:
        """Presence events count only beside an engine that knows nothing of media (semantics.md, "Attendance")."""
        return self._engine.evidence == "presence"

    def _join_twin_watch(self) -> None:
        """Nobody else must send with our key."""
        outgoing = EventWriter(self._mirror, self._outbox, self._write_relays, self._clock)
        status = self._status(outgoing)

        async def announce() -> None:
            await status.announce_space(anew=True)

        async def answer(not_before: int) -> None:
            event = await status.announce_space(anew=True, not_before=not_before)
            assert event is not None, "it was asked for anew"
            # the outbox has it too, and is stopped: the other daemon must hear of us all the same
            await asyncio.gather(*(self._pool.publish(relay, event) for relay in self._write_relays()))

        self._twins = TwinWatch(
            self._signer.pubkey,
            space=status.space,
            outbox=self._outbox,
            mirror=self._mirror,
            announce=announce,
            answer=answer,
            caught_up=self._syncer.caught_up,
            clock=self._clock,
        )
        self._syncer.watch = self._twins.look

    async def _take_in(self, events: Sequence[Incoming]) -> None:
        if public := await self._gift_wraps.take(events):
            await self._syncer.take(public)

    async def _read_wraps(self, wraps: Sequence[VerifiedEvent]) -> None:
        await self._replies.take(wraps)  # made after the pool, since it writes back through the outbox

    async def _read_what_waited(self) -> None:
        await self._private_inbox.past_is_read()

    async def _on_eose(self, name: str, relay: str, partial: bool) -> None:
        await self._gift_wraps.on_eose(name, relay, partial)
        await self._syncer.on_eose(name, relay, partial)

    def _asked_by(self, relays: Sequence[str]) -> Asked:
        """What relays are known to ask of an event of ours."""
        return asked_by(self._pool.limits_of(relays), most_work=self._most_work())

    def _most_work(self) -> int:
        return self._config.publishing.proof_of_work

    def _work_of_ours(self) -> int:
        return self._asked_by(self._write_relays()).work

    async def _sign_in(self, relay_url: str, challenge: str) -> SignedEvent:
        draft = nip42.write_auth(self._signer.pubkey, relay_url, challenge, int(self._clock.now()))
        return await self._signer.sign(draft)

    async def _look_at_sessions_again(self) -> None:
        """The list of instructors changed: sessions that were passed over may be ours now."""
        events = await self._mirror.by_filter(Filter(kinds=(kinds.SESSION,)))
        effects = [EventChange(event, is_live=True) for event in events]
        now = int(self._clock.now())
        await self._store.database.transact(lambda tx: self._sessions.apply(tx, effects, received_at=now))

    def _embedded_relay(self) -> list[Service]:
        config = self._config
        if not config.runs_embedded_relay:
            return []
        return [EmbeddedRelay(self._relay_settings(), clock=self._clock)]

    def _relay_settings(self) -> RelaySettings:
        config = self._config
        data = None if config.embedded.in_memory else str(config.state_directory / "relay")
        return RelaySettings(host=config.embedded.host, port=config.embedded.port, data=data)

    def _relay_information(self) -> dict[str, Any] | None:
        if not self._config.runs_embedded_relay:
            return None
        name, service = self._config.identity.service_name, self._signer.pubkey
        return document_of(self._relay_settings(), name=name, service=service, version=version("podium-nostr"))

    # -- the services

    def _join_services(self, meta: Meta) -> None:
        store, clock, signer = self._store, self._clock, self._signer
        outgoing = EventWriter(self._mirror, self._outbox, self._write_relays, clock)
        self._spreading = Spreading(store, outgoing)
        opened = OpenedWraps(store.database)
        letters = self._join_private(opened)
        self._intake = EventSubmission(
            store,
            outgoing,
            news=self._private_news,
            own_inbox=self._dm_relays,
            can_encrypt=self._can_encrypt,
            accepts=self._instructors.accepts,
            clock=clock,
            objection=self._strangers.objection,
        )
        self._replies = Replies(
            signer.secret,
            store=store,
            mirror=self._mirror,
            outbox=self._outbox,
            rsvps=self._rsvp_projection,
            opened=opened,
            letters=letters,
            others=self._private_inbox.take,
            clock=clock,
            random_bytes=self._random_bytes,
            past=_AllRead(self._syncer.caught_up, self._gift_wraps.caught_up),
            remembered=lambda pubkey: self._private_inbox.remembered.get(pubkey, 0),
            page_of=self._page_of,
            asked_by=self._asked_by,
        )
        self._rsvps = Rsvps(
            store=store, policy=policies.seat_policy(self._config), clock=clock, past=self._replies.caught_up
        )
        self._attendance = Attendance(
            self._attendance_settings(),
            store=store,
            outgoing=outgoing,
            letters=letters,
            engine=self._engine,
            signer=self._mining,
            gaps=ObservationLog(meta, tolerance=3 * self._config.attendance.poll),
            clock=clock,
        )
        wrapper = Wrapper(
            signer.secret,
            policy=policies.reminder_policy(self._config),
            page_of=self._page_of,
            clock=clock,
            random_bytes=self._random_bytes,
            asked_by=self._asked_by,
            most_work=self._most_work,
        )
        self._reminders = Reminders(
            self._reminder_settings(),
            store=store,
            mirror=self._mirror,
            outbox=self._outbox,
            wrapper=wrapper,
            clock=clock,
            past=self._may_write(),
            lists_read=self._has_read_lists,
        )
        self._private_post = self._join_post()
        self._controls = RoomControls(store=store, engine=self._engine)
        self._rooms = Rooms(
            self._room_settings(),
            store=store,
            engine=self._engine,
            clock=clock,
            random_bytes=self._random_bytes,
            recording=self._is_recording,
        )
        self._questions = Questions(
            store=store,
            outgoing=outgoing,
            projection=self._question_projection,
            service=signer.pubkey,
            clock=clock,
            objection=self._strangers.objection,
        )
        self._lifecycle = Lifecycle(
            self._lifecycle_settings(),
            store=store,
            outgoing=outgoing,
            letters=letters,
            status=self._status(outgoing),
            engine=self._engine,
            is_instructor=self._instructors.allows,
            notify=self._rooms.notify,
            clock=clock,
            caught_up=_AllRead(self._syncer.caught_up, self._gift_wraps.caught_up),
            at_start=lambda: self._announce(outgoing),
        )
        self._housekeeping = Housekeeping(
            store=store,
            mirror=self._mirror,
            outbox=self._outbox,
            opened_wraps=opened,
            retention=Retention(store, self._mirror, self._outbox, service=signer.pubkey),
            forget_recordings=self._forget_recordings,
            look_at_the_room=self._budget.look,
            retention_days=self._config.attendance.retention_days,
            clock=clock,
        )

    def _join_signers(self) -> None:
        """Remote signers: those of pages, and those that instructors left with the service."""
        clock, random_bytes = self._clock, self._random_bytes
        self._mailboxes = Mailboxes(self._relays, clock=clock, signer=self._sign_in)
        self._instructor_signers = InstructorSigners(
            KnownBunkers(self._config.state_directory / "instructor-signers", by="user"),
            self._mailboxes,
            clock=clock,
            random_bytes=random_bytes,
        )
        self._desk = PageSignerRegistry(
            self._mailboxes,
            relays=self._meeting_relays,
            instructors=self._instructor_signers,
            is_instructor=self._instructors.allows,
            service_name=self._config.identity.service_name,
            public_url=self._config.public_url,
            clock=clock,
            random_bytes=random_bytes,
        )

    def _join_recording(self) -> None:
        """The recorder, and the credit for watching what it made."""
        config, clock, given = self._config, self._clock, self._config.recording
        outgoing = EventWriter(self._mirror, self._outbox, self._write_relays, clock)
        self._blossom = BlossomServer(
            given.blossom_server,
            signer=self._signer,
            lookup=SystemLookup(),
            clock=clock,
            within=given.transfer_within,
        )
        self._recorder = join_recorder(
            self._recording_settings(),
            RecordingPlace(
                folder=config.recording_directory,
                public_url=config.public_url,
                keeper=self._blossom if given.store == self._blossom.name else None,
            ),
            store=self._store,
            mirror=self._mirror,
            outgoing=outgoing,
            status=self._status(outgoing),
            engine=self._engine,
            instructors=InstructorOrService(self._mining, self._instructor_signers),
            notify=self._tell_room,
            page_of=self._page_of,
            clock=clock,
        )
        self._watching = Watching(
            self._store,
            policy=lambda: policies.completion_policy(self._config),
            clock=clock,
            random_bytes=self._random_bytes,
        )

    def _recording_settings(self) -> RecordingSettings:
        given = self._config.recording
        work = WorkSettings(
            layout=Layout(given.layout),
            keep_tracks=given.keep_tracks,
            max_megabytes=given.max_megabytes,
            review=given.review,
        )
        return RecordingSettings(policy=given.policy, work=work)

    def _is_recording(self, lesson_id: str) -> bool:
        return self._recorder.is_recording(lesson_id)  # made after the rooms, which it tells

    def _join_private(self, opened: OpenedWraps) -> PrivateOutbox:
        """What private sessions need: nothing of them is on a relay in plain."""
        store, clock = self._store, self._clock
        letters = PrivateOutbox(store, clock)
        self._private_news = PrivateNotifications(
            letters,
            store=store,
            rsvps=self._rsvp_projection,
            service=self._signer.pubkey,
            page_of=self._page_of,
            clock=clock,
            name_of=lambda pubkey: self._profiles.of(pubkey).name,
        )
        self._private_inbox = PrivateInbox(
            self._private_news,
            store=store,
            mirror=self._mirror,
            sessions=self._sessions,
            rsvps=self._rsvp_projection,
            attendance=self._attendance_projection,
            opened=opened,
            accepts=self._instructors.accepts,
            clock=clock,
            kept_from=self._kept_from,
        )
        return letters

    def _join_post(self) -> PrivateSender:
        return PrivateSender(
            self._signer.secret,
            store=self._store,
            mirror=self._mirror,
            outbox=self._outbox,
            own_inbox=self._dm_relays,
            clock=self._clock,
            random_bytes=self._random_bytes,
            past=self._may_write(),
            lists_read=self._has_read_lists,
            asked_by=self._asked_by,
        )

    def _may_write(self) -> _AllRead:
        """When everything is read that says who wants to be written to."""
        return _AllRead(self._replies.caught_up, self._gift_wraps.remembered)

    def _is_own(self, pubkey: Pubkey) -> bool:
        return pubkey == self._signer.pubkey or self._instructors.allows(pubkey)

    async def _forget_recordings(self, lesson_id: str) -> bool:
        return await self._recorder.forget(lesson_id)

    def _kept_from(self) -> int:
        """The Unix second before which nothing is kept."""
        return kept_from(int(self._clock.now()), self._config.attendance.retention_days)

    def _status(self, outgoing: EventWriter) -> StatusEvents:
        status = StatusEvents(
            self._status_settings(),
            store=self._store,
            mirror=self._mirror,
            outgoing=outgoing,
            signer=self._mining,
            clock=self._clock,
        )
        self._statuses.append(status)
        return status

    def _status_settings(self) -> StatusSettings:
        return StatusSettings(
            space_name=self._config.identity.service_name,
            public_url=self._config.public_url,
            refresh=self._config.lifecycle.live_refresh,
            announce_live_event=self._config.lifecycle.announce_live_event,
        )

    async def _announce(self, outgoing: EventWriter) -> bool:
        """Say who the service is and where it writes; False where its profile has to wait for a relay."""
        # a person's own profile may be on the relay that is slow; a key that is the service's alone has none to lose
        is_known = self._syncer.has_read_face() or not self._instructors.allows(self._signer.pubkey)
        await announce_profile(
            self._face(),
            store=self._store,
            mirror=self._mirror,
            outgoing=outgoing,
            signer=self._signer,
            clock=self._clock,
            profile_is_known=is_known,
        )
        await self._announce_relays(outgoing)
        return is_known

    def _face(self) -> ServiceFace:
        url = self._config.public_url
        return ServiceFace(name=self._config.identity.service_name, public_url=url, nip05=nip05.root_name(url))

    async def _announce_relays(self, outgoing: EventWriter) -> None:
        await announce_relay_lists(
            store=self._store,
            mirror=self._mirror,
            outgoing=outgoing,
            signer=self._mining,
            clock=self._clock,
            read=[relay.url for relay in self._relays if relay.read],
            write=self._write_relays(),
            dm=[relay.url for relay in self._relays if relay.dm],
        )

    def _lifecycle_settings(self) -> LifecycleSettings:
        return LifecycleSettings(
            policy=policies.lifecycle_policy(self._config),
            start_policy=StartPolicy(self._config.lifecycle.start_policy),
            room_of=self._room_of,
        )

    def _reminder_settings(self) -> ReminderSettings:
        given = self._config.reminders
        planner = PlannerSettings(
            policy=policies.reminder_policy(self._config),
            confirmations=given.confirmation,
            recordings=given.recording.enabled,
        )
        return ReminderSettings(planner=planner, prepare_ahead=given.prepare_ahead, rewrap_recent=given.rewrap_recent)

    def _attendance_settings(self) -> AttendanceSettings:
        return AttendanceSettings(
            poll=self._config.attendance.poll,
            policy=policies.attendance_policy(self._config),
            completion=policies.completion_policy(self._config),
        )

    def _room_settings(self) -> RoomSettings:
        return RoomSettings(
            door=policies.door_policy(self._config),
            resume=self._config.conference.resume,
            notice=self._config.attendance.notice,
            recording_policy=self._config.recording.policy,
            room_of=self._room_of,
        )

    # -- what several parts need to know

    def _write_relays(self) -> list[str]:
        return [relay.url for relay in self._relays if relay.write]

    async def _give_newest(self, outdated: Sequence[VerifiedEvent], relay: str) -> None:
        await self._spreading.catch_up(outdated, relay)  # made after the syncer, since it writes through the outbox

    async def _give_lists(self, indexers: Sequence[str]) -> None:
        await self._spreading.give_lists(indexers, self._signer.pubkey)

    def _has_read_lists(self, pubkey: str) -> bool | None:
        """Whether all was read of where somebody reads messages, on our relays and on theirs; None: not asked yet."""
        told, looked = self._syncer.has_read_lists(pubkey), self._outbox_model.has_looked(pubkey)
        if told is False or looked is False:
            return False
        return None if told is None or looked is None else True

    def _outbox_settings(self) -> OutboxSettings:
        given = self._config.outbox
        indexers = tuple(dict.fromkeys(normalise(url) or url for url in given.indexers))
        return OutboxSettings(enabled=given.enabled, indexers=indexers)

    async def _tell_room(self, lesson_id: str, text: str) -> None:
        await self._rooms.notify(lesson_id, text)  # rooms and recorder need each other

    def _meeting_relays(self) -> list[str]:
        """Where a signer that never heard of us can talk with us."""
        return [relay.url for relay in self._relays if relay.read and relay.write][:MAX_DM_RELAYS]

    @property
    def _can_encrypt(self) -> bool:
        return self._engine.capabilities.e2ee is not Support.NONE

    def _default_attendance(self) -> Visibility:
        return Visibility.PUBLIC if self._config.attendance.publish else Visibility.PRIVATE

    def _dm_relays(self) -> list[str]:
        return [relay.url for relay in self._relays if relay.dm]

    def _page_of(self, row: LiveSessionRow) -> str:
        return self._views.page(row)

    def _room_of(self, row: LiveSessionRow) -> RoomSpec:
        assert row.conference_room_id is not None, "every adopted session has its room"
        return RoomSpec(
            room=RoomId(row.conference_room_id),
            title=row.title,
            allow_recording=row.allow_recording,
            e2ee=row.e2ee_required,
            # without a meeting of its own the session's page is all there is to open
            meeting_url=self._config.conference.meeting_url or self._page_of(row),
        )

    @cached_property
    def _views(self) -> Views:
        return Views(
            self._store,
            public_url=self._config.public_url,
            relay_hints=self._write_relays,
            introduce=self._profiles.of,
            doors=lambda: self._config.lifecycle.doors,
            service=self._signer.pubkey,
        )

    def _context(self) -> Context:
        return Context(
            store=self._store,
            outbox=self._outbox,
            views=self._views,
            drafts=Drafts(
                self._mirror,
                service=self._signer.pubkey,
                public_url=self._config.public_url,
                relay_hints=self._write_relays,
                clock=self._clock,
                can_encrypt=self._can_encrypt,
                attendance=self._default_attendance,
            ),
            intake=self._intake,
            passed_over=self._passed_over,
            lifecycle=self._lifecycle,
            engine=self._engine,
            rooms=self._rooms,
            controls=self._controls,
            recorder=self._recorder,
            watching=self._watching,
            certificates=Certificates(
                self._store,
                signer=self._signer,
                name_of=lambda pubkey: self._profiles.of(pubkey).name,
                service_name=lambda: self._config.identity.service_name,
            ),
            questions=self._questions,
            calling=self._calling,
            relays=self._pool,
            signers=self._desk,
            instructor_signers=self._instructor_signers,
            clock=self._clock,
            service=self._service_out,
            ready=self._not_ready,
            remarks=self._gaps.remarks,
            relay_information=self._relay_information,
            partial=self._syncer.told_in_part,
            allowances=self._allowances,
            counted=self._counted,
            calendar=self._calendar_face,
            service_pubkey=self._signer.pubkey,
            public_url=self._config.public_url,
            connections=lambda: self._caps().in_all,
        )

    def _caps(self) -> Caps:
        given = self._config.web
        return Caps(min(given.connections, descriptors.for_strangers(self._descriptors)), given.connections_per_address)

    def _not_ready(self) -> str | None:
        """Why the daemon does not do all of its work at the moment, in words."""
        if self._twins.trouble is not None:
            return self._twins.trouble
        if not self._syncer.caught_up.is_set():
            return "reading the relays"
        if missing := self.supervisor.missing:
            return f"not running: {', '.join(missing)}"
        if unserved := self._gaps.unserved():
            return f"no relay serves {', '.join(unserved)}: {'; '.join(self._gaps.remarks())}"
        if self._budget.is_reached:
            return "the database is as large as it may become: what strangers send is refused"
        troubles = [f"{what} fails and is tried again" for one in self._watched for what in one.trouble]
        return "; ".join(troubles) or None

    def _calling(self, by: Pubkey, note: str | None = None) -> TrainingCallingIntegration:
        """The model's calling service with the authority of whoever signed the call."""
        return TrainingCallingIntegration(
            engine=self._engine,
            sessions=CallersSessions(
                by, store=self._store, lifecycle=self._lifecycle, page_of=self._page_of, room_of=self._room_of
            ),
            attendance=NotedAttendance(self._attendance, note=note, clock=self._clock),
            random_bytes=self._random_bytes,
        )

    def _calendar_face(self) -> Face:
        # the message at the start says what is live, which no alarm can know
        before = (offset.before for offset in self._config.reminders.offsets())
        return Face(self._config.identity.service_name, tuple(seconds for seconds in before if seconds > 0))

    def _counted(self) -> list[Counted]:
        public, messages = self._syncer.verifier, self._gift_wraps.verifier
        return [
            Counted(
                "podium_events", "Events from relays.", "outcome", public.dropped | Counter(accepted=public.accepted)
            ),
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
                self._allowances.refused,
            ),
            Counted("podium_messages", "Private messages to the service.", "outcome", self._replies.counts),
            Counted(
                "podium_sessions_passed_over",
                "Events of instructors that were no sessions here.",
                "reason",
                self._passed_over.counts,
            ),
            Counted(
                "podium_task_faults",
                "Failures of tasks that nobody foresaw: each is in the log with its traceback.",
                "service",
                {one.service: one.faults for one in self._watched},
            ),
            Counted(
                "podium_chat_passed_over",
                "Live chat under the room that is about no session.",
                "reason",
                self._question_projection.passed_over,
            ),
            Counted(
                "podium_presence_passed_over",
                "Presence events that are no evidence of attendance.",
                "reason",
                self._presence.passed_over,
            ),
            Counted("podium_conference_drops", "What was dropped at the rooms.", "reason", self._engine.flaws),
        ]

    def _service_out(self) -> ServiceOut:
        return ServiceOut(
            service_pubkey=self._signer.pubkey,
            npub=nip19.encode_npub(self._signer.pubkey),
            public_url=self._config.public_url,
            relays=[relay.url for relay in self._relays],
            instructors=sorted(self._instructors.pubkeys),
            version=version("podium-nostr"),
            engine=self._engine.name,
            attendance=self._default_attendance(),
            trouble=self._twins.trouble,
        )


class _AllRead:
    """Set once all of several events are."""

    def __init__(self, *events: asyncio.Event) -> None:
        self._events = events

    async def wait(self) -> None:
        for event in self._events:
            await event.wait()


def relays_of(config: Config, *, embedded: bool | None = None) -> list[PoolRelay]:
    """The relays to talk to: the embedded one, if it runs (None: as configured), and those of the configuration."""
    runs = config.runs_embedded_relay if embedded is None else embedded
    own = [PoolRelay(config.embedded_url)] if runs else []
    given = [
        PoolRelay(relay.url, read=relay.read, write=relay.write, dm=relay.dm, auth=relay.auth)
        for relay in config.relays
    ]
    # one spelling for each: the outbox, the pool and the lists that people read compare by it
    return [msgspec.structs.replace(relay, url=normalise(relay.url) or relay.url) for relay in (*own, *given)]


def _service_key(config: Config, key_option: Path | None) -> SecretKey:
    """The service's key; a fresh machine gets one, in the state directory only."""
    place = locate_key(key_option, config.key_file, os.environ, allow_environment=config.identity.allow_environment_key)
    is_default = place.path == config.state_directory / "podium.key"
    if is_default and place.path is not None and not place.path.exists():
        write_key_file(place.path, new_secret())
        _log.info("made a key for this service", action="key.made", path=str(place.path))
    return read_key(place, os.environ)


def _allowed(config: Config) -> tuple[list[Pubkey], list[str]]:
    """The allow-list as keys and as NIP-05 names."""
    names = [entry for entry in config.instructors.allow if is_nip05(entry)]
    return [nip19.parse_pubkey(entry) for entry in config.instructors.allow if entry not in names], names


def _hosts(config: Config) -> list[str]:
    """What a request may be addressed to, beside the public URL's host."""
    local = [config.web.host, "localhost", "127.0.0.1", "[::1]"]
    return [*config.web.allowed_hosts, *(f"{host}:{config.web.port}" for host in local)]


async def _greet(config: Config, signer: LocalSigner, supervisor: Supervisor) -> None:
    """Say where everything is and what to type next, once it runs."""
    await supervisor.ready.wait()
    relays = ", ".join(relay.url for relay in relays_of(config))
    text = _GREETING.format(
        version=version("podium-nostr"),
        public_url=config.public_url,
        npub=nip19.encode_npub(signer.pubkey),
        relays=relays,
        state=config.state_directory,
        command="podium" if shutil.which("podium") else sys.argv[0],
    )
    sys.stdout.write(text)
    sys.stdout.flush()
