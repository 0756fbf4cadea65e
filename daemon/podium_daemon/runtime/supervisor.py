"""Runs the daemon's services together, and stops them in order.

One task group owns every service. A service that returns before it was asked to is a failure, an exception in one stops
the others, and the error says which it was. The first SIGTERM or SIGINT drains, the second ends at once, and the whole
stop takes 10 s at most (docs/hardening.md, rule 6).
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import chain
from types import FrameType
from typing import Final, Protocol, TypeVar, runtime_checkable

import structlog

from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.tasks import ServiceFailed, uncancelled, wait_for_first

STOP_WITHIN: Final = 10.0  # seconds, for all services together
_DRAIN_SHARE: Final = 0.8  # of that; the rest is for cancelling what did not drain
_RESERVE: Final = 0.02  # of that, for each stage that has yet to stop: one that hangs must not use up its time
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_STDERR: Final = 2  # the descriptor: `sys.stderr` may have been replaced by something that is no file

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Stop:
    """Asks for a stop, and wakes all tasks that wait for it at once: services wait on it instead of sleeping."""

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock` measures `wait_for`; the machine's by default."""
        self._clock = clock or SystemClock()
        self._event = asyncio.Event()
        self._cuts: dict[asyncio.Timeout, float] = {}

    def set(self) -> None:
        """Ask for the stop. Asking again changes nothing."""
        if not self._event.is_set():
            self._event.set()
            for cut, seconds in self._cuts.items():
                cut.reschedule(asyncio.get_running_loop().time() + seconds)

    def is_set(self) -> bool:
        """Whether the stop was asked for."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait for the stop, however long it takes."""
        await self._event.wait()

    async def wait_for(self, seconds: float) -> bool:
        """Wait for `seconds` at most. True: the stop came. False: the time is over."""
        return await _happens_within(self._event.wait(), seconds, self._clock) if not self.is_set() else True

    @contextlib.asynccontextmanager
    async def cutting(self, seconds: float) -> AsyncIterator[None]:
        """Run the block, but no longer than `seconds` after the stop.

        Raises:
            TimeoutError: it was cancelled then.
        """
        async with asyncio.timeout(seconds if self.is_set() else None) as cut:
            self._cuts[cut] = seconds
            try:
                yield
            finally:
                del self._cuts[cut]


class Service(Protocol):
    """Something that runs until it is asked to stop."""

    @property
    def name(self) -> str:
        """The service's name in errors and logs."""
        ...

    async def run(self, stop: Stop, /) -> None:
        """Work until `stop` is set, then finish what is under way and return."""
        ...


@runtime_checkable
class Announcing(Protocol):
    """A service that says when it is ready: the services listed after it start only then."""

    ready: asyncio.Event


