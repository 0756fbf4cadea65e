"""All relays together: subscriptions, publishing, fetching, and the state of each relay.

Configured relays are kept open. Others, such as the message relays of recipients, are opened when there is something to
do there and closed again (`known_relays`). A stranger chose their URLs, so they are guarded (`addresses`) and we never
log in to them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec

from podium_daemon.relays.addresses import (
    AddressRefused,
    Destination,
    Lookup,
    Network,
    SystemLookup,
    resolve_configured,
    resolve_public,
)
from podium_daemon.relays.connection import RelayConnection
from podium_daemon.relays.embedded_gate import INSIDE
from podium_daemon.relays.incoming import Incoming, OnEose, Sink
from podium_daemon.relays.known_relays import KnownRelays
from podium_daemon.relays.paged_fetch import MAX_BYTES, FetchedFromRelay, FetchResult, PagedFetch
from podium_daemon.relays.publishing import (
    MAX_ON_THE_WAY,
    OnOutcome,
    Prepared,
    PublishOutcome,
    prepare_wave,
    prepared,
    recipient_of,
)
from podium_daemon.relays.pump import AuthSigner
from podium_daemon.relays.relay_state import (
    ConnectionOptions,
    ConnectionState,
    PoolRelay,
    RelayStatus,
    SinceFor,
)
from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.trust import no_trust, system_trust
from podium_protocol.errors import InvalidInput
from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.nips.nip11 import RelayLimits
from podium_protocol.relay.verdicts import BlockedByRelay, Unknown, Violation
from podium_protocol.relay_url import normalise

__all__ = [
    "FetchResult",
    "FetchedFromRelay",
    "Incoming",
    "PoolRelay",
    "Prepared",
    "PublishOutcome",
    "RelayPool",
    "RelayStatus",
]

MAX_IN_HAND: Final = 2 * MAX_ON_THE_WAY
"""Events of one fan-out that a relay has not answered: those on their way, and as many again to follow."""

Flag = Literal["read", "write", "dm"]


class _Subscription(msgspec.Struct, frozen=True):
    filters: tuple[Filter, ...]
    relays: frozenset[str] | None  # None: all relays configured with `read`
    since_for: SinceFor | None


class RelayPool:
    """The service that keeps the connections. Relay URLs are compared in their one spelling (`relay_url`)."""

    name = "relays"

    def __init__(
        self,
        relays: Iterable[PoolRelay],
        *,
        sink: Sink,
        on_eose: OnEose | None = None,
        signer: AuthSigner | None = None,
        clock: Clock | None = None,
        options: ConnectionOptions | None = None,
        lookup: Lookup | None = None,
        permitted: Iterable[Network] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is opened before `run`; subscriptions may be made before.

        `sink` takes the events of subscriptions. `signer` signs logins to relays configured with `auth`. `permitted`:
        networks that are not public, but where strangers' relays may be.

        Raises:
            InvalidInput: a relay's URL is none, or is listed twice.
        """
        self._sink = sink
        self._on_eose = on_eose or _ignore_eose
        self._signer = signer
        self._clock = clock or SystemClock()
        self._options = options or ConnectionOptions()
        self._lookup = lookup or SystemLookup()
        self._permitted = tuple(permitted)
        self._tls = tls
        self._subscriptions: dict[str, _Subscription] = {}
        self._relays = KnownRelays(self._connection, self._clock)
        self._own_url: str | None = None
        self._own_port: Callable[[], int | None] = lambda: None
        self.configure(relays)

    # -- the relays ----------------------------------------------------------------------------------------------------

    def reach_inside(self, url: str, port: Callable[[], int | None]) -> None:
        """Connect to this relay, which is our own, at this port of loopback, whatever its URL says."""
        self._own_url, self._own_port = normalise(url), port

    def configure(self, relays: Iterable[PoolRelay]) -> None:
        """Replace the list of configured relays; connections to unchanged relays stay open.

        Raises:
            InvalidInput: a relay's URL is none, or is listed twice. Nothing has changed then.
        """
        self._relays.configure(relays)

    def ensure(self, url: str, whose: str = "") -> str | AddressRefused:
        """Add a relay that is not configured, to be opened when there is something to do; return its normalised URL.

        Its host is resolved and checked each time it is opened. `whose`: the recipient for whom it is, who gets a fair
        share of the places (`places`). If there is no place now, the refusal says when to ask again.
        """
        return self._relays.ensure(url, whose)

    def urls(self, flag: Flag) -> tuple[str, ...]:
        """The configured relays with this flag, in the order of the configuration."""
        return tuple(url for url, one in self._relays.configured.items() if getattr(one.relay, flag))

    def states(self) -> tuple[RelayStatus, ...]:
        """The state of each configured relay, then of the other known ones."""
        return tuple(one.status() for one in self._relays.all())

    def limits_of(self, urls: Iterable[str]) -> tuple[RelayLimits, ...]:
        """The limits of the known relays among `urls` (NIP-11), as last read; no request is made."""
        return tuple(connection.limits for url in urls if (connection := self._relays.find(url)) is not None)

    def connections_of(self, url: str) -> int:
        """The number of connections to a relay that were opened so far; 0 for an unknown relay."""
        connection = self._relays.find(url)
        return 0 if connection is None else connection.status().connections

    async def until(self, url: str, *states: ConnectionState) -> None:
        """Wait until a known relay is in one of these states.

        Raises:
            KeyError: it is not known.
        """
        await self._relays.known(url).until(*states)

    def report_violation(self, url: str, *violations: Violation) -> None:
        """Count faults of a relay that were found in its events; too many put it in the penalty box."""
        if (connection := self._relays.find(url)) is not None:
            connection.report_violation(*violations)

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def subscribe(
        self,
        name: str,
        filters: Sequence[Filter],
        *,
        relays: Iterable[str] | None = None,
        since_for: SinceFor | None = None,
    ) -> None:
        """Ask for events, over all reconnects; a second call with the name replaces the filters and the relays.

        `relays` None: all that are configured with `read`, also in future. `since_for(url)` is the Unix time of that
        relay's last EOSE; a REQ starts one hour before it (two days for gift wraps).

        Raises:
            LocalProtocolError: a name or filters that NIP-01 does not allow.
            InvalidInput: a relay that may not be connected to.
        """
        targets = None if relays is None else frozenset(self._ensured(url) for url in relays)
        subscription = _Subscription(tuple(filters), targets, since_for)
        self._apply(name, subscription)
        self._subscriptions[name] = subscription

    def replace(self, name: str, filters: Sequence[Filter]) -> None:
        """Replace the filters of a live subscription; the relays and the rest stay.

        Raises:
            KeyError: there is no subscription of that name.
            LocalProtocolError: filters that NIP-01 does not allow.
        """
        subscription = msgspec.structs.replace(self._subscriptions[name], filters=tuple(filters))
        self._apply(name, subscription)
        self._subscriptions[name] = subscription

    def unsubscribe(self, name: str) -> None:
        """End a subscription."""
        if self._subscriptions.pop(name, None) is not None:
            for connection in self._relays.all():
                connection.unsubscribe(name)

    def filters_of(self, url: str, name: str) -> tuple[Filter, ...]:
        """The filters last sent to that relay under this name, against which its events are checked; may be empty."""
        connection = self._relays.find(url)
        return (connection.filters_of(name) or ()) if connection is not None else ()

    # -- publishing ----------------------------------------------------------------------------------------------------

    async def publish(self, url: str, event: SignedEvent | Prepared) -> PublishOutcome:
        """Publish one event at one relay, and wait for its outcome.

        It does not wait for a relay that cannot be reached: the outcome then says when to try again.
        """
        told: asyncio.Future[PublishOutcome] = asyncio.get_running_loop().create_future()

        def tell(outcome: PublishOutcome) -> None:
            if not told.done():  # the task that waited may have been cancelled
                told.set_result(outcome)

        self._hand_over(url, [prepared(event)], tell)
        return await told

    async def publish_many(self, url: str, events: Iterable[SignedEvent | Prepared]) -> AsyncIterator[PublishOutcome]:
        """Publish events at one relay, many at a time; outcomes come as the relay answers, in its order.

        Events are taken from the iterable as there is room for them, so that they can be made then.
        """
        outcomes: asyncio.Queue[PublishOutcome] = asyncio.Queue()
        left, is_more, in_hand = iter(events), True, 0
        while is_more or in_hand:
            if is_more and in_hand <= MAX_IN_HAND // 2:
                wave = prepare_wave(left, MAX_IN_HAND - in_hand, self._clock.monotonic)
                self._hand_over(url, wave, outcomes.put_nowait)
                is_more, in_hand = bool(wave), in_hand + len(wave)
                await asyncio.sleep(0)  # making them may have taken long
            else:
                yield await outcomes.get()
                in_hand -= 1

    def _hand_over(self, url: str, events: Iterable[Prepared], tell: OnOutcome) -> None:
        handed = list(events)
        normal = self.ensure(url, recipient_of(handed[0].json) if handed else "")
        if isinstance(normal, AddressRefused):
            later = normal.retry_after
            verdict = (
                BlockedByRelay(f"not sent: {normal.reason}") if later is None else Unknown(f"waiting: {normal.reason}")
            )
            for event in handed:
                tell(PublishOutcome(event.id, normal.url, verdict, later, was_tried=False))
            return
        connection = self._relays.known(normal)
        for event in handed:
            connection.publish(event, tell)

    # -- fetching ------------------------------------------------------------------------------------------------------

    async def fetch(
        self,
        relays: Iterable[str] | None,
        filters: Sequence[Filter],
        *,
        within: float = 30.0,
        at_most: int = 10_000,
        max_bytes: int = MAX_BYTES,
    ) -> FetchResult:
        """Read all that relays have stored for the filters, page after page, from all of them at once.

        `relays` None: those configured with `read`. `within`: seconds for each. `at_most`: events of each. `max_bytes`:
        size of each one's answer to each filter. The answer of a relay that cannot be reached, is slow or refuses has a
        `problem`, besides the events that it gave until then.
        """
        urls = dict.fromkeys(self.urls("read") if relays is None else relays)
        answers = await asyncio.gather(*(self._fetch_one(url, filters, within, at_most, max_bytes) for url in urls))
        return FetchResult(tuple(answers))

    async def _fetch_one(
        self, url: str, filters: Sequence[Filter], within: float, at_most: int, max_bytes: int
    ) -> FetchedFromRelay:
        normal = self.ensure(url)
        if isinstance(normal, AddressRefused):
            return FetchedFromRelay(normal.url, (), normal.reason)
        return await PagedFetch(self._relays.known(normal), filters, at_most, max_bytes).run(within)

    # -- running -------------------------------------------------------------------------------------------------------

    async def run(self, stop: Stop) -> None:
        """Keep the connections until the stop."""
        await self._relays.run(stop)

    def _connection(self, relay: PoolRelay, is_configured: bool) -> RelayConnection:
        connection = RelayConnection(
            relay,
            is_configured=is_configured,
            resolve=self._resolve_configured if is_configured else self._resolve_stranger,
            tls=self._tls or (system_trust() if relay.url.startswith("wss:") else no_trust()),
            sink=self._sink,
            on_eose=self._on_eose,
            signer=self._signer,
            options=self._options,
            clock=self._clock,
        )
        for name, subscription in self._subscriptions.items():
            if _concerns(subscription, connection):
                connection.subscribe(name, subscription.filters, subscription.since_for)
        return connection

    def _apply(self, name: str, subscription: _Subscription) -> None:
        for connection in self._relays.all():
            if _concerns(subscription, connection):
                connection.subscribe(name, subscription.filters, subscription.since_for)
            else:
                connection.unsubscribe(name)

    def _ensured(self, url: str) -> str:
        if isinstance(normal := self.ensure(url), AddressRefused):
            raise InvalidInput(f"{normal.url}: {normal.reason}")
        return normal

    async def _resolve_configured(self, url: str) -> Destination | AddressRefused:
        found = await resolve_configured(url, self._lookup)
        if url != self._own_url or isinstance(found, AddressRefused) or (port := self._own_port()) is None:
            return found
        return msgspec.structs.replace(found, port=port, addresses=(INSIDE,))

    async def _resolve_stranger(self, url: str) -> Destination | AddressRefused:
        return await resolve_public(url, self._lookup, permitted=self._permitted)


def _concerns(subscription: _Subscription, connection: RelayConnection) -> bool:
    if subscription.relays is None:
        return connection.is_configured and connection.relay.read
    return connection.url in subscription.relays


async def _ignore_eose(name: str, url: str, partial: bool) -> None:
    pass
