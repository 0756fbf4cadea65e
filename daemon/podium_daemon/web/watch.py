"""Tells streams about news: the change feed is read once for all streams, and a session once for all who watch it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from podium_daemon.runtime.outcomes import Slug
from podium_daemon.runtime.tasks import Watched
from podium_daemon.web.login import Caller
from podium_daemon.web.problems import Problem
from podium_daemon.web.question_views import both_views
from podium_daemon.web.views import Views, leads
from podium_protocol.events import Pubkey
from podium_storage.changes import Batch, ChangeSubscription
from podium_storage.store import Store
from podium_storage.table.models import (
    AttendanceRow,
    IntervalRow,
    LedgerRow,
    LetterRow,
    LiveSessionRow,
    QuestionRow,
    QuestionVoteRow,
    RoomControlsRow,
    RoomMemberRow,
    RsvpRow,
    WatchRow,
)
from podium_storage.table.schema import QUESTION_VOTES

MAX_STREAMS: Final = 2_000  # each is an open connection; beyond that a page asks again after a while
_OF_CONNECTIONS: Final = 0.75  # streams at most, so that plain calls find a connection too
_OF_ANYBODY: Final = 0.5  # of the streams; the rest is for people who signed in
_OF_SIGNED: Final = 0.9  # the rest is for instructors and co-hosts
MAX_OF_ONE_KEY: Final = 12  # a person's tabs and devices
RETRY_SECONDS: Final = 2.0  # until news that could not be sent is tried again
SETTLE_SECONDS: Final = 0.25  # thousands answer at once: changes within this time are sent together
VOTE_SECONDS: Final = 1.0  # after votes: the list of questions goes to all, so one for each vote would be quadratic
_TELLING: Final = "telling open pages what changed"

_OfAPerson: TypeAlias = (
    RsvpRow
    | AttendanceRow
    | IntervalRow
    | LedgerRow
    | LetterRow
    | RoomMemberRow
    | QuestionRow
    | QuestionVoteRow
    | WatchRow
)
_OfASession: TypeAlias = LiveSessionRow | RoomControlsRow | _OfAPerson


class Channel:
    """One watched session. `text` is its public view as JSON, `digest` stands for it; None once it is gone.

    `questions` are the views of instructor and co-hosts (True) and of all others, as JSON with a digest.
    """

    def __init__(self) -> None:
        self.listeners: set[Subscriber] = set()
        self.row: LiveSessionRow | None = None
        self.text: str | None = None
        self.digest = ""
        self.questions: dict[bool, tuple[str, str]] = {}
        self.reading = asyncio.Lock()


class Subscriber:
    """One stream: notified when the session's public view or a row of its person changed, or, if leading, any row."""

    def __init__(self, topic: Channel, viewer: Caller | None, bell: asyncio.Event) -> None:
        self.topic = topic
        self.viewer = viewer
        self.own_changed = True
        self.changed: set[str] = set()
        self.changed_all = True
        self.closed = False
        self.signed_out = False
        self._bell = bell

    def notify(self) -> None:
        """Tell the stream that there is news."""
        self._bell.set()


