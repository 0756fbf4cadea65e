"""The page of the installed wheel in a real browser, with real keys behind NIP-07, against a daemon as a process."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from podium_daemon.demo.stage import MEETING_URL
from podium_protocol.nips.nip19 import encode_npub
from tests.support.browsers import Visitor
from tests.support.page import Here, page_house, press, press_start, profile_of, seen
from tests.support.relays import new_key
from tests.support.until import until

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

HOOK: Final = [
    "lesson",
    "content",
    "isLoading",
    "error",
    "isScheduled",
    "isLive",
    "isEnded",
    "hasRecording",
    "timeUntilStart",
    "rsvpStatus",
    "canRSVP",
    "rsvp",
    "isAttending",
    "attendanceDuration",
    "joinSession",
    "leaveSession",
    "recordingUrl",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[Here]:
    """One daemon and one browser for all: each test has people and sessions of its own."""
    async with page_house() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with nobody's pages left open afterwards."""
    yield house
    await house.close_pages()


async def focused(page: Any) -> str:
    """The name of what has the focus."""
    text: str = await page.evaluate("document.activeElement.textContent")
    return text


async def tab_to(page: Any, name: str) -> None:
    """Press Tab until something of this name has the focus."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await focused(page) == name:
            return
    raise AssertionError(f"Tab never reached {name}")


async def test_the_whole_life_of_a_session_on_the_page(here: Here) -> None:
    """An instructor schedules, starts, admits, ends and downloads; two people answer, wait, sit, leave, come back."""
    ada, bob = new_key(), new_key()
    lead, first, second = await here.person(here.instructor), await here.person(ada), await here.person(bob)
    desk = await _schedule(lead, here.stage.base_url)
    adas, bobs = await first.open(desk.url), await second.open(desk.url)
    await _answer(adas, bobs)
    await press(desk, "Sign in")
    await seen(desk, "2 people cannot be reached")
    chip = desk.locator("podium-answers .answer-chips > li")
    await chip.locator("summary", has_text="did not arrive").first.click()
    await seen(desk, "confirmation: undeliverable")

    before = len(first.signed)
    await _join_with_consent(adas, "No, do not record me")
    await seen(adas, "You will be let in when the session starts.")
    (proof,) = first.signed[before:]
    assert next(tag for tag in proof["tags"] if tag[0] == "recording_consent")[1] == "no"
    await _let_in(desk, adas)
    await _join_with_consent(bobs, "Yes, I may be recorded")
    await seen(bobs, "All seats are taken")
    await seen(desk, "waits for a seat: all are taken")

    await press(adas, "Leave")
    await seen(adas, "You left the room.")
    await _join_with_consent(adas, "Yes, I may be recorded", button="Join again")
    await seen(adas, "You are in the room.")
    assert encode_npub(ada.pubkey) in await _download(desk)
    await _end(desk, adas, bobs)
    for visitor in (lead, first, second):
        assert visitor.errors == []
        assert visitor.foreign(here.stage.base_url) == []
        assert visitor.dialogs == []


async def _schedule(lead: Visitor, base: str) -> Any:
    desk = await lead.open(base)
    await desk.get_by_text("Schedule a session").click()
    await desk.get_by_label("Title").fill("Leases, clause by clause")
    await desk.get_by_label("Time zone").fill("UTC")
    start = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M")
    await desk.get_by_label("Start", exact=True).fill(start)
    await desk.get_by_label("Seats").fill("1")
    await desk.get_by_label("Waiting room").check()
    await desk.get_by_label("May be recorded").check()
    await press(desk, "Sign and publish")
    await desk.wait_for_url("**/s/naddr1*")
    await seen(desk, "1 of 1 seats left.")
    return desk


async def _answer(adas: Any, bobs: Any) -> None:
    await seen(adas, "Leases, clause by clause")
    await seen(adas, re.compile(r"Starts in [34]:\d\d"))
    await press(adas, "Confirm")
    await seen(adas, "Your answer: confirmed.")
    await press(bobs, "Confirm")
    await seen(bobs, "Your answer: confirmed. Sign in to see your seat")
    await press(bobs, "Sign in")
    await seen(bobs, "You are number 1 on the waiting list.")


async def _join_with_consent(page: Any, answer: str, *, button: str = "Join") -> None:
    await press(page, button)
    await seen(page, "is published on the relays under your public key")
    await press(page, "Join with one signature")
    assert await page.get_by_role("dialog").is_visible(), "no answer to the recording, no join"
    await page.get_by_label(answer).check()
    await press(page, "Join with one signature")


async def _let_in(desk: Any, adas: Any) -> None:
    await press_start(desk)
    await seen(adas, "The instructor will let you in.")
    await desk.get_by_role("button", name="Let in: ").click()
    await seen(adas, "You are in the room.")
    meeting = adas.get_by_role("link", name="Open the meeting")
    assert await meeting.get_attribute("href") == MEETING_URL
    await seen(desk, "1 person is here.")


async def _download(desk: Any) -> str:
    async with desk.expect_download() as coming:
        await press(desk, "Download CSV")
    text: str = (await (await coming.value).path()).read_text()
    return text


async def _end(desk: Any, adas: Any, bobs: Any) -> None:
    await desk.get_by_role("button", name="Remove: ").click()
    await seen(adas, "You were removed: The instructor removed you from this session.")
    await press(desk, "End now")
    await seen(adas, "You attended for")
    await seen(bobs, "The session has ended.")
    await seen(bobs, "There is no recording.")


async def test_editing_and_cancelling(here: Here) -> None:
    """The instructor changes a session and cancels it; another person's open page follows, without the controls."""
    url = await here.scheduled(starts_in=7200)
    watcher = await here.person(new_key(), locale="de-DE")
    page = await watcher.open(url)
    await seen(page, "Kommst du?")
    await press(page, "Anmelden")
    await seen(page, "Teilnahme")
    assert not await page.get_by_text("Diese Veranstaltung leiten").is_visible()

    lead = await here.person(here.instructor)
    desk = await lead.open(url)
    await press(desk, "Sign in")
    await press(desk, "Edit or move")
    await desk.get_by_label("Title").fill("Know your duties")
    await desk.get_by_label("Duration in minutes").fill("45")
    guests = desk.get_by_label("Coming without a Nostr signer")
    assert await guests.input_value() == "invited"
    await guests.select_option("anyone")
    await press(desk, "Sign and publish the change")
    await seen(page, "Know your duties")
    await seen(page, "Gäste willkommen")
    await seen(page, "45 Minuten")
    await desk.locator("button:focus", has_text="Edit or move").wait_for()

    await press(desk, "Cancel …")
    await desk.get_by_label("Reason (public)").fill("The hall is flooded.")
    await press(desk, "Cancel the session")
    await seen(page, "Abgesagt")
    await seen(page, "fand nicht statt")
    assert watcher.errors + lead.errors == []


