"""The table that people read and the JSON that programs read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.interleave import Result, Row

_WIDTH: Final = 128


def table(results: Sequence[Result], rounds: int) -> str:
    """Every line, then what has to be said about them."""
    console = Console(width=_WIDTH, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(_grid([row for result in results for row in result.rows]))
    notes = [f"- {note}" for result in results for note in result.notes]
    return "\n".join([captured.get().rstrip(), "", *_explanation(rounds), *notes, ""])


def write_json(path: Path, results: Sequence[Result]) -> None:
    """A list of objects, one a line of the table; null where there is no peer or no limit."""
    rows = [row for result in results for row in result.rows]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")


def _grid(rows: Sequence[Row]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="")
    grid.add_column("work", no_wrap=True)
    for name in ("ours", "peer", "limit", "unit", "x peer", "x limit"):
        grid.add_column(name, justify="left" if name == "unit" else "right", no_wrap=True)
    grid.add_column("the peer", no_wrap=True)
    for row in rows:
        numbers = [_number(value) for value in (row.ours, row.peer, row.limit)]
        ratios = [_ratio(value) for value in (row.ratio_to_peer, row.ratio_to_limit)]
        grid.add_row(row.work, *numbers, row.unit, *ratios, row.peer_name or "")
    return grid


def _explanation(rounds: int) -> list[str]:
    return [
        f"Medians of {rounds} rounds or more in which the contestants took turns; a ratio is the median of ours",
        "divided by theirs in the same round. Of rates more is better, of us (microseconds) less is.",
    ]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
