"""Presence events (kind 10312, NIP-53) become intervals, if the engine reports no media (semantics.md).

They are folded in when the mirror takes an event in: it holds only the newest of each author, so a copy or a replay of
an older one never gets here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from podium_daemon.conference.engine import LeaveReason
from podium_daemon.services.attendance.observation import BY_EVENT, closed, credited_until, is_by_event
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.live.admission import Admit, Door, DoorPolicy, DoorRole, Knock, decide
from podium_protocol.live.attendance import AttendancePolicy, Evidence, Presence, read_presence
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.live_status import SPACE_IDENTIFIER
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.database import Transaction
from podium_storage.mirror.fold import EventChange
from podium_storage.store import BoundTables, Store
from podium_storage.table.models import IntervalRow, LiveSessionRow, RoomMemberRow, RsvpRow

_LONGEST: Final = 3 * 24 * 3600  # seconds; no session that began before is live
_BY_PERSON: Final = "[lessonId+pubkey]"
_Person: TypeAlias = tuple[str, str]


class PresenceProjection:
    """Keeps the intervals of people who say by kind 10312 that they are in a live public session."""

    def __init__(
        self,
        store: Store,
        *,
        service: Pubkey,
        counts: Callable[[], bool],
        policy: Callable[[], AttendancePolicy],
        door: Callable[[], DoorPolicy],
    ) -> None:
        """`counts`: whether presence is evidence here; it is not with an engine that reports media."""
        self._store = store
        self._service = service
        self._space = str(Address(kinds.SPACE, service, SPACE_IDENTIFIER))
        self._counts = counts
        self._policy = policy
        self._door = door
        self.passed_over: Counter[str] = Counter()
        """The number of presence events without effect since the start, by reason."""

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:
        """Fold a batch in: an interval begins, goes on, or ends because the person is in another room."""
        beats = self._beats(effects, received_at)
        if not beats:
            return
        tables = self._store.within(tx)
        since = received_at - _LONGEST
        active, by_state = SessionState.ACTIVE.value, tables.sessions.where("[state+scheduledAt]")
        rows = await by_state.between([active, since + 1], [active, 2**53]).to_list()
        live = [row for row in rows if not private.is_private(row)]
        keys = [[row.session_address, pubkey] for row in live for pubkey in beats]
        stays = await _stays(tables, keys)
        guests = await _guests(tables, keys)
        changed: list[IntervalRow] = []
        for beat in beats.values():
            changed += self._after(beat, live, stays, guests)
        await tables.intervals.upsert(changed, by="connectionId")

    def _beats(self, effects: Sequence[EventChange], received_at: int) -> dict[Pubkey, Presence]:
        """The newest event of each person, if it was made just now."""
        events = [one.event for one in effects if one.is_live and one.event.kind == kinds.ROOM_PRESENCE]
        if not self._counts():
            self.passed_over.update("engine" for _ in events)
            return {}
        read = [read_presence(event, received_at, self._policy()) for event in events]
        self.passed_over.update("too_old_or_new" for beat in read if beat is None)
        return {beat.pubkey: beat for beat in read if beat is not None}

    def _after(
        self,
        beat: Presence,
        live: Sequence[LiveSessionRow],
        stays: Mapping[_Person, IntervalRow],
        guests: Mapping[_Person, Knock],
    ) -> Iterator[IntervalRow]:
        meant = [row for row in live if beat.room in (self._space, self._meeting(row))]
        if beat.room == self._space and len(meant) != 1:
            self.passed_over["several_live" if meant else "nothing_live"] += 1
            return
        for row in live:
            stay = stays.get((row.session_address, beat.pubkey))
            if row not in meant:
                if stay is not None and stay.left_at is None:
                    yield self._ended(stay, beat.received_at, LeaveReason.LEFT)
            elif self._is_let_in(row, beat, guests.get((row.session_address, beat.pubkey))):
                yield from self._extended(stay, row, beat)
            else:
                self.passed_over["not_let_in"] += 1

    def _meeting(self, row: LiveSessionRow) -> str:
        return str(Address(kinds.MEETING, self._service, row.conference_room_id or ""))

    def _is_let_in(self, row: LiveSessionRow, beat: Presence, guest: Knock | None) -> bool:
        """Whether the door would let the person in now. Strangers are left out: they could fill the disk with rows."""
        knock = msgspec.structs.replace(guest or Knock(), role=_role(row, beat.pubkey))
        has_answered = knock.rsvp not in (None, RsvpStatus.DECLINED)
        if not (has_answered or knock.role.is_staff or beat.pubkey in row.invited):
            return False
        door = Door(
            state=SessionState(row.state),
            scheduled_start=row.scheduled_at,
            rsvp_required=row.requires_rsvp,
            waiting_room=row.waiting_room,
            free_seats=None if row.max_participants is None else 0,  # an event does not take a seat
        )
        return isinstance(decide(knock, door, beat.received_at, self._door()), Admit)

    def _extended(self, stay: IntervalRow | None, row: LiveSessionRow, beat: Presence) -> Iterator[IntervalRow]:
        now, policy = beat.received_at, self._policy()
        if stay is not None and now <= credited_until(stay, policy) + policy.bridge:
            # a person who is back within the bridge never left: else two rooms in turn would make a row for each event
            yield msgspec.structs.replace(stay, last_evidence=now, left_at=None, leave_reason=None)
            return
        if stay is not None and stay.left_at is None:
            yield self._ended(stay, now, LeaveReason.UNKNOWN)
        yield IntervalRow(
            connection_id=f"{BY_EVENT}{row.session_address}:{beat.pubkey}:{now}",
            session_address=row.session_address,
            pubkey=beat.pubkey,
            device="nostr",
            joined_at=now,
            last_evidence=now,
            source=Evidence.PRESENCE,
        )

    def _ended(self, stay: IntervalRow, at: int, reason: LeaveReason) -> IntervalRow:
        return closed(stay, min(at, credited_until(stay, self._policy())), reason)


def _role(row: LiveSessionRow, pubkey: Pubkey) -> DoorRole:
    if pubkey == row.instructor_pubkey:
        return DoorRole.INSTRUCTOR
    return DoorRole.CO_HOST if pubkey in row.co_hosts else DoorRole.PARTICIPANT


async def _stays(tables: BoundTables, keys: Sequence[list[str]]) -> dict[_Person, IntervalRow]:
    """The last interval from presence events of each person in each session."""
    rows = await tables.intervals.where(_BY_PERSON).any_of(keys).to_list()
    by_event = sorted(filter(is_by_event, rows), key=lambda row: row.joined_at)
    return {(row.session_address, row.pubkey): row for row in by_event}


async def _guests(tables: BoundTables, keys: Sequence[list[str]]) -> dict[_Person, Knock]:
    """The facts at the door about people who have answered, or were let in or removed before."""
    rsvps = await tables.rsvps.where(_BY_PERSON).any_of(keys).to_list()
    members = await tables.members.where(_BY_PERSON).any_of(keys).to_list()
    answered = {(row.session_address, row.pubkey): row for row in rsvps}
    standing = {(row.session_address, row.pubkey): row for row in members}
    return {one: _knock(answered.get(one), standing.get(one)) for one in answered.keys() | standing.keys()}


def _knock(rsvp: RsvpRow | None, member: RoomMemberRow | None) -> Knock:
    return Knock(
        rsvp=None if rsvp is None else RsvpStatus(rsvp.status),
        has_seat=rsvp is not None and rsvp.seat == "held",
        admitted=member is not None and member.state == "admitted",
        denied=member is not None and member.state == "removed",
    )
