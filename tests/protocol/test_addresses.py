from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol.addresses import MAX_IDENTIFIER_BYTES, Address
from podium_protocol.tags import Tags
from tests.support.events import key_of, signed

PUBKEY = key_of(1).pubkey


@pytest.mark.parametrize(
    ("kind", "identifier"),
    [
        (31923, "algebra"),
        (31923, ""),
        (0, ""),
        (65535, "x"),
        (30000, "a:b:c"),
        (30000, "\n\x00é😀"),
        (30000, "x" * 255),
    ],
)
def test_an_address_is_read_as_it_is_written(kind: int, identifier: str) -> None:
    """Colons, newlines and any other text may stand in the identifier."""
    address = Address(kind, PUBKEY, identifier)
    assert str(address) == f"{kind}:{PUBKEY}:{identifier}"
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "31923",
        f"31923:{PUBKEY}",
        f":{PUBKEY}:d",
        f"031923:{PUBKEY}:d",
        f"00:{PUBKEY}:d",
        f"+31923:{PUBKEY}:d",
        f"-1:{PUBKEY}:d",
        f" 31923:{PUBKEY}:d",
        f"3.1e4:{PUBKEY}:d",
        f"65536:{PUBKEY}:d",
        f"99999:{PUBKEY}:d",
        f"319230:{PUBKEY}:d",
        f"٣١٩٢٣:{PUBKEY}:d",
        f"31923:{PUBKEY.upper()}:d",
        f"31923:{PUBKEY[:-1]}:d",
        f"31923:{PUBKEY}0:d",
        f"31923:{'f' * 64}:d",
        f"31923:{'0' * 64}:d",
        "31923::d",
        f"31923:{PUBKEY}:{'x' * (MAX_IDENTIFIER_BYTES + 1)}",
        f"31923:{PUBKEY}:{'é' * 128}",
    ],
)
def test_another_spelling_is_no_address(text: str) -> None:
    """One address has one spelling: it is a key of every table."""
    assert Address.parse(text) is None


@pytest.mark.parametrize(
    ("kind", "tags", "identifier"),
    [
        (31923, (("d", "algebra"),), "algebra"),
        (31923, (("d", "first"), ("d", "second")), "first"),
        (31923, (), ""),
        (31923, (("d",),), ""),
        (30000, (("d", ""),), ""),
        (39999, (("d", "x"),), "x"),
        (0, (("d", "x"),), ""),
        (3, (), ""),
        (10002, (("d", "x"),), ""),
    ],
)
def test_an_event_is_stored_under_its_address(kind: int, tags: Tags, identifier: str) -> None:
    """Addressable events under their first `d`, replaceable ones without an identifier (NIP-01)."""
    assert Address.from_event(signed(key_of(1), kind=kind, tags=tags)) == Address(kind, PUBKEY, identifier)


@pytest.mark.parametrize("kind", [1, 5, 14, 1059, 9999, 20000, 22242, 27235, 29999, 40000])
def test_other_events_have_no_address(kind: int) -> None:
    """Regular and ephemeral ones."""
    assert Address.from_event(signed(key_of(1), kind=kind, tags=(("d", "x"),))) is None


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_not(text: str) -> None:
    """And what is read has that spelling."""
    address = Address.parse(text)
    assert address is None or str(address) == text


def test_an_identifier_without_a_utf8_form_is_no_address() -> None:
    """A lone surrogate is refused and does not raise."""
    assert Address.parse(f"31923:{PUBKEY}:\ud800") is None
