"""Starts the process that mixes, and reads its answers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from podium_daemon.media.job import MixAnswer, MixDone, MixFailed, MixJob, MixProgress
from podium_daemon.runtime.child_process import kill, python_environment

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
