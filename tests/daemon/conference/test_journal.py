"""The event journal: every reader gets everything that is remembered, and hears of what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from podium_daemon.conference.events import EngineEvent, EngineHealth, RoomId, RoomOpened
from podium_daemon.conference.journal import EventJournal


def _event(number: int) -> RoomOpened:
    return RoomOpened(id=f"e{number}", at=1000 + number, room=RoomId("r"))


async def _take(reader: AsyncIterator[EngineEvent], many: int) -> list[str]:
    return [(await anext(reader)).id for _ in range(many)]


async def test_every_reader_gets_every_event_in_order() -> None:
    """Two readers, one from the start and one late, read the same."""
    journal = EventJournal("run")
    early = journal.follow()
    waiting = asyncio.create_task(_take(early, 3))
    await asyncio.sleep(0)
    for number in range(3):
        journal.append(_event(number))
    assert await waiting == ["e0", "e1", "e2"]
    assert await _take(journal.follow(), 3) == ["e0", "e1", "e2"]


async def test_memory_is_bounded_with_readers_or_without() -> None:
    """However much happens and however slow readers are, a fixed number of events is kept."""
    journal = EventJournal("run", remembered=10)
    slow = journal.follow()
    for number in range(1000):
        journal.append(_event(number))
        if number == 0:
            await _take(slow, 1)
    assert len(journal._events) == 10


async def test_a_reader_that_is_too_slow_is_told() -> None:
    """Lost events are announced as the engine being unknown and back, then reading goes on where memory begins."""
    journal = EventJournal("run", remembered=3)
    reader = journal.follow()
    journal.append(_event(0))
    assert await _take(reader, 1) == ["e0"]
    for number in range(1, 8):
        journal.append(_event(number))
    down, up = await anext(reader), await anext(reader)
    assert isinstance(down, EngineHealth)
    assert isinstance(up, EngineHealth)
    assert (down.up, up.up) == (False, True)
    assert down.detail.startswith("4 events were not read in time")
    assert await _take(reader, 3) == ["e5", "e6", "e7"]


async def test_events_lost_while_the_loss_is_told_are_told_too() -> None:
    """A reader that is slow even in hearing that it is slow hears it again, with other ids."""
    journal = EventJournal("run", remembered=2)
    reader = journal.follow()
    numbers = count()
    for _ in range(3):
        journal.append(_event(next(numbers)))
    seen: list[EngineEvent] = []
    for _ in range(3):
        seen.append(await anext(reader))
        for _ in range(5):
            journal.append(_event(next(numbers)))
    seen.extend([await anext(reader) for _ in range(5)])
    health = [event for event in seen if isinstance(event, EngineHealth)]
    assert [event.up for event in health] == [False, True, False, True, False, True]
    assert len({event.id for event in health}) == len(health)
    assert [event.id for event in seen[-2:]] == ["e16", "e17"]


async def test_losses_of_two_runs_have_different_ids() -> None:
    """After a restart a notice of loss is not taken for a copy of an earlier one."""
    ids = []
    for run in ("one", "two"):
        journal = EventJournal(run, remembered=1)
        reader = journal.follow()
        journal.append(_event(0))
        await anext(reader)
        journal.append(_event(1))
        journal.append(_event(2))
        ids.append((await anext(reader)).id)
    assert len(set(ids)) == 2


@pytest.mark.parametrize("readers", [1, 50])
async def test_waiting_readers_all_wake(readers: int) -> None:
    """One event reaches everybody who waits."""
    journal = EventJournal("run")
    waiting = [asyncio.create_task(_take(journal.follow(), 1)) for _ in range(readers)]
    await asyncio.sleep(0)
    journal.append(_event(0))
    assert await asyncio.gather(*waiting) == [["e0"]] * readers
