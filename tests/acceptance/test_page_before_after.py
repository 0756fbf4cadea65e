"""The page before a session and afterwards: who holds it, when one can come, what was recorded, what one attended."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio
import vobject

from podium_daemon.services.people.profiles import Introduction
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.nips.nip19 import encode_npub
from podium_storage.table.models import AttendanceRow, IntervalRow, LiveSessionRow, RsvpRow
from tests.support.axe import flaws, installed_axe
from tests.support.browsers import chromium, visit
from tests.support.outsiders import send
from tests.support.page import Kept, KeptHouse, kept_house, kept_session, press, profile_of, seen, show_recording
from tests.support.relays import new_key
from tests.support.site import site
from tests.support.sound import silence

PLAYER: Final = "podium-recording video"
pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

ADA, BEN, INSTRUCTOR = new_key(), new_key(), new_key()
ELSEWHERE: Final = "https://recordings.example.org/one.wav"
_DURATION: Final = """(video) => new Promise((done, failed) => {
  if (video.readyState > 0) done(video.duration);
  video.onloadedmetadata = () => done(video.duration);
  video.onerror = () => failed(new Error("nothing to play"));
})"""


def ended(name: str, **fields: Any) -> LiveSessionRow:
    """A session that is over."""
    return kept_session(INSTRUCTOR.pubkey, name, **{"state": "ended", "starts_in": -7200} | fields)


def attended(row: LiveSessionRow, seconds: int, completed_by: str | None) -> AttendanceRow:
    """Ada's attendance."""
    at = row.scheduled_at
    return AttendanceRow(
        session_address=row.session_address,
        pubkey=ADA.pubkey,
        joined_at=at,
        left_at=at + seconds,
        total_duration=seconds,
        join_count=2,
        evidence="engine",
        completed_at=at + seconds if completed_by else None,
        completed_by=completed_by,
        record_created_at=at + seconds,
        final=True,
    )


def stay(row: LiveSessionRow, start: int, end: int) -> IntervalRow:
    """A stay of Ada's, from and to seconds after the start."""
    at = row.scheduled_at
    return IntervalRow(
        connection_id=f"{row.session_address}:{start}",
        session_address=row.session_address,
        pubkey=ADA.pubkey,
        device="laptop",
        joined_at=at + start,
        left_at=at + end,
        last_evidence=at + end,
        source="engine",
        media=True,
    )


def answered(row: LiveSessionRow, who: Pubkey, number: int, *, seat: str, position: int | None = None) -> RsvpRow:
    """A person's confirmation."""
    return RsvpRow(
        session_address=row.session_address,
        pubkey=who,
        status="confirmed",
        rsvp_time=row.adopted_at,
        event_id=f"{number:064x}",
        first_seen=number,
        first_seen_at=row.adopted_at,
        seat=seat,
        position=position,
    )


