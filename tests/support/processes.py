"""Processes as the kernel sees them: which children one has, and when one has ended."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_WITHIN: Final = 60.0
_SET_CHILD_SUBREAPER: Final = 36  # of prctl(2)


def children_of(pid: int) -> set[int]:
    """The child processes of all its threads; a zombie is one, too."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for one in lists for child in _text(one).split()}


def command_of(pid: int) -> str:
    """Its command line."""
    return _text(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")


def runs(pid: int, module: str) -> bool:
    """Whether one of its children runs a module."""
    return any(module in command_of(child) for child in children_of(pid))


def first_python(does: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first interpreter that we start run this line of shell instead, and all others Python."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nmkdir "{folder}/first" 2>/dev/null && {does}\nexec "{sys.executable}" "$@"\n')
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))


class Watched:
    """A process that need not be our child; its number cannot be taken for that of a later one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    async def ended(self) -> None:
        """Wait until it has ended; whoever its parent is by then may not have asked for its exit status yet.

        Raises:
            TimeoutError: it still runs after a minute.
        """
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._descriptor, over.set)
        try:
            async with asyncio.timeout(_WITHIN):
                await over.wait()
        finally:
            loop.remove_reader(self._descriptor)
            os.close(self._descriptor)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):  # the thread or the process has just ended
        return ""


class Orphans:
    """What is left of a process's children once it has ended: they become ours, and are ended."""

    def __init__(self) -> None:
        self._before = children_of(os.getpid())

    def running(self) -> list[str]:
        """The command lines of those that run. All that ended are taken note of, so that none stays a zombie."""
        found = []
        for pid in children_of(os.getpid()) - self._before:
            with contextlib.suppress(ChildProcessError):
                ended, _ = os.waitpid(pid, os.WNOHANG)
                if ended == 0:
                    found.append(command_of(pid))
        return found


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Be the parent of every process below us whose own parent ends, instead of the machine's first process."""
    library = ctypes.CDLL(None, use_errno=True)
    assert library.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        library.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
