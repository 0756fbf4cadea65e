"""Mixing: real files with real codecs, and what is heard and seen in the result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import msgspec
import pytest

from podium_daemon.media.job import Layout, MixDone, MixFailed, MixJob, TrackFile, TrackPiece
from podium_daemon.media.mixing import mix
from tests.support.clips import Finished, payloads, write_picture, write_tone


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracks that several tests use."""
    folder = tmp_path_factory.mktemp("clips")
    write_tone(folder / "low.webm", 3, hertz=300)
    write_tone(folder / "high.webm", 1, hertz=1200)
    write_tone(folder / "gap.webm", 3, gap=(1, 2))
    write_tone(folder / "loud.webm", 1, hertz=500, volume=0.9)
    write_picture(folder / "camera.webm", 3, grey=60)
    write_picture(folder / "screen.webm", 1, grey=200, size=(96, 64))
    write_picture(folder / "h264.mp4", 1, grey=200, codec="libx264")
    return folder


def sound(path: Path, at: float = 0.0, *, begin: float = 0.0, end: float = 60.0) -> TrackFile:
    """A microphone that is heard from `at` on."""
    return TrackFile(path=str(path), is_video=False, pieces=(TrackPiece(begin, end, at),), label=path.name)


def sight(path: Path, at: float = 0.0, *, rank: int | None = 1, begin: float = 0.0, end: float = 60.0) -> TrackFile:
    """A camera or a screen that is seen from `at` on."""
    return TrackFile(path=str(path), is_video=True, pieces=(TrackPiece(begin, end, at),), label=path.name, rank=rank)


def mixed(tmp_path: Path, *tracks: TrackFile, length: float = 30.0, layout: Layout = Layout.SPEAKER) -> MixDone:
    """Mix; it must work."""
    done = mix(MixJob(output=str(tmp_path / "out.webm"), tracks=tracks, length=length, layout=layout), lambda _: None)
    assert isinstance(done, MixDone), done
    return done


def test_the_picture_is_copied_and_the_voices_are_opus(tmp_path: Path, clips: Path) -> None:
    """conference.md, "Recording": the main video is copied without re-encoding, all audio is mixed to Opus."""
    done = mixed(tmp_path, sound(clips / "low.webm"), sight(clips / "camera.webm"))
    found = Finished(tmp_path / "out.webm")
    assert (done.media_type, found.codecs, found.format) == ("video/webm", ["vp8", "opus"], "matroska,webm")
    assert found.payloads() == list(payloads(clips / "camera.webm"))
    assert abs(done.length - 3000) <= 40
    assert abs(found.length - 3.0) < 0.1
    assert done.notes == ()


def test_somebody_who_comes_late_is_heard_late(tmp_path: Path, clips: Path) -> None:
    """A track is put at its offset: before it there is silence, and then its own pitch."""
    done = mixed(tmp_path, sound(clips / "high.webm", 2.0))
    found = Finished(tmp_path / "out.webm")
    assert found.volume(0, 1.9) < 0.01
    assert abs(found.pitch(2.2, 2.8) - 1200) < 20
    assert abs(done.length - 3000) <= 40


def test_two_voices_are_heard_together(tmp_path: Path, clips: Path) -> None:
    """While both speak the volume is that of both; afterwards only the longer one is left."""
    mixed(tmp_path, sound(clips / "low.webm"), sound(clips / "high.webm"))
    found = Finished(tmp_path / "out.webm")
    assert found.volume(0.2, 0.9) > 0.3
    assert 0.15 < found.volume(1.3, 2.8) < 0.25
    assert abs(found.pitch(1.3, 2.8) - 300) < 20


def test_a_gap_in_a_track_is_silence(tmp_path: Path, clips: Path) -> None:
    """What comes after a gap stays at its time and does not move forward."""
    mixed(tmp_path, sound(clips / "gap.webm"))
    found = Finished(tmp_path / "out.webm")
    assert found.volume(0.2, 0.9) > 0.15
    assert found.volume(1.15, 1.9) < 0.02
    assert found.volume(2.2, 2.8) > 0.15


def test_many_loud_voices_do_not_clip(tmp_path: Path, clips: Path) -> None:
    """The limiter turns the sum down; its peaks stay below full scale."""
    mixed(tmp_path, *(sound(clips / "loud.webm") for _ in range(5)))
    assert 0.6 < Finished(tmp_path / "out.webm").volume(0, 1) <= 1.0