async def test_an_answer_by_keyboard_alone(here: Here) -> None:
    """Tab reaches the buttons in their order, Enter and Space answer, and the focus stays where it was."""
    visitor = await here.person(new_key())
    page = await visitor.open(await here.scheduled(starts_in=7200))
    await seen(page, "Will you come?")
    await tab_to(page, "Confirm")
    await page.keyboard.press("Enter")
    await seen(page, "Your answer: confirmed.")
    assert await focused(page) == "Confirm"
    assert await page.get_by_role("button", name="Confirm").get_attribute("aria-pressed") == "true"
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    assert await focused(page) == "Decline"
    await page.keyboard.press("Space")
    await seen(page, "Your answer: declined.")
    assert await page.get_by_role("button", name="Confirm").get_attribute("aria-pressed") == "false"
    assert await page.locator("#announcements").text_content() == "Your answer: declined."


@pytest.mark.parametrize(
    ("language", "sign_in", "early", "plain"),
    [
        ("en-GB", "Sign in", "Start now, 9 min early", "Start now"),
        ("de-DE", "Anmelden", "Jetzt beginnen, 9 min früher", "Jetzt beginnen"),
    ],
)
async def test_a_start_before_the_hour_says_how_early_it_is(
    here: Here, language: str, sign_in: str, early: str, plain: str
) -> None:
    """From doors-open on, in the language of the instructor; before that the button says from when it starts."""
    lead = await here.person(here.instructor, locale=language)
    desk = await lead.open(await here.scheduled(starts_in=555))
    await press(desk, sign_in)
    await desk.get_by_role("button", name=early, exact=True).wait_for()
    for starts_in, name in ((555, early), (7200, plain)):
        desk = await lead.open(await here.scheduled(starts_in=starts_in))
        button = desk.get_by_role("button", name=name, exact=True)
        await button.wait_for()
        told = await desk.locator(f"[id='{await button.get_attribute('aria-describedby')}']").is_visible()
        assert (await button.is_disabled(), told) == (name == plain, name == plain)


