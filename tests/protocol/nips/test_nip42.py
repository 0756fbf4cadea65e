from __future__ import annotations

import pytest

from podium_protocol import kinds
from podium_protocol.errors import LocalProtocolError
from podium_protocol.nips import nip42
from tests.support.events import NOW, key_of, signed

KEY = key_of(1)


def test_a_login_names_the_relay_and_the_challenge() -> None:
    """Kind 22242, empty content, the relay's URL in its one spelling, the challenge as it came."""
    event = nip42.write_auth(KEY.pubkey, "WSS://Relay.example:443/", "c 1\n", NOW)
    assert (event.kind, event.created_at, event.content, event.pubkey) == (kinds.RELAY_AUTH, NOW, "", KEY.pubkey)
    assert event.tags == (("relay", "wss://relay.example"), ("challenge", "c 1\n"))


@pytest.mark.parametrize(
    ("url", "challenge"), [("https://relay.example", "c"), ("wss://r.example", ""), ("wss://r.example", "c" * 1025)]
)
def test_a_login_to_nowhere_or_to_nothing_is_our_error(url: str, challenge: str) -> None:
    """A URL that is no relay, no challenge, and one that is too long to sign."""
    with pytest.raises(LocalProtocolError):
        nip42.write_auth(KEY.pubkey, url, challenge, NOW)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://relay.example", True),
        ("wss://relay.example/", True),
        ("WSS://RELAY.example:443", True),
        ("wss://relay.example:444", False),
        ("wss://other.example", False),
        ("nonsense", False),
    ],
)
def test_a_login_is_for_one_relay(url: str, expected: bool) -> None:
    """Spelling does not matter, the relay does."""
    event = KEY.sign(nip42.write_auth(KEY.pubkey, "wss://relay.example", "c1", NOW), bytes(32))
    assert nip42.is_login_to(event, url) is expected
    assert nip42.challenge_of(event) == "c1"


@pytest.mark.parametrize(
    ("kind", "tags"),
    [(1, (("relay", "wss://relay.example"),)), (kinds.RELAY_AUTH, ()), (kinds.RELAY_AUTH, (("relay",),))],
)
def test_another_event_is_no_login(kind: int, tags: tuple[tuple[str, ...], ...]) -> None:
    """The kind and the relay tag make it one."""
    assert not nip42.is_login_to(signed(KEY, kind=kind, tags=tags), "wss://relay.example")
    assert nip42.challenge_of(signed(KEY, kind=kind, tags=tags)) is None
