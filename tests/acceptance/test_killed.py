"""A daemon that is killed goes on where it stood: SIGKILL at the worst moments, then the same state again."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fault_proxy import fault_proxy
from tests.support.installed import Daemon, Site, offsets
from tests.support.outsiders import Letter, Outsider, Seat, first, outsiders, rows, send
from tests.support.relays import running_relay
from tests.support.until import until

MEETING, ATTENDANCE = 30313, 31953
AMPLE = 20  # seconds in which a killed daemon has started again on a slow machine: what is late by then is not sent
DAY, HOUR, QUARTER = 5 + 2 * AMPLE, 5 + AMPLE, 5
LASTS = 22 + 2 * AMPLE
AWAY = 5  # longer than all the inaccuracy that is allowed
HEARTBEAT = 1  # of a seat, and of the poll that looks at it


class Told:
    """One session with two people, and the daemon that is killed under them."""

    def __init__(self, site: Site, service: str, people: list[Outsider]) -> None:
        self.site = site
        self.service = service
        self.instructor, self.ada, self.ben = people
        self.session_address = ""
        self.starts_at = 0

    async def schedule(self, start_in: int) -> None:
        """Publish it, and let both answer."""
        self.starts_at = int(time.time()) + start_in
        self.session_address = await self.instructor.schedule(
            self.service, "killed", self.starts_at, self.starts_at + LASTS, ["max_participants", "5"]
        )
        await self.instructor.follow(MEETING, author=self.service)
        await until(self.has_status("planned"), "it is taken over")
        await self.ada.answer(self.session_address, "accepted")
        await self.ben.answer(self.session_address, "tentative")

    async def ledger(self) -> list[dict[str, object]]:
        """The daemon's own account."""
        answer = await self.instructor.call("GET", f"{self.site.base}/api/sessions/killed/reminders")
        return list(answer.body["reminders"])

    async def attendance(self) -> dict[str, dict[str, int]]:
        """Who was there so far."""
        answer = await self.instructor.call("GET", f"{self.site.base}/api/sessions/killed/attendance")
        return {row["pubkey"]: row for row in answer.body["attendance"]}

    def has_status(self, status: str):  # noqa: ANN201 (a look for `until`)
        """Whether the relay has told this live status."""

        async def look() -> bool:
            return status in self.statuses

        return look

    @property
    def statuses(self) -> list[str | None]:
        """What the live status said, in the order in which the relay told it."""
        return [first(event, "status") for event in self.instructor.heard if event["kind"] == MEETING]

    def letters(self, before: int) -> list[Letter]:
        """Everybody's messages of one offset."""
        at = self.starts_at - before
        return [*self.ada.letters_at(at), *self.ben.letters_at(at)]

    async def until_told(self, before: int, people: int = 2) -> None:
        """Wait for the messages of one offset."""

        async def told() -> bool:
            return len(self.letters(before)) >= people

        await until(told, f"the message due {before} s before the start", seconds=60)

    async def until_time(self, at: float) -> None:
        """Wait for a time of the wall clock."""

        async def come() -> bool:
            return time.time() >= at

        await until(come, f"it is {at}", seconds=60)


def rumors_in(state: Path) -> set[str]:
    """The ids of all messages that were signed before the daemon was killed, read from its database."""
    with closing(sqlite3.connect(f"{(state / 'podium.sqlite3').as_uri()}?mode=ro", uri=True)) as database:
        return {rumor for (rumor,) in database.execute("SELECT rumorId FROM reminderLedger WHERE rumorId IS NOT NULL")}


