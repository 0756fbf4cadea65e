"""A conference engine whose recorder writes real media files: the link engine with a recorder beside it.

What it "hears" of a person is a tone as long as the take (on the test's clock), what it "sees" a plain picture.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from podium_daemon.conference.engine import (
    Capabilities,
    Collected,
    ControlDone,
    EngineUnavailable,
    RecordedTrack,
    RecordingChanged,
    RecordingState,
    RoomId,
    Support,
    TrackKind,
)
from podium_daemon.conference.engines.link import CAPABILITIES, LinkEngine
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.events import Pubkey
from tests.support.clips import write_picture, write_tone


class RecordingEngine(LinkEngine):
    """`calls` are what it was told; `away` makes it unreachable, `deaf` makes its recorder refuse."""

    capabilities: Capabilities = msgspec.structs.replace(  # type: ignore[misc]  # another engine has others
        CAPABILITIES, record=Support.NATIVE, record_per_participant=Support.NATIVE
    )

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]  # the link engine's own
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.away = False
        self.deaf: Rejection | None = None
        self.cameras: set[Pubkey] = set()
        self.extra: list[tuple[TrackKind, Pubkey | None, float, float]] = []
        self.whole_takes = True
        self.stopped_late = 0.0
        self._begun: dict[RoomId, dict[Pubkey, float]] = {}
        self._files: dict[RoomId, list[tuple[Path, TrackKind, Pubkey | None, float]]] = {}
        self._folder = Path(mkdtemp(prefix="recorder-"))

    def remove_files(self) -> None:
        """Forget everything on disk."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def start_recording(self, room: RoomId, *, only: Collection[Pubkey]) -> ControlDone | Rejection:
        """See `ConferenceEngine`; a second call while it records adds people."""
        self._reach()
        self.calls.append(("start", tuple(sorted(only))))
        if self.deaf is not None:
            return self.deaf
        begun = self._begun.setdefault(room, {})
        for pubkey in only:
            begun.setdefault(pubkey, self._clock.now())
        return ControlDone()

    async def stop_recording(self, room: RoomId) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        self._reach()
        self.calls.append(("stop", ()))
        now = self._clock.now() + self.stopped_late
        for pubkey, begun in self._begun.pop(room, {}).items():
            await self._write(room, TrackKind.AUDIO, pubkey, begun, now)
            if pubkey in self.cameras:
                await self._write(room, TrackKind.VIDEO, pubkey, begun, now)
        for kind, pubkey, begun, ended in self.extra:
            await self._write(room, kind, pubkey, begun, ended)
        self.extra.clear()
        return ControlDone()

    async def collect_recording(self, room: RoomId, into: Path) -> Collected | Rejection:
        """See `ConferenceEngine`: everything so far, each time."""
        self._reach()
        self.calls.append(("collect", ()))
        tracks = []
        for number, (path, kind, pubkey, begun) in enumerate(self._files.get(room, [])):
            target = into / f"{number}{path.suffix}"
            await asyncio.to_thread(shutil.copyfile, path, target)
            tracks.append(RecordedTrack(target, kind, pubkey, begun))
        return Collected(room, tuple(tracks))

    def say(self, room: RoomId, state: RecordingState, detail: str = "") -> None:
        """Report what the recorder does."""
        event_id = f"recorder-{len(self.calls)}-{state}-{detail}"
        self._journal.append(RecordingChanged(id=event_id, at=self._now(), room=room, state=state, detail=detail))

    def fail_recording(self, room: RoomId, detail: str = "the disk is full") -> None:
        """Report that the recorder has failed."""
        self._begun.pop(room, None)
        self.say(room, RecordingState.FAILED, detail)

    async def _write(self, room: RoomId, kind: TrackKind, pubkey: Pubkey | None, begun: float, ended: float) -> None:
        files = self._files.setdefault(room, [])
        path = self._folder / f"{len(files)}.webm"
        make = write_tone if kind is TrackKind.AUDIO else write_picture
        await asyncio.to_thread(make, path, max(ended - begun, 0.1))
        files.append((path, kind, pubkey, begun))

    def _reach(self) -> None:
        if self.away:
            raise EngineUnavailable("the engine is away")
