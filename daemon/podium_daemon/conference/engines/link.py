"""The link engine: the room is a meeting URL on another server; we hand it out and see who keeps our page open.

The seat is the attendance, so it is presence on our page and not media: `evidence = presence`.
"""

from __future__ import annotations

from typing import Final

from podium_daemon.conference.engine import RandomBytes, RoomSpec, Unsupported
from podium_daemon.conference.own_signalling import OwnSignallingEngine
from podium_daemon.conference.seats import SeatedRoom, SeatSettings
from podium_daemon.conference.values import Capabilities, Capability, Support
from podium_daemon.runtime.clock import Clock
from podium_protocol.errors import InvalidInput
from podium_protocol.live import fields

CAPABILITIES: Final = Capabilities(
    mute=Support.IN_ROOM,
    mute_all=Support.IN_ROOM,
    kick=Support.IN_ROOM,
    record=Support.IN_ROOM,
    record_per_participant=Support.NONE,
    live_admit=Support.NATIVE,  # people are told the URL only after the daemon admits them
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


class LinkEngine(OwnSignallingEngine):
    """A `ConferenceEngine` and `Signalling` for any meeting URL."""

    name: Final = "link"
    capabilities: Final = CAPABILITIES
    evidence: Final = "presence"
    history: Final = False

    def __init__(self, settings: LinkSettings, *, clock: Clock, random_bytes: RandomBytes) -> None:
        """Take the configuration, the clock that is believed, and a source of unguessable bytes.

        Raises:
            InvalidInput: the configured meeting URL is no http(s) URL.
        """
        if settings.meeting_url is not None:
            check_url(settings.meeting_url)
        super().__init__(self.name, CAPABILITIES, ADVICE, settings=settings, clock=clock, random_bytes=random_bytes)
        self._settings = settings

    def check_spec(self, spec: RoomSpec) -> Unsupported | None:
        """See `ConferenceEngine`."""
        url = spec.meeting_url or self._settings.meeting_url
        if url is None:
            raise InvalidInput("no meeting to hand out: set conference.meeting_url, or give the session its own URL")
        check_url(url)
        return self.unsupported(Capability.E2EE) if spec.e2ee else None

    def meeting_of(self, room: SeatedRoom) -> str | None:
        """The session's own meeting, or the configured one."""
        return room.spec.meeting_url or self._settings.meeting_url
