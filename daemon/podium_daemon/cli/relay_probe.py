"""Asks a relay one question and waits for its end: it speaks Nostr, or it does not."""

from __future__ import annotations

import asyncio
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from podium_protocol import kinds, messages
from podium_protocol.filters import Filter
from podium_protocol.limits import MAX_FRAME_BYTES

_WITHIN: Final = 10.0  # seconds, as for an EOSE (docs/hardening.md)
_GOODBYE: Final = 1.0
_QUESTION: Final = "probe"


async def probe(url: str, within: float = _WITHIN) -> str | None:
    """None if the relay answers a question with EOSE, CLOSED or AUTH, else what went wrong, in words."""
    try:
        async with asyncio.timeout(within):
            # no proxy of the environment, and a redirect must not lead elsewhere than what was configured
            # a relay that goes on talking must not hold up the goodbye, and with it the answer
            async with connect(
                url, proxy=None, max_size=MAX_FRAME_BYTES, close_timeout=_GOODBYE, process_exception=lambda e: e
            ) as socket:
                return await _ask(socket)
    except TimeoutError:
        return f"no answer within {within:g} s"
    except (InvalidHandshake, InvalidURI) as error:
        return f"no WebSocket there ({error})"
    except WebSocketException as error:
        return f"the connection broke off ({error})"
    except OSError as error:
        return f"cannot be reached ({error.strerror or error})"


async def _ask(socket: ClientConnection) -> str | None:
    await socket.send(messages.encode_req(_QUESTION, [Filter(kinds=(kinds.SESSION,), limit=1)]), text=True)
    async for frame in socket:
        match messages.decode(frame):
            case messages.EoseFrame() | messages.ClosedFrame() | messages.AuthFrame():
                return None
            case messages.FrameRejected():
                return "it answers, and not in the language of Nostr relays (NIP-01)"
    return "it closed the connection without an answer"
