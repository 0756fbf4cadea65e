"""Templates for people to sign: the daemon composes them, and the key stays with its owner."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable, Sequence

import msgspec

from podium_daemon.api.base import TemplateModel
from podium_daemon.api.sessions import DraftOut, SessionDraftIn, SessionEditIn
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.problems import Problem
from podium_daemon.web.session_views import was_cancelled
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, UnsignedEvent
from podium_protocol.live import private, rsvp, session
from podium_protocol.live.fields import AuthoredEvent
from podium_protocol.nips import nip19
from podium_storage.mirror.mirror import Mirror
from podium_storage.table.models import LiveSessionRow, RsvpRow

_PUBLIC = "Public: anybody can read this session on the relays, and who answers to it; "
_PUBLISHED = "attendance records are published too."
_SEALED = "attendance records go sealed to each person and to the instructor."
_PRIVATE = (
    "Private: session, RSVPs and attendance travel encrypted, only invited people see them (and who else is invited); "
    "relays see that this service writes to them."
)
_PUBLIC_ANSWER = "Public: anybody can read this answer on the relays."
_PRIVATE_ANSWER = "Private: the daemon keeps this answer off the relays, and shows it to those who lead."


class Drafts:
    """Composes the events of an instructor or a participant."""

    def __init__(
        self,
        mirror: Mirror,
        *,
        service: Pubkey,
        public_url: str,
        relay_hints: Callable[[], Sequence[str]],
        clock: Clock,
        can_encrypt: bool = False,
        attendance: Callable[[], session.Visibility] = lambda: session.Visibility.PUBLIC,
    ) -> None:
        """`can_encrypt`: the engine has end-to-end encryption. `attendance`: the default of a new session."""
        self._attendance = attendance
        self._can_encrypt = can_encrypt
        self._mirror = mirror
        self._service = service
        self._public_url = public_url.rstrip("/")
        self._hints = relay_hints
        self._clock = clock

    def new_session(self, author: Pubkey, wish: SessionDraftIn, series: str | None = None) -> DraftOut:
        """Compose a first revision, perhaps of a date of a series.

        Raises:
            InvalidInput: the wish is not possible; says each reason.
            Problem: 409, the engine cannot do what is asked for.
        """
        spec = session.SessionSpec(
            identifier=wish.identifier or new_identifier(wish.title),
            title=wish.title,
            summary=wish.summary,
            description=wish.description,
            starts_at=wish.scheduled_at,
            duration_minutes=wish.duration,
            timezone=wish.timezone or "UTC",
            max_participants=wish.max_participants,
            rsvp_required=wish.requires_rsvp,
            waiting_room=wish.waiting_room,
            recording_allowed=wish.allow_recording,
            e2ee_required=wish.e2ee_required,
            visibility=session.Visibility(wish.visibility),
            recording_access=wish.recording_access and session.RecordingAccess(wish.recording_access),
            guests=None if wish.guests is None else session.GuestPolicy(wish.guests),
            attendance=session.Visibility(wish.attendance) if wish.attendance else self._attendance(),
            co_hosts=tuple(map(Pubkey, wish.co_hosts)),
            invited=tuple(map(Pubkey, wish.invited)),
            series=series,
        )
        if spec.e2ee_required and not self._can_encrypt:
            detail = "the conference engine of this service cannot encrypt from end to end"
            advice = "Leave out --e2ee; --private alone keeps the session off the relays."
            raise Problem(Slug.E2EE_UNAVAILABLE, detail, advice)
        return self._session(spec, author, None)

    async def edit(self, row: LiveSessionRow, wish: SessionEditIn) -> DraftOut:
        """Compose the next revision with the fields of `wish` that were given.

        Raises:
            InvalidInput: the wish is not possible.
            Problem: 409, the session is over, its event is not in the mirror, or its attendance was to be sealed.
        """
        previous = await self._newest(row)
        if wish.attendance == "public" and private.seals_attendance(row):
            detail = "people were told that their attendance of this session is not published"
            raise Problem(Slug.ATTENDANCE_SEALED, detail, "Create a new session.")
        current = _spec_in_force(row, session.read_session(previous))
        names = {"scheduled_at": "starts_at", "duration": "duration_minutes", "allow_recording": "recording_allowed"}
        given = {names.get(key, key): value for key, value in wish.model_dump(exclude_unset=True).items()}
        if "requires_rsvp" in given:
            given["rsvp_required"] = given.pop("requires_rsvp")
        if given.get("guests"):
            given["guests"] = session.GuestPolicy(given["guests"])
        if given.get("recording_access"):
            given["recording_access"] = session.RecordingAccess(given["recording_access"])
        if given.get("attendance"):
            given["attendance"] = session.Visibility(given["attendance"])
        for people in {"co_hosts", "invited"} & given.keys():
            given[people] = tuple(given[people] or ())
        empty = {"summary": "", "description": "", "timezone": "UTC"}
        given = {key: empty.get(key) if value is None else value for key, value in given.items()}
        spec = msgspec.structs.replace(current, **given)
        event = session.write_session(
            spec,
            instructor=Pubkey(row.instructor_pubkey),
            service=self._service,
            relay_hint=self._hint,
            join_url=self._page(spec.identifier, Pubkey(row.instructor_pubkey)),
            now=int(self._clock.now()),
            previous=previous,
            start_before=current.starts_at,
        )
        if private.is_private(row):
            private.check_size(event, service=self._service)
        return DraftOut(lesson_id=row.session_address, events=(template(event),))

    async def cancellation(self, row: LiveSessionRow, reason: str) -> DraftOut:
        """Compose the cancelled revision and the deletion that follows it.

        Raises:
            Problem: 409, the session is over or its event is not in the mirror.
        """
        cancelled = session.cancel(await self._newest(row), int(self._clock.now()), reason)
        return DraftOut(
            lesson_id=row.session_address, events=(template(cancelled.revision), template(cancelled.deletion))
        )

    async def restoration(self, row: LiveSessionRow) -> DraftOut:
        """Compose the revision that takes a cancellation back: the session as before.

        Raises:
            InvalidInput: it is no longer possible.
            Problem: 409, it is not cancelled, or its time is over.
        """
        now = int(self._clock.now())
        if not was_cancelled(row) or now >= row.ends_at:
            detail = f"the session is {row.state}: only a cancellation is taken back, and within the session's time"
            raise Problem(Slug.NOT_CANCELLED, detail, "Create a new session.")
        previous = await self._mirror.newest(_address(row))
        newest = session.NotASession("deleted") if previous is None else session.read_session(previous)
        spec = _spec_in_force(row, newest)
        event = session.write_session(
            spec,
            instructor=Pubkey(row.instructor_pubkey),
            service=self._service,
            relay_hint=self._hint,
            join_url=self._page(spec.identifier, Pubkey(row.instructor_pubkey)),
            now=now,
            previous=previous,
            previous_created_at=max(row.event_created_at, now),  # a deletion of this same second must not cover it
            start_before=spec.starts_at,
        )
        return DraftOut(lesson_id=row.session_address, events=(template(event),))

    async def rsvp(
        self, row: LiveSessionRow, author: Pubkey, status: rsvp.RsvpStatus, counted: RsvpRow | None = None
    ) -> DraftOut:
        """Compose an answer to the present revision; it is newer than the answer that is `counted`."""
        address = _address(row)
        own = await self._mirror.newest(Address(kinds.RSVP, author, rsvp.rsvp_identifier(address)))
        before = [own.created_at] if own is not None else []
        if counted is not None:
            before.append(counted.rsvp_time)
        event = rsvp.write_rsvp(
            address,
            status,
            pubkey=author,
            now=int(self._clock.now()),
            revision_id=EventId(row.event_id),
            relay_hint=self._hint,
            previous_created_at=max(before, default=None),
        )
        return DraftOut(
            lesson_id=row.session_address,
            events=(template(event),),
            notice=_PRIVATE_ANSWER if private.is_private(row) else _PUBLIC_ANSWER,
        )

    def _session(self, spec: session.SessionSpec, author: Pubkey, before: int | None) -> DraftOut:
        event = session.write_session(
            spec,
            instructor=author,
            service=self._service,
            relay_hint=self._hint,
            join_url=self._page(spec.identifier, author),
            now=int(self._clock.now()),
            previous_created_at=before,
        )
        is_private = spec.effective_visibility is session.Visibility.PRIVATE
        if is_private:
            private.check_size(event, service=self._service)
        session_address = str(Address(kinds.SESSION, author, spec.identifier))
        public = _PUBLIC + (_SEALED if spec.attendance is session.Visibility.PRIVATE else _PUBLISHED)
        return DraftOut(lesson_id=session_address, events=(template(event),), notice=_PRIVATE if is_private else public)

    async def _newest(self, row: LiveSessionRow) -> AuthoredEvent:
        event = await self._mirror.newest(_address(row))
        if event is None or row.state in ("ended", "cancelled"):
            detail = f"the session is {row.state}"
            raise Problem(Slug.SESSION_OVER, detail, "Create a new session.")
        return event

    @property
    def _hint(self) -> str:
        return next(iter(self._hints()), "")

    def _page(self, identifier: str, author: Pubkey) -> str:
        address = Address(kinds.SESSION, author, identifier)
        return f"{self._public_url}/s/{nip19.encode_naddr(address, tuple(self._hints()[:2]))}"


def _spec_in_force(row: LiveSessionRow, newest: session.Session | session.NotASession) -> session.SessionSpec:
    """The spec from which an edit starts: the newest revision; what it leaves open or unreadable is as in force."""
    if isinstance(newest, session.Session) and newest.has_rules and newest.has_end:
        return msgspec.structs.replace(session.spec_of(newest), series=row.series)
    in_force = session.SessionSpec(
        identifier=_address(row).identifier,
        title=row.title,
        summary=row.summary,
        description=row.description,
        starts_at=row.scheduled_at,
        duration_minutes=row.duration,
        timezone=row.timezone or "UTC",
        max_participants=row.max_participants,
        rsvp_required=row.requires_rsvp,
        waiting_room=row.waiting_room,
        recording_allowed=row.allow_recording,
        e2ee_required=row.e2ee_required,
        visibility=session.Visibility(row.visibility),
        attendance=session.Visibility(row.attendance),
        guests=None if row.guests is None else session.GuestPolicy(row.guests),
        recording_access=None if row.recording_access is None else session.RecordingAccess(row.recording_access),
        co_hosts=tuple(map(Pubkey, row.co_hosts)),
        invited=tuple(map(Pubkey, row.invited)),
        series=row.series,
    )
    if isinstance(newest, session.NotASession):
        return in_force
    return msgspec.structs.replace(in_force, starts_at=newest.starts_at, hashtags=newest.hashtags)


def new_identifier(title: str) -> str:
    """A `d` whose beginning people can type: letters of the title, and a random end that makes it unique."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall("[a-z0-9]+", plain))[:40].strip("-")
    return f"{words}-{secrets.token_hex(4)}" if words else secrets.token_hex(8)


def template(event: UnsignedEvent) -> TemplateModel:
    """An unsigned event in the form of the API."""
    return TemplateModel(
        pubkey=event.pubkey,
        created_at=event.created_at,
        kind=event.kind,
        tags=[list(tag) for tag in event.tags],
        content=event.content,
    )


def _address(row: LiveSessionRow) -> Address:
    address = Address.parse(row.session_address)
    assert address is not None, "a row's lessonId was parsed before it was stored"
    return address
