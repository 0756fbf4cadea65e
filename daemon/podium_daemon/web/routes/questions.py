"""Questions to a session: visitors read those that are shown, people ask, instructor and co-hosts moderate."""

from __future__ import annotations

from fastapi import APIRouter

from podium_daemon.api.base import Hex64
from podium_daemon.api.questions import AskedOut, QuestionIn, QuestionsOut, VoteIn, VotesOut
from podium_daemon.web.context import InContext, forbidden, granted
from podium_daemon.web.login import KeyCaller, OptionalCaller
from podium_daemon.web.question_views import questions_of
from podium_daemon.web.routes.service import checked
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.live.questions import Moderation

router = APIRouter(prefix="/api/sessions/{reference}/questions", tags=["questions"], route_class=StrictRoute)


@router.get("")
async def list_questions(context: InContext, caller: OptionalCaller, reference: str) -> QuestionsOut:
    """Questions and answers; to a call signed by instructor or co-host also those that wait or are hidden."""
    row = await context.views.resolve(reference, caller)
    return await questions_of(context.store, row, context.views.people.names_of, leading=leads(row, caller))


@router.post("")
async def submit_question(context: InContext, caller: OptionalCaller, reference: str, wish: QuestionIn) -> AskedOut:
    """Take a question, an answer, or its author's deletion: its signature is the login. Of a private session, the call
    is signed besides.
    """
    # not as the author: an attacker who has an event of a person would learn to what that person is invited
    row = await context.views.resolve(reference, caller)
    event = checked(wish.event)
    granted(await context.questions.submit(row, event))
    return AskedOut(id=event.id)  # and no list: the caller who has a person's event need not be that person


@router.post("/{question}/vote")
async def vote_question(
    context: InContext, caller: KeyCaller, reference: str, question: Hex64, wish: VoteIn
) -> VotesOut:
    """Vote for a question, or take the vote back: one a person, and nobody is told whose."""
    row = await context.views.resolve(reference, caller)
    return VotesOut(votes=granted(await context.questions.vote(row, question, caller.pubkey, wanted=wish.on)))


@router.post("/{question}/{command}")
async def moderate_question(
    context: InContext, caller: KeyCaller, reference: str, question: Hex64, command: Moderation
) -> QuestionsOut:
    """Show, hide, pin or unpin a question, mark it as answered, or silence its author for this session."""
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts moderate questions")
    granted(await context.questions.moderate(row, question, command, caller.pubkey))
    return await questions_of(context.store, row, context.views.people.names_of, leading=True)
