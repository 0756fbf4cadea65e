"""One run in a process of its own, so that its memory and its CPU time are its own: `python -m benchmarks.child`.

It is told what to run as `module:function` and the function's arguments as JSON, and answers with a `Run` as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import structlog

ROOT: Final = Path(__file__).resolve().parent.parent


class Run(msgspec.Struct, frozen=True):
    """What one run did and took."""

    count: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for each, of all threads together."""
        return self.cpu_seconds / self.count * 1e6


class Meter:
    """Times what happens inside `with`, in wall time and in CPU time of all threads."""

    def __enter__(self) -> Self:
        self._began, self._cpu_began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, self.cpu_seconds = time.perf_counter() - self._began, time.process_time() - self._cpu_began

    def run(self, count: int) -> Run:
        """The measured run of that many."""
        return Run(count, self.seconds, self.cpu_seconds, peak_mb())


async def in_child(target: str, *, inside: Sequence[str] = (), **arguments: object) -> Run:
    """Run `target` in a new process; `inside` is what stands before its command.

    Raises:
        RuntimeError: it failed; the text holds what it wrote.
    """
    process = await asyncio.create_subprocess_exec(
        *(*inside, sys.executable, "-m", "benchmarks.child", target),
        msgspec.json.encode(arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    answer, complaint = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{target} ended with status {process.returncode}: {complaint.decode()[-2000:]}")
    return msgspec.json.decode(answer, type=Run)


def complete(run: Run, wanted: int) -> Run:
    """The run, if nothing was lost.

    Raises:
        RuntimeError: something was, so that its speed says nothing.
    """
    if run.count != wanted:
        raise RuntimeError(f"{run.count} of {wanted} arrived")
    return run


def keep_quiet() -> None:
    """Let the daemon's parts log errors only: their other words would stand between the lines of the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _main(target: str, arguments: str) -> None:
    keep_quiet()
    module, function = target.split(":")
    run = asyncio.run(getattr(importlib.import_module(module), function)(**msgspec.json.decode(arguments)))
    sys.stdout.buffer.write(msgspec.json.encode(run))
    sys.stdout.flush()
    os._exit(0)  # nostr-sdk crashes some interpreters at their orderly exit


def peak_mb(process: str = "self") -> float:
    """The most memory that a process ever had, in megabytes."""
    # not ru_maxrss, which a process inherits from the one that started it
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def cpu_seconds_of(pid: int) -> float:
    """The CPU time that a process has taken since its start."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    _main(*sys.argv[1:])
