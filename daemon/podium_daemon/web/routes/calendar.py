"""Calendars to subscribe to: one address for each person, to be kept secret like a password."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request, Response

from podium_daemon.api.sessions import CalendarOut
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.calendar_revisions import CalendarRevisions
from podium_daemon.web.calendars import CalendarTokens, Entry, Revision, Written
from podium_daemon.web.context import Context, InContext
from podium_daemon.web.etags import etag_of, has_version
from podium_daemon.web.login import AnyCaller, Caller, OptionalCaller
from podium_daemon.web.problems import Problem, also
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import Views
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.guests import guests_for, speaks_for
from podium_storage.table.models import GuestRow, LiveSessionRow, RsvpRow

router = APIRouter(tags=["calendar"], route_class=StrictRoute)
_COMES: Final = (RsvpStatus.CONFIRMED, RsvpStatus.TENTATIVE)
_LOOK_BACK: Final = 180 * 24 * 3600  # seconds; programs fetch this every hour, and history is on the page
_MOST: Final = 1000
_EVERY_SESSION: Final = "*"  # as the rows of opt-outs have it
_MEDIA_TYPE: Final = "text/calendar; charset=utf-8"

Found = tuple[LiveSessionRow, RsvpRow | None]

_ANSWERS: Final = {
    **also("text/calendar", "The calendar, with its ETag."),
    HTTPStatus.NOT_MODIFIED.value: {"description": "The caller has this version: see `If-None-Match`."},
}

_ONE_SESSION: Final = also("text/calendar", "The calendar with this one session.")


def _tokens(request: Request) -> CalendarTokens:
    tokens: CalendarTokens = request.app.state.calendar_tokens
    return tokens


InTokens = Annotated[CalendarTokens, Depends(_tokens)]


@router.post("/api/calendar")
async def create_calendar_address(context: InContext, tokens: InTokens, caller: AnyCaller) -> CalendarOut:
    """The address of the caller's calendar. Any person who knows the address can read the calendar.

    That of a guest, or of who came by a link, has the one session of their login.
    """
    return await _address(context, tokens, await _owner(context, caller))


@router.post("/api/calendar/revoke")
async def revoke_calendar_address(context: InContext, tokens: InTokens, caller: AnyCaller) -> CalendarOut:
    """Revoke the calendar addresses given to the caller so far; the answer is a new one."""
    owner = await _owner(context, caller)
    await tokens.revoke(owner)
    return await _address(context, tokens, owner)


@router.get("/calendar/{token}.ics", response_class=Response, responses=_ANSWERS)
async def show_calendar(
    context: InContext, tokens: InTokens, token: str, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """The sessions that a person leads, or answered `confirmed` or `tentative` to, as iCalendar (RFC 5545)."""
    owner = await tokens.owner(token)
    if owner is None:
        # never an echo of the token: it may be a good one with a letter too many
        detail = "no calendar is at this address, or its address was revoked"
        raise Problem(Slug.UNKNOWN_CALENDAR, detail, "`podium calendar` prints the one of today.")
    found, face = await _sessions(context, owner), context.calendar()
    # on threads: hundreds of entries take longer than the event loop may be blocked
    entries = await asyncio.to_thread(_written, context.views, found, face.alarms, await _quiet(context, owner))
    revisions = await CalendarRevisions(context.store, context.clock).revisions_of(owner, entries)
    raw = await asyncio.to_thread(_composed, entries, revisions, face.name, owner)
    tag = etag_of(raw)
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": 'inline; filename="podium.ics"',
    }
    if has_version(if_none_match, tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(raw, media_type=_MEDIA_TYPE, headers=headers)


@router.get("/api/sessions/{reference}/calendar.ics", response_class=Response, responses=_ONE_SESSION)
async def show_session_calendar(context: InContext, caller: OptionalCaller, reference: str) -> Response:
    """One session as iCalendar (RFC 5545), to add to a calendar once. A private session only for its people."""
    row = await context.views.resolve(reference, caller)
    rsvp = None
    if caller is not None and caller.pubkey != row.instructor_pubkey:
        rsvp = await context.store.rsvps.where("[lessonId+pubkey]").equals([row.session_address, caller.pubkey]).first()
    # no alarms for others: they are reminded by messages, or by the calendar that they subscribe to
    is_guest = caller is not None and not caller.has_key
    alarms = context.calendar().alarms if is_guest else ()
    entries = await asyncio.to_thread(_written, context.views, [(row, rsvp)], alarms)
    # the caller may be any visitor, so no version is stored: each copy counts as newer than the one before
    revision = CalendarRevisions(context.store, context.clock).now()
    name, count = context.calendar().name, len(entries)
    raw = await asyncio.to_thread(_composed, entries, [revision] * count, name, row.session_address)
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="podium-session.ics"'}
    return Response(raw, media_type=_MEDIA_TYPE, headers=headers)


async def _address(context: Context, tokens: CalendarTokens, caller: Pubkey) -> CalendarOut:
    return CalendarOut(url=f"{context.public_url.rstrip('/')}/calendar/{await tokens.token(caller)}.ics")


async def _owner(context: Context, caller: Caller) -> Pubkey:
    """Whose calendar a caller may have: their own, or that of the guest as whom they came to one session.

    The calendar of the person whose link it was has all their sessions, which a link must not show.
    """
    if caller.session_address is None:
        return caller.pubkey
    guests = await guests_for(context.store, caller.session_address, [caller.pubkey])
    return Pubkey(guests[0].pubkey) if guests else caller.pubkey


async def _of_guest(context: Context, guest: GuestRow) -> list[Found]:
    """The session of a guest who can still come, unless they said that they do not."""
    row = await context.store.sessions.where("lessonId").equals(guest.session_address).first()
    if row is None or guest.revoked_at is not None or row.scheduled_at <= int(context.clock.now()) - _LOOK_BACK:
        return []
    person = speaks_for(row, guest)
    if guest.person is not None and not private.may_attend(row, guest.person):
        return []
    key = [row.session_address, person]
    rsvp = await context.store.rsvps.where("[lessonId+pubkey]").equals(key).first()
    return [] if rsvp is not None and rsvp.status not in _COMES else [(row, rsvp)]


async def _sessions(context: Context, owner: Pubkey) -> list[Found]:
    store = context.store
    if (guest := await store.guests.where("pubkey").equals(owner).first()) is not None:
        return await _of_guest(context, guest)
    since = int(context.clock.now()) - _LOOK_BACK
    answers = await store.rsvps.where("pubkey").equals(owner).to_list()
    mine = {answer.session_address: answer for answer in answers if answer.status in _COMES}
    attended = await store.sessions.where("lessonId").any_of(sorted(mine)).to_list()
    led_by = store.sessions.where("scheduledAt").above(since).and_("instructorPubkey").equals(owner)
    led = await led_by.reverse().limit(_MOST).to_list()
    rows = {row.session_address: row for row in (*attended, *led) if row.scheduled_at > since}
    newest = sorted(rows.values(), key=lambda row: row.scheduled_at, reverse=True)[:_MOST]
    return [(row, None if row.instructor_pubkey == owner else mine.get(row.session_address)) for row in newest]


async def _quiet(context: Context, owner: Pubkey) -> frozenset[str]:
    """The sessions for which a person said `stop`, or "*" for all."""
    rows = await context.store.opt_outs.where("pubkey").equals(owner).to_list()
    return frozenset(row.session_address for row in rows)


def _written(
    views: Views, found: Sequence[Found], alarms: tuple[int, ...], quiet: Collection[str] = ()
) -> list[Written]:
    from podium_daemon.web.calendar_feed import (
        write_entries,
    )  # a large library, which takes memory once it is asked for

    return write_entries(
        Entry(row, rsvp, views.page(row), () if {row.session_address, _EVERY_SESSION} & set(quiet) else alarms)
        for row, rsvp in found
    )


def _composed(entries: Sequence[Written], revisions: Sequence[Revision], name: str, owner: str) -> bytes:
    from podium_daemon.web.calendar_feed import feed

    return feed(zip(entries, revisions, strict=True), name=name, owner=owner)
