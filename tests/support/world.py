"""The daemon's services on a temporary database and the real link engine, moved turn by turn under a manual clock.

There is no relay here: what is published is handed to the mirror, what is due in the outbox is taken out and accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from podium_daemon.app.recording_parts import RecordingPlace, join_recorder
from podium_daemon.conference.engine import Person, RoomId, RoomSpec
from podium_daemon.conference.engines.link import LinkEngine, LinkSettings
from podium_daemon.conference.events import EngineHealth, LeaveReason
from podium_daemon.conference.seats import SocketSeat
from podium_daemon.services.attendance.attendance import AttendanceService
from podium_daemon.services.attendance.attestation import AttendanceSettings
from podium_daemon.services.attendance.observation import ObservationLog
from podium_daemon.services.attendance.presence import PresenceProjection
from podium_daemon.services.private.inbox import PrivateInbox
from podium_daemon.services.private.sender import PrivateSender
from podium_daemon.services.questions.questions import Questions
from podium_daemon.services.recording.recording import RecordingSettings
from podium_daemon.services.recording.watching import Watching
from podium_daemon.services.reminders.planner import PlannerSettings
from podium_daemon.services.reminders.reminders import ReminderService
from podium_daemon.services.reminders.replies import Replies
from podium_daemon.services.reminders.sending import ReminderSettings
from podium_daemon.services.rooms.controls import RoomControls
from podium_daemon.services.rooms.rooms import Rooms, RoomSettings
from podium_daemon.services.seats.rsvps import SeatService
from podium_daemon.services.sessions.event_submission import EventSubmission
from podium_daemon.services.sessions.lifecycle import Lifecycle, LifecycleSettings
from podium_daemon.services.sessions.passed_over import PassedOverEvents, UnreadNotices
from podium_daemon.signers.instructors import SigningRefused, Unavailable
from podium_daemon.signers.signer import LocalSigner
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.gift_wrapper import Wrapper
from podium_daemon.writers.live_status import StatusEvents, StatusSettings
from podium_daemon.writers.private_notifications import PrivateNotifications
from podium_daemon.writers.private_outbox import PrivateOutbox
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, Rejected, UnsignedEvent, VerifiedEvent, verify, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.live.admission import DoorPolicy
from podium_protocol.live.attendance import AttendancePolicy
from podium_protocol.live.completion import CompletionPolicy
from podium_protocol.live.lifecycle_rules import LifecyclePolicy, StartPolicy
from podium_protocol.live.reminders import ReminderPolicy
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.seats import SeatPolicy
from podium_protocol.live.session import Session, SessionSpec, cancel, write_session
from podium_protocol.nips import nip17, nip59
from podium_protocol.nips.nip11 import RelayLimits, RequiredByRelays, asked_by
from podium_storage.changes import Batch
from podium_storage.meta import Meta
from podium_storage.mirror.mirror import Mirror, OpenedWraps
from podium_storage.outbox.outbox import Outbox
from podium_storage.outbox.values import RelayAccepted
from podium_storage.projections.attendance import AttendanceProjection
from podium_storage.projections.questions import QuestionProjection
from podium_storage.projections.rsvps import RsvpProjection
from podium_storage.projections.sessions import SessionProjection
from podium_storage.store import Store
from podium_storage.table.models import LedgerRow, LiveSessionRow, RsvpRow
from tests.support.clock import ManualClock

RELAY = "wss://relay.example.org"
INBOX = "wss://inbox.example.org"
MOST_WORK = 10
"""Bits that the services do for relays that ask for work."""

OWN_INBOX = "wss://messages.example.org"
EVERYTHING = Batch((), resync=True)


class Signing:
    """The instructors' own signers: those in `keys` answer, the others are away. `asked`: what they were asked for."""

    def __init__(self) -> None:
        self.keys: dict[Pubkey, SecretKey] = {}
        self.asked: list[UnsignedEvent] = []

    async def sign(self, pubkey: Pubkey, event: UnsignedEvent) -> VerifiedEvent | SigningRefused | Unavailable:
        """See `InstructorSigning`."""
        self.asked.append(event)
        key = self.keys.get(pubkey)
        if key is None:
            return Unavailable("it is away", is_connected=True)
        return signed(key, msgspec.structs.replace(event, pubkey=key.pubkey))