async def test_a_daemon_killed_again_and_again_tells_everything_once(tmp_path: Path) -> None:
    """Killed before, between, while live and while seated, it tells each thing once, loses no seat's time, and ends."""
    async with running_relay() as relay, outsiders(relay.url, 3) as people:
        # how long the restarts take is not in question: the first stay completes it
        settings = offsets(DAY, HOUR, QUARTER) | {"attendance.percent": 5}
        site = Site(tmp_path, relays=[relay.url], settings=settings)
        told = Told(site, await site.make_key(), people)
        site.set(instructors__allow=[told.instructor.npub])
        for person in (told.ada, told.ben):
            await person.open_inbox()

        async with site.running() as daemon:
            await told.schedule(DAY + AMPLE)
            await until(lambda: _all_prepared(told), "every message is signed and stored")
            await daemon.kill()
        signed = rumors_in(site.state)
        await told.until_time(told.starts_at - DAY)  # due while nobody is there to send it

        async with site.running() as daemon:
            await told.until_told(DAY)
            await told.until_told(HOUR, people=1)
            await daemon.kill()  # between one recipient and the next, or before the relay's OK was written down

        async with site.running() as daemon:
            await told.until_told(HOUR)
            await told.until_told(QUARTER)
            await until(told.has_status("live"), "it starts")
            await daemon.kill()  # the state is told, "Live now" perhaps not

        async with site.running() as daemon:
            await told.until_told(0)
            first_stay = await _sit_and_be_killed(told, daemon)
        await told.until_time(first_stay.ended + AWAY)  # nobody may be credited for this time

        async with site.running():
            (came_back,) = await _return([first_stay])
            await until(told.has_status("ended"), "it ends")
            await until(lambda: _final_record(told), "the final record is on the relay")
            attended = await told.attendance()

        assert {letter.rumor_id for letter in told.letters(DAY)} <= signed, "a message was signed a second time"
        _each_thing_once(told)
        _state_never_went_back(told)
        _no_time_was_lost(told, attended, [first_stay, came_back])


@pytest.mark.parametrize("poll", [1, 60])
async def test_a_daemon_killed_right_after_the_end_attests_everybody(tmp_path: Path, poll: int) -> None:
    """Ended by hand with a person in the room and killed at that moment, it makes the final record when it is back."""
    async with running_relay() as relay, outsiders(relay.url, 3) as people:
        site = Site(tmp_path, relays=[relay.url], settings={"attendance.poll": poll, "attendance.percent": 1})
        told = Told(site, await site.make_key(), people)
        site.set(instructors__allow=[told.instructor.npub])
        async with site.running() as daemon:
            await told.schedule(4)
            await until(told.has_status("live"), "it starts")
            seat = await told.ada.join(site.base, "killed", told.session_address)
            assert seat.is_taken, seat.said
            await until(lambda: _is_listed(told), "she is counted")
            ended = await told.instructor.call("POST", f"{site.base}/api/sessions/killed/end")
            await daemon.kill()
            assert ended.status == 200, ended.body
        await told.until_time(time.time() + 3)  # more than two of the short polls
        async with site.running():
            await until(lambda: _left_record(told), "the final record is on the relay")


async def _is_listed(told: Told) -> bool:
    return told.ada.pubkey in await told.attendance()


async def _left_record(told: Told) -> bool:
    return any(rows(record, "left") for record in await told.instructor.find(ATTENDANCE, author=told.service))


async def _all_prepared(told: Told) -> bool:
    due = [row for row in await told.ledger() if row["message"] in {"day", "hour", "quarter", "start"}]
    return len(due) == 8 and all(row["state"] == "prepared" for row in due)


