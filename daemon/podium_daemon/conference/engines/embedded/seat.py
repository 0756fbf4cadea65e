"""A seat with media: what the page says about it goes to the media process, what that says goes to the page."""

from __future__ import annotations

from typing import Protocol

from podium_daemon.conference.engines.embedded.signals import PageSignal, ServerSignal, decode_signal, encode_signal
from podium_daemon.conference.events import Connection, TrackKind
from podium_daemon.conference.grants import SeatGrant
from podium_daemon.conference.seats import LinkSeat, SeatHost
from podium_daemon.conference.signaling import FrameFlaw


class MediaSeatHost(SeatHost, Protocol):
    """What it asks of its engine."""

    def signal(self, seat: MediaSeat, message: PageSignal) -> None:
        """The page said something about media."""


class MediaSeat(LinkSeat):
    """A `Seat`. `publish` and `silenced` are what the media process is told, and told again when it was restarted."""

    def __init__(
        self, connection: Connection, host: MediaSeatHost, grant: SeatGrant, *, wall: float, monotonic: float
    ) -> None:
        super().__init__(connection, host, wall=wall, monotonic=monotonic)
        self.publish = grant.publish
        self.silenced: set[TrackKind] = set()
        self.fingerprint = grant.person.fingerprint
        self.changes = 0
        self._media_host = host

    async def receive(self, frame: str | bytes) -> None:
        """See `Seat`. A media message is a sign of life; a flawed one is counted and dropped."""
        match decode_signal(frame):
            case None:
                await super().receive(frame)
            case FrameFlaw() as flaw:
                self._media_host.flawed(flaw)
            case message:
                if self.over is None:
                    self.beat()
                    self._media_host.signal(self, message)

    def say(self, signal: ServerSignal) -> None:
        """Say something about media."""
        self.pass_on(encode_signal(signal))
