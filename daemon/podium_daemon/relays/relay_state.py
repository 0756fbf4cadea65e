"""The configuration of a relay, its state, and the limits of its connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from random import random
from typing import Final, Protocol

import msgspec
import structlog

from podium_daemon.relays.publishing import Pacer, PublishWindow
from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock
from podium_protocol import relay_url
from podium_protocol.errors import InvalidInput
from podium_protocol.filters import Filter
from podium_protocol.filters import backfill as since_last_eose
from podium_protocol.limits import MAX_FRAME_BYTES
from podium_protocol.nips.nip11 import RelayLimits
from podium_protocol.relay import backoff
from podium_protocol.relay.events import Published
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.shared_subscriptions import SharedSubscriptions
from podium_protocol.relay.verdicts import EventAccepted, RateLimited, Verdict, Violation, is_final
from podium_protocol.text import single_line


class PoolRelay(msgspec.Struct, frozen=True):
    """One configured relay. `auth`: we may log in to it (NIP-42)."""

    url: str
    read: bool = True
    write: bool = True
    dm: bool = True
    auth: bool = True


class ConnectionState(StrEnum):
    """The state of a connection."""

    IDLE = "idle"  # nothing to do there; opened when there is
    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    WAITING = "waiting"  # before the next attempt
    PENALTY = "penalty"  # it misbehaved, and is left alone for a while
    STOPPED = "stopped"


class RelayRefusal(msgspec.Struct, frozen=True):
    """Final refusals of a relay since the start: its last words, when they came, and how many there were."""

    words: str
    at: float
    count: int


class RelayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one relay. Times are Unix seconds, None for never; words are for people."""

    url: str
    is_configured: bool
    read: bool
    write: bool
    dm: bool
    auth: bool
    state: ConnectionState
    last_error: str | None
    last_notice: str | None
    last_refusal: RelayRefusal | None
    connected_since: float | None
    next_attempt_at: float | None  # while waiting, or in the penalty box
    publishing_paused_until: float | None  # it said rate-limited
    last_ok_at: float | None
    last_eose_at: float | None
    connections: int  # opened since the start
    received: int  # events handed on
    published: int
    refused: int
    unknown: int
    queued: int
    on_the_way: int
    score: float
    violations: dict[str, int]
    closed_subscriptions: dict[str, str]  # which the relay does not serve, with its words
    limits: RelayLimits  # which it names itself (NIP-11)


def relays_by_url(relays: Iterable[PoolRelay]) -> dict[str, PoolRelay]:
    """The relays by their URLs in the one spelling that is compared.

    Raises:
        InvalidInput: a relay's URL is none, or is listed twice.
    """
    found: dict[str, PoolRelay] = {}
    for relay in relays:
        if (url := relay_url.normalise(relay.url)) is None:
            raise InvalidInput(f"{relay.url[:200]} is no ws or wss URL of a relay")
        if url in found:
            raise InvalidInput(f"{url} is listed twice: leave one of them out")
        found[url] = msgspec.structs.replace(relay, url=url)
    return found


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of every connection; seconds where nothing else is said."""

    open_within: float = 10.0
    ping_after: float = 20.0  # of silence
    ping_within: float = 20.0  # a relay that says nothing at all after a ping is gone
    idle_close: float = 60.0  # for relays that were not configured
    tick: float = 1.0  # how often time-outs are looked at
    penalty: float = 900.0
    # Above it a frame cannot be skipped and costs the connection; between this and MAX_FRAME_BYTES it is dropped.
    max_socket_frame: int = 8 * MAX_FRAME_BYTES
    max_socket_frame_of_strangers: int = MAX_FRAME_BYTES
    messages_per_minute: int = 5_800


_log = structlog.get_logger(__name__)

_BETWEEN_NOTICES: Final = 10.0  # seconds: a relay that talks without end does not fill the log
_CLOSED_LINES: Final = Rate(burst=20, per_second=0.1)  # in the log; a relay may refuse in other words each time

SinceFor = Callable[[str], int | None]
"""From a relay's URL to the Unix time at which it last had no more stored events; None: read everything."""


class CollectingSubscription(Protocol):
    """A one-time subscription whose answer is collected, not handed on."""

    def on_event(self, raw: msgspec.Raw) -> None:
        """Take one event of the answer, unchecked."""
        ...

    def on_end(self, problem: str | None) -> None:
        """Note the end of the answer; `problem` says why it may be incomplete."""
        ...


class _WantedQuery(msgspec.Struct, frozen=True):
    filters: tuple[Filter, ...]
    since_for: SinceFor | None


