"""Gift wraps to the service about private sessions: answers from other clients, and copies sealed for ourselves.

Wraps are dated at random, so the past comes in any order: it has no effect before all of it is there, else a session
that has ended would be started again. An event about a session that is not known yet waits for the session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final, TypeAlias

import msgspec
import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.writers.private_notifications import PrivateNotifications
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.limits import MAX_FUTURE
from podium_protocol.live import private
from podium_protocol.live.fields import AuthoredEvent
from podium_protocol.live.live_status import read_meeting
from podium_protocol.live.retention import is_past
from podium_protocol.live.rsvp import Rsvp, RsvpStatus, read_rsvp, rsvp_identifier
from podium_protocol.live.said import Said, read_said
from podium_protocol.live.session import Session, Visibility, read_session
from podium_protocol.nips import nip09, nip59
from podium_storage.database import Transaction
from podium_storage.mirror.fold import IngestOutcome
from podium_storage.mirror.mirror import Mirror, OpenedWraps
from podium_storage.projections.attendance import AttendanceProjection
from podium_storage.projections.rsvps import FoldedRsvp, RsvpProjection
from podium_storage.projections.sessions import SessionProjection
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, OptOutRow, RsvpRow

_log = structlog.get_logger(__name__)
MAX_PAST: Final = (
    20_000  # of the past until all of it is there; strangers' oldest are dropped, and read after a restart
)
MAX_WAITING: Final = 500  # for a session that is not known: strangers can send as many as they like
_MAX_WORDS: Final = 2_000  # characters of an answer: it may have to wait in memory
_BY_SERVICE: Final = (kinds.MEETING, kinds.ATTENDANCE, kinds.APPLICATION_DATA)
_BY_PEOPLE: Final = (kinds.RSVP, kinds.DELETION)

Opened: TypeAlias = tuple[EventId, nip59.Unwrapped]
"""The id of a gift wrap, and its content."""


class _Waiting(msgspec.Struct, frozen=True):
    """One sealed event: a `VerifiedEvent` is signed by its author, any other is vouched for by the seal only."""

    wrap_id: EventId
    sender: Pubkey
    event: AuthoredEvent


class PrivateInbox:
    """Reads rumors that are not private messages. `counts` holds their outcomes by name."""

    def __init__(
        self,
        notifications: PrivateNotifications,
        *,
        store: Store,
        mirror: Mirror,
        sessions: SessionProjection,
        rsvps: RsvpProjection,
        attendance: AttendanceProjection,
        opened: OpenedWraps,
        accepts: Callable[[Session], bool],
        clock: Clock,
        kept_from: Callable[[], int] = lambda: 0,
    ) -> None:
        """`kept_from` (Unix seconds): sessions that ended before are deleted, and are not restored."""
        self._notifications = notifications
        self._store = store
        self._mirror = mirror
        self._sessions = sessions
        self._rsvps = rsvps
        self._attendance = attendance
        self._opened = opened
        self._accepts = accepts
        self._clock = clock
        self._kept_from = kept_from
        self._waiting: dict[EventId, _Waiting] = {}
        self._past_is_read = False
        self.remembered: dict[Pubkey, int] = {}
        """By person: the time (Unix seconds) of the newest message that our own copies remember."""
        self.counts: Counter[str] = Counter()

    async def handle_messages(self, opened: Sequence[Opened]) -> None:
        """Handle rumors that were sealed for us; each has its effect once, also across restarts.

        Raises:
            StoreError: nothing was stored; the same rumors can be given again.
        """
        now = int(self._clock.now())
        found = [(one, self._item(*one, now)) for one in opened]
        items = [item for _, item in found if item is not None]
        idle = [wrap_id for (wrap_id, one), item in found if item is None and self._is_idle(one)]
        await self._opened.add_unopened(idle, now=now)
        if not self._past_is_read:
            self._wait(items, MAX_PAST)
        elif any(item.event.kind == kinds.SESSION for item in items):
            await self._settle([*self._waiting.values(), *items], now)
        elif items:
            await self._settle(items, now)

    async def past_is_read(self) -> None:
        """Note that the past of every message relay was read: from now on events take effect at once."""
        self._past_is_read = True
        if self._waiting:
            await self._settle(list(self._waiting.values()), int(self._clock.now()))

    def _wait(self, items: Sequence[_Waiting], at_most: int) -> None:
        self._waiting |= {item.wrap_id: item for item in items}
        if (excess := len(self._waiting) - at_most) <= 0:
            return
        # never our own copies: an attacker could make us forget who said stop
        strange = [key for key, item in self._waiting.items() if item.sender != self._notifications.service]
        for key in strange[:excess]:
            del self._waiting[key]
            self.counts["dropped"] += 1

    def _item(self, wrap_id: EventId, opened: nip59.Unwrapped, now: int) -> _Waiting | None:
        rumor, sender = opened.rumor, opened.sender
        is_own = sender == self._notifications.service
        event = private.read_copy(rumor) or rumor
        is_known_kind = event is not rumor or rumor.kind in _BY_PEOPLE or (is_own and rumor.kind in _BY_SERVICE)
        flaw = None
        if not is_known_kind:
            flaw = "other_kind"
        elif event.created_at > now + MAX_FUTURE:
            flaw = "from_the_future"
        elif is_past(event, self._kept_from()):
            flaw = "past_retention"
        elif event.kind in _BY_PEOPLE and not is_own and len(event.content) > _MAX_WORDS:
            flaw = "too_long"
        if flaw is not None:
            self.counts[flaw] += 1
            return None
        return _Waiting(wrap_id, sender, event)

    def _is_idle(self, dropped: nip59.Unwrapped) -> bool:
        """Whether what was dropped can never have an effect; our own copies may be those of a newer Podium."""
        is_known_kind = dropped.rumor.kind in (*_BY_PEOPLE, kinds.GENERIC_REPOST)
        return not is_known_kind and dropped.sender != self._notifications.service

    async def _settle(self, items: Sequence[_Waiting], now: int) -> None:
        """Apply items, sessions first, each kind in the order of its own times; the rest waits."""
        in_order = sorted(items, key=lambda item: item.event.created_at)
        done = frozenset(await self._store.database.transact(lambda tx: self._apply(tx, in_order, now)))
        self._waiting = {key: item for key, item in self._waiting.items() if key not in done}
        self._wait([item for item in items if item.wrap_id not in done], MAX_WAITING)
        if done:
            _log.info("private events read", action="private.read", count=len(done), waiting=len(self._waiting))

    async def _apply(self, tx: Transaction, items: Sequence[_Waiting], now: int) -> list[EventId]:
        of_kind = {kind: [item for item in items if item.event.kind == kind] for kind in _ORDER}
        done = [item.wrap_id for item in of_kind[kinds.SESSION]]
        for item in of_kind[kinds.SESSION]:
            await self._take_session(tx, item, now)
        done += await self._take_statuses(tx, of_kind[kinds.MEETING])
        await self._attendance.remember(tx, [item.event for item in of_kind[kinds.ATTENDANCE]])
        done += [item.wrap_id for item in of_kind[kinds.ATTENDANCE]]
        done += await self._take_said(tx, of_kind[kinds.APPLICATION_DATA], now)
        done += await self._take_answers(tx, of_kind[kinds.RSVP], now)
        for item in of_kind[kinds.DELETION]:
            if await self._take_deletion(tx, item, now):
                done.append(item.wrap_id)
        await self._opened.add_within(tx, done, now=now)
        return done

    # -- sessions

    async def _take_session(self, tx: Transaction, item: _Waiting, now: int) -> None:
        """Take a private session from its instructor's client, or our own copy of one that came over HTTP."""
        session = read_session(item.event)
        if not isinstance(item.event, VerifiedEvent) or not isinstance(session, Session):
            self.counts["no_session"] += 1
            return
        before = await self._row(tx, session.session_address)
        is_public = session.visibility is Visibility.PUBLIC and not (before and private.is_private(before))
        if is_public and item.sender == self._notifications.service and self._accepts(session):
            # a revision that relays no longer hold, but whose rules the session still has
            await self._mirror.ingest_within(tx, [item.event], received_at=now)
            self.counts["session"] += 1
            return
        says_nothing = session.cancelled or not session.has_rules  # of visibility, which stays as it is then
        is_ours = says_nothing and before is not None and private.is_private(before)
        if not (is_ours or session.visibility is Visibility.PRIVATE) or not self._accepts(session):
            self.counts["not_ours"] += 1
            return
        (outcome,) = await self._mirror.ingest_within(tx, [item.event], received_at=now)
        row = await self._row(tx, session.session_address)
        if outcome is not IngestOutcome.STORED or row is None:
            return
        self.counts["session"] += 1
        if item.sender == self._notifications.service:
            await self._notifications.forget_uninvited(tx, row)  # the people it names were told when it was submitted
        else:
            await self._notifications.announce(tx, row, item.event, before)

    async def _take_statuses(self, tx: Transaction, items: Sequence[_Waiting]) -> list[EventId]:
        found = [(item.wrap_id, meeting) for item in items if (meeting := read_meeting(item.event)) is not None]
        known = [(key, one) for key, one in found if await self._row(tx, one.session_address) is not None]
        await self._sessions.remember(tx, [meeting for _, meeting in known])
        return [key for key, _ in known]

    # -- answers

    async def _take_said(self, tx: Transaction, items: Sequence[_Waiting], now: int) -> list[EventId]:
        """Restore what people said by message before the disk was lost, whatever else is known yet."""
        words = [said for item in items if (said := read_said(item.event)) is not None]
        addresses = sorted({said.session_address for said in words})
        rows = await self._store.sessions.within(tx).where("lessonId").any_of(addresses).to_list()
        sessions = {row.session_address: row for row in rows}
        words = [said for said in words if _counts(said, sessions.get(said.session_address))]
        answers = [FoldedRsvp(rsvp) for said in words if (rsvp := _rsvp_of(said)) is not None]
        opt_outs = [
            OptOutRow(pubkey=said.pubkey, session_address=said.session_address, created_at=said.at)
            for said in words
            if said.reply.status is None
        ]
        await self._rsvps.fold_answers(tx, answers, received_at=now)
        await self._store.opt_outs.within(tx).upsert(opt_outs, by="[pubkey+lessonId]")
        for said in words:
            self.remembered[said.pubkey] = max(said.at, self.remembered.get(said.pubkey, 0))
        self.counts["said"] += len(words)
        return [item.wrap_id for item in items]

    async def _take_answers(self, tx: Transaction, items: Sequence[_Waiting], now: int) -> list[EventId]:
        good = [(item, rsvp) for item in items if (rsvp := read_rsvp(item.event)) is not None]
        addresses = sorted({rsvp.session_address for _, rsvp in good})
        rows = await self._store.sessions.within(tx).where("lessonId").any_of(addresses).to_list()
        sessions = {row.session_address: row for row in rows}
        # else the session, or the revision that invites them, may still come
        known = [(item, rsvp) for item, rsvp in good if _is_invited(sessions.get(rsvp.session_address), rsvp)]
        for is_signed, part in groupby(known, key=lambda one: isinstance(one[0].event, VerifiedEvent)):
            if is_signed:
                events = [item.event for item, _ in part if isinstance(item.event, VerifiedEvent)]
                await self._mirror.ingest_within(tx, events, received_at=now)
            else:
                await self._rsvps.fold_answers(tx, [FoldedRsvp(rsvp) for _, rsvp in part], received_at=now)
        self.counts["rsvp"] += len(known)
        self.counts["no_rsvp"] += len(items) - len(good)
        read = {item.wrap_id for item, _ in good}
        return [*(item.wrap_id for item, _ in known), *(item.wrap_id for item in items if item.wrap_id not in read)]

    async def _take_deletion(self, tx: Transaction, item: _Waiting, now: int) -> bool:
        """Take a deletion of a session by its instructor, or of an answer by its author; False if it is neither yet."""
        deletion = nip09.read_deletion(item.event)
        row = await self._deleted_session(tx, item.event, deletion.addresses)
        dead = await self._deleted_answers(tx, item.event, deletion)
        if row is None and not dead:
            return False
        if isinstance(item.event, VerifiedEvent):
            (outcome,) = await self._mirror.ingest_within(tx, [item.event], received_at=now)
            after = None if row is None else await self._row(tx, row.session_address)
            if after is not None and outcome is IngestOutcome.STORED and item.sender != self._notifications.service:
                await self._notifications.announce(tx, after, item.event, row)
        await self._rsvps.fold_answers(tx, dead, received_at=now)
        self.counts["deletion"] += 1
        return True

    async def _deleted_session(
        self, tx: Transaction, event: AuthoredEvent, addresses: Sequence[Address]
    ) -> LiveSessionRow | None:
        named = [str(address) for address in addresses if address.kind == kinds.SESSION]
        rows = await self._store.sessions.within(tx).where("lessonId").any_of(named[:10]).to_list()
        own = [row for row in rows if private.is_private(row) and row.instructor_pubkey == event.pubkey]
        return own[0] if own and isinstance(event, VerifiedEvent) else None

    async def _deleted_answers(
        self, tx: Transaction, event: AuthoredEvent, deletion: nip09.Deletion
    ) -> list[FoldedRsvp]:
        rows = await self._store.rsvps.within(tx).where("pubkey").equals(event.pubkey).to_list()
        addresses = {address.identifier for address in deletion.addresses if address.kind == kinds.RSVP}
        return [
            FoldedRsvp(_rsvp(row), held=False)
            for row in rows
            if row.event_id in deletion.ids or (row.rsvp_time <= event.created_at and _identifier(row) in addresses)
        ]

    async def _row(self, tx: Transaction, session_address: str) -> LiveSessionRow | None:
        return await self._store.sessions.within(tx).where("lessonId").equals(session_address).first()