class World:
    """One service with an instructor of its own, and any number of people."""

    def __init__(self, store: Store, *, like: World | None = None, **options: object) -> None:
        """`like`: a world whose keys and time this one has, with nothing on its disk.

        `options`: `reminders` and `start_policy`; `rooms`, a dictionary of room settings; `now`, the time it begins at;
        `engine`, which makes it; `recordings`, the folder for them.
        """
        self.store = store
        self.lists_read: dict[str, bool | None] = {}
        self.limits: dict[str, RelayLimits] = {}
        """What `Syncer.has_read_lists` says of a person; yes for a person who is absent here."""
        now = options.get("now", 1_800_000_000.0)
        assert isinstance(now, float)
        self.clock = ManualClock(now if like is None else like.clock.now())
        self.service = new_key() if like is None else like.service
        self.instructor = new_key() if like is None else like.instructor
        self.listed = {self.instructor.pubkey}
        self.outbox = Outbox(store.database, store.interner)
        projection = RsvpProjection(store.rsvps, store.database, store.interner)
        self.passed_over = PassedOverEvents(
            store,
            service=self.service.pubkey,
            allows=lambda pubkey: pubkey in self.listed,
            instructors=lambda: frozenset(self.listed),
        )
        sessions = SessionProjection(
            store.sessions, service=self.service.pubkey, accepts=self.accepts, passed_over=self.passed_over.record_event
        )
        attendance = AttendanceProjection(store.attendance, store.intervals, service=self.service.pubkey)
        self.presence = presence = PresenceProjection(
            store,
            service=self.service.pubkey,
            counts=lambda: self.engine.evidence == "presence",
            policy=AttendancePolicy,
            door=DoorPolicy,
        )
        self.mirror = Mirror(
            store.database,
            store.interner,
            [
                projection,
                sessions,
                attendance,
                question_projection := QuestionProjection(store, service=self.service.pubkey),
                presence,
                UnreadNotices(
                    store,
                    PrivateOutbox(store, self.clock),
                    service=self.service.pubkey,
                    page_of=lambda row: f"https://podium.example.org/s/{row.session_address}",
                ),
            ],
        )
        self.outgoing = EventWriter(self.mirror, self.outbox, lambda: [RELAY], self.clock)
        self.questions = Questions(
            store=store,
            outgoing=self.outgoing,
            projection=question_projection,
            service=self.service.pubkey,
            clock=self.clock,
        )
        self.signer = LocalSigner(self.service)
        self.letters_out = PrivateOutbox(store, self.clock)
        self.news = PrivateNotifications(
            self.letters_out,
            store=store,
            rsvps=projection,
            service=self.service.pubkey,
            page_of=lambda row: f"http://x.example/s/{row.id}",
            clock=self.clock,
        )
        self.private_inbox = PrivateInbox(
            self.news,
            store=store,
            mirror=self.mirror,
            sessions=sessions,
            rsvps=projection,
            attendance=attendance,
            opened=OpenedWraps(store.database),
            accepts=self.accepts,
            clock=self.clock,
        )
        self.post = PrivateSender(
            self.service,
            store=store,
            mirror=self.mirror,
            outbox=self.outbox,
            own_inbox=lambda: [OWN_INBOX],
            clock=self.clock,
            random_bytes=os.urandom,
            lists_read=lambda pubkey: self.lists_read.get(pubkey, True),
            asked_by=self._asked_by,
        )
        self.replies = Replies(
            self.service,
            store=store,
            mirror=self.mirror,
            outbox=self.outbox,
            rsvps=projection,
            opened=OpenedWraps(store.database),
            letters=self.letters_out,
            others=self.private_inbox.handle_messages,
            remembered=lambda pubkey: self.private_inbox.remembered.get(pubkey, 0),
            page_of=lambda row: f"http://x.example/s/{row.id}",
            clock=self.clock,
            random_bytes=os.urandom,
            asked_by=self._asked_by,
        )
        make = options.get("engine", LinkEngine)
        self.signing = Signing()
        self.engine: LinkEngine = make(
            LinkSettings(meeting_url="https://meet.example.org/room"), clock=self.clock, random_bytes=os.urandom
        )
        self.notices: list[tuple[str, str]] = []
        self.sent: list[VerifiedEvent] = []
        self._build(options)

    def _build(self, options: dict[str, object]) -> None:
        policy = options.get("reminders", ReminderPolicy())
        assert isinstance(policy, ReminderPolicy)
        self.intake = self.intake_through(self.outgoing)
        status = StatusEvents(
            StatusSettings(space_name="Podium", public_url="http://127.0.0.1:7448"),
            store=self.store,
            mirror=self.mirror,
            outgoing=self.outgoing,
            signer=self.signer,
            clock=self.clock,
        )
        start_policy = options.get("start_policy", StartPolicy.CLOCK)
        assert isinstance(start_policy, StartPolicy)
        self.lifecycle = Lifecycle(
            LifecycleSettings(policy=LifecyclePolicy(), start_policy=start_policy, room_of=self.room_of),
            store=self.store,
            outgoing=self.outgoing,
            letters=self.letters_out,
            status=status,
            engine=self.engine,
            is_instructor=lambda pubkey: pubkey in self.listed,
            notify=self._notice,
            clock=self.clock,
            caught_up=asyncio.Event(),
        )
        self.rsvps = SeatService(store=self.store, policy=SeatPolicy(), clock=self.clock)
        self.attendance = AttendanceService(
            AttendanceSettings(),
            store=self.store,
            outgoing=self.outgoing,
            letters=self.letters_out,
            engine=self.engine,
            signer=self.signer,
            gaps=ObservationLog(Meta(self.store.database), tolerance=120),
            clock=self.clock,
        )
        wrapper = Wrapper(
            self.service,
            policy=policy,
            page_of=lambda row: f"http://x.example/s/{row.id}",
            clock=self.clock,
            random_bytes=os.urandom,
            asked_by=self._asked_by,
            most_work=lambda: MOST_WORK,
        )
        self.reminders = ReminderService(
            ReminderSettings(planner=PlannerSettings(policy=policy)),
            store=self.store,
            mirror=self.mirror,
            outbox=self.outbox,
            wrapper=wrapper,
            clock=self.clock,
            lists_read=lambda pubkey: self.lists_read.get(pubkey, True),
        )
        rooms = options.get("rooms", {})
        assert isinstance(rooms, dict)
        settings = RoomSettings(
            door=DoorPolicy(), resume=120, notice="noted", recording_policy="recorded", room_of=self.room_of
        )
        self.controls = RoomControls(store=self.store, engine=self.engine)
        self.rooms = Rooms(
            msgspec.structs.replace(settings, **rooms),
            store=self.store,
            engine=self.engine,
            clock=self.clock,
            random_bytes=os.urandom,
            recording=self._is_recording,
        )
        self.recorder = join_recorder(
            RecordingSettings(policy=settings.recording_policy),
            RecordingPlace(folder=self._folder(options), public_url="http://127.0.0.1:7448"),
            store=self.store,
            mirror=self.mirror,
            outgoing=self.outgoing,
            status=status,
            engine=self.engine,
            instructors=self.signing,
            notify=self._notice,
            page_of=lambda row: f"http://127.0.0.1:7448/s/{row.id}",
            clock=self.clock,
        )
        self.watching = Watching(self.store, policy=CompletionPolicy, clock=self.clock, random_bytes=os.urandom)

    def _folder(self, options: dict[str, object]) -> Path:
        folder = options.get("recordings", Path("nowhere/recordings"))
        assert isinstance(folder, Path)
        return folder

    def _is_recording(self, session_address: str) -> bool:
        return self.recorder.is_recording(session_address)

    def intake_through(self, outgoing: EventWriter) -> EventSubmission:
        """The door for signed events, with this way out for public ones."""
        return EventSubmission(
            self.store,
            outgoing,
            news=self.news,
            own_inbox=lambda: [OWN_INBOX],
            can_encrypt=False,
            accepts=self.accepts,
            clock=self.clock,
        )

    # -- people

    async def publish(self, key: SecretKey, draft: UnsignedEvent) -> VerifiedEvent:
        """Sign and hand to the mirror, as the relays would."""
        event = signed(key, draft)
        await self.mirror.ingest([event], received_at=self.now)
        return event

    async def schedule(self, *, starts_in: int = 48 * 3600, minutes: int = 90, **fields: object) -> LiveSessionRow:
        """The instructor publishes a session; returns its row."""
        spec = SessionSpec(
            identifier=os.urandom(4).hex(),
            title="Know your rights",
            starts_at=self.now + starts_in,
            duration_minutes=minutes,
            timezone="Europe/Berlin",
            **fields,  # type: ignore[arg-type]  # tests name the fields they mean
        )
        await self.publish(self.instructor, self.draft(spec))
        return await self.row(str(Address(kinds.SESSION, self.instructor.pubkey, spec.identifier)))

    def draft(self, spec: SessionSpec, previous: VerifiedEvent | None = None) -> UnsignedEvent:
        """The session event of a spec."""
        return write_session(
            spec,
            instructor=self.instructor.pubkey,
            service=self.service.pubkey,
            relay_hint=RELAY,
            join_url="http://127.0.0.1:7448/s/x",
            now=self.now,
            previous=previous,
        )

    async def move(self, row: LiveSessionRow, starts_at: int) -> LiveSessionRow:
        """The instructor publishes another start."""
        from podium_protocol.live.session import read_session, spec_of

        previous = await self.event_of(row)
        current = read_session(previous)
        assert isinstance(current, Session)
        await self.publish(
            self.instructor, self.draft(msgspec.structs.replace(spec_of(current), starts_at=starts_at), previous)
        )
        return await self.row(row.session_address)

    async def cancel(self, row: LiveSessionRow) -> LiveSessionRow:
        """The instructor cancels."""
        cancelled = cancel(await self.event_of(row), self.now)
        await self.publish(self.instructor, cancelled.revision)
        await self.publish(self.instructor, cancelled.deletion)
        return await self.row(row.session_address)

    async def answer(
        self, key: SecretKey, row: LiveSessionRow, status: RsvpStatus = RsvpStatus.CONFIRMED, *, revision: bool = False
    ) -> RsvpRow:
        """Let a person RSVP; with `revision`, to the revision of `row`."""
        address = Address.parse(row.session_address)
        assert address is not None
        mine = await self.rsvp(key, row)
        before = mine.rsvp_time if mine else None
        await self.publish(
            key,
            write_rsvp(
                address,
                status,
                pubkey=key.pubkey,
                now=self.now,
                previous_created_at=before,
                revision_id=EventId(row.event_id) if revision else None,
            ),
        )
        stored = await self.rsvp(key, row)
        assert stored is not None
        return stored

    async def open_inbox(self, key: SecretKey) -> None:
        """Let a person name their message relays."""
        await self.publish(key, nip17.write_dm_relays(key.pubkey, [INBOX], created_at=self.now))

    async def person(self) -> SecretKey:
        """Make a person with a key and an inbox."""
        key = new_key()
        await self.open_inbox(key)
        return key

    # -- turns

    @property
    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock.now())

    async def turn(self) -> None:
        """Each service looks at everything once, in the order in which facts flow, and the outbox empties."""
        await self.lifecycle._turn(EVERYTHING)
        await self.rsvps._turn(EVERYTHING)
        await self.attendance._turn(EVERYTHING)
        await self.reminders._turn(EVERYTHING)
        await self.post._turn(EVERYTHING)
        await self.deliver()
        await self.reminders._turn(EVERYTHING)
        await self.post._turn(EVERYTHING)

    async def advance(self, seconds: int) -> None:
        """Let time pass, then take a turn."""
        await self.clock.advance(seconds)
        await self.turn()

    async def deliver(self) -> None:
        """The relays accept everything that is due."""
        while rows := await self.outbox.due(self.now):
            for row in rows:
                event = verify_json(row.event_json)
                assert isinstance(event, VerifiedEvent)
                self.sent.append(event)
            await self.outbox.record([RelayAccepted(row.id) for row in rows], now=self.now)

    # -- looks

    def accepts(self, session: Session) -> bool:
        """The allow-list."""
        return session.instructor in self.listed and self.service.pubkey in session.named

    def room_of(self, row: LiveSessionRow) -> RoomSpec:
        """The room of a session."""
        room = RoomId(row.conference_room_id or "")
        return RoomSpec(room=room, title=row.title, allow_recording=row.allow_recording)

    async def row(self, session_address: str) -> LiveSessionRow:
        """A session as it is now."""
        row = await self.store.sessions.where("lessonId").equals(session_address).first()
        assert row is not None
        return row

    async def rsvp(self, key: SecretKey, row: LiveSessionRow) -> RsvpRow | None:
        """The person's present RSVP row."""
        return await self.store.rsvps.where("[lessonId+pubkey]").equals([row.session_address, key.pubkey]).first()

    async def ledger(self, key: SecretKey, row: LiveSessionRow) -> dict[str, LedgerRow]:
        """The person's messages of the present epoch, by name."""
        rows = await self.store.ledger.where("pubkey").equals(key.pubkey).to_list()
        epoch = (await self.row(row.session_address)).epoch
        return {
            each.message: each for each in rows if each.session_address == row.session_address and each.epoch == epoch
        }

    async def states(self, key: SecretKey, row: LiveSessionRow) -> dict[str, str]:
        """The states of the person's messages of the present epoch."""
        return {name: each.state for name, each in (await self.ledger(key, row)).items()}

    def _asked_by(self, relays: Sequence[str]) -> RequiredByRelays:
        return asked_by([self.limits[relay] for relay in relays if relay in self.limits], most_work=MOST_WORK)

    def letters(self, key: SecretKey) -> list[str]:
        """The headlines of the messages that were sent to the person, really unwrapped."""
        found = []
        for event in self.sent:
            if event.kind == kinds.GIFT_WRAP and tags.first(event.tags, "p") == key.pubkey:
                opened = nip59.unwrap(event, key, now=self.now)
                assert isinstance(opened, nip59.Unwrapped), opened
                assert opened.sender == self.service.pubkey
                found.append(opened.rumor.content.splitlines()[0])
        return found

    def published(self, kind: int) -> list[VerifiedEvent]:
        """What the service sent of one kind, in order."""
        return [event for event in self.sent if event.kind == kind]

    async def event_of(self, row: LiveSessionRow) -> VerifiedEvent:
        """The newest revision of a session."""
        address = Address.parse(row.session_address)
        assert address is not None
        event = await self.mirror.newest(address)
        assert event is not None
        return event

    async def _notice(self, session_address: str, text: str) -> None:
        self.notices.append((session_address, text))


