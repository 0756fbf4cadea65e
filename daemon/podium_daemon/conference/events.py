"""The reports of an engine: facts with a stable id, the engine's time, and how the engine learned them.

Delivery is at least once, so a reader drops an id it has seen. `at` is Unix seconds, UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

import msgspec

from podium_protocol.events import Pubkey

RoomId = NewType("RoomId", str)  # the model's conferenceRoomId
ConnectionId = NewType("ConnectionId", str)  # unique for ever: a return is a new connection


class Origin(StrEnum):
    """How the engine learned it: it was told, or it compared a list of the people present."""

    PUSH = "push"
    SNAPSHOT = "snapshot"


class RoomRole(StrEnum):
    """A person's role in a room."""

    INSTRUCTOR = "instructor"
    CO_HOST = "co-host"
    PARTICIPANT = "participant"


class TrackKind(StrEnum):
    """A kind of track that a person can publish."""

    AUDIO = "audio"
    VIDEO = "video"
    SCREEN = "screen"


class TrackChange(StrEnum):
    """A change of a track."""

    PUBLISHED = "published"
    UNPUBLISHED = "unpublished"
    MUTED = "muted"
    UNMUTED = "unmuted"


class LeaveReason(StrEnum):
    """Why a connection ended. `Left.at` is the last evidence of presence where it says so, else the moment itself."""

    LEFT = "left"  # they said so, or closed the page
    DROPPED = "dropped"  # the socket died without a word: last evidence
    TIMEOUT = "timeout"  # nothing was heard for too long: last evidence
    REPLACED = "replaced"  # the same device joined again: last evidence
    REMOVED = "removed"
    ROOM_CLOSED = "room_closed"
    UNKNOWN = "unknown"  # the engine does not say: last evidence


class RecordingState(StrEnum):
    """The state of the engine's recorder."""

    STARTED = "started"
    STOPPED = "stopped"
    READY = "ready"  # `collect_recording` will find it
    FAILED = "failed"


class Connection(msgspec.Struct, frozen=True, rename="camel"):
    """One device of one person in one room, from join to leave."""

    id: ConnectionId
    room: RoomId
    pubkey: Pubkey
    device: str
    role: RoomRole


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", rename="camel"):
    """The fields of every event."""

    id: str
    at: int
    origin: Origin = Origin.PUSH


class RoomOpened(Fact, frozen=True, kw_only=True, tag="roomOpened"):
    """People can be let in. A room that is opened again after it was closed gets a new id."""

    room: RoomId


class RoomClosed(Fact, frozen=True, kw_only=True, tag="roomClosed"):
    """The room is empty and closed, and no entrance to it is valid any more."""

    room: RoomId


class Joined(Fact, frozen=True, kw_only=True, tag="joined"):
    """A person has joined the room."""

    connection: Connection


class MediaUp(Fact, frozen=True, kw_only=True, tag="mediaUp"):
    """Media flows on the connection. Engines that carry no media never say this."""

    connection: Connection


class Left(Fact, frozen=True, kw_only=True, tag="left"):
    """The connection is over; exactly one for each `Joined`."""

    connection: Connection
    reason: LeaveReason


class TrackChanged(Fact, frozen=True, kw_only=True, tag="trackChanged"):
    """A person's microphone, camera or screen changed."""

    connection: Connection
    kind: TrackKind
    change: TrackChange


class RecordingChanged(Fact, frozen=True, kw_only=True, tag="recordingChanged"):
    """The engine's recorder changed."""

    room: RoomId
    state: RecordingState
    detail: str = ""


class EngineHealth(Fact, frozen=True, kw_only=True, tag="engineHealth"):
    """Whether the reports are reliable. `up=False`: open intervals are unknown, not absent, until a snapshot."""

    up: bool
    detail: str = ""


EngineEvent = RoomOpened | RoomClosed | Joined | MediaUp | Left | TrackChanged | RecordingChanged | EngineHealth
