"""The supervisor: order of starting and stopping, failures with names, signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from podium_daemon.runtime.supervisor import Stop, Supervisor, cancel_on_signals
from podium_daemon.runtime.tasks import ServiceFailed
from tests.support.clock import ManualClock

ROOT = Path(__file__).parents[3]


class Recorder:
    """A service that writes down what happens to it."""

    def __init__(self, name: str, log: list[str], *, after_stop: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._log = log
        self._after_stop = after_stop

    async def run(self, stop: Stop) -> None:
        """Run until the stop."""
        self._log.append(f"{self.name} starts")
        await stop.wait()
        self._log.append(f"{self.name} stops")
        self._after_stop()


class Returns(Recorder):
    """Ends on its own."""

    async def run(self, _stop: Stop) -> None:
        """Return at once."""


class Raises(Recorder):
    """Fails on its own."""

    async def run(self, _stop: Stop) -> None:
        """Raise at once."""
        raise LookupError("no such room")


class Cancels(Recorder):
    """Ends by awaiting a task that other code has cancelled."""

    async def run(self, _stop: Stop) -> None:
        """Await what was cancelled."""
        task = asyncio.create_task(asyncio.Event().wait())
        task.cancel()
        await task


class Hangs(Recorder):
    """Does not end when asked."""

    async def run(self, _stop: Stop) -> None:
        """Wait for ever, and write down the cancellation."""
        try:
            await asyncio.Event().wait()
        finally:
            self._log.append(f"{self.name} cancelled")


class Announces(Recorder):
    """Says when it is ready, after `go`."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(name, log)
        self.ready = asyncio.Event()
        self.go = asyncio.Event()

    async def run(self, stop: Stop) -> None:
        """Become ready when told, then run until the stop."""
        self._log.append(f"{self.name} starts")
        await self.go.wait()
        self._log.append(f"{self.name} ready")
        self.ready.set()
        await stop.wait()


async def test_services_stop_in_the_reverse_order_of_starting() -> None:
    """Each service has stopped before the one listed before it is asked to."""
    log: list[str] = []
    supervisor = Supervisor([Recorder(name, log) for name in ("store", "relays", "web")])
    running = asyncio.create_task(supervisor.run())
    await supervisor.ready.wait()
    supervisor.stop("test")
    await running
    assert log[3:] == ["web stops", "relays stops", "store stops"]


async def test_a_service_that_returns_is_a_failure_and_is_named() -> None:
    """Returning unasked stops the others in order and the error says which it was."""
    log: list[str] = []
    with pytest.raises(ServiceFailed, match="service 'syncer' ended although nobody asked") as caught:
        await Supervisor([Recorder("store", log), Returns("syncer", log)]).run()
    assert caught.value.service == "syncer"
    assert log == ["store starts", "store stops"]


async def test_an_exception_in_one_service_stops_the_others_and_names_it() -> None:
    """The error carries the name and the cause; the others are drained, not cancelled."""
    log: list[str] = []
    with pytest.raises(ServiceFailed, match="service 'web' failed: LookupError: no such room") as caught:
        await Supervisor([Recorder("store", log), Raises("web", log)]).run()
    assert isinstance(caught.value.__cause__, LookupError)
    assert log == ["store starts", "store stops"]


async def test_a_service_that_ends_by_a_cancellation_of_its_own_is_a_failure_and_is_named() -> None:
    """Nobody cancelled the service: it does not vanish without a word, the others are stopped in order."""
    log: list[str] = []
    with pytest.raises(ServiceFailed, match="service 'syncer' ended by a cancellation of its own"):
        async with asyncio.timeout(60):
            await Supervisor([Recorder("store", log), Cancels("syncer", log)]).run()
    assert log == ["store starts", "store stops"]


async def test_services_that_do_not_run_are_known() -> None:
    """Those that have not started yet and those that ended are named, for `/readyz`."""
    log: list[str] = []
    relay = Announces("relay", log)
    supervisor = Supervisor([relay, Recorder("pool", log)])
    assert supervisor.missing == ("relay", "pool")
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    assert supervisor.missing == ("pool",)
    relay.go.set()
    await supervisor.ready.wait()
    assert supervisor.missing == ()
    supervisor.stop("test")
    await running
    assert supervisor.missing == ("relay", "pool")


