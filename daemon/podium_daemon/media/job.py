"""Mixing jobs: which stretches of the tracks go where in the file, and the process that puts them there.

From wall-clock time to time in the file: time that was not recorded leaves no gap. A recording has takes, the spans in
which all people present had agreed. They follow one another in the file, and only the parts of a track inside a take
are used: what an engine captured before, between or after them is never read. The messages to and from the process are
one JSON document a line.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from podium_daemon.runtime.child_process import kill, python_environment

SHORTEST = 0.001  # seconds


class TrackPiece(msgspec.Struct, frozen=True):
    """A part of a track, from `begin` to `end` in its own seconds, that is played from `at` on in the file."""

    begin: float
    end: float
    at: float


def pieces(started_at: float, takes: Iterable[tuple[float, float]]) -> Iterator[TrackPiece]:
    """The parts of a track that began at `started_at` (Unix seconds, as those of the takes)."""
    before = 0.0
    for start, end in takes:
        begin = max(start - started_at, 0.0)
        if end - started_at > begin + SHORTEST:
            yield TrackPiece(begin, end - started_at, before + started_at + begin - start)
        before += max(end - start, 0.0)


def length(takes: Iterable[tuple[float, float]]) -> float:
    """The longest that the file can be, in seconds."""
    return sum(max(end - start, 0.0) for start, end in takes)


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


Told = Callable[[int], Awaitable[None]]
"""Called with the percent that are done."""

_MAX_LINE: Final = 1024 * 1024  # the notes of hundreds of tracks
_answer: Final[msgspec.json.Decoder[MixAnswer]] = msgspec.json.Decoder(MixAnswer)


async def run_mix(job: MixJob, told: Told) -> MixDone | MixFailed:
    """Do the job in a process of its own, which is killed on cancellation. A crash is returned as `MixFailed`."""
    try:
        return await _run(job, told)
    except (OSError, ValueError) as error:  # the process cannot be started, or its output is not an answer
        return MixFailed(f"the process that mixes cannot be used: {error}")


async def _run(job: MixJob, told: Told) -> MixDone | MixFailed:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "podium_daemon.media"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # decoders write whole lines for each flawed packet
        env=python_environment("HOME"),
        limit=_MAX_LINE,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")  # and it stays open: its end is ours
        answer = await _heard(process, told)
        return answer or MixFailed(f"the process that mixes ended with status {await process.wait()}")
    finally:
        await kill(process)


async def _heard(process: asyncio.subprocess.Process, told: Told) -> MixDone | MixFailed | None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        match _answer.decode(line):
            case MixProgress(percent):
                await told(percent)
            case outcome:
                return outcome
    return None
