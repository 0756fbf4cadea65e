"""Seats: the daemon's own WebSocket, one per browser, as the way into an engine's room.

An engine whose door is our socket (link; embedded and Janus, which send their signalling through it) is a `Signalling`
beside being a `ConferenceEngine`. The web layer adapts its socket to `SeatSocket` and calls `run_seat`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from podium_daemon.conference.events import Connection, LeaveReason, RoomId
from podium_daemon.conference.seat_messages import CLOSE_CODES, ServerMessage
from podium_daemon.runtime.outcomes import Refused
from podium_protocol.events import Pubkey


class Seat(Protocol):
    """One browser's place in a room. Over once, for one reason; everything after that is ignored."""

    @property
    def connection(self) -> Connection: ...

    @property
    def over(self) -> LeaveReason | None:
        """Why the seat is over, or None while it is taken."""
        ...

    async def receive(self, frame: str | bytes) -> None:
        """Take one frame from the browser. A flawed one is counted and dropped."""
        ...

    def outgoing(self) -> AsyncIterator[str]:
        """The text frames for the browser, in order; ends when the seat is over. Read by one reader."""
        ...

    def send(self, message: ServerMessage) -> None:
        """Put a message into the line for the browser; a browser that reads nothing loses its seat."""
        ...

    async def leave(self, reason: LeaveReason) -> None:
        """End the seat from the socket's side: LEFT if the browser said so, DROPPED if the socket died."""
        ...


@runtime_checkable
class Signalling(Protocol):
    """What an engine adds whose grants are of kind SEAT."""

    async def take_seat(self, token: str) -> Seat | Refused:
        """Spend a grant's token. The token is spent even if the answer is no."""
        ...

    async def tell(self, room: RoomId, message: ServerMessage, pubkey: Pubkey | None = None) -> int:
        """Send a message to everybody in a room, or to one person's devices; returns to how many."""
        ...


class SocketGone(Exception):  # noqa: N818  (a socket that closes is no error)
    """The browser's socket is closed. `clean`: the browser sent the first close frame, so somebody was alive there."""

    def __init__(self, *, clean: bool) -> None:
        super().__init__("closed" if clean else "lost")
        self.clean = clean


class SeatSocket(Protocol):
    """What a WebSocket has to offer.

    The server underneath caps the size of frames, and pings: that is what ends a `send` into a half-open connection.
    """

    async def receive(self) -> str | bytes:
        """The next data frame.

        Raises:
            SocketGone: there will be none.
        """
        ...

    async def send(self, frame: str) -> None:
        """Send a text frame.

        Raises:
            SocketGone: it cannot be sent any more.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close; does nothing if it is closed."""
        ...


async def run_seat(seat: Seat, socket: SeatSocket) -> LeaveReason:
    """Pump frames between a seat and its socket until either is over; then both are. Returns why.

    Cancelled, it leaves the seat as DROPPED: the browser did not say that it goes.
    """
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_write(seat, socket))
            await _read(seat, socket)
    finally:
        await seat.leave(LeaveReason.DROPPED)
    return seat.over or LeaveReason.UNKNOWN


async def _read(seat: Seat, socket: SeatSocket) -> None:
    while seat.over is None:
        try:
            frame = await socket.receive()
        except SocketGone as gone:
            await seat.leave(LeaveReason.LEFT if gone.clean else LeaveReason.DROPPED)
            return
        await seat.receive(frame)


async def _write(seat: Seat, socket: SeatSocket) -> None:
    try:
        async for frame in seat.outgoing():
            await socket.send(frame)
    except SocketGone:
        await seat.leave(LeaveReason.DROPPED)
        return
    reason = seat.over or LeaveReason.UNKNOWN
    await socket.close(CLOSE_CODES[reason], reason.value)
