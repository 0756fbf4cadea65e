"""Sessions: list and show them, draft, start and end them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from podium_daemon.api.sessions import (
    CancelDraftIn,
    DraftOut,
    InvitationOut,
    PassedOverOut,
    PassedOversOut,
    SeriesOut,
    SessionDraftIn,
    SessionEditIn,
    SessionOut,
    SessionsOut,
)
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.signers.qr import qr_rows
from podium_daemon.web.context import InContext, granted
from podium_daemon.web.etags import has_version
from podium_daemon.web.login import KeyCaller, OptionalCaller, author_of
from podium_daemon.web.markdown import parse_markdown
from podium_daemon.web.problems import Problem
from podium_daemon.web.session_list import MAX_SESSIONS, Asked, SessionList
from podium_daemon.web.strict_json import StrictRoute
from podium_protocol.nips import nip19

router = APIRouter(prefix="/api/sessions", tags=["sessions"], route_class=StrictRoute)
StateName = Literal["scheduled", "active", "ended", "cancelled"]
_LISTED: Final[dict[int | str, dict[str, Any]]] = {
    HTTPStatus.NOT_MODIFIED.value: {"description": "The caller has this version: see `If-None-Match`."}
}


def _list(request: Request) -> SessionList:
    found: SessionList = request.app.state.session_list
    return found


def _asked(
    state: StateName | None = None,
    order: Annotated[Literal["start", "newest"], Query(description="`newest`: the latest start first.")] = "start",
    limit: Annotated[int, Query(ge=1, le=MAX_SESSIONS, description="How many in one answer.")] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31, description="How many to leave out: `next` of an answer.")] = 0,
) -> Asked:
    return Asked(state, order, limit, offset)


@router.get("", response_model=SessionsOut, responses=_LISTED)
async def list_sessions(
    caller: OptionalCaller,
    sessions: Annotated[SessionList, Depends(_list)],
    asked: Annotated[Asked, Depends(_asked)],
    if_none_match: Annotated[str | None, Header(description="The `ETag` of the version one has.")] = None,
) -> Response:
    """The sessions of this service, by start; private ones only to those they name, who sign the call."""
    known = sessions.unchanged_version(asked, caller, if_none_match)
    if known is not None:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_versioned(known))
    told = await sessions.shown_part(asked, caller)
    if has_version(if_none_match, told.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_versioned(told.etag))
    return Response(told.body, media_type="application/json", headers=_versioned(told.etag))


def _versioned(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Vary": "Authorization"}


@router.post("/draft")
async def draft_session(context: InContext, caller: OptionalCaller, wish: SessionDraftIn) -> DraftOut:
    """Compose a session for the caller, or `pubkey`, to sign; an author who may hold none here is refused before."""
    author = author_of(caller, wish.pubkey)
    if author not in context.service().instructors:
        detail = f"{nip19.encode_npub(author)} is not on this service's list of instructors"
        advice = "The operator of the service adds this npub: `podium instructors add`, or `instructors.allow`."
        raise Problem(Slug.NOT_AN_INSTRUCTOR, detail, advice)
    return context.drafts.new_session(author, wish) if wish.repeat is None else await context.series.new(author, wish)


@router.get("/passed-over")
async def list_passed_over(context: InContext, caller: KeyCaller) -> PassedOversOut:
    """Events that the caller signed elsewhere and that are no sessions here, with the reason; the service sees all."""
    found = granted(await context.passed_over.listed(caller.pubkey))
    return PassedOversOut(
        events=tuple(
            PassedOverOut(
                event_id=one.event_id,
                lesson_id=one.session_address,
                author=one.author,
                title=one.title,
                created_at=one.created_at,
                reason=one.reason,
                keeps=one.keeps,
            )
            for one in found
        )
    )


@router.get("/{reference}")
async def show_session(context: InContext, caller: OptionalCaller, reference: str) -> SessionOut:
    """One session. `reference`: naddr, address, or a unique prefix of its `d`."""
    return await context.views.sessions.one(await context.views.resolve(reference, caller))


@router.get("/{reference}/series")
async def show_series(context: InContext, caller: OptionalCaller, reference: str) -> SeriesOut:
    """All dates of the series that a session belongs to, as far as the caller may see them."""
    row = await context.views.resolve(reference, caller)
    return await context.series.dates(context.views, row, caller)


@router.post("/{reference}/series/draft")
async def draft_series_calendar(context: InContext, caller: KeyCaller, reference: str) -> DraftOut:
    """Compose the calendar of the series anew, with the dates that take place; no events, if it lists just those."""
    return await context.series.calendar(await context.views.resolve(reference, caller))


@router.get("/{reference}/invitation")
async def show_invitation(context: InContext, caller: OptionalCaller, reference: str) -> InvitationOut:
    """What a page shows beside the session: its description, read as Markdown, and its address as a QR code."""
    row = await context.views.resolve(reference, caller)
    # a long text, or a code of a long address, takes some milliseconds
    description = await asyncio.to_thread(parse_markdown, row.description)
    code = await asyncio.to_thread(qr_rows, context.views.page(row))
    return InvitationOut(description=description, qr=code)


@router.post("/{reference}/draft")
async def draft_edit(context: InContext, caller: KeyCaller, reference: str, wish: SessionEditIn) -> DraftOut:
    """Compose the next revision, or those of all that follow; only the instructor's signature makes it count."""
    return await context.series.edit(await context.views.resolve(reference, caller), wish)


@router.post("/{reference}/cancel/draft")
async def draft_cancellation(context: InContext, caller: KeyCaller, reference: str, wish: CancelDraftIn) -> DraftOut:
    """Compose the cancelled revision and its deletion, of one session or of all that follow, and their calendar."""
    row = await context.views.resolve(reference, caller)
    return await context.series.cancellation(row, wish.reason, following=wish.following)


@router.post("/{reference}/restore/draft")
async def draft_restoration(context: InContext, caller: KeyCaller, reference: str) -> DraftOut:
    """Compose the revision that takes a cancellation back, within the session's time, so that it takes place."""
    return await context.series.restoration(await context.views.resolve(reference, caller))


@router.post("/{reference}/start")
async def start_session(context: InContext, caller: KeyCaller, reference: str) -> SessionOut:
    """Start now. The login of this call is the signed command of the instructor or a co-host."""
    row = await context.views.resolve(reference, caller)
    return await context.views.sessions.one(granted(await context.lifecycle.start(row.session_address, caller.pubkey)))


@router.post("/{reference}/end")
async def end_session(context: InContext, caller: KeyCaller, reference: str) -> SessionOut:
    """End now."""
    row = await context.views.resolve(reference, caller)
    return await context.views.sessions.one(granted(await context.lifecycle.end(row.session_address, caller.pubkey)))


@router.post("/{reference}/reopen")
async def reopen_session(context: InContext, caller: KeyCaller, reference: str) -> SessionOut:
    """Reopen a session shortly after its end; a second run is added, the first stays."""
    row = await context.views.resolve(reference, caller)
    return await context.views.sessions.one(granted(await context.lifecycle.reopen(row.session_address, caller.pubkey)))
