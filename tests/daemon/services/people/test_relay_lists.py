"""The service's relay lists: published when they say something new."""

from __future__ import annotations

from collections.abc import Sequence

from podium_daemon.services.people.service_profile import announce_relay_lists
from podium_daemon.signers.signer import MiningSigner
from podium_protocol import kinds
from podium_protocol.events import VerifiedEvent
from podium_protocol.nips import nip13, nip17, nip65
from tests.support.world import World, world

ONE, TWO = "wss://one.example.org", "wss://two.example.org"


async def announced(
    here: World,
    *,
    read: Sequence[str] = (ONE,),
    write: Sequence[str] = (ONE, TWO),
    dm: Sequence[str] = (TWO,),
    bits: int = 0,
) -> list[VerifiedEvent]:
    """What is published by announcing these lists."""
    before = len(here.sent)
    await announce_relay_lists(
        store=here.store,
        mirror=here.mirror,
        event_writer=here.event_writer,
        signer=MiningSigner(here.signer, bits=lambda: bits),
        clock=here.clock,
        read=read,
        write=write,
        dm=dm,
    )
    await here.deliver()
    return here.sent[before:]


async def test_both_lists_are_published() -> None:
    """Where the service writes and reads (10002), and where it reads private messages (10050)."""
    async with world() as here:
        lists, inbox = await announced(here)
        assert (lists.kind, inbox.kind) == (kinds.RELAY_LIST, kinds.DM_RELAY_LIST)
        assert {lists.pubkey, inbox.pubkey} == {here.service.pubkey}
        assert nip65.read_relay_list(lists) == nip65.RelayList(read=(ONE,), write=(ONE, TWO))
        assert nip17.read_dm_relays(inbox) == (TWO,)


async def test_what_is_known_already_is_not_published_again() -> None:
    """A restart with the same configuration says nothing."""
    async with world() as here:
        await announced(here)
        await here.clock.advance(3600)
        assert await announced(here) == []


async def test_work_that_was_done_is_no_news() -> None:
    """The lists are mined where relays ask for it, and the nonce says nothing new about us."""
    async with world() as here:
        mined = await announced(here, bits=4)
        assert [nip13.difficulty(event.id) >= 4 for event in mined] == [True, True]
        await here.clock.advance(3600)
        assert await announced(here, bits=4) == await announced(here) == []


async def test_only_what_changed_is_published_and_is_newer() -> None:
    """Another inbox leaves the relay list alone; in the same second it still wins."""
    async with world() as here:
        _, inbox = await announced(here)
        (changed,) = await announced(here, dm=(ONE,))
        assert changed.kind == kinds.DM_RELAY_LIST
        assert changed.created_at == inbox.created_at + 1
        assert await here.mirror.newest_replaceable(kinds.DM_RELAY_LIST, here.service.pubkey) == changed


async def test_without_an_inbox_none_is_announced() -> None:
    """A service that reads no private messages does not say where it would."""
    async with world() as here:
        assert [event.kind for event in await announced(here, dm=())] == [kinds.RELAY_LIST]
