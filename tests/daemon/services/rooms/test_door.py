"""The facts behind the question who may enter, as they stand in the store."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.services.rooms.door import ADMITTED, REFUSE_TEXTS, REMOVED, WAIT_TEXTS, DoorKeeper, role_of
from podium_daemon.services.rooms.entry import TicketHolder
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey
from podium_protocol.live.admission import (
    Admission,
    Admit,
    AwaitDoor,
    DoorPolicy,
    DoorRole,
    Refuse,
    RefuseReason,
    WaitReason,
)
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import LiveSessionRow, RoomMemberRow, RsvpRow
from tests.support.world import World, new_key, world


async def asked(
    here: World,
    row: LiveSessionRow,
    key: SecretKey,
    *,
    present: Collection[tuple[Pubkey, str]] = (),
    device: str = "laptop",
    returning: bool = False,
    policy: DoorPolicy | None = None,
) -> Admission:
    """What the door says to a person, with these (pubkey, device) in the room."""
    entry = TicketHolder(
        session_address=row.session_address,
        pubkey=key.pubkey,
        device=device,
        role=role_of(row, key.pubkey),
        returning=returning,
    )
    keeper = DoorKeeper(here.store, policy or DoorPolicy())
    return await keeper.decide(row, entry, present, here.now)


async def live(here: World, **fields: object) -> LiveSessionRow:
    """A session that runs."""
    row = await here.schedule(starts_in=0, **fields)
    await here.turn()
    return await here.row(row.session_address)


async def stand(here: World, row: LiveSessionRow, key: SecretKey, state: str) -> None:
    """A person's standing."""
    await here.store.members.put(
        RoomMemberRow(
            session_address=row.session_address,
            pubkey=key.pubkey,
            state=state,
            role="participant",
            updated_at=here.now,
            assurance="signature",
        )
    )


async def test_roles_follow_from_the_session() -> None:
    """Its author, those it names as co-hosts, and everybody else."""
    async with world() as here:
        co_host = new_key()
        row = await here.schedule(co_hosts=(co_host.pubkey,))
        roles = [role_of(row, key.pubkey) for key in (here.instructor, co_host, new_key(), here.service)]
        assert roles == [DoorRole.INSTRUCTOR, DoorRole.CO_HOST, DoorRole.PARTICIPANT, DoorRole.PARTICIPANT]


async def test_an_open_session_admits_anybody() -> None:
    """Without a waiting room, a required RSVP or a cap there is nothing to wait for."""
    async with world() as here:
        assert isinstance(await asked(here, await live(here), new_key()), Admit)


async def test_what_the_store_says_of_somebody_counts() -> None:
    """Admitted passes, removed does not; an RSVP is looked up by person and session."""
    async with world() as here:
        row = await live(here, waiting_room=True, rsvp_required=True)
        other = await live(here)
        ada, ben, cleo, dora = (new_key() for _ in range(4))
        await stand(here, row, ada, ADMITTED)
        await stand(here, row, ben, REMOVED)
        await here.answer(cleo, row)
        await here.answer(dora, other)
        assert isinstance(await asked(here, row, ada), Admit)
        assert await asked(here, row, ben) == Refuse(RefuseReason.DENIED)
        assert await asked(here, row, cleo) == AwaitDoor(WaitReason.INSTRUCTOR)
        assert await asked(here, row, dora) == AwaitDoor(WaitReason.RSVP_REQUIRED)


async def test_whoever_returns_passes_the_waiting_room_but_not_a_removal() -> None:
    """A resume secret stands for an admission, and a removal is stronger."""
    async with world() as here:
        row, key = await live(here, waiting_room=True), new_key()
        assert await asked(here, row, key) == AwaitDoor(WaitReason.INSTRUCTOR)
        assert isinstance(await asked(here, row, key, returning=True), Admit)
        await stand(here, row, key, REMOVED)
        assert await asked(here, row, key, returning=True) == Refuse(RefuseReason.DENIED)


async def test_other_devices_count_and_the_same_one_does_not() -> None:
    """Three others are too many; the device that comes again is one of the three."""
    async with world() as here:
        row, key = await live(here), new_key()
        three = [(key.pubkey, device) for device in "abc"]
        assert await asked(here, row, key, present=three, device="d") == Refuse(RefuseReason.TOO_MANY_DEVICES)
        assert isinstance(await asked(here, row, key, present=three, device="c"), Admit)
        foreign = [(new_key().pubkey, device) for device in "abc"]
        assert isinstance(await asked(here, row, key, present=foreign, device="d"), Admit)


