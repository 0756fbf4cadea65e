"""The conference engine: it moves people and media and reports facts. The daemon keeps the policy.

Waiting room, consent, sticky mute-all, deny list and attendance are the daemon's and the same for every engine. For
what an engine cannot do it returns a value that names the capability and what a person can do instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from podium_daemon.conference.events import (
    Connection,
    ConnectionId,
    EngineEvent,
    EngineHealth,
    Joined,
    LeaveReason,
    Left,
    MediaUp,
    Origin,
    RecordingChanged,
    RecordingState,
    RoomClosed,
    RoomId,
    RoomOpened,
    RoomRole,
    TrackChange,
    TrackChanged,
    TrackKind,
)
from podium_daemon.conference.values import (
    Capabilities,
    Capability,
    Collected,
    ControlDone,
    EngineUnavailable,
    Person,
    Present,
    RandomBytes,
    RecordedTrack,
    RoomOpen,
    RoomSpec,
    Snapshot,
    Support,
    Unsupported,
)
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.events import Pubkey

__all__ = [
    "Capabilities",
    "Capability",
    "Collected",
    "ConferenceEngine",
    "Connection",
    "ConnectionId",
    "ControlDone",
    "DiscardsRecordings",
    "EngineEvent",
    "EngineHealth",
    "EngineUnavailable",
    "Joined",
    "LeaveReason",
    "Left",
    "LiftsMuteAll",
    "MediaUp",
    "Origin",
    "Person",
    "Present",
    "RandomBytes",
    "RecordedTrack",
    "RecordingChanged",
    "RecordingState",
    "RoomClosed",
    "RoomId",
    "RoomOpen",
    "RoomOpened",
    "RoomRole",
    "RoomSpec",
    "Snapshot",
    "Support",
    "TrackChange",
    "TrackChanged",
    "TrackKind",
    "Unsupported",
]


class ConferenceEngine(Protocol):
    """One kind of room. A method that needs the engine's server may raise `EngineUnavailable`.

    A room that is not open is `Rejection` with the slug `no-room`; the daemon opens it again.
    """

    @property
    def name(self) -> str:
        """The engine's name in the configuration."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do; constant while the daemon runs."""
        ...

    @property
    def evidence(self) -> Literal["engine", "presence"]:
        """What its joins and leaves prove: media in its own room, once it was up, or presence on our page."""
        ...

    @property
    def history(self) -> bool:
        """Whether `events` reports, after a restart of the daemon, what happened meanwhile."""
        ...

    @property
    def flaws(self) -> Counter[str]:
        """What was dropped since the start of the daemon, by reason; metrics read it."""
        ...

    async def run(self, stop: Stop) -> None:
        """The engine's own work, as a service of the supervisor."""
        ...

    def check_spec(self, spec: RoomSpec) -> Unsupported | None:
        """Return what this engine cannot provide of `spec`, or None. Called when a session is scheduled, too.

        Raises:
            InvalidInput: a setting is missing or bad; says which.
        """
        ...

    async def open_room(self, spec: RoomSpec) -> RoomOpen | Unsupported:
        """Open the room, or bring an open one up to date with `spec`. Idempotent.

        Raises:
            InvalidInput: as `check_spec`.
        """
        ...

    async def close_room(self, room: RoomId) -> ControlDone:
        """End every connection. Idempotent; an unknown room is already closed."""
        ...

    async def mute(self, room: RoomId, pubkey: Pubkey, kind: TrackKind = TrackKind.AUDIO) -> ControlDone | Rejection:
        """Mute a person's tracks of one kind. They can unmute themselves; engines never unmute people."""
        ...

    async def mute_all(self, room: RoomId, keep: Collection[Pubkey] = ()) -> ControlDone | Rejection:
        """Mute all microphones but those of `keep`, once. The daemon repeats it to make it stick."""
        ...

    async def remove(self, room: RoomId, pubkey: Pubkey, reason: str) -> ControlDone | Rejection:
        """End a person's connections; what they still hold opens nothing. `reason` is shown to them."""
        ...

    async def start_recording(self, room: RoomId, *, only: Collection[Pubkey]) -> ControlDone | Rejection:
        """Record only those people in the room who are in `only`: they have consented.

        A second call while it records changes who is recorded from then on.
        """
        ...

    async def stop_recording(self, room: RoomId) -> ControlDone | Rejection:
        """Stop. Idempotent."""
        ...

    async def collect_recording(self, room: RoomId, into: Path) -> Collected | Rejection:
        """Copy the recording's files into the folder `into`, under names that the daemon makes.

        After `RecordingState.READY` they are complete. Also once the room is closed, and again: what was brought before
        is known by its person, kind and `started_at`, which is the time of its first packet.
        """
        ...

    async def snapshot(self, room: RoomId) -> Snapshot | Rejection:
        """The people in the room now; it agrees with the events reported so far."""
        ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """All events from now on, and those that are still remembered. Each caller gets all of them."""
        ...


@runtime_checkable
class LiftsMuteAll(Protocol):
    """An engine that itself keeps newcomers muted after `mute_all`."""

    async def lift_mute_all(self, room: RoomId) -> None:
        """Let newcomers speak from now on; it opens no microphone. Idempotent."""
        ...


@runtime_checkable
class DiscardsRecordings(Protocol):
    """An engine that keeps recorded media of its own after they were collected."""

    async def discard_recording(self, room: RoomId) -> None:
        """Delete what was recorded in a room, unless it is being recorded now. Idempotent."""
        ...