SOON: Final = kept_session(INSTRUCTOR.pubkey, "soon", starts_in=3600 + 8)
LATER: Final = kept_session(
    INSTRUCTOR.pubkey, "later", starts_in=90_000, location="Room 5, Old Library", max_participants=1, requires_rsvp=True
)
INVITING: Final = kept_session(
    INSTRUCTOR.pubkey,
    "inviting",
    starts_in=90_000,
    description="# What we do\n\n- knots\n- *hitches*\n\n[Read](https://knots.example/a) <img src=x onerror=alert(1)>",
    waiting_room=True,
    guests="anyone",
)
CROWDED: Final = kept_session(INSTRUCTOR.pubkey, "crowded", starts_in=90_000)
CROWD: Final = [Pubkey(f"{number:02x}" * 32) for number in range(1, 121)]
LINKED: Final = kept_session(INSTRUCTOR.pubkey, "linked", starts_in=90_000, location="https://meet.example.org/secret")
STATES: Final = {
    "There is no recording.": ended("none"),
    "The recording is waiting to be processed.": ended("pending", recording_state="pending"),
    "The recording is being processed.": ended("processing", recording_state="processing"),
    "The recording failed.": ended("failed", recording_state="failed"),
    "The recording is available.": ended("available", recording_state="available", recording_url=ELSEWHERE),
    "This session was cancelled and did not take place.": ended(
        "cancelled", state="cancelled", cancel_reason="I am ill.\nSee you in May <b>!"
    ),
    "The instructor did not come": ended("no-show", end_reason="no_show"),
}
AVAILABLE: Final = STATES["The recording is available."]
SHORT, WATCHED = ended("short"), ended("watched")
_NOW: Final = int(time.time())
_NOON: Final = _NOW // 86_400 * 86_400 - 43_200 + 30  # yesterday, and half a minute, whatever time it is now
TWICE: Final = ended("twice", starts_in=_NOON - _NOW, recording_state="available", recording_url=ELSEWHERE)
STAYS: Final = (stay(TWICE, 0, 240), stay(TWICE, 2400, 2760))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KeptHouse]:
    """One daemon for all: nothing here changes what it holds."""
    sessions = [*STATES.values(), SHORT, WATCHED, TWICE, SOON, LATER, LINKED, INVITING, CROWDED]
    attendance = [
        attended(STATES["There is no recording."], 3000, "live"),
        attended(SHORT, 300, None),
        attended(WATCHED, 60, "recording"),
        attended(TWICE, 600, None),
        *(msgspec.structs.replace(attended(CROWDED, 60, None), pubkey=who) for who in CROWD),
    ]
    rsvps = [
        answered(LATER, BEN.pubkey, 1, seat="held"),
        answered(LATER, ADA.pubkey, 2, seat="waiting", position=1),
        *(
            msgspec.structs.replace(answered(CROWDED, who, 10 + number, seat="held"), first_seen=number - len(CROWD))
            for number, who in enumerate(CROWD)
        ),
    ]
    profiles = [
        profile_of(INSTRUCTOR, name="Prof. Grace", nip05="grace@example.org", picture="https://evil.example/pixel.png")
    ]
    folder: Path = tmp_path_factory.mktemp("kept")
    rows = Kept(sessions, rsvps=rsvps, attendance=attendance, intervals=STAYS)
    async with kept_house(folder, rows=rows, profiles=profiles) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def house(daemon: KeptHouse) -> AsyncIterator[KeptHouse]:
    """The daemon, with nobody's pages left open afterwards."""
    yield daemon
    await daemon.close_pages()


# -- before


async def test_who_holds_it_where_and_when_one_can_come(house: KeptHouse) -> None:
    """Name and key stand together, a claim that nobody verified is not shown, nor a picture loaded or a link told."""
    visitor = await house.person()
    page = await visitor.open(house.url(LATER))
    await seen(page, "Prof. Grace")
    npub = encode_npub(INSTRUCTOR.pubkey)
    assert await page.locator("p.by").text_content() == f"with Prof. Grace · {npub[:10]}…{npub[-6:]}"
    assert await page.locator("p.by .key").get_attribute("title") == npub
    times = await page.locator("dl.times").text_content()
    assert "Room 5, Old Library" in times
    assert "Doors open" in times
    assert "Your time" in times
    assert "Session's time (America/New_York)" in times
    countdown = await page.locator(".countdown").text_content()
    await page.locator(".countdown", has_not_text=countdown).wait_for()
    await page.goto(house.url(LINKED))
    await seen(page, "Prof. Grace")
    assert "meet.example.org" not in await page.content()
    assert visitor.foreign(house.base) == []
    assert visitor.errors == []


async def test_the_invitation_says_what_awaits_people(house: KeptHouse) -> None:
    """Times have their end, chips say what awaits people, and the description is elements: HTML in it stays text."""
    visitor = await house.person()
    page = await visitor.open(house.url(INVITING))
    await seen(page, "What we do")
    assert await page.locator(".facts li").all_text_contents() == ["May be recorded", "Waiting room", "Guests welcome"]
    times = await page.locator("dl.times time").first.text_content()
    assert len(re.findall(r"\d{1,2}:\d\d", times)) == 2, f"begin and end: {times}"
    about = page.locator("podium-invitation")
    assert await about.locator("h3").text_content() == "What we do"
    assert await about.locator("li").all_text_contents() == ["knots", "hitches"]
    assert await about.locator("em").text_content() == "hitches"
    link = about.get_by_role("link", name="Read")
    assert await link.get_attribute("href") == "https://knots.example/a"
    assert await about.locator("img").count() == 0
    await seen(page, re.compile(re.escape("<img src=x onerror=alert(1)>")))
    order = await page.locator("podium-rsvp, podium-invitation").evaluate_all("all => all.map(one => one.localName)")
    assert order == ["podium-rsvp", "podium-invitation"], "the button that matters stands before the description"
    assert visitor.foreign(house.base) == []
    assert visitor.errors == []


