"""Calendars over HTTP, fetched as a calendar program fetches them: without a signature."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
import vobject

from podium_daemon.runtime import logs
from podium_daemon.web.calendar_feed import uid_of
from podium_daemon.web.calendars import Face
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import OptOutRow
from tests.support.site import Site, site
from tests.support.world import new_key


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """A running server."""
    async with site() as running:
        yield running


async def address(here: Site, key: SecretKey, path: str = "/api/calendar") -> str:
    """Where a person's calendar is."""
    answer = await here.post(path, key)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


async def fetch(here: Site, url: str, **headers: str) -> httpx.Response:
    """What a calendar program gets."""
    return await here.client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})


def titles(answer: httpx.Response) -> dict[str, str]:
    """Status by UID."""
    assert answer.status_code == 200, answer.text
    calendar: Any = vobject.readOne(answer.text)
    return {event.uid.value: event.status.value for event in calendar.contents.get("vevent", [])}


async def test_a_person_sees_what_they_answered_to(here: Site) -> None:
    """Confirmed and tentative are there, declined and unanswered are not; the instructor has all of them."""
    rows = [await here.here.schedule(starts_in=3600 * (1 + number)) for number in range(4)]
    ada = new_key()
    for row, status in zip(rows, (RsvpStatus.CONFIRMED, RsvpStatus.TENTATIVE, RsvpStatus.DECLINED), strict=False):
        await here.here.answer(ada, row, status)
    adas = await fetch(here, await address(here, ada))
    assert sorted(titles(adas).values()) == ["CONFIRMED", "TENTATIVE"]
    assert adas.headers["content-type"] == "text/calendar; charset=utf-8"
    instructors = titles(await fetch(here, await address(here, here.here.instructor)))
    assert list(instructors.values()) == ["CONFIRMED"] * 4
    assert titles(adas).keys() < instructors.keys()
    assert titles(await fetch(here, await address(here, new_key()))) == {}


async def test_a_cancelled_session_is_shown_as_cancelled(here: Site) -> None:
    """The entry stays and says so: a program that only missed it would keep the old one."""
    row = await here.here.schedule()
    ada = new_key()
    await here.here.answer(ada, row)
    url = await address(here, ada)
    before = titles(await fetch(here, url))
    await here.here.clock.advance(5)
    await here.here.cancel(row)
    after = titles(await fetch(here, url))
    assert (list(before.values()), list(after.values())) == (["CONFIRMED"], ["CANCELLED"])
    assert before.keys() == after.keys()


