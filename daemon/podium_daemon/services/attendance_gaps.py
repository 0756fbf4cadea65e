"""When nobody was watching: the daemon was down. Absence is never assumed for such a time (semantics.md)."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from podium_protocol.live.attendance import Span

_ALIVE: Final = "attendance.alive_at"
_GAPS: Final = "attendance.gaps"
_KEPT: Final = 100  # the newest; older ones belong to sessions long settled
_decode_gaps = msgspec.json.Decoder(tuple[Span, ...]).decode


class Memory(Protocol):
    """A durable place for small texts."""

    async def get(self, key: str) -> str | None: ...
    async def set(self, key: str, value: str) -> None: ...


class GapBook:
    """Remembers when the daemon watched, across restarts."""

    def __init__(self, memory: Memory, *, tolerance: int) -> None:
        """A silence of up to `tolerance` seconds is a slow poll and no gap."""
        self._memory = memory
        self._tolerance = tolerance
        self.spans: tuple[Span, ...] = ()

    async def woke(self, now: int) -> None:
        """The daemon starts: what passed since it was last alive is a gap."""
        stored = await self._memory.get(_GAPS)
        self.spans = _decode_gaps(stored) if stored else ()
        alive = int(await self._memory.get(_ALIVE) or now)
        if now - alive > self._tolerance:
            self.spans = (*self.spans, Span(alive, now))[-_KEPT:]
            await self._memory.set(_GAPS, msgspec.json.encode(self.spans).decode())
        await self.alive(now)

    async def alive(self, now: int) -> None:
        """Somebody watches at `now`."""
        await self._memory.set(_ALIVE, str(now))
