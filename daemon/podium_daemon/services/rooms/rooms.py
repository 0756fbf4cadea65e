"""The rooms' door: one signed proof joins, the waiting room holds, the instructor admits, the engine seats.

The policy is here and the same for every engine; the engine is asked for a seat only when a person is let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engine import (
    ConferenceEngine,
    EngineUnavailable,
    Person,
    Present,
    RoomId,
    RoomRole,
    RoomSpec,
    Snapshot,
)
from podium_daemon.conference.events import LeaveReason
from podium_daemon.conference.seats import MeteredSocket, Seat, SeatSocket, Signalling, SocketGone
from podium_daemon.conference.signaling import CLOSE_CODES, Notice, Resume
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.keyed_locks import KeyedLocks
from podium_daemon.runtime.outcomes import Rejection, Slug, slug_of
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import uncancelled, wait_for_first
from podium_daemon.services.rooms.chat import RoomChat
from podium_daemon.services.rooms.door import (
    ADMITTED,
    REFUSE_TEXTS,
    REMOVED,
    WAIT_TEXTS,
    DoorKeeper,
    Joining,
    role_of,
)
from podium_daemon.services.rooms.door_names import DoorNames, OwnNames, no_names
from podium_daemon.services.rooms.entry import (
    EntryRefused,
    Guest,
    Hello,
    JoinChallenge,
    RemovedPerson,
    Return,
    RoomTicket,
    TicketHolder,
    Waiter,
    Waiting,
    WaitingRoom,
    read_greeting,
)
from podium_daemon.services.rooms.hands import Hand, RoomHands
from podium_daemon.services.rooms.people import RoomPeople
from podium_daemon.services.rooms.polls import RoomPolls
from podium_daemon.services.rooms.resume_tokens import ResumeTokens
from podium_daemon.services.rooms.room_messages import RoomKeys, RoomSpotlight, RoomTalk, SpotlightState
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.admission import Admit, AwaitDoor, DoorPolicy, DoorRole, Refuse, RefuseReason
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.recording import policy_for
from podium_storage.changes import Batch
from podium_storage.errors import StoreDamaged, StoreError
from podium_storage.guests import author_of
from podium_storage.store import Store
from podium_storage.table.models import IntervalRow, LiveSessionRow, RoomMemberRow, RsvpRow

_log = structlog.get_logger(__name__)
_CLOSE_REFUSED: Final = 4010
_CLOSE_GREETING: Final = 4011
_CLOSE_REPLACED: Final = CLOSE_CODES[LeaveReason.REPLACED]
_NO_RETURN: Final = (LeaveReason.LEFT, LeaveReason.REMOVED, LeaveReason.ROOM_CLOSED, LeaveReason.REPLACED)
_OVER: Final = (SessionState.ENDED, SessionState.CANCELLED)


class RoomSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`resume` and `greeting` (time for a socket's first message) in seconds; the texts are shown before a join."""

    door: DoorPolicy
    resume: int
    notice: str
    recording_policy: str
    room_of: Callable[[LiveSessionRow], RoomSpec]
    greeting: float = 10.0


