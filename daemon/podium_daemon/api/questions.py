"""Questions and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import EventModel, Model, PersonOut


class QuestionIn(Model):
    """A signed question or answer (kind 1311), or its author's deletion of one (kind 5): its signature is the login."""

    event: EventModel


class VoteIn(Model):
    """Whether the caller votes for the question; false takes a vote back."""

    on: bool


class VotesOut(Model):
    """How many people vote for the question now."""

    votes: int


class AskedOut(Model):
    """The question was taken; the list and the event stream show it."""

    id: str


class AnswerOut(PersonOut):
    """The answer of instructor or co-host to a question."""

    id: str
    role: Literal["instructor", "co-host", "participant"]
    text: str
    created_at: int
    state: Literal["shown", "held", "hidden"]


class QuestionOut(AnswerOut):
    """`hold`, and every state but shown, are sent to instructor and co-hosts only."""

    hold: Annotated[str | None, Field(description="Why it waits: stranger, removed, silenced, too_many, over.")]
    pinned: bool
    answered: Annotated[bool, Field(description="Instructor or co-host marked it as answered.")]
    votes: Annotated[int, Field(description="How many people voted for it; nobody is told who.")]
    silenced: Annotated[bool, Field(description="Its author may not ask any more; told to those who lead.")]
    answers: tuple[AnswerOut, ...]


class QuestionsOut(Model):
    """Pinned questions, then those with most votes, then answered ones. `total` also counts those that are left out."""

    questions: tuple[QuestionOut, ...]
    total: int
