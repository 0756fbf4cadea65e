"""The pump of one open connection: it brings frames from the socket to the session, and the session's output onwards.

Three tasks: one reads, one writes, one looks at the clock. While too much of what was read is not stored yet, the
socket is not read, so that a consumer that is behind slows the relay down instead of filling the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, NoReturn

import structlog

from podium_daemon.relays.framing import Received
from podium_daemon.relays.incoming import Incoming, OnEose, Sink
from podium_daemon.relays.relay_state import ConnectionOptions, RelayState
from podium_daemon.relays.websocket import SocketLost, WebSocket
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.tasks import uncancelled
from podium_protocol.events import SignedEvent
from podium_protocol.messages import EventFrame, NoticeFrame
from podium_protocol.relay.events import (
    AuthAnswered,
    AuthNeeded,
    EndOfStored,
    Published,
    SessionEvent,
    SubscriptionClosed,
)
from podium_protocol.relay.verdicts import Violation

AuthSigner = Callable[[str, str], Awaitable[SignedEvent]]
"""From (relay URL, challenge) to the signed login (`nip42.write_auth`). It may take long, and it may raise."""

MAX_AHEAD: Final = 4_096
"""Events of one relay that the sink is not done with, above which the relay is not read on."""

MAX_BYTES_AHEAD: Final = 2 * 1024 * 1024
"""The same in bytes of events."""

# in one step, which reads 64 KiB at most
_CONTROLS_AT_ONCE: Final = 16  # honest relays ping once in half a minute
_FRAGMENTS_AT_ONCE: Final = 256  # honest ones are of kilobytes
_log = structlog.get_logger(__name__)


class ConnectionEnded(Exception):
    """We end the connection ourselves; the text says why."""


class Idle(ConnectionEnded):
    """There was nothing to do for a while on a relay that is not configured."""


class Misbehaved(ConnectionEnded):
    """The relay's faults are too many."""