class RelayState:
    """The subscriptions, publications and faults of one relay. Nothing here waits or touches a socket."""

    def __init__(
        self,
        relay: PoolRelay,
        *,
        is_configured: bool,
        may_authenticate: bool,
        options: ConnectionOptions,
        clock: Clock,
    ) -> None:
        """Start empty."""
        self.relay = relay
        self.url = relay.url
        self.is_configured = is_configured
        self.session = RelaySession(relay.url, may_authenticate=may_authenticate)
        self.shared = SharedSubscriptions(self.session)
        self.pacer = Pacer(options.messages_per_minute)
        self.window = PublishWindow(relay.url, self.pacer)
        self.received = 0
        self.last_notice: str | None = None
        self._notices_logged_at = float("-inf")
        self.last_refusal: RelayRefusal | None = None
        self.last_ok_at: float | None = None
        self.last_eose_at: float | None = None
        self._closed: dict[str, str] = {}
        self._clock = clock
        self._wanted: dict[str, _WantedQuery] = {}
        self._questions: dict[str, CollectingSubscription] = {}
        self._ask_again_at: dict[str, float] = {}
        self._asking_delays = backoff.delays(random)
        self._closed_lines = Buckets[str](_CLOSED_LINES)

    @property
    def closed(self) -> dict[str, str]:
        """Subscriptions that the relay does not serve or has no room for, with the reason in words."""
        return self._closed | self.shared.unserved

    # -- what is wanted ------------------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Whether a connection is needed or useful now."""
        return bool(
            self.is_configured or self._wanted or self._questions or self.window.queued or self.window.on_the_way
        )

    @property
    def has_subscriptions(self) -> bool:
        """Whether there are subscriptions to live events."""
        return bool(self._wanted)

    def subscribe(self, name: str, filters: tuple[Filter, ...], since_for: SinceFor | None) -> None:
        """Ask for events, over all connections; a second call with the name replaces the filters.

        Raises:
            LocalProtocolError: a name or filters that NIP-01 does not allow.
        """
        wanted = _WantedQuery(filters, since_for)
        self._ask(name, wanted)
        self._wanted[name] = wanted

    def unsubscribe(self, name: str) -> None:
        """End a subscription."""
        self._wanted.pop(name, None)
        self._ask_again_at.pop(name, None)
        self._closed.pop(name, None)
        self.shared.unsubscribe(name, self._clock.monotonic())

    def open_query(self, name: str, wanted: Filter, question: CollectingSubscription) -> None:
        """Ask once; `question` gets the answer, or the reason why there is none."""
        self._questions[name] = question
        self.session.subscribe(name, (wanted,), self._clock.monotonic())

    def withdraw(self, name: str) -> None:
        """Drop a question, answered or not."""
        if self._questions.pop(name, None) is not None:
            self.session.unsubscribe(name)

    def question(self, name: str) -> CollectingSubscription | None:
        """The question with this name, if there is one."""
        return self._questions.get(name)

    # -- what happens --------------------------------------------------------------------------------------------------

    def on_published(self, published: Published) -> None:
        """Take the relay's answer to a publication; a final refusal is kept for people to see."""
        self.window.settle(published, self._clock.monotonic())
        verdict = published.verdict
        if isinstance(verdict, EventAccepted):
            self.last_ok_at = self._clock.now()
        elif is_final(verdict):
            count = 1 if self.last_refusal is None else self.last_refusal.count + 1
            self.last_refusal = RelayRefusal(verdict.message, self._clock.now(), count)

    def owner_of(self, subscription_id: str, raw: msgspec.Raw) -> str:
        """The subscription to which an event belongs, if several share a REQ."""
        return self.shared.owner_of(subscription_id, raw)

    def on_end_of_stored(self, subscription_id: str, *, partial: bool) -> tuple[str, ...]:
        """Take the EOSE of a REQ; return the subscriptions for which it is news. Questions are told here."""
        if not partial:
            self.last_eose_at = self._clock.now()
        if (question := self._questions.get(subscription_id)) is not None:
            question.on_end("it did not say in time that this was all" if partial else None)
            return ()
        if not partial:
            for name in self.shared.names_of(subscription_id):
                self._closed.pop(name, None)
        return self.shared.end(subscription_id, partial=partial)

    def on_notice(self, words: str) -> None:
        """Take a NOTICE: the last one is shown to people, and new ones are logged, at least ten seconds apart."""
        now = self._clock.monotonic()
        if words != self.last_notice and now >= self._notices_logged_at + _BETWEEN_NOTICES:
            self._notices_logged_at = now
            _log.warning("a relay says", action="relay.notice", relay=self.url, words=words)
        self.last_notice = words

    def on_closed(self, subscription_id: str, verdict: Verdict) -> None:
        """Take a CLOSED. If the relay may serve the REQ later, it is asked again, with growing delays."""
        now = self._clock.monotonic()
        if isinstance(verdict, RateLimited):
            self.window.pause.refused(now)
        if (question := self._questions.get(subscription_id)) is not None:
            question.on_end(f"it refused: {verdict.message}")
            return
        names = self.shared.closed(subscription_id)
        if any(self._closed.get(name) != verdict.message for name in names):
            self._log_closed(names, verdict.message)
        self._closed |= dict.fromkeys(names, verdict.message)
        if not is_final(verdict):
            at = now + max(next(self._asking_delays), self.window.pause.seconds_left(now))
            self._ask_again_at |= dict.fromkeys(names, at)

    def _log_closed(self, names: Sequence[str], words: str) -> None:
        if self._closed_lines.take_tokens(self.url, self._clock.monotonic()):
            _log.warning("a relay refuses", action="relay.closed", relay=self.url, subscriptions=names, words=words)

    def on_connecting(self, limits: RelayLimits) -> None:
        """Note that a connection is about to be used, to a relay with these limits."""
        self.shared.heed(limits, self._clock.monotonic())
        self.shared.connected()
        self.window.max_message_bytes = limits.max_message_length
        if unserved := self.shared.unserved:
            _log.warning("a relay has no room", action="relay.no_room", relay=self.url, subscriptions=dict(unserved))

    def on_connected(self) -> None:
        """Note that a connection is open; the session itself asks for everything again."""
        self._ask_again_at.clear()
        self._closed.clear()

    def settle_disconnected(self) -> None:
        """Take the outcomes of publications that were on their way; the session's other events are of no use now."""
        for event in self.session.events_received():
            if isinstance(event, Published):
                self.on_published(event)

    def on_disconnected(self, why: str) -> None:
        """Note that the connection ended: open questions fail."""
        for name, question in tuple(self._questions.items()):
            self.withdraw(name)
            question.on_end(why)

    def tick(self, now: float) -> None:
        """Ask again for closed subscriptions that are due."""
        due = [name for name, at in self._ask_again_at.items() if at <= now]
        for name in due:
            del self._ask_again_at[name]
        self.shared.ask_again(due, now)
        if not self._ask_again_at and not self._closed:
            self._asking_delays = backoff.delays(random)

    def report_violation(self, *violations: Violation) -> None:
        """Count faults of the relay."""
        for violation in violations:
            self.session.misbehaviour.add(violation, self._clock.monotonic())

    def faults(self) -> str:
        """The faults of the relay since the start, the most frequent first, in words."""
        counts = self.session.misbehaviour.counts.most_common()
        return ", ".join(f"{violation.value} {count} times" for violation, count in counts)

    def is_banned(self) -> bool:
        """Whether the relay misbehaves so much that it should be left alone for a while."""
        return self.session.misbehaviour.is_banned(self._clock.monotonic())

    def _ask(self, name: str, wanted: _WantedQuery) -> None:
        since_for, now = wanted.since_for, self._clock.monotonic()
        if since_for is None:
            self.shared.subscribe(name, wanted.filters, now)
        else:
            self.shared.subscribe(
                name, wanted.filters, now, resume=lambda filters: since_last_eose(filters, since_for(self.url))
            )


