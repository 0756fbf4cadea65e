"""Rows of the store in the form of the API."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, TypedDict, TypeVar

import msgspec

from podium_daemon.api.attendance import AttendanceOut, IntervalOut, OwnOut
from podium_daemon.api.rsvps import NamedPersonOut, RelayAnswer, ReminderOut, RsvpOut, UnreachableOut
from podium_daemon.api.service import RefusalOut, RelayOut
from podium_daemon.api.sessions import Counts, SessionOut
from podium_daemon.relays.relay_state import RelayStatus
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.services.attendance.observation import actual_seconds
from podium_daemon.services.attendance.participation import Participation
from podium_daemon.services.people.profiles import Introduction
from podium_daemon.web.login import Caller
from podium_daemon.web.problems import Problem
from podium_daemon.writers.private_outbox import INVITATION
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.live import fields, private
from podium_protocol.live.completion import percent_attended
from podium_protocol.live.guests import guests_of
from podium_protocol.live.lifecycle import SessionState, Trigger
from podium_protocol.live.names import own_name, shown_names
from podium_protocol.live.recording import RecordingStage, access_of
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.series import number_of
from podium_protocol.live.session import Guests
from podium_protocol.nips import nip19
from podium_protocol.text import single_line
from podium_storage.guests import with_door_names
from podium_storage.projections.messages import people_out_of_reach
from podium_storage.projections.sessions import (
    SessionCounts,
    VisiblePart,
    session_counts,
    sessions_called,
    visible_sessions,
)
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, GuestRow, LedgerRow, LetterRow, LiveSessionRow, RsvpRow, WatchRow
from podium_storage.table.table import Table

OfPerson = TypeVar("OfPerson", RsvpRow, AttendanceRow, WatchRow, LetterRow)

UNDELIVERABLE = "undeliverable"
_SLICE = 20  # sessions written before the event loop gets a turn: their naddr and npub are bech32 in Python


@functools.lru_cache(maxsize=2_048)  # bech32 in Python is half of what a list of sessions costs
def _naddr(session_address: str, hints: tuple[str, ...]) -> str:
    address = Address.parse(session_address)
    assert address is not None, "a row's lessonId was parsed before it was stored"
    return nip19.encode_naddr(address, hints)


_npub_of_instructor = functools.lru_cache(maxsize=1_024)(nip19.encode_npub)


class PageLinks:
    """The address of a session's page."""

    def __init__(self, public_url: str, relay_hints: Callable[[], Sequence[str]]) -> None:
        self._public_url = public_url.rstrip("/")
        self._hints = relay_hints

    def naddr(self, row: LiveSessionRow) -> str:
        """The session's naddr with our relays as hints."""
        return _naddr(row.session_address, tuple(self._hints()[:2]))

    def page(self, row: LiveSessionRow) -> str:
        """The address of the session's page, where people join."""
        return self._page_of(self.naddr(row))

    def _page_of(self, naddr: str) -> str:
        return f"{self._public_url}/s/{naddr}"