@asynccontextmanager
async def world(like: World | None = None, **options: object) -> AsyncIterator[World]:
    """A world in a temporary directory."""
    with TemporaryDirectory() as folder:
        async with await Store.open(Path(folder) / "podium.sqlite3") as store:
            yield World(store, like=like, **options)


def new_key() -> SecretKey:
    """A fresh key."""
    return SecretKey(os.urandom(32))


def signed(key: SecretKey, draft: UnsignedEvent) -> VerifiedEvent:
    """A draft, signed by `key` and verified."""
    event = verify(key.sign(draft, os.urandom(32)))
    assert not isinstance(event, Rejected)
    return event


def pubkeys(*keys: SecretKey) -> list[Pubkey]:
    """The public keys."""
    return [key.pubkey for key in keys]


class Room:
    """The engine's room of one session, entered without the door: for tests of what comes after it."""

    def __init__(self, here: World, row: LiveSessionRow) -> None:
        self._here = here
        self._row = row

    async def sit(self, key: SecretKey, device: str = "laptop") -> SocketSeat:
        """Let a person take a seat."""
        spec = self._here.room_of(self._row)
        await self._here.engine.open_room(spec)
        seat = await self._here.engine.take_seat(spec.room, Person(pubkey=key.pubkey, device=device))
        assert isinstance(seat, SocketSeat), seat
        await self.observe()
        return seat

    async def leave(self, seat: SocketSeat) -> None:
        """Let a person leave their seat."""
        await seat.leave(LeaveReason.LEFT)
        await self.observe()

    async def observe(self) -> None:
        """The attendance service reads what the engine has told so far; what it knows already changes nothing."""
        events = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                async for event in self._here.engine.events():
                    events.append(event)  # noqa: PERF401  (a comprehension would lose what came before the time-out)
        await self._here.attendance._record([event for event in events if not isinstance(event, EngineHealth)])
