"""Strict reading of single tag values."""

from __future__ import annotations

import pytest

from podium_protocol import kinds
from podium_protocol.live import fields
from tests.support.events import key_of


@pytest.mark.parametrize("text", ["", " 7", "7 ", "7\n", "+7", "-7", "07", "1_0", "١٢", "1e3", "7.0", "0x7", "1" * 30])
def test_numbers_that_int_would_take_are_refused(text: str) -> None:
    """Only plain decimal digits without a leading zero are a number."""
    assert fields.whole_number(text, 10**20) is None


def test_numbers_have_a_bound() -> None:
    """The bound is inclusive, nothing above it passes, and a missing text is no number."""
    assert fields.whole_number("0", 5) == 0
    assert fields.whole_number("5", 5) == 5
    assert fields.whole_number("6", 5) is None
    assert fields.whole_number(None, 5) is None
    assert fields.timestamp("32503680001") is None


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com",
        "http://localhost:8080/s/naddr1?x=1#y",
        "https://[2001:db8::1]/v",
        "https://example.com:1/",
    ],
)
def test_web_links_are_taken(text: str) -> None:
    """An http or https link with a host is a link."""
    assert fields.web_url(text) == text


@pytest.mark.family("URLs")
@pytest.mark.parametrize(
    "text",
    [
        *("", "example.com", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "ftp://example.com"),
        *("https://", "https:///path", "https://user@example.com", "https://good.example@bad.example/"),
        *("https://a b.example", "https://example.com/\n", "https://example.com/\x00", "https://exa\u202emple.com"),
        *("https://example.com:99999/", "https://example.com:x/", "https://[::1", "HTTPS:\\\\example.com"),
        "https://example.com/" + "a" * 2048,
        'https://example.com/"><script>',
    ],
)
def test_other_links_are_refused(text: str) -> None:
    """Other schemes, hidden hosts, control characters and endless links are none."""
    assert fields.web_url(text) is None


def test_relay_links_have_their_own_schemes() -> None:
    """A relay is at ws or wss, a page is not."""
    assert fields.relay_url("wss://relay.example") == "wss://relay.example"
    assert fields.relay_url("https://relay.example") is None


@pytest.mark.parametrize("text", ["", "a b", "a#b", "é", "x" * 65, "a\n"])
def test_device_labels_cannot_break_an_identity(text: str) -> None:
    """A label holds nothing that would split or extend `<pubkey>#<device>`."""
    assert fields.device(text) is None


def test_the_first_address_of_a_kind_counts() -> None:
    """Addresses of other kinds are passed over; a malformed one of the kind is not replaced by a later one."""
    good = f"31923:{key_of(1).pubkey}:x"
    other = f"30312:{key_of(1).pubkey}:room"
    assert str(fields.address((("a", other), ("a", good)), kinds.SESSION)) == good
    assert fields.address((("a", "31923:zz:x"), ("a", good)), kinds.SESSION) is None
    assert fields.address((("a", other),), kinds.SESSION) is None


@pytest.mark.parametrize("text", [None, "", "a" * 63, "A" * 64, "g" * 64, "a" * 64 + "\n"])
def test_event_ids_are_64_lowercase_hex_digits(text: str | None) -> None:
    """Nothing else is an id."""
    assert fields.event_id(text) is None
    assert fields.event_id("a" * 64) == "a" * 64
