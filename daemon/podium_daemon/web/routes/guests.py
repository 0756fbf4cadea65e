"""Guests of one session: they come by a name or a personal link; those who lead make, renew and revoke links."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import msgspec
from fastapi import APIRouter, Depends, Request

from podium_daemon.api.base import EventModel, Hex64
from podium_daemon.api.guests import (
    GuestEventIn,
    GuestIn,
    GuestKeyOut,
    GuestLoginOut,
    GuestOut,
    GuestPasswordIn,
    GuestsOut,
    InviteGuestsIn,
    OpenLinkIn,
)
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.services.guests.guests import BY_LINK, LOGIN_SECONDS
from podium_daemon.web.context import Context, InContext, forbidden, granted
from podium_daemon.web.guard import origin_of_caller
from podium_daemon.web.login import AnyCaller, Caller, InLogins, KeyCaller, LoginTokens
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_daemon.web.watch import StreamHub
from podium_protocol.events import Pubkey
from podium_protocol.nips import nip19
from podium_storage.guests import speaks_for
from podium_storage.table.models import GuestRow, LiveSessionRow

router = APIRouter(prefix="/api/sessions/{reference}", tags=["guests"], route_class=StrictRoute)


class GuestLogins(msgspec.Struct, frozen=True):
    """Signs guests out."""

    logins: LoginTokens
    streams: StreamHub

    async def end(self, guest: GuestRow) -> None:
        """Take all logins of a guest back, and end their streams."""
        for pubkey in filter(None, (guest.pubkey, guest.person)):
            of = Caller(Pubkey(pubkey), "link", guest.session_address)
            await self.logins.revoke(of, everywhere=True)
            self.streams.end_logins(of, everywhere=True)


def _guest_logins(logins: InLogins, request: Request) -> GuestLogins:
    return GuestLogins(logins, request.app.state.watch)


InGuestLogins = Annotated[GuestLogins, Depends(_guest_logins)]


@router.post("/guest")
async def enter_as_guest(
    context: InContext, logins: InLogins, reference: str, wish: GuestIn, request: Request
) -> GuestLoginOut:
    """Come without a Nostr key, by a name, to a session whose `guests` are `anyone`. The service makes a key for it."""
    row = await context.views.resolve(reference)
    address = origin_of_caller(request.scope)
    return await _signed_in(context, logins, row, granted(await context.guests.enter(row, wish.name, address)))


@router.post("/guest/open")
async def open_guest_link(context: InContext, logins: InLogins, reference: str, wish: OpenLinkIn) -> GuestLoginOut:
    """Open a personal link, from the instructor or a message: it is bound to the browser that does so first."""
    row = await context.views.resolve(reference, Caller(context.service_pubkey))
    opened = await context.guests.open_link(row, wish.link)
    if isinstance(opened, Rejection) and opened.slug is Slug.UNKNOWN_LINK:
        await context.views.resolve(reference)  # a stranger learns nothing of a private session
    return await _signed_in(context, logins, row, granted(opened))


@router.post("/guest/sign")
async def sign_as_guest(context: InContext, caller: AnyCaller, reference: str, wish: GuestEventIn) -> EventModel:
    """Have an answer, a question, a join or a consent of this session signed with the guest's key.

    Of a person who came by the link in their message it counts as theirs, and is never published.
    """
    row = await context.views.resolve(reference, caller)
    event = wish.event.unsigned()
    signed = granted(await context.guests.sign(row, caller.pubkey, event, public_url=context.public_url))
    return EventModel.model_validate_json(signed.to_json())


@router.post("/guest/key")
async def take_guest_key(context: InContext, caller: AnyCaller, reference: str, wish: GuestPasswordIn) -> GuestKeyOut:
    """The guest's own key under a password (NIP-49), to show later what they attended."""
    row = await context.views.resolve(reference, caller)
    return GuestKeyOut(ncryptsec=granted(await context.guests.take_along(row, caller.pubkey, wish.password)))


@router.get("/guests")
async def list_guests(context: InContext, caller: KeyCaller, reference: str) -> GuestsOut:
    """The guests of a session and their links, for those who lead."""
    row = await _led(context, reference, caller)
    guests = [_out(one) for one in await context.guests.of(row)]
    return GuestsOut(policy=context.guests.policy(row).value, guests=guests)


@router.post("/guests")
async def invite_guests(context: InContext, caller: KeyCaller, reference: str, wish: InviteGuestsIn) -> GuestsOut:
    """Make a personal link for each name. The links are told in this answer only."""
    row = await _led(context, reference, caller)
    invited = granted(await context.guests.invite(row, wish.names))
    page = context.views.page(row)
    guests = [_out(one.row, f"{page}#guest={one.link}") for one in invited]
    return GuestsOut(policy=context.guests.policy(row).value, guests=guests)


@router.post("/guests/{guest}/renew")
async def renew_guest_link(
    context: InContext, caller: KeyCaller, logins: InGuestLogins, reference: str, guest: Hex64
) -> GuestOut:
    """A new link for a guest who moved to another device; the old one and its login end."""
    row = await _led(context, reference, caller)
    renewed = granted(await context.guests.renew(row, Pubkey(guest)))
    await logins.end(renewed.row)
    return _out(renewed.row, f"{context.views.page(row)}#guest={renewed.link}" if renewed.link else None)


@router.post("/guests/{guest}/revoke")
async def revoke_guest(
    context: InContext, caller: KeyCaller, logins: InGuestLogins, reference: str, guest: Hex64
) -> GuestOut:
    """Take a link back: its guest is signed out, and leaves the room."""
    row = await _led(context, reference, caller)
    revoked = granted(await context.guests.revoke(row, Pubkey(guest)))
    await logins.end(revoked)
    await context.rooms.door.remove(row, speaks_for(row, revoked), "", caller.pubkey)
    return _out(revoked)


async def _signed_in(context: Context, logins: LoginTokens, row: LiveSessionRow, guest: GuestRow) -> GuestLoginOut:
    assurance: Literal["guest", "link"] = "link" if guest.assurance == BY_LINK else "guest"
    caller = Caller(speaks_for(row, guest), assurance, row.session_address)
    ends = max(row.ends_at, int(context.clock.now())) + LOGIN_SECONDS
    issued = await logins.issue(caller, ends)
    return GuestLoginOut(
        token=issued.token,
        expires_at=issued.expires_at,
        pubkey=caller.pubkey,
        npub=nip19.encode_npub(caller.pubkey),
        name=guest.name,
        assurance=assurance,
        has_own_key=caller.pubkey != guest.pubkey,
        signing_key=guest.pubkey,
    )


def _out(guest: GuestRow, link: str | None = None) -> GuestOut:
    by_link = guest.assurance == BY_LINK
    state = "revoked" if guest.revoked_at else "here" if not by_link else "opened" if guest.opened_at else "new"
    return GuestOut(
        pubkey=guest.pubkey,
        npub=nip19.encode_npub(Pubkey(guest.pubkey)),
        name=guest.name,
        assurance="link" if by_link else "guest",
        state=cast("Literal['here', 'new', 'opened', 'revoked']", state),
        created_at=guest.created_at,
        has_own_key=guest.person is not None,
        link=link,
    )


async def _led(context: Context, reference: str, caller: Caller) -> LiveSessionRow:
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts decide who comes as a guest")
    return row
