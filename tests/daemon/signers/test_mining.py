"""Work that relays ask for, done before the signature."""

from __future__ import annotations

import pytest

from podium_daemon.relays.embedded_child import RelaySettings
from podium_daemon.signers.signer import LocalSigner, MiningSigner
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_protocol.nips import nip13
from tests.support.pools import running_pool
from tests.support.relays import new_key, running_relay


async def test_work_is_done_as_it_is_asked_for() -> None:
    """None where nobody asks, and none for what relays do not store, such as a login."""
    key, asked = new_key(), 0
    signer = MiningSigner(LocalSigner(key), bits=lambda: asked)
    draft = UnsignedEvent(key.pubkey, 1_800_000_000, kinds.SPACE, (("d", "podium"),), "")
    assert signer.pubkey == key.pubkey
    assert (await signer.sign(draft)).tags == draft.tags
    asked = 10
    signed = await signer.sign(draft)
    assert nip13.difficulty(signed.id) >= 10
    assert nip13.without_nonce(signed.tags) == draft.tags
    login = UnsignedEvent(key.pubkey, 1_800_000_000, 22242, (), "")
    assert (await signer.sign(login)).tags == ()


@pytest.mark.real_peer
async def test_a_relay_that_asks_for_work_takes_what_was_mined() -> None:
    """And refuses the same event without the work."""
    key = new_key()
    draft = UnsignedEvent(key.pubkey, 1_800_000_000, 1, (), "work")
    async with running_relay(RelaySettings(min_pow=12)) as relay, running_pool(relay.url) as pool:
        assert not (await pool.publish(relay.url, await LocalSigner(key).sign(draft))).is_done
        mined = await MiningSigner(LocalSigner(key), bits=lambda: 12).sign(draft)
        assert (await pool.publish(relay.url, mined)).is_done
