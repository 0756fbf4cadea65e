"""Which messages a person is to get: ledger rows from sessions, RSVPs and attendance. Level-triggered and idempotent.

Whatever changed while the daemon was down, planning again from the present rows gives the same ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from podium_protocol.live import reminders as rules
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.reminders import LedgerState, PlannedMessage, ReminderMessage, ReminderPolicy, Standing
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import LedgerRow, LiveSessionRow, RsvpRow

_LEFT_OUT: Final = "due shortly after another message"
_BEGUN: Final = "the session has begun"


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about one person that decide about the messages of one session."""

    pubkey: str
    rsvp: RsvpRow | None
    attended: bool

    @property
    def standing(self) -> Standing:
        """Their standing in the session."""
        status = RsvpStatus(self.rsvp.status) if self.rsvp else None
        waitlisted = self.rsvp is not None and self.rsvp.seat == "waiting"
        return Standing.from_answer(status, waitlisted=waitlisted, attended=self.attended)


class PlannerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`confirmations`: whether RSVPs are confirmed; `recordings`: whether people are told of recordings.

    `since`: Unix second since when this database is the service's.
    """

    policy: ReminderPolicy
    confirmations: bool = True
    recordings: bool = True
    since: int = 0


def plan_for(
    session: LiveSessionRow,
    recipient: Recipient,
    ledger: Sequence[LedgerRow],
    *,
    settings: PlannerSettings,
    now: int,
) -> list[LedgerRow]:
    """Return the rows to write for one person: new ones, and those that became void.

    Args:
        session: its present row.
        recipient: the present facts about the person.
        ledger: the person's rows for this session, of every epoch.
        settings: which messages are sent.
        now: Unix seconds.
    """
    void = [_void(row, now) for row in ledger if _is_void(row, session)]
    begun = [after for row in ledger if (after := _begun(row, session, settings.policy, now)) is not None]
    other = [each for row in ledger if (each := _by_other_offsets(row, session, settings.policy, now)) is not None]
    known = {(row.epoch, row.message) for row in ledger}
    fresh = [
        _row(session, recipient, planned, told, now)
        for planned, told in _owed(session, recipient, ledger, settings, now)
        if (session.epoch, planned.message.value) not in known
    ]
    return [*void, *begun, *other, *fresh]


def by_person(rows: Iterable[LedgerRow]) -> Mapping[str, list[LedgerRow]]:
    """The rows of each person."""
    found: dict[str, list[LedgerRow]] = {}
    for row in rows:
        found.setdefault(row.pubkey, []).append(row)
    return found


_NOT_THEN = "the session was moved or cancelled"
_OF_RECORDINGS = (ReminderMessage.RECORDING, ReminderMessage.RECORDING_GONE)
_TAKEN_BACK = ("unpublished", "deleted")
_PLANNED = frozenset({LedgerState.SCHEDULED, LedgerState.PREPARED})
_REMEMBERED = "remembered"  # restored by a service that lost its disk: people were told before
_ON_THE_WIRE = (LedgerState.CLAIMED, LedgerState.SENT)
_Owed = tuple[PlannedMessage, int | None]


def _owed(
    session: LiveSessionRow,
    recipient: Recipient,
    ledger: Sequence[LedgerRow],
    settings: PlannerSettings,
    now: int,
) -> Iterator[_Owed]:
    match SessionState(session.state):
        case SessionState.SCHEDULED | SessionState.ACTIVE if not session.withdrawn:
            yield from _before_and_during(session, recipient, ledger, settings)
        case SessionState.CANCELLED if session.end_reason != _REMEMBERED:
            yield from _news(rules.plan_cancelled(now=session.ended_at or now, ends_at=session.ends_at), recipient)
        case SessionState.ENDED if session.end_reason == "no_show":
            yield from _news(rules.plan_no_show(now=session.ended_at or now, policy=settings.policy), recipient)
    if settings.recordings and session.recording_state == "available":
        yield from _news(rules.plan_recording(now=now, policy=settings.policy), recipient)
    was_told = any(row.message == ReminderMessage.RECORDING and row.state == LedgerState.SENT for row in ledger)
    if was_told and session.recording_state in _TAKEN_BACK:
        yield from _news(rules.plan_recording_gone(now=now, policy=settings.policy), recipient)


def _before_and_during(
    session: LiveSessionRow,
    recipient: Recipient,
    ledger: Sequence[LedgerRow],
    settings: PlannerSettings,
) -> Iterator[_Owed]:
    if recipient.rsvp is None or (recipient.rsvp.status == RsvpStatus.CONFIRMED and recipient.rsvp.seat == "none"):
        return  # the seat is not decided yet: a confirmation would promise one
    answer = _answer(session, recipient, ledger, settings)
    if answer is not None:
        yield answer, None
    if _was_told_cancelled(ledger):
        at = session.moved_at or session.adopted_at
        yield from _news(rules.plan_restored(now=at, ends_at=session.ends_at), recipient)
    appeared = max(recipient.rsvp.first_seen_at, session.moved_at or session.adopted_at)
    promoted = next((row.due_at for row in ledger if row.message == ReminderMessage.PROMOTED), None)
    confirmed_at = _time_of_answer(answer, ledger)
    told_at = promoted if promoted is not None else confirmed_at
    for planned in rules.plan(
        session.scheduled_at,
        recipient.standing,
        now=max(appeared, promoted or 0),
        confirmed_at=told_at,
        began_at=session.began_at,
        policy=settings.policy,
    ):
        yield planned, None
    moved = _moved(session, recipient.rsvp, ledger, settings.policy)
    if moved is not None and rules.receives(ReminderMessage.MOVED, recipient.standing):
        yield moved


def _was_told_cancelled(ledger: Sequence[LedgerRow]) -> bool:
    """Whether the person may have been told last that the session is cancelled, although it takes place."""
    told = [row for row in ledger if row.message == ReminderMessage.CANCELLED and row.state in _ON_THE_WIRE]
    restored = [row.epoch for row in ledger if row.message == ReminderMessage.RESTORED]
    return bool(told) and max(row.epoch for row in told) >= max(restored, default=-1)


def _answer(
    session: LiveSessionRow, recipient: Recipient, ledger: Sequence[LedgerRow], settings: PlannerSettings
) -> PlannedMessage | None:
    """One answer to an RSVP, not one for each epoch; the seat's own change tells the place on the waiting list."""
    assert recipient.rsvp is not None, "only RSVPs are answered"
    told = {ReminderMessage.CONFIRMATION, ReminderMessage.WAITLISTED, ReminderMessage.PROMOTED}
    if not settings.confirmations or any(row.message in told for row in ledger):
        return None
    planned = rules.plan_answer(
        recipient.standing,
        now=recipient.rsvp.first_seen_at,
        ends_at=session.ends_at,
        is_old=rules.is_old_answer(recipient.rsvp.rsvp_time, settings.since),
    )
    return None if planned is None or planned.message is ReminderMessage.WAITLISTED else planned


