"""The store: every table of the database, and live queries over them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, Self, TypeVar

from podium_storage.changed_sessions import ChangedSessions, session_with_attendance, session_with_messages
from podium_storage.changes import ChangeFeed
from podium_storage.database import Database, Mode, Transaction
from podium_storage.errors import StoreClosed
from podium_storage.migrations import Migration
from podium_storage.table import schema
from podium_storage.table.interning import Interner
from podium_storage.table.models import (
    AttendanceRow,
    BadgeRow,
    CalendarEntryRow,
    ChatLineRow,
    GuestRow,
    IntervalRow,
    LedgerRow,
    LetterRow,
    LiveSessionRow,
    OptOutRow,
    PollRow,
    PollVoteRow,
    QuestionRow,
    QuestionVoteRow,
    RecordingConsentRow,
    RecordingRow,
    RoomControlsRow,
    RoomMemberRow,
    RsvpRow,
    WatchRow,
)
from podium_storage.table.table import Table
from podium_storage.transaction import ReadLog

T = TypeVar("T")


async def live_query(database: Database, querier: Callable[[Transaction], Awaitable[T]]) -> AsyncGenerator[T, None]:
    """Yield what `querier` returns, now and after each change that may alter it; ends when the database closes.

    Each run is one snapshot. The querier is given its transaction and reads through it, with table handles bound to
    it; SQL of its own makes every change count. Changes that come while the consumer is busy are answered by one run.

    Raises:
        StoreError: what the database said, and whatever the querier raised; the iteration is then over.
    """
    with database.changes.subscribe() as changes:
        while True:
            # subscribed before the snapshot, and to every table: what is committed in between is seen twice, not never
            changes.watch(None)
            try:
                log, result = await _run(database, querier)
            except StoreClosed:
                return
            changes.watch(log.tables)
            yield result
            async for batch in changes:
                if log.is_touched_by(batch):
                    break
            else:
                return


async def _run(database: Database, querier: Callable[[Transaction], Awaitable[T]]) -> tuple[ReadLog, T]:
    log = ReadLog()

    async def scope(tx: Transaction) -> T:
        tx.reads = log
        return await querier(tx)

    return log, await database.snapshot(scope)


class Named(Protocol):
    """Anything that goes by a table's name."""

    @property
    def name(self) -> str:
        """The table's name."""


class Tables:
    """The declared tables."""

    sessions: Table[LiveSessionRow]
    rsvps: Table[RsvpRow]
    attendance: Table[AttendanceRow]
    ledger: Table[LedgerRow]
    intervals: Table[IntervalRow]
    members: Table[RoomMemberRow]
    opt_outs: Table[OptOutRow]
    questions: Table[QuestionRow]
    question_votes: Table[QuestionVoteRow]
    controls: Table[RoomControlsRow]
    letters: Table[LetterRow]
    recordings: Table[RecordingRow]
    consents: Table[RecordingConsentRow]
    watches: Table[WatchRow]
    calendar_entries: Table[CalendarEntryRow]
    guests: Table[GuestRow]
    chat: Table[ChatLineRow]
    polls: Table[PollRow]
    poll_votes: Table[PollVoteRow]
    badges: Table[BadgeRow]


class BoundTables(Tables):
    """The declared tables within one transaction; `tx` is for the caller's own SQL and other parts of the store."""

    def __init__(self, tables: Tables, tx: Transaction) -> None:
        """Bind each table."""
        self.tx = tx
        self.sessions = tables.sessions.within(tx)
        self.rsvps = tables.rsvps.within(tx)
        self.attendance = tables.attendance.within(tx)
        self.ledger = tables.ledger.within(tx)
        self.intervals = tables.intervals.within(tx)
        self.members = tables.members.within(tx)
        self.opt_outs = tables.opt_outs.within(tx)
        self.questions = tables.questions.within(tx)
        self.question_votes = tables.question_votes.within(tx)
        self.controls = tables.controls.within(tx)
        self.letters = tables.letters.within(tx)
        self.recordings = tables.recordings.within(tx)
        self.consents = tables.consents.within(tx)
        self.watches = tables.watches.within(tx)
        self.calendar_entries = tables.calendar_entries.within(tx)
        self.guests = tables.guests.within(tx)
        self.chat = tables.chat.within(tx)
        self.polls = tables.polls.within(tx)
        self.poll_votes = tables.poll_votes.within(tx)
        self.badges = tables.badges.within(tx)


