"""What the embedded engine can do, what it says about the rest, and what an operator can set."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from podium_daemon.conference.embedded.wire import MediaSettings
from podium_daemon.conference.seat_settings import SeatSettings
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.conference.values import Capabilities, Support

CAPABILITIES: Final = Capabilities(
    mute=Support.NATIVE,
    mute_all=Support.NATIVE,
    kick=Support.NATIVE,
    record=Support.NATIVE,
    record_per_participant=Support.NATIVE,
    live_admit=Support.NATIVE,
    screen_share=Support.NATIVE,
    e2ee=Support.NATIVE,  # what browsers encrypt is passed on as it is; keys go over the room's socket
)


class EmbeddedSettings(SeatSettings, frozen=True, kw_only=True):
    """`recordings` is the folder in which recordings are kept until they are collected.

    `addresses` of this machine are those to be reached at, none: all but loopback. `ice_servers` are `stun:`, `turn:`
    and `turns:` URLs (RFC 7064, RFC 7065); `turn_secret` is shared with the TURN servers.
    """

    recordings: Path
    addresses: tuple[str, ...] = ()
    ice_servers: tuple[str, ...] = ()
    turn_secret: SharedSecret | None = None

    @property
    def media(self) -> MediaSettings:
        """What the media process needs of it: no secret."""
        stun = tuple(url for url in self.ice_servers if url.startswith("stun:"))
        return MediaSettings(addresses=self.addresses, stun=stun)
