"""The embedded engine: seats and media on the session's own page, forwarded by a process of our own."""

from __future__ import annotations

from podium_daemon.conference.engine import RandomBytes
from podium_daemon.conference.engines.embedded.media_process import MediaProcess
from podium_daemon.conference.engines.embedded.wire import ProcessSettings
from podium_daemon.conference.page_media.engine import PageMediaEngine
from podium_daemon.conference.page_media.settings import PageMediaSettings
from podium_daemon.runtime.clock import Clock


def build_embedded_engine(settings: PageMediaSettings, *, clock: Clock, random_bytes: RandomBytes) -> PageMediaEngine:
    """An engine that starts its media process with its first room."""
    given = process_settings(settings)
    return PageMediaEngine(
        "embedded",
        settings,
        clock=clock,
        random_bytes=random_bytes,
        media=lambda observer: MediaProcess(given, observer, clock=clock),
    )


def process_settings(settings: PageMediaSettings) -> ProcessSettings:
    """The settings of the media process: without secrets and TURN servers."""
    stun = tuple(url for url in settings.ice_servers if url.startswith("stun:"))
    return ProcessSettings(addresses=settings.addresses, stun=stun)
