"""The capabilities of the LiveKit engine, its advice on the rest, and the operator's settings. Needs no library."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from podium_daemon.conference.journal import REMEMBERED_EVENTS
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.conference.values import MAX_DEVICES, Capabilities, Capability, Support
from podium_protocol.errors import InvalidInput
from podium_protocol.live import fields

ADVICE: Final = {
    Capability.MUTE: "It can: ask again.",
    Capability.MUTE_ALL: "It can: ask again.",
    Capability.KICK: "It can: ask again.",
    Capability.RECORD: "Set conference.livekit.recordings to a folder that the egress workers and this daemon share.",
    Capability.RECORD_PER_PARTICIPANT: "Set conference.livekit.recordings, as for recording.",
    Capability.LIVE_ADMIT: "Admit people in the waiting room here.",
    Capability.SCREEN_SHARE: "Share the screen in the meeting's page.",
    Capability.E2EE: "LiveKit's server hands out no keys; schedule without required end-to-end encryption.",
}
_SCHEMES: Final = ("ws", "wss", "http", "https")


class LiveKitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is the server's, `front_end` a LiveKit Meet page's, `public_url` the daemon's own; times in seconds.

    `recordings` is a folder of this machine into which the egress workers write. `silence` is how long the server takes
    to give up a client that says nothing: its `ping_timeout`, 15 s unless the client was told otherwise.

    Raises:
        InvalidInput: no usable address or key, or a number below 1.
    """

    url: str
    api_key: str
    secret: SharedSecret
    front_end: str
    public_url: str
    recordings: Path | None = None
    poll: int = 10
    patience: float = 10.0
    silence: int = 15
    devices: int = MAX_DEVICES
    remembered_events: int = REMEMBERED_EVENTS

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        as_web = self.url.replace("ws", "http", 1) if parts.scheme in ("ws", "wss") else self.url
        if parts.scheme not in _SCHEMES or fields.web_url(as_web) is None or parts.query or parts.fragment:
            raise InvalidInput("conference.livekit.url is the server's address, such as wss://livekit.example.org")
        if fields.web_url(self.front_end) is None:
            raise InvalidInput(
                "conference.livekit.front_end is the address of a LiveKit Meet page of yours, such as "
                "https://meet.example.org: people are sent there with their token"
            )
        if not self.api_key or not self.api_key.isascii() or not self.api_key.isprintable():
            raise InvalidInput("conference.livekit.api_key is the name of the key in the server's configuration")
        if min(self.poll, self.patience, self.silence, self.devices, self.remembered_events) < 1:
            raise InvalidInput("conference.livekit: poll, patience, silence, devices and events are 1 or more")

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do with these settings."""
        record = Support.NATIVE if self.recordings is not None else Support.NONE
        return Capabilities(
            mute=Support.NATIVE,
            mute_all=Support.NATIVE,
            kick=Support.NATIVE,
            record=record,
            record_per_participant=record,
            live_admit=Support.NATIVE,  # people get a token only after the daemon admits them
            screen_share=Support.IN_ROOM,
            e2ee=Support.NONE,
        )
