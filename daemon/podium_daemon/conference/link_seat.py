"""One browser's seat at an engine whose door is our socket: a heartbeat, a line of messages, and an end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Protocol

from podium_daemon.conference.events import Connection, LeaveReason
from podium_daemon.conference.seat_messages import Beat, FrameFlaw, Leave, ServerMessage, decode, encode

MAX_UNREAD: Final = 64  # a browser that lets this many messages lie has stopped reading


class SeatHost(Protocol):
    """What a seat asks of its engine."""

    def heard(self, seat: LinkSeat) -> None:
        """A sign of life came from the seat's browser."""

    def flawed(self, flaw: FrameFlaw) -> None:
        """A frame was dropped."""

    def end(self, seat: LinkSeat, reason: LeaveReason) -> None:
        """The seat is over; heard before, it ends now."""


class LinkSeat:
    """A `Seat`. Join and later moments are monotonic seconds, told as the join's wall time plus what has passed since.

    So a clock that jumps while somebody sits here changes neither how long they were present nor the order of events.
    """

    def __init__(self, connection: Connection, host: SeatHost, *, wall: float, monotonic: float) -> None:
        self.connection = connection
        self.joined = monotonic
        self.evidence = monotonic
        self.over: LeaveReason | None = None
        self.has_media = False
        self._wall = wall
        self._host = host
        self._unread: deque[str] = deque()
        self._changed = asyncio.Event()

    def at(self, monotonic: float) -> int:
        """A moment of this seat in Unix seconds."""
        return int(self._wall + monotonic - self.joined)

    def beat(self) -> None:
        """The browser gave a sign of life."""
        if self.over is None:
            self._host.heard(self)

    async def receive(self, frame: str | bytes) -> None:
        """See `Seat`. A type we do not know is a newer page's and a sign of life; other flaws are not."""
        match decode(frame):
            case Beat():
                self.beat()
            case Leave():
                await self.leave(LeaveReason.LEFT)
            case flaw:
                self._host.flawed(flaw)
                if flaw is FrameFlaw.UNKNOWN_TYPE:
                    self.beat()

    async def leave(self, reason: LeaveReason) -> None:
        """See `Seat`."""
        if reason is LeaveReason.LEFT:  # a message or a close frame: somebody was there to send it
            self.beat()
        self._host.end(self, reason)

    def send(self, message: ServerMessage) -> None:
        """See `Seat`."""
        self.pass_on(encode(message))

    def pass_on(self, frame: str) -> None:
        """Put a text frame into the line for the browser; one that reads nothing loses its seat."""
        if self.over is not None:
            return
        if len(self._unread) >= MAX_UNREAD:
            self._host.end(self, LeaveReason.DROPPED)
            return
        self._unread.append(frame)
        self._changed.set()

    def finish(self, reason: LeaveReason, last: ServerMessage | None) -> None:
        """Called by the engine, once: say a last thing, if any, and be over."""
        if last is not None:
            self._unread.append(encode(last))
        self.over = reason
        self._changed.set()

    async def outgoing(self) -> AsyncIterator[str]:
        """See `Seat`."""
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self.over is not None:
                return
            self._changed.clear()
            await self._changed.wait()
