"""All microphones mixed: decoded, placed in time, added up, and kept from clipping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from podium_daemon.media.job import TrackFile, TrackPiece
from podium_daemon.media.tracks import Notes, frames

RATE: Final = 48_000  # Opus has no other
CHANNELS: Final = 2
Sound = NDArray[np.float32]
"""Samples as (channels, time), 1.0 being full scale."""

_TOLERANCE: Final = 0.04  # seconds; time stamps jitter, and following them would click
_CEILING: Final = 0.95
_STEP: Final = RATE // 200  # 5 ms
_RELEASE: Final = 0.02  # per step: back to full volume in a quarter of a second


class Placed:
    """A stretch of sound that begins at the sample `at` of the file."""

    __slots__ = ("at", "sound")

    def __init__(self, at: int, sound: Sound) -> None:
        self.at = at
        self.sound = sound


def placed(track: TrackFile, piece: TrackPiece, notes: Notes) -> Iterator[Placed]:
    """The parts of a track's sound that belong to one piece, in order."""
    for time, sound in _steady(track, notes):
        if time >= piece.end:
            return
        skip = max(0, round((piece.begin - time) * RATE))
        keep = min(sound.shape[1], round((piece.end - time) * RATE))
        if skip < keep:
            at = round((piece.at + time - piece.begin) * RATE) + skip
            yield Placed(at, sound[:, skip:keep])


def _steady(track: TrackFile, notes: Notes) -> Iterator[tuple[float, Sound]]:
    """The sound at one rate with its time; a gap in the time stamps is a gap, jitter is not."""
    resampler, begun, done = None, 0.0, 0
    for time, frame in frames(track, AudioFrame, notes):
        if resampler is None or abs(time - begun - done / RATE) > _TOLERANCE:
            resampler, begun, done = _resampler(frame), time, 0
        frame.pts = None  # the resampler would fill gaps in its own way
        try:
            for sound in _resampled(resampler, frame):
                yield begun + done / RATE, sound
                done += sound.shape[1]
        except (av.FFmpegError, ValueError):  # a frame of another format or layout than those before it
            notes.add(track, "parts left out, the sound changed its format")
            resampler = None


def _resampler(frame: AudioFrame) -> AudioResampler:
    # one channel stays one: made into two by the resampler it would be 3 dB quieter
    layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
    return AudioResampler(format="fltp", layout=layout, rate=RATE)


def _resampled(resampler: AudioResampler, frame: AudioFrame) -> Iterator[Sound]:
    for each in resampler.resample(frame):
        sound = np.broadcast_to(each.to_ndarray().astype(np.float32, copy=False), (CHANNELS, each.samples))
        # a decoder fed with nonsense may answer with numbers that are none
        yield np.nan_to_num(sound, nan=0.0, posinf=1.0, neginf=-1.0)


class Mixer:
    """Adds up many tracks, a slice at a time; each file is opened when its turn comes and closed when it is over."""

    def __init__(self, tracks: Iterable[TrackFile], notes: Notes) -> None:
        """Take the tracks that are sound."""
        wanted = [(piece, track) for track in tracks if not track.is_video for piece in track.pieces]
        self._coming = sorted(wanted, key=lambda pair: pair[0].at, reverse=True)
        self._notes = notes
        self._sources: list[Iterator[Placed]] = []
        self._left: list[Placed] = []
        self._limiter = Limiter()
        self.heard = 0
        """The last sample that anything was heard at, so far."""

    @property
    def is_over(self) -> bool:
        """Whether all sound was mixed."""
        return not (self._coming or self._sources or self._left)

    def next_slice(self, start: int, count: int) -> Sound:
        """The samples from `start` on; called with slices that follow each other."""
        mixed = np.zeros((CHANNELS, count), dtype=np.float32)
        while self._coming and self._coming[-1][0].at * RATE < start + count:
            piece, track = self._coming.pop()
            self._sources.append(placed(track, piece, self._notes))
        late, self._left = self._left, []
        for one in late:
            self._add(mixed, start, one)
        self._sources = [source for source in self._sources if self._pour(source, mixed, start)]
        return self._limiter.apply(mixed)

    def _pour(self, source: Iterator[Placed], mixed: Sound, start: int) -> bool:
        """Take sound from one source up to the end of the slice; whether there may be more."""
        for one in source:
            self._add(mixed, start, one)
            if one.at + one.sound.shape[1] >= start + mixed.shape[1]:
                return True
        return False

    def _add(self, mixed: Sound, start: int, one: Placed) -> None:
        count = mixed.shape[1]
        first, last = max(one.at, start), min(one.at + one.sound.shape[1], start + count)
        if first < last:
            mixed[:, first - start : last - start] += one.sound[:, first - one.at : last - one.at]
            self.heard = max(self.heard, last)
        if one.at + one.sound.shape[1] > start + count:
            rest = max(0, start + count - one.at)
            self._left.append(Placed(one.at + rest, one.sound[:, rest:]))


class Limiter:
    """Turns the volume down immediately where many speak at the same time, and up again slowly."""

    def __init__(self) -> None:
        self._gain = 1.0

    def apply(self, sound: Sound) -> Sound:
        """The same sound, nowhere above the ceiling."""
        steps = -(-sound.shape[1] // _STEP)
        padded = np.zeros((CHANNELS, steps * _STEP), dtype=np.float32)
        padded[:, : sound.shape[1]] = sound
        peaks = np.abs(padded).max(axis=0).reshape(steps, _STEP).max(axis=1)
        if self._gain >= 1.0 and peaks.max(initial=0.0) <= _CEILING:
            return sound
        ends = np.empty(steps + 1, dtype=np.float32)
        ends[0] = self._gain
        for step, peak in enumerate(peaks.tolist()):
            wanted = _CEILING / peak if peak > _CEILING else 1.0
            ends[step + 1] = min(wanted, ends[step] + _RELEASE)
        self._gain = float(ends[-1])
        # within a step the gain goes straight from one end to the other; never above what the step itself allows
        along = np.linspace(0.0, 1.0, _STEP, dtype=np.float32)
        gains = (ends[:-1, None] + (ends[1:] - ends[:-1])[:, None] * along).reshape(-1)
        return np.clip(padded * gains, -_CEILING, _CEILING)[:, : sound.shape[1]]
