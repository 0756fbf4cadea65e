"""The table of states."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.errors import LocalProtocolError
from podium_protocol.live.lifecycle import (
    MEANING,
    TRANSITIONS,
    IllegalMove,
    Run,
    SessionState,
    Trigger,
    begin_run,
    document,
    end_run,
    mermaid,
    move,
)

ROOT = Path(__file__).parents[3]
EVERY_PAIR = [(state, trigger) for state in SessionState for trigger in Trigger]


@pytest.mark.parametrize(("state", "trigger"), EVERY_PAIR)
def test_a_move_is_in_the_table_or_refused(state: SessionState, trigger: Trigger) -> None:
    """Each of all pairs either leads where the table says or raises and says what would be possible."""
    if (state, trigger) in TRANSITIONS:
        assert move(state, trigger) is TRANSITIONS[state, trigger]
    else:
        with pytest.raises(IllegalMove, match=f"{state} has no move {trigger}; possible: "):
            move(state, trigger)


def test_the_states_of_the_model_lead_into_each_other() -> None:
    """Scheduled, active, ended; cancelled only before the start; out of cancelled leads only taking it back."""
    arrows = {(state, after) for (state, _), after in TRANSITIONS.items()}
    assert arrows == {
        (SessionState.SCHEDULED, SessionState.ACTIVE),
        (SessionState.SCHEDULED, SessionState.SCHEDULED),
        (SessionState.SCHEDULED, SessionState.ENDED),
        (SessionState.SCHEDULED, SessionState.CANCELLED),
        (SessionState.ACTIVE, SessionState.ENDED),
        (SessionState.ENDED, SessionState.ACTIVE),
        (SessionState.CANCELLED, SessionState.SCHEDULED),
    }
    out = {trigger for state, trigger in TRANSITIONS if state is SessionState.CANCELLED}
    assert out == {Trigger.TAKEN_BACK}


def test_an_illegal_move_is_our_own_fault() -> None:
    """It is a local error, and the table cannot be changed by the caller."""
    assert issubclass(IllegalMove, LocalProtocolError)
    with pytest.raises(TypeError):
        TRANSITIONS[SessionState.CANCELLED, Trigger.REOPEN] = SessionState.ACTIVE  # type: ignore[index]  # the point of the test


def test_the_diagram_has_every_arrow() -> None:
    """As many arrows as the table has rows, with one beginning and two ends; every trigger is explained."""
    assert mermaid().count(" --> ") == len(TRANSITIONS) + 3
    assert set(MEANING) == set(Trigger) == {trigger for _, trigger in TRANSITIONS}


def test_the_page_in_docs_is_drawn_from_the_table() -> None:
    """docs/lifecycle.md is what `document()` returns; draw it again after a change of the table."""
    assert (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8") == document()


def test_a_second_run_leaves_the_first_alone() -> None:
    """Reopening appends (Teams lost reports by overwriting)."""
    once = end_run(begin_run((), 100), 200)
    twice = end_run(begin_run(once, 260), 300)
    assert twice == (Run(100, 200), Run(260, 300))


@pytest.mark.parametrize("runs", [(), (Run(1, 2),), (Run(50),)])
def test_only_a_run_that_lasts_can_be_ended(runs: tuple[Run, ...]) -> None:
    """No run, an ended run, or an end before its beginning."""
    with pytest.raises(IllegalMove):
        end_run(runs, 40)


@pytest.mark.parametrize("runs", [(Run(1),), (Run(1, 50),)])
def test_a_run_begins_after_the_one_before(runs: tuple[Run, ...]) -> None:
    """Neither inside a run that lasts nor before the end of the last."""
    with pytest.raises(IllegalMove):
        begin_run(runs, 40)


@given(st.lists(st.integers(0, 50), max_size=12))
def test_runs_never_overlap(moments: list[int]) -> None:
    """Whatever is tried, what stands is a row of disjoint runs in order, of which only the last may still last."""
    runs: tuple[Run, ...] = ()
    for at in moments:
        step = end_run if runs and runs[-1].end is None else begin_run
        try:
            runs = step(runs, at)
        except IllegalMove:
            continue
    times = [time for run in runs for time in (run.start, run.end) if time is not None]
    assert times == sorted(times)
    assert all(run.end is not None for run in runs[:-1])
