"""The configuration's numbers as the rules want them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.app import policies
from podium_daemon.config import Config, load_config
from podium_protocol.live.admission import DoorPolicy
from podium_protocol.live.attendance import AttendancePolicy
from podium_protocol.live.completion import CompletionMode, CompletionPolicy
from podium_protocol.live.lifecycle_rules import LifecyclePolicy
from podium_protocol.live.reminders import Offset, ReminderMessage, ReminderPolicy
from podium_protocol.live.seats import SeatPolicy


def configured(**overrides: object) -> Config:
    """The defaults with some keys set; dots are written as two underscores."""
    return load_config(None, {key.replace("__", "."): value for key, value in overrides.items()}, environment={})


def test_the_defaults_are_those_of_the_rules() -> None:
    """A configuration that says nothing gives the numbers of semantics.md, which the rules have as their defaults."""
    config = Config()
    assert policies.lifecycle_policy(config) == LifecyclePolicy()
    assert policies.reminder_policy(config) == ReminderPolicy()
    assert policies.attendance_policy(config) == AttendancePolicy()
    assert policies.completion_policy(config) == CompletionPolicy()
    assert policies.door_policy(config) == DoorPolicy()
    assert policies.seat_policy(config) == SeatPolicy()


def test_each_key_of_the_lifecycle_reaches_its_rule() -> None:
    """No two keys are mixed up on the way."""
    config = configured(
        lifecycle__doors=1,
        lifecycle__no_show=2,
        lifecycle__warning=3,
        lifecycle__overrun=4,
        lifecycle__reopen=5,
        lifecycle__arrival_grace=6,
        lifecycle__unclaimed_seats=7,
        attendance__poll=8,
    )
    assert policies.lifecycle_policy(config) == LifecyclePolicy(
        doors_before=1,
        no_show_after=2,
        warn_before_end=3,
        max_overrun=4,
        reopen_within=5,
        arrival_grace=6,
        presence_grace=8,
    )
    assert policies.seat_policy(config) == SeatPolicy(unclaimed_after=7)
    assert policies.door_policy(config).doors_before == 1


def test_each_key_of_attendance_reaches_its_rule() -> None:
    """Minutes become seconds, and the way to complete its name."""
    config = configured(
        attendance__poll=1,
        attendance__bridge=2,
        attendance__presence_credit=3,
        attendance__presence_skew=4,
        attendance__minutes=5,
        attendance__percent=6,
        attendance__completion="all",
        attendance__recording_percent=7,
        conference__devices=8,
        conference__auto_admit_confirmed=True,
    )
    assert policies.attendance_policy(config) == AttendancePolicy(
        bridge=2, engine_heartbeat=1, presence_heartbeat=3, presence_skew=4, max_devices=8
    )
    assert policies.completion_policy(config) == CompletionPolicy(
        minimum_seconds=300, percent=6, mode=CompletionMode.ALL, recording_percent=7
    )
    assert policies.door_policy(config) == DoorPolicy(auto_admit_confirmed=True, max_devices=8)


@given(before=st.integers(901, 3599), window=st.integers(1, 10_000))
@settings(max_examples=50)
def test_a_reminder_is_sent_no_later_than_its_window_after_it_was_due(before: int, window: int) -> None:
    """An offset is due `before` the start, and closes `window` seconds after that."""
    config = configured(reminders__hour__before=before, reminders__hour__window=window)
    offset = policies.reminder_policy(config).offset(ReminderMessage.HOUR)
    assert offset is not None
    assert offset.before - offset.closes == window
    assert (offset.before, offset.spoken) == (before, before)


@pytest.mark.parametrize("name", ["day", "hour", "quarter", "start"])
def test_a_reminder_can_be_switched_off(name: str) -> None:
    """What is switched off is not in the policy, and the others stay."""
    config = configured(**{f"reminders__{name}__enabled": False})
    policy = policies.reminder_policy(config)
    assert policy.offset(ReminderMessage(name)) is None
    assert len(policy.offsets) == 3


def test_the_other_numbers_of_reminders_reach_their_rules() -> None:
    """Quiet times, debounce, lateness and windows are those of the file."""
    config = configured(
        reminders__confirmation_window=1,
        reminders__debounce=2,
        reminders__debounce_skip=3,
        reminders__late_after=4,
        reminders__undeliverable_recheck=5,
        reminders__recording__window=6,
        reminders__start__window=7,
    )
    policy = policies.reminder_policy(config)
    assert (policy.quiet_after_confirmation, policy.moved_debounce, policy.moved_at_once_under) == (1, 2, 3)
    assert (policy.late_after, policy.recheck_every, policy.recording_window) == (4, 5, 6)
    assert policy.offset(ReminderMessage.START) == Offset(ReminderMessage.START, 0, -7, 0)
