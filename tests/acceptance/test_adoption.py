"""Sessions that Podium did not write: signed with nostr-sdk, put straight on the relay, and taken over, or not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import pytest_asyncio

from tests.support.installed import MEETING_URL, Site, offsets
from tests.support.outsiders import Event, Letter, Outsider, Seat, first, outsiders, rows, send
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION, MEETING, ATTENDANCE = 31923, 30313, 31953
DAY, HOUR, QUARTER, LASTS = 9, 6, 3, 8


class Adopted(msgspec.Struct, frozen=True):
    """The life of the session that was taken over, and what became of the others."""

    session_address: str
    starts_at: int
    service: str
    instructor: str
    ada: str
    ben: str
    base: str
    shown: dict[str, Any]
    listed: list[str]
    meetings: list[Event]
    letters: dict[str, list[Letter]]
    records: list[Event]
    attendance: list[dict[str, Any]]
    seat: Seat
    others: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def adopted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Adopted]:
    """Four sessions on the relay, one of them for this service; its whole life."""
    async with running_relay() as relay, outsiders(relay.url, 4) as (instructor, stranger, ada, ben):
        site = Site(
            tmp_path_factory.mktemp("adoption") / "site", relays=[relay.url], settings=offsets(DAY, HOUR, QUARTER)
        )
        service = await site.make_key()
        site.set(instructors__allow=[instructor.npub])
        await asyncio.gather(ada.open_inbox(), ben.open_inbox())
        await stranger.follow(MEETING, author=service)
        async with site.running():
            starts_at = int(time.time()) + DAY + 3
            ends_at = starts_at + LASTS
            others = await _others(instructor, stranger, service, starts_at)
            session_address = await instructor.schedule(service, "knots", starts_at, ends_at)
            await until(lambda: _has_state(site, "scheduled"), "it is taken over")
            await ada.answer(session_address, "accepted")
            # older clients say it with a label (NIP-52 before 2024)
            await ben.publish(
                31925, [["d", "x"], ["a", session_address], ["L", "status"], ["l", "tentative", "status"]]
            )
            await until(lambda: _live_now(ada), "it starts, and those who come are told")
            link = next(word for word in ada.letters[-1].text.split() if word.startswith(site.base))
            seat = await ada.join(site.base, urlsplit(link).path.rpartition("/")[2], session_address)
            await until(lambda: _has_state(site, "ended"), "it ends")
            await until(lambda: stranger.find(ATTENDANCE, author=service), "the record is on the relay")
            await asyncio.wait_for(seat.closed.wait(), 60)
            yield Adopted(
                session_address=session_address,
                starts_at=starts_at,
                service=service,
                instructor=instructor.pubkey,
                ada=ada.pubkey,
                ben=ben.pubkey,
                base=site.base,
                shown=(await send("GET", f"{site.base}/api/sessions/knots")).body,
                listed=[one["lessonId"] for one in (await send("GET", f"{site.base}/api/sessions")).body["sessions"]],
                meetings=[event for event in stranger.heard if event["kind"] == MEETING],
                letters={person.pubkey: list(person.letters) for person in (ada, ben)},
                records=await stranger.find(ATTENDANCE, author=service),
                attendance=(await instructor.call("GET", f"{site.base}/api/sessions/knots/attendance")).body[
                    "attendance"
                ],
                seat=seat,
                others=others,
            )


async def _others(instructor: Outsider, stranger: Outsider, service: str, starts_at: int) -> dict[str, str]:
    """What must not be taken over, with the reason; published before the one that is."""
    later = starts_at + 3600
    base = [["title", "No"], ["start", str(starts_at)], ["end", str(later)], ["t", "live-session"]]
    untagged = await instructor.publish(SESSION, [["d", "untagged"], *base])
    mentioned = await instructor.publish(SESSION, [["d", "mentioned"], *base, ["a", f"30312:{service}:podium"]])
    return {
        "by a stranger": await stranger.schedule(service, "strangers", starts_at, later),
        "for another service": await instructor.schedule(stranger.pubkey, "elsewhere", starts_at, later),
        "for no service": f"{SESSION}:{instructor.pubkey}:{first(untagged, 'd')}",
        "with the service named in no p tag": f"{SESSION}:{instructor.pubkey}:{first(mentioned, 'd')}",
    }


async def _has_state(site: Site, state: str) -> bool:
    shown = await send("GET", f"{site.base}/api/sessions/knots")
    return bool(shown.body.get("state") == state)


async def _live_now(person: Outsider) -> bool:
    return bool(person.letters) and person.letters[-1].subject.startswith("Live now")


async def test_the_event_of_another_client_is_taken_over(adopted: Adopted) -> None:
    """A plain calendar event with a title, a start, an end and the service's role is a session with all its rules."""
    assert adopted.shown["lessonId"] == adopted.session_address
    assert adopted.shown["instructorPubkey"] == adopted.instructor
    assert (adopted.shown["title"], adopted.shown["scheduledAt"]) == ("Knots", adopted.starts_at)
    assert adopted.shown["endsAt"] == adopted.starts_at + LASTS
    assert adopted.shown["counts"] == {"confirmed": 1, "tentative": 1, "declined": 0}


