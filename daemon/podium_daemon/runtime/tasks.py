"""The tasks that a service runs beside its own work: none of them ends unnoticed.

asyncio does not report how a task ended that no other task awaits, and to a task group a task that ends by a
CancelledError of its own looks like one that was cancelled. Here a task either must not fail, and ends the service if
it does, or is repeated until it succeeds, and `trouble` says so meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import structlog

from podium_daemon.runtime.clock import Clock
from podium_protocol.errors import PodiumError
from podium_protocol.relay.backoff import delays
from podium_storage.errors import damage_in

T = TypeVar("T")

FIRST_PAUSE: Final = 5.0
"""Least seconds before failed work is tried again; later pauses are longer, up to a minute."""

_log = structlog.get_logger(__name__)


class ServiceFailed(PodiumError):
    """A service ended on its own, raised, or would not stop; `service` is its name, the cause is chained."""

    def __init__(self, service: str, what: str) -> None:
        """`what` completes the sentence that starts with the service's name."""
        super().__init__(f"service {service!r} {what}")
        self.service = service


async def uncancelled(work: Coroutine[Any, Any, T], service: str) -> T:
    """Await `work` in a task of its own, where a CancelledError that the caller did not ask for is a failure.

    Such an error comes from awaiting a task that other code cancelled; a task group would take it for its own
    cancellation.

    Raises:
        ServiceFailed: `work` ended in that way; the error names `service`.
    """
    try:
        return await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ServiceFailed(service, "ended by a cancellation of its own") from error


async def wait_for_first(*awaitables: Awaitable[object]) -> tuple[bool, ...]:
    """Wait until one of these is over; the others are cancelled, and have ended before this returns or raises.

    A task that is to go on is given as `asyncio.wait([task])`: that can be cancelled without it, and does not raise.

    Returns:
        For each, in order, whether it was over. Several may be.

    Raises:
        Exception: the first that was raised, in the order of the arguments, be it by one that was over or by one that
            failed while it was cancelled. Where the caller itself is cancelled, that comes first.
    """
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        over = tuple(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end, was_over in zip(ends, over, strict=True):
        # a loser's CancelledError is the one that it was sent
        if isinstance(end, BaseException) and (was_over or not isinstance(end, asyncio.CancelledError)):
            raise end
    return over


class Watched:
    """The tasks of one service."""

    def __init__(self, service: str) -> None:
        """`service`: its name, for log and metrics."""
        self.service = service
        self.faults = 0
        """How often a task ended by an unexpected exception."""
        self.trouble: dict[str, str] = {}
        """Tasks that fail now and are tried again: name -> reason."""
        self._vital: set[asyncio.Task[Any]] = set()
        self._errands: set[asyncio.Task[Any]] = set()
        self._is_open = False
        self._broken = asyncio.Event()
        self._failure: BaseException | None = None

    async def guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the service's own work; tasks that were started beside it end with it.

        Raises:
            Exception: what ended the work, or the first of the started tasks that failed.
        """
        self._is_open = True
        own = asyncio.create_task(work, name=self.service)
        broken = asyncio.create_task(self._broken.wait())
        try:
            await asyncio.wait((own, broken), return_when=asyncio.FIRST_COMPLETED)
            if self._failure is not None:
                raise self._failure
            await own
        finally:
            self._is_open = False
            tasks = own, broken, *self._vital
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        """Start a task that must not fail; while the service does not run, nothing is started and None is returned."""
        if not self._is_open:
            work.close()
            return None
        task = asyncio.create_task(work, name=name)
        self._vital.add(task)
        task.add_done_callback(self._vital_ended)
        return task

    def errand(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a task that may fail: its failure is logged and counted, and raised to a task that awaits it."""
        task = asyncio.create_task(work, name=name)
        self._errands.add(task)
        task.add_done_callback(self._errand_ended)
        return task

    @property
    def started(self) -> frozenset[str]:
        """The names of running tasks that must not fail."""
        return frozenset(task.get_name() for task in self._vital)

    @property
    def errands(self) -> tuple[asyncio.Task[Any], ...]:
        """The running tasks that may fail."""
        return tuple(self._errands)

    async def persist(self, name: str, work: Callable[[], Awaitable[object]], *, clock: Clock) -> None:
        """Do `work` until it succeeds, with growing pauses.

        Raises:
            StoreDamaged: the database is damaged; trying again is no use.
        """
        pauses = delays(random.random)
        while True:
            try:
                await work()
            except Exception as error:
                if damage_in(error) is not None:
                    raise
                self.log_failure(name, error)
            else:
                self.trouble.pop(name, None)
                return
            await clock.sleep(max(FIRST_PAUSE, next(pauses)))

    def log_failure(self, name: str, error: Exception) -> None:
        """Log a failure that will be tried again, with its traceback if it was unexpected."""
        self.trouble[name] = str(error) or type(error).__name__
        if isinstance(error, PodiumError):
            _log.warning("will be tried again", action="task.retry", service=self.service, task=name, error=str(error))
        else:
            self._count(name, error)

    def _count(self, name: str, error: BaseException) -> None:
        self.faults += 1
        _log.error("a task failed", action="task.failed", service=self.service, task=name, exc_info=error)

    def _vital_ended(self, task: asyncio.Task[Any]) -> None:
        self._vital.discard(task)
        if (error := self._fault_of(task)) is None:
            return
        self._count(task.get_name(), error)
        if self._failure is None:
            self._failure = error
            self._broken.set()

    def _errand_ended(self, task: asyncio.Task[Any]) -> None:
        self._errands.discard(task)
        if (error := self._fault_of(task)) is not None:
            self._count(task.get_name(), error)

    def _fault_of(self, task: asyncio.Task[Any]) -> BaseException | None:
        if not task.cancelled():
            return task.exception()
        if task.cancelling():
            return None  # it was cancelled on purpose
        return ServiceFailed(self.service, f"lost {task.get_name()!r}, which ended by a cancellation of its own")