async def test_a_session_is_handed_on(house: KeptHouse) -> None:
    """The link that one press copies is this page's, and its QR code is there for a projector."""
    visitor = await house.person(permissions=["clipboard-read", "clipboard-write"])
    page = await visitor.open(house.url(INVITING))
    await press(page, "Copy this page's link")
    await seen(page, "The link is copied.")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"{house.base}/s/naddr1")
    await page.get_by_text("Show a QR code").click()
    await page.get_by_role("img", name="QR code of this page's address").wait_for(state="visible")
    await page.goto(copied)
    await seen(page, "What we do")


async def test_seats_the_waiting_list_and_what_is_public(house: KeptHouse) -> None:
    """Any visitor sees the seats and that an answer is public; a signed-in person who waits sees their place."""
    visitor = await house.person(ADA)
    page = await visitor.open(house.url(LATER))
    await seen(page, "0 of 1 seats left. 1 person waits for a seat. Please answer before you come.")
    await seen(page, "An answer is public: anybody can read on the relays who answered what.")
    await seen(page, "Confirmation and reminders come by encrypted message")
    await press(page, "Sign in")
    await seen(page, "You are number 1 on the waiting list.")
    await seen(page, "We remind you by encrypted message, unless you have stopped the messages.")
    await seen(page, "Your answer: confirmed.")


async def test_the_way_in_opens_with_the_doors(house: KeptHouse) -> None:
    """Before the doors open there is no way in but for who leads; when they do, it is there by itself."""
    visitor = await house.person()
    page = await visitor.open(house.url(SOON))
    await seen(page, "Will you come?")
    join = page.get_by_role("button", name="Join", exact=True)
    opens = SOON.scheduled_at - 3600
    assert await join.is_visible() == (time.time() >= opens)
    await join.wait_for(state="visible")
    assert time.time() >= opens - 2, "the clock of the page may be a second off"
    moved = {"type": "urn:podium:problem:doors-closed", "values": {"opensAt": LATER.scheduled_at}}
    await page.route("**/join/challenge", lambda route: route.fulfill(status=409, json=moved))
    await join.click()
    await seen(page, "The doors open at ")
    closed = await visitor.open(house.url(LATER))
    await seen(closed, "Will you come?")
    assert not await closed.get_by_role("button", name="Join", exact=True).is_visible()
    lead = await house.person(INSTRUCTOR)
    desk = await lead.open(house.url(LATER))
    await press(desk, "Sign in")
    await desk.get_by_role("button", name="Join", exact=True).wait_for(state="visible")


async def test_a_session_for_ones_calendar(house: KeptHouse) -> None:
    """One press gives a file that another library reads, with the session's time and page."""
    visitor = await house.person()
    page = await visitor.open(house.url(LATER))
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Add to calendar").click()
    file = await coming.value
    assert file.suggested_filename == "podium-session.ics"
    event: Any = vobject.readOne((await file.path()).read_text()).vevent
    assert event.dtstart.value.timestamp() == LATER.scheduled_at
    assert event.summary.value == LATER.title
    assert event.url.value.startswith(f"{house.base}/s/naddr1")
    over = await visitor.open(house.url(AVAILABLE))
    await seen(over, "The recording is available.")
    assert not await over.get_by_role("link", name="Add to calendar").is_visible()


async def test_a_verified_name_is_marked_as_such_and_comes_by_itself() -> None:
    """A NIP-05 name stands beside the key once its domain has vouched for it, and goes again, without a reload."""
    async with site(now=time.time()) as here, chromium() as browser:
        row = await here.here.schedule(starts_in=7200)
        page = await (await visit(browser)).open(f"{here.base}/s/{here.views.naddr(row)}")
        await seen(page, "Will you come?")
        assert await page.locator(".verified").count() == 0
        here.introductions[here.here.instructor.pubkey] = Introduction("✓ Grace", "_@example.org")
        here.refresh()
        await seen(page, "example.org (verified)")
        assert await page.locator("p.by .name").text_content() == "✓ Grace"
        here.introductions.clear()
        here.refresh()
        await page.locator(".verified").wait_for(state="detached")


# -- afterwards


