"""The secrets of rooms with end-to-end encryption: forwarded between browsers as cipher text (docs/encryption.md).

One page gives them out: that of the instructor's device that has been in the room for longest. The daemon tells it who
is there, and forwards what it encrypted to each of them; the daemon has no key to decrypt it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engine import ConferenceEngine, RoomId, Support
from podium_daemon.conference.events import LeaveReason, RoomRole
from podium_daemon.conference.seats import Seat, SeatSocket, Signalling, run_seat
from podium_daemon.conference.signaling import (
    ChatMessage,
    DaemonMessage,
    GivenKey,
    HandMessage,
    KeyHolders,
    PassedKey,
    ReactionMessage,
    Spotlight,
    VoteMessage,
    decode_for_daemon,
)
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.services.rooms.chat import RoomChat
from podium_daemon.services.rooms.hands import RoomHands
from podium_daemon.services.rooms.people import RoomPeople
from podium_daemon.services.rooms.polls import RoomPolls
from podium_protocol.events import Pubkey
from podium_storage.database import Transaction
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RoomControlsRow

_log = structlog.get_logger(__name__)


class _RoomState(msgspec.Struct):
    seats: dict[str, Seat] = {}  # by connection, in the order of coming
    epoch: int = -1

    @property
    def giver(self) -> Seat | None:
        return next((seat for seat in self.seats.values() if seat.connection.role is RoomRole.INSTRUCTOR), None)

    @property
    def holders(self) -> tuple[str, ...]:
        """All seats but the page that gives; the instructor too, if another device of theirs is there."""
        giver = self.giver
        return tuple(dict.fromkeys(seat.connection.pubkey for seat in self.seats.values() if seat is not giver))


class RoomKeys:
    """The people in the encrypted rooms, and the highest epoch of each room."""

    def __init__(self, seats: Signalling) -> None:
        self._seats = seats
        self._rooms: dict[str, _RoomState] = {}

    def add_seat(self, session_address: str, seat: Seat) -> None:
        """Note a new seat, and tell the page that gives out the secret."""
        room = self._rooms.setdefault(session_address, _RoomState())
        room.seats[seat.connection.id] = seat
        self._tell(room)

    def remove_seat(self, session_address: str, seat: Seat) -> None:
        """Note the end of a seat: the people who stay must get a new secret."""
        room = self._rooms.get(session_address)
        if room is not None and room.seats.pop(seat.connection.id, None) is not None:
            self._tell(room)

    def addresses(self) -> list[str]:
        """The sessions with an encrypted room."""
        return list(self._rooms)

    def forget(self, session_address: str) -> None:
        """Drop the state of a session that has ended."""
        self._rooms.pop(session_address, None)

    async def pass_key(self, session_address: str, seat: Seat, key: GivenKey) -> None:
        """Forward a key, if it comes from the page that gives them out, and its recipient is in the room."""
        room = self._rooms.get(session_address)
        if room is None or room.giver is not seat or key.to not in room.holders:
            _log.info("a key was not passed on", action="room.key_dropped", session=session_address)
            return
        room.epoch = max(room.epoch, key.epoch)
        message = PassedKey(sender=seat.connection.pubkey, ciphertext=key.ciphertext)
        await self._seats.send_message(seat.connection.room, message, Pubkey(key.to))

    def _tell(self, room: _RoomState) -> None:
        if (giver := room.giver) is not None:
            giver.send(KeyHolders(room.holders, room.epoch))


_ELSEWHERE = Rejection(
    Slug.NOT_SUPPORTED,
    "people are shown by the meeting itself, not by this service",
    "Pin the person in the meeting itself.",
)


class SpotlightState(msgspec.Struct, frozen=True):
    """Whether a spotlight works with this engine, and the person who is shown large."""

    support: Support
    pubkey: Pubkey | None


class RoomSpotlight:
    """Owns `spotlight` of the room controls."""

    def __init__(self, store: Store, engine: ConferenceEngine) -> None:
        assert isinstance(engine, Signalling), "engines whose door is not our socket show people elsewhere"
        self._store = store
        self._seats: Signalling = engine
        self._support = engine.capabilities.screen_share  # an engine that shows screens shows people too

    async def spotlight_of(self, session_address: str) -> SpotlightState:
        """The person who is shown large in a session's room."""
        row = await self._store.controls.where("lessonId").equals(session_address).first()
        return SpotlightState(
            self._support, Pubkey(row.spotlight) if row is not None and row.spotlight is not None else None
        )

    async def set_spotlight(self, row: LiveSessionRow, pubkey: Pubkey | None) -> Rejection | None:
        """Show one person large to all, or no person (None)."""
        if self._support is not Support.NATIVE:
            return _ELSEWHERE
        assert row.conference_room_id is not None, "every adopted session has its room"
        if await self._keep(row.session_address, pubkey):
            await self._seats.send_message(RoomId(row.conference_room_id), Spotlight(pubkey))
        return None

    async def add_seat(self, session_address: str, seat: Seat) -> None:
        """Tell a new seat who is shown large, if anyone is."""
        spotlight = await self.spotlight_of(session_address)
        if spotlight.pubkey is not None:
            seat.send(Spotlight(spotlight.pubkey))

    async def _keep(self, session_address: str, pubkey: Pubkey | None) -> bool:
        """Keep who is shown large; whether that is another person than before."""

        async def scope(tx: Transaction) -> bool:
            table = self._store.controls.within(tx)
            row = await table.where("lessonId").equals(session_address).first() or RoomControlsRow(
                session_address=session_address
            )
            if row.spotlight == pubkey:
                return False
            await table.upsert([msgspec.structs.replace(row, spotlight=pubkey)], by="lessonId")
            return True

        return await self._store.database.transact(scope)


