"""The door of a room: challenge, join, the room socket, and what the instructor does at the door."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, WebSocket

from podium_daemon.web.context import Context, InContext, forbidden, granted
from podium_daemon.web.login import Caller
from podium_daemon.web.models import AdmitIn, ChallengeOut, JoinOut, RemoveIn, RoomOut, RoomPerson
from podium_daemon.web.problems import Problem
from podium_daemon.web.room_socket import RoomSocket
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.events import Pubkey
from podium_protocol.nips import nip19, nip98
from podium_storage.rows import LiveSessionRow

router = APIRouter(prefix="/api/sessions/{reference}", tags=["room"], route_class=StrictRoute)


@router.post("/join/challenge")
async def challenge(context: InContext, reference: str) -> ChallengeOut:
    """A nonce and the recording policy, for the join proof. Good for 60 s and for one join."""
    row = await context.views.resolve(reference)
    url = _join_url(context, row)
    given = granted(await context.rooms.challenge(row, url))
    return ChallengeOut(
        url=given.url,
        method="POST",
        lesson_id=row.lesson_id,
        nonce=given.nonce,
        expires_at=given.expires_at,
        recording_policy=given.recording_policy,
        recording_policy_hash=given.recording_policy_hash,
        notice=given.notice,
    )


@router.post("/join")
async def join(context: InContext, reference: str, request: Request) -> JoinOut:
    """Join with one signature: the join proof is the login of this call. The token opens the room socket once."""
    row = await context.views.resolve(reference)
    proof = nip98.read_header(request.headers.get("authorization", ""))
    if isinstance(proof, nip98.Refusal):
        next_step = "Sign the challenge of /join/challenge and send it as `Authorization: Nostr ...`."
        raise Problem(HTTPStatus.UNAUTHORIZED, "bad-proof", proof.reason, next_step)
    body = await request.body() or None
    ticket = granted(await context.rooms.join(row, proof, _join_url(context, row), body))
    base = context.public_url.replace("http", "ws", 1)
    return JoinOut(
        state="waiting" if ticket.waiting_for else "admitted",
        reason=ticket.waiting_for,
        socket_url=f"{base}/api/sessions/{context.views.naddr(row)}/room",
        token=ticket.token,
        expires_at=ticket.expires_at,
    )


@router.websocket("/room")
async def room_socket(context: InContext, reference: str, socket: WebSocket) -> None:
    """The seat: the first message brings the token, beats keep the seat, closing it is leaving."""
    row = await context.views.resolve(reference)
    await socket.accept()
    await context.rooms.serve(row.lesson_id, RoomSocket(socket))


@router.get("/room")
async def show_room(context: InContext, caller: Caller, reference: str) -> RoomOut:
    """Who is in the room and who waits; leaders see people, others see counts."""
    row = await context.views.resolve(reference)
    guests = await context.rooms.guests(row)
    people = [
        RoomPerson(
            pubkey=guest.pubkey,
            npub=nip19.encode_npub(guest.pubkey),
            state="waiting" if guest.waiting else "present",
            role=guest.role,
            since=guest.since,
        )
        for guest in guests
    ]
    return RoomOut(
        conference_room_id=row.conference_room_id,
        is_active=row.state == "active",
        participant_count=len({guest.pubkey for guest in guests if not guest.waiting}),
        waiting_count=len({guest.pubkey for guest in guests if guest.waiting}),
        people=people if leads(row, caller) else [],
    )


@router.post("/room/admit")
async def admit(context: InContext, caller: Caller, reference: str, wish: AdmitIn) -> RoomOut:
    """Let people in from the waiting room."""
    row = await _led(context, reference, caller)
    pubkeys = None if wish.everybody else [Pubkey(pubkey) for pubkey in wish.pubkeys]
    granted(await context.rooms.admit(row, pubkeys, caller))
    return await show_room(context, caller, reference)


@router.post("/room/remove")
async def remove(context: InContext, caller: Caller, reference: str, wish: RemoveIn) -> RoomOut:
    """Remove somebody; the admission is revoked for this session."""
    row = await _led(context, reference, caller)
    granted(await context.rooms.remove(row, Pubkey(wish.pubkey), wish.reason, caller))
    return await show_room(context, caller, reference)


async def _led(context: Context, reference: str, caller: Pubkey) -> LiveSessionRow:
    row = await context.views.resolve(reference)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts decide who is in the room")
    return row


def _join_url(context: Context, row: LiveSessionRow) -> str:
    return f"{context.public_url}/api/sessions/{context.views.naddr(row)}/join"