async def test_what_became_of_the_recording_is_said(house: KeptHouse) -> None:
    """Each state has its words, and a player only where there is something to play."""
    visitor = await house.person()
    for text, row in STATES.items():
        page = await visitor.open(house.url(row))
        await seen(page, text)
        is_there = row is AVAILABLE
        assert await page.get_by_role("button", name="Load the recording from").is_visible() == is_there
        assert await page.get_by_role("link", name="Open it in a new tab").is_visible() == is_there
        assert await page.locator("video[src]").count() == 0
        await page.close()
    assert visitor.foreign(house.base) == []
    assert visitor.errors == []


@pytest.mark.parametrize(
    ("locale", "words"), [("en-GB", "Cancelled by the instructor: "), ("de-DE", "Von der Leitung abgesagt: ")]
)
async def test_a_cancelled_session_says_why(house: KeptHouse, locale: str, words: str) -> None:
    """In the instructor's words, which are no markup."""
    row = STATES["This session was cancelled and did not take place."]
    page = await (await house.person(locale=locale)).open(house.url(row))
    await seen(page, words + "I am ill.")
    assert "See you in May <b>!" in (await page.locator("header.hero").text_content() or "")


async def test_a_recording_elsewhere_is_loaded_on_demand_from_its_host_alone(house: KeptHouse) -> None:
    """Nothing goes to the other host before the press; then the player loads from it, and plays by keyboard."""
    visitor = await house.person()
    await visitor.context.route(ELSEWHERE, lambda route: route.fulfill(body=silence(), content_type="audio/wav"))
    page = await visitor.open(house.url(AVAILABLE))
    await seen(page, "It is kept at recordings.example.org")
    assert visitor.foreign(house.base) == []
    video = page.locator(PLAYER)
    button = page.get_by_role("button", name="Load the recording from recordings.example.org")
    await button.focus()
    await page.keyboard.press("Enter")
    await video.wait_for(state="visible")
    assert await page.evaluate(_DURATION, await video.element_handle()) == pytest.approx(1, abs=0.1)
    assert await page.evaluate("document.activeElement.tagName") == "VIDEO"
    assert set(visitor.foreign(house.base)) == {ELSEWHERE}


async def test_a_recording_that_leads_elsewhere_is_not_followed(house: KeptHouse) -> None:
    """A host that sends the player to another one gets no further: the policy names this one alone."""
    visitor = await house.person()
    other = "https://evil.example/two.wav"
    asked: list[str] = []

    async def second(route: Any) -> None:
        asked.append(route.request.url)
        await route.fulfill(body=silence(), content_type="audio/wav")

    await visitor.context.route(other, second)
    page = await visitor.open(house.url(AVAILABLE))
    await seen(page, "It is kept at recordings.example.org")
    # as if the recording had moved since the page was loaded
    await show_recording(page, other)
    await press(page, "Load the recording from evil.example")
    await seen(page, "It cannot be played here.")
    assert asked == []
    link = page.get_by_role("link", name="Open it in a new tab")
    assert await link.get_attribute("href") == other
    assert await page.evaluate("document.activeElement.textContent") == "Open it in a new tab"


async def test_a_recording_of_our_own_plays_at_once(house: KeptHouse) -> None:
    """What this service keeps itself is there to play, without another question."""
    visitor = await house.person()
    own = f"{house.base}/recordings/one.wav"
    await visitor.context.route(own, lambda route: route.fulfill(body=silence(), content_type="audio/wav"))
    page = await visitor.open(house.url(STATES["There is no recording."]))
    await seen(page, "There is no recording.")
    await show_recording(page, own)
    await page.locator(PLAYER).wait_for(state="visible")
    assert await page.evaluate(_DURATION, await page.locator(PLAYER).element_handle()) == pytest.approx(1, abs=0.1)
    assert not await page.get_by_role("button", name="Load the recording").is_visible()


async def test_ones_own_attendance_and_completion(house: KeptHouse) -> None:
    """Who signs in sees how long they attended and whether it counts; who was not there is told so."""
    expected = {
        "There is no recording.": ("You attended for 50:00 (joined 2 ×).", "You completed this session."),
        "short": ("You attended for 5:00 (joined 2 ×).", "25 more minutes would have completed it."),
        "watched": ("You attended for 1:00 (joined 2 ×).", "You completed this session by its recording."),
        "failed": ("You did not attend.", None),
    }
    rows = {**STATES, "short": SHORT, "watched": WATCHED, "failed": STATES["The recording failed."]}
    visitor = await house.person(ADA)
    for name, (own, completion) in expected.items():
        page = await visitor.open(house.url(rows[name]))
        if not visitor.signed:
            await seen(page, "Sign in to see your attendance.")
            await press(page, "Sign in")
        await seen(page, own)
        if completion is None:
            assert not await page.locator(".completion").is_visible()
        else:
            await seen(page, completion)
        await page.close()


