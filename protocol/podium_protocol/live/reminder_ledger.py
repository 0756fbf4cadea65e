"""What to do with planned messages that are due: send, hold, miss or skip them. A pure decision on rows."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from podium_protocol.events import Pubkey
from podium_protocol.live.reminders import (
    DEFAULT_POLICY,
    LedgerState,
    ReminderMessage,
    ReminderPolicy,
    Standing,
    receives,
)


class DueReminder(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger with the facts its sending depends on, as they are now.

    Args:
        session_address: the session address.
        epoch: the session's when the row was planned.
        message: what the message is about.
        pubkey: the recipient.
        due_at: Unix seconds.
        window_ends_at: the first second that is too late.
        state: the row's so far.
        standing: the recipient's.
        opted_out: the recipient asked for `stop`, for this session or for all.
        present: the recipient is in the room.
        live: the session is Active; a "Live now" waits for it.
    """

    session_address: str
    epoch: int
    message: ReminderMessage
    pubkey: Pubkey
    due_at: int
    window_ends_at: int
    state: LedgerState = LedgerState.SCHEDULED
    standing: Standing = Standing.SEATED
    opted_out: bool = False
    present: bool = False
    live: bool = True


class ReminderVerdict(StrEnum):
    """What to do with a row that is due."""

    SEND = "send"
    HOLD = "hold"  # look again: the session is not live yet
    MISSED = "missed"
    SKIPPED = "skipped"

    @property
    def state(self) -> LedgerState | None:
        """The state to record, or None if the message is to be sent or left as it is."""
        return _STATE_OF.get(self)


_STATE_OF = {ReminderVerdict.MISSED: LedgerState.MISSED, ReminderVerdict.SKIPPED: LedgerState.SKIPPED}


class Resolution(msgspec.Struct, frozen=True):
    """The verdict on one row. With `late`, the text is rendered again with the real remaining time."""

    row: DueReminder
    verdict: ReminderVerdict
    late: bool = False
    reason: str = ""


def resolve_due(
    rows: Iterable[DueReminder], now: int, policy: ReminderPolicy = DEFAULT_POLICY
) -> tuple[Resolution, ...]:
    """The verdicts on those of `rows` that are due and were not sent yet; the others are left out. Linear.

    After a down-time several reminders of one person may be due at once: only the nearest to the start whose window is
    still open is sent, the rest are missed.
    """
    due = [row for row in rows if row.due_at <= now and row.state in (LedgerState.SCHEDULED, LedgerState.PREPARED)]
    nearest: dict[tuple[str, int, str], int] = {}
    for row in due:
        if row.message.is_offset and now < row.window_ends_at:
            key = _recipient(row)
            nearest[key] = max(row.due_at, nearest.get(key, row.due_at))
    return tuple(_resolve(row, now, nearest, policy) for row in due)


def _resolve(
    row: DueReminder, now: int, nearest: dict[tuple[str, int, str], int], policy: ReminderPolicy
) -> Resolution:
    if now >= row.window_ends_at:
        return Resolution(row, ReminderVerdict.MISSED, reason="its time had passed")
    if row.message.is_offset and row.due_at < nearest[_recipient(row)]:
        return Resolution(row, ReminderVerdict.MISSED, reason="a nearer reminder is due")
    if reason := _needless(row):
        return Resolution(row, ReminderVerdict.SKIPPED, reason=reason)
    if row.message is ReminderMessage.START and not row.live:
        return Resolution(row, ReminderVerdict.HOLD, reason="the session is not live")
    return Resolution(row, ReminderVerdict.SEND, late=now - row.due_at > policy.late_after)


def _needless(row: DueReminder) -> str | None:
    if row.opted_out:
        return "the recipient asked for no more messages"
    if not receives(row.message, row.standing):
        return f"the recipient is {row.standing}"
    return "the recipient is in the room" if row.message is ReminderMessage.START and row.present else None


def _recipient(row: DueReminder) -> tuple[str, int, str]:
    return row.session_address, row.epoch, row.pubkey
