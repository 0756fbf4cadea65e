"""The chat of a room, for those who lead: read, export and switch it, delete a line. Lines go over the socket."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response

from podium_daemon.api.chat import ChatLineOut, ChatOut
from podium_daemon.api.rooms import SwitchIn
from podium_daemon.web.context import Context, InContext, forbidden, granted
from podium_daemon.web.login import Caller, KeyCaller
from podium_daemon.web.problems import also
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.events import Pubkey
from podium_protocol.live.chat import ChatLine, transcript
from podium_protocol.nips import nip19
from podium_storage.table.models import LiveSessionRow

router = APIRouter(prefix="/api/sessions/{reference}/chat", tags=["room"], route_class=StrictRoute)
_Line = Annotated[int, Path(ge=1, le=2**53 - 1)]


@router.get("", response_model=ChatOut, responses=also("text/plain", "The lines as JSON, or as plain text."))
async def list_chat(
    context: InContext,
    caller: KeyCaller,
    reference: str,
    format: Literal["text"] | None = None,  # noqa: A002 (the query's word)
) -> ChatOut | Response:
    """The chat that is kept, for instructor and co-hosts; `format=text` for a file."""
    row = await _led(context, reference, caller)
    if format is None:
        return await _chat(context, row)
    lines = [
        ChatLine(pubkey=Pubkey(one.pubkey), text=one.text, sent_at=one.sent_at, private=one.private, sealed=one.sealed)
        for one in await context.rooms.chat.lines(row.session_address)
    ]
    names = await context.views.people.names_of(row, (line.pubkey for line in lines))
    headers = {"Content-Disposition": 'attachment; filename="chat.txt"'}
    text = transcript(row.title, lines, names)
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)


@router.post("")
async def switch_chat(context: InContext, caller: KeyCaller, reference: str, wish: SwitchIn) -> ChatOut:
    """Switch the chat on or off for all but those who lead; private lines to these remain possible."""
    row = await _led(context, reference, caller)
    await context.rooms.chat.switch(row, caller.pubkey, wanted=wish.on)
    return await _chat(context, row)


@router.post("/{line}/delete")
async def delete_chat_line(context: InContext, caller: KeyCaller, reference: str, line: _Line) -> ChatOut:
    """Delete a line, here and on all pages."""
    row = await _led(context, reference, caller)
    granted(await context.rooms.chat.delete(row, line, caller.pubkey))
    return await _chat(context, row)


async def _chat(context: Context, row: LiveSessionRow) -> ChatOut:
    kept = await context.rooms.chat.lines(row.session_address)
    names = await context.views.people.names_of(row, (one.pubkey for one in kept))
    lines = [
        ChatLineOut(
            id=one.id or 0,
            pubkey=one.pubkey,
            npub=nip19.encode_npub(Pubkey(one.pubkey)),
            name=names[one.pubkey],
            text=one.text,
            sent_at=one.sent_at,
            private=one.private,
            sealed=one.sealed,
        )
        for one in kept
    ]
    return ChatOut(open=await context.rooms.chat.is_open(row.session_address), lines=tuple(lines))


async def _led(context: Context, reference: str, caller: Caller) -> LiveSessionRow:
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts keep the chat")
    return row
