"""The process that mixes: `python -m podium_daemon.media`. A job comes in on a line, answers go out line by line.

It is a process of its own because decoders meet what strangers' browsers sent: what breaks them must not break the
daemon, and hours of arithmetic must not hold up its event loop. It ends when the daemon does.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from podium_daemon.media.job import MixAnswer, MixDone, MixFailed, MixJob, MixProgress
from podium_daemon.runtime.worker_child import end_with_the_daemon

_NICE: Final = 10


def main() -> int:
    """Do one job."""
    os.nice(_NICE)
    with contextlib.suppress(OSError):  # where memory runs out, it is this process that goes and not the daemon
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=MixJob)
    end_with_the_daemon()
    from podium_daemon.media.mixing import mix  # after the pipe is watched: loading the decoders takes a moment

    last = -1

    def told(percent: int) -> None:
        nonlocal last
        if percent > last:
            last = percent
            _say(MixProgress(percent))

    answer: MixDone | MixFailed = mix(job, told)
    _say(answer)
    return 0


def _say(answer: MixAnswer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