async def test_a_second_failure_while_stopping_is_noted_on_the_first() -> None:
    """Nothing is lost when the failure of one service breaks another."""
    log: list[str] = []

    def trip() -> None:
        raise OSError("disk gone")

    with pytest.raises(ServiceFailed, match="'web' failed") as caught:
        await Supervisor([Recorder("store", log, after_stop=trip), Raises("web", log)]).run()
    assert caught.value.__notes__ == ["then service 'store' failed: OSError: disk gone"]


async def test_a_service_that_hangs_is_cancelled_named_and_does_not_starve_the_others() -> None:
    """One that does not stop gets its share of the time only, and the rest still drain in order."""
    log: list[str] = []
    clock = ManualClock()
    supervisor = Supervisor([Recorder("store", log), Hangs("relays", log), Recorder("web", log)], clock=clock)
    running = asyncio.create_task(supervisor.run())
    await supervisor.ready.wait()
    supervisor.stop("test")
    await clock.advance(8)
    with pytest.raises(ServiceFailed, match="service 'relays' did not stop in time"):
        await running
    assert log[2:] == ["web stops", "relays cancelled", "store stops"] or log[2:] == [
        "web stops",
        "store stops",
        "relays cancelled",
    ]


class Drains(Recorder):
    """Takes its time to end."""

    def __init__(self, name: str, log: list[str], clock: ManualClock, seconds: float) -> None:
        super().__init__(name, log)
        self._clock = clock
        self._seconds = seconds

    async def run(self, stop: Stop) -> None:
        """Drain for some seconds after the stop."""
        await stop.wait()
        self._log.append(f"{self.name} drains")
        await self._clock.sleep(self._seconds)
        self._log.append(f"{self.name} stops")


async def _stopped(supervisor: Supervisor, clock: ManualClock, seconds: float) -> None:
    running = asyncio.create_task(supervisor.run())
    await supervisor.ready.wait()
    supervisor.stop("test")
    await clock.advance(seconds)
    await running


async def test_there_is_one_deadline_for_all() -> None:
    """A service among many may take almost all of the time, where the others need none."""
    clock, log = ManualClock(), list[str]()
    others = [Recorder(f"other {number}", log) for number in range(20)]
    await _stopped(Supervisor([*others, Drains("web", log, clock, 4)], clock=clock), clock, 4)
    assert log[20:22] == ["web drains", "web stops"]
    assert len(log) == 42


async def test_services_of_one_stage_stop_side_by_side() -> None:
    """Three that take five seconds each take five together; those before the stage are asked afterwards."""
    clock, log = ManualClock(), list[str]()
    stage = tuple(Drains(name, log, clock, 5) for name in ("syncer", "publisher", "engine"))
    await _stopped(Supervisor([Recorder("pool", log), stage], clock=clock), clock, 5)
    assert log[-1] == "pool stops"
    assert {f"{one.name} stops" for one in stage} == set(log[-4:-1])


async def test_services_wait_for_those_before_them_to_be_ready() -> None:
    """What is listed after a service that announces itself starts only then."""
    log: list[str] = []
    relay = Announces("relay", log)
    supervisor = Supervisor([relay, Recorder("pool", log)])
    running = asyncio.create_task(supervisor.run())
    relay.go.set()
    await supervisor.ready.wait()
    supervisor.stop("test")
    await running
    assert log == ["relay starts", "relay ready", "pool starts", "pool stops"]


async def test_a_stop_while_a_service_is_not_ready_starts_nothing_more() -> None:
    """Stopping does not wait for readiness that may never come."""
    log: list[str] = []
    relay = Announces("relay", log)
    clock = ManualClock()
    supervisor = Supervisor([relay, Recorder("pool", log)], clock=clock)
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    supervisor.stop("test")
    relay.go.set()
    await running
    assert "pool starts" not in log
    assert not supervisor.ready.is_set()


