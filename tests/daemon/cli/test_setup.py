"""`podium init`, `key`, `config` and `doctor`: from nothing to a machine that can run."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from podium_daemon.cli import app
from podium_daemon.config import Config, changed_keys, load_config
from podium_daemon.keys.key_file import read_key_file, write_key_file
from podium_protocol.nips.nip19 import encode_npub, encode_nsec
from tests.daemon.cli.conftest import CommandLine
from tests.support.relays import new_key


@pytest.fixture
def podium(own_home: Path) -> CommandLine:
    """The command line of a person who has nothing yet."""
    return CommandLine(own_home, None)


def test_init_writes_a_documented_configuration_and_a_key(podium: CommandLine, tmp_path: Path) -> None:
    """Both files are there for their owner alone, the configuration is good, and names the key beside it."""
    folder = tmp_path / "new" / "podium"
    done = podium("init", "--dir", str(folder))
    assert done.exit_code == 0, done.output
    config = load_config(folder / "relays.toml", environment={})
    assert changed_keys(Config(), config) == ("identity.key_file",)
    secret = read_key_file(config.key_file)
    assert encode_npub(secret.pubkey) in done.stdout
    assert encode_nsec(secret) not in done.output
    assert secret.expose().hex() not in done.output
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "relays.toml").stat().st_mode) == 0o600
    assert f"podium run --config {folder}/relays.toml" in done.stdout


@pytest.mark.usefixtures("podium")
def test_what_init_writes_by_default_is_found_by_the_other_commands(own_home: Path) -> None:
    """After `podium init` no option is needed."""
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    shown = CliRunner().invoke(app, ["config", "show", "--json"])
    assert json.loads(shown.stdout)["identity.key_file"] == str(own_home / "podium" / "podium.key")
    assert CliRunner().invoke(app, ["key", "show"]).exit_code == 0


@pytest.mark.parametrize("name", ["relays.toml", "podium.key"])
def test_init_overwrites_nothing_and_writes_nothing_then(podium: CommandLine, tmp_path: Path, name: str) -> None:
    """One file in the way is enough: neither is written."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text("mine")
    done = podium("init", "--dir", str(folder))
    assert done.exit_code == 1
    assert "nothing was written" in done.stderr
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(name, "mine")]


def test_init_where_no_folder_can_be_made_is_told(podium: CommandLine, tmp_path: Path) -> None:
    """A file where the folder should be is told without a traceback."""
    (tmp_path / "file").write_text("")
    done = podium("init", "--dir", str(tmp_path / "file" / "podium"))
    assert done.exit_code == 1
    assert "cannot be made" in done.stderr


def test_key_new_makes_a_key_where_it_is_looked_for(podium: CommandLine, own_home: Path) -> None:
    """The key is made at --key, shown by its public half, and never made twice."""
    done = podium("key", "new", "--json")
    assert done.exit_code == 0
    secret = read_key_file(own_home / "caller.key")
    shown = json.loads(done.stdout)
    assert (shown["pubkey"], shown["npub"]) == (secret.pubkey, encode_npub(secret.pubkey))
    assert json.loads(podium("key", "show", "--json").stdout) == shown
    assert podium("key", "new").exit_code == 5
    assert read_key_file(own_home / "caller.key") == secret


def test_key_new_makes_the_folder_for_its_owner_alone(podium: CommandLine, tmp_path: Path) -> None:
    """A key in a folder that is not there yet gets a private one."""
    assert podium("key", "new", str(tmp_path / "a" / "my.key")).exit_code == 0
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


@pytest.mark.parametrize("form", ["nsec", "hex"])
def test_key_import_takes_a_key_from_standard_input(podium: CommandLine, own_home: Path, form: str) -> None:
    """An existing key is stored without ever being an argument or being shown."""
    secret = new_key()
    text = encode_nsec(secret) if form == "nsec" else secret.expose().hex()
    done = podium("key", "import", given=f"{text}\n")
    assert done.exit_code == 0, done.output
    assert read_key_file(own_home / "caller.key") == secret
    assert text not in done.output


@pytest.mark.parametrize("text", ["", "hello", "x" * 10_000])
def test_key_import_refuses_what_is_no_key(podium: CommandLine, own_home: Path, text: str) -> None:
    """Nothing is stored, and what was given is not repeated."""
    done = podium("key", "import", given=text)
    assert done.exit_code == 5
    assert not (own_home / "caller.key").exists()
    assert not text or text not in done.output


def test_no_command_shows_the_secret(podium: CommandLine, own_home: Path) -> None:
    """A canary: the secret is in the output of no command that reads it."""
    secret = new_key()
    write_key_file(own_home / "caller.key", secret)
    for command in (["key", "show"], ["key", "show", "--json"], ["doctor"], ["doctor", "--json"], ["config", "show"]):
        output = podium(*command).output
        assert output
        assert secret.expose().hex() not in output
        assert encode_nsec(secret) not in output


def test_config_check_tells_every_problem_with_exit_code_3(podium: CommandLine, tmp_path: Path) -> None:
    """Each mistake stands in a line of its own."""
    path = tmp_path / "relays.toml"
    path.write_text('[web]\nprot = 1\n[logging]\nlevel = "loud"\n')
    done = podium("config", "check", "--config", str(path))
    assert done.exit_code == 3
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2


def test_config_check_says_what_is_good(podium: CommandLine, tmp_path: Path) -> None:
    """A good file is named with how much it changes."""
    path = tmp_path / "relays.toml"
    path.write_text("[web]\nport = 1234\n")
    done = podium("config", "check", "--config", str(path), "--json")
    assert json.loads(done.stdout) == {
        "file": str(path),
        "ok": True,
        "changed": ["web.port", "storage.state_directory"],
    }


def test_config_is_named_by_a_variable_too(
    podium: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PODIUM_CONFIG names the file, and --config wins over it."""
    for name, port in (("one", 1001), ("two", 1002)):
        (tmp_path / name).write_text(f"[web]\nport = {port}\n")
    monkeypatch.setenv("PODIUM_CONFIG", str(tmp_path / "one"))
    assert json.loads(podium("config", "show", "--json").stdout)["web.port"] == 1001
    chosen = podium("--config", str(tmp_path / "two"), "config", "show", "--json")
    assert json.loads(chosen.stdout)["web.port"] == 1002


def test_doctor_fails_without_a_key_and_passes_with_one(
    podium: CommandLine, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code says whether the daemon would work, the text what to do."""
    monkeypatch.setenv("PODIUM_WEB__PORT", "0")
    monkeypatch.setenv("PODIUM_EMBEDDED__PORT", "0")
    done = podium("doctor")
    assert done.exit_code == 1
    assert "1 of 13 checks failed: key" in done.stderr
    assert "podium init" in done.stdout
    write_key_file(own_home / "caller.key", new_key())
    good = podium("doctor", "--json")
    assert good.exit_code == 0
    assert {check["verdict"] for check in json.loads(good.stdout)["checks"]} == {"ok"}


def test_doctor_asks_the_relays(podium: CommandLine, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that does not answer fails the check."""
    write_key_file(own_home / "caller.key", new_key())
    monkeypatch.setenv("PODIUM_WEB__PORT", "0")
    monkeypatch.setenv("PODIUM_RELAYS", "ws://127.0.0.1:1")
    done = podium("doctor")
    assert done.exit_code == 1
    assert "ws://127.0.0.1:1: cannot be reached" in done.stdout
