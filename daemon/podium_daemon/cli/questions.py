"""`podium questions`, `ask` and `moderate`: what people ask in a session, and what becomes of it."""

from __future__ import annotations

import secrets
import time
from enum import StrEnum
from typing import Annotated

import typer

from podium_daemon.cli.api_client import Api, decode, session_path
from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, SessionReference, helped
from podium_daemon.cli.output import clean, note, print_json, say, table
from podium_daemon.cli.session_reference import find_session, plain_reference
from podium_daemon.cli.times import shown_time
from podium_daemon.client.questions import Question, QuestionList
from podium_daemon.client.values import Service
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.events import EventId, Pubkey
from podium_protocol.live.questions import Moderation, write_question

app = typer.Typer()

_SHORT = 8  # hex digits of an id that a table shows; any unique beginning is understood
_PUBLIC = "Public: anybody can read on the relays who asked what."


class Decision(StrEnum):
    """What becomes of a question, or (silence) of whoever asked it."""

    SHOW = Moderation.SHOW.value
    HIDE = Moderation.HIDE.value
    PIN = Moderation.PIN.value
    UNPIN = Moderation.UNPIN.value
    SILENCE = Moderation.SILENCE.value
    UNSILENCE = Moderation.UNSILENCE.value


AnswerTo = Annotated[str | None, typer.Option("--answer-to", help="The beginning of the id of the question to answer.")]


@app.command(
    short_help="What was asked and answered.",
    help=helped(
        "What was asked and answered. Instructors see what waits or is hidden, too.",
        "podium questions knots",
        "podium questions knots --json",
    ),
)
def questions(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    api = caller_of(context).reading_api()
    raw = api.get(session_path(plain_reference(api, session), "questions"))
    if as_json:
        print_json(decode(raw, dict))
        return
    found = decode(raw, QuestionList)
    table(
        ("id", "who", "when", "state", "text"),
        [line for one in found.questions for line in _lines(one)],
        empty="Nobody has asked anything yet.",
    )
    if found.total > len(found.questions):
        note(f"{found.total - len(found.questions)} older questions are not shown.")


@app.command(
    short_help="Ask a question, or answer one.",
    help=helped(
        "Ask a question in a session, or answer one, with your key.",
        'podium ask knots "Why a bowline?"',
        'podium ask knots "It holds, and opens again." --answer-to 3f9c',
    ),
)
def ask(
    context: typer.Context,
    session: SessionReference,
    text: Annotated[str, typer.Argument(help="The question, 1,000 characters at most.")],
    answer_to: AnswerTo = None,
) -> None:
    api, signer = caller_of(context).signing_api()
    found = find_session(api, session).value
    parent = None if answer_to is None else _named(api, found.naddr, answer_to)
    service = decode(api.get("/api/service"), Service)
    meeting = Address.parse(f"{kinds.MEETING}:{service.service_pubkey}:{found.conference_room_id}")
    if meeting is None:
        raise CommandFailed("the daemon gave no address of a meeting. Nothing was signed")
    try:
        draft = write_question(
            meeting,
            text,
            pubkey=signer.pubkey,
            now=int(time.time()),
            reply_to=EventId(parent.id) if parent else None,
            asker=Pubkey(parent.pubkey) if parent else None,
        )
    except LocalProtocolError as error:
        raise InvalidInput(f"TEXT: {error}") from None
    event = signer.sign(draft, secrets.token_bytes(32))
    api.post(session_path(found.naddr, "questions"), {"event": event})
    if found.visibility != "private":
        note(_PUBLIC)
    say(f"{'answered' if parent else 'asked'}: {clean(found.title)}, {event.id[:_SHORT]}")


@app.command(
    short_help="Show, hide, pin or unpin a question, or silence its author.",
    help=helped(
        "Decide about a question, for those who lead a session. `silence` takes no more questions of its author.",
        "podium moderate knots 3f9c pin",
        "podium moderate knots 3f9c hide",
    ),
)
def moderate(
    context: typer.Context,
    session: SessionReference,
    question: Annotated[str, typer.Argument(help="The beginning of its id, as `podium questions` shows it.")],
    decision: Annotated[
        Decision, typer.Argument(metavar="DECISION", help="What becomes of it: " + ", ".join(Decision) + ".")
    ],
) -> None:
    api, _ = caller_of(context).signing_api()
    reference = plain_reference(api, session)
    found = _named(api, reference, question)
    api.post(session_path(reference, "questions", found.id, decision.value), {})
    say(f"{decision.value}: {clean(found.text)}")


def _named(api: Api, reference: str, beginning: str) -> Question:
    listed = decode(api.get(session_path(reference, "questions")), QuestionList).questions
    found = [one for one in listed if beginning and one.id.startswith(beginning.lower())]
    if len(found) != 1:
        raise InvalidInput(f"{len(found)} questions have an id that begins like that; see `podium questions`")
    return found[0]


def _lines(one: Question) -> list[tuple[str, str, str, str, str]]:
    own = (one.id[:_SHORT], one.npub or one.pubkey, shown_time(one.created_at), _state(one), one.text)
    answers = [("", f"{answer.role}", shown_time(answer.created_at), "answer", answer.text) for answer in one.answers]
    return [own, *answers]


def _state(one: Question) -> str:
    marks = [one.state if one.state != "shown" else "", one.hold or "", "pinned" if one.pinned else ""]
    return ", ".join(mark for mark in marks if mark) or "shown"
