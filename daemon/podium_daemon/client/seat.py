"""A seat in a room: a socket with heartbeats until it is left, which can be resumed after it was lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from podium_daemon.client.errors import DaemonUnreachable, StillWaiting, TurnedAway
from podium_protocol.errors import LocalProtocolError

_MAX_FRAME: Final = 64 * 1024


class RoomMessage(msgspec.Struct, frozen=True, rename="camel"):
    """A message of a room, as far as a seat needs it. `type` names the message (docs/wire-formats.md, "Joining")."""

    type: str
    heartbeat: int = 0
    meeting_url: str | None = None
    secret: str = ""
    reason: str = ""
    text: str = ""
    up: bool = False
    pubkey: str | None = None

    def __repr__(self) -> str:
        return f"<RoomMessage {self.type}>"


_decode: Final = msgspec.json.Decoder(RoomMessage).decode


class RoomSeat:
    """Made by `RoomSeat.take`, or by `PodiumClient.join`."""

    def __init__(
        self, socket: ClientConnection, url: str, *, direct: bool, heard: Callable[[RoomMessage], None]
    ) -> None:
        """Take an open socket; `take` opens one."""
        self._socket = socket
        self._url = url
        self._direct = direct
        self._heard = heard
        self._secret = ""
        self._heartbeat = 5
        self._news = asyncio.Event()
        self._seated = False
        self._refused: RoomMessage | None = None
        self.meeting_url: str | None = None
        """The meeting's address, if it is on another server."""
        self.waits_for = ""
        """The door's last reason to wait."""
        self.has_ended = False
        """Whether the room said that the session is over."""
        self.removed_because: str | None = None
        """The instructor's reason, or None."""
        self.hand = False
        """Whether the person's hand is raised."""
        self.spotlight: str | None = None
        """The person who is shown large to all."""
        self.flaws = 0
        """The number of dropped frames that were no messages."""
        self.closed = asyncio.Event()
        """Set once the socket is closed, by either side."""
        self._tasks = [asyncio.create_task(self._read(), name="seat reader")]

    @classmethod
    async def take(
        cls,
        url: str,
        greeting: dict[str, str],
        *,
        patience: float,
        direct: bool = True,
        heard: Callable[[RoomMessage], None] = lambda _message: None,
    ) -> Self:
        """Open the socket, greet, and wait until the seat is given.

        Args:
            url: of the room socket.
            greeting: the ticket of a join, or the secret of a seat that was lost.
            patience: seconds to stay in the waiting room.
            direct: without a proxy from the environment.
            heard: called with every message of the room.

        Raises:
            TurnedAway: the door refused the person.
            StillWaiting: the person was not let in in time.
            DaemonUnreachable: the socket could not be opened, or was closed without a message.
        """
        try:
            socket = await connect(url, proxy=None if direct else True, compression=None, max_size=_MAX_FRAME)
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise DaemonUnreachable(f"the room's socket cannot be opened: {error}") from None
        seat = cls(socket, url, direct=direct, heard=heard)
        try:
            await seat._sit_down(greeting, patience)
        except BaseException:
            await seat.drop()
            raise
        return seat

    async def leave(self) -> None:
        """Leave the seat and close the socket."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send('{"type":"leave"}')
        await self._socket.close()
        await self._stop()

    async def raise_hand(self, *, up: bool = True) -> None:
        """Raise or lower the person's hand; `hand` changes once the room confirms it."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(f'{{"type":"hand","up":{"true" if up else "false"}}}')

    async def drop(self) -> None:
        """Drop the connection without a message, as in a tunnel; `come_back` resumes the seat."""
        self._socket.transport.abort()
        await self._socket.wait_closed()
        await self._stop()

    async def come_back(self, *, patience: float = 15.0) -> RoomSeat:
        """Resume the seat after the socket was lost, with the resume secret: no second signature is needed.

        Raises:
            LocalProtocolError: the seat is not lost, or never had a secret.
            TurnedAway, StillWaiting, DaemonUnreachable: as `take`; the secret is used up then, join again.
        """
        if not self.closed.is_set() or not self._secret:
            raise LocalProtocolError("only a seat that was lost can be taken again")
        secret, self._secret = self._secret, ""
        greeting = {"type": "return", "secret": secret}
        return await RoomSeat.take(self._url, greeting, patience=patience, direct=self._direct, heard=self._heard)

    async def until_closed(self) -> None:
        """Wait until the seat ends; the attributes then say why."""
        await self.closed.wait()
        await self._stop()

    async def _sit_down(self, greeting: dict[str, str], patience: float) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(msgspec.json.encode(greeting), text=True)
        try:
            async with asyncio.timeout(patience):
                while not self._seated and self._refused is None and not self.closed.is_set():
                    await self._news.wait()
                    self._news.clear()
        except TimeoutError:
            raise StillWaiting(self.waits_for) from None
        if self._refused is not None:
            raise TurnedAway(self._refused.reason, self._refused.text)
        if not self._seated:
            raise DaemonUnreachable(f"the room closed its socket ({self._socket.close_code}): join again")
        self._tasks.append(asyncio.create_task(self._beat(), name="seat heartbeat"))

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                self._take_in(frame)
        except ConnectionClosed:
            return
        finally:
            self.closed.set()
            self._news.set()

    def _take_in(self, frame: str | bytes) -> None:
        try:
            message = _decode(frame)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self.flaws += 1
            return
        match message.type:
            case "welcome" | "meeting":  # the latter once the former address was used
                self.meeting_url = message.meeting_url
                self._heartbeat = max(1, message.heartbeat or self._heartbeat)
            case "resume":  # it follows the welcome
                self._secret = message.secret
                self._seated = True
            case "waiting":
                self.waits_for = message.reason
            case "refused":
                self._refused = message
            case "removed":
                self.removed_because = message.reason
            case "ended":
                self.has_ended = True
            case "hand":
                self.hand = message.up
            case "spotlight":
                self.spotlight = message.pubkey
        self._news.set()
        self._heard(message)

    async def _beat(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._socket.send('{"type":"beat"}')
                await asyncio.sleep(self._heartbeat)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
