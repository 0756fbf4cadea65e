"""The frame of a worker process: it reads batches from its socket, and answers each.

Run as `python -m <module>`, with the socket as stdin. It lives until the socket is closed, which also happens when the
daemon dies, however it dies.

A message is its length, four bytes with the highest first, and its bytes. The daemon sends the setup, the child an
empty message when it is ready; then it answers each batch in turn.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
from collections.abc import Callable
from io import BufferedReader
from typing import Final

_STDIN: Final = 0
LENGTH_BYTES: Final = 4

Answer = Callable[[bytes], bytes]


def framed(message: bytes) -> bytes:
    """The message as it goes over the socket."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


def serve(begin: Callable[[bytes], Answer]) -> None:
    """Answer batches until the socket is closed; `begin` makes the function that does, from the setup.

    A daemon that was killed closes the socket at any moment, also before it read an answer.
    """
    # the daemon decides when a worker ends: Ctrl-C is sent to the whole group
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with (
        contextlib.suppress(ConnectionError),
        socket.socket(fileno=_STDIN) as connection,
        connection.makefile("rb") as stream,
    ):
        if (setup := _read(stream)) is None:
            return
        answer = begin(setup)
        gc.freeze()  # nothing of what was imported goes away
        connection.sendall(framed(b""))
        while (message := _read(stream)) is not None:
            connection.sendall(framed(answer(message)))


def _read(stream: BufferedReader) -> bytes | None:
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "big")
    message = stream.read(size)
    return message if len(message) == size else None
