"""The wall clock is set, the machine sleeps, and clocks change for summer: no storm, nothing twice, nothing missed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from podium_protocol import kinds, tags
from podium_protocol.keys import SecretKey
from podium_storage.table.models import LiveSessionRow
from tests.support.faults import rounds, seeded
from tests.support.world import World, world

pytestmark = pytest.mark.faults

HOUR: Final = 3600
TITLE: Final = "Know your rights"
OFFSETS: Final = {"day": 24 * HOUR, "hour": HOUR, "quarter": 900, "start": 0}
ORDER: Final = ("planned", "live", "ended")


async def people(here: World, row: LiveSessionRow, count: int) -> list[SecretKey]:
    """People who come, and have been told that they are confirmed."""
    found = [await here.person() for _ in range(count)]
    for person in found:
        await here.answer(person, row)
    await here.turn()
    return found


def statuses(here: World) -> list[int]:
    """What was published of the meeting, as places in its life."""
    return [ORDER.index(tags.first(event.tags, "status") or "") for event in here.published(kinds.MEETING)]


def told(here: World, person: SecretKey) -> list[str]:
    """The reminders of a person; the confirmation came before."""
    return here.letters(person)[1:]


async def test_an_hour_forward_sends_what_is_nearest_once_and_no_storm() -> None:
    """Two hours before the start the clock is set an hour ahead: the hour's reminder, and of each person one."""
    async with world() as here:
        row = await here.schedule(starts_in=2 * HOUR + 600)
        found = await people(here, row, 5)
        before = len(here.sent)
        here.clock.jump(HOUR + 600)
        await here.turn()
        assert [told(here, person) for person in found] == [[f"{TITLE} starting in 1 hour"]] * 5
        assert len(here.sent) - before <= 2 * len(found)
        await here.turn()
        assert [len(told(here, person)) for person in found] == [1] * 5
        for seconds in (45 * 60, 15 * 60, 90 * 60 + 60):
            await here.advance(seconds)
        assert [len(told(here, person)) for person in found] == [3] * 5
        assert statuses(here) == sorted(statuses(here))


@pytest.mark.parametrize("sent", list(OFFSETS))
async def test_an_hour_back_repeats_nothing_and_misses_nothing(sent: str) -> None:
    """Set back right after a reminder was sent, the clock passes its time again: told once; what follows comes."""
    async with world() as here:
        row = await here.schedule(starts_in=26 * HOUR)
        found = await people(here, row, 3)
        for name, offset in OFFSETS.items():
            await here.advance(row.scheduled_at - offset - here.now)
            if name == sent:
                here.clock.jump(-HOUR)
                await here.turn()
        for _ in range(8):  # through the hour that is lived twice, and to the end
            await here.advance(HOUR // 2)
        for person in found:
            assert Counter(told(here, person)).most_common(1)[0][1] == 1, told(here, person)
            assert set((await here.states(person, row)).values()) == {"sent"}
        assert statuses(here) == sorted(statuses(here))


@pytest.mark.parametrize("asleep", [10 * 60, HOUR, 8 * HOUR, 30 * HOUR])
async def test_a_machine_that_slept_tells_what_is_still_true(asleep: int) -> None:
    """After a suspend at most one message for each person goes out at once, and none for a start that is long over."""
    async with world() as here:
        row = await here.schedule(starts_in=25 * HOUR + 300)
        found = await people(here, row, 3)
        here.clock.jump(asleep)  # the monotonic clock stands still meanwhile
        await here.turn()
        assert all(len(told(here, person)) <= 1 for person in found)
        while here.now < row.scheduled_at + 2 * HOUR:
            await here.advance(900)
        for person in found:
            assert max(Counter(told(here, person)).values(), default=0) <= 1
            unsent = {name for name, state in (await here.states(person, row)).items() if state != "sent"}
            woke = here.since + asleep
            assert unsent <= {name for name, offset in OFFSETS.items() if row.scheduled_at - offset < woke}
        assert statuses(here) == sorted(statuses(here))


@pytest.mark.parametrize(
    ("starts", "offset"),
    [
        (datetime(2027, 3, 28, 10, 0, tzinfo=ZoneInfo("Europe/Berlin")), "+0200"),  # the clocks went forward at two
        (datetime(2027, 10, 31, 10, 0, tzinfo=ZoneInfo("Europe/Berlin")), "+0100"),  # they went back at three
    ],
)
async def test_a_night_in_which_the_clocks_change_moves_no_reminder(starts: datetime, offset: str) -> None:
    """A day before is 24 hours before, and the time that is named is the one that clocks will show."""
    at = int(starts.timestamp())
    assert starts.strftime("%z") == offset
    async with world(now=at - 30 * HOUR) as here:
        row = await here.schedule(starts_in=30 * HOUR)
        (person,) = await people(here, row, 1)
        when: dict[str, int] = {}
        for before in OFFSETS.values():
            await here.advance(at - before - here.now - 1)
            assert len(told(here, person)) == len(when), "a message came too early"
            await here.advance(1)
            when |= dict.fromkeys(told(here, person)[len(when) :], here.now)
        assert list(when.values()) == [at - before for before in OFFSETS.values()]
        assert f"Tomorrow: {TITLE} at 10:00" in when


@pytest.mark.parametrize("number", range(rounds(2, soak=200)))
async def test_a_clock_that_is_set_again_and_again_tells_nothing_twice(number: int) -> None:
    """Seeded steps of up to an hour either way while the time passes: each message at most once, no state back."""
    chance = seeded(f"clock {number}")
    async with world() as here:
        row = await here.schedule(starts_in=25 * HOUR, minutes=60)
        found = await people(here, row, 2)
        for _ in range(40):
            await here.advance(chance.randrange(60, 3 * HOUR))
            if chance.random() < 0.3:
                here.clock.jump(chance.uniform(-HOUR, HOUR))
                await here.turn()
        for person in found:
            assert max(Counter(told(here, person)).values(), default=0) <= 1, told(here, person)
            states = await here.states(person, row)
            assert set(states.values()) <= {"sent", "missed", "skipped_late"}
            sent = [name for name, state in states.items() if state == "sent" and name != "confirmation"]
            assert len(sent) == len(told(here, person))
        assert statuses(here) == sorted(statuses(here))