_BEAT: Final = '{"type":"beat"}'


class _TakenOut:
    """A socket that filters out messages to the daemon: the engine gets a sign of life in their place."""

    def __init__(self, socket: SeatSocket, heard: Callable[[DaemonMessage], Awaitable[None]]) -> None:
        self._socket = socket
        self._heard = heard

    async def receive(self) -> str | bytes:
        """See `SeatSocket`."""
        frame = await self._socket.receive()
        message = decode_for_daemon(frame)
        if message is None:
            return frame
        await self._heard(message)
        return _BEAT

    async def send(self, frame: str) -> None:
        """See `SeatSocket`."""
        await self._socket.send(frame)

    async def close(self, code: int, reason: str) -> None:
        """See `SeatSocket`."""
        await self._socket.close(code, reason)


class RoomTalk:
    """Runs the seats of all rooms, on any engine."""

    def __init__(
        self,
        hands: RoomHands,
        keys: RoomKeys,
        spotlight: RoomSpotlight,
        *,
        people: RoomPeople,
        chat: RoomChat,
        polls: RoomPolls,
    ) -> None:
        self._hands = hands
        self._people = people
        self._chat = chat
        self._polls = polls
        self._keys = keys
        self._spotlight = spotlight

    async def run_seat(self, session_address: str, seat: Seat, socket: SeatSocket, *, encrypted: bool) -> LeaveReason:
        """`seats.run_seat`; `encrypted`: the session requires end-to-end encryption."""

        async def heard(message: DaemonMessage) -> None:
            match message:
                case HandMessage(up):
                    if await self._hands.set_hand(session_address, seat, up=up):
                        self._people.note(session_address, seat.connection.pubkey)
                case GivenKey():
                    await self._keys.pass_key(session_address, seat, message)
                case ChatMessage():
                    await self._chat.say(session_address, seat, message)
                case VoteMessage():
                    await self._polls.vote(session_address, seat, message)
                case ReactionMessage():
                    await self._chat.react(session_address, seat, message, encrypted=encrypted)

        self._hands.add_seat(session_address, seat)
        self._people.add_seat(session_address, seat)
        if encrypted:
            self._keys.add_seat(session_address, seat)
        try:
            await self._spotlight.add_seat(session_address, seat)
            await self._chat.add_seat(session_address, seat)
            await self._polls.add_seat(session_address, seat)
            return await run_seat(seat, _TakenOut(socket, heard))
        finally:
            self._hands.remove_seat(session_address, seat)
            self._people.remove_seat(session_address, seat)
            self._keys.remove_seat(session_address, seat)
