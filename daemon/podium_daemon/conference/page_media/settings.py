"""The capabilities and the settings of engines with media on the session's own page."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from podium_daemon.conference.page_media.signals import IceServer
from podium_daemon.conference.seats import SeatSettings
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.conference.values import Capabilities, Support
from podium_daemon.config import Config
from podium_daemon.keys.secret_file import read_secret_file
from podium_protocol.errors import InvalidInput

CAPABILITIES: Final = Capabilities(
    mute=Support.NATIVE,
    mute_all=Support.NATIVE,
    kick=Support.NATIVE,
    record=Support.NATIVE,
    record_per_participant=Support.NATIVE,
    live_admit=Support.NATIVE,
    screen_share=Support.NATIVE,
    e2ee=Support.NATIVE,  # encrypted media is forwarded unchanged; keys go over the room's socket
)


class PageMediaSettings(SeatSettings, frozen=True, kw_only=True):
    """`recordings` is the folder in which recordings are kept until they are collected.

    `addresses` of this machine are those at which the embedded engine is reached, none: all but loopback.
    `ice_servers` are `stun:`, `turn:` and `turns:` URLs (RFC 7064, RFC 7065); `turn_secret` is shared with the TURN
    servers.
    """

    recordings: Path
    addresses: tuple[str, ...] = ()
    ice_servers: tuple[str, ...] = ()
    turn_secret: SharedSecret | None = None


def page_media_settings(config: Config) -> PageMediaSettings | None:
    """The settings of the configured engine, or None if it is another kind of engine.

    Raises:
        InvalidInput: the secret cannot be read, or is missing while there are TURN servers; says which.
    """
    given = config.conference
    if given.chosen_engine not in ("embedded", "janus"):
        return None
    secret = None
    if any(url.startswith("turn") for url in given.ice_servers):
        if given.turn_secret_file is None:
            raise InvalidInput(
                "conference.turn_secret_file is needed for the TURN servers of conference.ice_servers: put the secret "
                "they share with Podium (static-auth-secret of coturn) into a file of mode 0600 and name it there"
            )
        secret = SharedSecret(read_secret_file(given.turn_secret_file).decode("ascii", "replace"))
    return PageMediaSettings(
        recordings=config.recording_directory,
        heartbeat=given.heartbeat,
        devices=given.devices,
        addresses=given.media_addresses,
        ice_servers=given.ice_servers,
        turn_secret=secret,
    )


CREDENTIAL_SECONDS: Final = 6 * 3600  # the longest sessions; a page that begins anew gets a new one


def page_servers(urls: Sequence[str], secret: bytes | None, now: int) -> tuple[IceServer, ...]:
    """The servers with credentials of `now`, in Unix seconds; TURN servers need the `secret`."""
    if secret is None:
        return tuple(IceServer(url) for url in urls)
    name = str(now + CREDENTIAL_SECONDS)
    password = base64.b64encode(hmac.digest(secret, name.encode(), "sha1")).decode()
    return tuple(IceServer(url, name, password) if url.startswith("turn") else IceServer(url) for url in urls)
