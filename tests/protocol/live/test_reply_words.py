"""What people write when they answer."""

from __future__ import annotations

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.reply_words import (
    POLITENESS,
    SAYINGS,
    language_of_reply,
    meaning_of,
    meaning_of_reaction,
)
from podium_protocol.live.rsvp import Reply, is_courtesy, read_reaction, read_reply

ALL_SAYINGS = [(saying, meaning) for known in SAYINGS.values() for meaning, each in known.items() for saying in each]
ALL_POLITENESS = [phrase for phrases in POLITENESS.values() for phrase in phrases]
MARKS = ["", "!", ".", " 👍", "…", " 🙏🏽", " :)"]


def test_every_language_of_the_page_has_its_words() -> None:
    """Who reads the page in a language answers in it."""
    page = resources.files("podium_daemon.web").joinpath("page")
    languages = {file.name.removesuffix(".json") for file in page.iterdir() if file.name.endswith(".json")}
    assert languages == set(SAYINGS) == set(POLITENESS)
    assert all(set(sayings) == {reply.value for reply in Reply} for sayings in SAYINGS.values())


def test_no_saying_means_two_things() -> None:
    """In no two languages, and none is mere politeness."""
    assert len({saying for saying, _ in ALL_SAYINGS}) == len(ALL_SAYINGS)
    assert not {saying for saying, _ in ALL_SAYINGS} & set(ALL_POLITENESS)


@given(
    st.sampled_from(ALL_SAYINGS),
    st.sampled_from(["", *ALL_POLITENESS]),
    st.sampled_from(["", *ALL_POLITENESS]),
    st.sampled_from(["", "!", ".", " 🙏🏽", " :)", "…"]),
    st.booleans(),
)
def test_politeness_around_a_saying_changes_nothing(
    said: tuple[str, str], before: str, after: str, mark: str, is_loud: bool
) -> None:
    """In any language, before and after it, in any case."""
    text = f"{before}, {said[0]}{mark} {after}{mark}"
    assert meaning_of(text.upper() if is_loud else text) == said[1]


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Yes please", Reply.YES),
        ("ja", Reply.YES),
        ("Ja, sehr gerne 👍", Reply.YES),
        ("👍", Reply.YES),
        ("👍🏽👍🏽", Reply.YES),
        ("✔️", Reply.YES),
        ("No thanks!", Reply.NO),
        ("Tut mir leid, nein.", Reply.NO),
        ("I can’t come, sorry", Reply.NO),
        ("👎", Reply.NO),
        ("Vielleicht…", Reply.MAYBE),
        ("🤷‍♂️", Reply.MAYBE),
        ("Please stop!", Reply.STOP),
        ("STOPP", Reply.STOP),
        ("Bitte alle stoppen", Reply.STOP_ALL),
    ],
)
def test_what_people_write_is_understood(text: str, reply: Reply) -> None:
    """As they wrote it to the daemon."""
    assert read_reply(text) is reply


@pytest.mark.parametrize(
    "text", ["no problem", "yes and no", "ok", "👍👎", "yes 👎", "don't stop", "stopp mich nicht", "?"]
)
def test_what_could_mean_something_else_is_no_answer(text: str) -> None:
    """Nobody loses a seat by a turn of phrase."""
    assert read_reply(text) is None
    assert not is_courtesy(text)


@pytest.mark.parametrize("text", ["Thanks!", "Vielen Dank 🙏", "❤️", "Hallo"])
def test_thanks_want_no_answer(text: str) -> None:
    """Neither is it one."""
    assert read_reply(text) is None
    assert is_courtesy(text)


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        ("+", Reply.YES),
        ("", Reply.YES),
        ("-", Reply.NO),
        ("👍", Reply.YES),
        ("👎🏿", Reply.NO),
        ("❤️", None),
        (":podium:", None),
    ],
)
def test_a_reaction_is_a_like_a_dislike_or_an_acknowledgement(content: str, reply: Reply | None) -> None:
    """NIP-25; a heart is no promise to come."""
    assert read_reaction(content) is reply


@given(st.text(max_size=200))
def test_whatever_is_written_has_a_meaning_or_none(text: str) -> None:
    """Strangers write what they like."""
    assert meaning_of(text) in {None, "", *(reply.value for reply in Reply)}
    assert meaning_of_reaction(text) in {None, *(reply.value for reply in Reply)}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("ja gerne!", "de"),
        ("Nein, leider 👎", "de"),
        ("stopp alles", "de"),
        ("stop, danke", "de"),
        ("yes please", "en"),
        ("stop all", "en"),
        ("stop", None),
        ("sorry", None),
        ("👍", None),
        ("ja please", None),
        ("wo ist das?", None),
        ("", None),
    ],
)
def test_a_reply_tells_its_language_where_only_one_has_all_of_its_words(text: str, language: str | None) -> None:
    """What is written in several languages tells none, nor what is not understood."""
    assert language_of_reply(text) == language
