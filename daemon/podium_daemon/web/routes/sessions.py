"""Sessions: look at them, draft, start and end them."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from podium_daemon.web.context import InContext, granted
from podium_daemon.web.login import Caller, OptionalCaller
from podium_daemon.web.models import (
    CancelDraftIn,
    DraftOut,
    PassedOverOut,
    PassedOversOut,
    SessionDraftIn,
    SessionEditIn,
    SessionOut,
    SessionsOut,
)
from podium_daemon.web.strict_json import StrictRoute

router = APIRouter(prefix="/api/sessions", tags=["sessions"], route_class=StrictRoute)
StateName = Literal["scheduled", "active", "ended", "cancelled"]


@router.get("")
async def list_sessions(context: InContext, caller: OptionalCaller, state: StateName | None = None) -> SessionsOut:
    """The sessions of this service, by start; private ones only to those they name, who sign the call."""
    return SessionsOut(sessions=await context.views.sessions(state, caller))


@router.post("/draft")
async def draft_session(context: InContext, caller: Caller, wish: SessionDraftIn) -> DraftOut:
    """Compose a session for the caller to sign."""
    return context.drafts.new_session(caller, wish)


@router.get("/passed-over")
async def list_passed_over(context: InContext, caller: Caller) -> PassedOversOut:
    """What instructors signed elsewhere and is no session here, with the reason; the service's own key sees all."""
    found = granted(await context.passed_over.listed(caller))
    return PassedOversOut(
        events=[
            PassedOverOut(
                event_id=one.event_id,
                lesson_id=one.lesson_id,
                author=one.author,
                title=one.title,
                created_at=one.created_at,
                reason=one.reason,
                keeps=one.keeps,
            )
            for one in found
        ]
    )


@router.get("/{reference}")
async def show_session(context: InContext, caller: OptionalCaller, reference: str) -> SessionOut:
    """One session. `reference`: naddr, address, or a unique prefix of its `d`."""
    return await context.views.session(await context.views.resolve(reference, caller))


@router.post("/{reference}/draft")
async def draft_edit(context: InContext, caller: Caller, reference: str, wish: SessionEditIn) -> DraftOut:
    """Compose the next revision; only the instructor's signature makes it count."""
    return await context.drafts.edit(await context.views.resolve(reference, caller), wish)


@router.post("/{reference}/cancel/draft")
async def draft_cancellation(context: InContext, caller: Caller, reference: str, wish: CancelDraftIn) -> DraftOut:
    """Compose the cancelled revision and its deletion, to be signed in this order."""
    return await context.drafts.cancellation(await context.views.resolve(reference, caller), wish.reason)


@router.post("/{reference}/start")
async def start_session(context: InContext, caller: Caller, reference: str) -> SessionOut:
    """Start now. The login of this call is the instructor's signed command."""
    row = await context.views.resolve(reference, caller)
    return await context.views.session(granted(await context.lifecycle.start(row.lesson_id, caller)))


@router.post("/{reference}/end")
async def end_session(context: InContext, caller: Caller, reference: str) -> SessionOut:
    """End now."""
    row = await context.views.resolve(reference, caller)
    return await context.views.session(granted(await context.lifecycle.end(row.lesson_id, caller)))


@router.post("/{reference}/reopen")
async def reopen_session(context: InContext, caller: Caller, reference: str) -> SessionOut:
    """Open a session again shortly after its end; a second run is added, the first stays."""
    row = await context.views.resolve(reference, caller)
    return await context.views.session(granted(await context.lifecycle.reopen(row.lesson_id, caller)))
