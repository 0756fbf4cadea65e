"""Janus's API on its WebSocket over a unix socket: requests with answers, and unsolicited messages.

The shapes are those of Janus's documentation ("The Janus API", "VideoRoom plugin"). Some hold room tokens: nothing of a
message is ever logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from podium_protocol.errors import RemoteProtocolError

MAX_MESSAGE: Final = 1024 * 1024  # bytes; an offer of 75 media lines has 100 kB
_ANSWER_WITHIN: Final = 10.0  # seconds; it takes a millisecond
_PLUGIN: Final = "janus.plugin.videoroom"


class JanusGone(RemoteProtocolError):
    """The connection to Janus is over, or it does not answer."""


class JanusRefused(RemoteProtocolError):
    """Janus refused; `code` is Janus's own."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"Janus refused ({code}): {reason[:200]}")
        self.code = code


class Jsep(msgspec.Struct, frozen=True):
    """A session description."""

    type: str
    sdp: str


class Stream(msgspec.Struct, frozen=True):
    """A media line of a subscription: the publisher and the track that it carries."""

    mid: str = ""
    type: str = ""
    feed_id: str = ""
    feed_mid: str = ""


class RoomReply(msgspec.Struct, frozen=True):
    """The part of the plugin's reply that we use."""

    videoroom: str = ""
    error_code: int = 0
    error: str = ""
    streams: tuple[Stream, ...] = ()
    allowed: tuple[str, ...] = ()


class _PluginData(msgspec.Struct, frozen=True):
    data: RoomReply


class _Data(msgspec.Struct, frozen=True):
    id: int = 0


class _Error(msgspec.Struct, frozen=True):
    code: int
    reason: str = ""


class JanusMessage(msgspec.Struct, frozen=True):
    """A message from Janus."""

    janus: str
    transaction: str = ""
    sender: int = 0
    data: _Data = _Data()
    error: _Error | None = None
    plugindata: _PluginData = _PluginData(RoomReply())
    jsep: Jsep | None = None
    version_string: str = ""
    server_name: str = msgspec.field(default="", name="server-name")
    mid: str = ""
    receiving: bool = False
    reason: str = ""

    @property
    def reply(self) -> RoomReply:
        """The plugin's reply."""
        return self.plugindata.data


Listener = Callable[[JanusMessage], None]
_decode: Final = msgspec.json.Decoder(JanusMessage).decode


class JanusLink:
    """One session with Janus. Over when the connection is: then every request raises `JanusGone`."""

    def __init__(self, connection: ClientConnection, secret: str) -> None:
        self._connection = connection
        self._secret = secret
        self._session = 0
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[JanusMessage]] = {}
        self._listeners: dict[int, Listener] = {}
        self._alive = ""
        self._is_over = False

    @classmethod
    async def connect(cls, path: Path, secret: str) -> JanusLink:
        """Connect to the socket at `path`.

        Raises:
            JanusGone: no Janus answers.
        """
        try:
            connection = await unix_connect(
                str(path),
                uri="ws://janus/",
                subprotocols=[Subprotocol("janus-protocol")],
                compression=None,
                max_size=MAX_MESSAGE,
                ping_interval=None,  # `keepalive` asks the part that works
                open_timeout=_ANSWER_WITHIN,
                close_timeout=1,
            )
        except (OSError, WebSocketException, TimeoutError) as error:
            raise JanusGone(f"nobody answers at Janus's socket ({type(error).__name__})") from None
        return cls(connection, secret)

    async def listen(self) -> None:
        """Read until the connection ends; then all open requests fail."""
        try:
            async for frame in self._connection:
                self._take(frame)
        except WebSocketException:
            pass
        finally:
            self._is_over = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(JanusGone("Janus is gone"))
            self._waiting.clear()

    async def begin(self) -> None:
        """Make the session. `listen` runs by now."""
        self._session = (await self.request("create")).data.id

    async def request(self, what: str, handle: int = 0, **fields: object) -> JanusMessage:
        """Ask, and wait for the answer.

        Raises:
            JanusGone: there will be none.
            JanusRefused: the answer is no.
        """
        transaction = str(next(self._numbers))
        if what == "keepalive":
            self._alive = transaction
        message = {"janus": what, "transaction": transaction, "apisecret": self._secret, **fields}
        if self._session:
            message["session_id"] = self._session
        if handle:
            message["handle_id"] = handle
        answer = await self._answer(transaction, msgspec.json.encode(message).decode())
        if answer.error is not None:
            raise JanusRefused(answer.error.code, answer.error.reason)
        if answer.reply.error_code:
            raise JanusRefused(answer.reply.error_code, answer.reply.error)
        return answer

    async def attach(self, listener: Listener) -> int:
        """Attach a handle of the plugin; `listener` gets messages that answer no request."""
        handle = (await self.request("attach", plugin=_PLUGIN)).data.id
        self._listeners[handle] = listener
        return handle

    async def detach(self, handle: int) -> None:
        """Detach a handle, which ends its connection; a missing one counts as detached."""
        self._listeners.pop(handle, None)
        with contextlib.suppress(JanusRefused, JanusGone):
            await self.request("detach", handle)

    async def ask_plugin(self, handle: int, body: Mapping[str, object], jsep: Jsep | None = None) -> JanusMessage:
        """A request to the plugin."""
        fields: dict[str, object] = {"body": body} if jsep is None else {"body": body, "jsep": jsep}
        return await self.request("message", handle, **fields)

    async def close(self) -> None:
        """End the connection, and with it the session."""
        await self._connection.close()

    async def _answer(self, transaction: str, text: str) -> JanusMessage:
        if self._is_over:
            raise JanusGone("Janus is gone")
        waiting = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                await self._connection.send(text)
                answer: JanusMessage = await waiting
                return answer
        except TimeoutError:
            raise JanusGone(f"Janus did not answer within {_ANSWER_WITHIN:g} s") from None
        except WebSocketException:
            raise JanusGone("Janus is gone") from None
        finally:
            self._waiting.pop(transaction, None)

    def _take(self, frame: str | bytes) -> None:
        try:
            message = _decode(frame)
        except (msgspec.DecodeError, UnicodeError):
            return  # of a shape that nothing here has asked for
        waiting = self._waiting.get(message.transaction)
        # the answer of a longer task follows its `ack`; that of `keepalive` is no more than one
        if waiting is not None and (message.janus != "ack" or message.transaction == self._alive):
            if not waiting.done():
                waiting.set_result(message)
        elif message.sender in self._listeners:
            self._listeners[message.sender](message)
