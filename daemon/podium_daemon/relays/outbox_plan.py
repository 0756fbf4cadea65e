"""When whose relay list is looked up, and which of people's own relays are asked about whom (NIP-65).

No I/O. Any stranger may be named or answer, and may list any relay. So only a few relays of each person count, few URLs
of each host, and a limited number in all, those of instructors first; and a relay that does not answer is left alone
for an hour, even if other people name it meanwhile. Times are Unix seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from podium_protocol.events import Pubkey

RELAYS_OF_A_PERSON: Final = 3
"""How many relays of a list count, from the first; NIP-65 asks for two to four."""

URLS_OF_A_HOST: Final = 16
"""URLs of one host: else a few hundred forged lists could make us attack one host under as many paths."""

RELAYS_AT_MOST: Final = 2_000
"""Relays known at a time, besides the configured ones."""

RELAYS_A_ROUND: Final = 64
LISTS_A_ROUND: Final = 1_000  # people whose list is looked up at once

LISTS_FOR: Final = 6 * 3600
"""Seconds for which a list that was found is valid."""

POLL: Final = 600
"""Seconds between two reads of a relay that answers."""

AGAIN: Final = 3600
"""Seconds until a list that was not found, or a relay that did not answer, is tried again."""


class Errand(msgspec.Struct, frozen=True):
    """A relay to be asked about those who write there."""

    url: str
    authors: tuple[Pubkey, ...]


class _State(msgspec.Struct):
    due: float = 0.0
    is_failing: bool = False
    asked: frozenset[Pubkey] = frozenset()


class Plan:
    """The people and relays of interest; `left_out` counts the relays beyond the limit at the last choice."""

    def __init__(self) -> None:
        self._instructors: frozenset[Pubkey] = frozenset()
        self._people: dict[Pubkey, None] = {}
        self._own: frozenset[str] = frozenset()
        self._lists_due: dict[Pubkey, float] = {}
        self._writes: dict[Pubkey, tuple[str, ...]] = {}
        self._authors: dict[str, list[Pubkey]] = {}
        self._states: dict[str, _State] = {}
        self.left_out = 0

    def concern(self, instructors: Collection[Pubkey], people: Collection[Pubkey], own: Collection[str]) -> None:
        """Set whose events are of interest, the most important first, and our own relays, which are read anyway."""
        self._instructors, self._own = frozenset(instructors), frozenset(own)
        self._people = dict.fromkeys((*instructors, *people))
        self._lists_due = {one: due for one, due in self._lists_due.items() if one in self._people}
        self._writes = {one: urls for one, urls in self._writes.items() if one in self._people}
        self._deal()

    def lists_due(self, now: float) -> list[Pubkey]:
        """The people whose list is due to be looked up."""
        due = [one for one in self._people if self._lists_due.get(one, 0.0) <= now]
        return due[:LISTS_A_ROUND]

    def lists_were_asked(self, people: Collection[Pubkey], now: float, *, of_all: bool) -> None:
        """Note that these people's lists were asked for; `of_all`: every relay that was asked has answered."""
        for one in people:
            is_known = of_all and one in self._writes
            self._lists_due[one] = now + (LISTS_FOR if is_known else AGAIN)

    def write_to(self, lists: Mapping[Pubkey, Sequence[str]]) -> None:
        """Set people's lists (write relays, normalised), as far as the mirror holds them."""
        known = {one: tuple(urls) for one, urls in lists.items() if one in self._people and urls}
        if any(self._writes.get(one) != urls for one, urls in known.items()):
            self._writes |= known
            self._deal()

    def relays_due(self, now: float) -> list[Errand]:
        """The relays to ask now: those of instructors first, and those that did not answer last time at the end."""
        due = [url for url in self._authors if self._is_due(url, now)]
        due.sort(key=lambda url: (not self._is_instructors(url), self._states[url].is_failing, self._states[url].due))
        return [Errand(url, tuple(self._authors[url])) for url in due[:RELAYS_A_ROUND]]

    def was_asked(self, errand: Errand, now: float, *, answered: bool) -> None:
        """Note that a relay was asked, and whether it answered."""
        state = self._states.setdefault(errand.url, _State())
        state.due, state.is_failing = now + (POLL if answered else AGAIN), not answered
        state.asked = frozenset(errand.authors)

    def has_looked(self, pubkey: Pubkey) -> bool | None:
        """Whether every relay of the person that counts was read; None: the person is not of interest (yet)."""
        if pubkey not in self._people:
            return None
        if pubkey not in self._lists_due:
            return False
        urls = [url for url in self._writes.get(pubkey, ()) if pubkey in self._authors.get(url, ())]
        return all(self._states[url].is_failing or pubkey in self._states[url].asked for url in urls)

    def _is_due(self, url: str, now: float) -> bool:
        state = self._states[url]
        return state.due <= now or not (state.is_failing or state.asked.issuperset(self._authors[url]))

    def _is_instructors(self, url: str) -> bool:
        return not self._instructors.isdisjoint(self._authors[url])

    def _deal(self) -> None:
        hosts: Counter[str] = Counter()
        self._authors, self.left_out = {}, 0
        for one in self._people:
            foreign = [url for url in self._writes.get(one, ()) if url not in self._own]
            for url in foreign[:RELAYS_OF_A_PERSON]:
                if url not in self._authors:
                    host = urlsplit(url).hostname or ""
                    if len(self._authors) >= RELAYS_AT_MOST or hosts[host] >= URLS_OF_A_HOST:
                        self.left_out += 1
                        continue
                    hosts[host] += 1
                self._authors.setdefault(url, []).append(one)
        # a failed relay is remembered although no list names it now: else the next list that does would have it tried
        kept = {url: state for url, state in self._states.items() if url in self._authors or state.is_failing}
        if len(kept) > 2 * RELAYS_AT_MOST:
            kept = {url: state for url, state in kept.items() if url in self._authors}
        self._states = kept | {url: _State() for url in self._authors if url not in kept}
