"""Asks a relay one question, and gives it one event that nobody keeps: it answers both, or something is wrong."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from podium_daemon.keyfile import new_secret
from podium_protocol import kinds, messages
from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.filters import Filter
from podium_protocol.limits import MAX_FRAME_BYTES
from podium_protocol.text import single_line

_WITHIN: Final = 10.0  # seconds, as for an EOSE (docs/hardening.md)
_GOODBYE: Final = 1.0
_QUESTION: Final = "probe"
_MAX_WORDS: Final = 200


async def probe(url: str, within: float = _WITHIN) -> str | None:
    """None if the relay answers a question with EOSE or CLOSED and an event with OK, else what went wrong, in words.

    A relay may refuse both, since a stranger asks. One that takes connections and answers nothing hangs.
    """
    heard = _Heard()
    try:
        async with asyncio.timeout(within):
            # no proxy of the environment, and a redirect must not lead elsewhere than what was configured
            # a relay that goes on talking must not hold up the goodbye, and with it the answer
            async with connect(
                url, proxy=None, max_size=MAX_FRAME_BYTES, close_timeout=_GOODBYE, process_exception=lambda e: e
            ) as socket:
                return await _ask(socket, heard)
    except TimeoutError:
        return f"{heard.missing()} within {within:g} s"
    except (InvalidHandshake, InvalidURI) as error:
        return f"no WebSocket there ({error})"
    except WebSocketException as error:
        return f"the connection broke off ({error})"
    except OSError as error:
        return f"cannot be reached ({error.strerror or error})"


class _Heard:
    """What the relay said so far."""

    def __init__(self) -> None:
        self.anything = False
        self.end = False
        self.ok = False
        self.notice: str | None = None

    def missing(self) -> str:
        """What is not there, in words."""
        if not self.anything:
            return "no answer"
        lacks = "no word on an event" if self.end else "no answer to a question"
        return lacks if self.notice is None else f"{lacks}, only the notice {self.notice!r},"


async def _ask(socket: ClientConnection, heard: _Heard) -> str | None:
    await socket.send(messages.encode_req(_QUESTION, [Filter(kinds=(kinds.SESSION,), limit=1)]), text=True)
    await socket.send(messages.encode_event(_fleeting_event()), text=True)
    async for frame in socket:
        match messages.decode(frame):
            case messages.EoseFrame() | messages.ClosedFrame():
                heard.end = True
            case messages.OkFrame():
                heard.ok = True
            case messages.NoticeFrame(words):
                heard.notice = single_line(words, _MAX_WORDS)
            case messages.FrameRejected():
                return "it answers, and not in the language of Nostr relays (NIP-01)"
        heard.anything = True
        if heard.end and heard.ok:
            return None
    return "it closed the connection without an answer"


def _fleeting_event() -> SignedEvent:
    """An event that relays pass on and do not keep (NIP-01, ephemeral), by a key that is used once, to itself."""
    key = new_secret()
    return key.sign(
        UnsignedEvent(key.pubkey, int(time.time()), kinds.REMOTE_SIGNING, (("p", key.pubkey),), ""),
        secrets.token_bytes(32),
    )
