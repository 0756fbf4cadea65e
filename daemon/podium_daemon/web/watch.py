"""Tells streams about news: the change feed is read once for all streams, and a session once for all who watch it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

from pydantic import BaseModel

from podium_daemon.runtime.connections import count_down
from podium_daemon.runtime.tasks import Watched
from podium_daemon.web.answer_views import TRIED
from podium_daemon.web.channels import Bell, Channel, EncodedView, Subscriber
from podium_daemon.web.login import Caller
from podium_daemon.web.person_names import beside_loop
from podium_daemon.web.question_views import both_views
from podium_daemon.web.stream_places import MAX_STREAMS, StreamPlaces
from podium_daemon.web.views import Views, leads
from podium_protocol.events import Pubkey
from podium_storage.changes import Batch, Change, ChangeSubscription
from podium_storage.slices import in_slices
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

RETRY_SECONDS: Final = 2.0  # until news that could not be sent is tried again
SETTLE_SECONDS: Final = 0.25  # thousands answer at once: changes within this time are sent together
STREAM_SECONDS: Final = 0.0005  # more for each stream, which take 0.1 ms each: while all answer, the rest is for others
VOTE_SECONDS: Final = 1.0  # after votes: the list of questions goes to all, so one for each vote would be quadratic
_READ_AT_ONCE: Final = 100  # people whose own rows are read together
_WOKEN_AT_ONCE: Final = 25  # streams, some 0.1 ms of the event loop each
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


class StreamHub:
    """Reads the change feed while there are streams."""

    def __init__(self, store: Store, views: Views, *, connections: Callable[[], int] = lambda: MAX_STREAMS * 2) -> None:
        """`connections`: how many the server takes at once; streams are a part of them."""
        self._store = store
        self._views = views
        self._topics: dict[str, Channel] = {}
        self.places = StreamPlaces(connections)
        self.tasks = Watched("web")
        self._changes: ChangeSubscription | None = None
        self._running: asyncio.Task[None] | None = None

    @contextmanager
    def listen(self, session_address: str, viewer: Caller | None, bell: Bell) -> Iterator[Subscriber]:
        """Watch one session. `bell` is set at news; one stream may hang several subscribers on one."""
        topic = self._topics.setdefault(session_address, Channel())
        listener = Subscriber(topic, viewer, bell)
        topic.listeners.add(listener)
        if viewer is not None:
            topic.people[viewer.pubkey] += 1
        self._start()
        try:
            yield listener
        finally:
            topic.listeners.discard(listener)
            if viewer is not None:
                count_down(topic.people, viewer.pubkey)
                topic.forget_the_gone((viewer.pubkey,))
            self._clear(session_address, topic)

    async def current(self, session_address: str, topic: Channel) -> None:
        """Read the session if no stream has yet: a thousand pages that open at once cost one read."""
        async with topic.reading:
            if topic.row is None:
                await self._read(session_address, topic)
                await self._read_questions(topic)

    async def own(self, topic: Channel, row: LiveSessionRow, pubkey: Pubkey) -> EncodedView:
        """What is theirs for one who listens; of many who begin to listen at once, one has it read for all."""
        async with topic.reading:
            if pubkey not in topic.own:
                waiting = (one for one in topic.people if one not in topic.own and one != pubkey)
                await self._read_own(topic, topic.row or row, [pubkey, *islice(waiting, _READ_AT_ONCE - 1)])
            return topic.own[pubkey]

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
        self.places.close()
        for topic in self._topics.values():
            _end(topic.listeners)

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
            # only the pace of sending: no rule of a session depends on it
            await asyncio.sleep(_pause_after(batch, self.places.taken))
        for topic in list(self._topics.values()):
            _end(topic.listeners)

    async def _take(self, batch: Batch) -> None:
        touched = _touched(batch)
        for session_address in list(self._topics) if batch.resync else touched.keys() & self._topics.keys():
            if (topic := self._topics.get(session_address)) is None:
                continue
            touch = touched.get(session_address) or _Touch()
            touch.everything = batch.resync
            before = topic.session, topic.questions.get(False)
            async with topic.reading:
                await self._read(session_address, topic)
                asked = {self._store.questions.name, self._store.controls.name}
                if touch.everything or touch.tables & asked or not topic.questions:
                    await self._read_questions(topic)
            if topic.row is None:
                await _in_turns(list(topic.listeners), _end)
            else:
                touch.shown = (topic.session, topic.questions.get(False)) != before
                await self._tell(topic, topic.row, touch)

    async def _tell(self, topic: Channel, row: LiveSessionRow, touch: _Touch) -> None:
        """Wake the streams that have news: of those of people who are touched each once it is read what is theirs."""
        # not of all on each change of the public view: a thousand people who answer would cause a million reads
        people = [one for one in topic.people if touch.everything or touch.session or one in touch.people]
        streams: dict[Pubkey | None, list[Subscriber]] = {None: [], **{one: [] for one in people}}
        for listener in topic.listeners:
            of = None if listener.viewer is None else listener.viewer.pubkey
            streams.get(of, streams[None]).append(listener)
        await _in_turns(streams[None], partial(_wake, row, touch, ()))
        async for part in in_slices(people, _READ_AT_ONCE):
            changed = await self._own_news(topic, row, part)
            await _in_turns([one for person in part for one in streams[person]], partial(_wake, row, touch, changed))

    async def _read(self, session_address: str, topic: Channel) -> None:
        topic.row = await self._store.sessions.where("lessonId").equals(session_address).first()
        topic.session = None if topic.row is None else EncodedView.of_model(await self._views.sessions.one(topic.row))

    async def _read_questions(self, topic: Channel) -> None:
        if topic.row is None:
            return
        for leading, seen in (await both_views(self._store, topic.row, self._views.people.names_of)).items():
            topic.questions[leading] = await beside_loop(len(seen.questions), partial(EncodedView.of_model, seen))

    async def _own_news(self, topic: Channel, row: LiveSessionRow, people: Sequence[Pubkey]) -> set[Pubkey]:
        """Read what is theirs; returns those for whom it changed."""
        async with topic.reading:
            before = {pubkey: topic.own.get(pubkey) for pubkey in people}
            await self._read_own(topic, row, people)
            return {pubkey for pubkey in people if topic.own.get(pubkey) != before[pubkey]}

    async def _read_own(self, topic: Channel, row: LiveSessionRow, people: Sequence[Pubkey]) -> None:
        own = await self._views.attendance.own_rows(row, people)
        topic.own.update(await beside_loop(len(own), partial(_encoded, own)))
        topic.forget_the_gone(people)


def _end(listeners: Iterable[Subscriber]) -> None:
    for listener in listeners:
        listener.closed = True
        listener.notify()


def _pause_after(batch: Batch, streams: int) -> float:
    has_votes = any(change.table == QUESTION_VOTES.name for change in batch.changes)
    return (VOTE_SECONDS if has_votes else SETTLE_SECONDS) + streams * STREAM_SECONDS


def _encoded(own: Mapping[Pubkey, BaseModel]) -> dict[Pubkey, EncodedView]:
    return {pubkey: EncodedView.of_model(model) for pubkey, model in own.items()}


class _Touch:
    """The changes of one session: in which tables, and whose rows; or `everything`, where it is not known.

    `shown`: the public view is another one.
    """

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self.people: set[str] = set()
        self.session = False
        self.everything = False
        self.shown = False


def _touched(batch: Batch) -> dict[str, _Touch]:
    touched: dict[str, _Touch] = defaultdict(_Touch)
    for change in batch.changes:
        row = change.after or change.before
        if isinstance(row, _OfASession):
            touched[row.session_address].tables.add(change.table)
            if isinstance(row, LiveSessionRow):
                touched[row.session_address].session = True
            elif isinstance(row, _OfAPerson) and not _is_only_planned(change):
                touched[row.session_address].people.add(row.pubkey)
    return touched


def _is_only_planned(change: Change) -> bool:
    """Whether it is a message that was not tried: a session that moves has those to thousands planned again."""
    rows = [row for row in (change.before, change.after) if row is not None]
    return all(isinstance(row, LedgerRow | LetterRow) and row.state not in TRIED for row in rows)


def _wake(row: LiveSessionRow, touch: _Touch, changed: Collection[Pubkey], listeners: Iterable[Subscriber]) -> None:
    for listener in listeners:
        leading = leads(row, listener.viewer)
        listener.own_changed |= listener.viewer is not None and listener.viewer.pubkey in changed
        if leading:
            listener.changed |= touch.tables
            listener.changed_all |= touch.everything
        if touch.shown or leading or listener.own_changed:
            listener.notify()


async def _in_turns(listeners: Sequence[Subscriber], act: Callable[[Sequence[Subscriber]], None]) -> None:
    """Wake some streams at a time: each then writes, and other work has its turn in between."""
    async for part in in_slices(listeners, _WOKEN_AT_ONCE):
        act(part)
