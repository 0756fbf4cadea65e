"""The messages to and from the process that mixes: one JSON document a line."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from podium_daemon.media.timeline import TrackPiece


class Layout(StrEnum):
    """The picture: that of the speaker, copied as it was sent; or all cameras, drawn and encoded anew (slow)."""

    SPEAKER = "speaker"
    GRID = "grid"


class TrackFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file with one stream of one person, and where its stretches belong.

    `rank` orders pictures for the speaker's layout, the lowest first; None: not shown there. `label` is for notes.
    """

    path: str
    is_video: bool
    pieces: tuple[TrackPiece, ...]
    label: str
    rank: int | None = None


class MixJob(msgspec.Struct, frozen=True, kw_only=True):
    """Make `output` (WebM) out of `tracks`; `length` is the longest it can be, in seconds, `max_bytes` the largest."""

    output: str
    tracks: tuple[TrackFile, ...]
    length: float
    max_bytes: int = 2**62
    layout: Layout = Layout.SPEAKER


class MixProgress(msgspec.Struct, frozen=True, tag="progress"):
    """The progress in percent."""

    percent: int


class MixDone(msgspec.Struct, frozen=True, tag="done", kw_only=True):
    """The file is finished. `length` in milliseconds; `notes` say what was left out and why."""

    length: int
    media_type: str
    notes: tuple[str, ...]


class MixFailed(msgspec.Struct, frozen=True, tag="failed"):
    """There is no file; `reason` is for people."""

    reason: str


MixAnswer = MixProgress | MixDone | MixFailed