async def test_the_notice_and_the_form_say_where_attendance_goes(here: Here) -> None:
    """Published, or sealed: told before anybody signs, in their language; chosen in the form, and never taken back."""
    lead = await here.person(here.instructor)
    desk = await lead.open(here.stage.base_url)
    await desk.get_by_text("Schedule a session").click()
    await desk.get_by_label("Title").fill("Behind closed doors")
    await desk.get_by_label("Time zone").fill("UTC")
    start = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M")
    await desk.get_by_label("Start", exact=True).fill(start)
    sealed = desk.get_by_label("Attendance records are not published")
    assert not await sealed.is_checked()
    await sealed.check()
    await press(desk, "Sign and publish")
    await desk.wait_for_url("**/s/naddr1*")
    url = desk.url
    assert (await here.shown(url.rsplit("/", 1)[1]))["attendance"] == "private"
    for language, join, notice in (
        ("en-GB", "Join", "goes encrypted to you and to the instructor; it is not published."),
        ("de-DE", "Teilnehmen", "veröffentlicht wird er nicht."),
    ):
        page = await (await here.person(new_key(), locale=language)).open(url)
        await press(page, join)
        await seen(page, notice)
    await press(desk, "Sign in")
    await press(desk, "Edit or move")
    sealed = desk.get_by_label("Attendance records are not published")
    assert (await sealed.is_checked(), await sealed.is_disabled()) == (True, True)


async def test_a_lost_connection_comes_back_without_a_signature(here: Here) -> None:
    """A page whose network failed for longer than a seat is kept returns to its seat and its stream by itself."""
    url = await here.scheduled()
    lead = await here.person(here.instructor)
    desk = await lead.open(url)
    await press(desk, "Sign in")
    await press_start(desk)
    await desk.get_by_role("button", name="End now").wait_for()
    await press(desk, "Join")
    await press(desk, "Join with one signature")
    await seen(desk, "You are in the room.")
    signed = len(lead.signed)
    await lead.context.set_offline(True)

    async def count() -> int:
        shown = await here.shown(url.rsplit("/", 1)[1])
        return int(shown["participantCount"])

    async def gone() -> bool:
        return await count() == 0

    async def back() -> bool:
        return await count() == 1

    await until(gone, "the daemon noticed the silence")
    await lead.context.set_offline(False)
    await until(back, "the page is back in its seat")
    await seen(desk, "You are in the room.")
    assert len(lead.signed) == signed


async def test_a_page_that_is_loaded_again_knows_its_person(here: Here) -> None:
    """Who has signed in stays so when the page is loaded again and in other tabs, without another signature."""
    url = await here.scheduled()
    visitor = await here.person(new_key())
    page = await visitor.open(url)
    await press(page, "Sign in")
    await seen(page, "You have not answered yet.")
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")
    signed = len(visitor.signed)
    await page.reload()
    await seen(page, "Your answer: confirmed.")
    await page.reload()
    await seen(page, "Your answer: confirmed.")
    other = await visitor.open(url)
    await seen(other, "Your answer: confirmed.")
    assert len(visitor.signed) == signed


async def test_who_cannot_be_reached_is_told_and_so_is_who_leads(here: Here) -> None:
    """Without message relays (kind 10050) nothing arrives: the page says so, and what helps; not to who declines."""
    url = await here.scheduled()
    visitor = await here.person(new_key())
    page = await visitor.open(url)
    await press(page, "Confirm")
    await press(page, "Sign in")
    await seen(page, "Nothing reaches you: your key names no relays for private messages (kind 10050)")
    desk = await (await here.person(here.instructor)).open(url)
    await press(desk, "Sign in")
    await seen(desk, "1 person cannot be reached")
    await desk.locator("podium-answers li", has_text="confirmation").first.wait_for(state="visible")
    await press(page, "Decline")
    await seen(page, "Your answer: declined.")
    assert not await page.get_by_text("Nothing reaches you").is_visible()


async def test_a_browser_without_a_signer(here: Here) -> None:
    """A person without an extension reads everything, is told what to install, and an answer says so too."""
    visitor = await here.person()
    page = await visitor.open(await here.scheduled())
    await seen(page, "To answer or join you need a Nostr signer")
    await press(page, "Tentative")
    await press(page, "Cancel")  # the offer of a remote signer
    await seen(page, "There is no Nostr extension in this browser, and no remote signer is connected.")
    assert visitor.errors == []


