"""A daemon that lost its disk and kept its key: the relays give back what was, and nobody is told anything twice."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from tests.support.installed import Site, offsets
from tests.support.outsiders import Letter, Outsider, first, outsiders, send
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

MEETING, ATTENDANCE = 30313, 31953
OVER, LIVE, AHEAD = "session-over", "session-live", "session-ahead"
SESSIONS: Final = (OVER, LIVE, AHEAD)
DAY, HOUR, QUARTER = 60, 50, 4


class Shown(msgspec.Struct, frozen=True):
    """What the interface showed of everything at one moment."""

    sessions: dict[str, dict[str, Any]]
    rsvps: dict[str, dict[str, dict[str, Any]]]
    attendance: dict[str, dict[str, dict[str, Any]]]
    letters: dict[str, list[Letter]]
    statuses: dict[str, list[str | None]]


class Loss(msgspec.Struct, frozen=True):
    """Before the disk was lost, and after."""

    before: Shown
    after: Shown
    ledger: dict[str, list[dict[str, Any]]]
    people: tuple[str, str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loss(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Loss]:
    """Three sessions with three people; then the state directory is gone."""
    async with running_relay() as relay, outsiders(relay.url, 4) as people:
        instructor, ada, ben, cem = people
        site = Site(tmp_path_factory.mktemp("disk") / "site", relays=[relay.url], settings=offsets(DAY, HOUR, QUARTER))
        service = await site.make_key()
        site.set(instructors__allow=[instructor.npub], conference__heartbeat=1)
        await asyncio.gather(*(person.open_inbox() for person in (ada, ben, cem)))
        await instructor.follow(MEETING, author=service)
        async with site.running():
            lessons = await _schedule(instructor, service)
            await _answer(site, lessons, ada, ben, cem)
            await _attend(site, lessons, instructor, service, [ada, cem])
            before = await _shown(site, instructor, (ada, ben, cem))
        shutil.rmtree(site.state)
        async with site.running():
            await until(lambda: _is_as_before(site, instructor, before), "the daemon has read what was")
            await until(lambda: _is_planned(site, instructor), "it has planned what people are owed")
            await until(lambda: _is_quiet(site), "it has sent what it wanted to send")
            after = await _shown(site, instructor, (ada, ben, cem))
            ledger = {name: (await _get(site, instructor, name, "reminders"))["reminders"] for name in SESSIONS}
        yield Loss(before, after, ledger, (ada.pubkey, ben.pubkey, cem.pubkey))


async def _schedule(instructor: Outsider, service: str) -> dict[str, str]:
    now = int(time.time())
    times = {OVER: (now + 7, now + 12), LIVE: (now + 7, now + 600), AHEAD: (now + 900, now + 1500)}
    one_seat = ["max_participants", "1"]
    return {name: await instructor.schedule(service, name, *times[name], one_seat) for name in SESSIONS}


async def _answer(site: Site, lessons: dict[str, str], ada: Outsider, ben: Outsider, cem: Outsider) -> None:
    """Ada is first and has the one seat; Ben waits; Cem may come."""
    for number, (person, status) in enumerate(((ada, "accepted"), (ben, "accepted"), (cem, "tentative")), 1):
        for name in SESSIONS:
            await until(lambda name=name: _is_known(site, name), "the session is known")
            await person.answer(lessons[name], status)

        async def counted(number: int = number) -> bool:
            return all([sum((await _show(site, name))["counts"].values()) == number for name in SESSIONS])

        await until(counted, "the answers are counted")
        if number == 1:
            # another second: on relays the order of answers is that of their dates
            at = int(time.time())
            await until(lambda at=at: _is_later(at), "the next second")


async def _is_later(at: int) -> bool:
    return int(time.time()) > at


async def _attend(
    site: Site, lessons: dict[str, str], instructor: Outsider, service: str, coming: list[Outsider]
) -> None:
    ada = coming[0]

    def live(name: str) -> Any:
        async def look() -> bool:
            return (await _show(site, name))["state"] == "active"

        return look

    for name in (OVER, LIVE):
        await until(live(name), f"{name} starts")
    seats = await asyncio.gather(
        ada.join(site.base, OVER, lessons[OVER]),
        ada.join(site.base, LIVE, lessons[LIVE], device="phone"),
    )
    await until(lambda: _start_told(*coming), "everybody owed it was told that it is live")

    async def recorded() -> bool:
        records = await instructor.find(ATTENDANCE, author=service)
        return any(lessons[OVER] == first(record, "a") and first(record, "left") for record in records)

    await until(recorded, "the record of the one that is over is on the relay")
    await asyncio.gather(*(seat.drop() for seat in seats))


async def _start_told(*people: Outsider) -> bool:
    return all(sum(one.subject.startswith("Live now") for one in person.letters) == 2 for person in people)


async def _is_known(site: Site, name: str) -> bool:
    return "state" in await _show(site, name)


async def _show(site: Site, name: str) -> dict[str, Any]:
    return dict((await send("GET", f"{site.base}/api/sessions/{name}")).body)


async def _get(site: Site, instructor: Outsider, name: str, what: str) -> dict[str, Any]:
    return dict((await instructor.call("GET", f"{site.base}/api/sessions/{name}/{what}")).body)


async def _shown(site: Site, instructor: Outsider, people: tuple[Outsider, ...]) -> Shown:
    sessions = {name: await _show(site, name) for name in SESSIONS}
    lessons = {name: str(shown.get("lessonId")) for name, shown in sessions.items()}
    said = [event for event in instructor.heard if event["kind"] == MEETING]

    async def by_person(what: str) -> dict[str, dict[str, dict[str, Any]]]:
        found = {name: (await _get(site, instructor, name, what))[what] for name in SESSIONS}
        return {name: {row["pubkey"]: row for row in rows} for name, rows in found.items()}

    return Shown(
        sessions=sessions,
        rsvps=await by_person("rsvps"),
        attendance=await by_person("attendance"),
        letters={person.pubkey: list(person.letters) for person in people},
        statuses={
            name: [first(event, "status") for event in said if ["a", lesson] in [tag[:2] for tag in event["tags"]]]
            for name, lesson in lessons.items()
        },
    )


async def _is_as_before(site: Site, instructor: Outsider, before: Shown) -> bool:
    for name in SESSIONS:
        shown = await _show(site, name)
        if [shown.get(field) for field in ("state", "counts")] != [
            before.sessions[name][f] for f in ("state", "counts")
        ]:
            return False
    return bool((await _get(site, instructor, OVER, "attendance"))["attendance"])


async def _is_planned(site: Site, instructor: Outsider) -> bool:
    return bool((await _get(site, instructor, AHEAD, "reminders"))["reminders"])


async def _is_quiet(site: Site) -> bool:
    (relay,) = (await send("GET", f"{site.base}/api/relays")).body["relays"]
    return bool(relay["pending"] == 0)


async def test_sessions_are_back_in_the_state_they_were_in(loss: Loss) -> None:
    """Ended stays ended, live stays live, scheduled stays scheduled, each with its times and its room."""
    for name, state in ((OVER, "ended"), (LIVE, "active"), (AHEAD, "scheduled")):
        before, after = loss.before.sessions[name], loss.after.sessions[name]
        assert (before["state"], after["state"]) == (state, state)
        fields = ("lessonId", "naddr", "title", "scheduledAt", "endsAt", "startedAt", "endedAt", "conferenceRoomId")
        assert {field: after[field] for field in fields} == {field: before[field] for field in fields}, after


async def test_the_status_on_the_relays_does_not_go_back(loss: Loss) -> None:
    """What strangers read as live or ended is never called planned again."""
    order = ["planned", "live", "ended"]
    for name in SESSIONS:
        numbers = [order.index(status or "") for status in loss.after.statuses[name]]
        assert numbers == sorted(numbers), (name, loss.after.statuses[name])


async def test_answers_are_back(loss: Loss) -> None:
    """Everybody's answer counts as before, at the time it was given."""
    for name in SESSIONS:
        before, after = (
            {key: (row["status"], row["rsvpTime"]) for key, row in shown.rsvps[name].items()}
            for shown in (loss.before, loss.after)
        )
        assert after == before, name


