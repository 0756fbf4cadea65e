"""A session as it changes, over server-sent events (WHATWG HTML, section 9.2).

Anybody gets the public view. Who signed in also gets what is theirs, and a leader gets the lists.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints

from podium_daemon.api.base import Model
from podium_daemon.api.rooms import RoomOut
from podium_daemon.web.channels import Bell, EncodedView, Subscriber
from podium_daemon.web.context import Context, InContext
from podium_daemon.web.guard import origin_of_caller
from podium_daemon.web.login import Caller, OptionalCaller
from podium_daemon.web.person_names import beside_loop
from podium_daemon.web.problems import Problem, also
from podium_daemon.web.question_views import NOTHING
from podium_daemon.web.routes.rooms import show_room
from podium_daemon.web.views import leads
from podium_daemon.web.watch import StreamHub
from podium_storage.table.models import LiveSessionRow

router = APIRouter(tags=["sessions"])

BEAT_SECONDS: Final = 4.0  # proxies end silent connections; a page in the background times its heartbeats by it
LEADER_SECONDS: Final = 1.0  # people at the door are in memory and in no table: leaders' views are read by the clock
MAX_SECONDS: Final = 3600.0  # a stream then ends, and the page opens the next one
MAX_SESSIONS: Final = 32  # of one stream: a browser with more tabs than that has another one for the rest
USUAL_ROWS: Final = 100  # of one list in one event; the signed reads have all, and parts of them
MAX_ROWS: Final = 1_000  # for programs that ask for more
_REST: Final = 20  # times as long as a leader's lists took to read
MAX_REST: Final = 5.0  # seconds
_NO_QUESTIONS: Final = EncodedView.of_model(NOTHING).digest  # an empty list is not sent at first


_EVENTS: Final = "session, questions, me; rsvps, reminders, unreachable, named, attendance and room for leaders"
_ANSWER: Final = also("text/event-stream", _EVENTS)
Several = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~:-]{1,2048}$")]],
    Query(alias="session", min_length=1, max_length=MAX_SESSIONS, description="Once for each session."),
]


Rows = Annotated[int, Query(ge=1, le=MAX_ROWS, description="How many people are told in each of a leader's lists.")]


@router.get("/api/sessions/{reference}/events", response_class=StreamingResponse, responses=_ANSWER)
async def stream_session(
    context: InContext, viewer: OptionalCaller, reference: str, request: Request, rows: Rows = USUAL_ROWS
) -> StreamingResponse:
    """The session, sent again on each change. `Last-Event-ID` leaves out the view that the caller has already."""
    row = await context.views.resolve(reference, viewer)
    view = _View(context, row, viewer, last_id=request.headers.get("last-event-id", ""), rows=rows)
    return await _answer(_told(context, request.app.state.watch, [view], origin_of_caller(request.scope)))


@router.get("/api/stream", response_class=StreamingResponse, responses=_ANSWER)
async def stream_sessions(
    context: InContext, viewer: OptionalCaller, references: Several, request: Request
) -> StreamingResponse:
    """Several sessions over one connection: the name of each event is followed by the reference that it is about.

    A session that the caller may not see, or that is not there, is one event `refused` with its problem document.
    """
    views: list[_View] = []
    refused: list[bytes] = []
    for reference in dict.fromkeys(references):
        try:
            row = await context.views.resolve(reference, viewer)
        except Problem as problem:
            refused.append(_refusal(reference, problem))
        else:
            views.append(_View(context, row, viewer, reference=reference))
    address = origin_of_caller(request.scope)
    return await _answer(_told(context, request.app.state.watch, views, address, refused=refused))


async def _answer(events: AsyncGenerator[bytes, None]) -> StreamingResponse:
    first = await anext(events)  # here a refusal can still be the answer's status
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_joined(first, events), media_type="text/event-stream", headers=headers)


async def _joined(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for text in rest:
            yield text
    finally:
        await rest.aclose()


async def _told(
    context: Context, watch: StreamHub, views: Sequence[_View], address: str, *, refused: Sequence[bytes] = ()
) -> AsyncGenerator[bytes, None]:
    """The texts of one stream. It ends with the first of its sessions that is over for this caller: they ask again."""
    ends_at, bell = context.clock.monotonic() + MAX_SECONDS, Bell()
    with ExitStack() as stack:
        stack.callback(bell.close)
        if views:
            leading = any(view.leading for view in views)
            stack.enter_context(watch.places.take_place(views[0].viewer, leading=leading, address=address))
        listening = [(view, stack.enter_context(view.listen(watch, bell))) for view in views]
        yield b"".join([b"retry: 2000\n\n", *refused])
        for view, listener in listening:
            await watch.current(view.session_address, listener.topic)
        while listening and not _is_any_closed(listening) and context.clock.monotonic() < ends_at:
            for view, listener in listening:
                if news := await view.news(watch, listener):
                    yield b"".join(news)
            patience = min(view.patience(listener) for view, listener in listening)
            if not await bell.news_within(patience):
                yield b": beat\n\n"
        if any(listener.signed_out for _, listener in listening):
            yield _event(
                "signed-out", EncodedView.of(b"{}")
            )  # so that a page does not come back with a login that has ended


def _is_any_closed(listening: Sequence[tuple[_View, Subscriber]]) -> bool:
    return any(listener.closed for _, listener in listening)


class _View:
    """One person's view of one session, written as events; in a stream of several their names end in `reference`."""

    def __init__(
        self,
        context: Context,
        row: LiveSessionRow,
        viewer: Caller | None,
        *,
        last_id: str = "",
        reference: str = "",
        rows: int = USUAL_ROWS,
    ) -> None:
        self._context = context
        self._rows = rows
        self.session_address = row.session_address
        self.leading = leads(row, viewer)
        self.viewer = viewer
        self.reference = reference
        self._sent = {"session": last_id, "questions": _NO_QUESTIONS}
        self._totals: dict[str, int] = {}
        self._rests_until = 0.0

    def listen(self, watch: StreamHub, bell: Bell) -> AbstractContextManager[Subscriber]:
        return watch.listen(self.session_address, self.viewer, bell)

    async def news(self, watch: StreamHub, listener: Subscriber) -> list[bytes]:
        topic = listener.topic
        if topic.row is None or topic.session is None or not self._context.views.may_see(topic.row, self.viewer):
            listener.closed = True  # the session is gone, or is private and this person is no longer invited
            return []
        news = self._fresh("session", topic.session)
        news += self._fresh("questions", topic.questions[leads(topic.row, self.viewer)])
        if self.viewer is None:
            return news
        if listener.own_changed:
            listener.own_changed = False
            news += self._fresh("me", await watch.own(topic, topic.row, self.viewer.pubkey))
        if topic.row is not None and leads(topic.row, self.viewer):
            store = self._context.store
            names = {
                table.name
                for table in (
                    store.sessions,
                    store.rsvps,
                    store.ledger,
                    store.letters,
                    store.attendance,
                    store.watches,
                )
            }
            news += await self._paced_lists(topic.row, self.viewer, listener, names)
        return news

    async def _paced_lists(
        self, row: LiveSessionRow, viewer: Caller, listener: Subscriber, names: set[str]
    ) -> list[bytes]:
        """The lists in which something changed; after long ones a rest, so that a flood costs a part of the time."""
        began = self._context.clock.monotonic()
        if began < self._rests_until:
            return []
        changed = names if listener.changed_all else listener.changed
        listener.changed, listener.changed_all = set(), False
        news = await self._lists(row, viewer, changed)
        ended = self._context.clock.monotonic()
        self._rests_until = ended + min(_REST * (ended - began), MAX_REST)
        return news

    async def _lists(self, row: LiveSessionRow, viewer: Caller, changed: set[str]) -> list[bytes]:
        views, store = self._context.views, self._context.store
        news: list[bytes] = []
        if changed & {store.rsvps.name, store.ledger.name, store.letters.name}:
            part = await views.answers.part(row, offset=0, limit=self._rows)
            news += await self._fresh_list("rsvps", part.rsvps, part.total)
            news += await self._fresh_list("reminders", part.reminders, len(part.reminders))
            away = await views.answers.first_unreachable(row, self._rows)
            news += await self._fresh_list("unreachable", *away)
        if changed & {store.sessions.name, store.letters.name}:
            news += await self._fresh_list("named", *await views.answers.named_people(row, self._rows))
        if changed & {store.attendance.name, store.watches.name}:
            news += await self._fresh_list("attendance", *await views.attendance.part(row, limit=self._rows))
        room: RoomOut = await show_room(self._context, viewer, row.session_address)
        return [*news, *self._fresh("room", EncodedView.of_model(room))]

    def _fresh(self, name: str, view: EncodedView) -> list[bytes]:
        """The event, unless the same was sent before."""
        if self._sent.get(name) == view.digest:
            return []
        self._sent[name] = view.digest
        event_id = view.digest if name == "session" and not self.reference else None
        return [_event(f"{name} {self.reference}".rstrip(), view, event_id)]

    async def _fresh_list(self, name: str, rows: Sequence[Model], total: int) -> list[bytes]:
        """The list with its number, or only the number: thousands who answer do not change who answered first."""
        items = await beside_loop(len(rows), lambda: _encoded(rows))
        digest = EncodedView.of(items).digest
        is_known = self._sent.get(name) == digest
        if is_known and self._totals.get(name) == total:
            return []
        self._sent[name], self._totals[name] = digest, total
        text = b'{"total":%d}' % total if is_known else b'{"items":%b,"total":%d}' % (items, total)
        return [_event(f"{name} {self.reference}".rstrip(), EncodedView.of(text))]

    def patience(self, listener: Subscriber) -> float:
        return LEADER_SECONDS if listener.topic.row and leads(listener.topic.row, self.viewer) else BEAT_SECONDS


def _refusal(reference: str, problem: Problem) -> bytes:
    return _event(f"refused {reference}", EncodedView.of(bytes(problem.response().body)))


def _event(name: str, view: EncodedView, event_id: str | None = None) -> bytes:
    return f"event: {name}\n{f'id: {event_id}{chr(10)}' if event_id else ''}".encode() + view.data


def _encoded(rows: Sequence[Model]) -> bytes:
    return msgspec.json.encode([row.model_dump(by_alias=True) for row in rows])
