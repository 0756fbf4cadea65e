"""The two ends between which media is moved: the engine, and what runs and feeds the program that moves it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from podium_daemon.conference.events import RoomId
from podium_daemon.conference.page_media.messages import Command, Report
from podium_daemon.runtime.supervisor import Stop


class MediaObserver(Protocol):
    """What a media host tells what it does: the engine."""

    def media_up(self) -> None:
        """The host runs, and knows nothing yet: it has to be told everything."""

    def media_down(self, why: str) -> None:
        """The host is gone, and with it all connections."""

    def media_said(self, report: Report) -> None:
        """The host reports something."""


class MediaHost(Protocol):
    """What moves the media of an engine, and starts again what does when it dies."""

    @property
    def is_up(self) -> bool:
        """Whether it takes commands now."""
        ...

    @property
    def restarts(self) -> int:
        """How often it was started again since the start of the daemon."""
        ...

    def send(self, command: Command) -> None:
        """Give it a command; dropped while it is down. Never waits."""
        ...

    async def run(self, stop: Stop) -> None:
        """Keep it running until the stop."""
        ...

    def convert_recording(self, folder: Path, room: RoomId) -> None:
        """Make packet files (`packet_files`) of what was recorded in `folder`, unless they are. Runs in a thread."""
        ...