class AnswersPart(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a session's RSVPs with the messages to those people; `total`: of how many RSVPs."""

    rsvps: list[RsvpOut]
    reminders: list[ReminderOut]
    total: int


class Views(PageLinks):
    """Reads for the routes."""

    def __init__(
        self,
        store: Store,
        *,
        public_url: str,
        relay_hints: Callable[[], Sequence[str]],
        introduce: Callable[[Pubkey], Introduction],
        load_names: Callable[[Iterable[Pubkey]], Awaitable[None]],
        doors: Callable[[], int],
        participation: Callable[[LiveSessionRow, Pubkey], Awaitable[Participation | None]],
        service: Pubkey | None = None,
        guests: Callable[[], Guests] = lambda: Guests.INVITED,
    ) -> None:
        """Join what the views are made of.

        `introduce` gives a person's names, those of participants once `load_names` was awaited for them; `doors`:
        seconds before the start at which a session can be entered; `participation` tells what a person's attendance
        consists of, once the session has ended; `guests`: who may come without a signer where a
        session does not say.
        """
        self._introduce = introduce
        self._load_names = load_names
        self._guests = guests
        self._doors = doors
        self._participation = participation
        self._store = store
        self._service = service
        super().__init__(public_url, relay_hints)

    def may_see(self, row: LiveSessionRow, viewer: Caller | None) -> bool:
        """Whether `viewer` may know of a session: of a private one only its people, holders of its link, the service.

        An answer needs an invitation, and is deleted with it: so people who have answered are among them.
        """
        if viewer is None:
            return private.may_attend(row, None)
        if viewer.session_address is not None:
            if viewer.session_address == row.session_address and is_led_by(row, viewer.pubkey):
                detail = "you lead this session, and a link leads nothing"
                raise Problem(Slug.NEEDS_KEY, detail, "Sign in with your key.")
            return viewer.session_address == row.session_address
        return private.may_attend(row, viewer.pubkey) or viewer.pubkey == self._service

    async def resolve(self, reference: str, viewer: Caller | None = None) -> LiveSessionRow:
        """The session that an naddr, an address, or a unique prefix of its `d` names, as far as `viewer` may know.

        The naddr may be that of its live status or of an answer to it: the service is the handler of those as well.

        Every route calls this with its caller: for a stranger (or None) a private session does not exist.

        Raises:
            Problem: 404 for none, 409 for several.
        """
        # an nsec is parsed too, since that refuses it without repeating it
        is_entity = reference.lower().startswith(("naddr1", "nsec1", "nostr:", "31923:"))
        address = nip19.parse_address(reference) if is_entity else None
        if address is not None:
            row = await self._meant(address)
            return row if row is not None and self.may_see(row, viewer) else _unknown(reference)
        addresses = await sessions_called(self._store.database, reference)
        rows = await self._store.sessions.where("lessonId").any_of(addresses).to_list() if addresses else []
        found = [row for row in rows if self.may_see(row, viewer)]
        exact = [row for row in found if identifier_of(row) == reference]
        match exact or found:
            case [row]:
                return row
            case []:
                return _unknown(reference)
            case several:
                # instructors may use the same name: their addresses tell such sessions apart
                named = [row.session_address if exact else identifier_of(row) for row in several]
                detail = f"{reference!r} could be any of {len(named)} sessions: {', '.join(sorted(named)[:5])}"
                raise Problem(Slug.AMBIGUOUS_SESSION, detail, "Give more of the name, or the naddr.")

    def name_of(self, pubkey: Pubkey) -> str:
        """The name that an instructor gives themselves; "" if none is known."""
        return self._introduce(pubkey).name

    async def names_of(self, row: LiveSessionRow, people: Iterable[str]) -> dict[str, str]:
        """What to call each of `people` in one list of the session (`live.names`)."""
        names = await self._names_in(row, [Pubkey(pubkey) for pubkey in dict.fromkeys(people)])
        shown = shown_names(names) if len(names) <= _SLICE else await asyncio.to_thread(shown_names, names)
        return {str(pubkey): name for pubkey, name in shown.items()}

    async def own_names(self, row: LiveSessionRow, people: Iterable[str]) -> dict[str, str]:
        """The own names of those of `people` who belong to the session and have one.

        Others are left out: a page could otherwise ask for any key's name, a guest's of another session included.
        """
        keys = [[row.session_address, pubkey] for pubkey in dict.fromkeys(people)]
        tables = (self._store.rsvps, self._store.members, self._store.questions)
        known = set(private.people_of(row)) | {row.instructor_pubkey}
        for table in tables:
            known |= {one.pubkey for one in await table.where("[lessonId+pubkey]").any_of(keys).to_list()}
        wanted = [Pubkey(pubkey) for _, pubkey in keys if pubkey in known]
        names = {str(pubkey): own_name(name) for pubkey, name in (await self._names_in(row, wanted)).items()}
        return {pubkey: name for pubkey, name in names.items() if name}

    async def _names_in(self, row: LiveSessionRow, people: Sequence[Pubkey]) -> dict[Pubkey, str]:
        """People's own names, else those they gave at the door of the session."""
        await self._load_names(people)
        own = {pubkey: self._introduce(pubkey).name for pubkey in people}
        return await with_door_names(self._store, row.session_address, own)

    async def _meant(self, address: Address) -> LiveSessionRow | None:
        """The session at an address, or the one that the live status or the RSVP at that address is about."""
        session_address = str(address)
        if address.kind == kinds.MEETING and address.pubkey == self._service:
            return await self._store.sessions.where("conferenceRoomId").equals(address.identifier).first()
        if address.kind == kinds.RSVP:
            answers = self._store.rsvps.where("pubkey").equals(address.pubkey)
            answer = await answers.and_("identifier").equals(address.identifier).first()
            session_address = answer.session_address if answer is not None else session_address
        return await self._store.sessions.where("lessonId").equals(session_address).first()

    async def sessions(
        self,
        state: str | None,
        viewer: Caller | None = None,
        *,
        newest_first: bool = False,
        limit: int,
        offset: int = 0,
    ) -> list[SessionOut]:
        """The sessions that `viewer` may know of, or those in one state, in the order of their start: a part of them.

        Six queries, however many sessions.
        """
        if viewer is not None and viewer.session_address is not None:
            row = await self._store.sessions.where("lessonId").equals(viewer.session_address).first()
            rows = [row] if row is not None and state in (None, row.state) and not offset else []
        else:
            wanted = VisiblePart(
                viewer=None if viewer is None else viewer.pubkey,
                sees_all=viewer is not None and viewer.pubkey == self._service,
                state=state,
                newest_first=newest_first,
                offset=offset,
                limit=limit,
            )
            keys = await visible_sessions(self._store.database, wanted)
            rows = [row for row in await self._store.sessions.bulk_get(keys) if row is not None]
        counts = await session_counts(self._store.database, [row.session_address for row in rows])
        shown: list[SessionOut] = []
        async for part in in_slices(rows, _SLICE):
            shown += [self._session(row, counts[row.session_address]) for row in part]
        return shown

    async def session(self, row: LiveSessionRow) -> SessionOut:
        """One session with its counts."""
        return self._session(
            row, (await session_counts(self._store.database, [row.session_address]))[row.session_address]
        )

    def _session(self, row: LiveSessionRow, counted: SessionCounts) -> SessionOut:
        instructor, naddr = self._introduce(Pubkey(row.instructor_pubkey)), self.naddr(row)
        return SessionOut(
            lesson_id=row.session_address,
            naddr=naddr,
            title=row.title,
            summary=row.summary,
            description=row.description,
            state=row.state,
            scheduled_at=row.scheduled_at,
            duration=row.duration,
            ends_at=row.ends_at,
            timezone=row.timezone,
            instructor_pubkey=row.instructor_pubkey,
            instructor_npub=_npub_of_instructor(Pubkey(row.instructor_pubkey)),
            instructor_name=instructor.name,
            instructor_nip05=instructor.nip05,
            # a link there is this page, or a meeting only for people who were let in
            location=None if fields.web_url(row.location) else row.location,
            doors_open_at=row.scheduled_at - self._doors(),
            max_participants=row.max_participants,
            requires_rsvp=row.requires_rsvp,
            waiting_room=row.waiting_room,
            allow_recording=row.allow_recording,
            e2ee_required=row.e2ee_required,
            visibility=row.visibility,
            guests=guests_of(row, self._guests()).value,
            recording_access=access_of(row),
            attendance=private.attendance_of(row),
            conference_room_id=row.conference_room_id,
            started_at=row.started_at,
            ended_at=row.ended_at,
            end_reason=row.end_reason,
            recording_state=row.recording_state,
            recording_url=row.recording_url,
            is_recording=counted.recording == RecordingStage.RECORDING,
            is_locked=counted.locked,
            recording_progress=counted.progress if counted.recording == RecordingStage.PROCESSING else None,
            blocked_reason=row.blocked_reason,
            unread_reason=row.unread_reason,
            cancel_reason=row.cancel_reason,
            can_restore=was_cancelled(row),
            seats_taken=counted.seats["held"],
            waiting_count=counted.seats["waiting"],
            counts=Counts(**{name.value: counted.answers[name.value] for name in RsvpStatus}),
            participant_count=counted.present,
            join_url=self._page_of(naddr),
            epoch=row.epoch,
            series=row.series,
            series_number=None if row.series is None else number_of(row.session_address),
        )

    async def rsvps(self, row: LiveSessionRow, only: Pubkey | None) -> list[RsvpOut]:
        """The RSVPs in order of arrival, or just those of `only`."""
        unreachable = {one.pubkey for one in await self.unreachable(row, only)}
        chosen = sorted(await self._of(self._store.rsvps, row, only), key=lambda rsvp: rsvp.first_seen)
        by_key = self._store.guests.where("lessonId").equals(row.session_address)
        guests = await (by_key if only is None else self._store.guests.where("pubkey").equals(only)).to_list()
        return await self._rsvps(row, chosen, unreachable, guests)

    async def answers(self, row: LiveSessionRow, *, offset: int, limit: int) -> AnswersPart:
        """A part of the RSVPs in order of arrival with their messages, read without a look at the other people."""
        by_session = self._store.rsvps.where("lessonId").equals(row.session_address)
        chosen = await by_session.order_by("firstSeen").offset(offset).limit(limit).to_list()
        ledger, letters = await self._messages_to(row, [one.pubkey for one in chosen])
        guests = self._store.guests.where("pubkey").any_of([one.pubkey for one in chosen])
        return AnswersPart(
            rsvps=await self._rsvps(
                row, chosen, self._away(row, ledger, letters), await guests.to_list() if chosen else []
            ),
            reminders=await self._reminders(row, ledger, letters if private.is_private(row) else []),
            total=await by_session.count(),
        )

    async def _rsvps(
        self, row: LiveSessionRow, chosen: Sequence[RsvpRow], unreachable: Collection[str], guests: Sequence[GuestRow]
    ) -> list[RsvpOut]:
        names = await self.names_of(row, (rsvp.pubkey for rsvp in chosen))
        came = {one.pubkey: one.assurance for one in guests}
        return [
            _rsvp(rsvp, names[rsvp.pubkey], rsvp.pubkey in unreachable, rsvp.assurance or came.get(rsvp.pubkey))
            for rsvp in chosen
        ]

    async def _messages_to(self, row: LiveSessionRow, people: Sequence[str]) -> tuple[list[LedgerRow], list[LetterRow]]:
        """The messages to some people about a session."""
        if not people:
            return [], []
        by_person = self._store.ledger.where("pubkey").any_of(people).and_("lessonId").equals(row.session_address)
        keys = [[row.session_address, pubkey] for pubkey in people]
        return await by_person.to_list(), await self._store.letters.where("[lessonId+pubkey]").any_of(keys).to_list()

    async def attendance(self, row: LiveSessionRow, only: Pubkey | None) -> list[AttendanceOut]:
        """Attendance in the order people came, or just that of `only`."""
        chosen = sorted(await self._of(self._store.attendance, row, only), key=lambda each: each.joined_at)
        there = {each.pubkey for each in chosen}
        others = [one for one in await self._of(self._store.watches, row, only) if one.pubkey not in there]
        names = await self.names_of(row, [*(each.pubkey for each in chosen), *(each.pubkey for each in others)])
        return [*(_attendance(row, each, names[each.pubkey]) for each in chosen), *_by_watching(others, names)]

    async def first_attendance(self, row: LiveSessionRow, limit: int) -> tuple[list[AttendanceOut], int]:
        """The attendance of those who came first, and how many people there are."""
        by_session = self._store.attendance.where("lessonId").equals(row.session_address)
        chosen, count = await by_session.order_by("joinedAt").limit(limit).to_list(), await by_session.count()
        watched = [one for one in await self._of(self._store.watches, row, None) if one.completed_at is not None]
        keys = [[row.session_address, one.pubkey] for one in watched]
        came = await self._store.attendance.where("[lessonId+pubkey]").any_of(keys).to_list() if keys else []
        there = {each.pubkey for each in came}
        others = [one for one in watched if one.pubkey not in there]
        names = await self.names_of(row, [*(each.pubkey for each in chosen), *(each.pubkey for each in others)])
        seen = [*(_attendance(row, each, names[each.pubkey]) for each in chosen), *_by_watching(others, names)]
        return seen[:limit], count + len({one.pubkey for one in others})

    async def own_rows(self, row: LiveSessionRow, pubkey: Pubkey) -> OwnOut:
        """A person's own rows, read by key: a stream asks on each change."""
        key = [row.session_address, pubkey]
        rsvp = await self._store.rsvps.where("[lessonId+pubkey]").equals(key).first()
        attendance = await self._store.attendance.where("[lessonId+pubkey]").equals(key).first()
        watches = await self._store.watches.where("[lessonId+pubkey]").equals(key).to_list()
        votes = await self._store.question_votes.where("[lessonId+pubkey]").equals(key).to_list()
        unreachable = bool(await self.unreachable(row, pubkey))
        role: Literal["instructor", "co-host", "participant"] = "co-host" if pubkey in row.co_hosts else "participant"
        names = await self.names_of(row, [pubkey])
        name = names[pubkey]
        participation = await self._participation(row, pubkey)
        return OwnOut(
            **_person(pubkey, name),
            role="instructor" if pubkey == row.instructor_pubkey else role,
            rsvp=_rsvp(rsvp, name, unreachable, rsvp.assurance) if rsvp else None,
            attendance=_attendance(row, attendance, name)
            if attendance
            else next(iter(_by_watching(watches, names)), None),
            intervals=tuple(IntervalOut(start=one.start, end=one.end) for one in participation.intervals)
            if participation
            else (),
            missing_seconds=participation.missing if participation else None,
            voted=tuple(vote.event_id for vote in votes),
        )

    async def unreachable(self, row: LiveSessionRow, only: Pubkey | None) -> list[UnreachableOut]:
        """People to whom no message can be sent now, in the order in which that was noticed; or only `only`."""
        if only is None:
            ledger = await self._store.ledger.where("lessonId").equals(row.session_address).to_list()
            letters = await self._store.letters.where("lessonId").equals(row.session_address).to_list()
        else:
            ledger = await self._store.ledger.where("pubkey").equals(only).to_list()
            letters = await self._store.letters.where("pubkey").equals(only).to_list()
        away = self._away(row, ledger, letters)
        names = await self.names_of(row, away)
        ordered = sorted(away, key=lambda key: _tried_at(away[key][0]))
        return [_unreachable(pubkey, names[pubkey], away[pubkey]) for pubkey in ordered]

    async def first_unreachable(self, row: LiveSessionRow, limit: int) -> tuple[list[UnreachableOut], int]:
        """The first of the people to whom no message can be sent now, and how many there are."""
        people = await people_out_of_reach(
            self._store.database, row.session_address, epoch=row.epoch, but=self._service or ""
        )
        away = self._away(row, *await self._messages_to(row, people[:limit]))
        names = await self.names_of(row, away)
        shown = [_unreachable(pubkey, names[pubkey], away[pubkey]) for pubkey in people if pubkey in away]
        return shown, len(people)

    def _away(
        self, row: LiveSessionRow, ledger: Sequence[LedgerRow], letters: Sequence[LetterRow]
    ) -> dict[str, list[LedgerRow | LetterRow]]:
        """The people who cannot be reached, with the messages that were tried."""
        tried: dict[str, list[LedgerRow | LetterRow]] = {}
        rows: list[LedgerRow | LetterRow] = [*letters, *(entry for entry in ledger if entry.epoch == row.epoch)]
        for each in rows:
            if each.session_address == row.session_address and each.state in _TRIED and each.pubkey != self._service:
                tried.setdefault(each.pubkey, []).append(each)
        # a person who was reached since has named relays meanwhile, even if some messages were too late for that
        return {key: own for key, own in tried.items() if max(own, key=_tried_at).state == UNDELIVERABLE}

    async def reminders(self, row: LiveSessionRow, only: Pubkey | None) -> list[ReminderOut]:
        """The reminder ledger by due time, or just that of `only`."""
        if only is None:
            rows = await self._store.ledger.where("lessonId").equals(row.session_address).to_list()
        else:
            own = await self._store.ledger.where("pubkey").equals(only).to_list()
            rows = [each for each in own if each.session_address == row.session_address]
        return await self._reminders(row, rows, await self._letters(row, only))

    async def _reminders(
        self, row: LiveSessionRow, rows: Sequence[LedgerRow], letters: Sequence[LetterRow]
    ) -> list[ReminderOut]:
        chosen = sorted(rows, key=lambda each: (each.due_at, each.id))
        names = await self.names_of(row, [*(each.pubkey for each in letters), *(each.pubkey for each in chosen)])
        return [
            *(_letter(row, each, names[each.pubkey]) for each in letters),
            *(_reminder(each, names[each.pubkey]) for each in chosen),
        ]

    async def named_people(self, row: LiveSessionRow) -> list[NamedPersonOut]:
        """The co-hosts and invited people of a session, with the state of their invitation."""
        letters = await self._store.letters.where("lessonId").equals(row.session_address).to_list()
        newest = {one.pubkey: one for one in letters if one.topic == INVITATION}
        roles: dict[str, Literal["co-host", "invited"]] = dict.fromkeys(row.co_hosts, "co-host")
        roles = roles | {pubkey: "invited" for pubkey in row.invited if pubkey not in roles}
        names = await self.names_of(row, roles)
        return [_named(pubkey, role, newest.get(pubkey), names[pubkey]) for pubkey, role in roles.items()]

    async def _of(self, table: Table[OfPerson], row: LiveSessionRow, only: Pubkey | None) -> list[OfPerson]:
        """The rows of a session, or of one person in it: read by key, also where the session has ten thousand."""
        if only is None:
            return await table.where("lessonId").equals(row.session_address).to_list()
        return await table.where("[lessonId+pubkey]").equals([row.session_address, only]).to_list()

    async def _letters(self, row: LiveSessionRow, only: Pubkey | None) -> list[LetterRow]:
        """The sealed messages of a private session: an undeliverable invitation must be visible."""
        if not private.is_private(row):
            return []
        letters = await self._of(self._store.letters, row, only)
        own = [each for each in letters if each.pubkey != self._service]
        return sorted(own, key=lambda each: (each.due_at, each.id))


def identifier_of(row: LiveSessionRow) -> str:
    """The `d` of a session."""
    return row.session_address.split(":", 2)[2]


def was_cancelled(row: LiveSessionRow) -> bool:
    """Whether a session has ended, or is about to end, only because it was cancelled or deleted."""
    return row.withdrawn and (row.state != SessionState.ENDED or row.end_reason == Trigger.WITHDRAWN)


def is_led_by(row: LiveSessionRow, pubkey: str) -> bool:
    """Whether this is the key of the session's instructor or of a co-host."""
    return pubkey in (row.instructor_pubkey, *row.co_hosts)


def leads(row: LiveSessionRow, caller: Caller | None) -> bool:
    """Whether the caller runs this session: its instructor or a co-host, who signed in with their key.

    A link that went to one of them may have been passed on.
    """
    return caller is not None and caller.has_key and is_led_by(row, caller.pubkey)


def _unknown(reference: str) -> LiveSessionRow:
    detail = f"no session here is called {reference!r}"
    raise Problem(Slug.UNKNOWN_SESSION, detail, "`podium session list` shows the sessions there are.")


class _Person(TypedDict):
    pubkey: str
    npub: str
    name: str


def _person(pubkey: str, name: str) -> _Person:
    return {"pubkey": pubkey, "npub": nip19.encode_npub(Pubkey(pubkey)), "name": name}


def _rsvp(row: RsvpRow, name: str, undeliverable: bool, assurance: str | None) -> RsvpOut:
    return RsvpOut(
        **_person(row.pubkey, name),
        status=row.status,
        rsvp_time=row.rsvp_time,
        seat=row.seat,
        position=row.position,
        needs_reconfirmation=row.needs_reconfirmation,
        reminder_sent=row.reminder_sent,
        note=row.note,
        undeliverable=undeliverable,
        assurance="link" if assurance == "link" else "guest" if assurance == "guest" else "signature",
    )


def _named(pubkey: str, role: Literal["co-host", "invited"], letter: LetterRow | None, name: str) -> NamedPersonOut:
    return NamedPersonOut(
        pubkey=pubkey,
        npub=nip19.encode_npub(Pubkey(pubkey)),
        name=name,
        role=role,
        invitation=letter.state if letter else None,
        reason=letter.reason if letter else None,
    )


_TRIED: Final = (UNDELIVERABLE, "prepared", "claimed", "sent")


def _tried_at(row: LedgerRow | LetterRow) -> tuple[int, int]:
    return row.updated_at, row.due_at


def _unreachable(pubkey: str, name: str, rows: Sequence[LedgerRow | LetterRow]) -> UnreachableOut:
    missing = [row for row in rows if row.state == UNDELIVERABLE]
    return UnreachableOut(
        **_person(pubkey, name),
        messages=tuple(row.message if isinstance(row, LedgerRow) else row.topic.partition(":")[0] for row in missing),
    )


_MAX_NOTICE: Final = 200


def relay_out(relay: RelayStatus, pending: int, partial: Mapping[str, str]) -> RelayOut:
    """The state of one relay; `pending` events wait for it, `partial` are subscriptions read only in part."""
    last = relay.last_refusal
    return RelayOut(
        url=relay.url,
        state=relay.state,
        read=relay.read,
        write=relay.write,
        dm=relay.dm,
        last_error=relay.last_error,
        last_refusal=None if last is None else RefusalOut(words=last.words, at=int(last.at), count=last.count),
        last_notice=None if relay.last_notice is None else single_line(relay.last_notice, _MAX_NOTICE),
        closed_subscriptions=dict(relay.closed_subscriptions),
        partial=dict(partial),
        limits=msgspec.to_builtins(relay.limits),
        pending=pending,
    )


def _by_watching(rows: Sequence[WatchRow], names: Mapping[str, str]) -> list[AttendanceOut]:
    """People who never attended and have completed the session by its recording, each once."""
    done = sorted((row for row in rows if row.completed_at is not None), key=lambda row: row.completed_at or 0)
    first = {row.pubkey: row for row in reversed(done)}
    return [
        AttendanceOut(
            **_person(row.pubkey, names[row.pubkey]),
            joined_at=None,
            left_at=None,
            total_duration=0,
            percent=0,
            join_count=0,
            evidence="presence",
            assurance=row.assurance or "signature",
            completed_at=row.completed_at,
            completed_by="recording",
        )
        for row in sorted(first.values(), key=lambda row: row.completed_at or 0)
    ]


def _attendance(session: LiveSessionRow, row: AttendanceRow, name: str) -> AttendanceOut:
    percent = percent_attended(
        row.total_duration,
        scheduled_seconds=session.ends_at - session.scheduled_at,
        actual_seconds=actual_seconds(session, session.ended_at or 0),
    )
    return AttendanceOut(
        **_person(row.pubkey, name),
        joined_at=row.joined_at,
        left_at=row.left_at,
        total_duration=row.total_duration,
        percent=percent,
        join_count=row.join_count,
        evidence=row.evidence,
        assurance=row.assurance,
        completed_at=row.completed_at,
        completed_by=row.completed_by,
    )


def _letter(row: LiveSessionRow, letter: LetterRow, name: str) -> ReminderOut:
    return ReminderOut(
        **_person(letter.pubkey, name),
        message=letter.topic.partition(":")[0],
        epoch=row.epoch,
        due_at=letter.due_at,
        state=letter.state,
        relays=tuple(RelayAnswer(relay=relay, said=said) for relay, said in letter.relays),
        reason=letter.reason,
        attempts=int(letter.state not in ("scheduled", UNDELIVERABLE)),
    )


def _reminder(row: LedgerRow, name: str) -> ReminderOut:
    return ReminderOut(
        **_person(row.pubkey, name),
        message=row.message,
        epoch=row.epoch,
        due_at=row.due_at,
        state=row.state,
        relays=tuple(RelayAnswer(relay=relay, said=said) for relay, said in row.relays),
        reason=row.reason,
        attempts=row.attempts,
    )
