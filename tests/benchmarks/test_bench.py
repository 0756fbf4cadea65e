"""The benchmarks still run against the code as it is; how fast anything is, is none of a test's business."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import WORKS, main, measure
from benchmarks.interleave import Result, Row, compared, interleaved, quantile
from benchmarks.settings import Settings

TINY = Settings(rounds=1, events=60, people=6, rows=40, batch=8, lookups=5)
KEYS = ["work", "unit", "ours", "peer", "peer_name", "limit", "ratio_to_peer", "ratio_to_limit"]
LINES = {
    "verify": ["verify", "verify, against pynostr", "verify, two threads", "verify, two processes"],
    "ingest": [
        "ingest",
        "ingest, against notifications",
        "ingest, against LMDB",
        "ingest, with projections",
        "ingest, 3 relays",
    ],
    "wrap": ["wrap", "wrap, key kept"],
    "fan-out": ["fan-out", "fan-out, prepared", "fan-out, both prepared", "fan-out, from the outbox"],
    "store": ["store"],
    "lookup": ["lookup p50", "lookup p50 beside an ingest", "lookup p99", "lookup p99 beside an ingest"],
}


@pytest.mark.parametrize("work", WORKS)
def test_each_work_gives_its_lines(work: str) -> None:
    """Each work runs to its end against the real peers and gives its lines, each with a peer or a limit."""
    (result,) = measure([work], TINY)
    assert [row.work for row in result.rows] == LINES[work]
    assert result.notes
    for row in result.rows:
        assert row.ours > 0
        assert (row.peer is None) == (row.ratio_to_peer is None) == (row.peer_name is None)
        assert (row.limit is None) == (row.ratio_to_limit is None)
        assert row.peer or row.limit


def test_json_is_a_list_of_lines_with_null_for_what_is_not_there(tmp_path: Path) -> None:
    """bench.json holds exactly the agreed keys, and null where there is no peer or no limit."""
    row = Row(work="w", unit="us", ours=1.5, limit=0.5, ratio_to_limit=3.0)
    report.write_json(tmp_path / "bench.json", [Result((row,)), Result((row,), ("a note",))])
    found = json.loads((tmp_path / "bench.json").read_bytes())
    expected = dict.fromkeys(KEYS) | {"work": "w", "unit": "us", "ours": 1.5, "limit": 0.5, "ratio_to_limit": 3.0}
    assert found == [expected, expected]
    assert list(found[0]) == KEYS


def test_the_table_shows_each_line_and_each_note() -> None:
    """The table has a line for each row, a dash for what is not there, and the notes below."""
    row = Row(work="some work", unit="events/s", ours=12_345.6, peer=10.0, peer_name="somebody", ratio_to_peer=1234.56)
    text = report.table([Result((row,), ("what is to be said",))], rounds=5)
    line = next(line for line in text.splitlines() if line.startswith("some work"))
    assert line.split() == ["some", "work", "12,346", "10.0", "-", "events/s", "1234.56", "-", "somebody"]
    assert "- what is to be said" in text.splitlines()


def test_fewer_than_five_rounds_are_refused() -> None:
    """Fewer than five rounds say nothing on a noisy machine, so that the command refuses them."""
    with pytest.raises(SystemExit, match="fewer than 5 rounds"):
        main(["--rounds", "4"])


async def test_contestants_take_turns_and_each_round_begins_with_another() -> None:
    """Each contestant runs once a round, so that noise meets all of them, and the first place goes round."""
    order: list[str] = []

    def contestant(name: str) -> None:
        order.append(name)

    async def run(name: str) -> int:
        contestant(name)
        return len(order)

    samples = await interleaved({"a": lambda: run("a"), "b": lambda: run("b")}, 3, lambda _: None)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert samples == {"a": [1, 4, 5], "b": [2, 3, 6]}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """Ratios are taken within a round, not between medians: a slow round is slow for both."""
    row = compared("w", "1/s", [10, 100, 30], peer=[5, 50, 30], peer_name="p", limit=[20, 400, 30])
    assert (row.ours, row.peer, row.limit) == (30, 30, 30)
    assert (row.ratio_to_peer, row.ratio_to_limit) == (2, 0.5)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 99)])
def test_quantiles(share: float, expected: int) -> None:
    """A quantile is the value below which that share of the values lies, the largest at most."""
    values: Sequence[float] = list(reversed(range(100)))
    assert quantile(values, share) == expected
