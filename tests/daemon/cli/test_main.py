"""The command line as a whole: help, exit codes, options that stand anywhere, and no secrets."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from podium_daemon.cli import app
from podium_daemon.cli.caller import CommandCaller
from podium_daemon.cli.failures import CommandFailed, Exit, exit_code_of
from podium_daemon.config import ConfigError
from podium_daemon.keys.key_file import KeyFileError
from podium_daemon.relays.embedded import EmbeddedRelayFailed
from podium_daemon.runtime.state_directory import AlreadyRunning
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol.errors import InvalidInput, PodiumError, RemoteProtocolError
from podium_protocol.nips.nip19 import encode_npub, encode_nsec
from tests.daemon.cli.conftest import CommandLine, Knots
from tests.support.relays import new_key
from tests.support.scripted_daemon import ScriptedDaemon, as_json

GLOBAL = {"--config", "--state", "--key", "--url"}


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Every command with the words that lead to it."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        else:
            assert isinstance(command, TyperCommand)
            yield (*path, name), command


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(commands(ROOT))


DESTRUCTIVE = {
    ("badges", "sign"): ("knots",),
    ("calendar",): ("--revoke",),
    ("guests", "renew"): ("knots", "Ana"),
    ("guests", "revoke"): ("knots", "Ana"),
    ("instructors", "remove"): (encode_npub(new_key().pubkey),),
    ("recording", "delete"): ("knots",),
    ("session", "cancel"): ("knots",),
    ("signer", "forget"): ("--for-service",),
}
"""The commands whose act no other command takes back, and what they are given."""

_TAKES_AWAY = {"cancel", "delete", "drop", "forget", "purge", "remove", "renew", "reset", "revoke"}


def test_the_list_of_destructive_commands_is_whole() -> None:
    """What has --yes is in the list, and a command that is called like one that takes something away has --yes."""
    asking = {words for words, command in COMMANDS.items() if any(option.name == "yes" for option in command.params)}
    assert asking == set(DESTRUCTIVE)
    assert {words for words in COMMANDS if words[-1] in _TAKES_AWAY} <= asking


@pytest.mark.usefixtures("knots")
@pytest.mark.parametrize("words", DESTRUCTIVE, ids=" ".join)
def test_nothing_is_taken_back_by_silence(podium: CommandLine, daemon: ScriptedDaemon, words: tuple[str, ...]) -> None:
    """Without a terminal to ask on, what cannot be undone needs --yes: a script without input changes nothing."""
    waiting = {"pubkey": "a" * 64, "npub": "npub1", "name": "Ana", "askedAt": 1, "awardId": None}
    daemon.routes["GET /api/sessions/knots/badges"] = as_json({"badges": [waiting]})
    done = podium(*words, *DESTRUCTIVE[words])
    assert done.exit_code == Exit.USAGE
    assert "--yes" in done.stderr
    assert all(call.method == "GET" for call in daemon.calls)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_commands_help_begins_with_an_example_of_itself(words: tuple[str, ...]) -> None:
    """Help shows first how the command is typed."""
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    assert lines[1] == "Examples:"
    assert lines[2].startswith(f"podium {' '.join(words)}")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_has_an_option_of_a_global_ones_name(words: tuple[str, ...]) -> None:
    """The options that may stand anywhere are nobody else's."""
    own = {name for parameter in COMMANDS[words].params for name in parameter.opts}
    assert not own & GLOBAL


ACTS = {
    ("ask",),
    ("backup",),
    ("badges", "sign"),
    ("guests", "renew"),
    ("guests", "revoke"),
    ("init",),
    ("join",),
    ("moderate",),
    ("recording", "export"),
    ("recording", "start"),
    ("recording", "stop"),
    ("rsvp",),
    ("run",),
    ("session", "relist"),
    ("signer", "forget"),
}
"""The commands that show nothing: they do something, and say so in a line, or write a file."""


