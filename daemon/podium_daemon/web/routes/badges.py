"""Badges (NIP-58): participants ask for one beside their certificate, and the instructor signs the awards."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from podium_daemon.api.badges import AskedBadgeOut, AskedBadgesOut, BadgeOut
from podium_daemon.api.sessions import DraftOut
from podium_daemon.web.context import InContext, forbidden, granted
from podium_daemon.web.drafts import template
from podium_daemon.web.login import KeyCaller
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.events import Pubkey
from podium_protocol.nips.nip19 import encode_npub
from podium_storage.table.models import BadgeRow

router = APIRouter(prefix="/api/sessions/{reference}", tags=["badges"], route_class=StrictRoute)
_NOTICE: Final = "Public: anybody can read on the relays who completed this session."


@router.get("/badge")
async def show_badge(context: InContext, caller: KeyCaller, reference: str) -> BadgeOut:
    """Whether the caller asked for the session's badge, and got it."""
    row = await context.views.resolve(reference, caller)
    return _out(await context.badges.of(row, caller.pubkey))


@router.post("/badge")
async def ask_for_badge(context: InContext, caller: KeyCaller, reference: str) -> BadgeOut:
    """Ask the instructor for the session's badge, which is public. Only a key of one's own can have one."""
    row = await context.views.resolve(reference, caller)
    return _out(granted(await context.badges.ask(row, caller.pubkey)))


@router.delete("/badge")
async def take_back_badge(context: InContext, caller: KeyCaller, reference: str) -> BadgeOut:
    """Ask for it no longer; one that the instructor has signed stays on the relays."""
    row = await context.views.resolve(reference, caller)
    granted(await context.badges.take_back(row, caller.pubkey))
    return _out(None)


@router.get("/badges")
async def list_badges(context: InContext, caller: KeyCaller, reference: str) -> AskedBadgesOut:
    """Who asked for the badge, and who has it; for those who lead."""
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts see who asked for a badge")
    asked = await context.badges.asked(row)
    names = await context.views.people.names_of(row, (one.pubkey for one in asked))
    badges = tuple(
        AskedBadgeOut(
            pubkey=one.pubkey,
            npub=encode_npub(Pubkey(one.pubkey)),
            name=names[one.pubkey],
            asked_at=one.asked_at,
            award_id=one.award_id,
        )
        for one in asked
    )
    return AskedBadgesOut(badges=badges)


@router.post("/badges/draft")
async def draft_badges(context: InContext, caller: KeyCaller, reference: str) -> DraftOut:
    """Compose the awards that are still to be signed, for the instructor; the first time the definition before them."""
    row = await context.views.resolve(reference, caller)
    if caller.pubkey != row.instructor_pubkey:
        raise forbidden("a badge is the instructor's: nobody else can sign it")
    events = granted(await context.badges.draft(row))
    return DraftOut(lesson_id=row.session_address, events=tuple(map(template, events)), notice=_NOTICE)


def _out(row: BadgeRow | None) -> BadgeOut:
    if row is None:
        return BadgeOut(asked_at=None, award_id=None)
    return BadgeOut(asked_at=row.asked_at, award_id=row.award_id)
