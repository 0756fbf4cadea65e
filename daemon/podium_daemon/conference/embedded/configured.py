"""The embedded engine's settings out of the configuration; the TURN servers' secret out of its file."""

from __future__ import annotations

from podium_daemon.conference.embedded.settings import EmbeddedSettings
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.config import Config
from podium_daemon.keys.secret_file import read_secret_file
from podium_protocol.errors import InvalidInput


def embedded_settings(config: Config) -> EmbeddedSettings | None:
    """What the engine needs to know, or None if another one is configured; Janus's is built on it.

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
    return EmbeddedSettings(
        recordings=config.recording_directory,
        heartbeat=given.heartbeat,
        devices=given.devices,
        addresses=given.media_addresses,
        ice_servers=given.ice_servers,
        turn_secret=secret,
    )
