"""The benchmarks still run against the code as it is; how fast anything is, is none of a test's business."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

from benchmarks import media, report, room_browser
from benchmarks.__main__ import WORKS, main, measure
from benchmarks.interleave import Result, Row, compared, interleaved, quantile
from benchmarks.settings import Settings
from benchmarks.speaker import RATE, STEPS, Stream, packets
from podium_daemon.conference.page_media.rtp import read_packet

TINY = Settings(
    rounds=1,
    events=60,
    people=6,
    rows=40,
    batch=8,
    watchers=2,
    watched=0.5,
    room=3,
    crowd=4,
    lookups=5,
    sessions=40,
    told=10,
    streams=10,
    idle=1.0,
)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The benchmarks keep the logs of their process quiet: that ends with the test."""
    yield
    structlog.reset_defaults()


KEYS = ["work", "unit", "ours", "peer", "peer_name", "limit", "ratio_to_peer", "ratio_to_limit"]
LINES = {
    "verify": ["verify", "verify, against pynostr", "verify, two threads", "verify, two processes"],
    "ingest": [
        "ingest",
        "ingest, against notifications",
        "ingest, against LMDB",
        "ingest, with projections",
        "ingest, 3 relays",
        "ingest, forged events refused",
    ],
    "floods": [
        "floods, gift wraps that say nothing",
        "floods, an honest event beside them p50",
        "floods, an honest event beside them p99",
    ],
    "wrap": ["wrap", "wrap, key kept"],
    "fan-out": ["fan-out", "fan-out, prepared", "fan-out, both prepared", "fan-out, from the outbox"],
    "store": ["store"],
    "lookup": [
        "lookup p50",
        "lookup p50 beside an ingest",
        "lookup p99",
        "lookup p99 beside an ingest",
        "event loop's lag p99 beside an ingest",
    ],
    "reminded": ["reminded", "reminded, lag p99", "told of a cancellation", "told of a cancellation, lag p99"],
    "sessions": [
        "start with many sessions",
        "memory with many sessions",
        "list of sessions p99",
        "idle CPU with many sessions",
        "a due start while sessions are read in",
    ],
    "streams": [
        "streams, the session changes",
        "streams, the session changes: CPU of one",
        "streams, one answers",
        "streams, one answers: CPU of one",
        "streams, all who signed in answer",
        "streams, all who signed in answer: CPU of one",
        "streams, memory of one",
        "streams, idle CPU",
        "streams, event loop's lag p99",
    ],
    "start": [
        "start to the first connection",
        "start to ready",
        "CPU of a start",
        "idle memory, resident",
        "idle memory, its share",
    ],
    "media": ["media", "media, shown by some"],
    "room": [
        "room, pictures of each who is shown",
        "room, the browser",
        "room, click on the microphone",
        "crowd, the daemon",
        "crowd, the daemon's memory",
        "crowd, event loop's lag p99",
    ],
}


@pytest.mark.real_peer
@pytest.mark.parametrize("work", WORKS)
def test_each_work_gives_its_lines(work: str) -> None:
    """Each work runs to its end against the real peers and gives its lines, each with a peer or a limit."""
    if work == "media" and (reason := media.missing()) is not None:
        pytest.skip(reason)
    if work == "room" and (reason := room_browser.missing()) is not None:
        pytest.skip(reason)
    (result,) = measure([work], TINY)
    assert [row.work for row in result.rows] == LINES[work]
    assert result.notes
    for row in result.rows:
        assert row.ours > 0
        assert (row.peer is None) == (row.ratio_to_peer is None) == (row.peer_name is None)
        assert (row.limit is None) == (row.ratio_to_limit is None)
        assert row.peer or row.limit


def test_what_cannot_be_measured_here_is_left_out_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a machine without Janus there is no line for media, and the note says which package to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (result,) = measure(["media"], TINY)
    assert result.rows == ()
    assert "apt-get install janus" in result.notes[0]


def test_the_generated_speaker_is_read_by_the_engine_and_keeps_its_rate() -> None:
    """A second of it is as many packets as it says, of both lines, in order, each with the name of its line."""
    streams = [Stream(ssrc=line, payload_type=96 + line, mid=str(line), mid_extension=4) for line in (0, 1)]
    raw = [packet for _, batch in zip(range(STEPS), packets(*streams), strict=False) for packet in batch]
    read = [packet for one in raw if (packet := read_packet(one, 4)) is not None]
    assert len(read) == RATE
    for line, rate, clock in ((0, 50, 48_000), (1, RATE - 50, 90_000)):
        of_line = [packet for packet in read if packet.mid == str(line)]
        assert len(of_line) == rate
        assert {(packet.ssrc, packet.payload_type) for packet in of_line} == {(line, 96 + line)}
        assert all(after.sequence - before.sequence == 1 for before, after in pairwise(of_line))
        assert 0.9 * clock < of_line[-1].timestamp - of_line[0].timestamp < clock
    assert sum(packet.marker for packet in read) == 30


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
