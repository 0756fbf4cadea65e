"""The way into rooms that are another server's: a click on our address is answered with the server's signed entrance.

Such an engine is a `HandOver` beside being a `ConferenceEngine` and a `Signalling`: its seats are a `lobby`. Its server
tells it by webhook who came and went, and the engine asks the server too: webhooks get lost.
"""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

import msgspec

from podium_daemon.runtime.outcomes import Refused

ENTERED_ALREADY: Final = Refused(
    "entrance-used", "this address opens nothing any more: it was used, or its page was closed", "Use the newest one."
)
BAD_SIGNATURE: Final = Refused(
    "bad-signature", "the webhook is not signed by this engine's server", "Compare the secrets on both sides."
)


class Entrance(msgspec.Struct, frozen=True):
    """Where the browser goes now. It is signed: never stored, never logged."""

    url: str

    def __repr__(self) -> str:
        return "<Entrance>"


class WebhookCall(msgspec.Struct, frozen=True):
    """A webhook as it came: the body's bytes, `checksum` of the query and `Authorization` of the head, or empty."""

    body: bytes
    checksum: str = ""
    authorization: str = ""

    def __repr__(self) -> str:
        return f"<WebhookCall of {len(self.body)} bytes>"


@runtime_checkable
class HandOver(Protocol):
    """What an engine adds whose rooms are on another server."""

    async def enter(self, token: str) -> Entrance | Refused:
        """Spend the address that a seat was given; the seat is sent the next one.

        Raises:
            EngineUnavailable: the server did not answer.
        """
        ...

    async def notified(self, call: WebhookCall) -> Refused | None:
        """Take a webhook; `bad-signature` if it is not the server's. The same one twice changes nothing."""
        ...
