"""Signing in and out: one signed login is worth a token, which stands for the person for a week."""

from __future__ import annotations

from fastapi import APIRouter, Request

from podium_daemon.api.login import LoginOut, SignedInOut, SignOutIn
from podium_daemon.web.context import InContext
from podium_daemon.web.login import AnyCaller, Caller, InLogins, LoginTokens, SignedCall
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.watch import StreamHub
from podium_protocol.events import Pubkey
from podium_protocol.nips import nip19

router = APIRouter(prefix="/api/login", tags=["login"], route_class=StrictRoute)


@router.post("")
async def sign_in(logins: InLogins, call: SignedCall) -> SignedInOut:
    """Sign in with one signature (NIP-98). The token goes as `Authorization: Bearer <token>` with every later call."""
    return await signed_in(logins, call.pubkey)


@router.get("")
async def show_login(caller: AnyCaller) -> LoginOut:
    """Who is signed in, how the service knows them, and to which session that is limited."""
    return _login(caller)


@router.post("/end")
async def sign_out(
    context: InContext, logins: InLogins, caller: AnyCaller, request: Request, wish: SignOutIn
) -> LoginOut:
    """Sign out: this token is revoked; with `everywhere`, all tokens of the person, and the links in their messages.

    A personal link can be opened by another browser once this one has signed out.
    """
    await logins.revoke(caller, everywhere=wish.everywhere)
    if wish.everywhere:
        await logins.end_links(caller)
    elif caller.session_address is not None:
        await context.guests.release(caller.session_address, caller.pubkey)
    streams: StreamHub = request.app.state.watch
    streams.end_logins(caller, everywhere=wish.everywhere)
    return _login(caller)


async def signed_in(logins: LoginTokens, pubkey: Pubkey) -> SignedInOut:
    """Issue a login to a person who has just proven their key."""
    issued = await logins.issue(Caller(pubkey))
    npub = nip19.encode_npub(pubkey)
    return SignedInOut(token=issued.token, expires_at=issued.expires_at, pubkey=pubkey, npub=npub)


def _login(caller: Caller) -> LoginOut:
    return LoginOut(
        pubkey=caller.pubkey,
        npub=nip19.encode_npub(caller.pubkey),
        assurance=caller.assurance,
        lesson_id=caller.session_address,
    )
