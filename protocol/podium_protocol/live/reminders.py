"""Messages to people: which are planned, when they are due, and until when they make sense (semantics.md, "Reminders").

What is done with a planned message when it is due is decided in `reminder_ledger`; its words are in `message_texts`.

Decisions where semantics.md leaves a gap:
- Waitlisted people get no reminders, but they are told of the recording, like all whose RSVP is not declined.
- A person who asked for `stop` gets no more messages, not even changes of time and cancellations.
- Event-driven messages have windows too: what tells of a seat or an RSVP until the session's end, "moved" until the new
  end, "cancelled" until the old one, "did not take place" for a day.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol.live.rsvp import RsvpStatus


class ReminderMessage(StrEnum):
    """What a message is about; the `offset` of its row in the ledger."""

    CONFIRMATION = "confirmation"
    WAITLISTED = "waitlisted"
    PROMOTED = "promoted"
    DAY = "day"
    HOUR = "hour"
    QUARTER = "quarter"
    START = "start"
    MOVED = "moved"
    CANCELLED = "cancelled"
    RESTORED = "restored"
    RECORDING = "recording"
    RECORDING_GONE = "recording_gone"
    NO_SHOW = "no_show"

    @property
    def is_offset(self) -> bool:
        """Sent at an offset from the start, as opposed to when something happens."""
        return self in _OFFSETS


_OFFSETS: Final = frozenset({ReminderMessage.DAY, ReminderMessage.HOUR, ReminderMessage.QUARTER, ReminderMessage.START})


class LedgerState(StrEnum):
    """The state of one row (session, epoch, message, pubkey)."""

    SCHEDULED = "scheduled"
    PREPARED = "prepared"  # the gift wrap is signed and stored
    CLAIMED = "claimed"  # being sent
    SENT = "sent"
    FAILED = "failed"
    MISSED = "missed"  # the window passed while we were down
    SKIPPED = "skipped"
    SKIPPED_LATE = "skipped_late"  # already past when the session or the RSVP appeared
    UNDELIVERABLE = "undeliverable"  # no kind 10050
    CANCELLED = "cancelled"

    @property
    def is_unsent(self) -> bool:
        """Whether nothing of the row was sent: a reschedule or a cancellation drops it."""
        return self in _UNSENT


_UNSENT: Final = frozenset({LedgerState.SCHEDULED, LedgerState.PREPARED, LedgerState.FAILED, LedgerState.UNDELIVERABLE})


class Standing(StrEnum):
    """A person's relation to a session that decides which messages they get."""

    SEATED = "seated"  # confirmed, with a seat
    TENTATIVE = "tentative"
    WAITLISTED = "waitlisted"
    DECLINED = "declined"
    ATTENDED = "attended"  # was in the room and has no RSVP, or a declined one
    NONE = "none"  # merely tagged, or nothing at all

    @classmethod
    def from_answer(cls, status: RsvpStatus | None, *, waitlisted: bool = False, attended: bool = False) -> Standing:
        """The standing that follows from RSVP, seat and attendance."""
        if status is RsvpStatus.CONFIRMED:
            return cls.WAITLISTED if waitlisted else cls.SEATED
        if status is RsvpStatus.TENTATIVE:
            return cls.TENTATIVE
        if attended:
            return cls.ATTENDED
        return cls.NONE if status is None else cls.DECLINED


_COMING: Final = frozenset({Standing.SEATED, Standing.TENTATIVE})
_AUDIENCE: Final = {
    ReminderMessage.CONFIRMATION: _COMING,
    ReminderMessage.WAITLISTED: frozenset({Standing.WAITLISTED}),
    ReminderMessage.PROMOTED: frozenset({Standing.SEATED}),
    ReminderMessage.DAY: _COMING,
    ReminderMessage.HOUR: _COMING,
    ReminderMessage.QUARTER: _COMING,
    ReminderMessage.START: _COMING,
    ReminderMessage.MOVED: _COMING | {Standing.WAITLISTED},
    ReminderMessage.CANCELLED: _COMING | {Standing.WAITLISTED},
    ReminderMessage.RESTORED: _COMING | {Standing.WAITLISTED},
    ReminderMessage.RECORDING: _COMING | {Standing.WAITLISTED, Standing.ATTENDED},
    ReminderMessage.RECORDING_GONE: frozenset(Standing),  # all who were told that it is there
    ReminderMessage.NO_SHOW: _COMING | {Standing.ATTENDED},
}


class Offset(msgspec.Struct, frozen=True):
    """One reminder. Seconds before the start; a negative number is after it.

    Args:
        message: what the message is about.
        before: when it is due.
        closes: when its window closes, the first second that is too late.
        spoken: the offset that its words name. It differs from `before` only where time is compressed for the demo.
    """

    message: ReminderMessage
    before: int
    closes: int
    spoken: int


class ReminderPolicy(msgspec.Struct, frozen=True):
    """Seconds."""

    offsets: tuple[Offset, ...] = (
        Offset(ReminderMessage.DAY, 86_400, 7200, 86_400),
        Offset(ReminderMessage.HOUR, 3600, 1200, 3600),
        Offset(ReminderMessage.QUARTER, 900, 0, 900),
        Offset(ReminderMessage.START, 0, -900, 0),
    )
    quiet_after_confirmation: int = 600
    moved_debounce: int = 600
    moved_at_once_under: int = 1800
    late_after: int = 60
    recording_window: int = 14 * 86_400
    no_show_window: int = 86_400
    recheck_every: int = 3600

    def offset(self, message: ReminderMessage) -> Offset | None:
        """The configured offset of `message`, or None: not a reminder, or switched off."""
        return next((each for each in self.offsets if each.message is message), None)


