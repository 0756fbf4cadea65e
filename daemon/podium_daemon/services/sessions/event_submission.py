"""Signed events that callers submit over HTTP: checked, mirrored and queued for the relays in one step.

Events of a private session are mirrored but sent to no relay: they travel sealed (`private_notifications`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from podium_daemon.relays.strangers import FULL
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.private_notifications import PrivateNotifications
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.limits import MAX_EVENT_BYTES, max_bytes_of
from podium_protocol.live import private
from podium_protocol.live.badge import BadgeAward, read_badge_award, read_badge_definition
from podium_protocol.live.lifecycle import OVER
from podium_protocol.live.rsvp import Rsvp, read_rsvp
from podium_protocol.live.series import listed
from podium_protocol.live.session import NotASession, Session, Visibility, read_session
from podium_protocol.nips import nip09
from podium_storage.database import Transaction
from podium_storage.guests import guest_in, speaks_for
from podium_storage.mirror.fold import IngestOutcome
from podium_storage.projections.rsvps import FoldedRsvp, RsvpProjection
from podium_storage.projections.sessions import rows_of_series
from podium_storage.store import Store
from podium_storage.table.models import BadgeRow, LiveSessionRow
from podium_storage.table.query import Query
from podium_storage.table.table import Table

E2EE_UNAVAILABLE: Final = Rejection(
    Slug.E2EE_UNAVAILABLE,
    "the conference engine of this service cannot encrypt from end to end",
    "Leave out --e2ee; --private alone keeps the session off the relays.",
)
MAX_AHEAD: Final = 600  # seconds; relays and other clients drop events dated further ahead (wire-formats.md)
MAX_BEHIND: Final = 3600  # a draft signed later than this would lose against a newer revision: ask for a fresh one
_COUNT_FOR_NOTHING: Final = {
    IngestOutcome.SUPERSEDED: Rejection(
        Slug.OUTDATED, "a newer event took the place of this one", "Ask for a fresh draft, sign it and send it."
    ),
    IngestOutcome.DELETED: Rejection(
        Slug.OUTDATED, "its author has deleted this event since", "Ask for a fresh draft, sign it and send it."
    ),
    IngestOutcome.EXPIRED: Rejection(
        Slug.EXPIRED, "the event's own expiration has passed (NIP-40)", "Leave the expiration out, or set a later one."
    ),
}


_OF_THE_CALLER: Final = frozenset({kinds.DM_RELAY_LIST, kinds.RELAY_LIST})
_NOT_THEIRS: Final = Rejection(
    Slug.NOT_THE_AUTHOR, "a relay list is taken from its author only", "Sign the call with the key of the list."
)


_NO_ROOM: Final = Rejection(
    Slug.NO_ROOM, "the service has no room for more of what others send", "Ask its operator to make room."
)
_TOO_MANY: Final = Rejection(Slug.TOO_MANY, "too much was sent in a short time", "Wait a few minutes, then try again.")


async def _nothing_against_it(_event: VerifiedEvent) -> str | None:
    return None


class Submitted(msgspec.Struct, frozen=True):
    """One accepted event. A private one reaches `relays` sealed, and only the service can open it there.

    A `kept` one was signed with a guest's key and is sent nowhere; `answer`: it counts as another person's.
    """

    event: VerifiedEvent
    session_address: str | None
    relays: tuple[str, ...]
    private: bool = False
    kept: bool = False
    answer: Rsvp | None = None


class _Lost(Exception):
    def __init__(self, refusal: Rejection) -> None:
        super().__init__(refusal.slug)
        self.refusal = refusal


class EventSubmission:
    """Accepts only events that concern a session here: the daemon must not be an open gateway to its relays."""

    name = "intake"

    def __init__(
        self,
        store: Store,
        event_writer: EventWriter,
        *,
        notifications: PrivateNotifications,
        rsvps: RsvpProjection,
        own_inbox: Callable[[], Sequence[str]],
        can_encrypt: bool,
        accepts: Callable[[Session], bool],
        clock: Clock,
        objection: Callable[[VerifiedEvent], Awaitable[str | None]] = _nothing_against_it,
    ) -> None:
        """`own_inbox`: the service's message relays; `can_encrypt`: whether the engine has end-to-end encryption.

        `objection`: why a stranger's event is not stored now (`Strangers.objection`).
        """
        self._store = store
        self._event_writer = event_writer
        self._notifications = notifications
        self._rsvps = rsvps
        self._own_inbox = own_inbox
        self._can_encrypt = can_encrypt
        self._accepts = accepts
        self._objection = objection
        self._clock = clock

    async def submit(self, events: Sequence[VerifiedEvent], *, by: Pubkey | None) -> list[Submitted] | Rejection:
        """Accept all of `events` or none, from the caller `by`, or from an unsigned call (None).

        An event of a session here proves its author by its signature, so any caller may submit it. Relay lists are
        accepted only from their author: all lists are public, and an attacker could fill our disk and our relays with
        those of strangers.
        """
        if any(event.kind in _OF_THE_CALLER and event.pubkey != by for event in events):
            return _NOT_THEIRS
        now = int(self._clock.now())
        submitted: list[Submitted] = []
        for event in events:
            concerned = _flaw(event, now) or await self._concerned(event, submitted)
            if isinstance(concerned, Rejection):
                return concerned
            if (why := await self._objection(event)) is not None:
                return _NO_ROOM if why == FULL else _TOO_MANY
            submitted.append(concerned)

        # a cancellation that is submitted again finds its revision deleted, by its own kind 5
        meant = {IngestOutcome.DELETED} if any(event.kind == kinds.DELETION for event in events) else set()

        async def scope(tx: Transaction) -> None:
            for one in submitted:
                outcome = await self._take(tx, one)
                if outcome not in meant and (lost := _COUNT_FOR_NOTHING.get(outcome)):
                    raise _Lost(lost)  # the caller must know that it does not count

        try:
            await self._store.database.transact(scope)
        except _Lost as lost:
            return lost.refusal
        return submitted

    async def _take(self, tx: Transaction, one: Submitted) -> IngestOutcome:
        if one.answer is not None:
            # not mirrored: there it would count a second time, as the guest's own
            await self._rsvps.fold_answers(tx, [FoldedRsvp(one.answer)], received_at=int(self._clock.now()))
            return IngestOutcome.STORED
        if one.kept:
            (outcome,) = await self._event_writer.mirror_only(tx, [one.event])
            return outcome
        if not one.private or one.session_address is None:
            (outcome,) = await self._event_writer.add(
                tx, [one.event], session_address=one.session_address, relays=one.relays
            )
            if (award := read_badge_award(one.event)) is not None:
                await self._asked(self._store.badges.within(tx), award).modify(award_id=one.event.id)
            return outcome
        sessions = self._store.sessions.within(tx).where("lessonId").equals(one.session_address)
        before = await sessions.first()
        (outcome,) = await self._event_writer.mirror_only(tx, [one.event])
        row = await sessions.first()
        if outcome is IngestOutcome.STORED and row is not None:
            if one.event.pubkey == row.instructor_pubkey and one.event.kind != kinds.RSVP:
                await self._notifications.announce(tx, row, one.event, before)
            else:
                await self._notifications.remember(tx, row.session_address, one.event)
        return outcome

    async def _submitted(self, event: VerifiedEvent, session_address: str | None) -> Submitted:
        if session_address is None or event.kind not in (kinds.DELETION, kinds.SESSION):
            return Submitted(event, session_address, self._event_writer.relays)
        return Submitted(event, session_address, await self._event_writer.relays_of(session_address))

    def _sealed(self, event: VerifiedEvent, session_address: str) -> Submitted | Rejection:
        relays = tuple(self._own_inbox())
        if not relays:
            detail = "private sessions travel by private message, and this service has no relay for those"
            return Rejection(Slug.NO_RELAY, detail, "Ask the operator to set `dm = true` on a relay.")
        try:
            private.check_size(event, service=self._notifications.service)
        except InvalidInput as error:
            return Rejection(Slug.TOO_LARGE, str(error), "Shorten the text, or invite fewer people.")
        return Submitted(event, session_address, relays, private=True)

    async def _concerned(self, event: VerifiedEvent, before: Sequence[Submitted]) -> Submitted | Rejection:
        """The event with the session that it is about; no session for a person's relay list."""
        match event.kind:
            case kinds.SESSION:
                concerned = await self._session(event)
            case kinds.CALENDAR:
                concerned = await self._calendar(event, before)
            case kinds.RSVP:
                concerned = await self._rsvp(event)
            case kinds.DELETION:
                concerned = await self._deletion(event, before)
            case kinds.BADGE_DEFINITION | kinds.BADGE_AWARD:
                concerned = await self._badge(event)
            case kinds.DM_RELAY_LIST | kinds.RELAY_LIST:
                concerned = await self._submitted(event, None)
            case _:
                detail = f"this service does not take events of kind {event.kind}"
                concerned = Rejection(Slug.BAD_KIND, detail, "Publish it to a relay yourself.")
        return concerned

    async def _session(self, event: VerifiedEvent) -> Submitted | Rejection:
        session = read_session(event)
        if isinstance(session, NotASession):
            return Rejection(Slug.NOT_A_SESSION, session.reason, "Start from a draft of /api/sessions/draft.")
        if not self._accepts(session):
            detail = "the author is not on the list of instructors, or the session does not name this service"
            return Rejection(
                Slug.NOT_AN_INSTRUCTOR, detail, "Ask the operator to add the key under [instructors] allow."
            )
        if session.e2ee_required and not self._can_encrypt:
            return E2EE_UNAVAILABLE
        return await self._visible(event, session)

    async def _visible(self, event: VerifiedEvent, session: Session) -> Submitted | Rejection:
        known = await self._row(session.session_address)
        before = None if known is None else Visibility(known.visibility)
        # other clients leave our own tags out, and then the rules stay unchanged
        says_nothing = session.cancelled or not session.has_rules
        is_private = Visibility.PRIVATE in (session.visibility, before if says_nothing else None)
        if before is not None and is_private is not (before is Visibility.PRIVATE):
            detail = f"the session was scheduled as {before}, and people answered because of that"
            return Rejection(Slug.VISIBILITY_FIXED, detail, "Cancel it and schedule another one.")
        return (
            self._sealed(event, session.session_address)
            if is_private
            else await self._submitted(event, session.session_address)
        )

    async def _calendar(self, event: VerifiedEvent, before: Sequence[Submitted]) -> Submitted | Rejection:
        """The calendar of a series here; it must not name a private session to the relays."""
        series = Address.from_event(event)
        assert series is not None, "a calendar has an address"
        rows = await rows_of_series(self._store.sessions, series)
        together = [read_session(one.event) for one in before if one.event.kind == kinds.SESSION]
        of_series = [one for one in together if isinstance(one, Session) and one.series == str(series)]
        if not rows and not of_series:
            detail = "the calendar is that of no series of this service"
            return Rejection(Slug.UNKNOWN_SESSION, detail, "Hand in its sessions first, or publish it yourself.")
        named = [str(address) for address in listed(event)]
        rows += await self._store.sessions.where("lessonId").any_of(named).to_list()
        if any(map(private.is_private, rows)) or any(one.visibility is Visibility.PRIVATE for one in of_series):
            detail = "the calendar would name a private session to the relays"
            return Rejection(Slug.BAD_EVENT, detail, "Leave it out: private sessions need no calendar.")
        return await self._submitted(event, None)

    async def _rsvp(self, event: VerifiedEvent) -> Submitted | Rejection:
        rsvp = read_rsvp(event)
        row = None if rsvp is None else await self._row(str(rsvp.session_address))
        # a caller who is not invited gets the same answer as for a session that does not exist
        guest = None if row is None else await guest_in(self._store, row.session_address, event.pubkey)
        if rsvp is None or row is None or (guest is None and not private.may_attend(row, event.pubkey)):
            return Rejection(
                Slug.UNKNOWN_SESSION, "the RSVP names no session of this service", "Look at /api/sessions."
            )
        if row.state in OVER:
            return Rejection(
                Slug.SESSION_OVER, f"the session is {row.state}", "RSVPs are open until the end of a session."
            )
        # the mirror holds one answer for each `d`; but only one for each person counts, whatever its `d`
        author = event.pubkey if guest is None else speaks_for(row, guest)
        counted = await self._store.rsvps.where("[lessonId+pubkey]").equals([row.session_address, author]).first()
        if counted is not None and (-counted.rsvp_time, counted.event_id) < (-event.created_at, event.id):
            return _COUNT_FOR_NOTHING[IngestOutcome.SUPERSEDED]
        if guest is not None:
            theirs = msgspec.structs.replace(rsvp, pubkey=author, identifier=None, assurance=guest.assurance)
            answer = None if author == event.pubkey else theirs
            return Submitted(event, row.session_address, (), kept=True, answer=answer)
        if private.is_private(row):
            return self._sealed(event, row.session_address)
        return await self._submitted(event, row.session_address)

    async def _badge(self, event: VerifiedEvent) -> Submitted | Rejection:
        award = read_badge_award(event)
        session = read_badge_definition(event) if award is None else award.session
        row = None if session is None else await self._row(str(session))
        if row is None or private.is_private(row):
            return Rejection(Slug.UNKNOWN_SESSION, "it is no badge of a public session here", "Look at /api/sessions.")
        # an award names a person in public, so only those who asked get one
        if award is not None and await self._asked(self._store.badges, award).first() is None:
            detail = "this participant asked for no badge, or has taken it back"
            return Rejection(Slug.NOTHING_TO_PUBLISH, detail, "Ask for a fresh draft, sign it and send it.")
        return await self._submitted(event, row.session_address)

    @staticmethod
    def _asked(badges: Table[BadgeRow], award: BadgeAward) -> Query[BadgeRow]:
        return badges.where("[lessonId+pubkey]").equals([str(award.session), award.participant])

    async def _deletion(self, event: VerifiedEvent, before: Sequence[Submitted]) -> Submitted | Rejection:
        deletion = nip09.read_deletion(event)
        addresses = [str(address) for address in deletion.addresses]
        for address in addresses:
            together = next((one for one in before if one.session_address == address), None)
            row = await self._row(address)
            if (together is not None and together.private) or (row is not None and private.is_private(row)):
                return self._sealed(event, address)
            if together is not None or row is not None:
                return await self._submitted(event, address)
        if any((parsed := Address.parse(text)) is not None and parsed.kind == kinds.RSVP for text in addresses):
            session_address = await self._private_answer(event, deletion)
            return (
                await self._submitted(event, None) if session_address is None else self._sealed(event, session_address)
            )
        return Rejection(
            Slug.UNKNOWN_SESSION, "the deletion names nothing of this service", "Publish it to a relay yourself."
        )

    async def _private_answer(self, event: VerifiedEvent, deletion: nip09.Deletion) -> str | None:
        """The private session to which a deleted answer belongs: the deletion itself would reveal it to relays."""
        answers = await self._store.rsvps.where("pubkey").equals(event.pubkey).to_list()
        addresses = [answer.session_address for answer in answers]
        rows = await self._store.sessions.where("lessonId").any_of(addresses).to_list()
        secret = {row.session_address for row in rows if private.is_private(row)}
        held = [await self._event_writer.held(address) for address in deletion.addresses if address.kind == kinds.RSVP]
        named = [rsvp.session_address for one in held if one is not None and (rsvp := read_rsvp(one)) is not None]
        named += [answer.session_address for answer in answers if answer.event_id in deletion.ids]
        if named:
            return next((session_address for session_address in named if session_address in secret), None)
        # it names an unknown event, which may be about a private session: keep it back rather than publish it
        return min(secret, default=None)

    async def _row(self, session_address: str) -> LiveSessionRow | None:
        return await self._store.sessions.where("lessonId").equals(session_address).first()


def _flaw(event: VerifiedEvent, now: int) -> Rejection | None:
    if not now - MAX_BEHIND <= event.created_at <= now + MAX_AHEAD:
        return Rejection(
            Slug.BAD_TIME, "the event is not dated now", "Ask for a fresh draft, sign it and send it at once."
        )
    most = min(max_bytes_of(event.kind), MAX_EVENT_BYTES)
    if len(event.to_json()) > most:
        return Rejection(Slug.TOO_LARGE, f"an event of this kind is {most} bytes at most", "Shorten its text.")
    return None
