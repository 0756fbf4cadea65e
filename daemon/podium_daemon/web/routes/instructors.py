"""Who may hold sessions here: shown to anybody, changed by the service's key, and claimed once by the operator."""

from __future__ import annotations

from fastapi import APIRouter

from podium_daemon.api.instructors import ClaimIn, InstructorIn, InstructorOut, InstructorsOut
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.web.context import Context, InContext, forbidden, granted
from podium_daemon.web.login import Caller, KeyCaller
from podium_daemon.web.strict_json import StrictRoute
from podium_protocol.events import Pubkey
from podium_protocol.nips import nip19

router = APIRouter(prefix="/api/instructors", tags=["service"], route_class=StrictRoute)


@router.get("")
async def list_instructors(context: InContext) -> InstructorsOut:
    """The instructors of this service, and where each is listed."""
    return _shown(context)


@router.post("")
async def add_instructor(context: InContext, caller: KeyCaller, wish: InstructorIn) -> InstructorsOut:
    """Add an instructor at once; for the service's own key."""
    _only_the_service(context, caller)
    return _done(context, await context.instructor_list.add(Pubkey(wish.pubkey)))


@router.post("/remove")
async def remove_instructor(context: InContext, caller: KeyCaller, wish: InstructorIn) -> InstructorsOut:
    """Remove an instructor who was added here; their sessions stay. For the service's own key."""
    _only_the_service(context, caller)
    return _done(context, await context.instructor_list.remove(Pubkey(wish.pubkey)))


@router.post("/claim")
async def claim_service(context: InContext, caller: KeyCaller, wish: ClaimIn) -> InstructorsOut:
    """Become an instructor by the link that the daemon printed when it started; it is good once."""
    return _done(context, await context.instructor_list.claim(wish.secret, caller.pubkey))


def _only_the_service(context: Context, caller: Caller) -> None:
    if caller.pubkey != context.service_pubkey:
        raise forbidden(
            "only the service's own key changes the list of instructors", "Sign the call with the service's key."
        )


def _done(context: Context, refused: Rejection | None) -> InstructorsOut:
    granted(refused)
    return _shown(context)


def _shown(context: Context) -> InstructorsOut:
    added = context.instructor_list.added
    return InstructorsOut(
        instructors=tuple(
            InstructorOut(
                pubkey=pubkey,
                npub=nip19.encode_npub(Pubkey(pubkey)),
                name=context.views.people.name_of(Pubkey(pubkey)),
                listed_in="list" if pubkey in added else "configuration",
            )
            for pubkey in context.service().instructors
        )
    )
