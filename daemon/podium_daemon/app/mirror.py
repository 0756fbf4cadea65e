"""Builds the mirror of the relays' events with its projections, and the writer and publisher of our own events."""

from __future__ import annotations

import msgspec

from podium_daemon.app import policies
from podium_daemon.app.core import Core
from podium_daemon.conference.engine import ConferenceEngine
from podium_daemon.config import Config
from podium_daemon.config.values import is_nip05
from podium_daemon.services.attendance.presence import PresenceProjection
from podium_daemon.services.people.profiles import Profiles
from podium_daemon.services.sessions.instructor_list import InstructorList
from podium_daemon.services.sessions.instructors import Instructors
from podium_daemon.services.sessions.passed_over import PassedOverEvents, UnreadNotices
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.private_outbox import PrivateOutbox
from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter
from podium_protocol.live.session import GuestPolicy, RecordingAccess
from podium_protocol.nips import nip19
from podium_storage.kept_instructors import KeptInstructors
from podium_storage.mirror.fold import EventChange
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox.outbox import Outbox
from podium_storage.projections.attendance import AttendanceProjection
from podium_storage.projections.questions import QuestionProjection
from podium_storage.projections.rsvps import RsvpProjection
from podium_storage.projections.sessions import SessionProjection


class Projections(msgspec.Struct, frozen=True, kw_only=True):
    """The projections, which derive rows from events."""

    rsvps: RsvpProjection
    sessions: SessionProjection
    attendance: AttendanceProjection
    questions: QuestionProjection
    presence: PresenceProjection


class MirrorParts(msgspec.Struct, frozen=True, kw_only=True):
    """The mirror, the list of instructors, and the writer and publisher of our own events."""

    instructors: Instructors
    instructor_list: InstructorList
    passed_over: PassedOverEvents
    projections: Projections
    mirror: Mirror
    profiles: Profiles
    outbox: Outbox
    event_writer: EventWriter

    def is_own(self, core: Core, pubkey: Pubkey) -> bool:
        """Whether `pubkey` is the service's key or an instructor's."""
        return pubkey == core.service or self.instructors.allows(pubkey)

    def apply(self, core: Core) -> None:
        """Take over a new configuration."""
        self.instructors.replace(*allowed(core.config))


def build_mirror(core: Core, engine: ConferenceEngine) -> MirrorParts:
    """Build the mirror; `engine` decides whether presence events are evidence of attendance."""
    store = core.store

    async def look_at_sessions_again() -> None:
        await _look_again(core, mirror, projections.sessions)

    keys, names = allowed(core.config)
    instructors = Instructors(
        service=core.service,
        keys=keys,
        names=names,
        lookup=core.key_of,
        changed=look_at_sessions_again,
        clock=core.clock,
    )
    passed_over = PassedOverEvents(
        store,
        service=core.service,
        allows=instructors.allows,
        instructors=lambda: instructors.pubkeys,
        limits=policies.session_limits(core.config),
    )
    projections = _build_projections(core, engine, instructors, passed_over)
    private_outbox = PrivateOutbox(store, core.clock)
    notices = UnreadNotices(
        store, private_outbox, service=core.service, page_of=core.page_of, service_language=core.language
    )
    derived = (projections.rsvps, projections.sessions, projections.attendance, projections.questions)
    mirror = Mirror(store.database, store.interner, [*derived, projections.presence, notices])
    outbox = Outbox(store.database, store.interner)
    return MirrorParts(
        instructors=instructors,
        instructor_list=InstructorList(instructors, KeptInstructors(store.database), core.clock, core.random_bytes),
        passed_over=passed_over,
        projections=projections,
        mirror=mirror,
        profiles=Profiles(
            mirror=mirror,
            store=store,
            instructors=lambda: instructors.pubkeys,
            lookup=core.key_of,
            clock=core.clock,
        ),
        outbox=outbox,
        event_writer=EventWriter(mirror, outbox, core.write_relays, core.clock),
    )


def _build_projections(
    core: Core, engine: ConferenceEngine, instructors: Instructors, passed_over: PassedOverEvents
) -> Projections:
    store = core.store
    return Projections(
        rsvps=RsvpProjection(store.rsvps, store.database, store.interner),
        sessions=SessionProjection(
            store.sessions,
            service=core.service,
            accepts=instructors.accepts,
            attendance=core.default_attendance,
            guests=GuestPolicy(core.config.conference.guests),
            limits=policies.session_limits(core.config),
            passed_over=passed_over.record_event,
            recording_access=lambda: RecordingAccess(core.config.recording.access),
        ),
        attendance=AttendanceProjection(store.attendance, store.intervals, service=core.service),
        questions=QuestionProjection(store, service=core.service),
        presence=PresenceProjection(
            store,
            service=core.service,
            counts=lambda: reads_presence(engine),
            policy=lambda: policies.attendance_policy(core.config),
            door=lambda: policies.door_policy(core.config),
        ),
    )


async def _look_again(core: Core, mirror: Mirror, sessions: SessionProjection) -> None:
    """Read sessions again after the list of instructors changed: some that were not taken may be ours now."""
    events = await mirror.by_filter(Filter(kinds=(kinds.SESSION,)))
    effects = [EventChange(event, is_live=True) for event in events]
    now = int(core.clock.now())
    await core.store.database.transact(lambda tx: sessions.apply(tx, effects, received_at=now))


def reads_presence(engine: ConferenceEngine) -> bool:
    """Whether presence events count: only with an engine that reports no media (docs/semantics.md)."""
    return engine.evidence == "presence"


def allowed(config: Config) -> tuple[list[Pubkey], list[str]]:
    """The allow-list as keys and as NIP-05 names."""
    names = [entry for entry in config.instructors.allow if is_nip05(entry)]
    return [nip19.parse_pubkey(entry) for entry in config.instructors.allow if entry not in names], names