def test_without_a_picture_there_is_sound_alone(tmp_path: Path, clips: Path) -> None:
    """A session in which nobody showed anything becomes an audio file."""
    done = mixed(tmp_path, sound(clips / "low.webm"))
    assert (done.media_type, Finished(tmp_path / "out.webm").codecs) == ("audio/webm", ["opus"])


def test_without_a_voice_there_is_a_picture_with_silence(tmp_path: Path, clips: Path) -> None:
    """A recording in which nobody spoke is as long as its picture."""
    done = mixed(tmp_path, sight(clips / "camera.webm"))
    assert 2900 <= done.length <= 4000
    assert Finished(tmp_path / "out.webm").volume(0, 3) < 0.001


def test_the_screen_goes_before_the_camera(tmp_path: Path, clips: Path) -> None:
    """While a screen is shared it is what is seen; the camera comes back with its next key frame."""
    shown = sight(clips / "screen.webm", 1.0, rank=0)
    mixed(tmp_path, sight(clips / "camera.webm"), shown)
    greys = Finished(tmp_path / "out.webm").greys()
    assert all(grey < 100 for time, grey in greys.items() if time < 0.95)
    assert all(grey > 150 for time, grey in greys.items() if 1.05 < time < 1.95)


def test_a_camera_that_is_switched_on_again_is_seen_at_once(tmp_path: Path, clips: Path) -> None:
    """A new track of the same person takes the place of the old one with its first key frame."""
    tracks = (sight(clips / "camera.webm", 1.0), sight(clips / "screen.webm", 0.0), sight(clips / "screen.webm", 4.0))
    mixed(tmp_path, *tracks)
    greys = Finished(tmp_path / "out.webm").greys()
    assert all(grey > 150 for time, grey in greys.items() if time < 0.95 or time > 4.05)
    assert all(grey < 100 for time, grey in greys.items() if 1.05 < time < 3.95)
    assert len(greys) == 50


def test_cameras_of_no_rank_are_not_seen(tmp_path: Path, clips: Path) -> None:
    """The speaker's layout shows those who lead; a participant's camera is not in it."""
    done = mixed(tmp_path, sound(clips / "low.webm"), sight(clips / "camera.webm", rank=None))
    assert done.media_type == "audio/webm"


def test_only_what_lies_inside_a_take_is_used(tmp_path: Path, clips: Path) -> None:
    """semantics.md, "Consent": what an engine captured before or after is not in the file, neither seen nor heard."""
    done = mixed(
        tmp_path, sound(clips / "low.webm", begin=1.0, end=2.0), sight(clips / "camera.webm", begin=1.0, end=2.0)
    )
    found = Finished(tmp_path / "out.webm")
    assert abs(done.length - 1000) <= 60
    assert len(found.payloads()) == 10
    assert set(found.payloads()) < set(payloads(clips / "camera.webm"))


def test_a_picture_begins_with_a_key_frame(tmp_path: Path, clips: Path) -> None:
    """Cut in the middle of a group of pictures, the copy waits for the next key frame and can be decoded."""
    mixed(tmp_path, sight(clips / "camera.webm", begin=0.7, end=3.0))
    greys = Finished(tmp_path / "out.webm").greys()
    assert 0.25 < min(greys) < 0.45
    assert all(abs(grey - 60) < 12 for grey in greys.values())


