"""Polls in a room: prepared, opened and closed by those who lead, answered over the rooms' sockets, never on relays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.events import RoomId
from podium_daemon.conference.seats import Seat, Signalling
from podium_daemon.conference.signaling import PollDeleted, PollShown, VoteCounted, VoteMessage
from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.events import Pubkey
from podium_protocol.live.lifecycle import OVER
from podium_protocol.live.polls import (
    NotAPoll,
    Poll,
    PollStage,
    SealedTexts,
    read_poll,
    read_sealed,
    read_vote,
    shows_result,
    shows_right,
    tally,
)
from podium_storage.database import Transaction
from podium_storage.errors import StoreDamaged, StoreError
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, PollRow, PollVoteRow

_log = structlog.get_logger(__name__)
MAX_POLLS: Final = 50  # of one session
OF_A_PERSON: Final = Rate(burst=5, per_second=1)
"""A person may think again, but not write to the disk without end."""

TELL_SECONDS: Final = 1.0
"""Between two results of a poll that is open: each goes to all people, so one for each vote would be quadratic."""

_NO_POLL: Final = Rejection(Slug.UNKNOWN_POLL, "there is no such poll here", "It may be deleted already.")
_ENCRYPTED: Final = Rejection(
    Slug.E2EE, "this session is encrypted: the service takes no text that it could read", "Prepare polls in the room."
)
_NOT_ENCRYPTED: Final = Rejection(Slug.BAD_VALUE, "this session is not encrypted, so its polls are not either")

_TOO_MANY: Final = Rejection(Slug.TOO_MANY, f"a session has {MAX_POLLS} polls at most", "Delete one of them first.")


class PollResult(msgspec.Struct, frozen=True):
    """A poll with its counts as they are now, and how many voted."""

    row: PollRow
    counts: tuple[int, ...]
    voters: int


class RoomPolls:
    """Owns the polls and their votes. `dropped` counts votes that were not taken, by reason."""

    def __init__(self, store: Store, seats: Signalling, clock: Clock) -> None:
        self._store = store
        self._seats = seats
        self._clock = clock
        self._people: Buckets[tuple[str, Pubkey]] = Buckets(OF_A_PERSON)
        self._changed: set[int] = set()
        self._bell = asyncio.Event()
        self.dropped: Counter[str] = Counter()

    async def run(self, stop: Stop) -> None:
        """Tell rooms the results of open polls, once a second at most, until the stop."""
        await self.close_what_is_over()
        while not stop.is_set():
            await wait_for_first(self._bell.wait(), stop.wait())
            self._bell.clear()
            await self.tell_results()
            await stop.wait_for(TELL_SECONDS)

    async def tell_results(self) -> None:
        """Tell rooms the results that changed since the last time."""
        changed, self._changed = self._changed, set()
        try:
            for row in await self._store.polls.bulk_get(sorted(changed)):
                session = None if row is None else await self._session(row.session_address)
                if row is not None and session is not None:
                    await self._show(session, row)
        except StoreDamaged:
            raise
        except StoreError:
            self._changed |= changed  # with the next vote

    # -- those who lead; callers were checked

    async def polls(self, session_address: str) -> list[PollResult]:
        """All polls of a session with their results, in the order in which they were made."""
        rows = await self._store.polls.where("lessonId").equals(session_address).to_list()
        return [await self._result(row) for row in sorted(rows, key=lambda row: row.id or 0)]

    async def draft(
        self, session: LiveSessionRow, poll: Poll, by: Pubkey, sealed: SealedTexts | None = None
    ) -> Rejection | None:
        """Keep a poll that those who lead may open later; in an encrypted session `by` has `sealed` its texts."""
        if session.e2ee_required is not (sealed is not None):
            return _ENCRYPTED if session.e2ee_required else _NOT_ENCRYPTED
        read = read_poll(poll) if sealed is None else read_sealed(poll, sealed)
        if isinstance(read, NotAPoll):
            return Rejection(Slug.BAD_VALUE, read.reason)
        row = PollRow(
            session_address=session.session_address,
            question=read.question,
            options=read.options,
            multiple=read.multiple,
            named=read.named,
            live=read.live,
            right=read.right,
            stage=PollStage.DRAFT,
            created_at=int(self._clock.now()),
            sealed_by=by if sealed else None,
            sealed_right=sealed.right if sealed else None,
        )

        async def scope(tx: Transaction) -> Rejection | None:
            table = self._store.polls.within(tx)
            if await table.where("lessonId").equals(session.session_address).count() >= MAX_POLLS:
                return _TOO_MANY
            await table.add(row)
            return None

        return await self._store.database.transact(scope)

    async def seal(self, session: LiveSessionRow, poll: int, sealed: SealedTexts, by: Pubkey) -> Rejection | None:
        """Replace the texts of a poll by the same ones under a newer key of the room, for people without the older."""

        async def scope(tx: Transaction) -> PollRow | Rejection:
            table = self._store.polls.within(tx)
            row = await table.get(poll)
            if row is None or row.session_address != session.session_address or row.sealed_by is None:
                return _NO_POLL
            read = read_sealed(_poll(row), sealed)
            if row.stage == PollStage.CLOSED or isinstance(read, NotAPoll):
                return Rejection(Slug.BAD_VALUE, read.reason) if isinstance(read, NotAPoll) else _NO_POLL
            after = msgspec.structs.replace(row, question=read.question, sealed_right=sealed.right, sealed_by=by)
            await table.put(after)
            return after

        after = await self._store.database.transact(scope)
        if isinstance(after, Rejection):
            return after
        if after.stage == PollStage.OPEN:
            await self._show(session, after)
        return None

    async def open(self, session: LiveSessionRow, poll: int, by: Pubkey) -> Rejection | None:
        """Ask all people in the room. A poll that was closed is not opened again: its votes may be gone."""

        async def scope(tx: Transaction) -> PollRow | None:
            table = self._store.polls.within(tx)
            row = await table.get(poll)
            if row is None or row.session_address != session.session_address or row.stage != PollStage.DRAFT:
                return None
            await table.put(opened := msgspec.structs.replace(row, stage=PollStage.OPEN))
            return opened

        # one step: another leader may close or delete the poll at the same moment
        opened = await self._store.database.transact(scope)
        if opened is None:
            return _NO_POLL
        _log.info("a poll was opened", action="poll.opened", session=session.session_address, by=by)
        await self._show(session, opened)
        return None

    async def close(self, session: LiveSessionRow, poll: int, by: Pubkey) -> Rejection | None:
        """Take no more votes and show the result to all; who chose what is deleted, unless the poll is named."""
        closed = await self._close(session, poll)
        if closed is None:
            return _NO_POLL
        _log.info("a poll was closed", action="poll.closed", session=session.session_address, by=by)
        await self._show(session, closed)
        return None

    async def close_all(self, session_address: str) -> None:
        """Close the open polls of a session that is over, and show the results to those who are still in the room."""
        session = await self._session(session_address)
        rows = await self._store.polls.where("lessonId").equals(session_address).to_list()
        for row in rows:
            if session is not None and row.stage == PollStage.OPEN and row.id is not None:
                closed = await self._close(session, row.id)
                if closed is not None:
                    await self._show(session, closed)

    async def close_what_is_over(self) -> None:
        """Close polls whose session ended while the daemon was stopped."""
        rows = await self._store.polls.where("stage").equals(PollStage.OPEN).to_list()
        for session_address in {row.session_address for row in rows}:
            session = await self._session(session_address)
            if session is None or session.state in OVER:
                await self.close_all(session_address)

    async def _close(self, session: LiveSessionRow, poll: int) -> PollRow | None:
        async def scope(tx: Transaction) -> PollRow | None:
            tables = self._store.within(tx)
            row = await tables.polls.get(poll)
            if row is None or row.session_address != session.session_address or row.stage != PollStage.OPEN:
                return None
            votes = tables.poll_votes.where("lessonId").equals(row.session_address).and_("pollId").equals(poll)
            chosen = [vote.choices for vote in await votes.to_list()]
            counts, now = tally(_poll(row), chosen), int(self._clock.now())
            closed = msgspec.structs.replace(
                row, stage=PollStage.CLOSED, counts=counts, voters=len(chosen), closed_at=now
            )
            await tables.polls.put(closed)
            if not row.named:
                await votes.delete()
            return closed

        return await self._store.database.transact(scope)

    async def delete(self, session: LiveSessionRow, poll: int, by: Pubkey) -> Rejection | None:
        """Delete a poll with its votes."""
        row = await self._found(session, poll)
        if row is None:
            return _NO_POLL

        async def scope(tx: Transaction) -> None:
            tables = self._store.within(tx)
            await tables.polls.delete(poll)
            await tables.poll_votes.where("lessonId").equals(row.session_address).and_("pollId").equals(poll).delete()

        await self._store.database.transact(scope)
        _log.info("a poll was deleted", action="poll.deleted", session=session.session_address, by=by)
        await self._seats.send_message(_room(session), PollDeleted(poll))
        return None

    async def votes(self, session: LiveSessionRow, poll: int) -> tuple[PollResult, list[PollVoteRow]] | Rejection:
        """The result of a poll, and who chose what where it is named."""
        row = await self._found(session, poll)
        if row is None:
            return _NO_POLL
        return await self._result(row), (await self._votes_of(row) if row.named else [])

    # -- people in the room

    async def add_seat(self, session_address: str, seat: Seat) -> None:
        """Send a new seat the polls that are open or closed, and what its person chose."""
        rows = await self._store.polls.where("lessonId").equals(session_address).to_list()
        shown = [row for row in sorted(rows, key=lambda row: row.id or 0) if row.stage != PollStage.DRAFT]
        session = await self._session(session_address) if shown else None
        if session is None:
            return
        person = seat.connection.pubkey
        votes = self._store.poll_votes.where("[pollId+pubkey]").any_of([[row.id, person] for row in shown])
        own = {vote.poll_id: vote for vote in await votes.to_list()}
        for row in shown[-_SHOWN:]:
            seat.send(_shown(await self._result(row), leading=person in _leaders(session)))
            if (vote := own.get(row.id or 0)) is not None:
                seat.send(VoteCounted(vote.poll_id, vote.choices))

    async def vote(self, session_address: str, seat: Seat, message: VoteMessage) -> None:
        """Count a vote instead of the person's earlier one, and tell their devices; others are dropped and counted."""
        person = seat.connection.pubkey
        if not self._people.take_tokens((session_address, person), self._clock.monotonic()):
            self.dropped["vote_too-fast"] += 1
            return

        counted = await self._store.database.transact(lambda tx: self._count(tx, session_address, person, message))
        if counted is None:
            self.dropped["vote_flawed"] += 1
            return
        choices, is_new = counted
        await self._seats.send_message(seat.connection.room, VoteCounted(message.poll, choices), person)
        if is_new:
            self._changed.add(message.poll)
            self._bell.set()

    # -- inside

    async def _count(
        self, tx: Transaction, session_address: str, person: Pubkey, message: VoteMessage
    ) -> tuple[tuple[int, ...], bool] | None:
        """What counts as the person's choices now, and whether they chose otherwise before; None: it is no vote."""
        tables = self._store.within(tx)
        row = await tables.polls.get(message.poll)
        if row is None or row.session_address != session_address or row.stage != PollStage.OPEN:
            return None
        if (choices := read_vote(_poll(row), message.choices)) is None:
            return None
        before = await tables.poll_votes.where("[pollId+pubkey]").equals([message.poll, person]).first()
        if before is not None and before.choices == choices:
            return choices, False
        vote = PollVoteRow(session_address=session_address, poll_id=message.poll, pubkey=person, choices=choices)
        await tables.poll_votes.upsert([vote], by="[pollId+pubkey]")
        return choices, True

    async def _show(self, session: LiveSessionRow, row: PollRow) -> None:
        result = await self._result(row)
        public, led = _shown(result, leading=False), _shown(result, leading=True)
        room = _room(session)
        await self._seats.send_message(room, public)
        if led != public:
            for leader in _leaders(session):
                await self._seats.send_message(room, led, leader)

    async def _result(self, row: PollRow) -> PollResult:
        if row.stage != PollStage.OPEN:
            return PollResult(row, row.counts, row.voters)
        votes = await self._votes_of(row)
        return PollResult(row, tally(_poll(row), (vote.choices for vote in votes)), len(votes))

    async def _votes_of(self, row: PollRow) -> list[PollVoteRow]:
        votes = self._store.poll_votes.where("lessonId").equals(row.session_address)
        return await votes.and_("pollId").equals(row.id or 0).to_list()

    async def _found(self, session: LiveSessionRow, poll: int) -> PollRow | None:
        row = await self._store.polls.get(poll)
        return row if row is not None and row.session_address == session.session_address else None

    async def _session(self, session_address: str) -> LiveSessionRow | None:
        return await self._store.sessions.where("lessonId").equals(session_address).first()


