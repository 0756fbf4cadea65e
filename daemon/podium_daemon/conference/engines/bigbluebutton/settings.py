"""The capabilities of the BigBlueButton engine, its advice on the rest, and the operator's settings."""

from __future__ import annotations

from typing import Final

import msgspec

from podium_daemon.conference.journal import REMEMBERED_EVENTS
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.conference.values import MAX_DEVICES, Capabilities, Capability, Support
from podium_protocol.errors import InvalidInput
from podium_protocol.live import fields

CAPABILITIES: Final = Capabilities(
    mute=Support.IN_ROOM,
    mute_all=Support.IN_ROOM,
    kick=Support.IN_ROOM,  # the API has no call for it
    record=Support.IN_ROOM,
    record_per_participant=Support.NONE,
    live_admit=Support.NATIVE,  # people get a signed address only after the daemon admits them
    screen_share=Support.IN_ROOM,
    e2ee=Support.NONE,
)
ADVICE: Final = {
    Capability.MUTE: "Use the button in BigBlueButton: the person's menu, Mute user.",
    Capability.MUTE_ALL: "Use the button in BigBlueButton: Manage users, Mute all users.",
    Capability.KICK: "Use the button in BigBlueButton too: the person's menu, Remove user. It has no other way.",
    Capability.RECORD: "Use the button in BigBlueButton: Start recording. Ask everybody first.",
    Capability.RECORD_PER_PARTICIPANT: "BigBlueButton records the meeting as a whole; choose another engine.",
    Capability.LIVE_ADMIT: "Admit people in the waiting room here.",
    Capability.SCREEN_SHARE: "Use the button in BigBlueButton: Share your screen.",
    Capability.E2EE: "BigBlueButton's server sees all media; schedule without required end-to-end encryption.",
}
WEBHOOK: Final = "/api/conference/webhook/bigbluebutton"


class BigBlueButtonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url` ends in `/bigbluebutton/`; `public_url` is the daemon's own; `poll` and `patience` are in seconds.

    Raises:
        InvalidInput: no usable address, or a number below 1.
    """

    url: str
    secret: SharedSecret
    public_url: str
    poll: int = 10
    patience: float = 10.0
    devices: int = MAX_DEVICES
    remembered_events: int = REMEMBERED_EVENTS

    def __post_init__(self) -> None:
        if fields.web_url(self.url) is None or not self.url.endswith("/bigbluebutton/"):
            raise InvalidInput(
                "conference.bigbluebutton.url is the server's address up to /bigbluebutton/ (`bbb-conf --secret` "
                "prints it), such as https://bbb.example.org/bigbluebutton/"
            )
        if min(self.poll, self.patience, self.devices, self.remembered_events) < 1:
            raise InvalidInput("conference.bigbluebutton: poll, patience, devices and remembered events are 1 or more")

    @property
    def callback(self) -> str:
        """The address to which the server sends its webhooks."""
        return self.public_url + WEBHOOK
