"""The arguments and results of engines: rooms, people, answers."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from podium_daemon.conference.events import Connection, ConnectionId, RoomId, RoomRole, TrackKind
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.errors import LocalProtocolError, RemoteProtocolError
from podium_protocol.events import Pubkey
from podium_protocol.live import fields
from podium_protocol.live.names import short_npub

MAX_DEVICES: Final = 3  # of one pubkey in one room (semantics.md, Attendance)
RandomBytes = Callable[[int], bytes]  # `secrets.token_bytes`, or a seeded source in a test


class EngineUnavailable(RemoteProtocolError):
    """The engine's server did not answer or refused us; nothing is known to have happened. Try again after a pause."""


class Capability(StrEnum):
    """A capability that an engine may have."""

    MUTE = "mute"
    MUTE_ALL = "mute_all"
    KICK = "kick"
    RECORD = "record"
    RECORD_PER_PARTICIPANT = "record_per_participant"
    LIVE_ADMIT = "live_admit"
    SCREEN_SHARE = "screen_share"
    E2EE = "e2ee"


class Support(StrEnum):
    """Who can do it: the daemon through this engine (native), people in the room's own page, or neither."""

    NATIVE = "native"
    IN_ROOM = "in_room"
    NONE = "none"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's answer for each capability; the page shows no button for what is not NATIVE."""

    mute: Support
    mute_all: Support
    kick: Support
    record: Support
    record_per_participant: Support
    live_admit: Support
    screen_share: Support
    e2ee: Support

    def support_of(self, capability: Capability) -> Support:
        """The answer for one capability."""
        answer: Support = getattr(self, capability.value)
        return answer


class RoomSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The requirements on a room. `meeting_url` is for engines whose rooms are on another server."""

    room: RoomId
    title: str
    allow_recording: bool = False
    e2ee: bool = False
    meeting_url: str | None = None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A person whom the daemon has identified and admitted. An engine takes no identity from a browser.

    `device` comes from the join proof, as does `fingerprint`, that of the browser's DTLS certificate
    ("sha-256 AB:..."), if the proof names one. `name` is shown by servers that show one.

    Raises:
        LocalProtocolError: a device no join proof can have.
    """

    pubkey: Pubkey
    device: str
    role: RoomRole = RoomRole.PARTICIPANT
    fingerprint: str | None = None
    name: str = ""

    @property
    def shown_name(self) -> str:
        """The name, or the short npub of a person without one (`live.names`)."""
        return self.name or short_npub(self.pubkey)

    def __post_init__(self) -> None:
        if fields.device(self.device) is None:  # a `#` would make two identities of one
            raise LocalProtocolError("a device is 1 to 64 letters, digits, - or _")

    @property
    def identity(self) -> str:
        """`<pubkey>#<device>`, the name under which engines with names of their own know this connection."""
        return f"{self.pubkey}#{self.device}"


class RoomOpen(msgspec.Struct, frozen=True):
    """The room is open; `created` is False if it already was."""

    room: RoomId
    created: bool


class ControlDone(msgspec.Struct, frozen=True):
    """The control was applied to `connections`. `still_to_do` is what a person has to do in the room itself."""

    connections: tuple[ConnectionId, ...] = ()
    still_to_do: str = ""


class Unsupported(Rejection, frozen=True, kw_only=True):
    """The engine cannot; `next_step` says where a person can, or what to choose instead."""

    capability: Capability
    support: Support


class Present(msgspec.Struct, frozen=True):
    """A connection that is in the room, with Unix seconds of its join and of the last sign of life.

    `has_media`: its media was up, which `MediaUp` has reported.
    """

    connection: Connection
    joined_at: int
    last_evidence: int
    has_media: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    """The connections in the room at `at` (Unix seconds)."""

    room: RoomId
    at: int
    present: tuple[Present, ...]


class RecordedTrack(msgspec.Struct, frozen=True):
    """One file of a recording, begun at `started_at` (Unix seconds). `pubkey` is None where people are mixed."""

    path: Path
    kind: TrackKind
    pubkey: Pubkey | None
    started_at: float


class Collected(msgspec.Struct, frozen=True):
    """A recording that was copied to this machine."""

    room: RoomId
    tracks: tuple[RecordedTrack, ...]
