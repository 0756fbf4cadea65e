"""Polls: what may be asked, one vote a person, and results that add up."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.polls import (
    MAX_OPTION,
    MAX_OPTIONS,
    MAX_QUESTION,
    MAX_SEALED,
    NotAPoll,
    Poll,
    PollStage,
    SealedTexts,
    is_right,
    read_poll,
    read_sealed,
    read_vote,
    shows_result,
    shows_right,
    tally,
)

KNOT = Poll(question="Which knot?", options=("Bowline", "Hitch", "Bend"))
choices = st.lists(st.integers(-2, 12), max_size=12)


def poll_of(options: int, *, multiple: bool = False, right: tuple[int, ...] = ()) -> Poll:
    """A poll with so many options."""
    names = tuple(f"option {number}" for number in range(options))
    return Poll(question="Which?", options=names, multiple=multiple, right=right)


polls = st.builds(
    lambda options, multiple, right: poll_of(
        options, multiple=multiple, right=tuple(sorted({one % options for one in right}))
    ),
    st.integers(2, MAX_OPTIONS),
    st.booleans(),
    st.lists(st.integers(0, MAX_OPTIONS), max_size=3),
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question": " \n"}, "question"),
        ({"question": "x" * (MAX_QUESTION + 1)}, "question"),
        ({"options": ("one",)}, "2 to 10"),
        ({"options": tuple(map(str, range(MAX_OPTIONS + 1)))}, "2 to 10"),
        ({"options": ("one", "\u202e")}, "an option"),
        ({"options": ("one", "x" * (MAX_OPTION + 1))}, "an option"),
        ({"options": ("one", " one ")}, "the same"),
        ({"right": (3,)}, "right"),
        ({"right": (-1,)}, "right"),
        ({"right": (0, 1)}, "right"),
        ({"right": (0, 0), "multiple": True}, "right"),
    ],
)
def test_what_cannot_be_asked(changes: dict[str, object], reason: str) -> None:
    """Each refusal says why."""
    found = read_poll(msgspec.structs.replace(KNOT, **changes))
    assert isinstance(found, NotAPoll)
    assert reason in found.reason


def test_texts_are_cleaned_and_right_ones_ordered() -> None:
    """What a leader typed becomes one line each."""
    poll = Poll(question=" Which\nknot?\x07 ", options=(" Bowline ", "Hitch"), multiple=True, right=(1, 0))
    assert read_poll(poll) == Poll(question="Which knot?", options=("Bowline", "Hitch"), multiple=True, right=(0, 1))


@given(poll=polls, chosen=choices)
def test_a_vote_names_options_of_the_poll(poll: Poll, chosen: list[int]) -> None:
    """A vote that counts is in order, names options that there are, each once, and one where one may be chosen."""
    vote = read_vote(poll, chosen)
    fits = len(set(chosen)) == len(chosen) and all(0 <= one < len(poll.options) for one in chosen)
    assert (vote is not None) == (fits and len(chosen) >= 1 and (poll.multiple or len(chosen) == 1))
    if vote is not None:
        assert vote == tuple(sorted(chosen))


@given(poll=polls, given=st.lists(choices))
def test_a_tally_adds_up(poll: Poll, given: list[list[int]]) -> None:
    """Each choice counts once, and no option has more than there are votes."""
    votes = [vote for vote in (read_vote(poll, one) for one in given) if vote is not None]
    counts = tally(poll, votes)
    assert len(counts) == len(poll.options)
    assert sum(counts) == sum(map(len, votes))
    assert max(counts) <= len(votes)


@given(poll=polls, chosen=choices)
def test_right_is_all_of_the_right_and_nothing_else(poll: Poll, chosen: list[int]) -> None:
    """A vote is right if it is the quiz's answer; where nothing is marked, nothing is right."""
    assert is_right(poll, chosen) == (bool(poll.right) and set(chosen) == set(poll.right))


def test_who_sees_what_and_when() -> None:
    """Counts: leaders while it is open, the others live or at the close. What is right: all at the close."""
    live = msgspec.structs.replace(KNOT, live=True)
    draft, is_open, closed = PollStage.DRAFT, PollStage.OPEN, PollStage.CLOSED
    assert [shows_result(KNOT, stage, leading=False) for stage in (draft, is_open, closed)] == [False, False, True]
    assert [shows_result(live, stage, leading=False) for stage in (draft, is_open, closed)] == [False, True, True]
    assert [shows_result(KNOT, stage, leading=True) for stage in (draft, is_open, closed)] == [False, True, True]
    assert [shows_right(stage, leading=False) for stage in (draft, is_open, closed)] == [False, False, True]
    assert shows_right(draft, leading=True)


SEALED = "7." + "A" * 60


@given(options=st.integers(0, 12), texts=st.text(max_size=60), right=st.text(max_size=60), multiple=st.booleans())
def test_what_is_not_encrypted_is_no_sealed_poll(options: int, texts: str, right: str, multiple: bool) -> None:
    """The daemon keeps the number of options and cipher text, and nothing that it could read."""
    poll = Poll(question="Which knot?", options=("Bowline",) * options, multiple=multiple, right=(0,))
    assert isinstance(read_sealed(poll, SealedTexts(texts=texts, right=SEALED)), NotAPoll)
    assert isinstance(read_sealed(poll, SealedTexts(texts=SEALED, right=right)), NotAPoll)
    found = read_sealed(poll, SealedTexts(texts=SEALED, right=SEALED))
    assert isinstance(found, Poll) == (2 <= options <= MAX_OPTIONS)
    if isinstance(found, Poll):
        assert (found.question, set(found.options), len(found.options), found.right) == (SEALED, {""}, options, ())


def test_long_cipher_text_is_refused() -> None:
    """An attacker cannot fill the disk with what claims to be a poll."""
    long = "7." + "A" * MAX_SEALED
    assert isinstance(read_sealed(KNOT, SealedTexts(texts=long, right=SEALED)), NotAPoll)
    assert isinstance(read_sealed(KNOT, SealedTexts(texts=SEALED, right="7." + "A" * 100)), NotAPoll)
