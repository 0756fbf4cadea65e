"""The sections of conference engines whose server is another program."""

from __future__ import annotations

from pydantic import Field

from podium_daemon.config.values import (
    RESTART,
    Location,
    PlainAddress,
    PortRange,
    PositiveSeconds,
    Section,
    ServerUrl,
    SocketUrl,
    Text,
)


class BigBlueButton(Section):
    """A BigBlueButton server, for engine = "bigbluebutton"."""

    url: ServerUrl = Field(
        default="",
        description="Its address up to /bigbluebutton/, as `bbb-conf --secret` prints it.",
        json_schema_extra=RESTART,
    )
    secret_file: Location = Field(
        default=None,
        description="File with its shared secret, mode 0600. Empty: the systemd credential podium.bigbluebutton.",
        json_schema_extra=RESTART,
    )
    poll: PositiveSeconds = Field(
        default=10, description="How often it is asked who is there, beside its webhooks.", json_schema_extra=RESTART
    )


class LiveKit(Section):
    """A LiveKit server, for engine = "livekit". Needs the extra podium-nostr[livekit]."""

    url: SocketUrl = Field(
        default="", description="Its address, such as wss://livekit.example.org.", json_schema_extra=RESTART
    )
    front_end: ServerUrl = Field(
        default="",
        description="Address of a LiveKit Meet page of yours: people are sent there with their token.",
        json_schema_extra=RESTART,
    )
    api_key: str = Field(
        default="", description="Name of the key in the server's configuration.", json_schema_extra=RESTART
    )
    secret_file: Location = Field(
        default=None,
        description="File with the key's secret, mode 0600. Empty: the systemd credential podium.livekit.",
        json_schema_extra=RESTART,
    )
    recordings: Location = Field(
        default=None,
        description="Folder into which the egress workers write, on this machine too. Empty: no recording.",
        json_schema_extra=RESTART,
    )
    poll: PositiveSeconds = Field(
        default=10, description="How often it is asked who is there, beside its webhooks.", json_schema_extra=RESTART
    )


class Janus(Section):
    """A Janus that Podium starts itself, for engine = "janus"."""

    program: Text = Field(
        default="janus", description="The program: a name on the PATH, or a path.", json_schema_extra=RESTART
    )
    address: PlainAddress = Field(
        default="",
        description="This machine's address as browsers see it, behind a NAT that maps one to one. Empty: its own.",
        json_schema_extra=RESTART,
    )
    ports: PortRange = Field(
        default="", description='UDP ports for media, such as "20000-20999". Empty: any.', json_schema_extra=RESTART
    )