_ORDER: Final = (*(kinds.SESSION, kinds.MEETING, kinds.ATTENDANCE), kinds.APPLICATION_DATA, kinds.RSVP, kinds.DELETION)


def _counts(said: Said, row: LiveSessionRow | None) -> bool:
    """Whether what was said still counts: a person who is no longer invited has no answer."""
    return row is None or said.reply.status is None or private.may_attend(row, said.pubkey)


def _rsvp_of(said: Said) -> Rsvp | None:
    status = said.reply.status
    if status is None:
        return None
    return Rsvp(
        session_address=said.session_address,
        pubkey=said.pubkey,
        status=status,
        created_at=said.at,
        event_id=said.rumor_id,
    )


def _is_invited(row: LiveSessionRow | None, rsvp: Rsvp) -> bool:
    return row is not None and private.may_attend(row, rsvp.pubkey)


def _identifier(row: RsvpRow) -> str:
    address = Address.parse(row.session_address)
    assert address is not None, "a row's lessonId was parsed before it was stored"
    return rsvp_identifier(address)


def _rsvp(row: RsvpRow) -> Rsvp:
    return Rsvp(
        session_address=row.session_address,
        pubkey=Pubkey(row.pubkey),
        status=RsvpStatus(row.status),
        created_at=row.rsvp_time,
        event_id=EventId(row.event_id),
    )
