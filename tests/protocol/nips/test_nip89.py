"""NIP-89: what an application opens, and how it marks what it wrote."""

from __future__ import annotations

import json

import pytest

from podium_protocol import tags
from podium_protocol.addresses import Address
from podium_protocol.nips.nip89 import Handler, client_tag, is_written_by, write_handler
from tests.support.events import NOW, key_of

SERVICE, OTHER = key_of(1), key_of(2)
OURS = Address(31990, SERVICE.pubkey, "podium")


def test_a_handler_names_its_kinds_and_where_an_naddr_goes() -> None:
    """One `k` for each kind, and a `web` with the placeholder, for addresses."""
    handler = Handler(
        identifier="podium", name="Learning", about="Courses", url="https://x.example/s/<bech32>", opens=(31923, 30313)
    )
    event = write_handler(handler, pubkey=SERVICE.pubkey, created_at=NOW)
    assert Address.from_event(event) == OURS
    assert list(tags.values(event.tags, "k")) == ["31923", "30313"]
    assert list(tags.named(event.tags, "web")) == [("web", "https://x.example/s/<bech32>", "naddr")]
    assert tags.first(event.tags, "alt") == "Application for live sessions: Learning"
    assert json.loads(event.content) == {"name": "Learning", "about": "Courses"}


@pytest.mark.parametrize(
    ("row", "is_ours"),
    [
        (client_tag("Podium", OURS, "wss://relay.example"), True),
        (client_tag("Podium", Address(31990, OTHER.pubkey, "podium"), "wss://relay.example"), False),
        (("client", "Podium"), False),
        (("a", "Podium", str(OURS)), False),
    ],
)
def test_what_an_application_wrote_names_its_handler(row: tags.Tag, is_ours: bool) -> None:
    """The name alone is anybody's: the handler's address decides."""
    assert is_written_by((row,), OURS) is is_ours
