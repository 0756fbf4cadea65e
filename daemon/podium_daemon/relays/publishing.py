"""Publications to one relay: a queue, a window of those on their way, and the outcome of each.

No I/O: the connection calls `feed` when there may be room and `settle` with the relay's answers. Times are monotonic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from podium_protocol.events import EventId, SignedEvent
from podium_protocol.relay import backoff
from podium_protocol.relay.events import Published
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.verdicts import BlockedByRelay, EventAccepted, RateLimited, Unknown, Verdict, is_final

PER_MINUTE: Final = 5_800
"""LocalRelay drops a connection without a word at 6,000 messages a minute, and its setting does not change that."""

_WINDOW: Final = 60.0


class Pacer:
    """Keeps the messages of any 60 seconds below a number; those of one second share a bucket.

    A plain token bucket of that rate would let through twice as many in the first minute.
    """

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        """Allow `per_minute` messages, even all at once."""
        self._limit = per_minute
        self._buckets: deque[tuple[int, int]] = deque()
        self._sum = 0

    def room(self, now: float) -> int:
        """How many messages may be sent now."""
        while self._buckets and self._buckets[0][0] + 1 + _WINDOW <= now:
            self._sum -= self._buckets.popleft()[1]
        return max(0, self._limit - self._sum)

    def note(self, count: int, now: float) -> None:
        """Count messages that were sent."""
        second = int(now)
        before = self._buckets.pop()[1] if self._buckets and self._buckets[-1][0] == second else 0
        self._buckets.append((second, before + count))
        self._sum += count


class RateLimitPause:
    """Nothing is published after `rate-limited:` for 30 s, doubling with each further one up to 15 minutes."""

    def __init__(self) -> None:
        self._delays = backoff.rate_limit_delays()
        self.until = 0.0

    def seconds_left(self, now: float) -> float:
        """Seconds until publishing goes on; 0 without a pause."""
        return max(0.0, self.until - now)

    def refused(self, now: float) -> None:
        """Note a `rate-limited:`; answers to events sent before the pause began count as the same refusal."""
        if self.seconds_left(now) == 0:
            self.until = now + next(self._delays)

    def accepted(self, now: float) -> None:
        """Note that the relay accepted an event: the next pause starts small again."""
        if self.until and self.seconds_left(now) == 0:
            self._delays = backoff.rate_limit_delays()
            self.until = 0.0


MAX_ON_THE_WAY: Final = 500
"""Enough to keep a relay busy over any round trip; LMDB behind LocalRelay commits about 500 a second."""

BURST_BESIDE_SUBSCRIPTIONS: Final = 500
BREATH: Final = 0.25  # seconds
"""LocalRelay 0.45.1 prefers reading to passing on live events, and forgets those beyond its thousand: a connection that
published 3,000 without a pause missed 700, possibly RSVPs of other people. So we pause after each burst."""

MAX_BYTES_ON_THE_WAY: Final = 256 * 1024
"""Bytes that even a slow line carries within the 20 s that an OK may take."""

_FRAME: Final = len('["EVENT",]')


_MAKING: Final = 0.01  # seconds that the event loop may be blocked while events are made


class Prepared(msgspec.Struct, frozen=True):
    """A signed event as its stored bytes, which go out unchanged: a retry is the same event (hardening.md, rule 4)."""

    id: EventId
    json: bytes

    @classmethod
    def from_event(cls, event: SignedEvent) -> Prepared:
        """The bytes of an event that was not stored."""
        return cls(event.id, event.to_json())


def prepared(event: SignedEvent | Prepared) -> Prepared:
    """The event with its JSON, which is written now unless that was done before."""
    return event if isinstance(event, Prepared) else Prepared.from_event(event)


def prepare_wave(events: Iterator[SignedEvent | Prepared], room: int, monotonic: Callable[[], float]) -> list[Prepared]:
    """The next events: `room` at most, and as many as are made within the time that the event loop can be blocked."""
    until = monotonic() + _MAKING
    wave: list[Prepared] = []
    for event in islice(events, room):
        wave.append(prepared(event))
        if monotonic() >= until:
            break
    return wave


class PublishOutcome(msgspec.Struct, frozen=True):
    """The outcome of one event at one relay.

    `retry_after`: seconds before the same bytes are worth sending there again. None: the relay has it, or it is final.
    """

    event_id: EventId
    relay_url: str
    verdict: Verdict
    retry_after: float | None = None
    was_tried: bool = True  # False: there was no free place for the relay, so this says nothing about the relay

    @property
    def is_done(self) -> bool:
        """Whether the relay has the event."""
        return isinstance(self.verdict, EventAccepted)


OnOutcome = Callable[[PublishOutcome], None]


class _Item(NamedTuple):
    event: Prepared
    tell: OnOutcome


class _Addressed(msgspec.Struct):
    tags: list[list[str]]


_decode_addressed: Final = msgspec.json.Decoder(_Addressed).decode


def recipient_of(event_json: bytes) -> str:
    """The recipient of a message, by its first `p` tag; "" if it has none."""
    try:
        tags = _decode_addressed(event_json).tags
    except msgspec.DecodeError:
        return ""
    return next((tag[1] for tag in tags if len(tag) > 1 and tag[0] == "p"), "")


class PublishWindow:
    """The publications of one relay. Each is told its outcome exactly once."""

    def __init__(self, relay_url: str, pacer: Pacer) -> None:
        """Start empty."""
        self._url = relay_url
        self._pacer = pacer
        self._queue: deque[_Item] = deque()
        self._on_the_way: dict[EventId, list[_Item]] = {}
        self._bytes = 0
        self._waits_since: float | None = None
        self._burst = 0  # sent since the relay last had a moment to itself
        self._quiet_since = float("-inf")
        self.max_message_bytes: int | None = None
        self.pause = RateLimitPause()
        self.counts = {"done": 0, "refused": 0, "unknown": 0}

    @property
    def queued(self) -> int:
        """How many have not been sent yet."""
        return len(self._queue)

    @property
    def on_the_way(self) -> int:
        """How many were sent and have not been answered."""
        return len(self._on_the_way)

    def add(self, event: Prepared, tell: OnOutcome) -> None:
        """Queue one event; `tell` is called once, with its outcome."""
        if not self._queue and not self._on_the_way:
            self._waits_since = None  # the relay owes an answer from the next check on
        self._queue.append(_Item(event, tell))

    def silent_for(self, now: float) -> float:
        """Seconds since the relay began to owe an answer, or last answered; 0 if it owes none."""
        if not self._queue and not self._on_the_way:
            self._waits_since = None
            return 0.0
        if self._waits_since is None:
            self._waits_since = now
        return now - self._waits_since

    def feed(self, session: RelaySession, now: float, *, beside_subscriptions: bool = False) -> float | None:
        """Hand events to the session, as many as the window, the pace and a pause allow.

        Returns the seconds after which to call again even if nothing happens; None: call again after an answer.
        """
        if not self._queue:
            return None
        if left := self.pause.seconds_left(now):
            self.refuse_queued(RateLimited("waiting, since the relay said rate-limited"), left)
            return None
        quiet = now - self._quiet_since if not self._on_the_way else 0.0
        if quiet >= BREATH:
            self._burst = 0
        room = min(self._pacer.room(now), MAX_ON_THE_WAY - len(self._on_the_way))
        if beside_subscriptions:
            room = min(room, BURST_BESIDE_SUBSCRIPTIONS - self._burst)
        for item in self._take(room):
            session.publish_bytes(item.event.id, item.event.json, now)
            self._burst += 1
        return BREATH - quiet if self._queue and not self._on_the_way else None

    def settle(self, published: Published, now: float) -> None:
        """Take the relay's answer. One after a time-out is ignored: the same bytes are sent again anyway."""
        items = self._on_the_way.pop(published.event_id, None)
        if items is None:
            return
        self._bytes -= len(items[0].event.json)
        self._quiet_since = now
        self._waits_since = now
        verdict = published.verdict
        if isinstance(verdict, RateLimited):
            self.pause.refused(now)
        elif isinstance(verdict, EventAccepted):
            self.pause.accepted(now)
        self._tell(items, verdict, None if is_final(verdict) else self.pause.seconds_left(now))

    def refuse_queued(self, verdict: RateLimited | Unknown | BlockedByRelay, retry_after: float | None) -> None:
        """Return the unsent events to their callers, who then do not wait for a relay that cannot be reached."""
        items, self._queue = self._queue, deque()
        self._tell(items, verdict, retry_after)

    def _take(self, room: int) -> Iterator[_Item]:
        while self._queue and room > 0:
            item = self._queue[0]
            size = len(item.event.json)
            if self.max_message_bytes is not None and size + _FRAME > self.max_message_bytes:
                self._queue.popleft()
                words = f"not sent: it has {size + _FRAME} bytes, and the relay takes {self.max_message_bytes} at most"
                self._tell([item], BlockedByRelay(words), None)
                continue
            if self._on_the_way and self._bytes + size > MAX_BYTES_ON_THE_WAY:
                return
            self._queue.popleft()
            if (others := self._on_the_way.get(item.event.id)) is not None:
                others.append(item)  # one answer will do for both
                continue
            self._on_the_way[item.event.id] = [item]
            self._bytes += size
            room -= 1
            yield item

    def _tell(self, items: Iterable[_Item], verdict: Verdict, retry_after: float | None) -> None:
        name = "done" if isinstance(verdict, EventAccepted) else "refused" if is_final(verdict) else "unknown"
        for item in items:
            self.counts[name] += 1
            item.tell(PublishOutcome(item.event.id, self._url, verdict, retry_after))