class Pump:
    """Runs one open connection until it ends."""

    def __init__(
        self,
        socket: WebSocket,
        relay_state: RelayState,
        *,
        sink: Sink,
        on_eose: OnEose,
        signer: AuthSigner | None,
        options: ConnectionOptions,
        clock: Clock,
    ) -> None:
        """`sink` and `on_eose` are called in the relay's order; `signer` None: no logins."""
        self._socket = socket
        self._relay_state = relay_state
        self._session = relay_state.session
        self._sink = sink
        self._on_eose = on_eose
        self._signer = signer
        self._options = options
        self._clock = clock
        self._work = asyncio.Event()
        self._ahead = self._bytes_ahead = 0
        self._waits = 0  # for the sink or for those who are told of an EOSE
        self._progress = asyncio.Event()
        self._heard_at = self._used_at = clock.monotonic()
        self._pinged_at: float | None = None
        self._tasks: asyncio.TaskGroup | None = None

    def wake(self) -> None:
        """Tell the pump that there may be something to send."""
        self._work.set()

    async def run(self) -> NoReturn:
        """Pump until the connection ends.

        Raises:
            SocketLost: the relay, or the network, ended it.
            Ended: we ended it.
        """
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for task in (self._read(), self._write(), self._watch()):
                    self._tasks.create_task(uncancelled(task, f"relay {self._relay_state.url}"))
        except* (SocketLost, ConnectionEnded) as ended:
            why = ended.exceptions[0]
        raise why

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _read(self) -> NoReturn:
        while True:
            received = await self._receive()
            now = self._heard_at = self._clock.monotonic()
            self._report(received)
            for text in received.texts:
                self._session.receive(text, now)
            await self._hand_on()
            if self._ahead > MAX_AHEAD or self._bytes_ahead > MAX_BYTES_AHEAD:
                await self._hold_up(MAX_AHEAD, MAX_BYTES_AHEAD)
            self._check_conduct()
            self.wake()
            await asyncio.sleep(0)  # the next piece may be there already: let others run first

    def _report(self, received: Received) -> None:
        controls, fragments = received.controls - _CONTROLS_AT_ONCE, received.fragments - _FRAGMENTS_AT_ONCE
        floods = [Violation.FLOOD] * (max(0, controls) + max(0, fragments))
        self._relay_state.report_violation(*[Violation.BAD_FRAME] * received.binaries, *floods)

    async def _receive(self) -> Received:
        try:
            return await self._socket.receive()
        except SocketLost as lost:
            if lost.oversized:
                self._relay_state.report_violation(Violation.OVERSIZED_FRAME)
            await self._hold_up(0, 0)  # what came before it was lost counts
            raise

    async def _hand_on(self) -> None:
        """Take the session's output and deliver it, events first."""
        batch: list[Incoming] = []
        later: list[SessionEvent] = []
        url = self._relay_state.url
        for event in self._session.events_received():
            if type(event) is not EventFrame:
                later.append(event)
            elif (question := self._relay_state.question(event.subscription_id)) is not None:
                question.on_event(event.raw)
            else:
                owner = self._relay_state.owner_of(event.subscription_id, event.raw)
                batch.append(Incoming(url, owner, event.raw))
        # answers to publications do not wait for a slow consumer of events
        ends = [event for event in later if not self._note(event)]
        if batch:
            self._relay_state.received += len(batch)
            self._store(batch)
        for end in ends:
            await self._hold_up(0, 0)
            with self._not_reading():
                await self._on_end(end)

    def _store(self, batch: Sequence[Incoming]) -> None:
        """Hand a batch to the sink, and count it until the sink is done with it; a failure ends the connection."""
        size = sum(len(memoryview(one.raw)) for one in batch)
        storing = self._sink(batch)
        self._ahead += len(batch)
        self._bytes_ahead += size

        async def wait() -> None:
            await storing
            self._ahead -= len(batch)
            self._bytes_ahead -= size
            self._progress.set()

        assert self._tasks is not None
        self._tasks.create_task(uncancelled(wait(), f"relay {self._relay_state.url}"))

    async def _hold_up(self, events: int, size: int) -> None:
        """Wait until the sink is done with all but this much."""
        with self._not_reading():
            while self._ahead > events or self._bytes_ahead > size:
                self._progress.clear()
                await self._progress.wait()

    @contextlib.contextmanager
    def _not_reading(self) -> Iterator[None]:
        """While we do not read, the relay's silence is ours."""
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            self._heard_at = self._clock.monotonic()

    def _note(self, event: SessionEvent) -> bool:
        """Handle an event of the session that needs no waiting; whether it was one of these."""
        match event:
            case Published():
                self._relay_state.on_published(event)
            case AuthNeeded(challenge):
                assert self._tasks is not None
                self._tasks.create_task(self._log_in(challenge))
            case AuthAnswered(verdict):
                _log.info(
                    "login answered", action="relay.login", relay=self._relay_state.url, verdict=type(verdict).__name__
                )
            case NoticeFrame(message):
                self._relay_state.on_notice(message)
            case _:
                return False
        return True

    async def _on_end(self, event: SessionEvent) -> None:
        match event:
            case SubscriptionClosed(subscription_id, verdict):
                self._relay_state.on_closed(subscription_id, verdict)
            case EndOfStored(subscription_id, partial):
                for name in self._relay_state.on_end_of_stored(subscription_id, partial=partial):
                    await self._on_eose(name, self._relay_state.url, partial)
            case _:
                raise AssertionError(f"not an end: {event!r}")

    async def _log_in(self, challenge: str) -> None:
        """Have the challenge signed. A failure there fails only the requests that wait for the login."""
        assert self._signer is not None  # or the session would not have asked
        try:
            login = await self._signer(self._relay_state.url, challenge)
            self._session.authenticate(login, self._clock.monotonic())
        except Exception as error:  # noqa: BLE001  (a boundary: the signer is another program)
            _log.warning("cannot log in", action="relay.login_failed", relay=self._relay_state.url, why=str(error))
            self._session.cannot_authenticate(f"the login could not be signed: {error}")
        await self._hand_on()
        self.wake()

    # -- writing -------------------------------------------------------------------------------------------------------

    async def _write(self) -> NoReturn:
        while True:
            now = self._clock.monotonic()
            pause = self._relay_state.window.feed(
                self._session, now, beside_subscriptions=self._relay_state.has_subscriptions
            )
            frames = self._session.data_to_send()
            if frames:
                self._used_at = now
                self._relay_state.pacer.note(len(frames), now)
                self._socket.send_texts(frames)
                await self._socket.drain()
                continue
            if pause is not None:
                assert self._tasks is not None
                self._tasks.create_task(self._wake_after(pause))
            await self._work.wait()
            self._work.clear()

    async def _wake_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self.wake()

    # -- the clock -----------------------------------------------------------------------------------------------------

    async def _watch(self) -> NoReturn:
        while True:
            await self._clock.sleep(self._options.tick)
            now = self._clock.monotonic()
            self._check_conduct()
            self._check_use(now)
            if self._waits:
                continue  # nothing is overdue while we are the ones who do not read
            self._check_life(now)
            self._relay_state.tick(now)
            self._session.tick(now)
            await self._hand_on()
            self.wake()

    def _check_conduct(self) -> None:
        if self._relay_state.is_banned():
            raise Misbehaved(f"it broke the rules too often: {self._relay_state.faults()}")

    def _check_use(self, now: float) -> None:
        if self._relay_state.has_work:
            self._used_at = now
        elif now - self._used_at >= self._options.idle_close:
            raise Idle("nothing to do there")

    def _check_life(self, now: float) -> None:
        """Ping after a silence: half-open connections never end by themselves."""
        if self._pinged_at is not None and self._heard_at >= self._pinged_at:
            self._pinged_at = None
        if self._pinged_at is not None:
            if now - self._pinged_at >= self._options.ping_within:
                raise SocketLost(f"it has been silent for {now - self._heard_at:.0f} s, even to a ping")
        elif now - self._heard_at >= self._options.ping_after:
            self._pinged_at = now
            self._socket.ping()