async def test_a_signer_that_refuses_or_cheats(here: Here) -> None:
    """A refused signature is said in words; an event other than the one asked for is not sent on."""
    url = await here.scheduled()
    visitor = await here.person(new_key())
    page = await visitor.open(url)
    await seen(page, "Will you come?")
    await page.evaluate("() => { window.nostr.signEvent = async () => { throw new Error('no'); }; }")
    await press(page, "Confirm")
    await seen(page, "The extension did not sign. Nothing was sent.")
    await page.evaluate(
        "() => { window.nostr.signEvent = async (event) => ({...event, content: 'x', id: '', sig: ''}); }"
    )
    await press(page, "Confirm")
    await seen(page, "The signer signed something else than it was asked for.")


async def test_who_may_hold_none_signs_nothing(here: Here) -> None:
    """The operator of a fresh daemon whose extension has another key reads what to write where, and signed nothing."""
    key = new_key()
    visitor = await here.person(key)
    page = await visitor.open(here.stage.base_url)
    await page.get_by_text("Schedule a session").click()
    await page.get_by_label("Title").fill("Knots")
    await page.get_by_label("Time zone").fill("UTC")
    start = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M")
    await page.get_by_label("Start", exact=True).fill(start)
    await press(page, "Sign and publish")
    await seen(page, f"podium instructors add {encode_npub(key.pubkey)}")
    assert visitor.signed == []


async def test_an_instructors_name_comes_from_the_relays(here: Here) -> None:
    """A profile that reaches the relay while the page is open names the instructor on it; a newer one renames them."""
    page = await (await here.person()).open(await here.scheduled())
    await seen(page, "Will you come?")
    assert await page.locator("p.by .name").count() == 0
    for age, name in ((10, "Grace"), (0, "Prof. Grace")):
        profile = profile_of(here.instructor, age=age, name=name, picture="https://evil.example/pixel.png")
        async with connect(here.stage.relay_url, proxy=None, open_timeout=60) as relay:
            await relay.send(f'["EVENT",{profile.to_json().decode()}]')
            answer = json.loads(await relay.recv())
        assert answer[:3] == ["OK", profile.id, True]
        await page.locator("p.by .name").get_by_text(name, exact=True).wait_for()


async def test_the_hook_has_the_models_fields(here: Here) -> None:
    """`useLiveSession` gives exactly the model's fields, the model's content, and a `subscribe` beside them."""
    visitor = await here.person(new_key())
    url = await here.scheduled(maxParticipants=5, requiresRSVP=True)
    page = await visitor.open(url)
    found = await page.evaluate(
        """async (reference) => {
          const { useLiveSession } = await import("/page/use-live-session.js");
          const hook = useLiveSession(reference);
          const before = [hook.lesson, hook.content, hook.isLoading, hook.timeUntilStart];
          await new Promise((done) => { const end = hook.subscribe(() => hook.lesson && (end(), done())); });
          await hook.rsvp("tentative");
          return { names: Object.keys(hook), before, title: hook.lesson.title, content: hook.content,
            flags: [hook.isScheduled, hook.isLive, hook.isEnded, hook.hasRecording, hook.canRSVP, hook.isAttending],
            rest: [hook.rsvpStatus, hook.error, hook.attendanceDuration, hook.recordingUrl],
            left: hook.timeUntilStart, left_out: await hook.joinSession() };
        }""",
        url.rsplit("/", 1)[1],
    )
    assert found["names"] == HOOK
    assert found["before"] == [None, None, True, None]
    assert found["title"] == "Know your rights"
    assert found["content"].pop("conferenceRoomId")
    assert found["content"].pop("scheduledAt") > time.time()
    assert found["content"] == {
        "type": "live-session",
        "duration": 60,
        "instructorPubkey": here.instructor.pubkey,
        "maxParticipants": 5,
        "requiresRSVP": True,
    }
    assert found["flags"] == [True, False, False, False, True, False]
    assert found["rest"] == ["tentative", None, 0, None]
    assert 0 < found["left"] <= 300
    assert found["left_out"] is None, "without a consent nobody joins"


OWN_PAGE: Final = """<!doctype html><title>Ours</title><p></p><script type="module">
import { useLiveSession } from "/page/use-live-session.js";
const hook = useLiveSession(location.hash.slice(1), { consent: async () => ({}) });
hook.subscribe(() => { document.querySelector("p").textContent = [hook.lesson?.title, hook.rsvpStatus].join(); });
window.hook = hook;
</script>"""