class StreamHub:
    """Reads the change feed while there are streams."""

    def __init__(self, store: Store, views: Views, *, connections: Callable[[], int] = lambda: MAX_STREAMS * 2) -> None:
        """`connections`: how many the server takes at once; streams are a part of them."""
        self._store = store
        self._views = views
        self._connections = connections
        self._topics: dict[str, Channel] = {}
        self._streams: Counter[Pubkey | None] = Counter()
        self._closed = False
        self.tasks = Watched("web")
        self._changes: ChangeSubscription | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return self._streams.total()

    @contextmanager
    def take_place(self, viewer: Caller | None, *, leading: bool = False) -> Iterator[None]:
        """Count one stream, however many sessions it follows: else some browsers of one address took all places.

        `leading`: the viewer leads a session of it.

        Raises:
            Problem: 503, too many streams are open.
        """
        pubkey = viewer.pubkey if viewer else None
        if self._closed or self._is_full(pubkey, leading=leading):
            detail = "too many pages are listening"
            raise Problem(Slug.TOO_MANY_STREAMS, detail, "Close other tabs, or try again later.")
        self._streams[pubkey] += 1
        try:
            yield
        finally:
            self._streams -= Counter({pubkey: 1})

    @contextmanager
    def listen(
        self, session_address: str, viewer: Caller | None, *, bell: asyncio.Event | None = None
    ) -> Iterator[Subscriber]:
        """Watch one session. `bell` is set at news; one stream may hang several subscribers on one."""
        topic = self._topics.setdefault(session_address, Channel())
        listener = Subscriber(topic, viewer, bell or asyncio.Event())
        topic.listeners.add(listener)
        self._start()
        try:
            yield listener
        finally:
            topic.listeners.discard(listener)
            self._clear(session_address, topic)

    def _is_full(self, pubkey: Pubkey | None, *, leading: bool) -> bool:
        if pubkey is not None and self._streams[pubkey] >= MAX_OF_ONE_KEY:
            return True
        places = min(MAX_STREAMS, int(self._connections() * _OF_CONNECTIONS))
        if pubkey is None and self._streams[None] >= places * _OF_ANYBODY:
            return True
        return self.streams >= places * (1 if leading else _OF_SIGNED)

    async def current(self, session_address: str, topic: Channel) -> None:
        """Read the session if no stream has yet: a thousand pages that open at once cost one read."""
        async with topic.reading:
            if topic.row is None:
                await self._read(session_address, topic)
                await self._read_questions(topic)

    def refresh(self) -> None:
        """Note a change that is in no table: read the watched sessions again."""
        if self._changes is not None:
            self._changes.drop_changes()

    def end_logins(self, of: Caller, *, everywhere: bool) -> None:
        """A person signed out: end the streams of this login, or all of theirs. Who is still signed in comes back."""
        for topic in self._topics.values():
            for listener in topic.listeners:
                viewer = listener.viewer
                if viewer is not None and viewer.pubkey == of.pubkey and (everywhere or viewer.login_id == of.login_id):
                    listener.closed = listener.signed_out = True
                    listener.notify()

    def close(self) -> None:
        """End every stream, and begin no other: the server stops."""
        self._closed = True
        for topic in self._topics.values():
            self._end(topic)

    def _start(self) -> None:
        if self._running is None or self._running.done():
            store = self._store
            tables = (store.sessions, store.rsvps, store.attendance, store.intervals, store.ledger, store.letters)
            asked = store.questions, store.question_votes
            # subscribed before the first read: a change in between is sent twice, not never
            self._changes = store.changes.subscribe(
                *(table.name for table in (*tables, store.members, *asked, store.controls, store.watches))
            )
            self._running = self.tasks.errand(self._run(self._changes), _TELLING)

    def _clear(self, session_address: str, topic: Channel) -> None:
        if not topic.listeners and self._topics.get(session_address) is topic:
            del self._topics[session_address]
        if not self._topics and self._running is not None and self._changes is not None:
            self._running.cancel()
            self._running = None
            self._changes.close()

    async def _run(self, changes: ChangeSubscription) -> None:
        async for batch in changes:
            try:
                await self._take(batch)
            except Exception as error:  # noqa: BLE001  (a boundary: the streams live on and are told once it works again)
                self.tasks.log_failure(_TELLING, error)
                changes.drop_changes()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.tasks.trouble.pop(_TELLING, None)
            await asyncio.sleep(_pause_after(batch))  # only the pace of sending: no rule of a session depends on it
        for topic in list(self._topics.values()):
            self._end(topic)

    async def _take(self, batch: Batch) -> None:
        touched = _touched(batch)
        for session_address, topic in list(self._topics.items()):
            touch = touched.get(session_address)
            if touch is None and not batch.resync:
                continue
            before = topic.digest, topic.questions.get(False)
            async with topic.reading:
                await self._read(session_address, topic)
                asked = {self._store.questions.name, self._store.controls.name}
                if touch is None or touch.tables & asked or not topic.questions:
                    await self._read_questions(topic)
            if topic.text is None:
                self._end(topic)
                continue
            for listener in topic.listeners:
                shown = (topic.digest, topic.questions.get(False)) != before
                _tell(listener, touch or _Touch(), everything=batch.resync, shown=shown)

    async def _read(self, session_address: str, topic: Channel) -> None:
        topic.row = await self._store.sessions.where("lessonId").equals(session_address).first()
        if topic.row is None:
            topic.text = None
            return
        topic.text = (await self._views.sessions.one(topic.row)).model_dump_json(by_alias=True)
        topic.digest = digest_of(topic.text)

    async def _read_questions(self, topic: Channel) -> None:
        if topic.row is None:
            return
        for leading, seen in (await both_views(self._store, topic.row, self._views.people.names_of)).items():
            text = seen.model_dump_json(by_alias=True)
            topic.questions[leading] = text, digest_of(text)

    def _end(self, topic: Channel) -> None:
        for listener in topic.listeners:
            listener.closed = True
            listener.notify()


def _pause_after(batch: Batch) -> float:
    has_votes = any(change.table == QUESTION_VOTES.name for change in batch.changes)
    return VOTE_SECONDS if has_votes else SETTLE_SECONDS


async def rung_within(bell: asyncio.Event, seconds: float) -> bool:
    """Wait for news, `seconds` at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await bell.wait()
    rung = bell.is_set()
    bell.clear()
    return rung


def digest_of(text: str) -> str:
    """A short name for a text, the same in every run of the daemon."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Touch:
    """The changes of one session: in which tables, and whose rows."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self.people: set[str] = set()
        self.session = False


def _touched(batch: Batch) -> dict[str, _Touch]:
    touched: dict[str, _Touch] = defaultdict(_Touch)
    for change in batch.changes:
        row = change.after or change.before
        if isinstance(row, _OfASession):
            touched[row.session_address].tables.add(change.table)
            if isinstance(row, LiveSessionRow):
                touched[row.session_address].session = True
            elif isinstance(row, _OfAPerson):
                touched[row.session_address].people.add(row.pubkey)
    return touched


def _tell(listener: Subscriber, touch: _Touch, *, everything: bool, shown: bool) -> None:
    assert listener.topic.row is not None, "it was read just now"
    leading, viewer = leads(listener.topic.row, listener.viewer), listener.viewer
    # not on each change of the public view: a thousand people who answer would cause a million reads
    if viewer is not None and (everything or touch.session or viewer.pubkey in touch.people):
        listener.own_changed = True
    if leading:
        listener.changed |= touch.tables
        listener.changed_all |= everything
    if shown or leading or listener.own_changed:
        listener.notify()
