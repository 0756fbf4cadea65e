"""The people in a room as all in it see them: who they are, who leads, and whose hand is up, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from podium_daemon.conference.events import RoomId
from podium_daemon.conference.seats import Seat, Signalling
from podium_daemon.conference.signaling import PeopleHere, PersonHere
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_daemon.services.rooms.hands import RoomHands
from podium_protocol.events import Pubkey

MAX_SHOWN: Final = 300
"""Of one room: each change goes to all, so what is told is quadratic in them. Pages of larger rooms have the count."""

TELL_SECONDS: Final = 1.0  # between two messages to a room: a class comes within a minute
_CHUNK: Final = 100  # people in a message to a newcomer


class _Room(msgspec.Struct):
    id: RoomId
    seats: dict[Pubkey, list[Seat]] = {}  # in the order of coming
    changed: set[Pubkey] = set()


class RoomPeople:
    """The people in all rooms, told to each other in batches."""

    def __init__(self, seats: Signalling, hands: RoomHands) -> None:
        self._seats = seats
        self._hands = hands
        self._rooms: dict[str, _Room] = {}
        self._bell = asyncio.Event()

    async def run(self, stop: Stop) -> None:
        """Tell rooms who came, left, or raised a hand, once a second at most, until the stop."""
        while not stop.is_set():
            await wait_for_first(self._bell.wait(), stop.wait())
            self._bell.clear()
            await self.tell()
            await stop.wait_for(TELL_SECONDS)

    async def tell(self) -> None:
        """Tell rooms what changed since the last time."""
        for session_address, room in list(self._rooms.items()):
            changed, room.changed = room.changed, set()
            shown = set(list(room.seats)[:MAX_SHOWN])
            people = [one for one in self._people(session_address) if one.pubkey in changed & shown]
            gone = tuple(sorted(changed - set(room.seats)))
            if people or gone:
                await self._seats.send_message(room.id, PeopleHere(tuple(people), gone))

    def add_seat(self, session_address: str, seat: Seat) -> None:
        """Note a new seat, and tell it who is there."""
        room = self._rooms.setdefault(session_address, _Room(seat.connection.room))
        room.seats.setdefault(seat.connection.pubkey, []).append(seat)
        for number, people in enumerate(_chunks(self._people(session_address)[:MAX_SHOWN])):
            seat.send(PeopleHere(people, is_all=number == 0))
        self.note(session_address, seat.connection.pubkey)

    def remove_seat(self, session_address: str, seat: Seat) -> None:
        """Note the end of a seat."""
        room, pubkey = self._rooms.get(session_address), seat.connection.pubkey
        if room is None or seat not in room.seats.get(pubkey, ()):
            return
        room.seats[pubkey].remove(seat)
        if not room.seats[pubkey]:
            del room.seats[pubkey]
        self.note(session_address, pubkey)
        if not room.seats:
            del self._rooms[session_address]

    def present(self, session_address: str) -> list[Pubkey]:
        """Who is in the room, in the order of coming."""
        room = self._rooms.get(session_address)
        return [] if room is None else list(room.seats)

    def note(self, session_address: str, *pubkeys: Pubkey) -> None:
        """Note that something about these people changed."""
        room = self._rooms.get(session_address)
        if room is not None:
            room.changed.update(pubkeys)
            self._bell.set()

    def _people(self, session_address: str) -> list[PersonHere]:
        hands = {hand.pubkey: hand.number for hand in self._hands.hands_in(session_address)}
        return [
            PersonHere(pubkey, seats[0].connection.role.value, hands.get(pubkey, 0))
            for pubkey, seats in self._rooms[session_address].seats.items()
        ]


def _chunks(people: Sequence[PersonHere]) -> Iterator[tuple[PersonHere, ...]]:
    for start in range(0, len(people), _CHUNK):
        yield tuple(people[start : start + _CHUNK])
