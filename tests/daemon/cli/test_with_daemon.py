"""The commands against a real daemon with its real relay: `podium run` and its client agree with each other."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from podium_daemon.cli import app
from podium_daemon.client.transport import Transport
from podium_daemon.keys.key_file import read_key_file, write_key_file
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.nips.nip19 import encode_npub
from tests.support.relays import new_key


class Podium:
    """A machine after `podium init` and `podium run`."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.process = process

    def __call__(self, *arguments: str) -> str:
        """What a command that must succeed prints."""
        done = CliRunner().invoke(app, ["--config", str(self.folder / "relays.toml"), *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    def failing(self, *arguments: str) -> tuple[int, str]:
        """Exit code and words of a command that must fail."""
        done = CliRunner().invoke(app, ["--config", str(self.folder / "relays.toml"), *arguments])
        return done.exit_code, done.stderr


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until_ready(url: str, process: subprocess.Popen[str], log: Path) -> None:
    """Return once the daemon has greeted and says that it is ready."""
    assert process.stdout is not None
    assert any("Ctrl-C" in line for line in process.stdout), log.read_text()
    while not httpx.get(f"{url}/readyz", trust_env=False, timeout=60).is_success:  # ends by the test's own time-out
        assert process.poll() is None, log.read_text()


@pytest.fixture
def podium(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Podium]:
    """A daemon of its own, made as a person would."""
    folder = own_home / "podium"
    assert CliRunner().invoke(app, ["init", "--dir", str(folder)]).exit_code == 0
    web, relay = free_ports(2)
    monkeypatch.setenv("PODIUM_WEB__PORT", str(web))
    monkeypatch.setenv("PODIUM_EMBEDDED__PORT", str(relay))
    log = folder / "daemon.log"
    command = [sys.executable, "-m", "podium_daemon", "--config", str(folder / "relays.toml"), "run"]
    with log.open("wb") as out, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True) as process:
        try:
            wait_until_ready(f"http://127.0.0.1:{web}", process, log)
            yield Podium(folder, process)
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0, log.read_text()


def test_a_series_from_its_dates_to_its_cancellation(podium: Podium) -> None:
    """Its signatures are named before they are made; the same command again goes on, and finds nothing to do."""
    create = ["session", "create", "Knots", "--at", "2031-10-09 18:00", "--tz", "Europe/Berlin", "--id", "knots"]
    command = [*create, "--repeat", "weekly", "--times", "4"]
    done = CliRunner().invoke(app, ["--config", str(podium.folder / "relays.toml"), *command])
    assert done.exit_code == 0, done.output
    assert "5 signatures: 4 sessions, 1 calendar" in done.stderr
    assert "5 of 5 signed" in done.stderr
    listed = podium("session", "dates", "knots-01")
    assert listed.count("18:00") == 4, "before and after the clocks are set back"
    podium(*command)
    podium("session", "edit", "knots-02", "--at", "2031-10-16 19:30", "--following", "--title", "Splices")
    dates = json.loads(podium("session", "dates", "knots-04", "--json"))["dates"]
    assert [date["title"] for date in dates] == ["Knots", "Splices", "Splices", "Splices"]
    assert podium("session", "dates", "knots-01").count("19:30") == 3
    assert "date 2; all dates: podium session dates knots-02" in podium("session", "show", "knots-02")
    answered = podium("rsvp", "knots-02", "yes", "--following")
    assert answered.count("confirmed: Splices") == 3
    assert [len(json.loads(podium("rsvps", f"knots-0{n}", "--json"))["rsvps"]) for n in (1, 2, 3, 4)] == [0, 1, 1, 1]
    podium("session", "cancel", "knots-03", "--following", "--yes", "--reason", "The hall is closed")
    dates = json.loads(podium("session", "dates", "knots-01", "--json"))["dates"]
    assert [date["state"] for date in dates] == ["scheduled", "scheduled", "cancelled", "cancelled"]
    podium("session", "create", "Alone", "--at", "2031-10-09 18:00", "--tz", "UTC", "--id", "alone")
    for command in (
        ["session", "edit", "alone", "--max", "3"],
        ["session", "cancel", "alone", "--yes"],
        ["rsvp", "alone", "no"],
    ):
        code, words = podium.failing(*command, "--following")
        assert (code, "in no series" in words) == (2, True)
    code, words = podium.failing("session", "create", "Knots", "--at", "+2h", "--repeat", "weekly")
    assert (code, "go together" in words) == (2, True)


def test_an_edit_of_several_dates_goes_on_where_it_stopped(podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dates that were moved are not moved again, the others as far as they would have been; both are named."""
    create = ["session", "create", "Knots", "--at", "2031-10-09 18:00", "--tz", "Europe/Berlin", "--id", "knots"]
    podium(*create, "--repeat", "weekly", "--times", "5")
    command = ["session", "edit", "knots-02", "--at", "2031-10-16 19:30", "--following", "--title", "Splices"]
    sign, left = Transport.sign, 2

    async def tired(self: Transport, event: UnsignedEvent) -> SignedEvent:
        nonlocal left
        left -= 1
        if left < 0:
            raise SignerUnavailable("the signer went away")
        return await sign(self, event)

    with monkeypatch.context() as patched:
        patched.setattr(Transport, "sign", tired)
        for changed, rest in ((2, "knots-04, knots-05"), (3, "knots-05"), (4, "the calendar")):
            code, words = podium.failing(*command)
            assert code == 5
            assert f"{changed} dates are changed. Left: {rest}." in words
            assert "The same command goes on with the rest." in words
            left = 1
    podium(*command)
    dates = json.loads(podium("session", "dates", "knots-01", "--json"))["dates"]
    assert [date["title"] for date in dates] == ["Knots", *["Splices"] * 4]
    listed = podium("session", "dates", "knots-01")
    assert (listed.count("18:00"), listed.count("19:30")) == (1, 4)
    again = ["session", "edit", "knots-02", "--at", "2031-10-16 20:00", "--following"]
    podium(*again)
    assert podium("session", "dates", "knots-01").count("20:00") == 4, "nothing is left of the edit before"


def test_a_session_from_its_schedule_to_its_cancellation(podium: Podium, tmp_path: Path) -> None:
    """Each command does what it says, against the daemon that the same package starts."""
    podium("session", "create", "Knots", "--at", "+2h", "--id", "knots", "--rsvp", "required", "--max", "5")
    (listed,) = json.loads(podium("session", "list", "--json"))["sessions"]
    assert (listed["title"], listed["state"], listed["requiresRSVP"]) == ("Knots", "scheduled", True)
    assert listed["e2eeRequired"] is False
    podium("rsvp", "knots", "confirmed")
    (rsvp,) = json.loads(podium("rsvps", "knots", "--json"))["rsvps"]
    assert rsvp["npub"] == encode_npub(read_key_file(podium.folder / "podium.key").pubkey)
    podium("session", "edit", "knots", "--title", "Knots II", "--waiting-room")
    shown = json.loads(podium("session", "show", listed["naddr"], "--json"))
    assert (shown["title"], shown["waitingRoom"], shown["maxParticipants"]) == ("Knots II", True, 5)
    assert {row["message"] for row in json.loads(podium("reminders", "knots", "--json"))["reminders"]} >= {
        "hour",
        "start",
    }
    assert podium("attendance", "knots", "--csv", "-").startswith("name,npub,pubkey,")
    assert "open" in podium("relays", "check")
    podium("backup", str(tmp_path / "copy.sqlite3"))
    assert "Knots II" in podium("session", "cancel", "knots", "--yes", "--reason", "no rope")
    assert "no rope" in podium("session", "show", listed["naddr"])
    assert json.loads(podium("session", "list", "--only", "cancelled", "--json"))["sessions"]
    watched = podium("session", "watch", "knots")
    assert "Knots II: cancelled" in watched
    assert "answer: confirmed" in watched
    events = [json.loads(line)["event"] for line in podium("session", "watch", "knots", "--json").splitlines()]
    assert {"session", "me", "rsvps", "attendance", "room"} <= set(events)
    assert "scheduled" in podium("session", "restore", "knots")


def test_refusals_come_with_the_next_step(podium: Podium, tmp_path: Path) -> None:
    """Too early a start, a stranger's session and an unknown one are refused in words."""
    podium("session", "create", "Knots", "--at", "+2h", "--id", "knots")
    code, said = podium.failing("session", "start", "knots")
    assert code == 1
    assert "doors" in said
    assert podium.failing("session", "show", "ropes")[0] == 1
    write_key_file(tmp_path / "stranger.key", new_key())
    code, said = podium.failing("--key", str(tmp_path / "stranger.key"), "session", "create", "Mine", "--at", "+2h")
    assert code == 1
    assert len(said.splitlines()) == 2


def test_a_second_daemon_is_refused_with_the_firsts_pid(podium: Podium) -> None:
    """Exit code 3 and the process to stop."""
    code, said = podium.failing("run", "--port", "0")
    assert code == 3
    assert f"process {podium.process.pid}" in said
