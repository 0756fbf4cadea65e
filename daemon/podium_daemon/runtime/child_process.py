"""Child processes: their environment, and how they are ended."""

from __future__ import annotations

import asyncio
import os
import socket
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


async def start_on_socket(
    *arguments: str | bytes,
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
    """Start Python with these arguments, and with a socket as its stdin; the process and our end of the socket.

    The socket has no name in the file system: no other process can connect to it. A caller that is cancelled leaves
    neither process nor descriptor.

    Raises:
        OSError: it could not be started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", *arguments), stdin=theirs.fileno(), env=python_environment()
            )
        except BaseException:
            writer.close()
            raise
    return process, reader, writer


async def kill(process: asyncio.subprocess.Process) -> None:
    """Kill a process unless it has ended, and wait for its end, so that no zombie stays."""
    if process.returncode is None:
        process.kill()
    await process.wait()
