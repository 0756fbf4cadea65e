"""The routes of a room: challenge, join, the room socket, and the commands of instructor and co-hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from fastapi import APIRouter, Request, WebSocket
from starlette.websockets import WebSocketDisconnect

from podium_daemon.api.rooms import (
    AdmitIn,
    ChallengeOut,
    ControlOut,
    HandOut,
    JoinOut,
    LowerIn,
    MuteIn,
    NameIn,
    NameOut,
    RemoveIn,
    RoomOut,
    RoomPerson,
    SpeakIn,
    SpotlightIn,
    SpotlightOut,
    SwitchIn,
)
from podium_daemon.conference.engine import Support, TrackKind
from podium_daemon.conference.seats import SocketGone
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.services.rooms.entry import Guest
from podium_daemon.web.context import AskedLanguage, Context, InContext, forbidden, granted, signer_of
from podium_daemon.web.login import Caller, InLoginDoor, InLogins, KeyCaller, OptionalCaller
from podium_daemon.web.problems import Problem
from podium_daemon.web.routes.login import signed_in
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol import tags
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.nips import nip19, nip98
from podium_storage.table.models import LiveSessionRow

_GOODBYES: Final = (1000, 1001, 1005)  # RFC 6455, 7.4.1: normal, going away, and a close frame without a code
_OWN_GOODBYES: Final = 3000  # and above: what the page itself says


class RoomSocket:
    """A `SeatSocket` on Starlette's WebSocket, already accepted."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes:
        """The next data frame; raises `SocketGone`."""
        try:
            message = await self._socket.receive()
        except (RuntimeError, WebSocketDisconnect) as error:  # the socket was closed before this call
            raise SocketGone(clean=False) from error
        if message["type"] == "websocket.disconnect":
            # uvicorn reports a lost connection as code 1005 without a reason, a close frame always has one; codes for
            # broken rules (a giant frame, invalid text) are uvicorn's own, and say nothing about the person
            code = message.get("code", 0)
            raise SocketGone(clean="reason" in message and (code in _GOODBYES or code >= _OWN_GOODBYES))
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        return text if text is not None else data

    async def send(self, frame: str) -> None:
        """Send a text frame; raises `SocketGone`."""
        try:
            await self._socket.send_text(frame)
        except (RuntimeError, WebSocketDisconnect, OSError) as error:
            raise SocketGone(clean=False) from error

    async def close(self, code: int, reason: str) -> None:
        """Close; does nothing if it is closed."""
        try:
            await self._socket.close(code, reason)
        except (RuntimeError, WebSocketDisconnect, OSError):
            return


router = APIRouter(prefix="/api/sessions/{reference}", tags=["room"], route_class=StrictRoute)


@router.post("/join/challenge")
async def create_join_challenge(
    context: InContext, caller: OptionalCaller, reference: str, language: AskedLanguage
) -> ChallengeOut:
    """A nonce and the recording policy, for the join proof. Good for 60 s and for one join; signed if it is private."""
    row = await context.views.resolve(reference, caller)
    url = _join_url(context, row)
    has_key = caller is None or caller.has_key
    given = granted(await context.rooms.challenge(row, url, has_key=has_key, language=language))
    return ChallengeOut(
        url=given.url,
        method="POST",
        lesson_id=row.session_address,
        nonce=given.nonce,
        expires_at=given.expires_at,
        recording_policy=given.recording_policy,
        recording_policy_hash=given.recording_policy_hash,
        notice=given.notice,
        attendance=given.attendance,
        own_notice=given.own_notice,
    )


@router.post("/join/name")
async def ask_join_name(context: InContext, caller: OptionalCaller, reference: str, wish: NameIn) -> NameOut:
    """Whether a join may say this name: refused as the join would be, before anything is signed. Nothing is kept."""
    row = await context.views.resolve(reference, caller)
    person = caller.pubkey if caller is not None else None if wish.pubkey is None else Pubkey(wish.pubkey)
    rejected = await context.rooms.ask_name(row, person, wish.name)
    if rejected is not None:
        granted(rejected)
    return NameOut(is_free=True)


