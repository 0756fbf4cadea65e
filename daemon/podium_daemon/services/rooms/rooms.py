"""The rooms: one signed proof joins, the waiting room holds, the instructor admits, the engine seats.

The policy is the same for every engine; the engine is asked for a seat only when a person is let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from podium_daemon.conference.engine import ConferenceEngine, RoomId
from podium_daemon.conference.seats import SeatSocket, Signalling
from podium_daemon.conference.signaling import Notice
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, slug_of
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import uncancelled, wait_for_first
from podium_daemon.services.rooms.chat import RoomChat
from podium_daemon.services.rooms.door import REFUSE_TEXTS, DoorKeeper, RoomDoor, role_of
from podium_daemon.services.rooms.door_names import DoorNames, OwnNames, no_names
from podium_daemon.services.rooms.entry import JoinChallenge, RoomTicket, TicketHolder
from podium_daemon.services.rooms.hands import Hand, RoomHands
from podium_daemon.services.rooms.joining import Joining
from podium_daemon.services.rooms.people import RoomPeople
from podium_daemon.services.rooms.polls import RoomPolls
from podium_daemon.services.rooms.resume_tokens import ResumeTokens
from podium_daemon.services.rooms.room_messages import RoomKeys, RoomSpotlight, RoomTalk, SpotlightState
from podium_daemon.services.rooms.seating import RoomSettings, Seating
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.admission import AwaitDoor, Refuse
from podium_protocol.live.languages import language_of
from podium_protocol.live.lifecycle import OVER
from podium_protocol.live.recording import policies_for, policy_in
from podium_storage.changes import Batch
from podium_storage.errors import StoreDamaged, StoreError
from podium_storage.guests import author_of
from podium_storage.store import Store
from podium_storage.table.models import IntervalRow, LiveSessionRow, RsvpRow

_log = structlog.get_logger(__name__)


class Rooms:
    """The rooms of all sessions: who joins, what leaders do, what changes outside mean for who waits."""

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
        self._store = store
        self._engine = engine
        self._keeper = DoorKeeper(store, settings.door, recording)
        self._returns = ResumeTokens(store, clock=clock, random_bytes=random_bytes, seconds=settings.resume)
        self.door = RoomDoor(self._keeper, store=store, engine=engine, clock=clock, returns=self._returns)
        """Who is in, who waits, and what leaders do at the door."""
        self._names = DoorNames(store, own_names)
        self._shows_names = shows_names
        self._joining = Joining(store, clock=clock, random_bytes=random_bytes, names=self._names)
        assert isinstance(engine, Signalling), "engines whose door is not our socket come with their own hand-over"
        self._seats: Signalling = engine
        self._hands = RoomHands(engine, clock)
        self._spotlight = RoomSpotlight(store, engine)
        self._keys = RoomKeys(engine)
        self.chat = RoomChat(store, engine, clock)
        self.polls = RoomPolls(store, engine, clock)
        self.people = RoomPeople(engine, self._hands)
        talk = RoomTalk(self._hands, self._keys, self._spotlight, people=self.people, chat=self.chat, polls=self.polls)
        self._seating = Seating(
            settings,
            self.door,
            engine=engine,
            clock=clock,
            joining=self._joining,
            returns=self._returns,
            talk=talk,
            name_of=self._name_of,
        )

    @property
    def settings(self) -> RoomSettings:
        """The settings in force; a reload replaces them."""
        return self._seating.settings

    @settings.setter
    def settings(self, settings: RoomSettings) -> None:
        self._seating.settings = settings
        self._keeper.policy = settings.door
        self._returns.seconds = settings.resume
        self.door.waiting.wake(self.door.waiting.addresses())

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
        if not self.door.waiting:
            return
        if batch.resync:
            self.door.waiting.wake(self.door.waiting.addresses())
            return
        answered: dict[str, set[str]] = {}
        for change in batch.changes:
            row = change.after or change.before
            if isinstance(row, LiveSessionRow):
                self.door.waiting.wake([row.session_address])
            elif isinstance(row, RsvpRow | IntervalRow):
                answered.setdefault(row.session_address, set()).add(row.pubkey)
        for session_address, people in answered.items():
            self.door.waiting.wake_some(session_address, people)

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
        for session_address in set(known) - {row.session_address for row in rows if row.state not in OVER}:
            self._keys.forget(session_address)

    # -- joining

    async def challenge(
        self, row: LiveSessionRow, url: str, *, has_key: bool = True, language: str = "en"
    ) -> JoinChallenge:
        """Make a nonce with all that the proof must answer; valid for 60 s and one join.

        `language`: the tag of the one in which the person reads what they agree to.
        """
        given = self.settings
        return self._joining.challenge(
            row,
            url,
            recording_policy=policy_in(policies_for(row, given.recording_policies), language),
            notice=given.notice,
            has_key=has_key,
            language=language_of(language),
        )

    async def ask_name(self, row: LiveSessionRow, person: Pubkey | None, name: str) -> Rejection | None:
        """Why a person could not have this name in a session, or None; asked before they sign a join with it."""
        answer = await self._names.ask(row, person, name)
        return answer if isinstance(answer, Rejection) else None

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
        async with self.door.locks.hold(row.session_address):
            decision = await self.door.decide(row, entry)
            if isinstance(decision, Refuse):
                return _refusal(decision)
            recorded = await self._joining.record_join(row, checked, proof)
        if recorded is not None:
            return recorded
        return self._joining.ticket(entry, decision if isinstance(decision, AwaitDoor) else None)

    async def serve(self, session_address: str, socket: SeatSocket) -> None:
        """Serve one room socket from its first message to its end: the door, the waiting room, the seat."""
        await self._seating.serve(session_address, socket)

    async def notify(self, session_address: str, text: str) -> None:
        """Show a line of text to all people in the room."""
        row = await self._keeper.session(session_address)
        if row is not None and row.conference_room_id is not None:
            await self._seats.send_message(RoomId(row.conference_room_id), Notice(text))

    # -- what leaders do in the room; at its door: `door`

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

    async def _name_of(self, row: LiveSessionRow, pubkey: Pubkey) -> str:
        """The name in this room: of two of the same name, who comes later gets the end of the key beside it."""
        if not self._shows_names:
            return ""
        return (await self._names.shown(row, {*self.people.present(row.session_address), pubkey}))[pubkey]


def _refusal(refusal: Refuse) -> Rejection:
    slug, detail, opens_at = slug_of(refusal.reason), REFUSE_TEXTS[refusal.reason], refusal.opens_at
    if opens_at is None:
        return Rejection(slug, detail)
    return Rejection(slug, detail, f"Come back at {opens_at} (Unix time).", {"opensAt": opens_at})
