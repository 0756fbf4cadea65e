"""`podium questions`, `ask` and `moderate`: the questions of a session, and the decisions about them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, SessionReference, helped
from podium_daemon.cli.output import clean, note, print_answer, say, table
from podium_daemon.cli.session_view import find_session, plain_reference
from podium_daemon.cli.times import shown_time
from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.live.questions import Moderation

if TYPE_CHECKING:
    from podium_daemon.api.questions import QuestionOut
    from podium_daemon.client import PodiumClient

app = typer.Typer()

_SHORT = 8  # hex digits of an id that a table shows; any unique beginning is understood
_PUBLIC = "Public: anybody can read on the relays who asked what."


class Decision(StrEnum):
    """A decision about a question, or (silence) about its author."""

    SHOW = Moderation.SHOW.value
    HIDE = Moderation.HIDE.value
    PIN = Moderation.PIN.value
    UNPIN = Moderation.UNPIN.value
    ANSWERED = Moderation.ANSWERED.value
    UNANSWERED = Moderation.UNANSWERED.value
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
    caller = caller_of(context)
    podium = caller.reading()
    found = caller.run(podium.questions.list(caller.run(plain_reference(podium, session))))
    if as_json:
        print_answer(found)
        return
    table(
        ("id", "who", "when", "votes", "state", "text"),
        [line for one in found.questions for line in _lines(one)],
        empty="Nobody has asked anything yet.",
        details=("text",),
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
    caller = caller_of(context)
    podium = caller.signing()
    found = caller.run(find_session(podium, session))
    parent = None if answer_to is None else caller.run(_named(podium, found.naddr, answer_to))
    try:
        event_id = caller.run(podium.questions.ask(found, text, answer_to=parent))
    except LocalProtocolError as error:
        raise InvalidInput(f"TEXT: {error}") from None
    if found.visibility != "private":
        note(_PUBLIC)
    say(f"{'answered' if parent else 'asked'}: {clean(found.title)}, {event_id[:_SHORT]}")


@app.command(
    short_help="Show, hide, pin or mark a question, or silence its author.",
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
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    found = caller.run(_named(podium, reference, question))
    caller.run(podium.questions.decide(reference, found.id, decision.value))
    say(f"{decision.value}: {clean(found.text)}")


async def _named(podium: PodiumClient, reference: str, beginning: str) -> QuestionOut:
    listed = (await podium.questions.list(reference)).questions
    found = [one for one in listed if beginning and one.id.startswith(beginning.lower())]
    if len(found) != 1:
        raise InvalidInput(f"{len(found)} questions have an id that begins like that; see `podium questions`")
    return found[0]


def _lines(one: QuestionOut) -> list[tuple[str, str, str, str, str, str]]:
    own = (one.id[:_SHORT], one.name, shown_time(one.created_at), str(one.votes), _state(one), one.text)
    answers = [
        ("", f"{answer.role}", shown_time(answer.created_at), "", "answer", answer.text) for answer in one.answers
    ]
    return [own, *answers]


def _state(one: QuestionOut) -> str:
    marks = [
        one.state if one.state != "shown" else "",
        one.hold or "",
        "pinned" if one.pinned else "",
        "answered" if one.answered else "",
    ]
    return ", ".join(mark for mark in marks if mark) or "shown"
