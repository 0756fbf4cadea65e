"""Rows of the store as the interface shows them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

from podium_daemon.web.models import AttendanceOut, Counts, OwnOut, RelayAnswer, ReminderOut, RsvpOut, SessionOut
from podium_daemon.web.problems import Problem
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.nips import nip19
from podium_storage.rows import AttendanceRow, LedgerRow, LiveSessionRow, RsvpRow
from podium_storage.store import Store

UNDELIVERABLE = "undeliverable"


class Views:
    """Reads for the routes."""

    def __init__(self, store: Store, *, public_url: str, relay_hints: Sequence[str]) -> None:
        self._store = store
        self._public_url = public_url.rstrip("/")
        self._hints = tuple(relay_hints[:2])

    async def resolve(self, reference: str) -> LiveSessionRow:
        """The session that an naddr, an address, or a unique prefix of its `d` names.

        Raises:
            Problem: 404 for none, 409 for several.
        """
        # an nsec is parsed too, since that refuses it without repeating it
        is_entity = reference.lower().startswith(("naddr1", "nsec1", "nostr:", "31923:"))
        address = nip19.parse_address(reference) if is_entity else None
        if address is not None:
            row = await self._store.sessions.where("lessonId").equals(str(address)).first()
            return row if row is not None else _unknown(reference)
        rows = await self._store.sessions.where("lessonId").starts_with(f"{kinds.SESSION}:").to_list()
        found = [row for row in rows if identifier_of(row).startswith(reference)]
        exact = [row for row in found if identifier_of(row) == reference]
        match exact or found:
            case [row]:
                return row
            case []:
                return _unknown(reference)
            case several:
                # instructors may use the same name: their addresses tell such sessions apart
                named = [row.lesson_id if exact else identifier_of(row) for row in several]
                detail = f"{reference!r} could be any of {len(named)} sessions: {', '.join(sorted(named)[:5])}"
                raise Problem(HTTPStatus.CONFLICT, "ambiguous-session", detail, "Give more of the name, or the naddr.")

    async def sessions(self, state: str | None) -> list[SessionOut]:
        """All sessions, or those in one state, in the order of their start."""
        rows = await self._store.sessions.order_by("scheduledAt").to_list()
        return [await self.session(row) for row in rows if state is None or row.state == state]

    async def session(self, row: LiveSessionRow) -> SessionOut:
        """One session with its counts."""
        answers = self._store.rsvps.where("lessonId").equals(row.lesson_id)
        status = {name.value: await answers.and_("status").equals(name.value).count() for name in RsvpStatus}
        present = self._store.intervals.where("lessonId").equals(row.lesson_id).and_("leftAt").equals(None)
        return SessionOut(
            lesson_id=row.lesson_id,
            naddr=self.naddr(row),
            title=row.title,
            summary=row.summary,
            description=row.description,
            state=row.state,
            scheduled_at=row.scheduled_at,
            duration=row.duration,
            ends_at=row.ends_at,
            timezone=row.timezone,
            instructor_pubkey=row.instructor_pubkey,
            instructor_npub=nip19.encode_npub(Pubkey(row.instructor_pubkey)),
            max_participants=row.max_participants,
            requires_rsvp=row.requires_rsvp,
            waiting_room=row.waiting_room,
            allow_recording=row.allow_recording,
            e2ee_required=row.e2ee_required,
            visibility=row.visibility,
            conference_room_id=row.conference_room_id,
            started_at=row.started_at,
            ended_at=row.ended_at,
            end_reason=row.end_reason,
            recording_state=row.recording_state,
            recording_url=row.recording_url,
            blocked_reason=row.blocked_reason,
            seats_taken=await answers.and_("seat").equals("held").count(),
            waiting_count=await answers.and_("seat").equals("waiting").count(),
            counts=Counts(**status),
            participant_count=len({interval.pubkey for interval in await present.to_list()}),
            join_url=self.page(row),
            epoch=row.epoch,
        )

    async def rsvps(self, row: LiveSessionRow, only: Pubkey | None) -> list[RsvpOut]:
        """The RSVPs in order of arrival, or just those of `only`."""
        rows = await self._store.rsvps.where("lessonId").equals(row.lesson_id).to_list()
        ledger = await self._store.ledger.where("lessonId").equals(row.lesson_id).to_list()
        unreachable = {entry.pubkey for entry in ledger if entry.state == UNDELIVERABLE and entry.epoch == row.epoch}
        chosen = sorted((rsvp for rsvp in rows if only in (None, rsvp.pubkey)), key=lambda rsvp: rsvp.first_seen)
        return [_rsvp(rsvp, rsvp.pubkey in unreachable) for rsvp in chosen]

    async def attendance(self, row: LiveSessionRow, only: Pubkey | None) -> list[AttendanceOut]:
        """Attendance in the order people came, or just that of `only`."""
        rows = await self._store.attendance.where("lessonId").equals(row.lesson_id).to_list()
        chosen = sorted((each for each in rows if only in (None, each.pubkey)), key=lambda each: each.joined_at)
        return [_attendance(each) for each in chosen]

    async def own(self, row: LiveSessionRow, pubkey: Pubkey) -> OwnOut:
        """What one person may know of themselves, read by key: a stream asks whenever it changes."""
        key = [row.lesson_id, pubkey]
        rsvp = await self._store.rsvps.where("[lessonId+pubkey]").equals(key).first()
        attendance = await self._store.attendance.where("[lessonId+pubkey]").equals(key).first()
        ledger = await self._store.ledger.where("pubkey").equals(pubkey).to_list()
        unreachable = any(
            entry.state == UNDELIVERABLE and (entry.lesson_id, entry.epoch) == (row.lesson_id, row.epoch)
            for entry in ledger
        )
        role: Literal["instructor", "co-host", "participant"] = "co-host" if pubkey in row.co_hosts else "participant"
        return OwnOut(
            pubkey=pubkey,
            npub=nip19.encode_npub(pubkey),
            role="instructor" if pubkey == row.instructor_pubkey else role,
            rsvp=_rsvp(rsvp, unreachable) if rsvp else None,
            attendance=_attendance(attendance) if attendance else None,
        )

    async def reminders(self, row: LiveSessionRow, only: Pubkey | None) -> list[ReminderOut]:
        """The reminder ledger by due time, or just that of `only`."""
        rows = await self._store.ledger.where("lessonId").equals(row.lesson_id).to_list()
        chosen = sorted((each for each in rows if only in (None, each.pubkey)), key=lambda each: (each.due_at, each.id))
        return [_reminder(each) for each in chosen]

    def naddr(self, row: LiveSessionRow) -> str:
        """The session's naddr with our relays as hints."""
        address = Address.parse(row.lesson_id)
        assert address is not None, "a row's lessonId was parsed before it was stored"
        return nip19.encode_naddr(address, self._hints)

    def page(self, row: LiveSessionRow) -> str:
        """Where people join."""
        return f"{self._public_url}/s/{self.naddr(row)}"


