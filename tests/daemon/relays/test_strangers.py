"""What others wrote is stored within their share, and while there is room; own writes always."""

from __future__ import annotations

import pytest

from podium_daemon.relays.strangers import FULL, DiskBudget, Strangers
from podium_daemon.runtime.allowances import Allowances, Rate
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from tests.support.world import World, new_key, signed, world


def answer(here: World, key: SecretKey, identifier: str = "x") -> VerifiedEvent:
    """A person's yes."""
    address = Address(kinds.SESSION, here.instructor.pubkey, identifier)
    return signed(key, write_rsvp(address, RsvpStatus.CONFIRMED, pubkey=key.pubkey, now=here.now))


def question(here: World, key: SecretKey) -> VerifiedEvent:
    """A person's question in a meeting."""
    tags = (("a", f"{kinds.MEETING}:{here.service.pubkey}:room"),)
    return signed(key, UnsignedEvent(key.pubkey, here.now, kinds.LIVE_CHAT, tags, "Why?"))


class Most:
    """The budget in bytes, which tests change."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self) -> int:
        return self.most


async def test_over_the_budget_strangers_are_refused_and_own_writes_go_on() -> None:
    """It is looked at every few seconds, and said once; with room again they are stored again."""
    async with world() as here:
        most = Most(1)
        budget = DiskBudget(here.store.database, most, here.clock)
        door = Strangers(Allowances(here.clock), budget, lambda pubkey: pubkey == here.instructor.pubkey)
        assert await door.objection(answer(here, new_key())) == FULL
        assert await door.objection(answer(here, here.instructor)) is None
        assert (budget.is_reached, budget.used > 4096) == (True, True)
        most.most = budget.used + 1_000_000
        assert await door.objection(answer(here, new_key())) == FULL, "the last look is not over"
        await here.clock.advance(5)
        assert await door.objection(answer(here, new_key())) is None


async def test_without_a_bound_the_disk_is_the_bound() -> None:
    """0 asks for none."""
    async with world() as here:
        assert not await DiskBudget(here.store.database, Most(0), here.clock).is_used_up()


async def test_pages_that_were_freed_are_room() -> None:
    """What retention deletes is used again, although the file stays as large as it was."""
    async with world() as here:
        budget = DiskBudget(here.store.database, Most(0), here.clock)
        await budget.is_used_up()
        before = budget.used
        rows = [(f"{number}", "x" * 1_000) for number in range(2_000)]
        await here.store.database.transact(
            lambda tx: tx.execute_many("INSERT INTO meta (name, value) VALUES (?, ?)", rows)
        )
        await here.clock.advance(5)
        await budget.is_used_up()
        assert budget.used > before + 2_000_000
        await here.store.database.transact(lambda tx: tx.execute("DELETE FROM meta"))
        await here.clock.advance(5)
        await budget.is_used_up()
        assert budget.used < before + 100_000


@pytest.mark.parametrize("kind", ["key", "session"])
async def test_a_share_is_counted_by_what_the_event_says(kind: str) -> None:
    """By its author, and by the session or the meeting that it names."""
    async with world() as here:
        rates = {f"of_a_{kind}": Rate(1, 0)}
        door = Strangers(Allowances(here.clock, **rates), None, lambda _: False)
        ada, ben = new_key(), new_key()
        assert await door.objection(answer(here, ada)) is None
        again = answer(here, ada, "y") if kind == "key" else answer(here, ben)
        assert await door.objection(again) == kind
        other = answer(here, ben) if kind == "key" else answer(here, ada, "y")
        assert await door.objection(other) is None
        fresh = Strangers(Allowances(here.clock, **rates), None, lambda _: False)
        assert await fresh.objection(question(here, ada)) is None
        assert await fresh.objection(question(here, ada)) == kind
