"""Places for relays that are opened for recipients: there are few places, and strangers name the relays.

A relay without a place waits, and its events are never given up. A relay that answers keeps its place as long as there
is something to do; one that hangs loses its place to a relay that waits, and later gets one that is left over. While
places are short, one recipient has a few at a time, however many relays they name. Times are monotonic seconds.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

MAX_STRANGERS: Final = 256
"""Relays open for recipients: ten thousand recipients with ten invented relays each must not exhaust us."""

SHORT: Final = MAX_STRANGERS // 2
"""From this many places in use on, places count as short."""

EACH: Final = 3
"""Places of one recipient at a time while places are short: as many relays as NIP-17 asks people to name."""

PATIENCE: Final = 5.0
"""Seconds within which a relay must answer while other relays wait."""

_HUNG_FOR: Final = 60.0
_HUNG_AT_MOST: Final = 3600.0
_REMEMBERED: Final = 10_000
_FIRST_WAIT: Final = 1.0
_SERVED_A_SECOND: Final = 100.0  # about so many relays get a place in a second, so more need not ask again within it
_WINDOW: Final = 10.0
_LOOK_EVERY: Final = 0.05


class PlaceHolder(Protocol):
    """A relay that has a place."""

    @property
    def is_idle(self) -> bool:
        """Whether the relay has nothing to do."""
        ...

    @property
    def is_punished(self) -> bool:
        """Whether the relay misbehaved and is left alone for a while."""
        ...

    @property
    def last_used(self) -> float: ...

    def silent_for(self, now: float) -> float:
        """Seconds for which the relay has owed an answer; 0 if it owes none."""
        ...


class Admitted(msgspec.Struct, frozen=True):
    """There is a place; `instead_of`: the relay that loses it."""

    instead_of: str | None = None


class NoPlace(msgspec.Struct, frozen=True):
    """There is no place now; ask again after so many seconds."""

    seconds: float


class Places:
    """Assigns the places."""

    def __init__(self) -> None:
        self._whose: dict[str, str] = {}
        self._hung: dict[str, tuple[float, float]] = {}  # relay: until when others come first, and for how long
        self._full_until = 0.0  # no relay has to leave before this time: thousands may want a place at once
        self._asked = 0
        self._asked_since = 0.0

    def request_place(self, url: str, whose: str, guests: Mapping[str, PlaceHolder], now: float) -> Admitted | NoPlace:
        """Ask for a place for a relay that has none, for a recipient ("" for none); `guests` have places now."""
        self._whose = {one: recipient for one, recipient in self._whose.items() if one in guests}
        if len(guests) < SHORT:
            return self._admit(url, whose, None)
        if self._hung.get(url, (0.0, 0.0))[0] > now or self._has_enough(whose, guests):
            return self._later(now)
        if len(guests) < MAX_STRANGERS:
            return self._admit(url, whose, None)
        if now < self._full_until:
            return self._later(now)
        if (leaving := self._leaving(guests, now)) is None:
            self._full_until = now + _LOOK_EVERY
            return self._later(now)
        return self._admit(url, whose, leaving)

    def _admit(self, url: str, whose: str, instead_of: str | None) -> Admitted:
        if whose:
            self._whose[url] = whose
        return Admitted(instead_of)

    def _has_enough(self, whose: str, guests: Mapping[str, PlaceHolder]) -> bool:
        own = [url for url, recipient in self._whose.items() if recipient == whose and whose]
        return sum(not guests[url].is_idle for url in own) >= EACH

    def _leaving(self, guests: Mapping[str, PlaceHolder], now: float) -> str | None:
        idle = [(guest.is_punished, guest.last_used, url) for url, guest in guests.items() if guest.is_idle]
        if idle:
            is_punished, _, url = min(idle)
        else:
            silence, url = max((guest.silent_for(now), url) for url, guest in guests.items())
            if silence < PATIENCE:
                return None
        if not idle or is_punished:
            self._note_hanging(url, now)
        return url

    def _note_hanging(self, url: str, now: float) -> None:
        before = self._hung.pop(url, (0.0, 0.0))[1]
        lasts = min(_HUNG_AT_MOST, 2 * before or _HUNG_FOR)
        self._hung[url] = now + lasts, lasts
        if len(self._hung) > _REMEMBERED:
            del self._hung[next(iter(self._hung))]

    def _later(self, now: float) -> NoPlace:
        """The more relays ask in vain, the later each asks again, so that they do not all come at once."""
        if now - self._asked_since > _WINDOW:
            self._asked, self._asked_since = 0, now
        self._asked += 1
        return NoPlace(_FIRST_WAIT + random.random() * (1.0 + self._asked / _SERVED_A_SECOND))  # noqa: S311  (no secret)
