"""The daemon's services on a temporary database and the real link engine, moved turn by turn under a manual clock.

There is no relay here: what is published is handed to the mirror, what is due in the outbox is taken out and accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, MutableSet
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from podium_daemon.app.core import Core, Current, Outside
from podium_daemon.app.parts import join_parts
from podium_daemon.app.sessions import build_sessions
from podium_daemon.conference.engine import Person
from podium_daemon.conference.engines.link import LinkEngine, LinkSettings
from podium_daemon.conference.events import EngineHealth, LeaveReason
from podium_daemon.conference.seats import SocketSeat
from podium_daemon.config import Config
from podium_daemon.services.sessions.event_submission import EventSubmission
from podium_daemon.signers.signer import LocalSigner
from podium_daemon.writers.event_writer import EventWriter
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, Rejected, UnsignedEvent, VerifiedEvent, verify, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.live.lifecycle_rules import StartPolicy
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.session import Session, SessionSpec, cancel, write_session
from podium_protocol.nips import nip17, nip59
from podium_protocol.nips.nip11 import RelayLimits
from podium_storage.changes import Batch
from podium_storage.meta import Meta
from podium_storage.outbox.values import RelayAccepted
from podium_storage.store import Store
from podium_storage.table.models import LedgerRow, LiveSessionRow, RsvpRow
from tests.support.clock import ManualClock
from tests.support.instructors import Listed, Signing
from tests.support.pools import SilentPool

RELAY = "wss://relay.example.org"
INBOX = "wss://inbox.example.org"
MOST_WORK = 10
"""Bits that the services do for relays that ask for work."""

MEETING = "https://meet.example.org/room"
OWN_INBOX = "wss://messages.example.org"
EVERYTHING = Batch((), resync=True)


class World:
    """One service with an instructor of its own, and any number of people."""

    def __init__(self, store: Store, *, like: World | None = None, **options: Any) -> None:
        """`like`: a world whose keys and time this one has, with nothing on its disk.

        `options`: `reminders` and `start_policy`; `rooms`, a dictionary of room settings; `now`, the time it begins at;
        `engine`, which makes it; `recordings`, the folder for them.
        """
        self.store = store
        self.lists_read: dict[str, bool | None] = {}
        """What `Syncer.has_read_lists` says of a person; yes for a person who is absent here."""
        self.clock = ManualClock(options.get("now", 1_800_000_000.0) if like is None else like.clock.now())
        self.since = int(self.clock.now())
        self.service = new_key() if like is None else like.service
        self.instructor = new_key() if like is None else like.instructor
        self.signing = Signing()
        self.signer = LocalSigner(self.service)
        self.notices: list[tuple[str, str]] = []
        self.sent: list[VerifiedEvent] = []
        self._options = options
        make = options.get("engine", LinkEngine)
        self.join(make(LinkSettings(meeting_url=MEETING), clock=self.clock, random_bytes=os.urandom))

    def join(self, engine: Any = None) -> None:
        """Join the services of the daemon on this database; once more, with the other `engine`, as after a restart."""
        self.engine: LinkEngine = engine or self.engine
        self.core = Core(
            current=Current(self._config()),
            store=self.store,
            meta=Meta(self.store.database),
            signer=self.signer,
            clock=self.clock,
            random_bytes=os.urandom,
            outside=Outside(
                pool=SilentPool,
                engine=lambda _: self.engine,
                lists_read=lambda pubkey: self.lists_read.get(pubkey, True),
                instructor_signing=self.signing,
                notify=self._notice,
            ),
            since=self.since,
        )
        self.parts = join_parts(self.core)
        self._name_parts()
        self._take_options()
        for moment in (self.parts.relays.syncer, self.parts.relays.gift_wraps, self.replies):
            moment.caught_up.set()
        self.parts.relays.gift_wraps.remembered.set()

    def _config(self) -> Config:
        relays = [{"url": RELAY, "dm": False}, {"url": OWN_INBOX, "read": False, "write": False}]
        start_policy = self._options.get("start_policy", StartPolicy.CLOCK)
        return Config.model_validate(
            {
                "relays": relays,
                "instructors": {"allow": [self.instructor.pubkey]},
                "publishing": {"proof_of_work": MOST_WORK},
                "lifecycle": {"start_policy": start_policy.value},
                "conference": {"meeting_url": MEETING},
                "attendance": {"notice": "noted"},
                "recording": {
                    "policy": "recorded",
                    "review": False,
                    "directory": str(self._options.get("recordings", "nowhere")),
                },
                "storage": {"state_directory": "nowhere"},
            }
        )

    def _name_parts(self) -> None:
        mirror, private, messages = self.parts.mirror, self.parts.private, self.parts.messages
        rooms, sessions = self.parts.rooms, self.parts.sessions
        self.mirror, self.outbox, self.event_writer = mirror.mirror, mirror.outbox, mirror.event_writer
        self.passed_over, self.presence = mirror.passed_over, mirror.projections.presence
        self.listed: MutableSet[Pubkey] = Listed(mirror.instructors, mirror.instructors.pubkeys)
        self.private_outbox, self.notifications, self.private_inbox = (
            private.outbox,
            private.notifications,
            private.inbox,
        )
        self.post, self.replies, self.rsvps = messages.sender, messages.replies, messages.rsvps
        self.reminders = messages.reminders
        self.rooms, self.controls = rooms.rooms, rooms.controls
        self.recorder, self.watching = rooms.recorder, rooms.watching
        self.submission, self.lifecycle, self.questions = sessions.submission, sessions.lifecycle, sessions.questions
        self.attendance = self.parts.attendance.attendance
        self.accepts, self.room_of = mirror.instructors.accepts, self.core.room_of

    def _take_options(self) -> None:
        if (policy := self._options.get("reminders")) is not None:
            planner = msgspec.structs.replace(self.reminders.settings.planner, policy=policy)
            self.reminders.settings = msgspec.structs.replace(self.reminders.settings, planner=planner)
        self.rooms.settings = msgspec.structs.replace(self.rooms.settings, **self._options.get("rooms", {}))

    @property
    def limits(self) -> dict[str, RelayLimits]:
        """What relays are taken to have said (NIP-11), by URL."""
        pool = self.parts.relays.pool
        assert isinstance(pool, SilentPool)
        return pool.limits

    @limits.setter
    def limits(self, limits: dict[str, RelayLimits]) -> None:
        pool = self.parts.relays.pool
        assert isinstance(pool, SilentPool)
        pool.limits = limits

    def submission_through(self, event_writer: EventWriter) -> EventSubmission:
        """The door for signed events, with this way out for public ones."""
        parts = self.parts
        return build_sessions(
            self.core,
            mirror=msgspec.structs.replace(parts.mirror, event_writer=event_writer),
            private=parts.private,
            relays=parts.relays,
            people=parts.people,
            rooms=parts.rooms,
        ).submission

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
        # what the engine remembers is read without a wait: the first wait ends the reading
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                async for event in self._here.engine.events():
                    events.append(event)  # noqa: PERF401  (a comprehension would lose what came before the time-out)
        await self._here.attendance._record([event for event in events if not isinstance(event, EngineHealth)])
