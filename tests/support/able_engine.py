"""The link engine with ears: it mutes as an engine with media does, and remembers that it was asked.

The seats, rooms and events are the link engine's own; only what needs media is played.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from podium_daemon.conference.engine import (
    ControlDone,
    RandomBytes,
    RoomId,
    RoomSpec,
    Support,
    TrackChange,
    TrackChanged,
    TrackKind,
    Unsupported,
)
from podium_daemon.conference.engines.link import CAPABILITIES, LinkEngine, LinkSettings
from podium_daemon.conference.seats import SocketSeat
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.events import Pubkey


class AbleEngine(LinkEngine):
    """`said` is what it was told to do, in order."""

    capabilities = msgspec.structs.replace(  # type: ignore[misc]  # the link engine's are its own; these are ours
        CAPABILITIES, mute=Support.NATIVE, mute_all=Support.NATIVE, screen_share=Support.NATIVE, e2ee=Support.NATIVE
    )

    def __init__(self, settings: LinkSettings, *, clock: Clock, random_bytes: RandomBytes) -> None:
        super().__init__(settings, clock=clock, random_bytes=random_bytes)
        self.said: list[tuple[str, ...]] = []

    def check_spec(self, spec: RoomSpec) -> Unsupported | None:  # noqa: ARG002  (every room is possible here)
        """See `ConferenceEngine`."""
        return None

    def open_microphone(self, seat: SocketSeat) -> TrackChanged:
        """Let a person begin to speak."""
        event = TrackChanged(
            id=f"{seat.connection.id}/audio",
            at=0,
            connection=seat.connection,
            kind=TrackKind.AUDIO,
            change=TrackChange.PUBLISHED,
        )
        self._journal.append(event)
        return event

    async def mute(self, room: RoomId, pubkey: Pubkey, kind: TrackKind = TrackKind.AUDIO) -> ControlDone | Rejection:  # noqa: ARG002  (one room)
        """See `ConferenceEngine`."""
        self.said.append(("mute", pubkey, kind))
        return ControlDone()

    async def lift_mute_all(self, room: RoomId) -> None:  # noqa: ARG002  (one room)
        """See `LiftsMuteAll`."""
        self.said.append(("lift",))

    async def mute_all(self, room: RoomId, keep: Collection[Pubkey] = ()) -> ControlDone | Rejection:  # noqa: ARG002  (one room)
        """See `ConferenceEngine`."""
        self.said.append(("mute_all", *keep))
        return ControlDone()
