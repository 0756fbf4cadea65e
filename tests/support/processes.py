"""Processes as the kernel sees them: which children one has, and when one has ended."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

_WITHIN = 60.0


def children_of(pid: int) -> set[int]:
    """The child processes of all its threads; a zombie is one, too."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for one in lists for child in _text(one).split()}


def descendants_of(pid: int) -> set[int]:
    """Its children, and theirs."""
    children = children_of(pid)
    return children.union(*(descendants_of(child) for child in children))


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
