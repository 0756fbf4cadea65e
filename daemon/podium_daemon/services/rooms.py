"""The rooms' door: one signed proof joins, the waiting room holds, the instructor admits, the engine seats.

Policy is here and the same on every engine; the engine is asked for a seat only when somebody is let in.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.clock import Clock
from podium_daemon.conference.base import (
    GRANT_SECONDS,
    ConferenceEngine,
    Person,
    Present,
    Role,
    RoomId,
    RoomSpec,
    Snapshot,
)
from podium_daemon.conference.events import LeaveReason
from podium_daemon.conference.resume import ResumeBook
from podium_daemon.conference.seat_messages import Notice, Resume
from podium_daemon.conference.seats import SeatSocket, Signalling, SocketGone, run_seat
from podium_daemon.refusals import Refused
from podium_daemon.services.room_door import (
    ADMITTED,
    ARRIVED,
    REFUSE_TEXTS,
    REMOVED,
    WAIT_TEXTS,
    DoorKeeper,
    role_of,
)
from podium_daemon.services.room_entry import (
    Challenge,
    Entry,
    Guest,
    Hello,
    OneTimeSecrets,
    Return,
    Ticket,
    TurnedAway,
    Waiting,
    read_greeting,
)
from podium_daemon.supervisor import Stop
from podium_protocol import tags
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.admission import Admit, AwaitDoor, DoorPolicy, DoorRole, Refuse, RefuseReason, WaitReason
from podium_protocol.live.join_proof import WINDOW, JoinExpectation, JoinProof, ProofRefusal, check_join_proof
from podium_storage.rows import IntervalRow, LiveSessionRow, RoomMemberRow, RsvpRow
from podium_storage.store import Store

_log = structlog.get_logger(__name__)
_GREETING_SECONDS: Final = 10.0
_CLOSE_REFUSED: Final = 4010
_CLOSE_GREETING: Final = 4011


class RoomSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`resume` in seconds; the texts are shown before somebody joins."""

    door: DoorPolicy
    resume: int
    notice: str
    recording_policy: str
    room_of: Callable[[LiveSessionRow], RoomSpec]


