"""The life of one session under every order of time, commands and people."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from podium_protocol.live.lifecycle import IllegalMove, Run, SessionState, Trigger, begin_run, end_run, move
from podium_protocol.live.lifecycle_rules import (
    Cancel,
    End,
    Facts,
    LifecyclePolicy,
    Start,
    StartPolicy,
    TakeBack,
    Warn,
    check_manual_start,
    check_reopen,
    decide,
    next_wakeup,
    planned_end,
)

POLICY = LifecyclePolicy()
START, END = 100_000, 103_600


class SessionLife(RuleBasedStateMachine):
    """Drives one session as the lifecycle service does: facts in, decision out, the table moves the state."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START - 3600
        self.runs: tuple[Run, ...] = ()
        self.warnings = 0
        self.history = [SessionState.SCHEDULED]

    @initialize(policy=st.sampled_from(StartPolicy), verified=st.booleans())
    def schedule(self, policy: StartPolicy, verified: bool) -> None:
        self.facts = Facts(
            state=SessionState.SCHEDULED,
            scheduled_start=START,
            scheduled_end=END,
            instructor_verified=verified,
            start_policy=policy,
        )

    def change(self, **fields: object) -> None:
        self.facts = msgspec.structs.replace(self.facts, **fields)

    def go(self, trigger: Trigger, at: int | None = None) -> None:
        state = move(self.facts.state, trigger)
        moment = self.now if at is None else at
        if state is SessionState.ACTIVE:
            self.runs = begin_run(self.runs, moment)
            self.change(started_at=moment, ended_at=None, warned=False)
        elif state is SessionState.ENDED and self.facts.state is SessionState.ACTIVE:
            self.runs = end_run(self.runs, moment)
            self.change(ended_at=moment, ended_by_withdrawal=trigger is Trigger.WITHDRAWN)
        self.change(state=state)
        self.history.append(state)

    def settle(self) -> None:
        for _ in range(10):
            match decide(self.facts, POLICY, self.now):
                case Start(trigger):
                    self.go(trigger)
                case End(trigger, at):
                    self.go(trigger, at)
                case Cancel():
                    self.go(Trigger.CANCEL)
                case TakeBack():
                    assert self.now < END
                    self.go(Trigger.TAKEN_BACK)
                case Warn(_):
                    self.warnings += 1
                    self.change(warned=True)
                case _:
                    return
        pytest.fail("the decisions do not come to rest")

    @rule(seconds=st.integers(1, 2400))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        if self.facts.instructor_present:
            self.change(instructor_last_seen=self.now)
        self.settle()

    @rule()
    def sleep_until_the_wakeup(self) -> None:
        wakeup = next_wakeup(self.facts, POLICY, self.now)
        self.now = max(self.now, self.now if wakeup is None else wakeup)
        self.settle()

    @rule(there=st.booleans())
    def instructor_comes_or_goes(self, there: bool) -> None:
        self.change(instructor_present=there, instructor_last_seen=self.now)
        self.settle()

    @rule(verified=st.booleans())
    def verification_is_checked_again(self, verified: bool) -> None:
        self.change(instructor_verified=verified)
        self.settle()

    @rule()
    def start_by_hand(self) -> None:
        if check_manual_start(self.facts, POLICY, self.now) is None:
            assert self.now >= START - 900
            assert self.facts.instructor_verified
            self.go(Trigger.MANUAL_START)
            self.settle()

    @precondition(lambda self: self.facts.state is SessionState.ACTIVE)
    @rule()
    def end_by_hand(self) -> None:
        self.go(Trigger.MANUAL_END)

    @rule()
    def reopen(self) -> None:
        if check_reopen(self.facts, POLICY, self.now) is None:
            before = self.runs
            self.go(Trigger.REOPEN)
            assert self.runs[:-1] == before
            self.settle()

    @rule(trigger=st.sampled_from(Trigger))
    def an_illegal_move_changes_nothing(self, trigger: Trigger) -> None:
        before = (self.facts, self.runs)
        try:
            move(self.facts.state, trigger)
        except IllegalMove:
            assert (self.facts, self.runs) == before

    @precondition(lambda self: len(self.history) > 1 or self.now < START)
    @rule()
    def cancel(self) -> None:
        self.change(cancelled=True)
        self.settle()

    @rule()
    def take_the_cancellation_back(self) -> None:
        self.change(cancelled=False)
        self.settle()

    @invariant()
    def runs_are_whole(self) -> None:
        lasting = [run for run in self.runs if run.end is None]
        assert len(lasting) == (1 if self.facts.state is SessionState.ACTIVE else 0)
        for run in self.runs:
            assert run.start >= START - 900
            if run.end is not None:
                assert run.start <= run.end <= max(END, run.start) + POLICY.max_overrun

    @invariant()
    def nothing_is_overdue(self) -> None:
        if self.facts.state is SessionState.ACTIVE:
            assert self.now < planned_end(self.facts) + POLICY.max_overrun
        if self.facts.state is SessionState.SCHEDULED:
            assert self.now < max(END, START + POLICY.no_show_after)

    @invariant()
    def states_follow_the_table(self) -> None:
        for before, after in pairwise(self.history):
            assert before is not SessionState.CANCELLED or after is SessionState.SCHEDULED
            assert after is not SessionState.CANCELLED or before is SessionState.SCHEDULED
        assert self.warnings <= len(self.runs)


SessionLife.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestSessionLife = SessionLife.TestCase
TestSessionLife.__doc__ = "Whatever happens in whatever order, runs stay whole and nothing is overdue."
