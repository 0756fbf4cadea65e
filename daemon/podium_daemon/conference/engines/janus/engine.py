"""The Janus engine: the embedded engine's seats and page, with a Janus of our own moving the media.

The daemon is Janus's only client: a browser's identity is its seat's, and what it says about media comes through the
daemon's own socket. What Janus has to know is kept here, so that one that was started again is told everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from podium_daemon.conference.engine import Collected, RandomBytes, RoomId
from podium_daemon.conference.engines.embedded.collecting import folder_of
from podium_daemon.conference.engines.embedded.engine import EmbeddedEngine
from podium_daemon.conference.engines.embedded.media_process import Media, MediaHost
from podium_daemon.conference.engines.janus.media import JanusMedia
from podium_daemon.conference.engines.janus.recordings import convert
from podium_daemon.conference.engines.janus.settings import JanusSettings
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection


class JanusEngine(EmbeddedEngine):
    """A `ConferenceEngine` and `Signalling` that starts a Janus with its first room."""

    name: Final = "janus"  # type: ignore[misc]  # Final for others; all but the media is the embedded engine's

    def __init__(
        self,
        settings: JanusSettings,
        *,
        clock: Clock,
        random_bytes: RandomBytes,
        media: Callable[[MediaHost], Media] | None = None,
    ) -> None:
        """As `EmbeddedEngine`.

        Raises:
            InvalidInput: a setting cannot stand in Janus's configuration.
        """
        super().__init__(
            settings,
            clock=clock,
            random_bytes=random_bytes,
            media=media or (lambda host: JanusMedia(settings.place, host, clock=clock)),
        )

    async def collect_recording(self, room: RoomId, into: Path) -> Collected | Rejection:
        """See `ConferenceEngine`. Janus's files, one a track, copied without re-encoding."""
        if room not in self._recorded:
            await asyncio.to_thread(convert, folder_of(self._recordings, room), room)
        return await super().collect_recording(room, into)
