"""The last checks of the ingest: what a relay sent becomes a verified event in the mirror, or a counted drop.

Frame size, JSON and the subscription were checked by the relay session. Here: shape, filter, time window, id,
signature, then duplicates. No id is marked as seen before its signature is good, or a bad copy from one relay would
block the good copy from another.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.events import EventId, ParsedEvent, Rejected, VerifiedEvent, parse_json, verify_parsed
from podium_protocol.filters import Filter, matches_any
from podium_protocol.limits import max_bytes_of
from podium_protocol.live.rsvp import read_rsvp

MAX_AHEAD: Final = 600  # seconds (wire-formats.md: dated more than 10 min in the future is dropped)
MAX_SEEN: Final = 100_000  # ids remembered; a forgotten one costs a verification, and the mirror knows it again
_INLINE: Final = 64  # events verified on the loop: 2 ms; more go to a thread, where libsecp256k1 needs no GIL
_RSVP_PREFIX: Final = f"{kinds.RSVP}:"
_CONCERNED: Final = frozenset({str(kinds.RSVP), str(kinds.SESSION), str(kinds.LIVE_CHAT)})


class Arrival(msgspec.Struct, frozen=True):
    """One event as a relay sent it, with the filters it should answer."""

    relay: str
    filters: tuple[Filter, ...]
    raw: bytes
    is_live: bool = False  # it came after the relay's EOSE for our own events


class EventVerifier:
    """Checks arrivals in batches. `dropped` counts the refused ones by reason."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: OrderedDict[EventId, None] = OrderedDict()
        self.dropped: Counter[str] = Counter()
        self.accepted = 0

    def has_seen(self, event_id: EventId) -> bool:
        """Whether a good event with this id was stored: copies of it need no check."""
        return event_id in self._seen

    async def verify(self, arrivals: Sequence[Arrival]) -> list[VerifiedEvent]:
        """The new, good events of a batch, in order."""
        if len(arrivals) <= _INLINE:
            judged = _judge(arrivals, self._now())
        else:
            judged = await asyncio.to_thread(_judge, arrivals, self._now())
        return [event for event in map(self._counted, judged) if event is not None]

    def remember(self, events: Iterable[VerifiedEvent]) -> None:
        """Remember events that are stored: only now may their copies be skipped."""
        for event in events:
            self._seen[event.id] = None
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    def _counted(self, judged: VerifiedEvent | str) -> VerifiedEvent | None:
        if isinstance(judged, str):
            self.dropped[judged] += 1
            return None
        if judged.id in self._seen:
            self.dropped["duplicate"] += 1
            return None
        self.accepted += 1
        return judged


def _judge(arrivals: Sequence[Arrival], now: float) -> list[VerifiedEvent | str]:
    return [_judge_one(arrival, now) for arrival in arrivals]


def _judge_one(arrival: Arrival, now: float) -> VerifiedEvent | str:
    parsed = parse_json(arrival.raw)
    if isinstance(parsed, Rejected):
        return parsed.reason.value
    if len(arrival.raw) > max_bytes_of(parsed.event.kind):
        return "too_large"
    refusal = _refusal(parsed, arrival.filters, now)
    if refusal is not None:
        return refusal
    verified = verify_parsed(parsed)
    if isinstance(verified, Rejected):
        return verified.reason.value
    is_idle = verified.kind == kinds.RSVP and not _answers_what_was_asked(verified, arrival.filters)
    return "no_answer" if is_idle else verified


def _refusal(parsed: ParsedEvent, filters: tuple[Filter, ...], now: float) -> str | None:
    event = parsed.event
    if not matches_any(filters, event):
        return "not_asked_for"
    if event.created_at > now + MAX_AHEAD:
        return "from_the_future"
    if event.kind == kinds.DELETION and not _may_concern_us(parsed):
        return "deletes_something_else"
    return None


def _answers_what_was_asked(event: VerifiedEvent, filters: tuple[Filter, ...]) -> bool:
    """Whether an RSVP answers a session that the filters ask for: a filter matches any `a` tag of an event.

    Otherwise one key could fill the mirror with answers to sessions that do not exist.
    """
    rsvp = read_rsvp(event)
    asked = [values for one in filters for name, values in one.tags if name == "a"]
    return rsvp is not None and (not asked or any(rsvp.session_address in values for values in asked))


def _may_concern_us(parsed: ParsedEvent) -> bool:
    """Whether a deletion could be about a session, an RSVP or a question: people delete many other things."""
    stated = set(tags.values(parsed.event.tags, "k"))
    if stated:
        return not stated.isdisjoint(_CONCERNED)
    addresses = list(tags.values(parsed.event.tags, "a"))
    concerned = (f"{kinds.SESSION}:", _RSVP_PREFIX)
    return any(address.startswith(concerned) for address in addresses) or not addresses


class ReadingState:
    """What has been read of each subscription on each relay, and the events that wait until it is. Keys: URL, name."""

    def __init__(self) -> None:
        self.marks: dict[tuple[str, str], int] = {}
        """When the past had been read, in Unix seconds."""
        self.outstanding: set[tuple[str, str]] = set()
        """What has to be read before the daemon acts."""
        self.held: dict[tuple[str, str], list[Arrival]] = {}
        """New events: they are stored after the past."""
        self.tasks: dict[tuple[str, str], asyncio.Task[None] | None] = {}
        self.partial: dict[tuple[str, str], str] = {}
        """Why the past was read only in part; it is asked for again."""

    def keep_relays(self, before: set[str], now: set[str]) -> None:
        """Forget the relays that are not read any more, and stop reading their past."""
        self.marks = {key: mark for key, mark in self.marks.items() if key[0] in now & before}
        self.held = {key: held for key, held in self.held.items() if key[0] in now}
        self.partial = {key: why for key, why in self.partial.items() if key[0] in now}
        for key in [key for key in self.tasks if key[0] not in now]:
            if (reading := self.tasks.pop(key)) is not None:
                reading.cancel()
        self.outstanding = {key for key in self.outstanding if key[0] in now}

    def drop(self, name: str) -> None:
        """Forget a subscription that has ended."""
        self.held = {key: held for key, held in self.held.items() if key[1] != name}
        self.tasks = {key: task for key, task in self.tasks.items() if key[1] != name}
        self.partial = {key: why for key, why in self.partial.items() if key[1] != name}

    def drop_marks(self, name: str) -> None:
        """Have a subscription's past read anew."""
        self.marks = {key: mark for key, mark in self.marks.items() if key[1] != name}
