from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol.errors import InvalidInput
from podium_protocol.limits import MAX_BECH32_CHARS
from podium_protocol.nips import bech32


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("A12UEL5L", "a"),
        ("a12uel5l", "a"),
        ("an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs", None),
        ("?1ezyfcl", "?"),
    ],
)
def test_the_valid_strings_of_bip173_are_read(text: str, prefix: str | None) -> None:
    """Also in capitals, and with a prefix that holds a 1."""
    assert bech32.decode(text) == (text.lower().rsplit("1", 1)[0] if prefix is None else prefix, b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "\x201nwldj5",
        "\x7f1axkwrx",
        "\x801eym55h",
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "de1lg7wt\xff",
        "A1G7SGD8",
        "10a06t8",
        "1qzzfhee",
        "a12UEL5L",
        "a12uel5m",
        "a12uel5l\n",
        " a12uel5l",
    ],
)
def test_the_invalid_strings_of_bip173_are_refused(text: str) -> None:
    """Characters out of range, no separator, empty prefix, bad data, short or wrong checksum, mixed case."""
    with pytest.raises(InvalidInput):
        bech32.decode(text)


def test_a_bech32m_checksum_is_told_apart() -> None:
    """BIP-350's own valid string, which is not bech32."""
    with pytest.raises(InvalidInput, match="bech32m"):
        bech32.decode("a1lqfn3a")


def test_text_that_is_too_long_is_not_read() -> None:
    """5000 characters pass, one more does not, however good its checksum."""
    longest = bech32.encode("x", bytes((MAX_BECH32_CHARS - 8) * 5 // 8))
    assert len(longest) == MAX_BECH32_CHARS
    assert bech32.decode(longest)[0] == "x"
    with pytest.raises(InvalidInput, match="longer"):
        bech32.decode(bech32.encode("xx", bytes((MAX_BECH32_CHARS - 8) * 5 // 8)))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_bytes_survive_the_trip(data: bytes) -> None:
    """Any bytes come back, in small letters and in capitals."""
    text = bech32.encode("npub", data)
    assert bech32.decode(text) == bech32.decode(text.upper()) == ("npub", data)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_changed_character_is_always_noticed(data: bytes, draw: st.DataObject) -> None:
    """The checksum finds every single error."""
    text = bech32.encode("npub", data)
    place = draw.draw(st.integers(5, len(text) - 1))
    other = draw.draw(st.sampled_from([c for c in "qpzry9x8gf2tvdw0s3jn54khce6mua7l" if c != text[place]]))
    with pytest.raises(InvalidInput):
        bech32.decode(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize("values", [[31], [0], [0, 1], [0, 0, 0]])
def test_bits_to_spare_are_refused(values: list[int]) -> None:
    """A whole spare character, or spare bits that are not zero: else one key had several spellings."""
    checksum = bech32._polymod([*bech32._expand("x"), *values, 0, 0, 0, 0, 0, 0]) ^ 1
    values = values + [(checksum >> 5 * (5 - place)) & 31 for place in range(6)]
    with pytest.raises(InvalidInput, match="to spare"):
        bech32.decode("x1" + "".join(bech32._ALPHABET[value] for value in values))
