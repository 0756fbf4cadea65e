"""The list of sessions, cached until something in it changes: every open page asks for it again and again."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

import msgspec

from podium_daemon.api.sessions import SessionsOut
from podium_daemon.runtime.clock import Clock
from podium_daemon.web.etags import etag_of
from podium_daemon.web.login import Caller
from podium_daemon.web.views import Views
from podium_storage.changes import ChangeSubscription
from podium_storage.store import Store

MAX_SESSIONS: Final = 200
"""The most sessions in one answer: each hundred is a few milliseconds of work."""

_KEEP_SECONDS: Final = 60.0  # names and settings that are in no table change, too
_MOST: Final = 64  # lists kept; strangers choose what they ask for


class Asked(msgspec.Struct, frozen=True):
    """Which part of the list."""

    state: str | None
    order: Literal["start", "newest"]
    limit: int
    offset: int


class Told(msgspec.Struct, frozen=True):
    """One part as JSON, and its version."""

    body: bytes
    etag: str
    read_at: float


class SessionList:
    """Reads lists; each part of the public list is read once, until something in it changes."""

    def __init__(self, store: Store, views: Views, clock: Clock) -> None:
        """Follow this store's changes from the first list on."""
        self._store = store
        self._views = views
        self._clock = clock
        self._kept: dict[Asked, Told] = {}
        self._changes: ChangeSubscription | None = None
        self._reading = asyncio.Lock()

    async def shown_part(self, asked: Asked, viewer: Caller | None) -> Told:
        """Return the part that was asked for, as far as `viewer` may see it."""
        if viewer is not None:
            return await self._read(asked, viewer)
        async with self._reading:  # a thousand pages that ask at once cost one read
            self._forget_what_changed()
            told = self._kept.get(asked)
            if told is None or self._clock.monotonic() - told.read_at >= _KEEP_SECONDS:
                told = await self._read(asked, None)
                while len(self._kept) >= _MOST:
                    del self._kept[next(iter(self._kept))]
                self._kept[asked] = told
            return told

    def refresh(self) -> None:
        """Note a change that is in no table, such as a name."""
        self._kept.clear()

    def _forget_what_changed(self) -> None:
        if self._changes is None:  # subscribed before the first read: a change in between is noticed by the next
            store = self._store
            tables = (store.sessions, store.rsvps, store.intervals, store.recordings)
            self._changes = store.changes.subscribe(*(table.name for table in tables), limit=1)
        if self._changes.take_changes() is not None:
            self._kept.clear()

    async def _read(self, asked: Asked, viewer: Caller | None) -> Told:
        shown = await self._views.sessions.part(
            asked.state, viewer, newest_first=asked.order == "newest", limit=asked.limit + 1, offset=asked.offset
        )
        following = asked.offset + asked.limit if len(shown) > asked.limit else None
        answer = SessionsOut(sessions=tuple(shown[: asked.limit]), next=following)
        body = answer.model_dump_json(by_alias=True).encode()
        return Told(body, etag_of(body), self._clock.monotonic())
