"""Polls of a room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import Model


class PollIn(Model):
    """A poll to prepare: 2 to 10 options; `right` are the numbers of those that are right, from 0, of a quiz."""

    question: str
    options: Sequence[str]
    multiple: bool = False
    named: Annotated[bool, Field(description="Those who lead see who chose what.")] = False
    live: Annotated[bool, Field(description="The result is shown to all while it is open.")] = False
    right: Sequence[int] = ()


class SealedTextsIn(Model):
    """What a poll says, encrypted in the room of an encrypted session by the caller (docs/encryption.md)."""

    sealed: str
    sealed_right: str


class SealedPollIn(SealedTextsIn):
    """A poll to prepare in an encrypted session; the daemon learns how many options it has, and not what it says."""

    options: Annotated[int, Field(ge=0, le=100, description="How many.")]
    multiple: bool = False
    named: bool = False
    live: bool = False


class PollOut(Model):
    """A poll with its counts as they are now. With `sealed_by`, who encrypted it, `question` is cipher text."""

    id: int
    question: str
    options: tuple[str, ...]
    multiple: bool
    named: bool
    live: bool
    right: tuple[int, ...]
    stage: Literal["draft", "open", "closed"]
    counts: tuple[int, ...]
    voters: int
    created_at: int
    closed_at: int | None
    sealed_by: str | None
    sealed_right: str | None


class PollsOut(Model):
    """All polls of a session, in the order in which they were made."""

    polls: tuple[PollOut, ...]