class Rooms:
    """Who may be in which room. People's rows are in the store; the sockets that wait now are in memory."""

    name = "rooms"

    def __init__(
        self,
        settings: RoomSettings,
        *,
        store: Store,
        engine: ConferenceEngine,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        recording: Callable[[str], bool] = lambda _session_address: False,
        own_names: OwnNames = no_names,
        shows_names: bool = False,
    ) -> None:
        """`recording`: whether a session is being recorded now; newcomers must then agree before they enter.

        `own_names`: the names out of people's profiles; `shows_names`: the engine has a server that shows names.
        """
        assert isinstance(engine, Signalling), "engines whose door is not our socket come with their own hand-over"
        self._settings = settings
        self._store = store
        self._engine = engine
        self._seats: Signalling = engine
        self._clock = clock
        self._keeper = DoorKeeper(store, settings.door, recording)
        self._hands = RoomHands(engine, clock)
        self._spotlight = RoomSpotlight(store, engine)
        self._keys = RoomKeys(engine)
        self.chat = RoomChat(store, engine, clock)
        self.polls = RoomPolls(store, engine, clock)
        self.people = RoomPeople(engine, self._hands)
        self._talk = RoomTalk(
            self._hands, self._keys, self._spotlight, people=self.people, chat=self.chat, polls=self.polls
        )
        self._names = DoorNames(store, own_names)
        self._joining = Joining(store, clock=clock, random_bytes=random_bytes, names=self._names)
        self._returns = ResumeTokens(store, clock=clock, random_bytes=random_bytes, seconds=settings.resume)
        self._shows_names = shows_names
        self._waiting = WaitingRoom()
        self._doors = KeyedLocks()

    @property
    def settings(self) -> RoomSettings:
        """The settings in force; a reload replaces them."""
        return self._settings

    @settings.setter
    def settings(self, settings: RoomSettings) -> None:
        self._settings = settings
        self._keeper.policy = settings.door
        self._returns.seconds = settings.resume
        self._waiting.wake(self._waiting.addresses())

    async def run(self, stop: Stop) -> None:
        """Decide again about people who wait whenever a session, an RSVP or a room changes, until the stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(uncancelled(self._returns.run(stop), self.name), name="ways back into rooms")
            group.create_task(uncancelled(self.polls.run(stop), self.name), name="results of polls")
            group.create_task(uncancelled(self.people.run(stop), self.name), name="people of rooms")
            await self._look_again(stop)

    async def _look_again(self, stop: Stop) -> None:
        tables = (self._store.sessions.name, self._store.rsvps.name, self._store.intervals.name)
        with self._store.database.changes.subscribe(*tables) as changes:
            while not stop.is_set():
                await wait_for_first(changes.wait(), stop.wait())
                batch = changes.take_changes() or Batch(())
                self._tell_the_door(batch)
                await self._end_seats_by_link(batch)
                await self._forget_what_is_over(batch)
                self._returns.expire()

    def _tell_the_door(self, batch: Batch) -> None:
        if not self._waiting:
            return
        if batch.resync:
            self._waiting.wake(self._waiting.addresses())
            return
        answered: dict[str, set[str]] = {}
        for change in batch.changes:
            row = change.after or change.before
            if isinstance(row, LiveSessionRow):
                self._waiting.wake([row.session_address])
            elif isinstance(row, RsvpRow | IntervalRow):
                answered.setdefault(row.session_address, set()).add(row.pubkey)
        for session_address, people in answered.items():
            self._waiting.wake_some(session_address, people)

    async def _end_seats_by_link(self, batch: Batch) -> None:
        """End the seats of new leaders who may have come by a link, which never leads: their key has to come."""
        for change in batch.changes:
            before, row = change.before, change.after
            if not isinstance(before, LiveSessionRow) or not isinstance(row, LiveSessionRow):
                continue
            for pubkey in map(Pubkey, set(row.co_hosts) - set(before.co_hosts)):
                if row.conference_room_id and await self._joining.came_by_link(row, pubkey):
                    room = RoomId(row.conference_room_id)
                    self._returns.forget(room, pubkey)
                    await self._engine.remove(room, pubkey, "You lead this session now: sign in with your key.")

    async def _forget_what_is_over(self, batch: Batch) -> None:
        """Drop the state of rooms whose sessions have ended."""
        changed = {
            row.session_address
            for change in batch.changes
            if isinstance(row := change.after or change.before, LiveSessionRow)
        }
        known = [
            session_address for session_address in self._keys.addresses() if batch.resync or session_address in changed
        ]
        if not known:
            return
        try:
            rows = await self._store.sessions.where("lessonId").any_of(known).to_list()
        except StoreDamaged:
            raise
        except StoreError:
            return  # with the next change
        for session_address in set(known) - {row.session_address for row in rows if row.state not in _OVER}:
            self._keys.forget(session_address)

    # -- joining

    async def challenge(self, row: LiveSessionRow, url: str, *, has_key: bool = True) -> JoinChallenge:
        """Make a nonce with all that the proof must answer; valid for 60 s and one join."""
        given = self.settings
        policy = policy_for(row, given.recording_policy)
        return self._joining.challenge(row, url, recording_policy=policy, notice=given.notice, has_key=has_key)

    async def join(
        self, row: LiveSessionRow, proof: VerifiedEvent, url: str, body: bytes | None
    ) -> RoomTicket | Rejection:
        """Check a signed join proof; return a ticket for the room socket, or why there is none."""
        checked = await self._joining.check(row, proof, url, body)
        if isinstance(checked, Rejection):
            return checked
        person = await author_of(self._store, row, proof.pubkey)
        entry = TicketHolder(
            session_address=row.session_address,
            pubkey=person,
            device=checked.device,
            role=role_of(row, person),
            fingerprint=checked.fingerprint,
        )
        async with self._doors.hold(row.session_address):
            decision = await self._decide(row, entry)
            if isinstance(decision, Refuse):
                return Rejection(slug_of(decision.reason), REFUSE_TEXTS[decision.reason], _when(decision))
            recorded = await self._joining.record_join(row, checked, proof)
        if recorded is not None:
            return recorded
        return self._joining.ticket(entry, decision if isinstance(decision, AwaitDoor) else None)

    async def serve(self, session_address: str, socket: SeatSocket) -> None:
        """Serve one room socket from its first message to its end: the door, the waiting room, the seat."""
        socket = MeteredSocket(socket, self._clock)
        entry = await self._greeted(session_address, socket)
        if entry is None:
            await socket.close(_CLOSE_GREETING, "send a fresh ticket first")
            return
        try:
            seat = await self._seated(entry, socket)
        except SocketGone:
            return
        if seat is not None:
            await self._sit(session_address, seat, socket, entry.fingerprint)

    async def notify(self, session_address: str, text: str) -> None:
        """Show a line of text to all people in the room."""
        row = await self._keeper.session(session_address)
        if row is not None and row.conference_room_id is not None:
            await self._seats.send_message(RoomId(row.conference_room_id), Notice(text))

    # -- what the instructor does at the door

    async def guests(self, row: LiveSessionRow) -> list[Guest]:
        """The people in the room, then those who wait."""
        present = await self._present(row)
        waiting = [
            Guest(pubkey=one.entry.pubkey, waiting=True, role=one.entry.role, since=one.since, waiting_for=one.reason)
            for one in self._waiting.waiting_for(row.session_address)
        ]
        return [*present, *waiting]

    async def removed(self, row: LiveSessionRow) -> list[RemovedPerson]:
        """Who was removed from this session and not let back in since."""
        members = self._store.members.where("lessonId").equals(row.session_address).and_("state").equals(REMOVED)
        return [
            RemovedPerson(pubkey=Pubkey(one.pubkey), role=role_of(row, Pubkey(one.pubkey)), since=one.updated_at)
            for one in await members.to_list()
        ]

    async def admit(self, row: LiveSessionRow, pubkeys: Collection[Pubkey] | None, by: Pubkey) -> int:
        """Let these people in, or all who wait (None), for the session, on every device; return their number."""
        chosen = (
            {one.entry.pubkey for one in self._waiting.waiting_for(row.session_address)}
            if pubkeys is None
            else set(pubkeys)
        )
        async with self._doors.hold(row.session_address):
            await self._stand(row, chosen, ADMITTED)
        _log.info("people admitted", action="room.admitted", session=row.session_address, by=by, people=len(chosen))
        self._waiting.wake([row.session_address])
        return len(chosen)

    async def remove(self, row: LiveSessionRow, pubkey: Pubkey, reason: str, by: Pubkey) -> int | Rejection:
        """End a person's connections and revoke their admission for this session."""
        if role_of(row, pubkey) is not DoorRole.PARTICIPANT:
            return Rejection(
                Slug.NOT_ALLOWED, "instructor and co-hosts are not removed", "Edit the session's co-hosts."
            )
        assert row.conference_room_id is not None, "every adopted session has its room"
        room = RoomId(row.conference_room_id)
        # if the person is just being seated, that ends first: else it would let them in again
        async with self._doors.hold(row.session_address):
            await self._stand(row, {pubkey}, REMOVED)
            self._returns.forget(room, pubkey)
            removed = await self._engine.remove(room, pubkey, reason or "The instructor removed you from this session.")
        _log.info("a person was removed", action="room.removed", session=row.session_address, by=by)
        self._waiting.wake([row.session_address])
        return 0 if isinstance(removed, Rejection) else len(removed.connections)

    async def lock(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> None:
        """Lock the room, so that no person enters it but its leaders and who is in it; or let them in again."""
        async with self._doors.hold(row.session_address):  # a person who is being seated is in, or is not
            present = {one.connection.pubkey for one in await self._snapshot(row)}
            await self._keeper.lock(row.session_address, present if wanted else None)
        _log.info("the room's lock was set", action="room.lock", session=row.session_address, by=by, wanted=wanted)
        self._waiting.wake([row.session_address])

    def hands(self, row: LiveSessionRow) -> list[Hand]:
        """The raised hands, the first first."""
        return self._hands.hands_in(row.session_address)

    async def lower_hands(self, row: LiveSessionRow, pubkeys: Collection[Pubkey] | None, by: Pubkey) -> int:
        """Lower these hands, or all of them (None); return how many were raised."""
        assert row.conference_room_id is not None, "every adopted session has its room"
        raised = [hand.pubkey for hand in self.hands(row)]
        lowered = await self._hands.lower(row.session_address, RoomId(row.conference_room_id), pubkeys)
        self.people.note(row.session_address, *raised)
        _log.info("hands were lowered", action="room.hands", session=row.session_address, by=by, people=lowered)
        return lowered

    @property
    def admits_confirmed(self) -> bool:
        """Whether people who confirmed skip the waiting room."""
        return self.settings.door.auto_admit_confirmed

    async def spotlight(self, row: LiveSessionRow) -> SpotlightState:
        """The person who is shown large to all."""
        return await self._spotlight.spotlight_of(row.session_address)

    async def put_spotlight(self, row: LiveSessionRow, pubkey: Pubkey | None, by: Pubkey) -> Rejection | None:
        """Show one person large to all, or no person (None)."""
        refusal = await self._spotlight.set_spotlight(row, pubkey)
        if refusal is None:
            _log.info("the spotlight was set", action="room.spotlight", session=row.session_address, by=by)
        return refusal

    # -- inside

    async def _greeted(self, session_address: str, socket: SeatSocket) -> TicketHolder | None:
        try:
            async with asyncio.timeout(self.settings.greeting):
                greeting = read_greeting(await socket.receive())
        except (TimeoutError, SocketGone):
            return None
        match greeting:
            case Hello(token):
                entry = self._joining.redeem(token)
            case Return(secret):
                entry = await self._returning(session_address, secret)
            case None:
                return None
        return entry if entry is not None and entry.session_address == session_address else None

    async def _returning(self, session_address: str, secret: str) -> TicketHolder | None:
        kept = await self._returns.redeem(secret)
        row = await self._keeper.session(session_address)
        if kept is None or row is None or kept.connection.room != row.conference_room_id:
            return None
        connection = kept.connection
        role = role_of(row, connection.pubkey)
        if role.is_staff and await self._joining.came_by_link(row, connection.pubkey):
            return None  # they were named as a leader since, and the seat may be their link's: a key has to prove it
        return TicketHolder(
            session_address=session_address,
            pubkey=connection.pubkey,
            device=connection.device,
            role=role,
            returning=True,
            fingerprint=kept.fingerprint,
        )

    async def _seated(self, entry: TicketHolder, socket: SeatSocket) -> Seat | None:
        """Hold the socket until its person has a seat, or is turned away (None)."""
        waiter = Waiter(entry, int(self._clock.now()))
        reading = asyncio.create_task(_read_until_gone(socket))
        self._waiting.enter(waiter)
        try:
            while True:
                waiter.bell.clear()
                match await self._asked(waiter):
                    case EntryRefused() as refusal:
                        await _say(socket, refusal)
                        await socket.close(_CLOSE_REPLACED if waiter.replaced else _CLOSE_REFUSED, refusal.reason)
                        return None
                    case AwaitDoor(reason):
                        if reason != waiter.reason:
                            await _say(socket, Waiting(reason, WAIT_TEXTS[reason]))
                            waiter.reason = reason
                    case seat:
                        return seat
                await waiter.next_look(reading)
        finally:
            self._waiting.leave(waiter)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _asked(self, waiter: Waiter) -> Seat | AwaitDoor | EntryRefused:
        """Ask the door for one person at a time: two who ask for the last seat must not both get it."""
        async with self._doors.hold(waiter.entry.session_address):
            if waiter.replaced:
                return EntryRefused("replaced", "This device joined again in another page.")
            row = await self._keeper.session(waiter.entry.session_address)
            decision = Refuse(RefuseReason.ENDED) if row is None else await self._decide(row, waiter.entry, waiter)
            match decision:
                case Refuse(reason):
                    return EntryRefused(reason, REFUSE_TEXTS[reason])
                case Admit() if row is not None:
                    return await self._take_seat(row, waiter.entry)
                case AwaitDoor():
                    return decision
        raise AssertionError("every decision was looked at")

    async def _take_seat(self, row: LiveSessionRow, entry: TicketHolder) -> Seat | EntryRefused:
        spec = self.settings.room_of(row)
        try:
            await self._engine.open_room(spec)  # staff may come before the doors open
        except EngineUnavailable:
            return EntryRefused("engine", "The room's server does not answer. Join again in a moment.")
        person = Person(
            pubkey=entry.pubkey,
            device=entry.device,
            role=RoomRole(entry.role.value),
            fingerprint=entry.fingerprint,
            name=await self._name_of(row, entry.pubkey),
        )
        seat = await self._seats.take_seat(spec.room, person)
        if isinstance(seat, Rejection):
            return EntryRefused(seat.slug, seat.detail)
        await self._stand(row, {entry.pubkey}, ADMITTED)
        now = await self._keeper.session(entry.session_address)
        if now is None or now.state in _OVER:
            # the session ended while they came in, and its room was closed before we opened it again
            await self._engine.close_room(spec.room)
        return seat

    async def _name_of(self, row: LiveSessionRow, pubkey: Pubkey) -> str:
        """The name in this room: of two of the same name, who comes later gets the end of the key beside it."""
        if not self._shows_names:
            return ""
        return (await self._names.shown(row, {*self.people.present(row.session_address), pubkey}))[pubkey]

    async def _sit(self, session_address: str, seat: Seat, socket: SeatSocket, fingerprint: str | None) -> None:
        connection = seat.connection
        seat.send(Resume(self._returns.mint(connection, fingerprint), self.settings.resume))
        row = await self._keeper.session(session_address)
        encrypted = row is not None and row.e2ee_required
        reason: LeaveReason | None = None
        watched = _WatchedSocket(socket)
        try:
            reason = await self._talk.run_seat(session_address, seat, watched, encrypted=encrypted)
        finally:
            # a page that is loaded again closes its socket, and has not said that its person leaves
            is_reload = reason is LeaveReason.LEFT and watched.was_closed
            self._returns.connection_ended(connection.id, for_good=reason in _NO_RETURN and not is_reload)
            self._waiting.wake_some(session_address)

    async def _decide(
        self, row: LiveSessionRow, entry: TicketHolder, waiter: Waiter | None = None
    ) -> Admit | AwaitDoor | Refuse:
        devices = {(present.connection.pubkey, present.connection.device) for present in (await self._snapshot(row))}
        inside = entry.pubkey in {pubkey for pubkey, _ in devices}
        devices |= self._waiting.devices_before(entry, waiter)
        return await self._keeper.decide(row, entry, devices, int(self._clock.now()), inside=inside)

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

    async def _stand(self, row: LiveSessionRow, pubkeys: Collection[Pubkey], state: str) -> None:
        now = int(self._clock.now())
        keys = [[row.session_address, pubkey] for pubkey in pubkeys]
        known = {
            each.pubkey: each for each in await self._store.members.where("[lessonId+pubkey]").any_of(keys).to_list()
        }
        rows = [
            msgspec.structs.replace(known[pubkey], state=state, updated_at=now)
            if pubkey in known
            else RoomMemberRow(
                session_address=row.session_address,
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


class _WatchedSocket:
    """A seat's socket, which knows afterwards whether the browser closed it."""

    def __init__(self, socket: SeatSocket) -> None:
        self._socket = socket
        self.was_closed = False

    async def receive(self) -> str | bytes:
        """See `SeatSocket`."""
        try:
            return await self._socket.receive()
        except SocketGone as gone:
            self.was_closed = gone.clean
            raise

    async def send(self, frame: str) -> None:
        """See `SeatSocket`."""
        await self._socket.send(frame)

    async def close(self, code: int, reason: str) -> None:
        """See `SeatSocket`."""
        await self._socket.close(code, reason)


async def _read_until_gone(socket: SeatSocket) -> None:
    while True:  # heartbeats of people who wait tell nothing new
        await socket.receive()


async def _say(socket: SeatSocket, message: Waiting | EntryRefused) -> None:
    await socket.send(msgspec.json.encode(message).decode())


def _when(refusal: Refuse) -> str:
    return f"Come back at {refusal.opens_at} (Unix time)." if refusal.opens_at is not None else ""
