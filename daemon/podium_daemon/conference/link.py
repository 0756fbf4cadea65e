"""The link engine: the room is somebody else's meeting URL; we hand it out and see who keeps our page open.

The seat is the attendance, so it is presence on our page and not media: `evidence = presence`.
"""

from __future__ import annotations

from typing import Final

from podium_daemon.conference.base import Capability, RandomBytes, RoomSpec, Unsupported
from podium_daemon.conference.link_room import LinkRoom
from podium_daemon.conference.link_settings import ADVICE, CAPABILITIES, LinkSettings, check_url
from podium_daemon.conference.seated import SeatedEngine
from podium_daemon.runtime.clock import Clock
from podium_protocol.errors import InvalidInput


class LinkEngine(SeatedEngine):
    """A `ConferenceEngine` and `Signalling` for any meeting URL."""

    name: Final = "link"
    capabilities: Final = CAPABILITIES
    evidence: Final = "presence"
    history: Final = False

    def __init__(self, settings: LinkSettings, *, clock: Clock, random_bytes: RandomBytes) -> None:
        """Take the configuration, the clock that is believed, and a source of unguessable bytes.

        Raises:
            InvalidInput: the configured meeting URL is no http(s) URL.
        """
        if settings.meeting_url is not None:
            check_url(settings.meeting_url)
        super().__init__(self.name, CAPABILITIES, ADVICE, settings=settings, clock=clock, random_bytes=random_bytes)
        self._settings = settings

    def check_spec(self, spec: RoomSpec) -> Unsupported | None:
        """See `ConferenceEngine`."""
        url = spec.meeting_url or self._settings.meeting_url
        if url is None:
            raise InvalidInput("no meeting to hand out: set conference.meeting_url, or give the session its own URL")
        check_url(url)
        return self.unsupported(Capability.E2EE) if spec.e2ee else None

    def meeting_of(self, room: LinkRoom) -> str | None:
        """The session's own meeting, or the configured one."""
        return room.spec.meeting_url or self._settings.meeting_url
