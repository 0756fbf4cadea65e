"""`podium chat export`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from podium_daemon.api.chat import ChatLineOut, ChatOut
from tests.daemon.cli.conftest import CommandLine
from tests.support.answers import answer
from tests.support.scripted_daemon import Call, Reply, ScriptedDaemon, as_json

TEXT = b"Knots\n\n2030-03-17 17:46:40 Ada: Hello\n    there\n"


@pytest.fixture(autouse=True)
def chat_daemon(daemon: ScriptedDaemon) -> ScriptedDaemon:
    """Answers with a chat as text, and with nothing else."""

    def chat(call: Call) -> Reply:
        return Reply(200 if call.path.endswith("?format=text") else 500, TEXT, "text/plain")

    daemon.routes["GET /api/sessions/knots/chat"] = chat
    return daemon


def test_the_chat_goes_to_standard_output(podium: CommandLine) -> None:
    """As the daemon wrote it, and nothing else."""
    assert podium("chat", "export", "knots").stdout_bytes == TEXT


def test_the_chat_is_printed_as_json(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """With the time and the author of each line."""
    line = answer(ChatLineOut, text="Hello", sentAt=1_900_000_000)
    daemon.routes["GET /api/sessions/knots/chat"] = as_json(answer(ChatOut, lines=[line]))
    (printed,) = json.loads(podium("chat", "export", "knots", "--json").stdout)["lines"]
    assert (printed["text"], printed["sentAt"]) == ("Hello", 1_900_000_000)


def test_the_chat_goes_to_a_new_file(podium: CommandLine, tmp_path: Path) -> None:
    """For its owner alone; a file that is there is left as it was."""
    file = tmp_path / "chat.txt"
    assert podium("chat", "export", "knots", "--to", str(file)).exit_code == 0
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (TEXT, 0o600)
    file.write_text("mine")
    assert podium("chat", "export", "knots", "--to", str(file)).exit_code == 1
    assert file.read_text() == "mine"
