"""The interfaces between an engine and the host that runs the program which moves media."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from podium_daemon.conference.events import RoomId
from podium_daemon.conference.page_media.messages import Command, Report
from podium_daemon.runtime.supervisor import Stop


class MediaObserver(Protocol):
    """Receives a media host's reports; the engine is one."""

    def media_up(self) -> None:
        """Note that the host runs with no state: it must be told all rooms and seats."""

    def media_down(self, why: str) -> None:
        """Note that the host has ended, and with it all connections."""

    def media_said(self, report: Report) -> None:
        """Take a report of the host."""


class MediaHost(Protocol):
    """Moves the media of an engine, and restarts the program that does when it dies."""

    @property
    def is_up(self) -> bool:
        """Whether the host takes commands now."""
        ...

    @property
    def restarts(self) -> int:
        """The number of restarts since the start of the daemon."""
        ...

    def send(self, command: Command) -> None:
        """Send a command; it is dropped while the host is down. Never waits."""
        ...

    async def run(self, stop: Stop) -> None:
        """Keep the program running until the stop."""
        ...

    def convert_recording(self, folder: Path, room: RoomId) -> None:
        """Make packet files (`packet_files`) of what was recorded in `folder`, unless they are. Runs in a thread."""
        ...
