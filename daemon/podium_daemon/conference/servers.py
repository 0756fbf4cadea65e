"""The settings of engines whose server is another program, out of the configuration; secrets out of their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from podium_daemon.conference.bigbluebutton.settings import BigBlueButtonSettings
from podium_daemon.conference.janus.settings import JanusPlace
from podium_daemon.conference.livekit.settings import LiveKitSettings
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.config import Config
from podium_daemon.keys.secret_file import read_secret_file
from podium_protocol.errors import InvalidInput


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the engine in use; the others' secrets are not even read."""

    bigbluebutton: BigBlueButtonSettings | None = None
    livekit: LiveKitSettings | None = None
    janus: JanusPlace | None = None


def configured_servers(config: Config, environment: Mapping[str, str]) -> Servers:
    """What the configured engine needs to know of its server.

    Raises:
        InvalidInput: its section lacks something, or its secret cannot be read; says which.
    """
    given = config.conference
    if given.engine == "bigbluebutton":
        return Servers(
            bigbluebutton=BigBlueButtonSettings(
                url=given.bigbluebutton.url,
                secret=_secret("bigbluebutton", given.bigbluebutton.secret_file, environment),
                public_url=config.public_url,
                poll=given.bigbluebutton.poll,
                devices=given.devices,
            )
        )
    if given.engine == "janus":
        return Servers(
            janus=JanusPlace(
                folder=config.state_directory / "janus",
                program=given.janus.program,
                address=given.janus.address,
                ports=given.janus.ports,
            )
        )
    if given.engine == "livekit":
        return Servers(
            livekit=LiveKitSettings(
                url=given.livekit.url,
                api_key=given.livekit.api_key,
                secret=_secret("livekit", given.livekit.secret_file, environment),
                front_end=given.livekit.front_end,
                public_url=config.public_url,
                recordings=given.livekit.recordings,
                poll=given.livekit.poll,
                devices=given.devices,
            )
        )
    return Servers()


def _secret(engine: str, path: Path | None, environment: Mapping[str, str]) -> SharedSecret:
    if path is not None:
        return _read(engine, path, is_credential=False)
    credential = Path(environment.get("CREDENTIALS_DIRECTORY", "")) / f"podium.{engine}"
    if "CREDENTIALS_DIRECTORY" in environment and credential.exists():
        return _read(engine, credential, is_credential=True)
    raise InvalidInput(
        f"conference.{engine}.secret_file is needed: put the server's secret into a file of mode 0600 and name it "
        f"there, or give it as the systemd credential podium.{engine}"
    )


def _read(engine: str, path: Path, *, is_credential: bool) -> SharedSecret:
    try:
        return SharedSecret(read_secret_file(path, is_credential=is_credential).decode("ascii", "replace"))
    except InvalidInput as error:
        raise InvalidInput(f"conference.{engine}.secret_file: {error}") from None