def _time_of_answer(answer: PlannedMessage | None, ledger: Sequence[LedgerRow]) -> int | None:
    if answer is not None:
        return answer.due_at if answer.state == LedgerState.SCHEDULED else None
    told = (
        row for row in ledger if row.message == ReminderMessage.CONFIRMATION and row.state != LedgerState.SKIPPED_LATE
    )
    return next((row.due_at for row in told), None)


def _moved(session: LiveSessionRow, rsvp: RsvpRow, ledger: Sequence[LedgerRow], policy: ReminderPolicy) -> _Owed | None:
    if session.moved_at is None or session.moved_from is None or rsvp.first_seen_at > session.moved_at:
        return None
    told_start = _told_start(session, ledger)
    planned = rules.plan_moved(
        told_start, session.scheduled_at, now=session.moved_at, new_ends_at=session.ends_at, policy=policy
    )
    return None if planned is None else (planned, told_start)


def _told_start(session: LiveSessionRow, ledger: Sequence[LedgerRow]) -> int:
    """The start that this person was last told: the one before the first move of which they were not told yet."""
    assert session.moved_from is not None, "asked for moved sessions only"
    untold = [
        row
        for row in ledger
        if row.message == ReminderMessage.MOVED
        and row.epoch < session.epoch
        and row.told_start is not None
        and (LedgerState(row.state).is_unsent or row.state == LedgerState.CANCELLED)
    ]
    sent = max(
        (row.epoch for row in ledger if row.message == ReminderMessage.MOVED and row.state == LedgerState.SENT),
        default=-1,
    )
    first = min((row for row in untold if row.epoch > sent), key=lambda row: row.epoch, default=None)
    return session.moved_from if first is None or first.told_start is None else first.told_start


