"""The list of sessions, cached until something in it changes: every open page asks for it again and again.

Of the lists of people who signed in only the versions are kept, so that an unchanged one is not read again.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from podium_daemon.api.sessions import SessionsOut
from podium_daemon.runtime.clock import Clock
from podium_daemon.web.etags import etag_of, has_version
from podium_daemon.web.login import Caller
from podium_daemon.web.views import Views
from podium_storage.changes import ChangeSubscription
from podium_storage.store import Store

MAX_SESSIONS: Final = 200
"""The most sessions in one answer: each hundred is a few milliseconds of work."""

_KEEP_SECONDS: Final = 60.0  # names and settings that are in no table change, too
_MOST: Final = 64  # lists kept; strangers choose what they ask for
_MOST_VERSIONS: Final = 4_096  # kept, of lists of people who signed in


Key = TypeVar("Key")


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


_OfCaller: TypeAlias = tuple[Asked, str, str | None]


class SessionList:
    """Reads lists; each part of the public list is read once, until something in it changes."""

    def __init__(self, store: Store, views: Views, clock: Clock) -> None:
        """Follow this store's changes from the first list on."""
        self._store = store
        self._views = views
        self._clock = clock
        self._kept: dict[Asked, Told] = {}
        self._versions: dict[_OfCaller, Told] = {}
        self._changes_seen = 0
        self._changes: ChangeSubscription | None = None
        self._reading = asyncio.Lock()

    async def shown_part(self, asked: Asked, viewer: Caller | None) -> Told:
        """Return the part that was asked for, as far as `viewer` may see it."""
        if viewer is not None:
            return await self._own_part(asked, viewer)
        async with self._reading:  # a thousand pages that ask at once cost one read
            kept = self._known(asked, None)
            if kept is not None:
                return kept
            seen = self._changes_seen
            told = await self._read(asked, None)
            if seen == self._changes_seen:
                _keep(self._kept, asked, told, _MOST)
            return told

    def unchanged_version(self, asked: Asked, viewer: Caller | None, if_none_match: str | None) -> str | None:
        """Return the version of this part if it is known without a read and is one that the caller has."""
        kept = self._known(asked, viewer)
        return kept.etag if kept is not None and has_version(if_none_match, kept.etag) else None

    def refresh(self) -> None:
        """Note a change that is in no table, such as a name."""
        self._changes_seen += 1
        self._kept.clear()
        self._versions.clear()

    def _known(self, asked: Asked, viewer: Caller | None) -> Told | None:
        self._forget_what_changed()
        kept = self._kept.get(asked) if viewer is None else self._versions.get(_of_caller(asked, viewer))
        return kept if kept is not None and self._clock.monotonic() - kept.read_at < _KEEP_SECONDS else None

    async def _own_part(self, asked: Asked, viewer: Caller) -> Told:
        self._forget_what_changed()
        seen = self._changes_seen
        told = await self._read(asked, viewer)
        if seen == self._changes_seen:  # else what was read may be older than a change that was noticed meanwhile
            _keep(self._versions, _of_caller(asked, viewer), msgspec.structs.replace(told, body=b""), _MOST_VERSIONS)
        return told

    def _forget_what_changed(self) -> None:
        if self._changes is None:  # subscribed before the first read: a change in between is noticed by the next
            store = self._store
            tables = (store.sessions, store.rsvps, store.intervals, store.recordings, store.controls)
            self._changes = store.changes.subscribe(*(table.name for table in tables), limit=1)
        if self._changes.take_changes() is not None:
            self.refresh()

    async def _read(self, asked: Asked, viewer: Caller | None) -> Told:
        shown = await self._views.sessions.part(
            asked.state, viewer, newest_first=asked.order == "newest", limit=asked.limit + 1, offset=asked.offset
        )
        following = asked.offset + asked.limit if len(shown) > asked.limit else None
        answer = SessionsOut(sessions=tuple(shown[: asked.limit]), next=following)
        body = answer.model_dump_json(by_alias=True).encode()
        return Told(body, etag_of(body), self._clock.monotonic())


def _of_caller(asked: Asked, viewer: Caller) -> _OfCaller:
    return asked, viewer.pubkey, viewer.session_address


def _keep(kept: dict[Key, Told], key: Key, told: Told, most: int) -> None:
    kept.pop(key, None)
    while len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = told
