"""The Janus engine: seats and media on the session's own page, with a Janus of our own moving the media.

The daemon is Janus's only client: a browser's identity is its seat's, and what it says about media comes through the
daemon's own socket.
"""

from __future__ import annotations

from podium_daemon.conference.engine import RandomBytes
from podium_daemon.conference.engines.janus.media import JanusMedia
from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_daemon.conference.page_media.engine import PageMediaEngine
from podium_daemon.conference.page_media.settings import PageMediaSettings
from podium_daemon.runtime.clock import Clock


def build_janus_engine(
    settings: PageMediaSettings, place: JanusPlace, *, clock: Clock, random_bytes: RandomBytes
) -> PageMediaEngine:
    """An engine that starts a Janus with its first room.

    Raises:
        InvalidInput: a setting cannot stand in Janus's configuration.
    """
    return PageMediaEngine(
        "janus",
        settings,
        clock=clock,
        random_bytes=random_bytes,
        media=lambda observer: JanusMedia(place, observer, clock=clock),
    )