@router.post("/join")
async def join_session(
    context: InContext, door: InLoginDoor, logins: InLogins, reference: str, request: Request
) -> JoinOut:
    """Join with one signature: the join proof is the login of this call. The token opens the room socket once.

    A proof with the tag `["login", "yes"]` signs in besides: it answers a nonce of ours, so it was made just now. With
    `["name", "Ada"]` it says what a person without a name in their profile is called in this session.
    """
    proof = nip98.read_header(request.headers.get("authorization", ""))
    if isinstance(proof, nip98.LoginRefusal):
        await context.views.resolve(reference)  # an unknown session is reported before a flaw of the proof
        next_step = "Sign the challenge of /join/challenge and send it as `Authorization: Nostr ...`."
        raise Problem(Slug.BAD_PROOF, proof.reason, next_step)
    prover = await signer_of(context, proof.pubkey)
    row = await context.views.resolve(reference, prover)
    body = await request.body() or None
    ticket = granted(await context.rooms.join(row, proof, _join_url(context, row), body))
    if prover.has_key:
        await door.note_language(request, proof.pubkey)
    base = context.public_url.replace("http", "ws", 1)
    return JoinOut(
        state="waiting" if ticket.waiting_for else "admitted",
        reason=ticket.waiting_for,
        socket_url=f"{base}/api/sessions/{context.views.naddr(row)}/room",
        token=ticket.token,
        expires_at=ticket.expires_at,
        login=await signed_in(logins, proof.pubkey) if prover.has_key and _wants_login(proof) else None,
    )


@router.websocket("/room")
async def room_socket(context: InContext, reference: str, socket: WebSocket) -> None:
    """The seat: the first message brings the token, heartbeats keep the seat, closing the socket leaves it."""
    try:
        session_address = (await context.views.resolve(reference, Caller(context.service_pubkey))).session_address
    except Problem:
        session_address = (
            ""  # no ticket opens it: a stranger learns no more of a private session than of one that is not
        )
    await socket.accept()
    await context.rooms.serve(session_address, RoomSocket(socket))


@router.get("/room")
async def show_room(context: InContext, caller: KeyCaller, reference: str) -> RoomOut:
    """Who is in the room and who waits; leaders see people, others see counts."""
    row = await context.views.resolve(reference, caller)
    guests = await context.rooms.door.guests(row)
    leading = leads(row, caller)
    return RoomOut(
        conference_room_id=row.conference_room_id,
        is_active=row.state == "active",
        participant_count=len({guest.pubkey for guest in guests if not guest.waiting}),
        waiting_count=len({guest.pubkey for guest in guests if guest.waiting}),
        people=await _people(context, row, guests) if leading else (),
        hands=await _hands(context, row) if leading else (),
        mute_all=_control(context.controls.support, active=context.controls.is_muted(row)),
        recording=_control(context.recorder.support, active=context.recorder.is_recording(row.session_address)),
        speakers=tuple(context.controls.speakers(row)) if leading else (),
        spotlight=await _spotlight(context, row),
        auto_admit=context.rooms.admits_confirmed,
    )


@router.post("/room/admit")
async def admit_participants(context: InContext, caller: KeyCaller, reference: str, wish: AdmitIn) -> RoomOut:
    """Let people in from the waiting room."""
    row = await _led(context, reference, caller)
    pubkeys = None if wish.everybody else [Pubkey(pubkey) for pubkey in wish.pubkeys]
    granted(await context.rooms.door.admit(row, pubkeys, caller.pubkey))
    return await show_room(context, caller, reference)


@router.post("/room/remove")
async def remove_participant(context: InContext, caller: KeyCaller, reference: str, wish: RemoveIn) -> RoomOut:
    """Remove a person; their admission is revoked for this session."""
    row = await _led(context, reference, caller)
    granted(await context.rooms.door.remove(row, Pubkey(wish.pubkey), wish.reason, caller.pubkey))
    return await show_room(context, caller, reference)


@router.post("/room/hands/lower")
async def lower_hands(context: InContext, caller: KeyCaller, reference: str, wish: LowerIn) -> RoomOut:
    """Lower raised hands."""
    row = await _led(context, reference, caller)
    pubkeys = None if wish.everybody else [Pubkey(pubkey) for pubkey in wish.pubkeys]
    granted(await context.rooms.lower_hands(row, pubkeys, caller.pubkey))
    return await show_room(context, caller, reference)


@router.post("/room/mute-all")
async def mute_everybody(context: InContext, caller: KeyCaller, reference: str, wish: SwitchIn) -> RoomOut:
    """Switch mute-all on or off: it mutes all but instructor and co-hosts, also microphones that are opened later."""
    row = await _led(context, reference, caller)
    granted(await context.controls.mute_all(row, caller.pubkey, wanted=wish.on))
    return await show_room(context, caller, reference)


