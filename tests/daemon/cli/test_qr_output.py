"""A QR code on terminals of every kind: the text always, the drawing where it can be seen."""

from __future__ import annotations

import io
import os
import sys

import pytest

from podium_daemon.cli.qr_output import show_qr

TEXT = "nostrconnect://" + "a" * 64 + "?relay=wss%3A%2F%2Frelay.example.org"


class Terminal(io.TextIOWrapper):
    """Standard error of a person's."""

    def __init__(self, encoding: str, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Whether it says it is a terminal."""
        return self._is_terminal

    def text(self) -> str:
        """What was written."""
        self.flush()
        raw = self.buffer.getvalue()  # type: ignore[attr-defined]  # a BytesIO
        return str(raw, self.encoding)


def shown(monkeypatch: pytest.MonkeyPatch, terminal: Terminal, columns: int = 200, **variables: str) -> str:
    """What a person sees."""
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_, **__: os.terminal_size((columns, 24)))
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    show_qr(TEXT)
    assert TEXT in terminal.text()
    return terminal.text()


def test_a_terminal_gets_it_dark_on_light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its own colours are, each line sets them and puts them back."""
    said = shown(monkeypatch, Terminal("utf-8", is_terminal=True))
    drawn = [line for line in said.splitlines() if "█" in line]
    assert len(drawn) > 20
    assert all(line.startswith("\x1b[38;5;231;48;5;16m") and line.endswith("\x1b[0m") for line in drawn)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colour_it_is_drawn_plainly(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """NO_COLOR and dumb terminals."""
    said = shown(monkeypatch, Terminal("utf-8", is_terminal=True), **variables)
    assert "█" in said
    assert "\x1b" not in said


def test_a_pipe_gets_it_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any width: nothing wraps there."""
    said = shown(monkeypatch, Terminal("utf-8", is_terminal=False), columns=20)
    assert "█" in said
    assert "\x1b" not in said


def test_a_narrow_terminal_gets_the_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code whose lines wrap is none; the width that is needed is said."""
    said = shown(monkeypatch, Terminal("utf-8", is_terminal=True), columns=40)
    assert "█" not in said
    assert "this terminal has 40" in said


def test_an_old_encoding_gets_the_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No error, and no question marks for blocks."""
    said = shown(monkeypatch, Terminal("latin-1", is_terminal=True))
    assert "no blocks to draw it with" in said
