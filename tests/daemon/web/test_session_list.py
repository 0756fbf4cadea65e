"""The list of sessions: in parts, with a version, in as many reads for a hundred sessions as for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from podium_daemon.services.people.profiles import Introduction
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import Visibility
from podium_storage.table.models import IntervalRow, LiveSessionRow, RoomControlsRow
from tests.support.reads import reading
from tests.support.site import Site, site
from tests.support.world import EVERYTHING, new_key


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """A running server."""
    async with site() as running:
        yield running


async def many(here: Site, count: int) -> list[str]:
    """This many sessions, one a minute; their addresses by start."""
    row = await here.here.schedule(starts_in=3600)
    rows = [
        msgspec.structs.replace(
            row, id=None, session_address=f"{row.session_address}{number}", scheduled_at=row.scheduled_at + number
        )
        for number in range(1, count)
    ]
    await here.here.store.sessions.bulk_put(rows)
    return [row.session_address, *(each.session_address for each in rows)]


async def test_parts_make_the_whole(here: Site) -> None:
    """Each part names the next, none twice, in both orders; the last says that it is."""
    lessons = await many(here, 23)
    for order, expected in (("start", lessons), ("newest", lessons[::-1])):
        seen, offset = [], 0
        while offset is not None:
            part = (await here.get(f"/api/sessions?order={order}&limit=10&offset={offset}")).json()
            seen += [one["lessonId"] for one in part["sessions"]]
            offset = part["next"]
        assert seen == expected
    assert (await here.get("/api/sessions?offset=999")).json() == {"sessions": [], "next": None}
    for bad in ("limit=0", "limit=201", "offset=-1", "order=old"):
        assert (await here.get(f"/api/sessions?{bad}")).status_code == 422


async def test_a_hundred_sessions_cost_as_many_reads_as_one(here: Site) -> None:
    """The list is three queries for every caller; the counts in it are those of each session alone."""
    lessons = await many(here, 100)
    row, ada, bob = await here.here.row(lessons[0]), new_key(), new_key()
    await here.here.answer(ada, row)
    await here.here.answer(bob, row, RsvpStatus.TENTATIVE)
    await here.here.rsvps._turn(EVERYTHING)
    await here.here.store.intervals.bulk_put(
        [_interval(row, ada, device, left) for device, left in (("laptop", None), ("phone", None), ("old", 9))]
    )
    for caller in (None, ada):
        with reading(here.here.store.database) as reads:
            listed = (await here.get("/api/sessions", caller)).json()["sessions"]
        assert reads.count == 3
        assert len(listed) == 100
        assert listed[0] == (await here.get(here.path_of(row))).json()
    assert listed[0]["counts"] == {"confirmed": 1, "tentative": 1, "declined": 0}
    assert (listed[0]["seatsTaken"], listed[0]["participantCount"]) == (1, 1)
    assert listed[1]["participantCount"] == 0


async def test_a_part_of_the_list_reads_the_rows_of_that_part(here: Site) -> None:
    """However many sessions there are, and whoever asks: ten of them cost the rows of ten."""
    await many(here, 40)
    secret = await here.here.schedule(visibility=Visibility.PRIVATE, invited=((guest := new_key()).pubkey,))
    for caller in (None, new_key(), guest, here.here.service):
        with reading(here.here.store.database) as reads:
            part = (await here.get("/api/sessions?limit=10&offset=5", caller)).json()["sessions"]
        assert len(part) == 10
        assert reads.rows_of(here.here.store.sessions.name) <= 11  # one more says whether there are others
        whole = (await here.get("/api/sessions?limit=100", caller)).json()["sessions"]
        names = [one["lessonId"] for one in whole]
        assert (secret.session_address in names) == (caller in (guest, here.here.service))
        assert [one["lessonId"] for one in part] == names[5:15]


def _interval(row: LiveSessionRow, key: SecretKey, device: str, left_at: int | None) -> IntervalRow:
    return IntervalRow(
        connection_id=device,
        session_address=row.session_address,
        pubkey=key.pubkey,
        device=device,
        joined_at=1,
        left_at=left_at,
        last_evidence=1,
        source="engine",
    )


async def test_a_page_that_has_the_newest_version_costs_nothing(here: Site) -> None:
    """304 without a body and without a read, until something in the list changes."""
    (lesson,) = await many(here, 1)
    first = await here.get("/api/sessions")
    headers = {"If-None-Match": first.headers["etag"]}
    with reading(here.here.store.database) as reads:
        again = await here.call("GET", "/api/sessions", headers=headers)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert reads.count == 0
    await here.here.answer(new_key(), await here.here.row(lesson))
    changed = await here.call("GET", "/api/sessions", headers=headers)
    assert changed.status_code == 200
    assert changed.json()["sessions"][0]["counts"]["confirmed"] == 1
    assert changed.headers["etag"] != first.headers["etag"]


async def test_an_unchanged_list_of_a_person_who_signed_in_is_not_read_again(here: Site) -> None:
    """304 without a read, for whom it was made only, until something in it changes; a lock of a room is a change."""
    (lesson,) = await many(here, 1)
    row, ada, ben = await here.here.row(lesson), new_key(), new_key()
    await here.here.store.sessions.put(msgspec.structs.replace(row, visibility="private", invited=(ada.pubkey,)))
    first = await here.get("/api/sessions", ada)
    headers = {"If-None-Match": first.headers["etag"]}
    with reading(here.here.store.database) as reads:
        again = await here.call("GET", "/api/sessions", by=ada, headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    assert not [sql for sql, _ in reads.queries if "trainingLiveSessions" in sql]
    other = await here.call("GET", "/api/sessions", by=ben, headers=headers)
    assert (other.status_code, other.json()["sessions"]) == (200, [])
    await here.here.store.controls.put(RoomControlsRow(session_address=lesson, locked_in=()))
    changed = await here.call("GET", "/api/sessions", by=ada, headers=headers)
    assert changed.json()["sessions"][0]["isLocked"] is True


async def test_a_new_name_is_a_new_version(here: Site) -> None:
    """What no table holds is in the list as soon as it is known, and after a minute in any case."""
    await many(here, 1)
    assert (await here.get("/api/sessions")).json()["sessions"][0]["instructorName"] == ""
    for name, known in (("Grace", here.refresh), ("Hopper", None)):
        here.introductions[here.here.instructor.pubkey] = Introduction(name, None)
        if known is not None:
            known()
        else:
            await here.here.clock.advance(60)
        assert (await here.get("/api/sessions")).json()["sessions"][0]["instructorName"] == name


async def test_strangers_do_not_see_what_somebody_else_asked_for(here: Site) -> None:
    """A private session is in the list of those it names, before and after, and in nobody else's."""
    (lesson,) = await many(here, 1)
    row, ada = await here.here.row(lesson), new_key()
    await here.here.store.sessions.put(msgspec.structs.replace(row, visibility="private", invited=(ada.pubkey,)))
    for caller, count in ((None, 0), (ada, 1), (None, 0), (new_key(), 0)):
        assert len((await here.get("/api/sessions", caller)).json()["sessions"]) == count
