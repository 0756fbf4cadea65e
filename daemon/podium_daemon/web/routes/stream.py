"""A session as it changes, over server-sent events (WHATWG HTML, section 9.2).

Any visitor gets the public view. A caller who signs (NIP-98) also gets their own rows, and instructor and co-hosts get
the lists. A page that lost the connection returns with `Authorization: Podium <pass>`, so that the extension need not
ask the person again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from podium_daemon.api.base import Model
from podium_daemon.api.rooms import RoomOut
from podium_daemon.api.sessions import PassOut
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.runtime.secret_table import SecretTable
from podium_daemon.runtime.secret_table import digest_of as digest_of_secret
from podium_daemon.web.context import Context, InContext
from podium_daemon.web.login import LoginDoor
from podium_daemon.web.problems import Problem, also
from podium_daemon.web.question_views import NOTHING
from podium_daemon.web.routes.rooms import show_room
from podium_daemon.web.views import leads
from podium_daemon.web.watch import StreamHub, Subscriber, digest_of
from podium_protocol.events import Pubkey
from podium_storage.table.models import LiveSessionRow

router = APIRouter(prefix="/api/sessions/{reference}", tags=["sessions"])

BEAT_SECONDS: Final = 4.0  # proxies end silent connections; a page in the background times its heartbeats by it
LEADER_SECONDS: Final = 1.0  # people at the door are in memory and in no table: leaders' views are read by the clock
MAX_SECONDS: Final = 3600.0  # a stream then ends, and the page opens the next one
MAX_ROWS: Final = 1_000  # of one list in one event; the signed reads have all
PASS_SECONDS: Final = 300
_MAX_PASSES: Final = 4_000
_NO_QUESTIONS: Final = digest_of(NOTHING.model_dump_json(by_alias=True))  # an empty list is not sent at first


Passes: TypeAlias = SecretTable[Pubkey]
"""Secrets that stand for a proven key, each valid for one more stream."""


def new_passes(clock: Clock, random_bytes: Callable[[int], bytes]) -> Passes:
    """Make the table of passes; a pass is valid while its stream is open, and `PASS_SECONDS` longer."""
    return SecretTable(clock, random_bytes, maximum=_MAX_PASSES)


async def _viewer(request: Request) -> Pubkey | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    if not header.startswith("Podium "):
        door: LoginDoor = request.app.state.login_door
        return (await door.check(request)).pubkey
    passes: Passes = request.app.state.passes
    pubkey = passes.redeem(header.removeprefix("Podium "))
    if pubkey is None:
        detail = "the pass is unknown, used or too old"
        raise Problem(Slug.PASS, detail, "Sign in again.")
    return pubkey


Viewer = Annotated[Pubkey | None, Depends(_viewer)]
_EVENTS: Final = "session, questions, me, pass; rsvps, reminders, unreachable, attendance and room for leaders"
_ANSWER: Final = also("text/event-stream", _EVENTS)


@router.get("/events", response_class=StreamingResponse, responses=_ANSWER)
async def stream_session(context: InContext, viewer: Viewer, reference: str, request: Request) -> StreamingResponse:
    """The session, sent again on each change. `Last-Event-ID` leaves out the view that the caller has already."""
    row = await context.views.resolve(reference, viewer)
    stream = _Stream(context, row, viewer, request.app.state.passes, request.headers.get("last-event-id", ""))
    watch: StreamHub = request.app.state.watch
    events = stream.events(watch)
    first = await anext(events)  # here a refusal can still be the answer's status
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_joined(first, events), media_type="text/event-stream", headers=headers)


async def _joined(first: str, rest: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    try:
        yield first
        async for text in rest:
            yield text
    finally:
        await rest.aclose()


class _Stream:
    """One person's view of one session, written as events."""

    def __init__(
        self, context: Context, row: LiveSessionRow, viewer: Pubkey | None, passes: Passes, last_id: str
    ) -> None:
        self._context = context
        self._session_address = row.session_address
        self._leading = leads(row, viewer)
        self._viewer = viewer
        self._passes = passes
        self._sent = {"session": last_id, "questions": _NO_QUESTIONS}

    async def events(self, watch: StreamHub) -> AsyncGenerator[str, None]:
        ends_at = self._context.clock.monotonic() + MAX_SECONDS
        secret = None
        with watch.listen(self._session_address, self._viewer, leading=self._leading) as listener:
            try:
                yield "retry: 2000\n\n"
                if self._viewer is not None:
                    secret = self._passes.issue(self._viewer)
                    yield _event("pass", PassOut(secret=secret, seconds=PASS_SECONDS).model_dump_json(by_alias=True))
                await watch.current(self._session_address, listener.topic)
                while not listener.closed and self._context.clock.monotonic() < ends_at:
                    for text in await self._news(listener):
                        yield text
                    if not await listener.rung_within(self._patience(listener)):
                        yield ": beat\n\n"
            finally:
                if secret is not None:
                    self._passes.expire_in(digest_of_secret(secret), PASS_SECONDS)

    async def _news(self, listener: Subscriber) -> list[str]:
        topic = listener.topic
        if topic.row is None or topic.text is None or not self._context.views.may_see(topic.row, self._viewer):
            listener.closed = True  # the session is gone, or is private and this person is no longer invited
            return []
        news = self._fresh("session", topic.text, topic.digest)
        news += self._fresh("questions", *topic.questions[leads(topic.row, self._viewer)])
        if self._viewer is None:
            return news
        if listener.own_changed:
            listener.own_changed = False
            news += self._fresh("me", _json(await self._context.views.own(topic.row, self._viewer)))
        if leads(topic.row, self._viewer):
            store = self._context.store
            names = {
                table.name for table in (store.rsvps, store.ledger, store.letters, store.attendance, store.watches)
            }
            changed = names if listener.changed_all else listener.changed
            listener.changed, listener.changed_all = set(), False
            news += await self._lists(topic.row, self._viewer, changed)
        return news

    async def _lists(self, row: LiveSessionRow, viewer: Pubkey, changed: set[str]) -> list[str]:
        views, store = self._context.views, self._context.store
        news: list[str] = []
        if changed & {store.rsvps.name, store.ledger.name}:
            news += self._fresh("rsvps", _rows(await views.rsvps(row, None)))
        if changed & {store.ledger.name, store.letters.name}:
            news += self._fresh("reminders", _rows(await views.reminders(row, None)))
            news += self._fresh("unreachable", _rows(await views.unreachable(row, None)))
        if changed & {store.attendance.name, store.watches.name}:
            news += self._fresh("attendance", _rows(await views.attendance(row, None)))
        room: RoomOut = await show_room(self._context, viewer, row.session_address)
        return [*news, *self._fresh("room", _json(room))]

    def _fresh(self, name: str, text: str, digest: str | None = None) -> list[str]:
        """The event, unless the same was sent before."""
        digest = digest or digest_of(text)
        if self._sent.get(name) == digest:
            return []
        self._sent[name] = digest
        return [_event(name, text, digest if name == "session" else None)]

    def _patience(self, listener: Subscriber) -> float:
        return LEADER_SECONDS if listener.topic.row and leads(listener.topic.row, self._viewer) else BEAT_SECONDS


def _event(name: str, text: str, event_id: str | None = None) -> str:
    # JSON has no bare line break, so no text of a stranger can end the field and begin another
    return f"event: {name}\n{f'id: {event_id}{chr(10)}' if event_id else ''}data: {text}\n\n"


def _json(model: BaseModel) -> str:
    return model.model_dump_json(by_alias=True)


def _rows(rows: Sequence[Model]) -> str:
    items = [row.model_dump(by_alias=True) for row in rows[:MAX_ROWS]]
    return msgspec.json.encode({"items": items, "total": len(rows)}).decode()
