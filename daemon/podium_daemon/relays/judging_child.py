"""The worker process that judges events: it reads batches from its socket, and answers each with its verdicts.

Run as `python -m podium_daemon.relays.judging_child`, with the socket as stdin. It holds no secret and opens nothing.
It lives until the socket is closed, which also happens when the daemon dies, however it dies.

A message is its length, four bytes with the highest first, and msgpack: first the child sends an empty one, then it
answers each `Task` with a list that has null for a good event, or the reason why it was refused. Only that goes back:
the daemon has the events already.
"""

from __future__ import annotations

import functools
import gc
import signal
import socket
from collections.abc import Sequence
from io import BufferedReader
from typing import Final

import msgspec

from podium_daemon.relays.judgement import judge
from podium_protocol.filters import Filter

_STDIN: Final = 0
LENGTH_BYTES: Final = 4


class Task(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch: events as their JSON, and for each the place of the filters that it should answer."""

    now: float
    filters: tuple[bytes, ...]  # each a list of filters, as msgpack
    events: list[tuple[int, bytes]]


def framed(message: bytes) -> bytes:
    """The message as it goes over the socket."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


def main() -> None:
    """Judge batches until the socket is closed."""
    # the daemon decides when a worker ends: Ctrl-C is sent to the whole group
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # nothing of what was imported goes away
    task, encode = msgspec.msgpack.Decoder(Task), msgspec.msgpack.Encoder()
    with socket.socket(fileno=_STDIN) as connection, connection.makefile("rb") as stream:
        connection.sendall(framed(b""))
        while (message := _read(stream)) is not None:
            connection.sendall(framed(encode.encode(_verdicts(task.decode(message)))))


def _read(stream: BufferedReader) -> bytes | None:
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "big")
    message = stream.read(size)
    return message if len(message) == size else None


def _verdicts(task: Task) -> list[str | None]:
    filters = [_filters(encoded) for encoded in task.filters]
    return [_verdict(raw, filters[place], task.now) for place, raw in task.events]


def _verdict(raw: bytes, filters: Sequence[Filter], now: float) -> str | None:
    verdict = judge(raw, tuple(filters), now)
    return verdict if isinstance(verdict, str) else None


@functools.lru_cache(maxsize=64)  # the same few subscriptions in every batch, with up to a thousand people each
def _filters(encoded: bytes) -> tuple[Filter, ...]:
    return msgspec.msgpack.decode(encoded, type=tuple[Filter, ...])


if __name__ == "__main__":
    main()
