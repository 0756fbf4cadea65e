"""A browser's WebSocket as the room's door wants it."""

from __future__ import annotations

from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from podium_daemon.conference.seats import SocketGone

_GOODBYES: Final = (1000, 1001, 1005)  # RFC 6455, 7.4.1: normal, going away, and a close frame without a code
_OWN_GOODBYES: Final = 3000  # and above: what the page itself says


class RoomSocket:
    """A `SeatSocket` on Starlette's WebSocket, already accepted."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes:
        """The next data frame; raises `SocketGone`."""
        try:
            message = await self._socket.receive()
        except (RuntimeError, WebSocketDisconnect) as error:  # it was closed before this call
            raise SocketGone(clean=False) from error
        if message["type"] == "websocket.disconnect":
            # a lost connection is told by uvicorn as code 1005 without a reason, a close frame always has one; codes
            # of broken rules (a giant frame, text that is none) are uvicorn's own, and say nothing of the person
            code = message.get("code", 0)
            raise SocketGone(clean="reason" in message and (code in _GOODBYES or code >= _OWN_GOODBYES))
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        return text if text is not None else data

    async def send(self, frame: str) -> None:
        """Send a text frame; raises `SocketGone`."""
        try:
            await self._socket.send_text(frame)
        except (RuntimeError, WebSocketDisconnect, OSError) as error:
            raise SocketGone(clean=False) from error

    async def close(self, code: int, reason: str) -> None:
        """Close; does nothing if it is closed."""
        try:
            await self._socket.close(code, reason)
        except (RuntimeError, WebSocketDisconnect, OSError):
            return