@router.post("/room/mute")
async def mute_participant(context: InContext, caller: KeyCaller, reference: str, wish: MuteIn) -> RoomOut:
    """Switch off one person's microphone, camera or screen; they may switch it on again."""
    row = await _led(context, reference, caller)
    granted(await context.controls.mute(row, Pubkey(wish.pubkey), TrackKind(wish.kind), caller.pubkey))
    return await show_room(context, caller, reference)


@router.post("/room/speak")
async def let_participant_speak(context: InContext, caller: KeyCaller, reference: str, wish: SpeakIn) -> RoomOut:
    """Let one person speak although mute-all is on, or no longer; they are told, and switch it on themselves."""
    row = await _led(context, reference, caller)
    granted(await context.controls.let_speak(row, Pubkey(wish.pubkey), caller.pubkey, wanted=wish.on))
    return await show_room(context, caller, reference)


@router.post("/room/spotlight")
async def spotlight_participant(context: InContext, caller: KeyCaller, reference: str, wish: SpotlightIn) -> RoomOut:
    """Show one person large to all, or no person."""
    row = await _led(context, reference, caller)
    chosen = None if wish.pubkey is None else Pubkey(wish.pubkey)
    granted(await context.rooms.put_spotlight(row, chosen, caller.pubkey))
    return await show_room(context, caller, reference)


@router.post("/room/lock")
async def lock_room(context: InContext, caller: KeyCaller, reference: str, wish: SwitchIn) -> RoomOut:
    """Lock the room, so that people wait outside whatever their answer, or open it; who is in it stays."""
    row = await _led(context, reference, caller)
    await context.rooms.door.lock(row, caller.pubkey, wanted=wish.on)
    return await show_room(context, caller, reference)


@router.post("/room/recording")
async def switch_recording(context: InContext, caller: KeyCaller, reference: str, wish: SwitchIn) -> RoomOut:
    """Record from now on, once all people in the room have agreed; or stop."""
    row = await _led(context, reference, caller)
    granted(await context.recorder.record(row, caller.pubkey, wanted=wish.on))
    return await show_room(context, caller, reference)


async def _people(context: Context, row: LiveSessionRow, seated: Sequence[Guest]) -> tuple[RoomPerson, ...]:
    removed = await context.rooms.door.removed(row)
    names = await context.views.people.names_of(
        row, [*(one.pubkey for one in seated), *(one.pubkey for one in removed)]
    )
    members = await context.store.members.where("lessonId").equals(row.session_address).to_list()
    came = {one.pubkey: one.assurance for one in members}
    here = [
        RoomPerson(
            pubkey=one.pubkey,
            npub=nip19.encode_npub(one.pubkey),
            name=names[one.pubkey],
            state="waiting" if one.waiting else "present",
            role=one.role,
            since=one.since,
            waiting_for=one.waiting_for,
            assurance=_assurance(came.get(one.pubkey)),
        )
        for one in seated
    ]
    away = [
        RoomPerson(
            pubkey=one.pubkey,
            npub=nip19.encode_npub(one.pubkey),
            name=names[one.pubkey],
            state="removed",
            role=one.role,
            since=one.since,
            assurance=_assurance(came.get(one.pubkey)),
        )
        for one in removed
    ]
    return (*here, *away)


def _assurance(came: str | None) -> Literal["guest", "link"] | None:
    return "link" if came == "link" else "guest" if came == "guest" else None


def _wants_login(proof: VerifiedEvent) -> bool:
    return tags.first(proof.tags, "login") == "yes"


async def _hands(context: Context, row: LiveSessionRow) -> tuple[HandOut, ...]:
    hands = context.rooms.hands(row)
    names = await context.views.people.names_of(row, (hand.pubkey for hand in hands))
    return tuple(
        HandOut(pubkey=hand.pubkey, npub=nip19.encode_npub(hand.pubkey), name=names[hand.pubkey], since=hand.since)
        for hand in hands
    )


async def _spotlight(context: Context, row: LiveSessionRow) -> SpotlightOut:
    spotlight = await context.rooms.spotlight(row)
    return SpotlightOut(support=spotlight.support.value, pubkey=spotlight.pubkey)


def _control(support: Support, *, active: bool) -> ControlOut:
    return ControlOut(support=support.value, active=active)


async def _led(context: Context, reference: str, caller: Caller) -> LiveSessionRow:
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts decide who is in the room")
    return row


def _join_url(context: Context, row: LiveSessionRow) -> str:
    return f"{context.public_url}/api/sessions/{context.views.naddr(row)}/join"
