"""Starting the process that mixes, and listening to it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from podium_daemon.media.job import MixAnswer, MixDone, MixFailed, MixJob, MixProgress

Told = Callable[[int], Awaitable[None]]
"""Called with the percent that are done."""

_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
_MAX_LINE: Final = 1024 * 1024  # the notes of hundreds of tracks
_answer: Final[msgspec.json.Decoder[MixAnswer]] = msgspec.json.Decoder(MixAnswer)


async def run_mix(job: MixJob, told: Told) -> MixDone | MixFailed:
    """Do the job in a process of its own; cancelled, it is killed. A process that crashes is a failure like others."""
    try:
        return await _run(job, told)
    except (OSError, ValueError) as error:  # no process can be had, or it says something else than answers
        return MixFailed(f"the process that mixes cannot be used: {error}")


async def _run(job: MixJob, told: Told) -> MixDone | MixFailed:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "podium_daemon.media"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # decoders write whole lines for each flawed packet
        env=_environment(),
        limit=_MAX_LINE,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")  # and it stays open: its end is ours
        answer = await _heard(process, told)
        return answer or MixFailed(f"the process that mixes ended with status {await process.wait()}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _heard(process: asyncio.subprocess.Process, told: Told) -> MixDone | MixFailed | None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        match _answer.decode(line):
            case MixProgress(percent):
                await told(percent)
            case outcome:
                return outcome
    return None


def _environment() -> dict[str, str]:
    """As little as it needs: the daemon's own environment may hold secrets."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
