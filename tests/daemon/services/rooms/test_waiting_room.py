"""Who waits on a socket right now."""

from __future__ import annotations

import asyncio

import pytest

from podium_daemon.conference.seats import SocketGone
from podium_daemon.services.rooms.entry import TicketHolder, Waiter, WaitingRoom
from podium_protocol.events import Pubkey
from podium_protocol.live.admission import DoorRole, WaitReason

ADA, BEN, CLEO = (Pubkey(letter * 64) for letter in "abc")
HERE, THERE = "31923:x:here", "31923:x:there"


def waiter(pubkey: Pubkey, device: str = "laptop", *, lesson: str = HERE, reason: WaitReason | None = None) -> Waiter:
    """A person at a door, who was told a reason."""
    found = Waiter(TicketHolder(session_address=lesson, pubkey=pubkey, device=device, role=DoorRole.PARTICIPANT), 1)
    found.reason = reason
    return found


def waiting(*waiters: Waiter) -> WaitingRoom:
    """These people at their doors, with silent bells."""
    room = WaitingRoom()
    for one in waiters:
        room.enter(one)
        one.bell.clear()
    return room


def rung(*waiters: Waiter) -> list[bool]:
    """Whose bell rang."""
    return [one.bell.is_set() for one in waiters]


def test_people_wait_in_the_order_they_came_each_at_their_door() -> None:
    """Sessions are apart; a person who leaves is gone, and an empty room is no room."""
    first, second, elsewhere = waiter(ADA), waiter(BEN), waiter(CLEO, lesson=THERE)
    room = waiting(first, second, elsewhere)
    assert room.waiting_for(HERE) == [first, second]
    assert room.addresses() == [HERE, THERE]
    room.leave(first)
    room.leave(first)
    room.leave(second)
    assert room.waiting_for(HERE) == []
    assert room.addresses() == [THERE]
    room.leave(elsewhere)
    assert not room


def test_a_device_that_comes_again_replaces_itself() -> None:
    """The older socket is told; other devices and other people are not."""
    old, phone, other, elsewhere = waiter(ADA), waiter(ADA, "phone"), waiter(BEN), waiter(ADA, lesson=THERE)
    room = waiting(old, phone, other, elsewhere)
    room.enter(new := waiter(ADA))
    assert [one.replaced for one in (old, phone, other, elsewhere, new)] == [True, False, False, False, False]
    assert rung(old, phone, other, elsewhere) == [True, False, False, False]


def test_devices_that_came_before_are_counted() -> None:
    """Each socket counts those in front of it, so that the fourth is refused and not all four."""
    devices = [waiter(ADA, name) for name in "abcd"]
    room = waiting(waiter(BEN), *devices)
    counts = [len(room.devices_before(one.entry, one)) for one in devices]
    assert counts == [0, 1, 2, 3]
    assert len(room.devices_before(waiter(ADA, "e").entry, None)) == 4
    devices[0].replaced = True
    assert len(room.devices_before(devices[3].entry, devices[3])) == 2


def test_a_session_that_changed_wakes_everybody_at_its_door() -> None:
    """And nobody elsewhere."""
    first, second, elsewhere = waiter(ADA), waiter(BEN), waiter(CLEO, lesson=THERE)
    room = waiting(first, second, elsewhere)
    room.wake([HERE])
    assert rung(first, second, elsewhere) == [True, True, False]


@pytest.mark.parametrize("reason", list(WaitReason))
def test_somebody_s_arrival_is_news_to_few(reason: WaitReason) -> None:
    """An answer or a seat that frees wakes the person it is about and those who wait for a seat."""
    person, other, undecided = waiter(ADA, reason=reason), waiter(BEN, reason=reason), waiter(CLEO)
    room = waiting(person, other, undecided)
    room.wake_some(HERE, {ADA})
    assert rung(person, other, undecided) == [True, reason is WaitReason.FULL, True]


async def test_a_look_ends_with_the_bell() -> None:
    """A person who waits is woken by the bell, also when it was set before they listened."""
    one = waiter(ADA)
    reading = asyncio.create_task(asyncio.Event().wait())
    looking = asyncio.create_task(one.next_look(reading))  # type: ignore[arg-type]  # any task that does not end
    await asyncio.sleep(0)
    assert not looking.done()
    one.bell.set()
    await looking
    await one.next_look(reading)  # type: ignore[arg-type]  # as above
    reading.cancel()


async def test_a_look_ends_with_the_socket() -> None:
    """Nobody waits who has left."""

    async def gone() -> None:
        raise SocketGone(clean=True)

    with pytest.raises(SocketGone):
        await waiter(ADA).next_look(asyncio.create_task(gone()))