async def test_a_stop_before_the_start_starts_nothing() -> None:
    """A supervisor that was told to stop does nothing at all."""
    log: list[str] = []
    supervisor = Supervisor([Recorder("store", log)])
    supervisor.stop("test")
    await supervisor.run()
    assert log == []


async def test_cancelling_the_supervisor_cancels_its_services() -> None:
    """A cancellation from outside is passed on and is not mistaken for a failure."""
    log: list[str] = []
    supervisor = Supervisor([Hangs("relays", log)])
    running = asyncio.create_task(supervisor.run())
    await supervisor.ready.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert log == ["relays cancelled"]


def test_two_services_of_one_name_are_refused() -> None:
    """An error that names a service must name one."""
    with pytest.raises(ValueError, match="different names"):
        Supervisor([Recorder("web", []), Recorder("web", [])])


async def test_stop_wait_for_tells_time_out_from_stop() -> None:
    """False after the time, True at once when the stop comes, True without waiting when it came before."""
    clock = ManualClock()
    stop = Stop(clock)
    timed_out = asyncio.create_task(stop.wait_for(5))
    await clock.advance(5)
    assert timed_out.result() is False
    stopped = asyncio.create_task(stop.wait_for(5))
    await clock.until_sleeping()
    stop.set()
    assert await stopped is True
    assert await stop.wait_for(5) is True


@contextlib.asynccontextmanager
async def supervised(mode: str, within: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with two services, ready for signals."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.supervised", mode, str(within)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["daemon", "protocol", "storage", "."])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until_it_says(process, "ready")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until_it_says(process: asyncio.subprocess.Process, word: str) -> None:
    """Read its output up to a line."""
    assert process.stdout is not None
    async for line in process.stdout:
        if line.decode().strip() == word:
            return
    raise AssertionError(f"ended without saying {word!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains_and_the_process_exits_0(number: signal.Signals) -> None:
    """A process that stops as asked, in order, ends with status 0."""
    async with supervised("polite", 10) as process:
        process.send_signal(number)
        out, _ = await process.communicate()
        said = [line for line in out.decode().splitlines() if line.endswith("-stopped")]
        assert said == ["second-stopped", "first-stopped"]
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_second_signal_ends_at_once(number: signal.Signals) -> None:
    """A second signal does not wait for a service that still drains."""
    async with supervised("slow", 3600) as process:
        process.send_signal(signal.SIGTERM)
        await until_it_says(process, "second-draining")
        process.send_signal(number)
        assert await process.wait() == 128 + number


async def test_a_slow_service_is_cancelled_and_the_process_exits_1_naming_it() -> None:
    """When the time is over the service is cancelled, the other one still stops, and the status is 1."""
    async with supervised("slow", 0.5) as process:
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
        assert "first-stopped" in out.decode()
        assert "failed: service 'second' did not stop in time" in out.decode()
        assert process.returncode == 1


@pytest.mark.parametrize("mode", ["deaf", "stuck"])
async def test_a_process_that_cannot_be_stopped_is_ended_by_the_watchdog(mode: str) -> None:
    """A service that swallows its cancellation, or blocks the loop, cannot keep the process alive."""
    async with supervised(mode, 0.5) as process:
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
        assert process.returncode == 1
        assert "Timeout" in err.decode()
        assert "supervised.py" in err.decode() or mode == "deaf"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_all_is_built_cancels_it_and_lets_it_close(number: signal.Signals) -> None:
    """No exception is raised within the event loop: what was opened is closed, and the caller goes on quietly."""
    log: list[str] = []

    async def build() -> None:
        with cancel_on_signals(within=60):
            os.kill(os.getpid(), number)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                log.append("closed")
        log.append("goes on")

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        await asyncio.create_task(build())
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert log == ["closed", "goes on"]


async def test_a_cancellation_without_a_signal_is_passed_on() -> None:
    """Only a signal's ends quietly."""

    async def build() -> None:
        with cancel_on_signals():
            await asyncio.Event().wait()

    task = asyncio.create_task(build())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
