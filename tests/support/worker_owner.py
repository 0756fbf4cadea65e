"""A process that keeps the workers which judge events, for tests that kill it.

Says the numbers of the workers as one line of JSON once they run. With "busy" each has work in hand from then on.
"""

from __future__ import annotations

import asyncio
import json
import sys

from podium_daemon.relays.judgement import Arrival
from podium_daemon.relays.judging import JudgingProcesses
from podium_daemon.runtime.clock import SystemClock


async def _own(count: int, *, is_busy: bool) -> None:
    judges = JudgingProcesses(SystemClock(), count)
    judges.start()
    while len(judges.pids) < count:
        await asyncio.sleep(0.01)
    pids = judges.pids
    sys.stdout.write(json.dumps(pids) + "\n")
    sys.stdout.flush()
    batch = [Arrival("wss://one.example", (), b"{}")] * 500
    while is_busy:
        await asyncio.gather(*(judges.judge(batch, 0) for _ in range(count)))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_own(int(sys.argv[1]), is_busy="busy" in sys.argv))
