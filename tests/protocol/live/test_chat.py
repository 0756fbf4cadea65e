"""Lines of chat: bounded, clean, and never one that another line forged."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.events import Pubkey
from podium_protocol.live.chat import MAX_SEALED, MAX_TEXT, REACTIONS, ChatLine, is_reaction, read_text, transcript

ADA, BEN = Pubkey("a" * 64), Pubkey("b" * 64)
SEALED = "12." + "A" * 40


def test_what_a_line_may_be() -> None:
    """Text of up to 1,000 characters; controls go, line breaks stay; nothing is cut."""
    assert read_text(" Hello\r\nthere\x07 ") == "Hello\nthere"
    assert read_text("x" * MAX_TEXT) == "x" * MAX_TEXT
    for flawed in ("", " \n ", "\u202e", "x" * (MAX_TEXT + 1)):
        assert read_text(flawed) is None, flawed


def test_what_a_sealed_line_may_be() -> None:
    """An epoch and base64, so that a page that forgot to encrypt is refused before its words are kept."""
    assert read_text(SEALED, sealed=True) == SEALED
    for flawed in ("", "Hello, in the clear, to all people of this room", f"{SEALED}\n", "12." + "A" * MAX_SEALED):
        assert read_text(flawed, sealed=True) is None, flawed


def test_what_a_reaction_may_be() -> None:
    """One of six by its name, or cipher text where all is encrypted; no text of a stranger's own."""
    assert len(REACTIONS) == 6
    assert all(map(is_reaction, REACTIONS))
    assert is_reaction(SEALED, sealed=True)
    assert not any(is_reaction(flawed) for flawed in ("", "\U0001f44d", "boo", SEALED))
    assert not is_reaction("heart", sealed=True)


def test_the_transcript() -> None:
    """Time, name and text; private lines say so, and what the service cannot read is not guessed."""
    lines = [
        ChatLine(pubkey=ADA, text="Hello\nthere", sent_at=0),
        ChatLine(pubkey=BEN, text="A word", sent_at=61, private=True),
        ChatLine(pubkey=BEN, text=SEALED, sent_at=62, sealed=True),
    ]
    assert transcript("Knots\nand more", lines, {ADA: "Ada"}) == (
        "Knots and more\n\n"
        "1970-01-01 00:00:00 Ada: Hello\n    there\n"
        f"1970-01-01 00:01:01 {BEN} (private): A word\n"
        f"1970-01-01 00:01:02 {BEN}: (encrypted: the service cannot read it)\n"
    )


@given(texts=st.lists(st.text(max_size=40)), name=st.text(max_size=20))
def test_no_text_forges_a_line(texts: list[str], name: str) -> None:
    """Whatever people write and are called, there are as many lines that begin with a time as were said."""
    said = [text for text in map(read_text, texts) if text is not None]
    whole = transcript("Knots", [ChatLine(pubkey=ADA, text=text, sent_at=0) for text in said], {ADA: name})
    starts = [line for line in whole.splitlines()[2:] if re.match("[0-9]{4}-", line)]
    assert len(starts) == len(said)
