"""What people are called in lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.events import Pubkey
from podium_protocol.live.names import MAX_SHOWN, names_match, short_npub, shown_names
from podium_protocol.nips.nip19 import encode_npub
from tests.support.events import key_of

ADA, BEN, CLEO = (key_of(number).pubkey for number in range(1, 4))


def test_a_name_is_shown_as_it_is() -> None:
    """A person with a name of their own is called by it."""
    assert shown_names({ADA: "Ada", BEN: "Ben"}) == {ADA: "Ada", BEN: "Ben"}


def test_without_a_name_the_short_key_is_shown() -> None:
    """Nothing, or only controls, is no name."""
    assert shown_names({ADA: "", BEN: "\u202e\x07"}) == {ADA: short_npub(ADA), BEN: short_npub(BEN)}
    assert short_npub(ADA) == f"{encode_npub(ADA)[:10]}…{encode_npub(ADA)[-6:]}"


def test_two_of_the_same_name_are_told_apart() -> None:
    """Names that read the same get the end of their key, also where letters or cases differ in form only."""
    shown = shown_names({ADA: "Ada", BEN: "ＡDA", CLEO: "Cleo"})
    assert shown == {ADA: f"Ada (…{encode_npub(ADA)[-6:]})", BEN: f"ＡDA (…{encode_npub(BEN)[-6:]})", CLEO: "Cleo"}


def test_a_name_cannot_pass_for_anothers_key() -> None:
    """Neither the mark that tells two apart nor a key is taken from a name."""
    mimic = f"Ada (…{encode_npub(ADA)[-6:]})"
    assert shown_names({ADA: "Ada", BEN: mimic})[BEN] == f"Ada (…{encode_npub(BEN)[-6:]})"
    for taken in (short_npub(ADA), f"Npub1{'q' * 20}", f" {encode_npub(ADA)}"):
        assert shown_names({ADA: "", BEN: taken})[BEN] == short_npub(BEN)


@given(st.lists(st.text(max_size=80), min_size=3, max_size=3))
def test_no_two_people_are_called_the_same(names: list[str]) -> None:
    """Whatever names people give themselves, a list never shows two of them alike, and never an empty one."""
    shown = shown_names(dict(zip((ADA, BEN, CLEO), names, strict=True)))
    assert len(set(shown.values())) == 3
    for name in shown.values():
        assert name.strip()
        assert len(name) <= MAX_SHOWN + len(" (…123456)")
        assert "\n" not in name


def test_a_person_is_searched_by_a_part_of_the_name() -> None:
    """Whatever the case and form of its letters; what is no part of it, and the name of others, is not meant."""
    meant = names_match("  ＡDA\n")
    assert meant(ADA, "Countess Ada")
    assert not meant(BEN, "Ben")
    assert not meant(BEN, "")


@given(st.binary(min_size=32, max_size=32), st.integers(5, 63))
def test_a_person_is_searched_by_the_beginning_of_the_npub(key: bytes, length: int) -> None:
    """Each beginning of it means that person, and with another character at its end another one."""
    pubkey = Pubkey(key.hex())
    start = encode_npub(pubkey)[:length]
    assert names_match(start)(pubkey, "")
    if 5 < length < 57:
        other = f"{start[:-1]}{'p' if start[-1] == 'q' else 'q'}"
        assert not names_match(other)(pubkey, "")


def test_a_name_that_looks_like_a_key_is_searched_as_a_name() -> None:
    """What no npub begins with is a part of a name."""
    assert names_match("npub1b")(ADA, "") is False
    assert names_match("npub")(ADA, "My npub is long")
