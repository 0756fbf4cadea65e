"""One WebM out of many tracks: the picture, and all voices mixed to Opus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from podium_daemon.media.drawing import Drawing
from podium_daemon.media.job import Layout, MixDone, MixFailed, MixJob, TrackFile
from podium_daemon.media.picture import IN_WEBM, Picture
from podium_daemon.media.sound import RATE, Mixer, Sound
from podium_daemon.media.tracks import Notes, open_track, packets

_SLICE: Final = RATE  # samples: a second is heard, then a second is seen
_BIT_RATE: Final = 96_000

Told = Callable[[int], None]
"""Called with the percent that are done, once for each."""


class _TooLarge(Exception):
    """The file has grown beyond the limit: one recording must not fill the disk."""


class Seen(Protocol):
    """Writes the picture beside the sound."""

    seen: float

    @property
    def is_over(self) -> bool: ...

    def write_until(self, time: float) -> None: ...

    def finish(self) -> None: ...


def mix(job: MixJob, told: Told) -> MixDone | MixFailed:
    """Do the job. A file that was begun and not finished is removed."""
    notes = Notes()
    usable = [track for track in job.tracks if _has_media(track, notes)]
    if not usable:
        return MixFailed("; ".join(("nothing of it can be read", *notes.lines)))
    try:
        return _written(job, usable, notes, told)
    except _TooLarge:
        reason = f"it is larger than {job.max_bytes // 1_000_000} MB"
    except (av.FFmpegError, OSError) as error:
        reason = f"the file could not be written: {error}"
    with suppress(OSError):
        Path(job.output).unlink(missing_ok=True)
    return MixFailed(reason)


def _has_media(track: TrackFile, notes: Notes) -> bool:
    with closing(packets(track, notes)) as found:
        if next(found, None) is not None:
            return True
    notes.add(track, "skipped, there is nothing in the file")
    return False


def _written(job: MixJob, tracks: Sequence[TrackFile], notes: Notes, told: Told) -> MixDone | MixFailed:
    # the index in front: a browser that jumps need not fetch the end of the file first
    with av.open(job.output, "w", format="webm", options={"cues_to_front": "1"}) as output:
        picture = _picture(job, tracks, output, notes)
        voices = output.add_stream("libopus", rate=RATE, layout="stereo")
        assert isinstance(voices, AudioStream)
        voices.bit_rate = _BIT_RATE
        mixer, written = Mixer(tracks, notes), 0
        for sound, at in _slices(mixer, picture, job.length):
            if picture is not None:
                picture.write_until((at + sound.shape[1]) / RATE)
            output.mux(voices.encode(_frame(sound, at)))
            written = at + sound.shape[1]
            if Path(job.output).stat().st_size > job.max_bytes:
                raise _TooLarge
            told(min(99, int(100 * written / RATE / max(job.length, 1.0))))
        if picture is not None:
            picture.finish()
        output.mux(voices.encode(None))
    if written == 0:
        Path(job.output).unlink(missing_ok=True)
        return MixFailed("; ".join(("nothing was recorded while everybody had agreed", *notes.lines)))
    media_type = "audio/webm" if picture is None else "video/webm"
    return MixDone(length=round(written * 1000 / RATE), media_type=media_type, notes=notes.lines)


def _slices(mixer: Mixer, picture: Seen | None, length: float) -> Iterator[tuple[Sound, int]]:
    """The sound from the beginning to the last moment at which anything is heard or seen."""
    longest, at = int(length * RATE), 0
    while at < longest:
        sound = mixer.next_slice(at, min(_SLICE, longest - at))
        silent_from = mixer.heard - at
        if mixer.is_over and (picture is None or picture.is_over):
            # nothing follows: end with the last sound and not with the second that it is in
            if silent_from > 0:
                yield sound[:, :silent_from], at
            return
        yield sound, at
        at += sound.shape[1]


def _picture(job: MixJob, tracks: Sequence[TrackFile], output: OutputContainer, notes: Notes) -> Seen | None:
    shown = [track for track in tracks if track.is_video and (job.layout is Layout.GRID or track.rank is not None)]
    if not shown:
        return None
    if job.layout is Layout.GRID:
        return Drawing(shown, output, Layout.GRID, notes)
    codecs = {codec for track in shown if (codec := _codec(track, notes))}
    if len(codecs) == 1 and codecs <= IN_WEBM:
        return Picture(shown, output, shown[0], notes)
    notes.add(shown[0], f"encoded anew, since {', '.join(sorted(codecs))} cannot be copied into one WebM")
    return Drawing(shown, output, Layout.SPEAKER, notes)


def _codec(track: TrackFile, notes: Notes) -> str | None:
    opened = open_track(track, notes)
    if opened is None:
        return None
    container, stream = opened
    with closing(container):
        return stream.codec_context.name.removeprefix("lib")


def _frame(sound: Sound, at: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(sound.copy(order="C"), format="fltp", layout="stereo")
    frame.sample_rate = RATE
    frame.pts, frame.time_base = at, Fraction(1, RATE)
    return frame
