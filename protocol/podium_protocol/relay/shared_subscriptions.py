"""The subscriptions of one relay, put into no more REQs than it allows (NIP-11, `max_subscriptions`).

Where a relay names no limit, each subscription has a REQ of its own and its own name on the wire. Otherwise several
share a REQ that holds all their filters, and the filters tell which events belong to which. The subscription for gift
wraps shares last: a relay that serves them only to their recipient would refuse the others together with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from podium_protocol import kinds, messages
from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.limits import MAX_FILTERS
from podium_protocol.nips.nip11 import NO_LIMITS, RelayLimits
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.subscriptions import Resume

USUAL_FILTERS: Final = 10
"""Filters in a REQ for a relay that limits subscriptions and does not say how many filters it takes."""

_KEPT_FOR_QUESTIONS: Final = 1
"""REQs of a relay's limit that are kept free for one-time requests, so that reading the past goes on page by page."""

_QUESTIONS: Final = 8
"""One-time requests open at once: relays bound the bytes of all open REQs, LocalRelay to 1 MiB."""

_RESUMED: Final = len(b',"since":9007199254740991')  # what `Resume` may add to a filter
_decode: Final = msgspec.json.Decoder(SignedEvent).decode


class _Wanted(msgspec.Struct):
    filters: tuple[Filter, ...]
    resume: Resume | None
    size: int  # bytes of its filters in a REQ
    sent: tuple[Filter, ...] = ()
    has_ended: bool = False
    skips_end: bool = False  # asked for again only because another name shares its REQ: its next EOSE is no news

    def next(self) -> tuple[Filter, ...]:
        self.sent = self.filters if self.resume is None else tuple(self.resume(self.filters))
        return self.sent


