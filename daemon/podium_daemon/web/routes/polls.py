"""Polls of a room, for those who lead: prepare, open, close, delete and export them. Votes go over the socket."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Path, Response

from podium_daemon.api.polls import PollIn, PollOut, PollsOut, SealedPollIn, SealedTextsIn
from podium_daemon.services.rooms.polls import PollResult
from podium_daemon.web.attendance_csv import as_csv
from podium_daemon.web.context import Context, InContext, forbidden, granted
from podium_daemon.web.login import Caller, KeyCaller
from podium_daemon.web.problems import also
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.events import Pubkey
from podium_protocol.live.polls import Poll, SealedTexts, is_right
from podium_protocol.nips import nip19
from podium_storage.table.models import LiveSessionRow, PollRow, PollVoteRow

router = APIRouter(prefix="/api/sessions/{reference}/polls", tags=["room"], route_class=StrictRoute)
_Poll = Annotated[int, Path(ge=1, le=2**53 - 1)]


@router.get("")
async def list_polls(context: InContext, caller: KeyCaller, reference: str) -> PollsOut:
    """All polls with their results, drafts included, for instructor and co-hosts."""
    return await _polls(context, await _led(context, reference, caller))


@router.post("")
async def draft_poll(context: InContext, caller: KeyCaller, reference: str, wish: PollIn) -> PollsOut:
    """Prepare a poll; only leaders see it before it is opened."""
    row = await _led(context, reference, caller)
    poll = Poll(
        question=wish.question,
        options=tuple(wish.options),
        multiple=wish.multiple,
        named=wish.named,
        live=wish.live,
        right=tuple(wish.right),
    )
    granted(await context.rooms.polls.draft(row, poll, caller.pubkey))
    return await _polls(context, row)


@router.post("/sealed")
async def draft_sealed_poll(context: InContext, caller: KeyCaller, reference: str, wish: SealedPollIn) -> PollsOut:
    """Prepare a poll in an encrypted session: its texts are cipher text."""
    row = await _led(context, reference, caller)
    options = ("",) * wish.options
    poll = Poll(question="", options=options, multiple=wish.multiple, named=wish.named, live=wish.live)
    granted(await context.rooms.polls.draft(row, poll, caller.pubkey, _sealed(wish)))
    return await _polls(context, row)


@router.post("/{poll}/seal")
async def seal_poll(
    context: InContext, caller: KeyCaller, reference: str, poll: _Poll, wish: SealedTextsIn
) -> PollsOut:
    """Replace the cipher text of a poll that is not closed by the same texts under a newer key of the room."""
    row = await _led(context, reference, caller)
    granted(await context.rooms.polls.seal(row, poll, _sealed(wish), caller.pubkey))
    return await _polls(context, row)


@router.post("/{poll}/{command}")
async def decide_poll(
    context: InContext, caller: KeyCaller, reference: str, poll: _Poll, command: Literal["open", "close", "delete"]
) -> PollsOut:
    """Open a poll to all in the room, close it and show the result, or delete it."""
    row, polls = await _led(context, reference, caller), context.rooms.polls
    run = {"open": polls.open, "close": polls.close, "delete": polls.delete}[command]
    granted(await run(row, poll, caller.pubkey))
    return await _polls(context, row)


@router.get("/{poll}/votes", response_class=Response, responses=also("text/csv", "Counts, or of a named poll votes."))
async def export_poll(context: InContext, caller: KeyCaller, reference: str, poll: _Poll) -> Response:
    """The result as CSV: one row for each option, or of a named poll one row for each person."""
    row = await _led(context, reference, caller)
    result, votes = granted(await context.rooms.polls.votes(row, poll))
    text = await _named(context, row, result, votes) if result.row.named else _counted(result)
    headers = {"Content-Disposition": 'attachment; filename="poll.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _sealed(wish: SealedTextsIn) -> SealedTexts:
    return SealedTexts(texts=wish.sealed, right=wish.sealed_right)


def _option(poll: PollRow, number: int) -> str:
    """What an option says, or of an encrypted poll its number from 1."""
    return poll.options[number] or str(number + 1)


def _counted(result: PollResult) -> str:
    poll, counts = result.row, result.counts or (0,) * len(result.row.options)
    rows = (
        (_option(poll, number), str(counts[number]), _yes(number in poll.right)) for number in range(len(poll.options))
    )
    return as_csv(("option", "votes", "right"), rows)


async def _named(context: Context, row: LiveSessionRow, result: PollResult, votes: list[PollVoteRow]) -> str:
    poll = result.row
    names = await context.views.people.names_of(row, (vote.pubkey for vote in votes))
    quiz = Poll(question=poll.question, options=poll.options, right=poll.right)
    rows = (
        (
            names[vote.pubkey],
            nip19.encode_npub(Pubkey(vote.pubkey)),
            "; ".join(_option(poll, one) for one in vote.choices),
            _yes(is_right(quiz, vote.choices)),
        )
        for vote in votes
    )
    return as_csv(("name", "npub", "choices", "right"), rows)


def _yes(holds: bool) -> str:
    return "yes" if holds else ""


async def _polls(context: Context, row: LiveSessionRow) -> PollsOut:
    return PollsOut(polls=tuple(_out(one) for one in await context.rooms.polls.polls(row.session_address)))


def _out(result: PollResult) -> PollOut:
    row = result.row
    return PollOut(
        id=row.id or 0,
        question=row.question,
        options=row.options,
        multiple=row.multiple,
        named=row.named,
        live=row.live,
        right=row.right,
        stage=cast(Literal["draft", "open", "closed"], row.stage),
        counts=result.counts,
        voters=result.voters,
        created_at=row.created_at,
        closed_at=row.closed_at,
        sealed_by=row.sealed_by,
        sealed_right=row.sealed_right,
    )


async def _led(context: Context, reference: str, caller: Caller) -> LiveSessionRow:
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts lead polls")
    return row