def _news(planned: PlannedMessage, recipient: Recipient) -> Iterator[_Owed]:
    if rules.receives(planned.message, recipient.standing):
        yield planned, None


def _begun(row: LedgerRow, session: LiveSessionRow, policy: ReminderPolicy, now: int) -> LedgerRow | None:
    """The reminder after the session began at another time than it was planned for; None if nothing changes."""
    began_at = session.began_at
    message, state = ReminderMessage(row.message), LedgerState(row.state)
    is_ahead = message.is_offset and state.is_unsent and row.epoch == session.epoch
    if session.state != SessionState.ACTIVE or began_at is None or not is_ahead:
        return None
    if message is not ReminderMessage.START:
        if row.due_at <= began_at:
            return None
        return msgspec.structs.replace(row, state=LedgerState.SKIPPED, wrap=None, reason=_BEGUN, updated_at=now)
    if rules.is_start_in_time(row.due_at, began_at, policy) or row.due_at == began_at:
        return None
    state = LedgerState.SCHEDULED if state is LedgerState.PREPARED else state
    window = began_at + row.window_ends_at - row.due_at
    return msgspec.structs.replace(row, state=state, due_at=began_at, window_ends_at=window, wrap=None, updated_at=now)


def _is_void(row: LedgerRow, session: LiveSessionRow) -> bool:
    if not LedgerState(row.state).is_unsent:
        return False
    over = session.state == SessionState.CANCELLED and row.message != ReminderMessage.CANCELLED
    gone = session.recording_state in _TAKEN_BACK and row.message == ReminderMessage.RECORDING
    back = session.recording_state == "available" and row.message == ReminderMessage.RECORDING_GONE
    return over or gone or back or row.epoch != session.epoch


def _void(row: LedgerRow, now: int) -> LedgerRow:
    why = "the recording stands otherwise by now" if row.message in _OF_RECORDINGS else _NOT_THEN
    return msgspec.structs.replace(row, state=LedgerState.CANCELLED, wrap=None, reason=why, updated_at=now)


def _by_other_offsets(row: LedgerRow, session: LiveSessionRow, policy: ReminderPolicy, now: int) -> LedgerRow | None:
    """A reminder planned before the offsets were changed, with its new times; None if nothing changes.

    If its new time is past it keeps the old one: a reload must not send reminders at once.
    """
    is_ahead = ReminderMessage(row.message).is_offset and row.state in _PLANNED and row.epoch == session.epoch
    if session.state != SessionState.SCHEDULED or not is_ahead:
        return None
    offset = next((each for each in policy.offsets if each.message == row.message), None)
    if offset is None:
        why = "this reminder is not sent any more"
        return msgspec.structs.replace(row, state=LedgerState.CANCELLED, wrap=None, reason=why, updated_at=now)
    due, ends = session.scheduled_at - offset.before, session.scheduled_at - offset.closes
    if (due, ends) == (row.due_at, row.window_ends_at) or due <= now:
        return None
    return msgspec.structs.replace(
        row, state=LedgerState.SCHEDULED, due_at=due, window_ends_at=ends, wrap=None, updated_at=now
    )


def _row(
    session: LiveSessionRow, recipient: Recipient, planned: PlannedMessage, told_start: int | None, now: int
) -> LedgerRow:
    return LedgerRow(
        session_address=session.session_address,
        epoch=session.epoch,
        message=planned.message,
        pubkey=recipient.pubkey,
        state=planned.state,
        due_at=planned.due_at,
        window_ends_at=planned.window_ends_at,
        reason=_LEFT_OUT if planned.state == LedgerState.SKIPPED else None,
        relays=(),
        updated_at=now,
        told_start=told_start,
    )
