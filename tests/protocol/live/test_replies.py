"""Which session a reply by message is about."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.events import EventId
from podium_protocol.live.message_texts import explain
from podium_protocol.live.replies import SKEW, TOGETHER, MessageAboutSession, Unclear, session_meant
from podium_protocol.live.rsvp import Reply

NOW = 1_800_000_000
DAY = 86_400
ANSWERS = (Reply.YES, Reply.MAYBE, Reply.NO)


def told(lesson: str, ago: int, *, is_open: bool = True) -> MessageAboutSession:
    """A message about a session, so many seconds ago; its rumor is named after both."""
    return MessageAboutSession(lesson, NOW - ago, EventId(f"{lesson}-{ago}"), is_open)


def meant(reply: Reply, messages: Sequence[MessageAboutSession], *named: str) -> str | Unclear:
    """The session a reply of now is about."""
    return session_meant(reply, messages, named=named, at=NOW)


def test_the_message_that_is_named_decides() -> None:
    """A reply to an old message is about its session, whatever was told since."""
    messages = [told("a", 3 * DAY), told("b", 60), told("a", 30)]
    assert meant(Reply.NO, messages, "a-259200", "something else") == "a"
    assert meant(Reply.STOP, messages, "b-60") == "b"


def test_without_a_name_it_is_the_session_told_of_last() -> None:
    """Many clients name nothing; the last message is what people answer to."""
    assert meant(Reply.YES, [told("a", 3 * DAY), told("b", 60), told("b", DAY)]) == "b"
    assert meant(Reply.YES, [told("a", 10), told("a", 20)], "a stranger's message") == "a"


def test_two_sessions_told_of_within_the_hour_are_ambiguous() -> None:
    """It is not guessed; an hour apart, the later one is meant."""
    assert meant(Reply.NO, [told("a", 60), told("b", 59 + TOGETHER)]) is Unclear.AMBIGUOUS
    assert meant(Reply.NO, [told("a", 60), told("b", 60 + TOGETHER)]) == "a"


def test_what_was_sent_after_the_reply_is_not_what_it_answers() -> None:
    """A reply that waited while the daemon was down is about what came before it."""
    assert meant(Reply.NO, [told("a", DAY), told("b", -SKEW - 1)]) == "a"
    assert meant(Reply.NO, [told("a", DAY), told("b", -SKEW)]) == "b"


def test_a_session_that_is_over_takes_no_answer_and_still_a_stop() -> None:
    """RSVPs are open until the end; stop ends what may come later, such as word of the recording."""
    messages = [told("a", 60, is_open=False), told("b", 2 * DAY)]
    assert [meant(reply, messages, "a-60") for reply in ANSWERS] == [Unclear.OVER] * 3
    assert meant(Reply.STOP, messages, "a-60") == "a"
    assert meant(Reply.STOP, messages) == "a"
    assert meant(Reply.NO, messages) == "b"
    assert meant(Reply.NO, messages[:1]) is Unclear.OVER


def test_strangers_mean_nothing() -> None:
    """A person who was never written to cannot answer, whatever they name."""
    assert {meant(reply, [], "a-60") for reply in (*ANSWERS, Reply.STOP)} == {Unclear.STRANGER}


@given(
    st.lists(st.builds(told, st.sampled_from("abc"), st.integers(0, 3 * TOGETHER), is_open=st.booleans()), max_size=6),
    st.sampled_from([*ANSWERS, Reply.STOP]),
)
def test_an_answer_never_lands_on_a_session_that_is_over_or_untold(
    messages: list[MessageAboutSession], reply: Reply
) -> None:
    """The outcome is a session that was told of, open unless it is a stop, and the only one within the hour."""
    found = meant(reply, messages)
    if not isinstance(found, Unclear):
        own = [one for one in messages if one.session_address == found and (one.is_open or reply is Reply.STOP)]
        others = [one for one in messages if one.session_address != found and (one.is_open or reply is Reply.STOP)]
        newest = max(one.at for one in own)
        assert all(newest - one.at >= TOGETHER for one in others)


def test_an_ambiguous_reply_is_answered_with_the_sessions() -> None:
    """The text names what was said and the sessions, each on a line of its own whatever its title holds."""
    said = explain(Unclear.AMBIGUOUS, "no", ["Knots", "Ropes {evil}\nfor\x1b all"])
    assert said.text.startswith("Which session do you mean?\n\nYou said no.")
    assert "- Knots\n- Ropes {evil}" in said.text
    assert "\x1b" not in said.text
    assert sum(line.startswith("- ") for line in explain(Unclear.AMBIGUOUS, "no", ["x"] * 99).text.splitlines()) == 10


def test_a_late_reply_is_answered_with_the_fact() -> None:
    """It says that nothing was changed."""
    assert explain(Unclear.OVER, "yes", []).headline == "That session is over, so nothing was changed."
