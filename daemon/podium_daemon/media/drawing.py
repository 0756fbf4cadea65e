"""Pictures drawn and encoded anew: all cameras in a grid, or the speaker's where it cannot be copied. Slow.

A minute of four cameras takes about a minute of one core. Drawn in I420, which is decoded and encoded as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from podium_daemon.media.job import Layout, TrackFile, TrackPiece
from podium_daemon.media.tracks import Notes, frames

WIDTH: Final = 1280
HEIGHT: Final = 720
FRAMES_A_SECOND: Final = 15
_GONE: Final = 5.0  # seconds without a frame: a camera that is off leaves its place to others
_MOST: Final = 16  # cells; more cannot be told apart
_BLACK: Final = (16, 128, 128)  # BT.601
_OPTIONS: Final = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}

Plane = NDArray[np.uint8]


class _Source:
    """One camera or screen: the newest frame at each moment."""

    def __init__(self, track: TrackFile, piece: TrackPiece, notes: Notes) -> None:
        self.track = track
        self.piece = piece
        self.frame: VideoFrame | None = None
        self.shown_at = -math.inf
        self._frames = self._timed(notes)
        self._next = next(self._frames, None)

    def _timed(self, notes: Notes) -> Iterator[tuple[float, VideoFrame]]:
        for time, frame in frames(self.track, VideoFrame, notes):
            if time >= self.piece.end:
                return
            if time >= self.piece.begin:
                yield self.piece.at + time - self.piece.begin, frame

    @property
    def is_over(self) -> bool:
        return self._next is None

    def frame_at(self, time: float) -> VideoFrame | None:
        """The frame to show at `time`; None if there is none, or none for long."""
        while self._next is not None and self._next[0] <= time:
            self.shown_at, self.frame = self._next
            self._next = next(self._frames, None)
        return self.frame if time - self.shown_at <= _GONE else None


class Drawing:
    """Draws into an open file. The same shape as `picture.Picture`."""

    def __init__(self, tracks: Sequence[TrackFile], output: OutputContainer, layout: Layout, notes: Notes) -> None:
        wanted = [track for track in tracks if layout is Layout.GRID or track.rank is not None]
        self._sources = [_Source(track, piece, notes) for track in wanted for piece in track.pieces]
        self._layout = layout
        self._output = output
        self._stream = output.add_stream("libvpx", rate=FRAMES_A_SECOND, options=dict(_OPTIONS))
        self._stream.width, self._stream.height, self._stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        self._stream.bit_rate = 1_500_000
        self._stream.codec_context.time_base = Fraction(1, FRAMES_A_SECOND)
        self._stream.codec_context.gop_size = 5 * FRAMES_A_SECOND  # players can begin every five seconds
        self._drawn = 0
        self.seen = 0.0

    @property
    def is_over(self) -> bool:
        """Whether all frames were drawn."""
        return all(source.is_over for source in self._sources)

    def write_until(self, time: float) -> None:
        """Draw every frame before `time` (seconds of the file)."""
        while not self.is_over and self._drawn / FRAMES_A_SECOND < time:
            at = self._drawn / FRAMES_A_SECOND
            frame = VideoFrame.from_ndarray(self._canvas(at), format="yuv420p")
            frame.pts, frame.time_base = self._drawn, Fraction(1, FRAMES_A_SECOND)
            self._output.mux(self._stream.encode(frame))
            self._drawn += 1
            self.seen = at

    def finish(self) -> None:
        """Write the frames that the encoder has delayed."""
        self._output.mux(self._stream.encode(None))

    def _canvas(self, at: float) -> Plane:
        canvas = np.empty(WIDTH * HEIGHT * 3 // 2, dtype=np.uint8)
        planes = _planes(canvas, WIDTH, HEIGHT)
        for plane, colour in zip(planes, _BLACK, strict=True):
            plane[:] = colour
        looks = [(source, source.frame_at(at)) for source in self._sources]
        live = [(source, frame) for source, frame in looks if frame is not None]
        if self._layout is Layout.SPEAKER:
            live = sorted(live, key=lambda pair: pair[0].track.rank or 0)[:1]
        for (_, frame), cell in zip(live[:_MOST], _cells(min(len(live), _MOST)), strict=False):
            _draw(frame, planes, cell)
        return canvas.reshape(HEIGHT * 3 // 2, WIDTH)


def _cells(count: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, width and height of each place, all even, row by row."""
    if count == 0:
        return
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    width, height = WIDTH // columns // 2 * 2, HEIGHT // rows // 2 * 2
    for number in range(count):
        yield number % columns * width, number // columns * height, width, height


def _draw(frame: VideoFrame, planes: Sequence[Plane], cell: tuple[int, int, int, int]) -> None:
    """Put a frame into a place, as large as it fits, in the middle."""
    left, top, width, height = cell
    scale = min(width / frame.width, height / frame.height)
    fitted = max(2, int(frame.width * scale) // 2 * 2), max(2, int(frame.height * scale) // 2 * 2)
    small = frame.reformat(width=fitted[0], height=fitted[1], format="yuv420p").to_ndarray()
    left += (width - fitted[0]) // 4 * 2
    top += (height - fitted[1]) // 4 * 2
    for plane, part, half in zip(
        planes, _planes(small.reshape(-1).astype(np.uint8, copy=False), *fitted), (1, 2, 2), strict=True
    ):
        plane[top // half : (top + fitted[1]) // half, left // half : (left + fitted[0]) // half] = part


def _planes(flat: Plane, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """Views of the three planes of an I420 picture with even sides."""
    whole, quarter = width * height, width * height // 4
    return (
        flat[:whole].reshape(height, width),
        flat[whole : whole + quarter].reshape(height // 2, width // 2),
        flat[whole + quarter :].reshape(height // 2, width // 2),
    )