def identifier_of(row: LiveSessionRow) -> str:
    """The `d` of a session."""
    return row.lesson_id.split(":", 2)[2]


def leads(row: LiveSessionRow, caller: Pubkey | None) -> bool:
    """Whether the caller runs this session: its instructor or a co-host."""
    return caller is not None and (caller == row.instructor_pubkey or caller in row.co_hosts)


def _unknown(reference: str) -> LiveSessionRow:
    detail = f"no session here is called {reference!r}"
    raise Problem(
        HTTPStatus.NOT_FOUND, "unknown-session", detail, "`podium session list` shows the sessions there are."
    )


def _rsvp(row: RsvpRow, undeliverable: bool) -> RsvpOut:
    return RsvpOut(
        pubkey=row.pubkey,
        npub=nip19.encode_npub(Pubkey(row.pubkey)),
        status=row.status,
        rsvp_time=row.rsvp_time,
        seat=row.seat,
        position=row.position,
        needs_reconfirmation=row.needs_reconfirmation,
        reminder_sent=row.reminder_sent,
        undeliverable=undeliverable,
    )


def _attendance(row: AttendanceRow) -> AttendanceOut:
    return AttendanceOut(
        pubkey=row.pubkey,
        npub=nip19.encode_npub(Pubkey(row.pubkey)),
        joined_at=row.joined_at,
        left_at=row.left_at,
        total_duration=row.total_duration,
        join_count=row.join_count,
        evidence=row.evidence,
        completed_at=row.completed_at,
        completed_by=row.completed_by,
    )


def _reminder(row: LedgerRow) -> ReminderOut:
    return ReminderOut(
        pubkey=row.pubkey,
        npub=nip19.encode_npub(Pubkey(row.pubkey)),
        message=row.message,
        epoch=row.epoch,
        due_at=row.due_at,
        state=row.state,
        relays=[RelayAnswer(relay=relay, said=said) for relay, said in row.relays],
        reason=row.reason,
        attempts=row.attempts,
    )
