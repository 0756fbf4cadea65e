"""Remote signers (NIP-46) for pages, through the daemon; and the signer that an instructor left with the service.

A page that opens a connection gets a secret for it, and sends it as `Authorization: Podium-Signer <secret>`. No other
caller can see the connection or use it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Security
from fastapi.security.http import HTTPBase
from pydantic import Field

from podium_daemon.api.base import EventModel
from podium_daemon.api.signers import LeftSignerOut, OpenedOut, SignerIn, SignerOut, SigningIn, SigningOut
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.signers.page_signer import PageSigner, View
from podium_daemon.signers.qr import qr_rows
from podium_daemon.web.context import Context, InContext, granted
from podium_daemon.web.guard import origin_of_caller
from podium_daemon.web.login import KeyCaller
from podium_daemon.web.problems import Problem
from podium_daemon.web.strict_json import StrictRoute
from podium_protocol.nips import nip19

router = APIRouter(tags=["signers"], route_class=StrictRoute)

LONGEST_WAIT: Final = 25
"""Seconds that a request may wait for news: proxies end connections that are silent for a minute."""

_SCHEME: Final = "Podium-Signer "
_WITH_SECRET: Final = [
    Security(
        HTTPBase(
            scheme=_SCHEME.strip(),
            scheme_name="SignerSecret",
            description="The secret that opening the connection was answered with.",
            auto_error=False,
        )
    )
]
Hex16 = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


def _own(context: Context, request: Request, signer_id: str) -> PageSigner:
    header = request.headers.get("authorization", "")
    if not header.startswith(_SCHEME):
        detail = "this call needs the secret of the connection"
        raise Problem(Slug.SIGNER_SECRET, detail, f"Send `Authorization: {_SCHEME}<secret>`.")
    return granted(context.signers.find(signer_id, header.removeprefix(_SCHEME)))


Seen = Annotated[int, Query(ge=-1, le=2**53 - 1, description="the version that the caller has")]
Wait = Annotated[int, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait for a newer one")]


@router.post("/api/signers")
async def open_signer(context: InContext, request: Request, wish: SignerIn) -> OpenedOut:
    """Connect a remote signer. The connection ends with `DELETE`, after 12 hours without a call, or with the daemon."""
    address = origin_of_caller(request.scope)
    signer, secret = granted(context.signers.open(address, wish.purpose, wish.bunker))
    return OpenedOut(secret=secret, signer=await _shown(signer.view))


@router.get("/api/signers/{signer_id}", dependencies=_WITH_SECRET)
async def show_signer(
    context: InContext, request: Request, signer_id: Hex16, seen: Seen = -1, wait: Wait = 0
) -> SignerOut:
    """The state of the connection, at once or as soon as its version is another than `seen`."""
    return await _shown(await _own(context, request, signer_id).news(seen, wait))


@router.post("/api/signers/{signer_id}/requests", dependencies=_WITH_SECRET)
async def ask_signer(context: InContext, request: Request, signer_id: Hex16, wish: SigningIn) -> SignerOut:
    """Ask for a signature. A person may have to agree: read the result with a later request for the connection."""
    signer, template = _own(context, request, signer_id), wish.event
    if [] in template.tags or not _is_sound(wish):
        raise Problem(Slug.BAD_EVENT, "it holds text that is no UTF-8, or an empty tag")
    if (refusal := context.signers.request_signature(signer, wish.id, template.unsigned())) is not None:
        granted(refusal)
    return await _shown(signer.view)


@router.delete("/api/signers/{signer_id}", dependencies=_WITH_SECRET)
async def close_signer(context: InContext, request: Request, signer_id: Hex16) -> SignerOut:
    """End the connection: the signer is told, and our key for it is deleted."""
    signer = _own(context, request, signer_id)
    context.signers.leave(signer)
    return await _shown(signer.view)


@router.get("/api/service/signer")
async def show_left_signer(context: InContext, caller: KeyCaller) -> LeftSignerOut:
    """The signer that the caller left with the service, so that it can publish revisions in their name."""
    known = await context.instructor_signers.find(caller.pubkey)
    if known is None:
        return LeftSignerOut(signer=None, relays=())
    return LeftSignerOut(signer=nip19.encode_npub(known.signer), relays=tuple(known.relays))


@router.delete("/api/service/signer")
async def forget_left_signer(context: InContext, caller: KeyCaller) -> LeftSignerOut:
    """Remove that signer: our key for it is deleted, and the signer is told if it answers."""
    await context.instructor_signers.forget(caller.pubkey)
    return LeftSignerOut(signer=None, relays=())


async def _shown(view: View) -> SignerOut:
    return SignerOut(
        id=view.id,
        version=view.version,
        state=view.state,
        uri=view.url,
        qr=None if view.url is None else await asyncio.to_thread(qr_rows, view.url),
        pubkey=view.user,
        npub=None if view.user is None else nip19.encode_npub(view.user),
        page=view.page,
        is_slow=view.is_slow,
        problem=view.problem,
        requests=tuple(
            SigningOut(
                id=one.id,
                state=one.state,
                event=None if one.event is None else EventModel.model_validate_json(one.event.to_json()),
                words=one.words,
            )
            for one in view.asked
        ),
    )


def _is_sound(wish: SigningIn) -> bool:
    try:
        wish.model_dump_json().encode()
    except ValueError:
        return False
    return True