async def test_seats_stay_with_those_who_had_them(loss: Loss) -> None:
    """The one seat is still the first one's, and who waited waits."""
    for name in (LIVE, AHEAD):
        before, after = (
            {key: (row["seat"], row["position"]) for key, row in shown.rsvps[name].items()}
            for shown in (loss.before, loss.after)
        )
        assert after == before, name


async def test_attested_attendance_is_back(loss: Loss) -> None:
    """Who was there, when, for how long and with what right to a completion, out of our own records."""
    assert list(loss.before.attendance[OVER]) == [loss.people[0]]
    fields = ("joinedAt", "leftAt", "totalDuration", "joinCount", "evidence", "completedAt", "completedBy")
    (before,), (after,) = loss.before.attendance[OVER].values(), loss.after.attendance[OVER].values()
    assert {field: after[field] for field in fields} == {field: before[field] for field in fields}


async def test_nobody_is_told_twice(loss: Loss) -> None:
    """No message comes a second time, and above all none under another rumor id."""
    for key, letters in loss.after.letters.items():
        assert letters[: len(loss.before.letters[key])] == loss.before.letters[key]
        assert [letter.subject for letter in letters[len(loss.before.letters[key]) :]] == []
        repeated = [subject for subject, count in Counter(letter.subject for letter in letters).items() if count > 1]
        assert repeated == []


async def test_offsets_that_are_past_are_skipped_and_those_ahead_are_planned(loss: Loss) -> None:
    """The ledger of a live session has nothing to send; that of a session ahead has every reminder once."""
    live = {row["message"]: row["state"] for row in loss.ledger[LIVE] if row["pubkey"] == loss.people[0]}
    ahead = {row["message"]: row["state"] for row in loss.ledger[AHEAD] if row["pubkey"] == loss.people[0]}
    for message in ("day", "hour", "quarter", "start"):
        assert live[message] == "skipped_late", live
        assert ahead[message] in {"scheduled", "prepared"}, ahead