class Supervisor:
    """Starts services in the order given and stops them in the reverse order, those of one stage side by side."""

    def __init__(
        self,
        services: Sequence[Service | tuple[Service, ...]],
        *,
        clock: Clock | None = None,
        within: float = STOP_WITHIN,
    ) -> None:
        """Take the services; those in a tuple are one stage: while they stop, none of them needs another.

        `within`: seconds that stopping all services may take.

        Raises:
            ValueError: two services have the same name, so that an error could not say which it was.
        """
        self._stages = tuple(one if isinstance(one, tuple) else (one,) for one in services)
        self._services = tuple(chain.from_iterable(self._stages))
        names = [service.name for service in self._services]
        if len(set(names)) != len(names):
            raise ValueError(f"services need different names: {sorted(names)}")
        self._clock = clock or SystemClock()
        self._within = within
        self._stopping = asyncio.Event()
        self._failures: list[ServiceFailed] = []
        self._running: list[_Running] = []
        self.ready = asyncio.Event()
        """Set when every service has started and those that announce it are ready."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of services that do not run yet, or no longer run."""
        running = {one.service.name for one in self._running if not one.task.done()}
        return tuple(service.name for service in self._services if service.name not in running)

    def stop(self, why: str) -> None:
        """Ask all services to finish, the last one first. Asking again changes nothing."""
        if not self._stopping.is_set():
            _log.info("stopping", action="supervisor.stopping", why=why)
            self._stopping.set()

    async def run(self) -> None:
        """Run until `stop`, or until a service fails, then stop all.

        Raises:
            ServiceFailed: a service failed, or had to be cancelled; further failures are added as notes.
        """
        async with asyncio.TaskGroup() as group:
            await self._start(group, self._running)
            await self._stopping.wait()
            await self._drain(self._running)
        if self._failures:
            first, *others = self._failures
            for other in others:
                first.add_note(f"then {other}")
            raise first

    async def _start(self, group: asyncio.TaskGroup, running: list[_Running]) -> None:
        for service in self._services:
            if self._stopping.is_set():
                return
            one = _Running(service, Stop(self._clock))
            one.task = group.create_task(self._attend(one), name=service.name)
            running.append(one)
            if isinstance(service, Announcing):
                await wait_for_first(service.ready.wait(), self._stopping.wait())
        self.ready.set()
        _log.info("all services run", action="supervisor.ready", services=len(running))

    async def _attend(self, one: _Running) -> None:
        """Run one service; a failure is recorded, not raised, so that the others can still drain."""
        name = one.service.name
        try:
            await uncancelled(one.service.run(one.stop), name)
        except asyncio.CancelledError:
            if not one.overdue:
                raise  # the whole supervisor was cancelled
            self._failed(ServiceFailed(name, f"did not stop in time and was cancelled ({self._within:g} s for all)"))
        except ServiceFailed as named:
            self._failed(named)
        except Exception as error:  # noqa: BLE001  (a boundary: any failure of a service is reported with its name)
            failure = ServiceFailed(name, f"failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._failed(failure)
        else:
            if not one.stop.is_set():
                self._failed(ServiceFailed(name, "ended although nobody asked it to stop"))

    def _failed(self, failure: ServiceFailed) -> None:
        self._failures.append(failure)
        _log.error(str(failure), action="supervisor.service_failed", service=failure.service)
        self.stop(str(failure))

    async def _drain(self, running: list[_Running]) -> None:
        deadline = self._clock.monotonic() + self._within * _DRAIN_SHARE
        stages = [[one for one in running if one.service in stage] for stage in self._stages]
        for left, stage in zip(range(len(stages) - 1, -1, -1), reversed(stages), strict=True):
            for one in stage:
                one.stop.set()
            rest = deadline - self._clock.monotonic() - left * self._within * _RESERVE
            await self._wait_for(stage, rest)

    async def _wait_for(self, stage: Sequence[_Running], seconds: float) -> None:
        tasks = [one.task for one in stage]
        if not tasks or await _happens_within(asyncio.wait(tasks), seconds, self._clock):
            return
        for one in stage:
            if not one.task.done():
                one.overdue = True
                one.task.cancel()


class _Running:
    """One service with its task, its own stop, and whether it was cancelled for being late."""

    task: asyncio.Task[None]

    def __init__(self, service: Service, stop: Stop) -> None:
        self.service = service
        self.stop = stop
        self.overdue = False


@contextlib.contextmanager
def leave_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the process with exit status 0, until an event loop takes over.

    Not within one: an exception that a signal handler raises there may come between the start of a thread and the line
    that remembers it, and the process never ends.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = {each: signal.signal(each, leave) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def cancel_on_signals(*, within: float = STOP_WITHIN) -> Iterator[None]:
    """Let the first SIGTERM or SIGINT cancel the block, which then ends quietly, until `stop_on_signals` takes over.

    Nothing has begun by then that would have to drain; a migration that is under way is rolled back. The second signal
    and the watchdog are as of `stop_on_signals`.
    """
    task = asyncio.current_task()
    assert task is not None
    is_over = False

    def cancel(_number: signal.Signals) -> None:
        nonlocal is_over
        is_over = True
        task.cancel()

    with _handling(cancel, within):
        try:
            yield
        except asyncio.CancelledError:
            if not is_over or task.uncancel():
                raise


@contextlib.contextmanager
def stop_on_signals(supervisor: Supervisor, *, within: float = STOP_WITHIN) -> Iterator[None]:
    """Let the first SIGTERM or SIGINT drain and the second end the process with exit status 128 + its number.

    From the first signal on a watchdog thread ends the process with exit status 1 after `within` seconds, even if the
    event loop is stuck or a service swallows its cancellation, and prints where every thread was.
    """
    with _handling(lambda number: supervisor.stop(number.name), within):
        yield


@contextlib.contextmanager
def _handling(act: Callable[[signal.Signals], None], within: float) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def first(number: signal.Signals) -> None:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            # not SIG_DFL: the kernel ignores that for a process with id 1, as in a container
            signal.signal(each, _end_at_once)
        faulthandler.dump_traceback_later(within, exit=True, file=_STDERR)
        act(number)

    for each in _SIGNALS:
        loop.add_signal_handler(each, first, each)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


async def _happens_within(event: Awaitable[object], seconds: float, clock: Clock) -> bool:
    """Whether `event` comes before `seconds` are over; it is cancelled if not."""
    return (await wait_for_first(event, clock.sleep(max(0.0, seconds))))[0]
