"""What an engine tells the program that moves its media, and what that reports: values only.

The program is a process of our own or a Janus.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from podium_daemon.conference.events import ConnectionId, RecordingState, RoomId, TrackChange, TrackKind
from podium_daemon.conference.page_media.signals import IceServer, PageSignal
from podium_protocol.events import Pubkey


class AddSeat(msgspec.Struct, frozen=True, tag="enter", kw_only=True):
    """Somebody sits in a room. `fingerprint` is the certificate that their browser must have.

    `ice_servers` is what their page may use to reach us.
    """

    room: RoomId
    connection: ConnectionId
    pubkey: Pubkey
    silenced: frozenset[TrackKind]
    fingerprint: str | None
    ice_servers: tuple[IceServer, ...] = ()


class RemoveSeat(msgspec.Struct, frozen=True, tag="exit"):
    """Their seat is over."""

    connection: ConnectionId


class PageMessage(msgspec.Struct, frozen=True, tag="said"):
    """Their page said something."""

    connection: ConnectionId
    signal: PageSignal


class Silence(msgspec.Struct, frozen=True, tag="silence"):
    """Pass nothing of this kind on until they unmute themselves."""

    connection: ConnectionId
    kind: TrackKind


class Record(msgspec.Struct, frozen=True, tag="record"):
    """Record the people of `only` in a room, into new files of `folder`; said again, with others, it changes whom."""

    room: RoomId
    folder: str
    only: frozenset[Pubkey]


class StopRecording(msgspec.Struct, frozen=True, tag="stopRecording"):
    """Close the files."""

    room: RoomId


Command = AddSeat | RemoveSeat | PageMessage | Silence | Record | StopRecording


class Frame(msgspec.Struct, frozen=True, tag="frame"):
    """A text frame for somebody's page."""

    connection: ConnectionId
    text: str


class Up(msgspec.Struct, frozen=True, tag="up"):
    """Media flows on the connection."""

    connection: ConnectionId


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """What somebody publishes."""

    connection: ConnectionId
    kind: TrackKind
    change: TrackChange


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """Something of somebody's page was flawed and dropped; `reason` is the name of the counter."""

    connection: ConnectionId
    reason: str


class Drops(msgspec.Struct, frozen=True, tag="drops"):
    """How many datagrams from anybody were dropped since the last of these, by the name of the counter."""

    counts: dict[str, Annotated[int, msgspec.Meta(ge=0)]]


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """What became of a recording."""

    room: RoomId
    state: RecordingState
    detail: str = ""


Report = Frame | Up | Changed | Dropped | Drops | Recorded
