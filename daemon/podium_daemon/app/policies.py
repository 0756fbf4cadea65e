"""The configuration's values as policies of the rules."""

from __future__ import annotations

from podium_daemon.config import Config
from podium_protocol.live.admission import DoorPolicy
from podium_protocol.live.attendance import AttendancePolicy
from podium_protocol.live.completion import CompletionMode, CompletionPolicy
from podium_protocol.live.lifecycle_rules import LifecyclePolicy
from podium_protocol.live.reminders import Offset, ReminderMessage, ReminderPolicy
from podium_protocol.live.seats import SeatPolicy
from podium_protocol.live.session_spec import SessionLimits


def session_limits(config: Config) -> SessionLimits:
    """The bounds on reading session events."""
    return SessionLimits(default_duration_minutes=config.lifecycle.default_minutes)


def lifecycle_policy(config: Config) -> LifecyclePolicy:
    """When sessions change state."""
    given = config.lifecycle
    return LifecyclePolicy(
        doors_before=given.doors,
        no_show_after=given.no_show,
        warn_before_end=given.warning,
        max_overrun=given.overrun,
        reopen_within=given.reopen,
        presence_grace=config.attendance.poll,
        arrival_grace=given.arrival_grace,
    )


def reminder_policy(config: Config) -> ReminderPolicy:
    """Which reminders are due when."""
    given = config.reminders
    return ReminderPolicy(
        offsets=tuple(
            Offset(ReminderMessage(offset.name), offset.before, offset.before - offset.window, offset.before)
            for offset in given.offsets()
        ),
        quiet_after_confirmation=given.confirmation_window,
        moved_debounce=given.debounce,
        moved_at_once_under=given.debounce_skip,
        late_after=given.late_after,
        recording_window=given.recording.window,
        recheck_every=given.undeliverable_recheck,
    )


def attendance_policy(config: Config) -> AttendancePolicy:
    """How intervals are counted."""
    given = config.attendance
    return AttendancePolicy(
        bridge=given.bridge,
        engine_heartbeat=given.poll,
        presence_heartbeat=given.presence_credit,
        presence_skew=given.presence_skew,
        max_devices=config.conference.devices,
    )


def completion_policy(config: Config) -> CompletionPolicy:
    """What completes a session."""
    given = config.attendance
    return CompletionPolicy(
        minimum_seconds=given.minutes * 60,
        percent=given.percent,
        mode=CompletionMode(given.completion),
        recording_percent=given.recording_percent,
    )


def door_policy(config: Config) -> DoorPolicy:
    """Who may enter a room."""
    return DoorPolicy(
        doors_before=config.lifecycle.doors,
        auto_admit_confirmed=config.conference.auto_admit_confirmed,
        max_devices=config.conference.devices,
    )


def seat_policy(config: Config) -> SeatPolicy:
    """When unclaimed seats become free."""
    return SeatPolicy(unclaimed_after=config.lifecycle.unclaimed_seats)