class SharedSubscriptions:
    """The subscriptions of one relay by name. Times are monotonic seconds."""

    def __init__(self, session: RelaySession) -> None:
        """Put REQs into this session; subscriptions that were made there directly are not managed here."""
        self._session = session
        self._limits = NO_LIMITS
        self._wanted: dict[str, _Wanted] = {}
        self._reqs: dict[str, list[str]] = {}  # by subscription id: the names that share it
        self._id_of: dict[str, str] = {}
        self.unserved: dict[str, str] = {}
        """Names for which the relay has no room, with the reason in words."""

    @property
    def limits(self) -> RelayLimits:
        """The relay's limits, as far as they are known (NIP-11)."""
        return self._limits

    @property
    def room_for_questions(self) -> int:
        """How many REQs may be open besides those of the subscriptions."""
        allowed = self._limits.max_subscriptions
        return _QUESTIONS if allowed is None else max(1, min(_QUESTIONS, allowed - len(self._reqs)))

    def heed(self, limits: RelayLimits, now: float) -> None:
        """Apply the limits that the relay names, and divide all subscriptions into REQs again if that changes them."""
        if limits == self._limits:
            return
        self._limits = limits
        for subscription_id in self._reqs:
            self._session.unsubscribe(subscription_id)
        self._reqs, self._id_of, self.unserved = {}, {}, {}
        for name in sorted(self._wanted, key=lambda name: not self._is_private(name)):
            self._place(name, now)

    def subscribe(self, name: str, filters: Sequence[Filter], now: float, *, resume: Resume | None = None) -> None:
        """Ask for events, over all connections; a second call with the name replaces the filters.

        `resume` is that of `RelaySession.subscribe`.

        Raises:
            LocalProtocolError: a name or filters that NIP-01 does not allow.
        """
        size = len(messages.encode_req(name, filters)) + _RESUMED * len(filters)
        wanted = _Wanted(tuple(filters), resume, size)
        subscription_id = self._id_of.get(name)
        if subscription_id is not None and self._fits(wanted, self._others(subscription_id, name)):
            self._wanted[name] = wanted
            self._ask_anew(subscription_id, name, now)
            return
        self._remove(name, now)
        self._wanted[name] = wanted
        self._place(name, now)

    def unsubscribe(self, name: str, now: float) -> None:
        """End a subscription; one for which there was no room may take its place."""
        self._wanted.pop(name, None)
        self.unserved.pop(name, None)
        self._remove(name, now)
        for waiting in tuple(self.unserved):
            self._place(waiting, now)

    def ask_again(self, names: Iterable[str], now: float) -> None:
        """Ask again for subscriptions that the relay closed."""
        for subscription_id in dict.fromkeys(self._id_of[name] for name in names if name in self._id_of):
            self._ask(subscription_id, now)

    def connected(self) -> None:
        """Note a new connection: everything is asked for again, and each subscription gets a new EOSE."""
        for wanted in self._wanted.values():
            wanted.has_ended = wanted.skips_end = False

    def names_of(self, subscription_id: str) -> tuple[str, ...]:
        """The names that share a REQ; empty if the REQ is not managed here."""
        return tuple(self._reqs.get(subscription_id, ()))

    def end(self, subscription_id: str, *, partial: bool) -> tuple[str, ...]:
        """Note an EOSE, and return the names for which it is news: those that were not told of it before."""
        names = self.names_of(subscription_id)
        told = tuple(name for name in names if not self._wanted[name].skips_end)
        for name in names:
            self._wanted[name].has_ended |= not partial
            self._wanted[name].skips_end = False
        return told

    def closed(self, subscription_id: str) -> tuple[str, ...]:
        """Note a CLOSED, and return the names that shared the REQ."""
        names = self.names_of(subscription_id)
        for name in names:
            self._wanted[name].has_ended = self._wanted[name].skips_end = False
        return names

    def owner_of(self, subscription_id: str, raw: msgspec.Raw) -> str:
        """The name whose filters match the event.

        One of the sharing names if none matches, and the subscription id itself if the REQ is not managed here.
        """
        names = self._reqs.get(subscription_id)
        if names is None:
            return subscription_id
        if len(names) == 1:
            return names[0]
        try:
            event = _decode(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return names[0]  # the check against that name's filters will report the event
        answered = (name for name in names if any(one.matches(event) for one in self._wanted[name].sent))
        return next(answered, names[0])

    def filters_of(self, name: str) -> tuple[Filter, ...] | None:
        """The filters last sent to the relay under this name; None if there are none."""
        if (subscription_id := self._id_of.get(name)) is None:
            return None
        if len(self._reqs[subscription_id]) == 1:
            return self._session.filters_of(subscription_id)
        return self._wanted[name].sent

    # -- which names share a REQ

    def _place(self, name: str, now: float) -> None:
        """Put a name into a REQ: one of its own while there is room, else the one with the fewest filters."""
        self.unserved.pop(name, None)
        wanted = self._wanted[name]
        able = [one for one in self._reqs if self._fits(wanted, self._others(one, name))]
        subscription_id = self._free_id(name, is_needed=not able) if self._fits(wanted, ()) else None
        if subscription_id is None and not able:
            self.unserved[name] = self._why_not(wanted)
            return
        subscription_id = subscription_id or min(able, key=self._burden)
        self._reqs.setdefault(subscription_id, []).append(name)
        self._id_of[name] = subscription_id
        self._ask_anew(subscription_id, name, now)

    def _free_id(self, name: str, *, is_needed: bool) -> str | None:
        """The id of a REQ of its own; the last free one is kept for gift wraps unless `name` has no other place."""
        allowed = self._limits.max_subscriptions
        if allowed is None:
            return name
        room = max(1, allowed - _KEPT_FOR_QUESTIONS) - len(self._reqs)
        has_private = is_needed or self._is_private(name) or any(map(self._is_private, self._id_of))
        if room <= (0 if has_private else 1):
            return None
        return next(one for number in range(allowed) if (one := f"shared-{number}") not in self._reqs)

    def _burden(self, subscription_id: str) -> tuple[bool, int]:
        names = self._reqs[subscription_id]
        return any(map(self._is_private, names)), sum(len(self._wanted[name].filters) for name in names)

    def _is_private(self, name: str) -> bool:
        return any(kinds.GIFT_WRAP in (one.kinds or ()) for one in self._wanted[name].filters)

    def _others(self, subscription_id: str, name: str) -> tuple[_Wanted, ...]:
        return tuple(self._wanted[one] for one in self._reqs[subscription_id] if one != name)

    def _fits(self, wanted: _Wanted, others: Sequence[_Wanted]) -> bool:
        filters = len(wanted.filters) + sum(len(one.filters) for one in others)
        length = wanted.size + sum(one.size for one in others)
        return filters <= self._max_filters and length <= (self._limits.max_message_length or length)

    @property
    def _max_filters(self) -> int:
        usual = MAX_FILTERS if self._limits.max_subscriptions is None else USUAL_FILTERS
        return min(MAX_FILTERS, self._limits.max_filters or usual)

    def _why_not(self, wanted: _Wanted) -> str:
        limits = self._limits
        if wanted.size > (limits.max_message_length or wanted.size):
            return f"not asked: the REQ has {wanted.size} bytes, and it takes {limits.max_message_length} at most"
        if limits.max_subscriptions is None:
            return f"not asked: it takes {self._max_filters} filters in a REQ at most"
        return (
            f"not asked: it takes {limits.max_subscriptions} REQs of {self._max_filters} filters at most, and has them"
        )

    def _remove(self, name: str, now: float) -> None:
        if (subscription_id := self._id_of.pop(name, None)) is None:
            return
        names = self._reqs[subscription_id]
        names.remove(name)
        if names:
            self._ask_anew(subscription_id, name, now)
        else:
            del self._reqs[subscription_id]
            self._session.unsubscribe(subscription_id)

    def _ask_anew(self, subscription_id: str, name: str, now: float) -> None:
        """Send a REQ again because `name` came, changed or left; to the other names in it, its EOSE is no news."""
        for other in self._reqs[subscription_id]:
            if other != name:
                self._wanted[other].skips_end = self._wanted[other].has_ended
        self._ask(subscription_id, now)

    def _ask(self, subscription_id: str, now: float) -> None:
        members = [self._wanted[name] for name in self._reqs[subscription_id]]
        if len(members) == 1:
            (only,) = members
            self._session.subscribe(subscription_id, only.filters, now, resume=only.resume)
            return
        filters = tuple(one for member in members for one in member.filters)
        self._session.subscribe(
            subscription_id,
            filters,
            now,
            resume=lambda _: [one for member in members for one in member.next()],
        )
