"""A process under the real supervisor, for tests that send it signals: `python -m tests.support.supervised MODE`.

It prints one word a line: `ready`, then what each service does while it stops.
"""

from __future__ import annotations

import asyncio
import sys
import time

from podium_daemon.runtime.supervisor import Stop, Supervisor, stop_on_signals
from podium_daemon.runtime.tasks import ServiceFailed


def say(word: str) -> None:
    """Print one word for the test to wait for."""
    print(word, flush=True)


class Polite:
    """Stops when asked, and says so."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def run(self, stop: Stop) -> None:
        """Wait for the stop."""
        await stop.wait()
        say(f"{self.name}-stopped")


class Slow(Polite):
    """Takes longer to drain than anybody will wait."""

    async def run(self, stop: Stop) -> None:
        """Wait for the stop, then go on for ever."""
        await stop.wait()
        say(f"{self.name}-draining")
        await asyncio.Event().wait()


class Deaf(Polite):
    """Swallows its cancellation."""

    async def run(self, stop: Stop) -> None:
        """Wait for the stop, then refuse to end."""
        await stop.wait()
        say(f"{self.name}-draining")
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                say(f"{self.name}-ignored-cancel")


class Stuck(Polite):
    """Blocks the event loop for good once it is asked to stop."""

    async def run(self, stop: Stop) -> None:
        """Wait for the stop, then block the thread."""
        await stop.wait()
        say(f"{self.name}-draining")
        time.sleep(3600)  # noqa: ASYNC251  (blocking the loop is the fault under test)


MODES = {"polite": Polite, "slow": Slow, "deaf": Deaf, "stuck": Stuck}


async def main(mode: str, within: float) -> int:
    """Run two services until a signal; the exit status says whether all stopped as asked."""
    supervisor = Supervisor([Polite("first"), MODES[mode]("second")], within=within)
    with stop_on_signals(supervisor, within=within):
        announced = asyncio.create_task(announce(supervisor))
        try:
            await supervisor.run()
        except ServiceFailed as error:
            say(f"failed: {error}")
            return 1
        finally:
            announced.cancel()
    return 0


async def announce(supervisor: Supervisor) -> None:
    """Say when all services run."""
    await supervisor.ready.wait()
    say("ready")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], float(sys.argv[2]))))
