"""The process that mixes, seen from the daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from podium_daemon.media import job as process
from podium_daemon.media.job import Layout, MixDone, MixFailed, MixJob, TrackFile, TrackPiece, run_mix
from tests.support.clips import write_picture, write_tone


async def nothing(_percent: int) -> None:
    """Nobody listens."""


def job(folder: Path, path: Path, *, layout: Layout = Layout.SPEAKER, turns: int = 1) -> MixJob:
    """One track, again and again."""
    is_video = layout is Layout.GRID
    pieces = tuple(TrackPiece(0, 60, 2.0 * turn) for turn in range(turns))
    track = TrackFile(path=str(path), is_video=is_video, pieces=pieces, label="x", rank=0)
    return MixJob(output=str(folder / "out.webm"), tracks=(track,), length=1000, layout=layout)


async def test_a_job_is_done_and_told(tmp_path: Path) -> None:
    """The outcome comes back, the file is there."""
    told: list[int] = []

    async def note(percent: int) -> None:
        told.append(percent)

    done = await run_mix(job(tmp_path, write_tone(tmp_path / "a.webm", 1)), note)
    assert isinstance(done, MixDone)
    assert told
    assert (tmp_path / "out.webm").stat().st_size > 1000


async def test_nothing_readable_is_a_failure(tmp_path: Path) -> None:
    """The process's own words come back."""
    failed = await run_mix(job(tmp_path, tmp_path / "none.webm"), nothing)
    assert isinstance(failed, MixFailed)
    assert "cannot be read" in failed.reason


async def test_a_process_that_cannot_be_had_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No exception gets to the service."""
    monkeypatch.setattr(process.sys, "executable", str(tmp_path / "no-python"))
    failed = await run_mix(job(tmp_path, tmp_path / "none.webm"), nothing)
    assert isinstance(failed, MixFailed)
    assert "cannot be used" in failed.reason


async def test_a_process_that_crashes_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a decoder can do to its process, it does to that process alone."""
    crash = tmp_path / "crash"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o700)
    monkeypatch.setattr(process.sys, "executable", str(crash))
    failed = await run_mix(job(tmp_path, tmp_path / "none.webm"), nothing)
    assert isinstance(failed, MixFailed)
    assert "status -11" in failed.reason


async def test_a_process_that_talks_nonsense_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only answers are understood."""
    chatty = tmp_path / "chatty"
    chatty.write_text("#!/bin/sh\necho hello\nread line\n")
    chatty.chmod(0o700)
    monkeypatch.setattr(process.sys, "executable", str(chatty))
    assert isinstance(await run_mix(job(tmp_path, tmp_path / "none.webm"), nothing), MixFailed)


async def test_a_cancelled_job_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon stops: the process is killed and reaped before the task is over."""
    started: list[asyncio.subprocess.Process] = []
    make = asyncio.create_subprocess_exec

    async def spied(*words: str, **options: object) -> asyncio.subprocess.Process:
        started.append(await make(*words, **options))  # type: ignore[arg-type]  # passed on as it came
        return started[0]

    monkeypatch.setattr(process.asyncio, "create_subprocess_exec", spied)
    begun = asyncio.Event()

    async def note(_percent: int) -> None:
        begun.set()

    clip = write_picture(tmp_path / "a.webm", 2)
    task = asyncio.create_task(run_mix(job(tmp_path, clip, layout=Layout.GRID, turns=400), note))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started[0].returncode == -9
