"""Proof of work."""

from __future__ import annotations

import nostr_sdk as sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol.events import EventId, Pubkey, UnsignedEvent
from podium_protocol.nips import nip13
from tests.support.events import NOW, key_of


@pytest.mark.parametrize(
    ("event_id", "bits"),
    [
        ("000006d8c378af1779d2feebc7603a125d99eca0ccf1085959b307f64e5dd358", 21),  # NIP-13
        ("000000000e9d97a1ab09fc381030b346cdd8a142ad57e6df0b46dc9bef6c7e2d", 36),  # NIP-13
        ("002f" + "f" * 60, 10),  # NIP-13
        ("6bf5b4f434813c64b523d2b0e6efe18f3bd0cbbd0a5effd8ece9e00fd2531996", 1),
        ("f" * 64, 0),
        ("0" * 64, 256),
    ],
)
def test_leading_zero_bits_are_counted(event_id: str, bits: int) -> None:
    """As NIP-13 counts them."""
    assert nip13.difficulty(EventId(event_id)) == bits


def test_the_event_in_the_specification_is_mined_again() -> None:
    """NIP-13: the example aims at 20 bits and has 21; none of the nonces just before its own would do."""
    author = Pubkey("a48380f4cfcc1ad5378294fcac36439770f9c878dd880ffa94bb74ea54a6f243")
    draft = UnsignedEvent(author, 1651794653, 1, (), "It's just me mining my own business")
    mined = nip13.mine(draft, 20, range(776_700, 776_900))
    assert mined is not None
    assert mined.tags == (("nonce", "776797", "20"),)
    assert mined.id == "000006d8c378af1779d2feebc7603a125d99eca0ccf1085959b307f64e5dd358"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 10), st.text(max_size=40), st.lists(st.text(max_size=8), max_size=3))
def test_what_is_mined_has_the_work_and_is_otherwise_the_same(bits: int, content: str, values: list[str]) -> None:
    """Its id is the hash of what it says, another library counts the same, and an older nonce is replaced."""
    tags = (("d", "x"), ("nonce", "7", "3"), ("t", *values))
    draft = UnsignedEvent(key_of(1).pubkey, NOW, 30312, tags, content)
    mined = nip13.mine(draft, bits)
    assert mined is not None
    assert nip13.difficulty(mined.id) >= bits
    assert (mined.content, mined.created_at, mined.kind, mined.pubkey) == (content, NOW, 30312, draft.pubkey)
    assert mined.tags[:-1] == (("d", "x"), ("t", *values))
    assert (mined.tags[-1][0], mined.tags[-1][2]) == ("nonce", str(bits))


def test_another_library_agrees() -> None:
    """nostr-sdk verifies the event, whose id begins with as many zeros."""
    mined = nip13.mine(UnsignedEvent(key_of(1).pubkey, NOW, 1, (), "work"), 12)
    assert mined is not None
    event = sdk.Event.from_json(key_of(1).sign(mined, bytes(32)).to_json().decode())
    assert event.verify()
    assert event.id().to_hex().startswith("000")


def test_no_nonce_may_do() -> None:
    """A caller with few nonces learns that none was good enough."""
    assert nip13.mine(UnsignedEvent(key_of(1).pubkey, NOW, 1, (), ""), 60, range(10)) is None
