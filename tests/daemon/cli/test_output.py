"""What is printed, on terminals and in pipes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.cli.output import clean, fields, note, print_json, say, table

HOSTILE = [
    "\x1b[2J",
    "\x9b31m",
    "a\rb",
    "a\nb",
    "\x00",
    "\x7f",
    "\u202eexe",
    "\u2066x\u2069",
    "\u200f",
    "\ud800",
    "\u2028x",
]
_SCRIPT = """
from podium_daemon.cli.output import table
table(("name", "state"), [("[bold red]x[/]", "y :smile: \\x1b[2J")], empty="")
"""


@pytest.mark.family("output injection")
@pytest.mark.parametrize("text", HOSTILE)
def test_cells_lines_and_notes_are_harmless(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a cell, a field, a line nor a note lets a stranger's control character through."""
    table(("a",), [(text,)], empty="")
    fields({"a": text})
    one_line = "".join(text.splitlines())
    say(one_line)
    note(one_line)
    done = capsys.readouterr()
    assert not set("\x1b\x9b\r\x00\x7f\u202e\u2066\u2069\u200f\ud800\u2028") & set(done.out + done.err)
    assert len(done.out.splitlines()) == 4


@given(st.text())
def test_a_cell_is_one_line(text: str) -> None:
    """Whatever is in a title, it stays in its cell."""
    assert len(f"<{clean(text)}>".splitlines()) == 1


@pytest.mark.parametrize("text", [*HOSTILE, "é", "結"])
def test_json_is_ascii_and_complete(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON keeps every character, escaped."""
    print_json({"title": text})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"title": text}
    assert not set("\x1b\x00\x7f") & set(out.replace("\\u007f", ""))


def test_columns_line_up_for_wide_letters(capsys: pytest.CaptureFixture[str]) -> None:
    """A letter that takes two cells does not shift the columns after it."""
    table(("title", "state"), [("結び", "x"), ("abcd", "y")], empty="")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["TITLE  STATE", "結び   x", "abcd   y"]


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to show is said."""
    table(("a",), [], empty="Nothing yet.")
    assert capsys.readouterr().out == "Nothing yet.\n"


def test_fields_leave_out_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """None is left out; zero and empty text are values."""
    fields({"a": None, "long": 0, "b": ""})
    assert capsys.readouterr().out == "long: 0\nb:    \n"


def on_a_terminal(**environment: str) -> str:
    """What the script prints on a terminal."""
    controller, terminal = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    variables |= {"TERM": "xterm-256color", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"} | environment
    try:
        subprocess.run([sys.executable, "-c", _SCRIPT], stdout=terminal, env=variables, check=True, timeout=60)
        return os.read(controller, 65_536).decode()
    finally:
        os.close(terminal)
        os.close(controller)


def test_a_terminal_gets_lines_and_a_strangers_markup_stays_text() -> None:
    """On a terminal the table is drawn; markup, emoji codes and escapes in cells are not obeyed."""
    shown = on_a_terminal()
    assert "─" in shown or "━" in shown
    assert "[bold red]x[/]" in shown
    assert ":smile:" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_no_colours_gets_plain_columns(environment: dict[str, str]) -> None:
    """NO_COLOR and dumb terminals are taken at their word."""
    shown = on_a_terminal(**environment)
    assert "\x1b" not in shown
    assert shown.splitlines()[0].split() == ["NAME", "STATE"]
