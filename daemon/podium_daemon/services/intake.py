"""Signed events that people hand to the daemon over HTTP: checked, mirrored and queued for the relays in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from podium_daemon.clock import Clock
from podium_daemon.refusals import Refused
from podium_daemon.services.outgoing import Outgoing
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.lifecycle import State
from podium_protocol.live.rsvp import read_rsvp
from podium_protocol.live.session import NotASession, Session, Visibility, read_session
from podium_protocol.nips import nip09
from podium_storage.database import Transaction
from podium_storage.replacement import IngestOutcome
from podium_storage.rows import LiveSessionRow
from podium_storage.store import Store

MAX_AHEAD: Final = 600  # seconds; relays and other clients drop what is dated further ahead (wire-formats.md)
MAX_BEHIND: Final = 3600  # a draft signed later than this would lose against a newer revision: ask for a fresh one
MAX_EVENT_BYTES: Final = 60_000  # many relays refuse 64 KiB (wire-formats.md, trap 7)
_OVER: Final = (State.ENDED, State.CANCELLED)
_COUNT_FOR_NOTHING: Final = {
    IngestOutcome.SUPERSEDED: Refused(
        "outdated", "a newer event took the place of this one", "Ask for a fresh draft, sign it and send it."
    ),
    IngestOutcome.DELETED: Refused(
        "outdated", "its author has deleted this event since", "Ask for a fresh draft, sign it and send it."
    ),
    IngestOutcome.EXPIRED: Refused(
        "expired", "the event's own expiration has passed (NIP-40)", "Leave the expiration out, or set a later one."
    ),
}


class Submitted(msgspec.Struct, frozen=True):
    """One event that is on its way."""

    event: VerifiedEvent
    lesson_id: str | None
    relays: tuple[str, ...]


class _Lost(Exception):  # noqa: N818  (it never leaves this module: it ends the transaction)
    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.slug)
        self.refusal = refusal


class Intake:
    """Takes what concerns a session here, and nothing else: the daemon is no open door to its relays."""

    name = "intake"

    def __init__(self, store: Store, outgoing: Outgoing, *, accepts: Callable[[Session], bool], clock: Clock) -> None:
        self._store = store
        self._outgoing = outgoing
        self._accepts = accepts
        self._clock = clock

    async def submit(self, events: Sequence[VerifiedEvent]) -> list[Submitted] | Refused:
        """Take all of `events` or none; the caller need not be the author, since each event proves its own."""
        now = int(self._clock.now())
        lessons: list[str | None] = []
        for event in events:
            concerned = await self._concerned(event, now, lessons)
            if isinstance(concerned, Refused):
                return concerned
            lessons.append(concerned)

        submitted = [
            Submitted(event, lesson, await self._targets(event, lesson))
            for event, lesson in zip(events, lessons, strict=True)
        ]

        # a cancellation that is handed in again finds its revision deleted, by its own other half
        meant = {IngestOutcome.DELETED} if any(event.kind == kinds.DELETION for event in events) else set()

        async def scope(tx: Transaction) -> None:
            for one in submitted:
                (outcome,) = await self._outgoing.add(tx, [one.event], lesson_id=one.lesson_id, relays=one.relays)
                if outcome not in meant and (lost := _COUNT_FOR_NOTHING.get(outcome)):
                    raise _Lost(lost)  # whoever hands it in believes that it counts

        try:
            await self._store.database.transact(scope)
        except _Lost as lost:
            return lost.refusal
        return submitted

    async def _targets(self, event: VerifiedEvent, lesson_id: str | None) -> tuple[str, ...]:
        if lesson_id is None or event.kind not in (kinds.DELETION, kinds.SESSION):
            return self._outgoing.relays
        return await self._outgoing.relays_of(lesson_id)

    async def _concerned(self, event: VerifiedEvent, now: int, before: Sequence[str | None]) -> str | Refused | None:
        """The session that the event is about, None for a person's relay list."""
        if flaw := _flaw(event, now):
            return flaw
        match event.kind:
            case kinds.SESSION:
                return self._session(event)
            case kinds.RSVP:
                return await self._rsvp(event)
            case kinds.DELETION:
                return await self._deletion(event, before)
            case kinds.DM_RELAY_LIST | kinds.RELAY_LIST:
                return None
        detail = f"this service does not take events of kind {event.kind}"
        return Refused("bad-kind", detail, "Publish it to a relay yourself.")

    def _session(self, event: VerifiedEvent) -> str | Refused:
        session = read_session(event)
        if isinstance(session, NotASession):
            return Refused("not-a-session", session.reason, "Start from a draft of /api/sessions/draft.")
        if not self._accepts(session):
            detail = "the author is not on the list of instructors, or the session does not name this service"
            return Refused("not-an-instructor", detail, "Ask the operator to add the key under [instructors] allow.")
        if session.visibility is Visibility.PRIVATE:  # its event travels gift-wrapped only (wire-formats.md)
            detail = "private sessions cannot be held by this service yet"
            return Refused("private-session", detail, "Leave out the visibility and end-to-end encryption.")
        return session.lesson_id

    async def _rsvp(self, event: VerifiedEvent) -> str | Refused:
        rsvp = read_rsvp(event)
        row = None if rsvp is None else await self._row(str(rsvp.lesson_id))
        if rsvp is None or row is None:
            return Refused("unknown-session", "the RSVP names no session of this service", "Look at /api/sessions.")
        if row.state in _OVER:
            return Refused("session-over", f"the session is {row.state}", "RSVPs are open until the end of a session.")
        # the mirror knows one answer for each `d`; what counts is one for each person, whatever its `d`
        counted = await self._store.rsvps.where("[lessonId+pubkey]").equals([row.lesson_id, event.pubkey]).first()
        if counted is not None and (-counted.rsvp_time, counted.event_id) < (-event.created_at, event.id):
            return _COUNT_FOR_NOTHING[IngestOutcome.SUPERSEDED]
        return row.lesson_id

    async def _deletion(self, event: VerifiedEvent, before: Sequence[str | None]) -> str | Refused | None:
        addresses = [str(address) for address in nip09.read_deletion(event).addresses]
        for address in addresses:
            if address in before or await self._row(address) is not None:
                return address
        if any((parsed := Address.parse(text)) is not None and parsed.kind == kinds.RSVP for text in addresses):
            return None
        return Refused(
            "unknown-session", "the deletion names nothing of this service", "Publish it to a relay yourself."
        )

    async def _row(self, lesson_id: str) -> LiveSessionRow | None:
        return await self._store.sessions.where("lessonId").equals(lesson_id).first()


def _flaw(event: VerifiedEvent, now: int) -> Refused | None:
    if not now - MAX_BEHIND <= event.created_at <= now + MAX_AHEAD:
        return Refused("bad-time", "the event is not dated now", "Ask for a fresh draft, sign it and send it at once.")
    if len(event.to_json()) > MAX_EVENT_BYTES:
        return Refused("too-large", f"an event is {MAX_EVENT_BYTES} bytes at most", "Shorten its text.")
    return None
