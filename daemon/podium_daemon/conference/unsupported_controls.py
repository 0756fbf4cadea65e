"""The answers of an engine whose controls are in the room's own page: they name what a person can do there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from podium_daemon.conference.engine import (
    Capabilities,
    Capability,
    Collected,
    ControlDone,
    Support,
    Unsupported,
)
from podium_daemon.conference.events import RoomId, TrackKind
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey

_WORDS: Final = {
    Capability.MUTE: "mute somebody",
    Capability.MUTE_ALL: "mute everybody",
    Capability.KICK: "remove somebody",
    Capability.RECORD: "record",
    Capability.RECORD_PER_PARTICIPANT: "record people one by one",
    Capability.LIVE_ADMIT: "admit people while it runs",
    Capability.SCREEN_SHARE: "share a screen",
    Capability.E2EE: "encrypt end to end",
}


class UnsupportedControls:
    """The methods of `ConferenceEngine`, each of which refuses; an engine overrides those that it supports."""

    def __init__(self, name: str, capabilities: Capabilities, advice: Mapping[Capability, str]) -> None:
        """Answer for the engine `name`; `advice` says what a person can do about each missing capability."""
        self._name = name
        self._answers = capabilities
        self._advice = advice

    def unsupported(self, capability: Capability) -> Unsupported:
        """The answer to a request for `capability`."""
        support = self._answers.support_of(capability)
        where = "from here; people do it in the room" if support is Support.IN_ROOM else "at all"
        return Unsupported(
            Slug.NOT_SUPPORTED,
            f"the {self._name} engine cannot {_WORDS[capability]} {where}",
            self._advice[capability],
            capability=capability,
            support=support,
        )

    async def mute(self, room: RoomId, pubkey: Pubkey, kind: TrackKind = TrackKind.AUDIO) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        return self.unsupported(Capability.MUTE)

    async def mute_all(self, room: RoomId, keep: Collection[Pubkey] = ()) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        return self.unsupported(Capability.MUTE_ALL)

    async def start_recording(self, room: RoomId, *, only: Collection[Pubkey]) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        return self.unsupported(Capability.RECORD)

    async def stop_recording(self, room: RoomId) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        return self.unsupported(Capability.RECORD)

    async def collect_recording(self, room: RoomId, into: Path) -> Collected | Rejection:
        """See `ConferenceEngine`."""
        return self.unsupported(Capability.RECORD)