async def test_an_unchanged_calendar_is_not_sent_again(here: Site) -> None:
    """304 for the version one has, 200 with another tag after a change."""
    row = await here.here.schedule()
    ada = new_key()
    await here.here.answer(ada, row)
    url = await address(here, ada)
    tag = (await fetch(here, url)).headers["etag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await fetch(here, url, If_None_Match=given)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), given
    assert (await fetch(here, url, If_None_Match='"other"')).status_code == 200
    await here.here.clock.advance(5)
    await here.here.move(await here.here.row(row.session_address), row.scheduled_at + 3600)
    changed = await fetch(here, url, If_None_Match=tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def versions(answer: httpx.Response) -> list[tuple[int, Any, Any]]:
    """SEQUENCE, DTSTAMP and LAST-MODIFIED of each entry."""
    events = vobject.readOne(answer.text).vevent_list
    return [(int(event.sequence.value), event.dtstamp.value, event.last_modified.value) for event in events]


async def test_every_change_is_a_newer_version(here: Site) -> None:
    """An answer that becomes a maybe, a new hour and a cancellation: each raises all three; nothing else does."""
    row, ada = await here.here.schedule(), new_key()
    await here.here.answer(ada, row)
    url = await address(here, ada)
    seen = versions(await fetch(here, url))
    await here.here.advance(5)
    assert versions(await fetch(here, url)) == seen
    await here.here.answer(ada, row, RsvpStatus.TENTATIVE)
    seen += versions(await fetch(here, url))
    await here.here.move(row, row.scheduled_at + 3600)
    seen += versions(await fetch(here, url))
    await here.here.clock.advance(1)
    await here.here.cancel(await here.here.row(row.session_address))
    seen += versions(await fetch(here, url))
    for before, after in pairwise(seen):
        assert all(new > old for old, new in zip(before, after, strict=True))


async def test_the_calendar_has_the_services_name_and_its_reminders(here: Site) -> None:
    """Subscribed to, it is called as the service is and rings when its reminders are due; one file does not ring."""
    here.calendar = Face("Harbour school", (86_400, 900))
    row, ada = await here.here.schedule(), new_key()
    await here.here.answer(ada, row)
    for answer, rings in (
        (await fetch(here, await address(here, ada)), [-timedelta(days=1), -timedelta(minutes=15)]),
        (await here.get(here.path_of(row, "calendar.ics"), ada), []),
    ):
        calendar: Any = vobject.readOne(answer.text)
        assert calendar.x_wr_calname.value == "Harbour school"
        alarms = calendar.vevent.contents.get("valarm", [])
        assert [alarm.trigger.value for alarm in alarms] == rings


@pytest.mark.parametrize("every", [False, True])
async def test_who_said_stop_is_not_rung(here: Site, every: bool) -> None:
    """No reminders of a session, or of any, are no alarms either."""
    here.calendar = Face("Podium", (900,))
    row, ada = await here.here.schedule(), new_key()
    await here.here.answer(ada, row)
    stop = OptOutRow(pubkey=ada.pubkey, session_address="*" if every else row.session_address, created_at=here.here.now)
    await here.here.store.opt_outs.put(stop)
    assert "valarm" not in vobject.readOne((await fetch(here, await address(here, ada))).text).vevent.contents


async def test_one_odd_session_does_not_take_the_others(here: Site) -> None:
    """A person with one in their calendar that cannot be written still reads the others."""
    rows, ada = [await here.here.schedule(starts_in=3600 * hours) for hours in (1, 2)], new_key()
    for row in rows:
        await here.here.answer(ada, row)
    odd = await here.here.row(rows[0].session_address)
    await here.here.store.sessions.put(msgspec.structs.replace(odd, ends_at=10**15))
    assert list(titles(await fetch(here, await address(here, ada)))) == [uid_of(rows[1].session_address)]


async def test_a_revoked_address_is_gone(here: Site) -> None:
    """The old address answers like one that never was; the new one works."""
    ada = new_key()
    old = await address(here, ada)
    assert await address(here, ada) == old
    new = await address(here, ada, "/api/calendar/revoke")
    assert new != old
    refused = await fetch(here, old)
    assert refused.status_code == 404
    assert refused.headers["content-type"] == "application/problem+json"
    assert urlsplit(old).path[10:138] not in refused.text
    assert (await fetch(here, new)).status_code == 200


async def test_nobody_gets_an_address_without_a_signature(here: Site) -> None:
    """Both calls need a login."""
    for path in ("/api/calendar", "/api/calendar/revoke"):
        assert (await here.post(path)).status_code == 401


async def test_no_log_has_the_token(here: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """A fetch that works, one that is refused and one that fails inside leave no token behind."""
    logs.configure("debug", "json")
    url = await address(here, new_key())
    token = urlsplit(url).path.removeprefix("/calendar/").removesuffix(".ics")
    await fetch(here, url)
    await fetch(here, url.replace(token, token[::-1]))
    await here.here.store.close()  # the next fetch fails in the route
    logging.getLogger("test").error("the log is on")
    assert (await fetch(here, url)).status_code >= 500
    said = "".join(capfd.readouterr())
    assert "the log is on" in said
    assert "/calendar/{token}.ics" in said
    assert token[64:] not in said
    assert token[::-1][64:] not in said


async def test_one_session_for_anybodys_calendar(here: Site) -> None:
    """A public session is a file to keep: the same entry as in the feeds, for every caller; an unknown one is 404."""
    row = await here.here.schedule(starts_in=7200)
    answer = await here.get(here.path_of(row, "calendar.ics"))
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="podium-session.ics"'
    ((uid, status),) = titles(answer).items()
    assert (uid, status) == (uid_of(row.session_address), "CONFIRMED")
    event: Any = vobject.readOne(answer.text).vevent
    assert event.dtstart.value.timestamp() == row.scheduled_at
    assert event.url.value == here.views.page(row)
    unknown = await here.get("/api/sessions/nothing/calendar.ics")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:podium:problem:unknown-session")


async def test_ones_own_answer_is_in_the_file(here: Site) -> None:
    """Who signs the call finds a tentative answer as such; a login that is there must be good."""
    row, ada = await here.here.schedule(starts_in=7200), new_key()
    await here.here.answer(ada, row, RsvpStatus.TENTATIVE)
    path = here.path_of(row, "calendar.ics")
    assert list(titles(await here.get(path, ada)).values()) == ["TENTATIVE"]
    assert list(titles(await here.get(path, new_key())).values()) == ["CONFIRMED"]
    refused = await here.call("GET", path, headers={"Authorization": "Nostr e30="})
    assert refused.status_code == 401


async def test_a_private_session_is_for_its_people(here: Site) -> None:
    """A stranger, and a caller who is not invited, get the words for a session that is not here; its people get it."""
    row, ada = await here.here.schedule(starts_in=7200), new_key()
    private = msgspec.structs.replace(row, visibility="private", invited=(ada.pubkey,))
    await here.here.store.sessions.put(private)
    path = here.path_of(row, "calendar.ics")
    for caller in (None, new_key()):
        refused = await here.get(path, caller)
        assert (refused.status_code, refused.json()["type"]) == (404, "urn:podium:problem:unknown-session")
    for caller in (ada, here.here.instructor):
        assert len(titles(await here.get(path, caller))) == 1