class Store(Tables):
    """A database with its declared tables: `async with await Store.open(path) as store: ...`."""

    def __init__(self, database: Database) -> None:
        """Take an open database; `Store.open` opens one."""
        self.database = database
        self.interner = interner = Interner()  # the mirror and the outbox share it: it knows what is not committed
        self.unplanned = ChangedSessions("messages", session_with_messages, database, interner)
        self.unattested = ChangedSessions("attendance", session_with_attendance, database, interner)
        self.sessions = Table.from_schema(schema.SESSIONS, database, interner)
        self.rsvps = Table.from_schema(schema.RSVPS, database, interner)
        self.attendance = Table.from_schema(schema.ATTENDANCE, database, interner)
        self.ledger = Table.from_schema(schema.LEDGER, database, interner)
        self.intervals = Table.from_schema(schema.INTERVALS, database, interner)
        self.members = Table.from_schema(schema.MEMBERS, database, interner)
        self.opt_outs = Table.from_schema(schema.OPT_OUTS, database, interner)
        self.questions = Table.from_schema(schema.QUESTIONS, database, interner)
        self.question_votes = Table.from_schema(schema.QUESTION_VOTES, database, interner)
        self.controls = Table.from_schema(schema.ROOM_CONTROLS, database, interner)
        self.letters = Table.from_schema(schema.LETTERS, database, interner)
        self.recordings = Table.from_schema(schema.RECORDINGS, database, interner)
        self.consents = Table.from_schema(schema.RECORDING_CONSENTS, database, interner)
        self.watches = Table.from_schema(schema.WATCHES, database, interner)
        self.calendar_entries = Table.from_schema(schema.CALENDAR_ENTRIES, database, interner)
        self.guests = Table.from_schema(schema.GUESTS, database, interner)
        self.chat = Table.from_schema(schema.CHAT_LINES, database, interner)
        self.polls = Table.from_schema(schema.POLLS, database, interner)
        self.poll_votes = Table.from_schema(schema.POLL_VOTES, database, interner)
        self.badges = Table.from_schema(schema.BADGES, database, interner)

    @classmethod
    async def open(cls, path: Path | str, migrations: Sequence[Migration] | None = None) -> Self:
        """Open the database at this path, made when missing; raises as `Database.open` does."""
        return cls(await Database.open(path, migrations))

    async def close(self) -> None:
        """Wait for the transactions under way and close everything; safe to call twice."""
        await self.database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def changes(self) -> ChangeFeed:
        """The feed of committed changes."""
        return self.database.changes

    def within(self, tx: Transaction) -> BoundTables:
        """The tables as part of a transaction that another part of the store opened."""
        return BoundTables(self, tx)

    async def transaction(
        self, mode: Mode, tables: Sequence[Named | str], scope: Callable[[BoundTables], Awaitable[T]]
    ) -> T:
        """Run `scope` in one transaction over the declared tables, all or nothing; raises as `Database.transact` does.

        "rw" may write, and waits for its turn. "r" only reads, all as of one moment, and never waits for a writer.
        A table that is not declared is refused. The tables handed to `scope` are valid until it returns.
        """
        names = [table if isinstance(table, str) else table.name for table in tables]
        run = self.database.transact if mode == "rw" else self.database.snapshot
        return await run(lambda tx: scope(self.within(tx)), tables=names)

    def live_query(self, querier: Callable[[BoundTables], Awaitable[T]]) -> AsyncGenerator[T, None]:
        """Yield what `querier` returns, now and after each change of what it read: see `live_query`."""
        return live_query(self.database, lambda tx: querier(self.within(tx)))
