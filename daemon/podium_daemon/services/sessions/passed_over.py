"""Events of instructors that this service did not take: logged, counted, listed with the reason, and reported to them.

A revision that cannot be read leaves the one before in force (`podium_storage.projections.session_revisions`). Its
instructor, who sees the change in their own client, is told once that it does not count here.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.writers.private_outbox import Letter, PrivateOutbox
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.live import private
from podium_protocol.live.languages import language_of
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.message_texts import Unread, write_unread
from podium_protocol.live.session import SessionLimits, objection_to
from podium_protocol.live.session_spec import DEFAULT_LIMITS
from podium_protocol.text import single_line
from podium_storage.database import Transaction
from podium_storage.languages import languages_within
from podium_storage.mirror.fold import Death, EventChange
from podium_storage.mirror.queries import EventQueries
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

_log = structlog.get_logger(__name__)
MAX_LISTED: Final = 500
_MAX_TITLE: Final = 200
_REMEMBERED: Final = 1_000  # events already reported: when the list of instructors changes, all are checked again
_RUNNING: Final = (SessionState.SCHEDULED, SessionState.ACTIVE)


class PassedOverEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that was not taken. `keeps`: an older revision of its address stays in force here."""

    event_id: EventId
    session_address: str
    author: Pubkey
    title: str
    created_at: int
    reason: str
    keeps: bool


class PassedOverEvents:
    """Counts and lists instructors' events that are not sessions here. `counts`: by reason, since the start."""

    def __init__(
        self,
        store: Store,
        *,
        service: Pubkey,
        allows: Callable[[Pubkey], bool],
        instructors: Callable[[], frozenset[Pubkey]],
        limits: SessionLimits = DEFAULT_LIMITS,
    ) -> None:
        self._store = store
        self._service = service
        self._allows = allows
        self._instructors = instructors
        self._limits = limits
        self._told: OrderedDict[EventId, None] = OrderedDict()
        self.counts: Counter[str] = Counter()

    def record_event(self, event: VerifiedEvent, reason: str) -> None:
        """Log and count one event, if one of our instructors signed it."""
        if event.id in self._told or not self._allows(event.pubkey):
            return
        self._told[event.id] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        self.counts[reason] += 1
        session_address = str(Address.from_event(event))
        _log.warning("an event was passed over", action="session.passed_over", session=session_address, reason=reason)

    async def listed(self, caller: Pubkey) -> list[PassedOverEvent] | Rejection:
        """List the events, newest first: an instructor sees those they signed, the service's own key sees all."""
        if caller != self._service and not self._allows(caller):
            return Rejection(Slug.NOT_ALLOWED, "this is shown to instructors of this service", "Sign with your key.")
        authors = self._instructors() if caller == self._service else {caller}
        wanted = Filter(kinds=(kinds.SESSION,), authors=tuple(sorted(authors)))
        events = await EventQueries(self._store.database).by_filter(wanted)
        refused = [
            (event, reason)
            for event in events
            if (reason := objection_to(event, self._service, self._limits)) is not None
        ]
        rows = await self._rows([str(Address.from_event(event)) for event, _ in refused[:MAX_LISTED]])
        return [_listed(event, reason, rows) for event, reason in refused[:MAX_LISTED]]

    async def _rows(self, addresses: Sequence[str]) -> set[str]:
        found = await self._store.sessions.where("lessonId").any_of(addresses).to_list()
        return {row.session_address for row in found}


class UnreadNotices:
    """Handles a revision that says less than the one it replaced, in the transaction that stores it.

    The instructor of an unreadable revision gets a letter, one for each revision in force. A copy of the replaced
    revision, which relays no longer hold, goes to the service itself: a session's rules must survive a lost disk.
    """

    def __init__(
        self,
        store: Store,
        private_outbox: PrivateOutbox,
        *,
        service: Pubkey,
        page_of: Callable[[LiveSessionRow], str],
        service_language: Callable[[], str] = lambda: "en",
    ) -> None:
        """`service_language`: the tag of the language for people of whom none is known."""
        self._store = store
        self._private_outbox = private_outbox
        self._service = service
        self._page_of = page_of
        self._service_language = service_language

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:
        """Find the sessions whose newest revision came with this batch and could not be read."""
        told = [effect for effect in effects if effect.event.kind == kinds.SESSION]
        addresses = sorted({str(Address.from_event(effect.event)) for effect in told})
        if not told:
            return
        found = await self._store.sessions.within(tx).where("lessonId").any_of(addresses).to_list()
        rows = [row for row in found if row.state in _RUNNING and row.ends_at > received_at]
        held = {effect.event.id for effect in told if effect.is_live}
        unread = [row for row in rows if row.unread_event_id in held]
        tags = await languages_within(tx, [row.instructor_pubkey for row in unread]) if unread else {}
        await self._private_outbox.add(tx, [self._letter(row, tags.get(row.instructor_pubkey)) for row in unread])
        replaced = {effect.event.id: effect.event for effect in told if effect.death is Death.SUPERSEDED}
        kept = [(row, event) for row in rows for event in _still_said(row, replaced) if self._fits(event)]
        await self._private_outbox.add(tx, [self._copy(row, event) for row, event in kept])

    def _fits(self, event: VerifiedEvent) -> bool:
        """Whether a copy can be sealed and is accepted by relays; a larger public session is not copied."""
        try:
            private.check_size(event, service=self._service)
        except InvalidInput:
            return False
        return True

    def _copy(self, row: LiveSessionRow, event: VerifiedEvent) -> Letter:
        rumor = private.write_copy(event, service=self._service)
        return Letter(
            session_address=row.session_address, recipient=self._service, topic=f"kept:{event.id}", rumor=rumor
        )

    def _letter(self, row: LiveSessionRow, tag: str | None) -> Letter:
        told = Unread(
            title=row.title,
            starts_at=row.scheduled_at,
            timezone=row.timezone or "UTC",
            reason=row.unread_reason or "",
            page=self._page_of(row),
        )
        instructor = Pubkey(row.instructor_pubkey)
        created_at = row.unread_created_at or row.event_created_at
        language = language_of(tag, self._service_language())
        return Letter(
            session_address=row.session_address,
            recipient=instructor,
            topic=f"unread:{row.event_id}",
            rumor=write_unread(
                told, service=self._service, recipient=instructor, created_at=created_at, language=language
            ),
            expires_at=row.ends_at,
        )


def _still_said(row: LiveSessionRow, replaced: Mapping[EventId, VerifiedEvent]) -> Iterator[VerifiedEvent]:
    """The replaced revisions of a public session that still count: in force, or for its rules or its length."""
    if private.is_private(row):
        return  # each of its revisions was copied to ourselves when it came
    for event in replaced.values():
        rests = event.id == row.event_id or event.created_at in (row.rules_at, row.length_at)
        if str(Address.from_event(event)) == row.session_address and rests:
            yield event


def _listed(event: VerifiedEvent, reason: str, rows: set[str]) -> PassedOverEvent:
    session_address = str(Address.from_event(event))
    title = tags.first(event.tags, "title") or tags.first(event.tags, "name") or ""
    return PassedOverEvent(
        event_id=event.id,
        session_address=session_address,
        author=event.pubkey,
        title=single_line(title, _MAX_TITLE),
        created_at=event.created_at,
        reason=reason,
        keeps=session_address in rows,
    )