DEFAULT_POLICY: Final = ReminderPolicy()


class PlannedMessage(msgspec.Struct, frozen=True):
    """A row for the ledger. `window_ends_at` is the first second that is too late; both in Unix seconds."""

    message: ReminderMessage
    due_at: int
    window_ends_at: int
    state: LedgerState = LedgerState.SCHEDULED


def receives(message: ReminderMessage, standing: Standing) -> bool:
    """Whether a person of this standing is sent `message`."""
    return standing in _AUDIENCE[message]


def plan(
    starts_at: int,
    standing: Standing,
    *,
    now: int,
    confirmed_at: int | None = None,
    began_at: int | None = None,
    policy: ReminderPolicy = DEFAULT_POLICY,
) -> tuple[PlannedMessage, ...]:
    """The reminders of one person for one epoch of a session, planned when the session, the epoch or the RSVP appears.

    An offset that is past by then is `skipped_late` and never sent; one due within 10 min of the confirmation (or of
    the message that gave a seat) is `skipped`. Waitlisted people have none until they are promoted. `began_at`: when
    the session really began, by hand or by clock; "Live now" is due then, and what would be due later is `skipped`.
    """
    rows = []
    for offset in policy.offsets:
        if receives(offset.message, standing):
            start = began_at if began_at is not None and offset.message is ReminderMessage.START else starts_at
            due = start - offset.before
            state = _planned_state(due, now, confirmed_at, policy)
            if began_at is not None and due > began_at:
                state = LedgerState.SKIPPED
            rows.append(PlannedMessage(offset.message, due, start - offset.closes, state))
    return tuple(rows)


def is_start_in_time(due_at: int, began_at: int, policy: ReminderPolicy = DEFAULT_POLICY) -> bool:
    """Whether a "Live now" that was prepared for `due_at` is true of a session that began at `began_at`."""
    return due_at <= began_at <= due_at + policy.late_after


def plan_answer(standing: Standing, *, now: int, ends_at: int, is_old: bool = False) -> PlannedMessage | None:
    """The one confirmation of an RSVP, or the place on the waiting list; None for those who get neither.

    An answer that `is_old` is planned as `skipped_late`: see `is_old_answer`.
    """
    state = LedgerState.SKIPPED_LATE if is_old else LedgerState.SCHEDULED
    for message in (ReminderMessage.CONFIRMATION, ReminderMessage.WAITLISTED):
        if receives(message, standing):
            return PlannedMessage(message, now, max(ends_at, now + 1), state)
    return None


def is_old_answer(answered_at: int, known_since: int) -> bool:
    """Whether the answer may have been confirmed out of another database: it is older than what is known here.

    A daemon that lost its disk has confirmed such an answer already; one that was away for a while has not. Both times
    are Unix seconds.
    """
    return answered_at < known_since


def plan_promotion(*, now: int, ends_at: int) -> PlannedMessage:
    """Plan the message that a waitlisted person got a seat. Times are Unix seconds."""
    return PlannedMessage(ReminderMessage.PROMOTED, now, max(ends_at, now + 1))


def plan_moved(
    told_start: int, new_start: int, *, now: int, new_ends_at: int, policy: ReminderPolicy = DEFAULT_POLICY
) -> PlannedMessage | None:
    """Plan one "moved from X to Y" after a reschedule, or None if people already know the time.

    X is the start people were last told of. A second reschedule within the debounce drops the planned message, which
    is unsent, and plans it again from the same X; moved back, there is nothing to tell.
    """
    if told_start == new_start:
        return None
    at_once = new_start - now < policy.moved_at_once_under
    return PlannedMessage(
        ReminderMessage.MOVED, now if at_once else now + policy.moved_debounce, max(new_ends_at, now + 1)
    )


def plan_cancelled(*, now: int, ends_at: int) -> PlannedMessage:
    """Plan the message that the session was cancelled; it makes sense until the old end, `ends_at`."""
    return PlannedMessage(ReminderMessage.CANCELLED, now, max(ends_at, now + 1))


def plan_restored(*, now: int, ends_at: int) -> PlannedMessage:
    """Plan the message that the cancellation was taken back."""
    return PlannedMessage(ReminderMessage.RESTORED, now, max(ends_at, now + 1))


def plan_no_show(*, now: int, policy: ReminderPolicy = DEFAULT_POLICY) -> PlannedMessage:
    """Plan the message that the session did not take place because the instructor did not come."""
    return PlannedMessage(ReminderMessage.NO_SHOW, now, now + policy.no_show_window)


def plan_recording(*, now: int, policy: ReminderPolicy = DEFAULT_POLICY) -> PlannedMessage:
    """Plan the message that the recording was published at `now`."""
    return PlannedMessage(ReminderMessage.RECORDING, now, now + policy.recording_window)


def plan_recording_gone(*, now: int, policy: ReminderPolicy = DEFAULT_POLICY) -> PlannedMessage:
    """Plan the message that the recording was withdrawn or deleted at `now`, for people who were told of it."""
    return PlannedMessage(ReminderMessage.RECORDING_GONE, now, now + policy.recording_window)


def expires_at(planned: PlannedMessage, ends_at: int) -> int:
    """The NIP-40 expiration of its gift wrap: the session's end, or the end of its window where that is later."""
    return max(ends_at, planned.window_ends_at)


def _planned_state(due: int, now: int, confirmed_at: int | None, policy: ReminderPolicy) -> LedgerState:
    if due < now:
        return LedgerState.SKIPPED_LATE
    if confirmed_at is not None and 0 <= due - confirmed_at <= policy.quiet_after_confirmation:
        return LedgerState.SKIPPED
    return LedgerState.SCHEDULED