async def test_a_page_of_somebody_elses_needs_one_import(here: Here) -> None:
    """A page that a proxy puts on the same origin follows a session and answers; another origin gets no module."""

    async def give(route: Any) -> None:
        await route.fulfill(body=OWN_PAGE, content_type="text/html")

    visitor = await here.person(new_key())
    await visitor.context.route("**/ours.html", give)
    reference = (await here.scheduled()).rsplit("/", 1)[1]
    page = await visitor.open(f"{here.stage.base_url}/ours.html#{reference}")
    await seen(page, "Know your rights,")
    await page.evaluate("hook.rsvp('confirmed')")
    await seen(page, "Know your rights,confirmed")
    assert visitor.errors == []
    elsewhere = here.stage.base_url.replace("127.0.0.1", "localhost")
    page = await visitor.open(f"{elsewhere}/ours.html#{reference}")
    found = "import('" + here.stage.base_url + "/page/use-live-session.js').then(() => 'given', () => 'refused')"
    assert await page.evaluate(found) == "refused"


async def test_times_on_a_wall_clock(here: Here) -> None:
    """What people type is read in the session's zone: skipped hours are refused, both sides of a change are right."""
    visitor = await here.person()
    page = await visitor.open(here.stage.base_url)
    asked = {
        "2026-12-01T18:00 Europe/Berlin": datetime(2026, 12, 1, 17, tzinfo=UTC),
        "2026-07-01T18:00 America/New_York": datetime(2026, 7, 1, 22, tzinfo=UTC),
        "2026-03-29T01:59 Europe/Berlin": datetime(2026, 3, 29, 0, 59, tzinfo=UTC),
        "2026-03-29T02:30 Europe/Berlin": None,
        "2026-03-29T03:00 Europe/Berlin": datetime(2026, 3, 29, 1, tzinfo=UTC),
        "2026-10-25T02:30 Europe/Berlin": datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        "2026-10-25T03:30 Europe/Berlin": datetime(2026, 10, 25, 2, 30, tzinfo=UTC),
        "2026-01-01T00:00 Pacific/Kiritimati": datetime(2025, 12, 31, 10, tzinfo=UTC),
        "2026-01-01 UTC": None,
    }
    found = await page.evaluate(
        """async (asked) => {
          const { fromWallClock } = await import("/page/core/times.js");
          return asked.map((one) => fromWallClock(...one.split(" ")));
        }""",
        list(asked),
    )
    assert found == [None if at is None else int(at.timestamp()) for at in asked.values()]


async def test_who_leads_sees_the_seats(here: Here) -> None:
    """The instructor, who has no answer to give, reads the seats that are left above the answers."""
    page = await (await here.person(here.instructor)).open(await here.scheduled(maxParticipants=2))
    await press(page, "Sign in")
    await seen(page, "0 confirmed, 0 tentative, 0 declined. 2 of 2 seats left.")


async def test_a_start_that_has_passed_is_asked_for_no_signature(here: Here) -> None:
    """The form says so in the visitor's language, and their signer is not asked."""
    visitor = await here.person(here.instructor, locale="de-DE")
    page = await visitor.open(here.stage.base_url)
    await page.get_by_text("Eine Veranstaltung planen").click()
    await page.get_by_label("Titel").fill("Knoten")
    await page.locator("input[type=datetime-local]").fill("2026-01-01T10:00")
    await press(page, "Unterschreiben und veröffentlichen")
    await page.get_by_role("alert").get_by_text("Diese Zeit ist vorbei: wähle eine spätere.").wait_for()
    assert visitor.signed == []


async def test_an_unknown_session_in_german(here: Here) -> None:
    """The page for a session that is not here speaks the visitor's language."""
    visitor = await here.person(locale="de-CH")
    page = await visitor.open(f"{here.stage.base_url}/s/nothing")
    await seen(page, "Diese Veranstaltung gibt es hier nicht")
    assert await page.locator("html").get_attribute("lang") == "de"


async def test_nothing_sticks_out(here: Here) -> None:
    """On a phone's width and on a desk's nothing has to be scrolled sideways, even with a title of one long word."""
    url = await here.scheduled(title="W" * 150, waitingRoom=True)
    for width in (320, 390, 1280):
        visitor = await here.person(here.instructor, viewport={"width": width, "height": 800})
        page = await visitor.open(url)
        await press(page, "Sign in")
        await press(page, "Edit or move")
        await seen(page, "Sign and publish the change")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
