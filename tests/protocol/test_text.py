"""Text by strangers, before a terminal or a message shows it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.text import paragraphs, single_line

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.family("output injection")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Knots for beginners", "Knots for beginners"),
        ("two\nlines", "two lines"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x9b2Jgone", "2Jgone"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\u2028b\u2029c", "a b c"),
        ("  much \t space ", "much space"),
        ("\ufeffbom", "bom"),
        ("tag\U000e0041ged", "tagged"),
        ("half \ud800 pair", "half pair"),
        ("family \U0001f468\u200d\U0001f469\u200d\U0001f467", "family \U0001f468\u200d\U0001f469\u200d\U0001f467"),
    ],
)
def test_single_line_shows_nothing_that_moves_or_turns_text(text: str, shown: str) -> None:
    """Controls, bidi overrides and breaks go, letters and emoji stay."""
    assert single_line(text, 100) == shown


def test_paragraphs_keep_lines_and_tabs() -> None:
    """A description keeps its lines; carriage returns and controls do not get through."""
    assert paragraphs("one\r\ntwo\rthree\tand \x07four\x85five", 100) == "one\ntwo\nthree\tand four\nfive"


def test_a_cut_is_marked() -> None:
    """A text beyond the limit ends in an ellipsis, within the limit."""
    assert single_line("abcdefghij", 5) == "abcd…"
    assert single_line("abcde", 5) == "abcde"


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=80), st.integers(1, 60))
def test_no_control_and_no_override_survives(text: str, limit: int) -> None:
    """Whatever comes in, what goes out is short, printable and has a UTF-8 form."""
    shown = single_line(text, limit)
    assert len(shown) <= limit
    assert not any(unicodedata.category(letter) in ("Cc", "Cs") or letter in _BIDI for letter in shown)
    shown.encode()
    assert single_line(shown, limit) == shown
    assert paragraphs(paragraphs(text, limit), limit) == paragraphs(text, limit)
