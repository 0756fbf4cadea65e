"""The secrets of rooms with end-to-end encryption: passed on between browsers as cipher text (docs/encryption.md).

One page gives them out: the instructor's that has been in the room for longest. The daemon tells it who is there, and
carries what it encrypted to each of them; the daemon has no key to read it with.
"""

from __future__ import annotations

import msgspec
import structlog

from podium_daemon.conference.events import Role
from podium_daemon.conference.seat_messages import GivenKey, KeyHolders, PassedKey
from podium_daemon.conference.seats import Seat, Signalling
from podium_protocol.events import Pubkey

_log = structlog.get_logger(__name__)


class _Room(msgspec.Struct):
    seats: dict[str, Seat] = {}  # by connection, in the order of coming
    epoch: int = -1

    @property
    def giver(self) -> Seat | None:
        return next((seat for seat in self.seats.values() if seat.connection.role is Role.INSTRUCTOR), None)

    @property
    def holders(self) -> tuple[str, ...]:
        """Everybody but the page that gives; the instructor too, if another device of theirs is there."""
        giver = self.giver
        return tuple(dict.fromkeys(seat.connection.pubkey for seat in self.seats.values() if seat is not giver))


class RoomKeys:
    """Who is in the rooms that are encrypted, and the highest epoch of each."""

    def __init__(self, seats: Signalling) -> None:
        self._seats = seats
        self._rooms: dict[str, _Room] = {}

    def sit(self, lesson_id: str, seat: Seat) -> None:
        """Somebody takes a seat: the page that gives out the secret hears of it."""
        room = self._rooms.setdefault(lesson_id, _Room())
        room.seats[seat.connection.id] = seat
        self._tell(room)

    def stand(self, lesson_id: str, seat: Seat) -> None:
        """Somebody's seat is over: those who stay are to have a new secret."""
        room = self._rooms.get(lesson_id)
        if room is not None and room.seats.pop(seat.connection.id, None) is not None:
            self._tell(room)

    def lessons(self) -> list[str]:
        """The sessions whose keys are known."""
        return list(self._rooms)

    def forget(self, lesson_id: str) -> None:
        """A session is over."""
        self._rooms.pop(lesson_id, None)

    async def give(self, lesson_id: str, seat: Seat, key: GivenKey) -> None:
        """Pass a key on, if it comes from the page that gives them, and goes to somebody who is there."""
        room = self._rooms.get(lesson_id)
        if room is None or room.giver is not seat or key.to not in room.holders:
            _log.info("a key was not passed on", action="room.key_dropped", session=lesson_id)
            return
        room.epoch = max(room.epoch, key.epoch)
        message = PassedKey(sender=seat.connection.pubkey, ciphertext=key.ciphertext)
        await self._seats.tell(seat.connection.room, message, Pubkey(key.to))

    def _tell(self, room: _Room) -> None:
        if (giver := room.giver) is not None:
            giver.send(KeyHolders(room.holders, room.epoch))