_SHOWN: Final = 20  # polls to a newcomer, the newest: their browser may have 64 messages unread


def _poll(row: PollRow) -> Poll:
    return Poll(
        question=row.question,
        options=row.options,
        multiple=row.multiple,
        named=row.named,
        live=row.live,
        right=row.right,
    )


def _shown(result: PollResult, *, leading: bool) -> PollShown:
    row, stage = result.row, PollStage(result.row.stage)
    assert row.id is not None, "polls that are kept have an id"
    counts: Sequence[int] | None = result.counts if shows_result(_poll(row), stage, leading=leading) else None
    return PollShown(
        id=row.id,
        question=row.question,
        options=row.options,
        multiple=row.multiple,
        named=row.named,
        stage=stage.value,
        counts=tuple(counts) if counts is not None else None,
        voters=result.voters if counts is not None else None,
        right=row.right if row.right and shows_right(stage, leading=leading) else None,
        sealed_by=row.sealed_by,
        sealed_right=row.sealed_right if shows_right(stage, leading=leading) else None,
    )


def _room(session: LiveSessionRow) -> RoomId:
    assert session.conference_room_id is not None, "every adopted session has its room"
    return RoomId(session.conference_room_id)


def _leaders(session: LiveSessionRow) -> frozenset[Pubkey]:
    return frozenset(map(Pubkey, (session.instructor_pubkey, *session.co_hosts)))