@pytest.mark.parametrize("words", sorted(COMMANDS.keys() - ACTS), ids=" ".join)
def test_every_read_prints_json_on_demand(words: tuple[str, ...]) -> None:
    """Scripts get JSON from whatever shows something."""
    assert any("--json" in parameter.opts for parameter in COMMANDS[words].params)


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_help_fits_in_80_columns(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples too: they are not wrapped, so that they can be copied."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(app, [*words, "--help"]).stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandFailed("x"), 1),
        (CommandFailed("x", Exit.NO_RELAY), 4),
        (RemoteProtocolError("x"), 1),
        (PodiumError("x"), 1),
        (InvalidInput("x"), 2),
        (ConfigError([]), 3),
        (AlreadyRunning(7, Path("/x")), 3),
        (EmbeddedRelayFailed("x"), 4),
        (KeyFileError("x"), 5),
        (SignerUnavailable("x"), 5),
    ],
)
def test_exit_codes_tell_whose_turn_it_is(error: PodiumError, code: int) -> None:
    """Scripts can tell usage, configuration, relays and signer apart."""
    assert exit_code_of(error) == code


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "{url}", "session", "list"],
        ["session", "--url", "{url}", "list"],
        ["session", "list", "--url", "{url}"],
        ["session", "list", "--url={url}"],
    ],
)
@pytest.mark.usefixtures("knots")
def test_global_options_may_stand_anywhere(daemon: ScriptedDaemon, arguments: list[str]) -> None:
    """An address after the command is taken as one before it."""
    done = CliRunner().invoke(app, [argument.format(url=daemon.url) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert len(daemon.calls) == 1


@pytest.mark.usefixtures("knots")
def test_what_follows_two_dashes_is_an_argument(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """A title may look like an option."""
    assert podium("session", "create", "--at", "+2h", "--", "--url").exit_code == 0
    assert any(isinstance(call.body, dict) and call.body.get("title") == "--url" for call in daemon.calls)


@pytest.mark.family("configuration and CLI")
@pytest.mark.parametrize(
    "arguments",
    [
        ["session", "show", "{}"],
        ["rsvp", "knots", "{}"],
        ["--key", "{}", "session", "list"],
        ["session", "create", "{}", "--at", "+2h"],
        ["session", "create", "x", "--at", "+2h", "--co-host", "nostr:{}"],
        ["key", "import", "{}"],
        ["nonsense", "{}"],
        ["--url", "http://{}@127.0.0.1", "session", "list"],
    ],
)
def test_a_secret_key_among_the_arguments_is_refused_and_not_repeated(
    daemon: ScriptedDaemon, arguments: list[str]
) -> None:
    """An nsec anywhere on the command line ends with exit code 2, is not used and not echoed."""
    secret = encode_nsec(new_key())
    done = CliRunner().invoke(app, [argument.format(secret) for argument in arguments])
    assert done.exit_code == 2
    assert "was not used" in done.stderr
    assert secret[5:] not in done.output
    assert daemon.calls == []


@pytest.mark.family("configuration and CLI")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--key", "{}", "session", "list"],
        ["--key={}", "session", "list"],
        ["session", "list", "--key", "{}"],
        ["--state", "{}", "session", "list"],
        ["--config", "{}", "session", "list"],
        ["{}"],
        ["--url", "http://127.0.0.1:1", "{}"],
        ["key", "new", "{}"],
        ["key", "import", "{}"],
        ["key", "{}"],
        ["key", "encrypt", "--password-file", "{}"],
    ],
)
@pytest.mark.parametrize("form", ["hex", "capitals", "ncryptsec"])
def test_a_key_in_hex_where_no_public_key_can_stand_is_not_repeated(
    daemon: ScriptedDaemon, arguments: list[str], form: str
) -> None:
    """64 hex digits in the place of a file or a command are taken for a secret key."""
    raw = os.urandom(32).hex()
    secret = {"hex": raw, "capitals": raw.upper(), "ncryptsec": f"ncryptsec1{'q' * 60}"}[form]
    done = CliRunner().invoke(app, [argument.format(secret) for argument in arguments])
    assert done.exit_code == 2
    assert "was not used" in done.stderr
    assert secret[10:] not in done.output
    assert daemon.calls == []


@pytest.mark.parametrize(
    "variable", ["PODIUM_SECRET_KEY_FILE", "PODIUM_IDENTITY__KEY_FILE", "PODIUM_STORAGE__STATE_DIRECTORY"]
)
def test_a_key_in_a_variable_that_names_a_file_is_not_repeated(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The variable is one word away from the one that holds the key itself."""
    secret = os.urandom(32).hex()
    monkeypatch.setenv(variable, secret)
    for command in (["rsvp", "knots", "yes"], ["key", "show"], ["config", "show"]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code in (0, 3, 5), done.output
        assert secret not in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["nonsense"], 2, "No such command"),
        (["session"], 2, "Commands:"),
        (["session", "show"], 2, "Missing argument"),
        (["rsvp", "knots", "perhaps"], 2, "confirmed"),
        (["--config", "/nowhere/relays.toml", "session", "list"], 3, "does not exist"),
        (["--config"], 2, "requires an argument"),
        (["--url", "ftp://x", "session", "list"], 2, "expected the address of a daemon"),
        (["--url", "http://u:p@127.0.0.1", "session", "list"], 2, "expected the address of a daemon"),
        (["--url", "http://127.0.0.1:1", "session", "list"], 1, "start it with `podium run`"),
        (["--key", "/nowhere/key", "session", "list"], 5, "there is no key file"),
        (["rsvp", "knots", "confirmed"], 5, "there is no key file"),
    ],
)
def test_mistakes_end_in_a_sentence_and_an_exit_code(arguments: list[str], code: int, expected: str) -> None:
    """Each wrong call says what was expected, never with a traceback."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    assert expected in done.output
    assert "Traceback" not in done.output


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`podium` as a process of its own."""
    command = [sys.executable, "-m", "podium_daemon", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment, timeout=60
    )


def test_help_waits_for_no_http_client() -> None:
    """What only a call of the daemon needs is imported for that call."""
    heavy = "{'httpx', 'podium_daemon.client', 'podium_daemon.api', 'fastapi', 'nostr_sdk'}"
    program = f"import sys, podium_daemon.cli; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_the_daemon_imports_no_media_library() -> None:
    """What only a child process, a test or another engine needs takes none of the main process's memory."""
    heavy = "{'av', 'aiortc', 'numpy', 'livekit', 'nostr_sdk', 'hypothesis', 'cryptography.x509', 'PIL'}"
    program = f"import sys, podium_daemon.app.run; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_the_daemon_imports_what_is_rarely_asked_for_when_it_is() -> None:
    """Calendars, QR codes, and the HTTP client that comes with pynostr, which a process with a key does not need."""
    heavy = "{'icalendar', 'segno', 'pynostr', 'requests', 'podium_daemon.cli'}"
    program = (
        "import sys, podium_daemon.app.run; from podium_protocol.keys import SecretKey; SecretKey(b'1' * 32); "
        f"print(sorted({heavy} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_as_a_process_it_prints_its_version() -> None:
    """The installed command works and says which version it is."""
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("podium 0.")


def test_as_a_process_it_ends_with_the_exit_code() -> None:
    """The shell sees the exit codes, and the error goes to standard error."""
    done = run("config", "check", PODIUM_WEB__PORT="many")
    assert (done.returncode, done.stdout) == (3, "")
    assert "PODIUM_WEB__PORT" in done.stderr


def test_a_title_that_the_terminal_cannot_show_does_not_end_a_command(knots: Knots, daemon: ScriptedDaemon) -> None:
    """In a C locale letters it has no form for are replaced."""
    daemon.routes["GET /api/sessions/knots"] = as_json(knots.shown(title="結び目 \ud7ff"))
    done = run("--url", daemon.url, "session", "show", "knots", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0
    assert "title:" in done.stdout


def test_a_reader_that_goes_away_is_no_error_worth_a_traceback(knots: Knots, daemon: ScriptedDaemon) -> None:
    """`podium session list | head -1` ends quietly."""
    daemon.routes["GET /api/sessions"] = as_json({"sessions": [knots.shown()] * 5000, "next": None})
    command = [sys.executable, "-m", "podium_daemon", "--url", daemon.url, "session", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""


def test_a_tunnel_to_the_daemon_is_signed_for_its_public_url(own_home: Path) -> None:
    """--url on loopback reaches the daemon behind its proxy; another address is signed as it is called."""
    config_file = own_home / "relays.toml"
    config_file.write_text('[web]\npublic_url = "https://live.example.org"\n')
    for url, signed in [
        ("http://127.0.0.1:7448", "https://live.example.org"),
        ("https://other.example.org", "https://other.example.org"),
        (None, "https://live.example.org"),
    ]:
        caller = CommandCaller(config_option=config_file, url_option=url)
        assert caller.daemon(caller.config(), None).signed_url == signed
        caller.close()


def test_what_the_parts_of_a_command_log_goes_to_standard_error(podium: CommandLine) -> None:
    """Standard output holds the answer alone, so that `--json` can be read by a program; only warnings are said."""
    shown = podium("config", "show", "--json")
    json.loads(shown.stdout)
    log = structlog.get_logger("podium_daemon.relays")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        log.debug("a relay says nothing of itself")
        log.warning("a relay refused")
    assert said.getvalue() == ""
    assert not log.isEnabledFor(logging.INFO)


@pytest.mark.parametrize(
    ("words", "at", "offered"), [("podium ses", 1, "session"), ("podium rsvp knots m", 3, "maybe")]
)
def test_the_shell_completes_commands_and_answers(words: str, at: int, offered: str) -> None:
    """What typer's script for bash asks is answered, without a daemon."""
    asked = {"_PODIUM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(at)}
    done = CliRunner().invoke(app, [], prog_name="podium", env=asked)
    assert done.stdout.split() == [offered]