class Rooms:
    """Who may be where. Standing is in the store; who waits on a socket right now is in memory."""

    name = "rooms"

    def __init__(
        self,
        settings: RoomSettings,
        *,
        store: Store,
        engine: ConferenceEngine,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        assert isinstance(engine, Signalling), "engines whose door is not our socket come with their own hand-over"
        self.settings = settings
        self._store = store
        self._engine = engine
        self._seats: Signalling = engine
        self._clock = clock
        self._keeper = DoorKeeper(store, settings.door)
        self._challenges: OneTimeSecrets[Challenge] = OneTimeSecrets(clock, random_bytes, seconds=WINDOW)
        self._tickets: OneTimeSecrets[Entry] = OneTimeSecrets(clock, random_bytes, seconds=GRANT_SECONDS)
        self._returns = ResumeBook(random_bytes, seconds=settings.resume)
        self._waiting: dict[str, dict[_Waiter, None]] = defaultdict(dict)

    async def run(self, stop: Stop) -> None:
        """Look again at those who wait whenever a session, an RSVP or a room changes."""
        tables = (self._store.sessions.name, self._store.rsvps.name, self._store.intervals.name)
        with self._store.database.changes.subscribe(*tables) as changes:
            stopping = asyncio.create_task(stop.wait())
            while not stop.is_set():
                arriving = asyncio.create_task(changes.wait())
                await asyncio.wait((arriving, stopping), return_when=asyncio.FIRST_COMPLETED)
                arriving.cancel()
                batch = changes.take()
                rows = [change.after or change.before for change in batch.changes] if batch else []
                lessons = {row.lesson_id for row in rows if isinstance(row, LiveSessionRow | RsvpRow | IntervalRow)}
                self._wake(list(self._waiting) if batch and batch.resync else lessons)
                self._returns.expire(self._clock.monotonic())

    # -- joining

    async def challenge(self, row: LiveSessionRow, url: str) -> Challenge:
        """A nonce with everything the proof must answer; good for 60 s and one join."""
        now = int(self._clock.now())
        policy = self.settings.recording_policy if row.allow_recording else ""
        challenge = Challenge(
            url=url,
            nonce="",
            lesson_id=row.lesson_id,
            issued_at=now,
            expires_at=now + WINDOW,
            recording_policy=policy,
            recording_policy_hash=hashlib.sha256(policy.encode()).hexdigest() if policy else "",
            notice=self.settings.notice,
        )
        return msgspec.structs.replace(challenge, nonce=self._challenges.issue(challenge))

    async def join(self, row: LiveSessionRow, proof: VerifiedEvent, url: str, body: bytes | None) -> Ticket | Refused:
        """Check a signed join proof; the answer is a ticket for the room socket, or why there is none."""
        now = int(self._clock.now())
        nonce = tags.first(proof.tags, "nonce") or ""
        challenge = self._challenges.redeem(nonce)
        if challenge is None:
            return Refused("bad-proof", "the challenge is unknown, used or too old", "Ask for a new challenge.")
        expected = JoinExpectation(
            url=url,
            method="POST",
            body=body,
            lesson_id=row.lesson_id,
            nonce=nonce,
            issued_at=challenge.issued_at,
            policy_hash=challenge.recording_policy_hash or None,
        )
        checked = check_join_proof(proof, expected, now)
        if isinstance(checked, ProofRefusal):
            return Refused("bad-proof", checked.detail, "Ask for a new challenge and sign it.")
        entry = Entry(
            lesson_id=row.lesson_id, pubkey=proof.pubkey, device=checked.device, role=role_of(row, proof.pubkey)
        )
        decision = await self._decide(row, entry)
        if isinstance(decision, Refuse):
            return Refused(decision.reason.replace("_", "-"), REFUSE_TEXTS[decision.reason], _when(decision))
        await self._arrived(row, checked, proof, now)
        return Ticket(
            token=self._tickets.issue(entry),
            expires_at=now + GRANT_SECONDS,
            waiting_for=decision.reason if isinstance(decision, AwaitDoor) else None,
        )

    async def serve(self, lesson_id: str, socket: SeatSocket) -> None:
        """One room socket from its first message to its end: the door, the waiting room, the seat."""
        entry = await self._greeted(lesson_id, socket)
        if entry is None:
            await socket.close(_CLOSE_GREETING, "send a fresh ticket first")
            return
        try:
            if await self._wait_at_the_door(entry, socket):
                await self._take_seat(entry, socket)
        except SocketGone:
            return

    async def notify(self, lesson_id: str, text: str) -> None:
        """Tell everybody in the room a line."""
        row = await self._keeper.session(lesson_id)
        if row is not None and row.conference_room_id is not None:
            await self._seats.tell(RoomId(row.conference_room_id), Notice(text))

    # -- what the instructor does at the door

    async def guests(self, row: LiveSessionRow) -> list[Guest]:
        """Who is in the room, then who waits."""
        present = await self._present(row)
        waiting = [
            Guest(pubkey=one.entry.pubkey, waiting=True, role=one.entry.role, since=one.since)
            for one in self._waiting[row.lesson_id]
        ]
        return [*present, *waiting]

    async def admit(self, row: LiveSessionRow, pubkeys: Collection[Pubkey] | None, by: Pubkey) -> int:
        """Let people in, or everybody who waits (None); it sticks for the session, on every device."""
        chosen = {one.entry.pubkey for one in self._waiting[row.lesson_id]} if pubkeys is None else set(pubkeys)
        await self._stand(row, chosen, ADMITTED)
        _log.info("people admitted", action="room.admitted", session=row.lesson_id, by=by, people=len(chosen))
        self._wake([row.lesson_id])
        return len(chosen)

    async def remove(self, row: LiveSessionRow, pubkey: Pubkey, reason: str, by: Pubkey) -> int | Refused:
        """End somebody's connections and revoke their admission for this session."""
        if role_of(row, pubkey) is not DoorRole.PARTICIPANT:
            return Refused("not-allowed", "instructor and co-hosts are not removed", "Edit the session's co-hosts.")
        await self._stand(row, {pubkey}, REMOVED)
        assert row.conference_room_id is not None, "every adopted session has its room"
        room = RoomId(row.conference_room_id)
        self._returns.forget(room, pubkey)
        removed = await self._engine.remove(room, pubkey, reason or "The instructor removed you from this session.")
        _log.info("somebody was removed", action="room.removed", session=row.lesson_id, by=by)
        self._wake([row.lesson_id])
        return 0 if isinstance(removed, Refused) else len(removed.connections)

    # -- inside

    async def _greeted(self, lesson_id: str, socket: SeatSocket) -> Entry | None:
        try:
            async with asyncio.timeout(_GREETING_SECONDS):
                greeting = read_greeting(await socket.receive())
        except (TimeoutError, SocketGone):
            return None
        match greeting:
            case Hello(token):
                entry = self._tickets.redeem(token)
            case Return(secret):
                entry = await self._returning(lesson_id, secret)
            case None:
                return None
        return entry if entry is not None and entry.lesson_id == lesson_id else None

    async def _returning(self, lesson_id: str, secret: str) -> Entry | None:
        connection = self._returns.redeem(secret, self._clock.monotonic())
        row = await self._keeper.session(lesson_id)
        if connection is None or row is None or connection.room != row.conference_room_id:
            return None
        return Entry(
            lesson_id=lesson_id,
            pubkey=connection.pubkey,
            device=connection.device,
            role=role_of(row, connection.pubkey),
            returning=True,
        )

    async def _wait_at_the_door(self, entry: Entry, socket: SeatSocket) -> bool:
        """Hold the socket until its person may enter (True) or is turned away (False)."""
        waiter = _Waiter(entry, int(self._clock.now()))
        told: WaitReason | None = None
        reading = asyncio.create_task(_read_until_gone(socket))
        self._waiting[entry.lesson_id][waiter] = None
        try:
            while True:
                waiter.bell.clear()
                row = await self._keeper.session(entry.lesson_id)
                decision = Refuse(RefuseReason.ENDED) if row is None else await self._decide(row, entry)
                match decision:
                    case Admit():
                        return True
                    case Refuse(reason):
                        await _say(socket, TurnedAway(reason, REFUSE_TEXTS[reason]))
                        await socket.close(_CLOSE_REFUSED, reason)
                        return False
                    case AwaitDoor(reason):
                        if reason != told:
                            await _say(socket, Waiting(reason, WAIT_TEXTS[reason]))
                            told = reason
                await self._next_look(waiter, reading)
        finally:
            self._waiting[entry.lesson_id].pop(waiter, None)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _next_look(self, waiter: _Waiter, reading: asyncio.Task[None]) -> None:
        ringing = asyncio.create_task(waiter.bell.wait())
        try:
            await asyncio.wait((ringing, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ringing.cancel()
        if reading.done():
            reading.result()  # raises SocketGone

    async def _take_seat(self, entry: Entry, socket: SeatSocket) -> None:
        row = await self._keeper.session(entry.lesson_id)
        if row is None:
            return
        spec = self.settings.room_of(row)
        await self._engine.open_room(spec)  # staff may come before the doors open
        person = Person(pubkey=entry.pubkey, device=entry.device, role=Role(entry.role.value))
        grant = await self._engine.grant(spec.room, person)
        seat = grant if isinstance(grant, Refused) else await self._seats.take_seat(grant.token)
        if isinstance(seat, Refused):
            await _say(socket, TurnedAway(seat.slug, seat.detail))
            await socket.close(_CLOSE_REFUSED, seat.slug)
            return
        await self._stand(row, {entry.pubkey}, ADMITTED)
        seat.send(Resume(self._returns.mint(seat.connection), self.settings.resume))
        try:
            reason = await run_seat(seat, socket)
        finally:
            self._returns.left(seat.connection.id, self._clock.monotonic())
        if reason in (LeaveReason.REMOVED, LeaveReason.LEFT, LeaveReason.ROOM_CLOSED):
            self._returns.forget(seat.connection.room, entry.pubkey)

    async def _decide(self, row: LiveSessionRow, entry: Entry) -> Admit | AwaitDoor | Refuse:
        devices = {(present.connection.pubkey, present.connection.device) for present in (await self._snapshot(row))}
        return await self._keeper.decide(row, entry, devices, int(self._clock.now()))

    async def _snapshot(self, row: LiveSessionRow) -> Sequence[Present]:
        assert row.conference_room_id is not None, "every adopted session has its room"
        snapshot = await self._engine.snapshot(RoomId(row.conference_room_id))
        return snapshot.present if isinstance(snapshot, Snapshot) else ()

    async def _present(self, row: LiveSessionRow) -> list[Guest]:
        return [
            Guest(
                pubkey=one.connection.pubkey,
                waiting=False,
                role=role_of(row, one.connection.pubkey),
                since=one.joined_at,
            )
            for one in await self._snapshot(row)
        ]

    async def _arrived(self, row: LiveSessionRow, proof: JoinProof, event: VerifiedEvent, now: int) -> None:
        before = await self._keeper.member(row.lesson_id, proof.pubkey)
        member = RoomMemberRow(
            id=before.id if before else None,
            lesson_id=row.lesson_id,
            pubkey=proof.pubkey,
            state=before.state if before else ARRIVED,
            role=role_of(row, proof.pubkey),
            proof_id=proof.event_id,
            proof_event=event.to_json().decode(),
            consent=proof.consent.given if proof.consent else None,
            device=proof.device,
            updated_at=now,
            assurance="signature",
        )
        await self._store.members.upsert([member], by="[lessonId+pubkey]")

    async def _stand(self, row: LiveSessionRow, pubkeys: Collection[Pubkey], state: str) -> None:
        now = int(self._clock.now())
        keys = [[row.lesson_id, pubkey] for pubkey in pubkeys]
        known = {
            each.pubkey: each for each in await self._store.members.where("[lessonId+pubkey]").any_of(keys).to_list()
        }
        rows = [
            msgspec.structs.replace(known[pubkey], state=state, updated_at=now)
            if pubkey in known
            else RoomMemberRow(
                lesson_id=row.lesson_id,
                pubkey=pubkey,
                state=state,
                role=role_of(row, pubkey),
                updated_at=now,
                assurance="instructor",
            )
            for pubkey in pubkeys
            if pubkey not in known or known[pubkey].state != state
        ]
        await self._store.members.upsert(rows, by="[lessonId+pubkey]")

    def _wake(self, lessons: Collection[str]) -> None:
        for lesson_id in lessons:
            for waiter in self._waiting.get(lesson_id, ()):
                waiter.bell.set()


class _Waiter:
    def __init__(self, entry: Entry, since: int) -> None:
        self.entry = entry
        self.since = since
        self.bell = asyncio.Event()


async def _read_until_gone(socket: SeatSocket) -> None:
    while True:  # beats of those who wait say nothing we do not know
        await socket.receive()


async def _say(socket: SeatSocket, message: Waiting | TurnedAway) -> None:
    await socket.send(msgspec.json.encode(message).decode())


def _when(refusal: Refuse) -> str:
    return f"Come back at {refusal.opens_at} (Unix time)." if refusal.opens_at is not None else ""
