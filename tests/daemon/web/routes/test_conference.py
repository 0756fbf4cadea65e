"""The model's calling service over HTTP, on the real lifecycle, attendance service and engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from podium_daemon.conference.engine import RoomId, Snapshot
from podium_protocol.keys import SecretKey
from podium_storage.table.models import LiveSessionRow
from tests.support.site import Site, site
from tests.support.world import new_key


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """A running server."""
    async with site() as running:
        yield running


@pytest.fixture
async def row(here: Site) -> LiveSessionRow:
    """A session whose doors are open."""
    return await here.here.schedule(starts_in=600)


def config(here: Site, **changes: object) -> dict[str, object]:
    """The configuration that the instructor signed."""
    signed: dict[str, object] = {
        "name": "Know your rights",
        "waitingRoom": False,
        "allowRecording": False,
        "e2eeRequired": False,
        "instructorPubkey": here.here.instructor.pubkey,
    }
    return signed | changes


async def manual(
    here: Site, row: LiveSessionRow, person: SecretKey, joined: int, left: int | None, **more: object
) -> httpx.Response:
    """The instructor vouches for a person."""
    body = {"pubkey": person.pubkey, "joinedAt": joined, "leftAt": left, **more}
    return await here.post(here.path_of(row, "attendance", "manual"), here.here.instructor, body)


async def present(here: Site, row: LiveSessionRow) -> int | None:
    """How many seats the engine's room has, or None where no room is open."""
    snapshot = await here.here.engine.snapshot(RoomId(row.conference_room_id or ""))
    return len(snapshot.present) if isinstance(snapshot, Snapshot) else None


async def test_a_session_from_its_room_to_its_end(here: Site, row: LiveSessionRow) -> None:
    """Create gives the room and our page, start makes it live, details count people, end closes the room."""
    boss, path = here.here.instructor, here.path_of(row, "conference")
    created = await here.post(path, boss, config(here))
    assert created.json() == {"conferenceRoomId": row.conference_room_id, "joinUrl": here.views.page(row)}
    started = await here.post(f"{path}/start", boss)
    assert started.json() == {"conferenceRoomId": row.conference_room_id, "isActive": True, "participantCount": 0}
    assert (await here.here.row(row.session_address)).state == "active"
    await here.enter(new_key(), row)
    assert (await here.get(path, boss)).json()["participantCount"] == 1
    ended = await here.post(f"{path}/end", boss)
    assert (ended.status_code, ended.json()) == (200, {"recordingUrl": None})
    assert (await here.here.row(row.session_address)).state == "ended"
    assert await present(here, row) is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Another"},
        {"waitingRoom": True},
        {"allowRecording": True},
        {"maxParticipants": 3},
        {"instructorPubkey": "a" * 64},
    ],
)
async def test_only_the_signed_configuration_is_agreed_to(
    here: Site, row: LiveSessionRow, change: dict[str, object]
) -> None:
    """A daemon does not promise what the instructor's event does not say."""
    answer = await here.post(here.path_of(row, "conference"), here.here.instructor, config(here, **change))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:podium:problem:other-configuration")


async def test_a_start_before_the_doors_open_leaves_no_room_behind(here: Site) -> None:
    """The lifecycle's no is told with its reason, and the room that was opened for the start is closed."""
    row = await here.here.schedule(starts_in=48 * 3600)
    answer = await here.post(here.path_of(row, "conference", "start"), here.here.instructor)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:podium:problem:doors-closed")
    assert await present(here, row) is None


async def test_only_leaders_run_the_conference(here: Site, row: LiveSessionRow) -> None:
    """A stranger gets 403 and a call without a login 401; a co-host looks and starts like the instructor."""
    cohost = new_key()
    led = await here.here.schedule(starts_in=600, co_hosts=(cohost.pubkey,))
    for method, rest, body in (
        ("GET", ("conference",), None),
        ("POST", ("conference",), config(here)),
        ("POST", ("conference", "start"), None),
        ("POST", ("conference", "end"), None),
        ("POST", ("attendance", "manual"), {"pubkey": cohost.pubkey, "joinedAt": 1}),
    ):
        path = here.path_of(row, *rest)
        assert (await here.call(method, path, by=new_key(), body=body)).status_code == 403, path
        assert (await here.call(method, path, body=body)).status_code == 401, path
    assert (await here.get(here.path_of(led, "conference"), cohost)).status_code == 200
    assert (await here.post(here.path_of(led, "conference", "start"), cohost)).status_code == 200
    assert (await here.here.row(led.session_address)).state == "active"


async def test_attendance_by_hand_counts_once_and_keeps_its_note(here: Site, row: LiveSessionRow) -> None:
    """The interval is stored as manual, with the reason; the same one again adds nothing."""
    person, now = new_key(), here.here.now
    for _ in range(2):
        answer = await manual(here, row, person, now - 900, now, note="the camera was broken")
        assert answer.status_code == 200, answer.text
    (interval,) = await here.here.store.intervals.where("lessonId").equals(row.session_address).to_list()
    assert (interval.pubkey, interval.joined_at, interval.left_at) == (person.pubkey, now - 900, now)
    assert (interval.source, interval.note) == ("manual", "the camera was broken")


@pytest.mark.family("attendance")
@pytest.mark.parametrize(("joined", "left"), [(0, 100), (10, None), (-50, 10), (-10, -20)])
async def test_nobody_vouches_for_the_future_or_backwards(
    here: Site, row: LiveSessionRow, joined: int, left: int | None
) -> None:
    """An interval that is not over yet at its end, or ends before it began, is refused and not stored."""
    now = here.here.now
    answer = await manual(here, row, new_key(), now + joined, None if left is None else now + left)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:podium:problem:bad-interval")
    assert await here.here.store.intervals.where("lessonId").equals(row.session_address).to_list() == []
