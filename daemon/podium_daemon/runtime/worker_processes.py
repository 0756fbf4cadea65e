"""Worker processes that take work off the event loop while there is a backlog: started when one builds, ended after it.

What they do is the module that they run (`worker_child`); without them the daemon does it by itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

import structlog

from podium_daemon.runtime.child_process import kill, start_on_socket
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.worker_child import LENGTH_BYTES, framed

IDLE: Final = 5.0
"""Seconds without work after which the workers end."""

_MOST: Final = 4  # workers; more than that outrun the one process that reads and stores
_IN_HAND: Final = 2  # batches of one worker: one that it works on, and one that is there when it is done
_START_WITHIN: Final = 10.0  # seconds; it takes 0.1
_ANSWER_WITHIN: Final = 10.0  # seconds for a batch, which takes 0.02
_END_WITHIN: Final = 2.0
_AGAIN_AFTER: Final = 60.0  # seconds after a start that failed

_log = structlog.get_logger(__name__)


class Worker:
    """One worker process; batches are answered in the order in which they were given to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()
        self.in_hand = 0

    @classmethod
    async def start(cls, module: str, setup: bytes = b"") -> Worker:
        """Start a process that runs `module`, hand it `setup` and wait until it is ready.

        Raises:
            OSError: it could not be started, or ended, or was too slow.
        """
        process, reader, writer = await start_on_socket("-m", module)
        worker = cls(process, reader, writer)
        try:
            writer.write(framed(setup))  # over the socket: a command line is for all users to read
            async with asyncio.timeout(_START_WITHIN):
                await worker._read()
        except BaseException:
            worker.kill()  # it has nothing to lose yet
            await worker.end()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def ask(self, task: bytes) -> bytes:
        """Give a batch to the worker and wait for its answer.

        Raises:
            OSError: the worker is gone, or does not answer.
        """
        self.in_hand += 1
        try:
            self._writer.write(framed(task))
            async with asyncio.timeout(_ANSWER_WITHIN), self._turn:
                return await self._read()
        except BaseException:
            self.kill()  # its answer may still come, and must not be taken for that to another batch
            raise
        finally:
            self.in_hand -= 1

    def kill(self) -> None:
        """End the process at once; batches in hand are answered with an error."""
        self._writer.transport.abort()
        if self._process.returncode is None:
            self._process.kill()

    async def end(self) -> None:
        """End the process."""
        self._writer.close()
        try:
            async with asyncio.timeout(_END_WITHIN):
                await self._process.wait()
        except TimeoutError:
            _log.warning("a worker had to be killed", action="worker.killed", pid=self.pid)
        finally:
            await kill(self._process)

    async def _read(self) -> bytes:
        try:
            length = await self._reader.readexactly(LENGTH_BYTES)
            return await self._reader.readexactly(int.from_bytes(length, "big"))
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("the worker ended") from None


class WorkerProcesses:
    """The service that keeps workers of one kind while they are needed."""

    def __init__(
        self, name: str, module: str, clock: Clock, *, count: int | None = None, setup: Callable[[], bytes] = bytes
    ) -> None:
        """`module`: what they run; `setup` makes what each is told first.

        `count`: how many workers; None: one for each core, four at most.
        """
        self.name = name
        self._module = module
        self._setup = setup
        self._clock = clock
        self._count = count or min(_MOST, os.cpu_count() or 1)
        self._workers: list[Worker] = []
        self._keeping: asyncio.Task[None] | None = None
        self._was_used = False
        self._not_before = float("-inf")

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that run."""
        return tuple(worker.pid for worker in self._workers)

    @property
    def free(self) -> int:
        """How many further batches the workers can take now; 0 while none runs."""
        return sum(_IN_HAND - worker.in_hand for worker in self._workers)

    def start(self) -> None:
        """Start the workers, if they do not run; they end by themselves when there is nothing to do."""
        self._was_used = True
        if self._keeping is None and self._clock.monotonic() >= self._not_before:
            self._keeping = asyncio.create_task(self._keep(), name=self.name)

    async def ask(self, task: bytes) -> bytes | None:
        """Give a batch to the least busy worker; None if there is no worker, or it died: nothing was done then."""
        worker = min(self._workers, key=lambda one: one.in_hand, default=None)
        if worker is None:
            return None
        self._was_used = True
        try:
            return await worker.ask(task)
        except OSError as error:  # TimeoutError is one
            self._lose(worker, error)
            return None

    async def run(self, stop: Stop) -> None:
        """Wait for the stop, and end the workers."""
        await stop.wait()
        await self.close()

    async def close(self) -> None:
        """End the workers; batches under way are answered with None."""
        self._not_before = float("inf")
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _keep(self) -> None:
        try:
            while self._was_used and self._clock.monotonic() >= self._not_before:
                await self._keep_some()
        finally:
            self._keeping = None

    async def _keep_some(self) -> None:
        kept: list[Worker] = []  # those that were lost, too
        try:
            async with asyncio.TaskGroup() as starting:
                for _ in range(self._count):
                    starting.create_task(self._add(kept))
            while self._workers and self._was_used:
                self._was_used = False
                await self._clock.sleep(IDLE)
        finally:
            self._workers = []
            # with its exceptions: else it waits for none that still ends once the first one is cut off
            await asyncio.gather(*(worker.end() for worker in kept), return_exceptions=True)

    async def _add(self, kept: list[Worker]) -> None:
        try:
            worker = await Worker.start(self._module, self._setup())
        except (OSError, RuntimeError) as error:  # no thread that waits for its end is a RuntimeError
            self._not_before = max(self._not_before, self._clock.monotonic() + _AGAIN_AFTER)
            _log.warning("a worker did not start", action="worker.missing", service=self.name, why=str(error))
        else:
            kept.append(worker)
            self._workers.append(worker)

    def _lose(self, worker: Worker, error: OSError) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            worker.kill()
            why = str(error) or type(error).__name__
            _log.warning("a worker was lost", action="worker.lost", service=self.name, pid=worker.pid, why=why)
