"""A QR code on the terminal, and always the text of it beside: on standard error, where people look."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Final

from podium_daemon.cli.output import note
from podium_daemon.signers.qr import as_lines, qr_code

_LIGHT_ON_DARK: Final = "\x1b[38;5;231;48;5;16m"  # a scanner wants dark on light, whatever the terminal's colours are
_PLAIN: Final = "\x1b[0m"


def show_qr(text: str) -> None:
    """Draw the code where it can be drawn, and print the text."""
    lines = as_lines(qr_code(text))
    if problem := _problem(lines):
        note(problem)
    else:
        sys.stdout.flush()
        sys.stderr.write("".join(f"{_coloured(line)}\n" for line in lines))
    note(f"\n{text}\n")


def _problem(lines: Sequence[str]) -> str | None:
    if not (sys.stderr.encoding or "").lower().startswith("utf"):
        return "(no QR code: this terminal's encoding has no blocks to draw it with)"
    columns = shutil.get_terminal_size((len(lines[0]), 24)).columns
    if sys.stderr.isatty() and columns < len(lines[0]):
        return f"(no QR code: it is {len(lines[0])} columns wide, and this terminal has {columns})"
    return None


def _coloured(line: str) -> str:
    wanted = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"{_LIGHT_ON_DARK}{line}{_PLAIN}" if wanted else line
