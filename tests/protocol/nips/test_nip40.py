from __future__ import annotations

import pytest
from nostr_sdk import Event

from podium_protocol.nips import nip40
from podium_protocol.tags import Tags
from tests.support.events import NOW, key_of, signed


def with_tags(*tags: tuple[str, ...]) -> Tags:
    return tags


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (with_tags(("expiration", "1600000000")), 1_600_000_000),
        (with_tags(("t", "x"), ("expiration", "0")), 0),
        (with_tags(("expiration", "5"), ("expiration", "9")), 5),
        (with_tags(("expiration", str(2**53 - 1))), 2**53 - 1),
        (with_tags(), None),
        (with_tags(("expiration",)), None),
        (with_tags(("Expiration", "5")), None),
    ],
)
def test_the_first_expiration_tag_counts(tags: Tags, expected: int | None) -> None:
    """Its value is Unix seconds."""
    assert nip40.expiration(signed(key_of(1), tags=tags)) == expected


@pytest.mark.family("replacement, deletion and time")
@pytest.mark.parametrize(
    "text", ["", " 5", "5 ", "5\n", "+5", "-5", "5.0", "1e9", "1_000", "0x5", "٥", "soon", str(2**53), "9" * 5000]
)
def test_what_is_no_number_expires_nothing(text: str) -> None:
    """Only plain digits are read: `int` alone takes signs, underscores, white space and other scripts."""
    event = signed(key_of(1), tags=(("expiration", text),))
    assert nip40.expiration(event) is None
    assert not nip40.is_expired(event, NOW)


@pytest.mark.parametrize(("time", "expired"), [(NOW - 1, True), (NOW, True), (NOW + 1, False)])
def test_an_event_expires_at_the_second_it_names(time: int, expired: bool) -> None:
    """From that second on it is ignored."""
    assert nip40.is_expired(signed(key_of(1), tags=(("expiration", str(time)),)), NOW) is expired


@pytest.mark.parametrize("time", [1, 4_000_000_000])
def test_nostr_sdk_agrees(time: int) -> None:
    """An independent client takes the same events for expired."""
    event = signed(key_of(1), tags=(("expiration", str(time)),))
    assert Event.from_json(event.to_json().decode()).is_expired() is nip40.is_expired(event, NOW)
