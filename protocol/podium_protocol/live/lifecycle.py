"""The states of a session: everything that may change a state is in this file.

`TRANSITIONS` is the one table; `move` is the one way through it; docs/lifecycle.md is drawn from it.
What time and facts ask for is decided in `lifecycle_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from podium_protocol.errors import LocalProtocolError


class SessionState(StrEnum):
    """The model's session states, and cancelled."""

    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"


OVER: Final = (SessionState.ENDED, SessionState.CANCELLED)


class Trigger(StrEnum):
    """The cause of a move of a session from state to state."""

    CLOCK_START = "clock start"
    INSTRUCTOR_CAME = "instructor came"
    MANUAL_START = "manual start"
    RESCHEDULE = "reschedule"
    NO_SHOW = "no show"
    LAPSE = "lapse"
    CANCEL = "cancel"
    MANUAL_END = "manual end"
    DURATION_ELAPSED = "duration elapsed"
    OVERRUN_LIMIT = "overrun limit"
    WITHDRAWN = "withdrawn"
    REOPEN = "reopen"
    TAKEN_BACK = "taken back"


TRANSITIONS: Final[Mapping[tuple[SessionState, Trigger], SessionState]] = MappingProxyType(
    {
        (SessionState.SCHEDULED, Trigger.CLOCK_START): SessionState.ACTIVE,
        (SessionState.SCHEDULED, Trigger.INSTRUCTOR_CAME): SessionState.ACTIVE,
        (SessionState.SCHEDULED, Trigger.MANUAL_START): SessionState.ACTIVE,
        (SessionState.SCHEDULED, Trigger.RESCHEDULE): SessionState.SCHEDULED,
        (SessionState.SCHEDULED, Trigger.NO_SHOW): SessionState.ENDED,
        (SessionState.SCHEDULED, Trigger.LAPSE): SessionState.ENDED,
        (SessionState.SCHEDULED, Trigger.CANCEL): SessionState.CANCELLED,
        (SessionState.ACTIVE, Trigger.MANUAL_END): SessionState.ENDED,
        (SessionState.ACTIVE, Trigger.DURATION_ELAPSED): SessionState.ENDED,
        (SessionState.ACTIVE, Trigger.OVERRUN_LIMIT): SessionState.ENDED,
        (SessionState.ACTIVE, Trigger.WITHDRAWN): SessionState.ENDED,
        (SessionState.ENDED, Trigger.REOPEN): SessionState.ACTIVE,
        (SessionState.CANCELLED, Trigger.TAKEN_BACK): SessionState.SCHEDULED,
        (SessionState.ENDED, Trigger.TAKEN_BACK): SessionState.ACTIVE,
    }
)

MEANING: Final[Mapping[Trigger, str]] = MappingProxyType(
    {
        Trigger.CLOCK_START: "the scheduled time has come and the instructor is verified",
        Trigger.INSTRUCTOR_CAME: "start policy `instructor`: the time has come and the instructor is in the room",
        Trigger.MANUAL_START: "the instructor's signed command, from doors-open on",
        Trigger.RESCHEDULE: "a new revision with another start or end; reminders begin a new epoch",
        Trigger.NO_SHOW: "start policy `instructor`: nobody came in time",
        Trigger.LAPSE: "the scheduled end passed and the session could not start",
        Trigger.CANCEL: "cancelled by the instructor before it began",
        Trigger.MANUAL_END: "ended by hand",
        Trigger.DURATION_ELAPSED: "the duration has elapsed and the instructor is not in the room",
        Trigger.OVERRUN_LIMIT: "the longest overrun has passed",
        Trigger.WITHDRAWN: "the instructor cancelled or deleted the event while it was live",
        Trigger.REOPEN: "opened again shortly after the end: a second run, the first stays",
        Trigger.TAKEN_BACK: "a later revision takes the cancellation back, within the session's time",
    }
)


class IllegalMove(LocalProtocolError):
    """The table has no such move. Nothing was changed."""


class Run(msgspec.Struct, frozen=True):
    """One stretch of a live session, [start, end) in Unix seconds; `end` is None while it lasts."""

    start: int
    end: int | None = None


def move(state: SessionState, trigger: Trigger) -> SessionState:
    """Return the state after `trigger`.

    Raises:
        IllegalMove: the table has no such move.
    """
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        possible = ", ".join(known.value for start, known in TRANSITIONS if start is state) or "nothing"
        raise IllegalMove(f"a session that is {state} has no move {trigger!s}; possible: {possible}") from None


def begin_run(runs: tuple[Run, ...], at: int) -> tuple[Run, ...]:
    """Return the runs with a new one begun at `at` (Unix seconds); a former run is never overwritten.

    Raises:
        IllegalMove: a run still lasts, or the last one ended after `at`.
    """
    if runs and (runs[-1].end is None or runs[-1].end > at):
        raise IllegalMove("a run begins after the one before it has ended")
    return (*runs, Run(at))


def end_run(runs: tuple[Run, ...], at: int) -> tuple[Run, ...]:
    """Return the runs with the last one ended at `at` (Unix seconds).

    Raises:
        IllegalMove: no run lasts, or it began after `at`.
    """
    if not runs or runs[-1].end is not None or runs[-1].start > at:
        raise IllegalMove("only a run that lasts can be ended, and not before it began")
    return (*runs[:-1], Run(runs[-1].start, at))


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    rows = [f"    {_name(state)} --> {_name(after)}: {trigger}" for (state, trigger), after in TRANSITIONS.items()]
    final = [f"    {_name(state)} --> [*]" for state in OVER]
    return "\n".join(("stateDiagram-v2", f"    [*] --> {_name(SessionState.SCHEDULED)}", *rows, *final))


def document() -> str:
    """The text of docs/lifecycle.md."""
    rows = (
        f"| {_name(state)} | {trigger} | {_name(after)} | {MEANING[trigger]} |"
        for (state, trigger), after in TRANSITIONS.items()
    )
    return "\n".join(
        (
            "# States of a session",
            "",
            "<!-- Drawn from the table in protocol/podium_protocol/live/lifecycle.py; a test compares the two.",
            "To draw it again, write what `podium_protocol.live.lifecycle.document()` returns into this file. -->",
            "",
            "Any move that is not in the table is refused and changes nothing.",
            "",
            "```mermaid",
            mermaid(),
            "```",
            "",
            "| from | trigger | to | when |",
            "|---|---|---|---|",
            *rows,
            "",
        )
    )


def _name(state: SessionState) -> str:
    return state.value.capitalize()