class Stay:
    """From when to when a person sat there, as they saw it."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.began = time.time()
        self.ended = 0.0


async def _sit_and_be_killed(told: Told, daemon: Daemon) -> Stay:
    stay = Stay(await told.ada.join(told.site.base, "killed", told.session_address))
    assert stay.seat.is_taken, stay.seat.said

    async def counted() -> bool:
        row = (await told.attendance()).get(told.ada.pubkey)
        return row is not None and row["totalDuration"] >= 5

    await until(counted, "five seconds of attendance")
    await daemon.kill()
    stay.ended = time.time()
    await asyncio.wait_for(stay.seat.closed.wait(), 60)
    return stay


async def _return(stays: list[Stay]) -> list[Stay]:
    """Back into the room as a page does it, with the secret of the lost seat and without a new signature."""
    back = []
    for stay in stays:
        seat = await stay.seat.come_back()
        assert seat.is_taken, seat.said
        back.append(Stay(seat))
    for stay in back:
        await asyncio.wait_for(stay.seat.closed.wait(), LASTS + 10)
        stay.ended = time.time()
        assert "ended" in stay.seat.said, stay.seat.said
    return back


async def _final_record(told: Told) -> bool:
    records = await told.instructor.find(ATTENDANCE, author=told.service)
    return any(rows(record, "left") and rows(record, "completed") for record in records)


def _each_thing_once(told: Told) -> None:
    for person in (told.ada, told.ben):
        times = Counter(letter.at for letter in person.letters)
        offsets_told = [told.starts_at - before for before in (DAY, HOUR, QUARTER, 0)]
        assert {at: times[at] for at in offsets_told} == dict.fromkeys(offsets_told, 1)
        assert len(person.letters) == 5, [letter.subject for letter in person.letters]
        assert len({letter.rumor_id for letter in person.letters}) == 5


def _state_never_went_back(told: Told) -> None:
    order = ["planned", "live", "ended"]
    numbers = [order.index(status or "") for status in told.statuses]
    assert numbers == sorted(numbers), told.statuses
    (last, *_) = [event for event in reversed(told.instructor.heard) if event["kind"] == MEETING]
    assert first(last, "starts") == str(told.starts_at)
    assert abs(int(first(last, "ends") or 0) - (told.starts_at + LASTS)) <= 2


def _no_time_was_lost(told: Told, attended: dict[str, dict[str, int]], stays: list[Stay]) -> None:
    row = attended[told.ada.pubkey]
    seen = sum(stay.ended - stay.began for stay in stays)
    # a killed daemon cannot know how long the seat lasted after the last sign of life, which is a heartbeat; rounding
    # takes or adds a second at each end of a stay, and the bridge another one
    slack = HEARTBEAT + len(stays) + 1
    assert abs(row["totalDuration"] - seen) <= slack, (row, seen)


async def test_a_message_whose_ok_was_never_heard_is_sent_again_byte_by_byte(tmp_path: Path) -> None:
    """Killed after the relay took a message and before its OK came through, the daemon repeats the very same wrap."""
    async with running_relay() as relay, fault_proxy(relay.port) as proxy, outsiders(relay.url, 3) as people:
        site = Site(tmp_path, relays=[proxy.url], settings=offsets(90, 60, AMPLE))
        told = Told(site, await site.make_key(), people)
        site.set(instructors__allow=[told.instructor.npub])
        for person in (told.ada, told.ben):
            await person.open_inbox(proxy.url)  # the daemon's way to the relay, which the people read directly

        async with site.running() as daemon:
            await told.schedule(AMPLE + 7)
            await until(lambda: _states(told, "quarter", "prepared"), "the reminder is signed and stored")
            await until(lambda: _states(told, "confirmation", "sent"), "the confirmations are accounted for")
            await until(lambda: _nothing_under_way(told), "no OK is awaited")
            proxy.half_open()
            await told.until_told(AMPLE)
            await daemon.kill()
        wraps = {letter.wrap_id for letter in told.letters(AMPLE)}
        assert _stored_states(site.state, "quarter") == {"claimed"}, "the daemon heard an OK that it cannot have heard"

        proxy.heal()
        async with site.running():
            await until(lambda: _states(told, "quarter", "sent"), "the relay's word on the repetition is written down")
            said = [row["relays"] for row in await told.ledger() if row["message"] == "quarter"]
            assert all(len(answers) == 1 for answers in said), said
            await told.until_told(0)

        assert {letter.wrap_id for letter in told.letters(AMPLE)} == wraps
        assert len(told.letters(AMPLE)) == 2
        assert len(told.letters(0)) == 2


async def _states(told: Told, message: str, state: str) -> bool:
    found = [row["state"] for row in await told.ledger() if row["message"] == message]
    return found == [state, state]


async def _nothing_under_way(told: Told) -> bool:
    (relay,) = (await send("GET", f"{told.site.base}/api/relays")).body["relays"]
    return bool(relay["pending"] == 0)


def _stored_states(state: Path, message: str) -> set[str]:
    with closing(sqlite3.connect(f"{(state / 'podium.sqlite3').as_uri()}?mode=ro", uri=True)) as database:
        found = database.execute("SELECT state FROM reminderLedger WHERE message = ?", (message,))
        return {each for (each,) in found}


pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
