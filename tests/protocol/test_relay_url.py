from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol import relay_url
from podium_protocol.errors import LocalProtocolError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wss://relay.example.com", "wss://relay.example.com"),
        ("wss://relay.example.com/", "wss://relay.example.com"),
        ("WSS://Relay.Example.COM:443/", "wss://relay.example.com"),
        ("ws://relay.example.com:80", "ws://relay.example.com"),
        ("ws://relay.example.com:443", "ws://relay.example.com:443"),
        ("wss://relay.example.com:7777/Inbox", "wss://relay.example.com:7777/Inbox"),
        ("wss://relay.example.com/inbox/", "wss://relay.example.com/inbox/"),
        ("wss://relay.example.com/?token=A", "wss://relay.example.com?token=A"),
        ("ws://127.0.0.1:7777", "ws://127.0.0.1:7777"),
        ("ws://[::1]:7777/", "ws://[::1]:7777"),
        ("ws://localhost", "ws://localhost"),
        ("wss://xn--bcher-kva.example", "wss://xn--bcher-kva.example"),
        ("wss://a_b.example", "wss://a_b.example"),
        ("wss://filter.example/npub1x?x=1&y=%20", "wss://filter.example/npub1x?x=1&y=%20"),
    ],
)
def test_one_relay_has_one_spelling(text: str, expected: str) -> None:
    """Case of the host, default ports and the slash of an empty path do not make another relay."""
    assert relay_url.normalise(text) == expected
    assert relay_url.normalise(expected) == expected


@pytest.mark.family("URLs")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "relay.example.com",
        "https://relay.example.com",
        "wss:relay.example.com",
        "wss:/relay.example.com",
        "wss://",
        "wss:///path",
        "wss://user@relay.example.com",
        "wss://user:password@relay.example.com",
        "wss://relay.example.com@evil.example",
        "wss://relay.example.com#fragment",
        "wss://relay.example.com/#",
        "wss://relay.example.com:0",
        "wss://relay.example.com:65536",
        "wss://relay.example.com:",
        "wss://relay.example.com:+80",
        "wss://relay.example.com:٤٤٣",
        " wss://relay.example.com",
        "wss://relay.example.com\n",
        "wss://relay.exa\tmple.com",
        "wss://relay.example.com/a b",
        "wss://relay.example.com\\@evil.example",
        "wss://bücher.example",
        "wss://relay..example",
        "wss://.example",
        "wss://relay.example.",
        "wss://-relay.example",
        "wss://relay-.example",
        "wss://" + "a" * 64 + ".example",
        "wss://" + "a." * 130 + "example",
        "wss://127.1",
        "wss://2130706433",
        "wss://0x7f.0.0.1",
        "wss://127.0.0.0x1",
        "wss://256.0.0.1",
        "wss://127.0.0.01",
        "wss://[::1",
        "wss://[::g]",
        "wss://[127.0.0.1]",
        "wss://[fe80::1%25eth0]",
        'wss://relay.example.com/"><script>',
        "wss://relay.example.com/" + "a" * 255,
        "javascript:alert(1)",
        "wss://%65xample.com",
    ],
)
def test_what_is_no_plain_relay_url_is_refused(text: str) -> None:
    """Nothing is repaired: a URL that two readers could take differently is none."""
    assert relay_url.normalise(text) is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"wss?://[a-z0-9.:\[\]@/?#-]{0,30}", fullmatch=True))
def test_the_spelling_is_stable(text: str) -> None:
    """Normalising twice changes nothing, for any text."""
    once = relay_url.normalise(text)
    assert once is None or relay_url.normalise(once) == once


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("wss://relay.example.com", "WSS://relay.example.com:443/", True),
        ("wss://relay.example.com/inbox", "wss://relay.example.com/inbox/", True),
        ("wss://relay.example.com", "ws://relay.example.com", False),
        ("wss://relay.example.com", "wss://relay.example.com.evil.example", False),
        ("wss://relay.example.com", "wss://relay.example.com:444", False),
        ("wss://relay.example.com/a", "wss://relay.example.com/b", False),
        ("nonsense", "nonsense", False),
    ],
)
def test_relays_are_compared_sensibly(one: str, other: str, same: bool) -> None:
    """A login for one relay is not taken for another's, and a slash does not tell them apart."""
    assert relay_url.same_relay(one, other) is same


def test_a_strangers_list_is_cleaned_and_cut() -> None:
    """Bad URLs are left out, the same relay counts once, and the rest stops at the cap."""
    texts = ["wss://a.example/", "nonsense", "wss://A.example", "wss://b.example", "wss://c.example"]
    assert relay_url.normalise_all(texts, 2) == ("wss://a.example", "wss://b.example")


@pytest.mark.parametrize("texts", [[], ["wss://a.example", "nonsense"], [f"wss://{n}.example" for n in "abcd"]])
def test_our_own_list_must_be_right(texts: list[str]) -> None:
    """An empty list, a bad URL and too many are errors and are not repaired."""
    with pytest.raises(LocalProtocolError, match="relay"):
        relay_url.require_all(texts, 3)


def test_our_own_list_is_normalised() -> None:
    """Order is kept, copies are not."""
    assert relay_url.require_all(["wss://B.example/", "wss://a.example", "wss://b.example"], 3) == (
        "wss://b.example",
        "wss://a.example",
    )
