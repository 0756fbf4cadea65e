"""The embedded relay: a real LocalRelay in a child process that dies when it should, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium_daemon.relays.embedded import EmbeddedRelay, EmbeddedRelayFailed, RelayProcess
from podium_daemon.relays.embedded_child import RelaySettings
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.filters import Filter
from podium_protocol.relay.verdicts import EventAccepted
from tests.support.clock import ManualClock
from tests.support.pools import running_pool
from tests.support.processes import children_of, first_python
from tests.support.relays import new_key, running_relay, signed
from tests.support.soon import soon
from tests.support.until import until

pytestmark = pytest.mark.real_peer
ROOT = Path(__file__).parents[3]


@contextlib.asynccontextmanager
async def running(relay: EmbeddedRelay, clock: ManualClock | None = None) -> AsyncIterator[asyncio.Task[None]]:
    """The service, until the end of the block."""
    stop = Stop(clock)
    task = asyncio.create_task(relay.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait([task])


async def until_gone(pid: int) -> None:
    """Wait until no process has this id."""
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.01)


async def pid_of(relay: EmbeddedRelay) -> int | None:
    """Its process, if it has one."""
    return relay.pid


def environment_of(pid: int) -> bytes:
    """The environment that a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_it_becomes_ready_and_serves_on_a_free_port() -> None:
    """Without a port in the settings one is found, and a client can use the relay."""
    relay = EmbeddedRelay(RelaySettings())
    async with running(relay):
        await relay.ready.wait()
        assert relay.url is not None
        async with running_pool(relay.url) as pool:
            assert isinstance((await pool.publish(relay.url, signed(new_key(), "hello"))).verdict, EventAccepted)


async def test_it_stops_with_the_service_and_leaves_no_process() -> None:
    """The stop ends the child."""
    relay = EmbeddedRelay(RelaySettings())
    async with running(relay) as task:
        await relay.ready.wait()
        pid = relay.pid
    assert pid is not None
    await until_gone(pid)
    assert task.result() is None
    assert relay.pid is None


async def test_a_crash_is_followed_by_a_start_on_the_same_port() -> None:
    """Clients find the relay again where it was."""
    clock = ManualClock()
    relay = EmbeddedRelay(RelaySettings(), clock=clock)
    async with running(relay, clock):
        await relay.ready.wait()
        url, pid = relay.url, relay.pid
        assert url is not None
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await clock.until_sleeping()
        assert relay.last_error == f"ended with status -{signal.SIGKILL.value}"
        await clock.advance(60)
        async with running_pool(url) as pool:
            await pool.opened(url)
        await until(lambda: pid_of(relay), "a new process")
        assert relay.url == url
        assert relay.pid != pid
        assert relay.restarts == 1


async def test_events_that_were_acknowledged_survive_kill_9(tmp_path: Path) -> None:
    """With a data directory, an OK means that the event is there after a crash."""
    settings, key = RelaySettings(data=str(tmp_path / "relay")), new_key()
    events = [signed(key, f"number {number}") for number in range(50)]
    async with running_relay(settings) as relay:
        for stretch in (events[:25], events[25:]):
            async with running_pool(relay.url) as pool:
                outcomes = [outcome async for outcome in pool.publish_many(relay.url, stretch)]
            assert all(outcome.is_done for outcome in outcomes)
            await relay.kill()
            await relay.start()
        async with running_pool(relay.url) as pool:
            await pool.opened(relay.url)
            found = await pool.fetch(None, [Filter(authors=(key.pubkey,))])
            assert len(list(found.events)) == 50


async def test_the_data_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Nobody else on the machine reads what is in it."""
    folder = tmp_path / "state" / "relay"
    async with running_relay(RelaySettings(data=str(folder))):
        assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_taken_port_is_told_at_once() -> None:
    """The first start fails with the reason and the next step."""
    async with running_relay() as other:
        relay = EmbeddedRelay(RelaySettings(port=other.port))
        with pytest.raises(EmbeddedRelayFailed, match=r"cannot start: Address already in use.*choose another port"):
            await relay.run(Stop())
        assert not relay.ready.is_set()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (RelaySettings(host="not an address"), "invalid IP address"),
        (RelaySettings(data="/proc/nowhere"), "No such file or directory"),
    ],
)
async def test_settings_that_cannot_work_are_told(settings: RelaySettings, words: str) -> None:
    """Whatever keeps the child from starting arrives here as words."""
    with pytest.raises(EmbeddedRelayFailed, match=words):
        await RelayProcess.start(settings)


async def test_a_stop_while_it_waits_to_start_again_ends_it() -> None:
    """The backoff does not hold up the stop."""
    clock = ManualClock()
    relay = EmbeddedRelay(RelaySettings(), clock=clock)
    async with running(relay, clock) as task:
        await relay.ready.wait()
        assert relay.pid is not None
        os.kill(relay.pid, signal.SIGKILL)
        await clock.until_sleeping()
    assert task.result() is None
    assert relay.restarts == 0


async def test_a_stop_while_its_process_starts_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that hangs before it listens is killed: no data can be lost yet."""
    first_python("exec sleep 600", tmp_path, monkeypatch)
    before = children_of(os.getpid())
    async with running(EmbeddedRelay(RelaySettings())) as task:
        await soon(lambda: len(children_of(os.getpid()) - before) == 1)
    assert task.result() is None
    assert children_of(os.getpid()) == before


PARENT = """
import asyncio, sys
from podium_daemon.relays.embedded import RelayProcess
from podium_daemon.relays.embedded_child import RelaySettings
async def main():
    process = await RelayProcess.start(RelaySettings())
    print(process.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_the_child_dies_with_its_parent(number: signal.Signals) -> None:
    """A daemon that is killed leaves no relay behind to hold the port."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["daemon", "protocol", "storage"])},
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.send_signal(number)
    await parent.wait()
    await until_gone(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_meant_for_the_group_do_not_end_the_relay(number: signal.Signals) -> None:
    """Ctrl-C reaches the child too; the daemon still needs the relay while it drains."""
    async with running_relay() as relay, running_pool(relay.url) as pool:
        await pool.opened(relay.url)
        os.kill(relay.pid, number)
        assert (await pool.publish(relay.url, signed(new_key(), "still there"))).is_done


async def test_secrets_of_the_environment_do_not_reach_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay gets what it needs to run, and nothing else."""
    monkeypatch.setenv("PODIUM_SECRET", "canary-of-the-environment")
    async with running_relay() as relay:
        assert b"canary" not in environment_of(relay.pid)
