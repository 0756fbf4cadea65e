"""What runs in child processes: the frame of a worker, which answers batches, and the end with the daemon.

A worker is run as `python -m <module>`, with a socket as stdin. It lives until the socket is closed, which also happens
when the daemon dies, however it dies.

A message is its length, four bytes with the highest first, and its bytes. The daemon sends the setup, the child an
empty message when it is ready; then it answers each batch in turn.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import threading
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


def end_with_the_daemon() -> None:
    """End this process, whatever it is at, when its stdin is closed: the daemon holds the other end while it lives."""
    threading.Thread(target=_until_closed, daemon=True).start()


def _until_closed() -> None:
    while os.read(_STDIN, 1):  # read past the buffer of `sys.stdin`, whose lock would be held
        pass
    os._exit(1)


def _read(stream: BufferedReader) -> bytes | None:
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "big")
    message = stream.read(size)
    return message if len(message) == size else None