@pytest.mark.parametrize("flaw", ["truncated", "garbage", "empty", "missing", "playlist"])
def test_a_broken_track_is_left_out_and_noted(tmp_path: Path, clips: Path, flaw: str) -> None:
    """One file that cannot be read does not cost the others; the notes say which it was."""
    whole = (clips / "high.webm").read_bytes()
    other = clips / "low.webm"
    content = {
        "truncated": whole[: len(whole) // 10],
        "garbage": bytes(range(256)) * 40,
        "empty": b"",
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{other}\n#EXT-X-ENDLIST\n".encode(),
    }
    broken = tmp_path / "broken.webm"
    if flaw != "missing":
        broken.write_bytes(content[flaw])
    done = mixed(tmp_path, sound(clips / "low.webm"), sound(broken))
    assert abs(Finished(tmp_path / "out.webm").pitch(1.5, 2.5) - 300) < 20
    assert abs(done.length - 3000) <= 40
    if flaw != "truncated":
        assert [note for note in done.notes if note.startswith("broken.webm: skipped")]


def test_damage_in_the_middle_costs_the_middle(tmp_path: Path, clips: Path) -> None:
    """Flipped bytes inside a track leave the rest of it where it belongs."""
    raw = bytearray((clips / "low.webm").read_bytes())
    for at in range(len(raw) // 2, len(raw) // 2 + 200):
        raw[at] ^= 0xFF
    (tmp_path / "damaged.webm").write_bytes(raw)
    mixed(tmp_path, sound(tmp_path / "damaged.webm"), sight(clips / "camera.webm"))
    assert abs(Finished(tmp_path / "out.webm").pitch(0.2, 1.0) - 300) < 20


def test_nothing_to_read_is_a_failure_in_words(tmp_path: Path) -> None:
    """Without a single readable track there is no file, and the reason names the tracks."""
    job = MixJob(output=str(tmp_path / "out.webm"), tracks=(sound(tmp_path / "none.webm"),), length=5)
    failed = mix(job, lambda _: None)
    assert isinstance(failed, MixFailed)
    assert "none.webm" in failed.reason
    assert not (tmp_path / "out.webm").exists()


def test_a_file_that_grows_too_large_is_given_up(tmp_path: Path, clips: Path) -> None:
    """It is removed, and the reason says the limit."""
    tracks = tuple(sound(clips / "low.webm", float(3 * turn)) for turn in range(60))
    job = MixJob(output=str(tmp_path / "out.webm"), tracks=tracks, length=180, max_bytes=100_000)
    failed = mix(job, lambda _: None)
    assert isinstance(failed, MixFailed)
    assert "larger" in failed.reason
    assert not (tmp_path / "out.webm").exists()


def test_a_codec_that_webm_cannot_hold_is_encoded_anew(tmp_path: Path, clips: Path) -> None:
    """H.264 becomes VP8, and the notes say so."""
    done = mixed(tmp_path, sight(clips / "h264.mp4"), sound(clips / "high.webm"))
    found = Finished(tmp_path / "out.webm")
    assert found.codecs == ["vp8", "opus"]
    assert all(abs(grey - 200) < 12 for time, grey in found.greys().items() if time < 0.9)
    assert any("h264" in note for note in done.notes)


def test_the_grid_shows_everybody(tmp_path: Path, clips: Path) -> None:
    """Two cameras stand side by side: the one is dark, the other bright."""
    mixed(
        tmp_path,
        sight(clips / "camera.webm", end=1.0, rank=None),
        sight(clips / "screen.webm", rank=None),
        layout=Layout.GRID,
    )
    with av.open(str(tmp_path / "out.webm")) as container:
        frame = next(frame for frame in container.decode(video=0) if frame.time and frame.time > 0.3)
        picture = frame.to_ndarray(format="yuv420p")
    assert (frame.width, frame.height) == (1280, 720)
    assert int(picture[360][320]) < 100
    assert int(picture[360][960]) > 150


def test_the_process_tells_how_far_it_is(tmp_path: Path, clips: Path) -> None:
    """The job goes in on a line; percents come out in order, and the outcome last."""
    job = MixJob(output=str(tmp_path / "out.webm"), tracks=(sound(clips / "low.webm"),), length=3)
    with subprocess.Popen(
        [sys.executable, "-m", "podium_daemon.media"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(msgspec.json.encode(job) + b"\n")
        child.stdin.flush()
        answers = [json.loads(line) for line in child.stdout]
    percents = [answer["percent"] for answer in answers if answer["type"] == "progress"]
    assert percents == sorted(set(percents))
    assert len(percents) >= 3
    assert (answers[-1]["type"], child.returncode) == ("done", 0)


def test_the_process_ends_with_the_daemon(tmp_path: Path, clips: Path) -> None:
    """When the pipe to the daemon breaks, the process is gone: nobody would hear its answer."""
    tracks = tuple(sight(clips / "camera.webm", float(3 * turn), rank=None) for turn in range(200))
    job = MixJob(output=str(tmp_path / "out.webm"), tracks=tracks, length=600, layout=Layout.GRID)
    with subprocess.Popen(
        [sys.executable, "-m", "podium_daemon.media"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        child.stdin.write(msgspec.json.encode(job) + b"\n")
        child.stdin.close()
        assert child.wait(timeout=60) == 1
