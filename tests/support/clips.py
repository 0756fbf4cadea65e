"""Small media files as an engine's recorder would write them, and looks into a finished recording."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

RATE = 48_000
FPS = 10


def write_tone(
    path: Path, seconds: float, *, hertz: float = 440.0, volume: float = 0.2, gap: tuple[float, float] | None = None
) -> Path:
    """A microphone: one tone as Opus in WebM, silent and without packets in `gap`."""
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        for start in range(0, int(seconds * RATE), RATE // 50):
            at = start / RATE
            if gap is not None and gap[0] <= at < gap[1]:
                continue
            times = (start + np.arange(RATE // 50)) / RATE
            samples = (volume * np.sin(2 * np.pi * hertz * times)).astype(np.float32).reshape(1, -1)
            frame = AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_picture(
    path: Path,
    seconds: float,
    *,
    grey: int = 128,
    size: tuple[int, int] = (64, 48),
    codec: str = "libvpx",
    key: int = 5,
) -> Path:
    """A camera: a plain picture at ten frames a second, with a key frame every `key` frames."""
    form = "webm" if codec.startswith("libvpx") else "mp4"
    with av.open(str(path), "w", format=form) as container:
        options = {"deadline": "realtime", "cpu-used": "8"} if form == "webm" else {"preset": "ultrafast"}
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = key
        picture = np.full((size[1] * 3 // 2, size[0]), 128, dtype=np.uint8)
        picture[: size[1]] = grey
        for number in range(int(seconds * FPS)):
            picture[0, : size[0] // 2] = number % 250  # no two packets are the same
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class Finished:
    """A finished recording, decoded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with av.open(str(path)) as container:
            self.format = container.format.name
            self.length = (container.duration or 0) / av.time_base
            self.codecs = [stream.codec_context.name for stream in container.streams]

    def sound(self) -> np.ndarray:
        """All samples of one channel, from the beginning of the file."""
        parts = [np.zeros(0, dtype=np.float32)]
        with av.open(str(self.path)) as container:
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
            for frame in container.decode(audio=0):
                parts += [each.to_ndarray()[0] for each in resampler.resample(frame)]
        return np.concatenate(parts)

    def volume(self, begin: float, end: float) -> float:
        """The loudest sample between two times, in seconds."""
        part = self.sound()[int(begin * RATE) : int(end * RATE)]
        return float(np.abs(part).max(initial=0.0))

    def pitch(self, begin: float, end: float) -> float:
        """The strongest frequency between two times."""
        part = self.sound()[int(begin * RATE) : int(end * RATE)]
        return float(np.argmax(np.abs(np.fft.rfft(part))) * RATE / len(part))

    def greys(self) -> dict[float, int]:
        """The middle of each picture by its time."""
        with av.open(str(self.path)) as container:
            found = [(float(frame.time), _middle(frame)) for frame in container.decode(video=0)]
        return dict(found)

    def payloads(self) -> list[str]:
        """Digests of the video packets, in order."""
        return list(payloads(self.path))


def payloads(path: Path) -> Iterator[str]:
    """Digests of a file's video packets."""
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                yield hashlib.sha256(bytes(packet)).hexdigest()


def _middle(frame: VideoFrame) -> int:
    picture: Sequence[Sequence[int]] = frame.to_ndarray(format="yuv420p")  # type: ignore[assignment]  # rows of pixels
    return int(picture[frame.height // 2][frame.width // 2])
