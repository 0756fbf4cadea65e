"""A place in a room: a socket that beats until it is left, and that can be taken again after it was lost."""

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
    """What a room says, as far as a seat needs it. `type` names the message (docs/wire-formats.md, "Joining")."""

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
        """Where the meeting is, if it is somebody else's."""
        self.waits_for = ""
        """The last reason to wait that the door told."""
        self.has_ended = False
        """Whether the room said that the session is over."""
        self.removed_because: str | None = None
        """What the instructor gave as the reason, or None."""
        self.hand = False
        """Whether one's hand is up."""
        self.spotlight: str | None = None
        """Who is shown large to everybody."""
        self.flaws = 0
        """How many frames of the room were no messages; they are dropped."""
        self.closed = asyncio.Event()
        """Set once the socket is closed, whoever closed it."""
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
            direct: past any proxy of the environment.
            heard: called with every message of the room.

        Raises:
            TurnedAway: the door says no.
            StillWaiting: it did not open in time.
            DaemonUnreachable: the socket could not be opened, or was closed without a word.
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
        """Say goodbye."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send('{"type":"leave"}')
        await self._socket.close()
        await self._stop()

    async def raise_hand(self, *, up: bool = True) -> None:
        """Raise one's hand, or lower it; `hand` follows once the room agrees."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(f'{{"type":"hand","up":{"true" if up else "false"}}}')

    async def drop(self) -> None:
        """Be gone without a word, as a tunnel does it; `come_back` takes the seat again."""
        self._socket.transport.abort()
        await self._socket.wait_closed()
        await self._stop()

    async def come_back(self, *, patience: float = 15.0) -> RoomSeat:
        """Take the seat again after the socket was lost, with the resume secret: no second signature.

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
        """Stay until the seat is over; the attributes then say why."""
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
            case "welcome" | "meeting":  # the latter when the address before was used
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
