"""SIGHUP: the configuration is read again, and an invalid file keeps the old one."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from podium_daemon.app.reload import Reloader
from podium_daemon.config import Config, load_config
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.errors import InvalidInput


class Home:
    """A configuration file, and what was applied of it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "relays.toml"
        self.write("[lifecycle]\ndoors = 900\n")
        self.applied: list[Config] = []
        self.news = asyncio.Event()
        self.reloader = Reloader(load_config(self.file, environment={}), self.apply)

    def write(self, text: str) -> None:
        """Another content of the file."""
        self.file.write_text(text)

    def apply(self, config: Config) -> None:
        """What the daemon does with a new configuration."""
        self.applied.append(config)
        self.news.set()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A daemon's configuration."""
    structlog.reset_defaults()
    return Home(tmp_path)


def test_a_valid_file_is_applied(home: Home) -> None:
    """The new numbers are handed on; the log names what changed, and what waits for a restart."""
    home.write("[lifecycle]\ndoors = 60\n[web]\nport = 9999\n")
    with capture_logs() as logs:
        home.reloader.reload()
    (config,) = home.applied
    assert (config.lifecycle.doors, config.web.port) == (60, 7448)
    assert home.reloader.config.web.port == 9999
    assert logs[0]["action"] == "config.reloaded"
    assert (logs[0]["changed"], logs[0]["after_restart"]) == (["lifecycle.doors", "web.port"], ["web.port"])


def test_what_waits_for_a_restart_is_named_until_then(home: Home) -> None:
    """A later reload names it again, and a key that was set back waits for nothing."""
    with capture_logs() as logs:
        for text in (
            "[web]\nport = 9999\n",
            "[web]\nport = 9999\n[lifecycle]\ndoors = 60\n",
            "[lifecycle]\ndoors = 60\n",
        ):
            home.write(text)
            home.reloader.reload()
    assert [entry["after_restart"] for entry in logs] == [["web.port"], ["web.port"], []]
    assert [config.web.port for config in home.applied] == [7448, 7448, 7448]


@pytest.mark.parametrize(
    "text",
    [
        "[lifecycle]\ndoors = 'soon'\n",
        "[lifecycle]\ndors = 60\n",
        "doors = [",
        "[[relays]]\nurl = 'http://x'\n",
        "[identity]\nkey = 'nsec1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq'\n",
        "\ud800",
    ],
)
def test_an_invalid_file_keeps_the_old_one(home: Home, text: str) -> None:
    """Nothing is applied, the log says what is wrong, and never a secret that stands in the file."""
    before = home.reloader.config
    home.file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with capture_logs() as logs:
        home.reloader.reload()
    assert home.applied == []
    assert home.reloader.config is before
    assert [entry["action"] for entry in logs] == ["config.refused"]
    assert "nsec1q" not in str(logs)


def test_a_file_that_is_gone_keeps_the_old_one(home: Home) -> None:
    """An editor that moves files about does not bring the daemon down."""
    before = home.reloader.config
    home.file.unlink()
    home.reloader.reload()
    assert home.reloader.config is before
    home.write("[lifecycle]\ndoors = 120\n")
    home.reloader.reload()
    assert home.reloader.config.lifecycle.doors == 120


def test_a_configuration_that_cannot_be_taken_over_keeps_the_old_one(home: Home) -> None:
    """When a part of the daemon refuses the new one, all go on with the old one: the daemon does not end."""

    def fussy(config: Config) -> None:
        home.applied.append(config)
        if config.lifecycle.doors == 60:
            raise InvalidInput("no part of mine")

    before = home.reloader.config
    reloader = Reloader(before, fussy)
    home.write("[lifecycle]\ndoors = 60\n")
    with capture_logs() as logs:
        reloader.reload()
    assert reloader.config is before
    assert home.applied[-1] is before
    assert [entry["action"] for entry in logs] == ["config.refused"]


async def test_a_signal_reloads_and_a_stop_ends_it(home: Home) -> None:
    """Each SIGHUP reads the file again; the handler is gone when the service has stopped."""
    stop = Stop()
    before = signal.getsignal(signal.SIGHUP)
    running = asyncio.create_task(home.reloader.run(stop))
    while signal.getsignal(signal.SIGHUP) == before:
        await asyncio.sleep(0)
    for doors in (60, 120):
        home.write(f"[lifecycle]\ndoors = {doors}\n")
        home.news.clear()
        os.kill(os.getpid(), signal.SIGHUP)
        await home.news.wait()
        assert home.applied[-1].lifecycle.doors == doors
    stop.set()
    await running
    assert signal.getsignal(signal.SIGHUP) == before


async def test_a_bad_file_on_a_signal_leaves_the_service_running(home: Home) -> None:
    """After a refusal the next SIGHUP is heard."""
    stop = Stop()
    before = signal.getsignal(signal.SIGHUP)
    running = asyncio.create_task(home.reloader.run(stop))
    while signal.getsignal(signal.SIGHUP) == before:
        await asyncio.sleep(0)
    home.write("doors = [")
    with capture_logs() as logs:
        os.kill(os.getpid(), signal.SIGHUP)
        while not logs:
            await asyncio.sleep(0)
    assert logs[0]["action"] == "config.refused"
    home.write("[lifecycle]\ndoors = 30\n")
    home.news.clear()
    os.kill(os.getpid(), signal.SIGHUP)
    await home.news.wait()
    assert home.applied[-1].lifecycle.doors == 30
    stop.set()
    await running
