"""Raised hands, in the order in which they were raised: in memory only, since a hand does not outlive a connection."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Collection
from typing import Final

import msgspec

from podium_daemon.conference.events import RoomId
from podium_daemon.conference.seats import Seat, Signalling
from podium_daemon.conference.signaling import HandState
from podium_daemon.runtime.clock import Clock
from podium_protocol.events import Pubkey

CHANGES: Final = 10  # of one person in `WINDOW`: more is waving, not a signal
WINDOW: Final = 30.0  # seconds


class Hand(msgspec.Struct, frozen=True):
    """A participant's raised hand, since `since` (Unix seconds); `number` is the order of raising in all rooms."""

    pubkey: Pubkey
    since: int
    number: int = 0


class RaisedHands:
    """The raised hands in all rooms: one for each person, however many devices they have."""

    def __init__(self) -> None:
        self._raised: dict[str, dict[Pubkey, Hand]] = {}
        self._seats: dict[str, Counter[Pubkey]] = {}
        self._changes: dict[tuple[str, Pubkey], deque[float]] = {}
        self._numbers = itertools.count(1)

    def hands_in(self, session_address: str) -> list[Hand]:
        """The raised hands in one room, the first first."""
        return list(self._raised.get(session_address, {}).values())

    def is_raised(self, session_address: str, pubkey: Pubkey) -> bool:
        """Whether the person's hand is raised."""
        return pubkey in self._raised.get(session_address, {})

    def add_seat(self, session_address: str, pubkey: Pubkey) -> None:
        """Note that a person takes a seat, perhaps a further one."""
        self._seats.setdefault(session_address, Counter())[pubkey] += 1

    def remove_seat(self, session_address: str, pubkey: Pubkey) -> None:
        """Note that a person leaves a seat; with their last one the hand goes down."""
        seats = self._seats.get(session_address, Counter())
        seats[pubkey] -= 1
        if seats[pubkey] > 0:
            return
        del seats[pubkey]
        self._changes.pop((session_address, pubkey), None)
        self.lower(session_address, pubkey)
        if not seats:
            self._seats.pop(session_address, None)

    def set_hand(self, session_address: str, pubkey: Pubkey, *, up: bool, at: int, monotonic: float) -> bool:
        """Raise or lower the person's own hand; False if they did so too often: then nothing is changed.

        Repeating the same state is no change.
        """
        if up == self.is_raised(session_address, pubkey):
            return True
        changes = self._changes.setdefault((session_address, pubkey), deque())
        while changes and changes[0] <= monotonic - WINDOW:
            changes.popleft()
        if len(changes) >= CHANGES:
            return False
        changes.append(monotonic)
        if up:
            self._raised.setdefault(session_address, {})[pubkey] = Hand(pubkey, at, next(self._numbers))
        else:
            self.lower(session_address, pubkey)
        return True

    def lower(self, session_address: str, pubkey: Pubkey) -> bool:
        """Lower the person's hand; whether it was raised."""
        raised = self._raised.get(session_address, {})
        was_up = raised.pop(pubkey, None) is not None
        if was_up and not raised:
            del self._raised[session_address]
        return was_up


class RoomHands:
    """Raised hands, as messages over the rooms' sockets, with any engine."""

    def __init__(self, seats: Signalling, clock: Clock) -> None:
        self._seats = seats
        self._clock = clock
        self._hands = RaisedHands()

    def hands_in(self, session_address: str) -> list[Hand]:
        """The raised hands in one room, the first first."""
        return self._hands.hands_in(session_address)

    def add_seat(self, session_address: str, seat: Seat) -> None:
        """Note that a person takes a seat."""
        self._hands.add_seat(session_address, seat.connection.pubkey)

    def remove_seat(self, session_address: str, seat: Seat) -> None:
        """Note that a person's seat has ended."""
        self._hands.remove_seat(session_address, seat.connection.pubkey)

    async def lower(self, session_address: str, room: RoomId, pubkeys: Collection[Pubkey] | None) -> int:
        """Lower these hands, or all (None), and tell their owners; return how many were raised."""
        chosen = [hand.pubkey for hand in self.hands_in(session_address) if pubkeys is None or hand.pubkey in pubkeys]
        for pubkey in chosen:
            self._hands.lower(session_address, pubkey)
            await self._seats.send_message(room, HandState(up=False), pubkey)
        return len(chosen)

    async def set_hand(self, session_address: str, seat: Seat, *, up: bool) -> bool:
        """Raise or lower the hand of the person in `seat`, and tell all their devices; whether that changed it."""
        pubkey, room = seat.connection.pubkey, seat.connection.room
        at, monotonic = int(self._clock.now()), self._clock.monotonic()
        was_up = self._hands.is_raised(session_address, pubkey)
        if up != was_up and self._hands.set_hand(session_address, pubkey, up=up, at=at, monotonic=monotonic):
            await self._seats.send_message(room, HandState(up=up), pubkey)  # on every device of the person
            return True
        seat.send(HandState(up=was_up))
        return False
