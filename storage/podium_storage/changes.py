"""The change feed: what changed in which row, published after COMMIT and never before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

import msgspec

DEFAULT_LIMIT: Final = 10_000  # changes kept for one subscriber; past that it is told to read again


class ChangeKind(StrEnum):
    """What happened to a row."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


class Change(msgspec.Struct, frozen=True, gc=False):
    """One row before and after one transaction's write; `before` is None when created, `after` when deleted."""

    table: str
    kind: ChangeKind
    key: int | str
    before: msgspec.Struct | None = None
    after: msgspec.Struct | None = None


class Batch(msgspec.Struct, frozen=True):
    """All that happened since the subscriber last asked, in the order of the commits.

    `resync` says that changes were dropped because the subscriber was too slow, or that it is unknown whether a commit
    took place: read the tables again. What is committed after this batch was taken comes in later batches.
    """

    changes: tuple[Change, ...]
    resync: bool = False


class ChangeSubscription:
    """One subscriber's changes, kept until it asks for them: an async iterator of `Batch`, ended by `close`.

    The writer only appends to a bounded list, so that a slow subscriber neither delays a commit nor fills the memory.
    """

    def __init__(self, feed: ChangeFeed, tables: frozenset[str] | None, limit: int) -> None:
        self._feed = feed
        self._tables = tables
        self._limit = limit
        self._pending: list[Change] = []
        self._resync = False
        self._closed = False
        self._ready = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        """Wait for the next batch; stops when the subscription or the database was closed and nothing is left."""
        await self._ready.wait()
        batch = self.take_changes()
        if batch is None:
            raise StopAsyncIteration
        return batch

    async def wait(self) -> None:
        """Wait until there is something to take, or the subscription is closed, without taking it."""
        await self._ready.wait()

    def take_changes(self) -> Batch | None:
        """Take the changes kept so far without waiting, or None if there are none."""
        batch = Batch(tuple(self._pending), self._resync) if self._pending or self._resync else None
        self._pending, self._resync = [], False
        if not self._closed:
            self._ready.clear()
        return batch

    @property
    def has_waiting(self) -> bool:
        """Whether a change waits to be taken, or may have been lost."""
        return self._resync or bool(self._pending)

    def watch(self, tables: frozenset[str] | None) -> None:
        """Keep the changes of these tables from now on; None: of all tables."""
        self._tables = tables

    @contextmanager
    def leaving_out_own(self) -> Iterator[None]:
        """Leave out what is committed in this scope by the caller, and by the tasks it starts, until the scope ends.

        A service that is woken by its own writes is never done: a turn that writes as many rows as the feed keeps would
        be told to read everything again, and would write them again. Other subscribers are told as usual.
        """
        scope = _OwnWrites(self)
        token = _own_writes.set(scope)
        try:
            yield
        finally:
            scope.is_open = False  # a task that outlives the scope keeps its context, but its writes count from now on
            _own_writes.reset(token)

    def close(self) -> None:
        """End the iteration; safe to call twice."""
        self._closed = True
        self._ready.set()
        self._feed.forget(self)

    def offer(self, changes: Sequence[Change]) -> None:
        """Keep the changes this subscriber asked for. Only the feed calls it."""
        if self._resync:
            return  # it will read everything again anyway
        self._pending += changes if self._tables is None else [c for c in changes if c.table in self._tables]
        if len(self._pending) > self._limit:
            self.drop_changes()
        elif self._pending:
            self._ready.set()

    def drop_changes(self) -> None:
        """Drop the kept changes and let the next batch say `resync`. Only the feed calls it."""
        self._pending, self._resync = [], True
        self._ready.set()


class _OwnWrites:
    """The scope of `leaving_out_own`, as the tasks within it see it."""

    def __init__(self, subscription: ChangeSubscription) -> None:
        self.subscription = subscription
        self.is_open = True


_own_writes: ContextVar[_OwnWrites | None] = ContextVar("podium_storage_own_writes", default=None)


class ChangeFeed:
    """Publishes committed changes to its subscribers."""

    def __init__(self) -> None:
        self._subscriptions: set[ChangeSubscription] = set()
        self._closed = False

    def subscribe(self, *tables: str, limit: int = DEFAULT_LIMIT) -> ChangeSubscription:
        """Subscribe to some tables, or to all when none is named: `with feed.subscribe("outbox") as changes: ...`.

        `limit` is the number of changes kept for a subscriber that does not ask for them.
        """
        subscription = ChangeSubscription(self, frozenset(tables) or None, limit)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions.add(subscription)
        return subscription

    def publish(self, changes: Sequence[Change]) -> None:
        """Hand one committed transaction's changes to every subscriber. Only the database calls it, after COMMIT."""
        if changes:
            own = _own_writes.get()
            for subscription in self._subscriptions:
                if own is None or not own.is_open or own.subscription is not subscription:
                    subscription.offer(changes)

    def resync(self) -> None:
        """Tell every subscriber to read again: there may have been a change that cannot be named."""
        for subscription in self._subscriptions:
            subscription.drop_changes()

    def forget(self, subscription: ChangeSubscription) -> None:
        """Stop delivering to a subscription."""
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscriber's iteration once it has taken what is left."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()
