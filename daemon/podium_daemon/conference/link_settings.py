"""What the link engine can do, what it says about the rest, and what an operator can set."""

from __future__ import annotations

from typing import Final

from podium_daemon.conference.seat_settings import SeatSettings
from podium_daemon.conference.values import Capabilities, Capability, Support
from podium_protocol.errors import InvalidInput
from podium_protocol.live import fields

CAPABILITIES: Final = Capabilities(
    mute=Support.IN_ROOM,
    mute_all=Support.IN_ROOM,
    kick=Support.IN_ROOM,
    record=Support.IN_ROOM,
    record_per_participant=Support.NONE,
    live_admit=Support.NATIVE,  # nobody is told the URL before the daemon admits them
    screen_share=Support.IN_ROOM,
    e2ee=Support.NONE,
)
ADVICE: Final = {
    Capability.MUTE: "Mute people in the meeting itself.",
    Capability.MUTE_ALL: "Mute everybody in the meeting itself.",
    Capability.KICK: "Remove them in the meeting itself too: they know its address.",
    Capability.RECORD: "Record in the meeting itself, ask everybody first, then attach the recording to the session.",
    Capability.RECORD_PER_PARTICIPANT: "No engine of this version does; record in the meeting itself.",
    Capability.SCREEN_SHARE: "Share the screen in the meeting itself.",
    Capability.E2EE: "No engine of this version can promise it; schedule without required end-to-end encryption.",
}


class LinkSettings(SeatSettings, frozen=True, kw_only=True):
    """`meeting_url` serves sessions without one of their own.

    Raises:
        InvalidInput: a number below 1.
    """

    meeting_url: str | None = None


def check_url(url: str) -> None:
    """Refuse a URL that a page must not be sent to.

    Raises:
        InvalidInput: not http(s), no host, a user name in it, hidden characters, too long.
    """
    if fields.web_url(url) is None:  # never echoed: many hold the meeting's password
        raise InvalidInput(
            "the meeting URL is not usable: expected http:// or https://, a host, no user name, no spaces, and "
            f"{fields.MAX_URL} characters at most"
        )