@pytest.mark.parametrize(
    ("locale", "missing", "sign_in"),
    [
        ("en-GB", "20 more minutes would have completed it; the recording counts too.", "Sign in"),
        ("de-DE", "20 Minuten mehr hätten für den Abschluss gereicht; die Aufzeichnung zählt auch.", "Anmelden"),
    ],
)
async def test_the_stays_of_ones_attendance(house: KeptHouse, locale: str, missing: str, sign_in: str) -> None:
    """Each stay has its times in the person's zone, and words say what was missing and that the recording counts."""
    visitor = await house.person(ADA, locale=locale, timezone_id="Asia/Tokyo")
    page = await visitor.open(house.url(TWICE))
    await press(page, sign_in)
    await seen(page, missing)
    first, second = await page.locator(".stays li").all_inner_texts()
    assert [*re.findall(r"\d\d:\d\d", first)] == ["21:00", "21:04"]
    assert [*re.findall(r"\d\d:\d\d", second)] == ["21:40", "21:46"]
    assert visitor.errors == []


async def test_those_who_lead_see_how_much_each_person_attended(house: KeptHouse) -> None:
    """The table has a row for each person, with the time and the percent of the session."""
    visitor = await house.person(INSTRUCTOR)
    page = await visitor.open(house.url(TWICE))
    await press(page, "Sign in")
    row = page.locator("podium-answers tr", has_text="10:00")
    await row.wait_for(state="visible")
    assert "16 %" in await row.inner_text()
    assert visitor.errors == []


async def late_answer(house: KeptHouse) -> None:
    """One more person answers, after all others."""
    key, session = new_key(), f"{house.base}/api/sessions/{CROWDED.session_address}"
    wish = json.dumps({"status": "confirmed", "pubkey": key.pubkey}).encode()
    draft = await send("POST", f"{session}/rsvp/draft", wish)
    event = key.sign(msgspec.convert(draft.body["events"][0], UnsignedEvent), os.urandom(32))
    sent = await send("POST", f"{house.base}/api/events", b'{"events":[%b]}' % event.to_json())
    assert sent.status == 200, sent.body


async def test_those_who_lead_see_the_first_hundred_people_more_on_demand_and_whom_they_seek(house: KeptHouse) -> None:
    """The page is told of a hundred people and the number of the others, who are read when they are asked for.

    One who answers meanwhile is one more of those. A search finds them too, says how many, and ends with Escape.
    """
    visitor = await house.person(INSTRUCTOR)
    page = await visitor.open(house.url(CROWDED))
    await press(page, "Sign in")
    await seen(page, "20 more people have answered.")
    rows = page.locator("podium-answers .answer-chips > li")
    await rows.nth(99).wait_for(state="visible")
    assert await rows.count() == 100
    await late_answer(house)
    await seen(page, "21 more people have answered.")
    assert await rows.count() == 100
    field = page.get_by_label("Search who answered")
    await field.press_sequentially(encode_npub(CROWD[110]))
    await seen(page, "1 person found")
    assert await rows.count() == 1
    assert await flaws(page, installed_axe()) == []
    await field.fill("xyz")
    await seen(page, "Nobody of that name.")
    assert await rows.count() == 0
    await field.press("Escape")
    await seen(page, "21 more people have answered.")
    assert await field.input_value() == ""
    attendance = page.locator("podium-attended")
    for part, shown, all_of_them in ((attendance, attendance.locator("tbody tr"), 120), (page, rows, 121)):
        assert await shown.count() == 100
        await part.get_by_role("button", name="Show more").first.click()
        await shown.nth(all_of_them - 1).wait_for(state="visible")
        assert await shown.count() == all_of_them
    assert not await page.get_by_role("button", name="Show more").first.is_visible()
    await attendance.get_by_label("Search who attended").fill(encode_npub(CROWD[5]))
    await attendance.get_by_text("1 person found").wait_for()
    assert visitor.errors == []
