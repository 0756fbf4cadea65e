"""Polls in a room: what may be asked, what counts as a vote, what comes out, and who sees it when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol.live.chat import is_sealed
from podium_protocol.text import single_line

MIN_OPTIONS: Final = 2
MAX_OPTIONS: Final = 10
MAX_QUESTION: Final = 300  # characters
MAX_OPTION: Final = 150  # characters
MAX_SEALED: Final = 12_000  # base64 digits: all texts as JSON at 4 bytes a character, nonce, tag and epoch
MAX_SEALED_RIGHT: Final = 100  # base64 digits: one letter an option


class PollStage(StrEnum):
    """A draft is seen by those who lead alone; votes count while it is open."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its options.

    `multiple`: several may be chosen; `named`: those who lead see who chose what; `live`: the result is shown while it
    is open. `right` are the options that are right, of a quiz; empty where it is none.
    """

    question: str
    options: tuple[str, ...]
    multiple: bool = False
    named: bool = False
    live: bool = False
    right: tuple[int, ...] = ()

    @property
    def is_quiz(self) -> bool:
        """Whether an answer can be right."""
        return bool(self.right)


class NotAPoll(msgspec.Struct, frozen=True):
    """Why this cannot be asked."""

    reason: str


class SealedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a poll under the room's key, and apart from them which options are right, told at the close only.

    `right` has one letter for each option in every poll, so that it does not say how many are right, or if any.
    """

    texts: str
    right: str


def read_sealed(poll: Poll, sealed: SealedTexts) -> Poll | NotAPoll:
    """A poll of an encrypted session as the daemon knows it: the number of options, and cipher text as the question."""
    if not MIN_OPTIONS <= len(poll.options) <= MAX_OPTIONS:
        return NotAPoll(f"a poll has {MIN_OPTIONS} to {MAX_OPTIONS} options")
    if not is_sealed(sealed.texts, MAX_SEALED) or not is_sealed(sealed.right, MAX_SEALED_RIGHT):
        return NotAPoll("the texts of an encrypted session's poll are encrypted under the room's key")
    return msgspec.structs.replace(poll, question=sealed.texts, options=("",) * len(poll.options), right=())


def read_poll(poll: Poll) -> Poll | NotAPoll:
    """The poll with clean texts and `right` in order, or why it cannot be asked."""
    question = single_line(poll.question, MAX_QUESTION) if len(poll.question) <= MAX_QUESTION else ""
    if not question:
        return NotAPoll(f"the question has 1 to {MAX_QUESTION} characters")
    if not MIN_OPTIONS <= len(poll.options) <= MAX_OPTIONS:
        return NotAPoll(f"a poll has {MIN_OPTIONS} to {MAX_OPTIONS} options")
    options = tuple(single_line(one, MAX_OPTION) if len(one) <= MAX_OPTION else "" for one in poll.options)
    if not all(options):
        return NotAPoll(f"an option has 1 to {MAX_OPTION} characters")
    if len(set(options)) < len(options):
        return NotAPoll("two options are the same")
    right = read_choices(poll.right, len(options))
    if right is None or (len(right) > 1 and not poll.multiple):
        return NotAPoll("the right options are some of the poll's, and one where one may be chosen")
    return msgspec.structs.replace(poll, question=question, options=options, right=right)


def read_choices(choices: Sequence[int], options: int) -> tuple[int, ...] | None:
    """Different options in order, or None if one is named twice or there is no such option."""
    chosen = tuple(sorted(set(choices)))
    fits = len(chosen) == len(choices) and all(0 <= one < options for one in chosen)
    return chosen if fits else None


def read_vote(poll: Poll, choices: Sequence[int]) -> tuple[int, ...] | None:
    """A vote as it counts: one option, or with `multiple` one or several; None if it is no vote."""
    chosen = read_choices(choices, len(poll.options))
    return chosen if chosen and (poll.multiple or len(chosen) == 1) else None


def tally(poll: Poll, votes: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """How many chose each option."""
    counts = [0] * len(poll.options)
    for vote in votes:
        for one in vote:
            counts[one] += 1
    return tuple(counts)


def shows_result(poll: Poll, stage: PollStage, *, leading: bool) -> bool:
    """Whether a person sees the counts: those who lead at once, the others live or at the close."""
    return stage is PollStage.CLOSED or (stage is PollStage.OPEN and (leading or poll.live))


def shows_right(stage: PollStage, *, leading: bool) -> bool:
    """Whether a person sees which options are right: those who lead, and all once it is closed."""
    return leading or stage is PollStage.CLOSED


def is_right(poll: Poll, vote: Collection[int]) -> bool:
    """Whether a vote names the right options, all of them and no other."""
    return poll.is_quiz and set(vote) == set(poll.right)
