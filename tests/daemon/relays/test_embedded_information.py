"""The embedded relay's information document."""

from __future__ import annotations

import json

import nostr_sdk as sdk

from podium_daemon.relays.embedded import document_of
from podium_daemon.relays.embedded_child import RelaySettings
from podium_protocol.nips.nip11 import RelayLimits, read_limits
from tests.support.relays import new_key


def test_others_read_the_document() -> None:
    """An independent reader finds name and service, and our own the limits that the relay is started with."""
    service = new_key().pubkey
    settings = RelaySettings(max_subscriptions=40, max_filter_limit=100, min_pow=8)
    written = json.dumps(document_of(settings, name="Learning", service=service, version="1.2.3"))
    theirs = sdk.RelayInformationDocument.from_json(written)
    assert (theirs.name(), theirs.version(), theirs.supported_nips()) == ("Learning: relay", "1.2.3", [1, 9, 11, 42])
    assert read_limits(written.encode()) == RelayLimits(
        max_subscriptions=40, max_filters=20, max_limit=100, min_pow_difficulty=8
    )
    assert service in written
