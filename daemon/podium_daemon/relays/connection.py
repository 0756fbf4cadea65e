"""The connection to one relay: opened, kept, opened again with growing delays, and left alone when it misbehaves."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import NoReturn

import msgspec
import structlog

from podium_daemon.relays.addresses import AddressRefused, Destination
from podium_daemon.relays.incoming import OnEose, Sink
from podium_daemon.relays.information import Information
from podium_daemon.relays.paged_fetch import FetchQueue
from podium_daemon.relays.publishing import OnOutcome, Prepared, PublishOutcome
from podium_daemon.relays.pump import AuthSigner, Idle, Misbehaved, Pump
from podium_daemon.relays.relay_state import (
    CollectingSubscription,
    ConnectionOptions,
    ConnectionState,
    PoolRelay,
    RelayState,
    RelayStatus,
    SinceFor,
)
from podium_daemon.relays.websocket import SocketLost, WebSocket
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.filters import Filter
from podium_protocol.limits import MAX_DELAY
from podium_protocol.nips.nip11 import RelayLimits
from podium_protocol.relay import backoff
from podium_protocol.relay.verdicts import BlockedByRelay, Unknown, Violation
from podium_storage.errors import damage_in, disk_trouble_in

Resolve = Callable[[str], Awaitable[Destination | AddressRefused]]
"""From a relay's URL to where to connect; for strangers' URLs it is the guard of `addresses`."""

_log = structlog.get_logger(__name__)
_STATES_AWAY = frozenset((ConnectionState.WAITING, ConnectionState.PENALTY, ConnectionState.STOPPED))


class _Refused(Exception):
    """The URL must not, or cannot, be connected to."""


class _Away(msgspec.Struct, frozen=True):
    """There is no connection; how long none is tried. `is_final`: queued events will never be sent to this relay."""

    state: ConnectionState
    why: str
    seconds: float
    is_final: bool = False


class RelayConnection:
    """One relay. It is used by the event loop's thread only."""

    def __init__(
        self,
        relay: PoolRelay,
        *,
        is_configured: bool,
        resolve: Resolve,
        tls: ssl.SSLContext,
        sink: Sink,
        on_eose: OnEose,
        signer: AuthSigner | None,
        options: ConnectionOptions,
        clock: Clock,
    ) -> None:
        """Nothing is opened before `run`. `signer` is asked only for relays configured with `auth`."""
        self.relay = relay
        self.url = relay.url
        self.is_configured = is_configured
        self.state = ConnectionState.IDLE
        self._relay_state = RelayState(
            relay,
            is_configured=is_configured,
            may_authenticate=is_configured and relay.auth and signer is not None,
            options=options,
            clock=clock,
        )
        self.turns = FetchQueue(lambda: self._relay_state.shared.room_for_questions)
        self._resolve = resolve
        self._information = Information(tls=tls, clock=clock)
        self._tls = tls
        self._sink = sink
        self._on_eose = on_eose
        self._signer = signer
        self._options = options
        self._clock = clock
        self._pump: Pump | None = None
        self._work = asyncio.Event()
        self._changed = asyncio.Event()
        self._delays = backoff.delays(random.random)
        self._again_at = 0.0  # monotonic, while waiting
        self._last_error: str | None = None
        self._verdict: Unknown | BlockedByRelay = Unknown("not connected")  # on what cannot be sent, while it is away
        self._connections = 0
        self._connected_since: float | None = None
        self.last_used = clock.monotonic()
        self.farewell = "the daemon is stopping"
        """Why the connection ends, in words."""

    # -- what is wanted ------------------------------------------------------------------------------------------------

    def subscribe(self, name: str, filters: tuple[Filter, ...], since_for: SinceFor | None = None) -> None:
        """Ask for events, now and after each reconnect; a second call with the name replaces the filters.

        Raises:
            LocalProtocolError: a name or filters that NIP-01 does not allow.
        """
        self._relay_state.subscribe(name, filters, since_for)
        self._wake()

    def unsubscribe(self, name: str) -> None:
        """End a subscription."""
        self._relay_state.unsubscribe(name)
        self.turns.look_again()
        self._wake()

    def filters_of(self, name: str) -> tuple[Filter, ...] | None:
        """The filters last sent to the relay under this name, against which its events are checked."""
        return self._relay_state.shared.filters_of(name)

    @property
    def limits(self) -> RelayLimits:
        """The limits that the relay named when it was last asked (NIP-11)."""
        return self._information.limits

    def publish(self, event: Prepared, tell: OnOutcome) -> None:
        """Queue an event; `tell` is called with its outcome, at once if the relay cannot be reached."""
        if self.state in _STATES_AWAY:
            retry_after = None if isinstance(self._verdict, BlockedByRelay) else self._wait_left()
            tell(PublishOutcome(event.id, self.url, self._verdict, retry_after))
            return
        self._relay_state.window.add(event, tell)
        self._wake()

    def open_query(self, name: str, wanted: Filter, question: CollectingSubscription) -> None:
        """Ask once; `question` is told at once if the relay cannot be reached."""
        if self.state in _STATES_AWAY:
            question.on_end(self._verdict.message)
            return
        self._relay_state.open_query(name, wanted, question)
        self._wake()

    def withdraw(self, name: str) -> None:
        """Drop a question."""
        self._relay_state.withdraw(name)
        self._wake()

    def report_violation(self, *violations: Violation) -> None:
        """Count faults of the relay that were found in its events."""
        self._relay_state.report_violation(*violations)

    # -- how it is doing -----------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether the relay has nothing to do, so that it may be dropped."""
        return not self._relay_state.has_work

    @property
    def is_punished(self) -> bool:
        """Whether it is in the penalty box."""
        return self.state is ConnectionState.PENALTY

    def silent_for(self, now: float) -> float:
        """Seconds for which events were sent and the relay has answered nothing; `now` is monotonic seconds."""
        return self._relay_state.window.silent_for(now)

    async def until(self, *states: ConnectionState) -> None:
        """Wait for one of these states."""
        while self.state not in states:
            await self._changed.wait()

    def status(self) -> RelayStatus:
        """The state of the connection now."""
        relay_state, window, now = self._relay_state, self._relay_state.window, self._clock.monotonic()
        paused = window.pause.seconds_left(now)
        return RelayStatus(
            url=self.url,
            is_configured=self.is_configured,
            read=self.relay.read,
            write=self.relay.write,
            dm=self.relay.dm,
            auth=self.relay.auth,
            state=self.state,
            last_error=self._last_error,
            last_notice=relay_state.last_notice,
            last_refusal=relay_state.last_refusal,
            connected_since=self._connected_since,
            next_attempt_at=self._clock.now() + self._wait_left() if self.state in _STATES_AWAY else None,
            publishing_paused_until=self._clock.now() + paused if paused else None,
            last_ok_at=relay_state.last_ok_at,
            last_eose_at=relay_state.last_eose_at,
            connections=self._connections,
            received=relay_state.received,
            published=window.counts["done"],
            refused=window.counts["refused"],
            unknown=window.counts["unknown"],
            queued=window.queued,
            on_the_way=window.on_the_way,
            score=relay_state.session.misbehaviour.score(now),
            violations={violation.value: count for violation, count in relay_state.session.misbehaviour.counts.items()},
            closed_subscriptions=relay_state.closed,
            limits=self.limits,
        )

    # -- running -------------------------------------------------------------------------------------------------------

    async def run(self, stop: Stop) -> None:
        """Keep the connection until the stop."""
        try:
            await wait_for_first(self._keep(stop), stop.wait())
        finally:
            self.never_run()

    def never_run(self) -> None:
        """Return all queued events and questions of a connection that will never be opened as failed."""
        self._away(_Away(ConnectionState.STOPPED, self.farewell, 0.0))

    async def _keep(self, stop: Stop) -> None:
        while True:
            while not self._relay_state.has_work:
                await self._work.wait()
                self._work.clear()
            away = await self._connect_once()
            if away is None:
                self._enter(ConnectionState.IDLE)
            else:
                self._away(away)
                await stop.wait_for(away.seconds)

    async def _connect_once(self) -> _Away | None:
        """Open a connection and run it to its end; return why it ended and what follows, or None if nothing is left."""
        if self._relay_state.is_banned():
            return self._penalty(self._last_error or "")  # its faults outlast one penalty
        self._enter(ConnectionState.CONNECTING)
        try:
            await self._use(await self._open())
        except Idle:
            return None
        except Misbehaved as error:
            return self._penalty(str(error))
        except SocketLost as error:
            why = str(error)
        except _Refused as error:
            return _Away(ConnectionState.WAITING, str(error), MAX_DELAY, is_final=True)
        except Exception as error:  # a boundary: a fault of ours, or the sink's, ends no other relay
            if damage_in(error) is not None:
                raise  # no relay can help the database
            why = self._own_fault(error)
        if self._relay_state.is_banned():
            return self._penalty(why)
        return _Away(ConnectionState.WAITING, why, next(self._delays))

    def _own_fault(self, error: Exception) -> str:
        if (trouble := disk_trouble_in(error)) is not None:
            why = f"what it sent could not be stored, and is asked for again: {trouble}"
            _log.warning("what a relay sent could not be stored", action="relay.not_stored", relay=self.url, error=why)
            return why
        _log.exception("a relay connection failed", action="relay.failed", relay=self.url)
        return f"internal error: {type(error).__name__}"

    def _penalty(self, why: str) -> _Away:
        return _Away(ConnectionState.PENALTY, why, self._options.penalty)

    async def _open(self) -> WebSocket:
        to = await self._resolve(self.url)
        if isinstance(to, AddressRefused):
            raise _Refused(to.reason) if to.is_lasting else SocketLost(to.reason)
        options = self._options
        asking = asyncio.create_task(self._information.read(to), name=f"information of {self.url}")
        try:
            socket = await WebSocket.open(
                to,
                tls=self._tls,
                max_frame_bytes=options.max_socket_frame
                if self.is_configured
                else options.max_socket_frame_of_strangers,
                within=options.open_within,
            )
        except BaseException:
            asking.cancel()
            raise
        try:
            self._relay_state.on_connecting(await asking)  # before the first REQ: the relay may allow few
        except BaseException:
            socket.abandon()
            raise
        return socket

    async def _use(self, socket: WebSocket) -> NoReturn:
        session, began = self._relay_state.session, self._clock.monotonic()
        pump = self._pump = Pump(
            socket,
            self._relay_state,
            sink=self._sink,
            on_eose=self._on_eose,
            signer=self._signer,
            options=self._options,
            clock=self._clock,
        )
        session.connected(began)
        self._relay_state.on_connected()
        self._connections += 1
        self._connected_since = self._clock.now()
        self.turns.look_again()
        self._enter(ConnectionState.OPEN)
        try:
            await pump.run()
        except SocketLost:
            socket.abandon()
            raise
        finally:
            self._enter(ConnectionState.CLOSING)
            self._pump = None
            self._connected_since = None
            if backoff.is_proven(self._clock.monotonic() - began, session.has_answered):
                self._delays = backoff.delays(random.random)
            session.disconnected()
            self._relay_state.settle_disconnected()
            await socket.close()

    def _away(self, away: _Away) -> None:
        """Note that the relay cannot be reached, and return its queued events to their callers."""
        self._last_error = away.why
        self._again_at = self._clock.monotonic() + away.seconds
        words = f"not connected: {away.why}"
        self._verdict = BlockedByRelay(words) if away.is_final else Unknown(words)
        self._enter(away.state)
        if away.state is not ConnectionState.STOPPED:
            log = _log.warning if away.state is ConnectionState.PENALTY else _log.info
            log("relay away", action="relay.away", relay=self.url, why=away.why, seconds=round(away.seconds, 1))
        self._relay_state.on_disconnected(words)
        self._relay_state.window.refuse_queued(self._verdict, None if away.is_final else away.seconds)

    def _wait_left(self) -> float:
        return max(0.0, self._again_at - self._clock.monotonic())

    def _enter(self, state: ConnectionState) -> None:
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _wake(self) -> None:
        self.last_used = self._clock.monotonic()
        self._work.set()
        if self._pump is not None:
            self._pump.wake()
