"""The commands of an engine to the program that moves its media, and its reports: values only.

The program is a process of our own or a Janus.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from podium_daemon.conference.events import ConnectionId, RecordingState, RoomId, TrackChange, TrackKind
from podium_daemon.conference.page_media.signals import IceServer, PageSignal
from podium_protocol.events import Pubkey


class AddSeat(msgspec.Struct, frozen=True, tag="enter", kw_only=True):
    """A person takes a seat in a room. `fingerprint` is that of the certificate that their browser must have.

    `ice_servers` are the servers through which their page may reach us.
    """

    room: RoomId
    connection: ConnectionId
    pubkey: Pubkey
    silenced: frozenset[TrackKind]
    fingerprint: str | None
    ice_servers: tuple[IceServer, ...] = ()


class RemoveSeat(msgspec.Struct, frozen=True, tag="exit"):
    """A person's seat has ended."""

    connection: ConnectionId


class PageMessage(msgspec.Struct, frozen=True, tag="said"):
    """A message from a person's page."""

    connection: ConnectionId
    signal: PageSignal


class Silence(msgspec.Struct, frozen=True, tag="silence"):
    """Forward no track of this kind until the person unmutes it."""

    connection: ConnectionId
    kind: TrackKind


class Record(msgspec.Struct, frozen=True, tag="record"):
    """Record the people of `only` in a room, into new files of `folder`; a second one changes who is recorded."""

    room: RoomId
    folder: str
    only: frozenset[Pubkey]


class StopRecording(msgspec.Struct, frozen=True, tag="stopRecording"):
    """Close the files."""

    room: RoomId


Command = AddSeat | RemoveSeat | PageMessage | Silence | Record | StopRecording


class Frame(msgspec.Struct, frozen=True, tag="frame"):
    """A text frame for a person's page."""

    connection: ConnectionId
    text: str


class Up(msgspec.Struct, frozen=True, tag="up"):
    """Media flows on the connection."""

    connection: ConnectionId


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """The tracks that a person publishes."""

    connection: ConnectionId
    kind: TrackKind
    change: TrackChange


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """A flawed message of a person's page was dropped; `reason` is the name of the counter."""

    connection: ConnectionId
    reason: str


class Drops(msgspec.Struct, frozen=True, tag="drops"):
    """The number of datagrams from any sender that were dropped since the last report, by counter name."""

    counts: dict[str, Annotated[int, msgspec.Meta(ge=0)]]


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """A change in the state of a recording."""

    room: RoomId
    state: RecordingState
    detail: str = ""


Report = Frame | Up | Changed | Dropped | Drops | Recorded
