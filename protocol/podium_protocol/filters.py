"""Filters of a REQ (NIP-01): what a subscription asks for, and whether an event is an answer to it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Final, TypeVar

import msgspec

from podium_protocol import kinds as kind_numbers
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import MAX_CREATED_AT, EventId, Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.limits import BACKFILL, BACKFILL_WRAPS

_T = TypeVar("_T")
_HEX_64: Final = re.compile(r"[0-9a-f]{64}")
_LETTER: Final = re.compile(r"[a-zA-Z]")
_MAX_LIMIT: Final = 2**31 - 1


class Filter(msgspec.Struct, frozen=True, dict=True):
    """Conditions that must all hold. None stands for no condition; an empty list is refused, since it matches nothing.

    `tags` are pairs of a letter and its wanted values: `(("p", (pubkey,)),)`. Times are Unix seconds, both inclusive.

    Raises:
        LocalProtocolError: a value that NIP-01 does not allow.
    """

    ids: tuple[EventId, ...] | None = None
    authors: tuple[Pubkey, ...] | None = None
    kinds: tuple[int, ...] | None = None
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    since: int | None = None
    until: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        _check_hex("ids", self.ids)
        _check_hex("authors", self.authors)
        _check_list("kinds", self.kinds)
        for kind in self.kinds or ():
            _check_number("kind", kind, kind_numbers.MAX_KIND)
        _check_tags(self.tags)
        _check_number("since", self.since, MAX_CREATED_AT)
        _check_number("until", self.until, MAX_CREATED_AT)
        _check_number("limit", self.limit, _MAX_LIMIT)

    def matches(self, event: UnsignedEvent | SignedEvent) -> bool:
        """Whether a relay may send `event` for this filter; `limit` is not considered (NIP-01)."""
        return (
            (self.kinds is None or event.kind in self.kinds)
            and (self._authors is None or event.pubkey in self._authors)
            and (self.since is None or event.created_at >= self.since)
            and (self.until is None or event.created_at <= self.until)
            and (self._ids is None or event.id in self._ids)
            and all(
                any(len(tag) > 1 and tag[0] == letter and tag[1] in wanted for tag in event.tags)
                for letter, wanted in self._tags
            )
        )

    def wanted(self, letter: str) -> frozenset[str] | None:
        """The values that a tag with this letter may have, as a set that is made once; None if it may have any."""
        for name, values in self._tags:
            if name == letter:
                return values
        return None

    def to_json_object(self) -> dict[str, object]:
        """The filter as a REQ holds it (NIP-01): only the conditions that are set."""
        lists: dict[str, object] = {"ids": self.ids, "authors": self.authors, "kinds": self.kinds}
        lists |= {f"#{letter}": wanted for letter, wanted in self.tags}
        lists |= {"since": self.since, "until": self.until, "limit": self.limit}
        return {name: value for name, value in lists.items() if value is not None}

    # Sets, made once: an allow-list of a thousand authors must not cost a thousand comparisons an event.

    @cached_property
    def _ids(self) -> frozenset[EventId] | None:
        return _as_set(self.ids)

    @cached_property
    def _authors(self) -> frozenset[Pubkey] | None:
        return _as_set(self.authors)

    @cached_property
    def _tags(self) -> tuple[tuple[str, frozenset[str]], ...]:
        return tuple((letter, frozenset(wanted)) for letter, wanted in self.tags)


def matches_any(filters: Iterable[Filter], event: UnsignedEvent | SignedEvent) -> bool:
    """Whether `event` matches at least one of the filters of a REQ (NIP-01)."""
    return any(one.matches(event) for one in filters)


def backfill(filters: Iterable[Filter], last_eose: int | None) -> tuple[Filter, ...]:
    """Return the filters to subscribe with after a gap, so that nothing is missed and little is read twice.

    `last_eose` is the Unix time of the relay's last EOSE; None reads everything again. `since` becomes one hour before
    it, or two days before it for filters that ask for gift wraps, but never earlier than the filter's own `since`.
    """
    if last_eose is None:
        return tuple(filters)
    return tuple(_with_since(one, last_eose) for one in filters)


def _with_since(one: Filter, last_eose: int) -> Filter:
    wraps = one.kinds is None or kind_numbers.GIFT_WRAP in one.kinds
    since = max(0, last_eose - (BACKFILL_WRAPS if wraps else BACKFILL), one.since or 0)
    return msgspec.structs.replace(one, since=since)


def _as_set(values: tuple[_T, ...] | None) -> frozenset[_T] | None:
    return None if values is None else frozenset(values)


def _check_list(name: str, values: Collection[object] | None) -> None:
    if values is not None and not values:
        raise LocalProtocolError(f"`{name}` of a filter is empty, which matches nothing: leave it out, or do not ask")


def _check_hex(name: str, values: Sequence[str] | None) -> None:
    _check_list(name, values)
    if not all(_HEX_64.fullmatch(value) for value in values or ()):
        raise LocalProtocolError(f"`{name}` of a filter are 64 lowercase hex digits each (NIP-01)")


def _check_tags(tags: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
    letters = [letter for letter, _ in tags]
    if not all(_LETTER.fullmatch(letter) for letter in letters) or len(set(letters)) != len(letters):
        raise LocalProtocolError("a filter asks for tags by a single letter, each letter once (NIP-01)")
    for letter, wanted in tags:
        if letter in ("e", "p"):
            _check_hex(f"#{letter}", wanted)
        _check_list(f"#{letter}", wanted)


def _check_number(name: str, value: int | None, highest: int) -> None:
    if value is not None and not 0 <= value <= highest:
        raise LocalProtocolError(f"`{name}` of a filter is a whole number from 0 to {highest}")