_MAX_WORDS: Final = 200
_ABSENT: Final = {
    ConnectionState.WAITING: "is away",
    ConnectionState.PENALTY: "is left alone for a while",
}


class Gaps:
    """Reads the gaps from the pool and from the syncer, whenever a caller asks."""

    def __init__(
        self,
        states: Callable[[], Iterable[RelayStatus]],
        partial: Callable[[], Mapping[str, Mapping[str, str]]],
        behind: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """`partial`: by relay and subscription, why the past was read in part; `behind`: relays still to tell it."""
        self._states = states
        self._partial = partial
        self._behind = behind

    def unserved(self) -> list[str]:
        """The subscriptions that no relay serves: the events they ask for are missing here."""
        names = [set(gaps) for gaps in self._all().values()]
        return sorted(set.intersection(*names)) if names else []

    def remarks(self) -> list[str]:
        """One line for each relay that is away, punished or behind, and for each gap, with words made safe to show."""
        configured = [one for one in self._states() if one.is_configured]
        return [
            *(
                f"{one.url} {_ABSENT[one.state]}: {single_line(one.last_error or 'not known', _MAX_WORDS)}"
                for one in configured
                if one.state in _ABSENT
            ),
            *(f"{url} has not told yet what happened before" for url in self._behind()),
            *(
                f"{url} does not serve {name}: {single_line(words, _MAX_WORDS)}"
                for url, gaps in self._all().items()
                for name, words in gaps.items()
            ),
        ]

    def _all(self) -> dict[str, dict[str, str]]:
        partial = self._partial()
        states = [one for one in self._states() if one.is_configured and one.read]
        return {one.url: {**partial.get(one.url, {}), **one.closed_subscriptions} for one in states}
