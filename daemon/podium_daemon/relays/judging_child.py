"""The worker process that judges events (`runtime.worker_child`). It holds no secret and opens nothing.

A batch is a `Task`, and the answer a list that has null for a good event, or the reason why it was refused, both as
msgpack. Only that goes back: the daemon has the events already.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import msgspec

from podium_daemon.relays.judgement import judge
from podium_daemon.runtime.worker_child import serve
from podium_protocol.filters import Filter


class Task(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch: events as their JSON, and for each the place of the filters that it should answer."""

    now: float
    filters: tuple[bytes, ...]  # each a list of filters, as msgpack
    events: list[tuple[int, bytes]]


_decode: Final = msgspec.msgpack.Decoder(Task).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def _answer(batch: bytes) -> bytes:
    return _encode(_verdicts(_decode(batch)))


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
    serve(lambda _setup: _answer)