async def test_a_policy_that_was_replaced_counts_from_then_on() -> None:
    """A reload of the configuration reaches the door."""
    async with world() as here:
        row, key = await live(here, waiting_room=True), new_key()
        await here.answer(key, row)
        keeper = DoorKeeper(here.store, DoorPolicy())
        entry = TicketHolder(
            session_address=row.session_address, pubkey=key.pubkey, device="a", role=DoorRole.PARTICIPANT
        )
        assert isinstance(await keeper.decide(row, entry, (), here.now), AwaitDoor)
        keeper.policy = DoorPolicy(auto_admit_confirmed=True)
        assert isinstance(await keeper.decide(row, entry, (), here.now), Admit)


async def test_seats_are_those_nobody_holds_or_sits_on() -> None:
    """Held seats and people without one both take room; staff takes none, and oneself does not count."""
    async with world() as here:
        co_host = new_key()
        row = await here.schedule(starts_in=60, max_participants=3, co_hosts=(co_host.pubkey,))
        holder, declined, walk_in, late = (new_key() for _ in range(4))
        await here.answer(holder, row)
        await here.answer(declined, row, RsvpStatus.DECLINED)
        await here.turn()
        await here.advance(60)
        row = await here.row(row.session_address)
        staff = [(here.instructor.pubkey, "a"), (co_host.pubkey, "a")]
        one_walk_in = [*staff, (walk_in.pubkey, "a"), (walk_in.pubkey, "b")]
        assert isinstance(await asked(here, row, late, present=one_walk_in), Admit)
        full = [*one_walk_in, (declined.pubkey, "a")]
        assert await asked(here, row, late, present=full) == AwaitDoor(WaitReason.FULL)
        assert isinstance(await asked(here, row, holder, present=full), Admit)
        assert isinstance(await asked(here, row, walk_in, present=full, device="c"), Admit)
        with_holder = [*full, (holder.pubkey, "a")]
        assert await asked(here, row, late, present=with_holder) == AwaitDoor(WaitReason.FULL)


PEOPLE = [new_key() for _ in range(6)]


@given(
    cap=st.integers(1, 7),
    held=st.sets(st.integers(0, 5)),
    present=st.sets(st.integers(0, 5)),
    who=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
async def test_nobody_enters_beyond_the_cap(cap: int, held: set[int], present: set[int], who: int) -> None:
    """However seats are held and taken: a person without a seat enters only while others leave one free."""
    async with world() as here:
        row = await live(here, max_participants=cap)
        await here.store.rsvps.bulk_put([rsvp(row, PEOPLE[number].pubkey, number) for number in held])
        sitting = [(PEOPLE[number].pubkey, "a") for number in present]
        outcome = await asked(here, row, PEOPLE[who], present=sitting, device="b")
        others = (held | present) - {who}
        assert isinstance(outcome, Admit) is (who in held or len(others) < cap)


def rsvp(row: LiveSessionRow, pubkey: Pubkey, number: int) -> RsvpRow:
    """A person who holds a seat."""
    return RsvpRow(
        session_address=row.session_address,
        pubkey=pubkey,
        status="confirmed",
        rsvp_time=1,
        event_id="0" * 64,
        first_seen=number + 1,
        first_seen_at=1,
        seat="held",
    )


@pytest.mark.parametrize("texts", [WAIT_TEXTS, REFUSE_TEXTS])
def test_every_reason_has_words(texts: dict[object, str]) -> None:
    """Nobody stands at the door without being told why, in a sentence."""
    reasons = list(WaitReason) if texts is WAIT_TEXTS else list(RefuseReason)
    assert set(texts) == set(reasons)
    assert all(text.endswith(".") for text in texts.values())


async def test_newcomers_agree_while_it_is_recorded() -> None:
    """While the room is recorded, a person who has not agreed waits outside; of another room nothing is asked."""
    async with world() as here:
        row, other, key = await live(here), await live(here), new_key()
        recorded = {row.session_address}
        keeper = DoorKeeper(here.store, DoorPolicy(), recorded.__contains__)
        entry = TicketHolder(
            session_address=row.session_address, pubkey=key.pubkey, device="laptop", role=DoorRole.PARTICIPANT
        )
        assert await keeper.decide(row, entry, (), here.now) == AwaitDoor(WaitReason.CONSENT_REQUIRED)
        assert isinstance(await keeper.decide(other, entry, (), here.now), Admit)
        await here.store.members.put(
            RoomMemberRow(
                session_address=row.session_address,
                pubkey=key.pubkey,
                state=ADMITTED,
                role="participant",
                consent=True,
                updated_at=here.now,
                assurance="signature",
            )
        )
        assert isinstance(await keeper.decide(row, entry, (), here.now), Admit)
