"""What the commands print. Titles and names come from strangers: no control characters, and never Rich markup.

Tables have lines and colours on a terminal only; in a pipe, with NO_COLOR or on a dumb terminal they are plain columns.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from podium_protocol.text import paragraphs, single_line

if TYPE_CHECKING:
    from podium_daemon.api.base import Model

_MAX_CELL: Final = 300
_MAX_TEXT: Final = 200_000


def clean(text: object) -> str:
    """One line that can neither move a cursor nor turn the reading direction."""
    return single_line(str(text), _MAX_CELL)


def say(text: str) -> None:
    """Print what was asked for. Lines stay, other controls go."""
    sys.stdout.write(paragraphs(text, _MAX_TEXT) + "\n")


def note(text: str) -> None:
    """Print to standard error what a person should know and a script that reads the output should not."""
    sys.stdout.flush()
    sys.stderr.write(paragraphs(text, _MAX_TEXT) + "\n")


def print_json(value: object) -> None:
    """Print JSON in ASCII: whatever a stranger wrote stays complete, and harmless on a terminal."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def print_answer(answer: Model) -> None:
    """Print what the daemon answered as JSON, fields that this version does not know included."""
    from podium_daemon.api.base import whole

    print_json(whole(answer))


def print_answers(name: str, answers: Iterable[Model]) -> None:
    """Print a list of the daemon's answer under its name; as `print_answer`."""
    from podium_daemon.api.base import whole

    print_json({name: [whole(one) for one in answers]})


def fields(rows: Mapping[str, object]) -> None:
    """Print names and values below each other, leaving out what is None."""
    shown = {name: clean(value) for name, value in rows.items() if value is not None}
    width = max(map(len, shown), default=0) + 2
    for name, value in shown.items():
        sys.stdout.write(f"{name + ':':<{width}}{value}\n")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under heads, or the sentence `empty`."""
    cells = [[clean("" if cell is None else cell) for cell in row] for row in rows]
    if not cells:
        say(empty)
    elif is_fancy():
        _fancy(heads, cells)
    else:
        _plain(heads, cells)


def is_fancy() -> bool:
    """Whether standard output is a terminal that wants lines and colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _fancy(heads: Sequence[str], rows: list[list[str]]) -> None:
    drawn = Table(header_style="bold", pad_edge=False)
    for head in heads:
        drawn.add_column(Text(head))
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))  # Text is taken as it is; a str would be read as markup
    Console(file=sys.stdout).print(drawn)


def _plain(heads: Sequence[str], rows: list[list[str]]) -> None:
    lines = [[head.upper() for head in heads], *rows]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