@pytest.mark.parametrize(
    "which", ["by a stranger", "for another service", "for no service", "with the service named in no p tag"]
)
async def test_what_is_not_for_this_service_is_left_alone(adopted: Adopted, which: str) -> None:
    """Nothing is listed, announced or attested for a session of a stranger or one that does not name the service."""
    session_address = adopted.others[which]
    assert adopted.listed == [adopted.session_address]
    assert not any(session_address in str(event) for event in [*adopted.meetings, *adopted.records])


async def test_the_live_status_follows_the_session(adopted: Adopted) -> None:
    """The service's own 30313 says planned, live and ended at the hours of the other client's event."""
    statuses = [first(event, "status") for event in adopted.meetings]
    assert list(dict.fromkeys(statuses)) == ["planned", "live", "ended"]
    assert {event["pubkey"] for event in adopted.meetings} == {adopted.service}
    last = adopted.meetings[-1]
    assert [tag[1] for tag in rows(last, "p")] == [adopted.instructor]
    assert (first(last, "starts"), first(last, "title")) == (str(adopted.starts_at), "Knots")


async def test_those_who_answered_are_told_at_each_offset(adopted: Adopted) -> None:
    """One confirmation and four reminders each, dated at their offsets, sealed by the service."""
    due = [adopted.starts_at - before for before in (DAY, HOUR, QUARTER, 0)]
    for person in (adopted.ada, adopted.ben):
        letters = adopted.letters[person]
        times = Counter(letter.at for letter in letters)
        assert [times[at] for at in due] == [1, 1, 1, 1]
        assert len(letters) == 5
        assert {letter.sender for letter in letters} == {adopted.service}
        assert all(letter.rumor["tags"][0][:2] == ["p", person] for letter in letters)


async def test_joining_needs_one_signature_and_gives_the_meeting(adopted: Adopted) -> None:
    """The link of the message leads to the door; behind it the seat is told the meeting, and then that it is over."""
    assert adopted.seat.said["welcome"]["meetingUrl"] == MEETING_URL
    assert "ended" in adopted.seat.said


async def test_attendance_is_attested_by_the_service(adopted: Adopted) -> None:
    """A stranger reads from the relay who was there, for how long, that it completes, and by what proof."""
    (record,) = adopted.records
    (row,) = adopted.attendance
    assert record["pubkey"] == adopted.service
    assert first(record, "d") == f"{adopted.session_address}:{adopted.ada}"
    assert (first(record, "p"), first(record, "e")) == (adopted.ada, adopted.seat.proof_id)
    assert first(record, "duration") == str(row["totalDuration"])
    assert LASTS / 2 <= row["totalDuration"] <= LASTS
    assert [tag[:2] for tag in rows(record, "completed")] == [["completed", "live"]]
    assert first(record, "evidence") == "presence"
