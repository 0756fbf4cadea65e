"""What the commands print. Titles and names come from strangers: no control characters, and never Rich markup.

Tables have lines and colours on a terminal only; in a pipe, with NO_COLOR or on a dumb terminal they are plain columns.
On a terminal a row takes one line: what is too long ends in an ellipsis, and `--json` has all of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from podium_daemon.cli.times import with_iso_times
from podium_protocol.text import paragraphs, single_line

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from podium_daemon.api.base import Model

_MAX_CELL: Final = 300
_MAX_TEXT: Final = 200_000
_LEAST_WIDTH: Final = 40  # cells of a line below which tables do not follow a terminal
_LEAST_CELL: Final = 4


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


def print_answer(answer: Model, zone: ZoneInfo | None = None) -> None:
    """Print what the daemon answered as JSON, fields that this version does not know included.

    With the `zone` of a session, each time stands there in ISO 8601 too.
    """
    from podium_daemon.api.base import whole

    found = whole(answer)
    print_json(found if zone is None else with_iso_times(found, zone))


def print_answers(name: str, answers: Iterable[Model], zone: ZoneInfo | None = None) -> None:
    """Print a list of the daemon's answer under its name; as `print_answer`."""
    from podium_daemon.api.base import whole

    found = [whole(one) for one in answers]
    print_json({name: found if zone is None else with_iso_times(found, zone)})


def fields(rows: Mapping[str, object]) -> None:
    """Print names and values below each other, leaving out what is None."""
    shown = {name: clean(value) for name, value in rows.items() if value is not None}
    width = max(map(len, shown), default=0) + 2
    for name, value in shown.items():
        sys.stdout.write(f"{name + ':':<{width}}{value}\n")


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    empty: str,
    whole: Sequence[str] = (),
    details: Sequence[str] = (),
) -> None:
    """Print rows under heads, or the sentence `empty`. On a terminal a row is one line of it.

    Args:
        heads: the columns' names.
        rows: the cells.
        empty: what to say where there are no rows.
        whole: columns that are never shortened, since people copy what is in them.
        details: columns whose cells stand below their row where the line has no room for them.
    """
    cells = [[clean("" if cell is None else cell) for cell in row] for row in rows]
    if not cells:
        say(empty)
        return
    for line in table_lines(heads, cells, whole=whole, details=details):
        sys.stdout.write(line + "\n")


def table_lines(
    heads: Sequence[str],
    cells: list[list[str]],
    *,
    whole: Sequence[str] = (),
    details: Sequence[str] = (),
) -> list[str]:
    """The lines of a table as `table` prints it."""
    limit = _line_width()
    is_drawn = is_fancy()
    gap = 3 if is_drawn else 2  # between two columns; a drawn table has a line of two cells around it
    room = None if limit is None else limit - (2 if is_drawn else 0)
    natural = [max(cell_len(text) for text in column) for column in zip(heads, *cells, strict=True)]
    if room is not None and details and _total(natural, gap) > room:
        return _with_details(heads, cells, room, whole=whole, details=details)
    widths = natural if room is None else _narrowed(heads, natural, room - gap * (len(heads) - 1), whole)
    return _drawn(heads, _cut(cells, widths)) if is_drawn else _plain(heads, cells, widths)


def is_fancy() -> bool:
    """Whether standard output is a terminal that wants lines and colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def shortened(text: str, width: int) -> str:
    """`text` in `width` cells of a terminal; what was cut off is marked by an ellipsis."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def _line_width() -> int | None:
    """Cells of a line: the terminal's, or COLUMNS. In a pipe there is no limit: programs want the whole value."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return None
    return max(_LEAST_WIDTH, shutil.get_terminal_size().columns)


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _narrowed(heads: Sequence[str], natural: Sequence[int], room: int, whole: Sequence[str]) -> list[int]:
    """Take from the widest columns until all fit; those of few letters stay as they are."""
    widths = list(natural)
    while sum(widths) > room:
        ordered = sorted((width, at) for at, width in enumerate(widths) if heads[at] not in whole)
        if not ordered or ordered[-1][0] <= _LEAST_CELL:
            break
        widest, at = ordered[-1]
        second = ordered[-2][0] if len(ordered) > 1 else _LEAST_CELL
        widths[at] = max(_LEAST_CELL, widest - (sum(widths) - room), min(second, widest - 1))
    return widths


def _with_details(
    heads: Sequence[str], cells: list[list[str]], room: int, *, whole: Sequence[str], details: Sequence[str]
) -> list[str]:
    kept = [at for at, head in enumerate(heads) if head not in details]
    names = [heads[at] for at in kept]
    columns = [[row[at] for at in kept] for row in cells]
    natural = [max(cell_len(text) for text in column) for column in zip(names, *columns, strict=True)]
    first, *lines = _plain(names, columns, _narrowed(names, natural, room - 2 * (len(names) - 1), whole))
    shown = [first]
    for line, row in zip(lines, cells, strict=True):
        below = [(head, text) for head, text in zip(heads, row, strict=True) if head in details and text]
        text = "; ".join(text if len(details) == 1 else f"{head}: {text}" for head, text in below)
        shown += [line, *(f"  {part}" for part in _wrapped(text, room - 2) if part)]
    return shown


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        # an address is copied from the terminal: it stays in one piece
        for piece in [word] if "://" in word else chop_cells(word, width):
            joined = f"{lines[-1]} {piece}".lstrip()
            if not lines[-1] or cell_len(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(piece)
    return lines


def _cut(cells: list[list[str]], widths: Sequence[int]) -> list[list[str]]:
    return [[shortened(text, width) for text, width in zip(row, widths, strict=True)] for row in cells]


def _drawn(heads: Sequence[str], rows: list[list[str]]) -> list[str]:
    drawn = Table(header_style="bold", pad_edge=False)
    for head in heads:
        drawn.add_column(Text(head), no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))  # Text is taken as it is; a str would be read as markup
    console = Console(file=sys.stdout)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().splitlines()


def _plain(heads: Sequence[str], rows: list[list[str]], widths: Sequence[int]) -> list[str]:
    lines = _cut([[head.upper() for head in heads], *rows], widths)
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
