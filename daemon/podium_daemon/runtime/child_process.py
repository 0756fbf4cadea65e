"""Child processes: their environment, and how they are ended."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Final

_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR")


def child_environment(*more: str) -> dict[str, str]:
    """The environment of a child process: only the variables that it needs, since others may hold secrets.

    `more`: names of variables beyond the path, the locale and the folder for temporary files.
    """
    return {name: os.environ[name] for name in (*_PASSED_ON, *more) if name in os.environ}


def python_environment(*more: str) -> dict[str, str]:
    """As `child_environment`, for a Python process that imports modules from the same places as we do."""
    return child_environment(*more) | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


async def kill(process: asyncio.subprocess.Process) -> None:
    """Kill a process unless it has ended, and wait for its end, so that no zombie stays."""
    if process.returncode is None:
        process.kill()
    await process.wait()
