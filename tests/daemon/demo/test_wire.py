"""The demo's people on relays that are strict: few subscriptions, and logins."""

from __future__ import annotations

import secrets

import pytest

from podium_daemon.demo.people import RefusedByRelay, open_wire
from podium_daemon.relays.embedded_child import RelaySettings
from podium_protocol.events import VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.relay.verdicts import AuthRequired, EventAccepted
from tests.support.narrow_relay import narrow_relay
from tests.support.relays import new_key, running_relay, signed


async def test_what_was_fetched_is_closed_so_that_few_subscriptions_will_do() -> None:
    """Thirty questions to a relay that allows two at a time, beside one that stays open."""
    async with narrow_relay(most=2) as relay, open_wire(relay.url) as wire:
        heard: list[VerifiedEvent] = []
        await wire.listen([Filter(kinds=(7,))], heard.append)
        event = signed(new_key(), "note")
        await relay.publish(event)
        for _ in range(30):
            assert [one.id for one in await wire.fetch(Filter(kinds=(1,)))] == [event.id]
        assert relay.refused == []
        assert relay.wire.messages.count(["CLOSE", "demo-2"]) == 1


@pytest.mark.real_peer
async def test_people_log_in_to_a_relay_that_asks() -> None:
    """Reading and writing both work on a relay that serves only those it knows; without a key neither does."""
    async with running_relay(RelaySettings(login="both")) as relay:
        key, event = new_key(), signed(new_key(), secrets.token_hex(4))
        async with open_wire(relay.url) as wire:
            assert isinstance(await wire.publish(event), AuthRequired)
            with pytest.raises(RefusedByRelay, match="auth-required"):
                await wire.fetch(Filter(kinds=(1,)))
            wire.log_in_as(key)
            assert isinstance(await wire.publish(event), EventAccepted)
            assert [one.id for one in await wire.fetch(Filter(kinds=(1,)))] == [event.id]
