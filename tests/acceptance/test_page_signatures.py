"""What is worth a signature: counted act by act in real browsers, over a reload and a restart of the daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from podium_daemon.client import PodiumClient
from podium_protocol import kinds
from podium_protocol.keys import SecretKey
from podium_protocol.nips.nip19 import encode_npub
from tests.support.axe import flaws, installed_axe
from tests.support.browsers import Visitor, chromium, visit
from tests.support.installed import Daemon, Site, free_port
from tests.support.page import close_windows, press, press_start, seen
from tests.support.relays import new_key
from tests.support.wheel import installed_wheel

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

TITLE = "Knots and splices"


class House(msgspec.Struct):
    """A daemon that can be started again, and a browser."""

    site: Site
    daemon: Daemon
    browser: Any
    instructor: SecretKey

    async def restart(self) -> None:
        """Stop the daemon, and start it again on the same disk and port."""
        await self.daemon.stop()
        self.daemon = await self.site.start(**installed_wheel().environment)
        await self.daemon.until_ready()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One daemon and one browser for all."""
    instructor = new_key()
    settings = {"embedded.enabled": True, "embedded.port": free_port(), "embedded.in_memory": True}
    site = Site(tmp_path_factory.mktemp("house"), relays=[], settings=settings)
    await site.make_key()
    site.set(instructors__allow=[encode_npub(instructor.pubkey)])
    async with chromium() as browser:
        found = House(site, await site.start(**installed_wheel().environment), browser, instructor)
        try:
            await found.daemon.until_ready()
            yield found
        finally:
            await found.daemon.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def house(kept_house: House) -> AsyncIterator[House]:
    """The house, with no page left open afterwards."""
    yield kept_house
    await close_windows(kept_house.browser)


class Counting:
    """A person's signatures since the last look."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._seen = 0

    def since(self) -> Sequence[int]:
        """The kinds that were signed."""
        fresh = [int(event["kind"]) for event in self._visitor.signed[self._seen :]]
        self._seen += len(fresh)
        return fresh


async def _scheduled(desk: Any, *, private: bool = False, guest: str = "") -> str:
    await desk.get_by_text("Schedule a session").click()
    await desk.get_by_label("Title").fill(TITLE)
    await desk.get_by_label("Time zone").fill("UTC")
    start = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M")
    await desk.get_by_label("Start", exact=True).fill(start)
    await desk.get_by_label("Waiting room").check()
    if private:
        await desk.get_by_label("Private: only the people I invite see it").check()
        await desk.get_by_label("Invite people").fill(guest)
    await press(desk, "Sign and publish")
    await desk.wait_for_url("**/s/naddr1*")
    return str(desk.url)


async def test_each_act_costs_what_it_is_worth(house: House) -> None:
    """Create 1, sign in 1, answer 1, ask 1, join 1, edit 1, cancel 2; whatever a leader does, and coming back, none."""
    ada = new_key()
    lead, visitor = await visit(house.browser, house.instructor), await visit(house.browser, ada)
    leads, adas = Counting(lead), Counting(visitor)

    desk = await lead.open(house.site.base)
    url = await _scheduled(desk)
    await seen(desk, TITLE)
    assert leads.since() == [kinds.SESSION], "to create: the session itself"

    page = await visitor.open(url)
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")
    assert adas.since() == [kinds.RSVP], "to answer: the answer itself"
    await page.get_by_label("Your question").fill("Which rope?")
    await press(page, "Ask")
    await seen(page, "Which rope?")
    assert adas.since() == [kinds.LIVE_CHAT], "to ask: the question itself"
    assert await page.get_by_role("button", name="Sign in").is_visible(), "a public event signs nobody in"

    await press(desk, "Sign in")
    await press_start(desk)
    await desk.get_by_role("button", name="End now").wait_for()
    assert leads.since() == [kinds.HTTP_AUTH], "to sign in"

    await press(page, "Join")
    await press(page, "Join with one signature")
    await seen(page, "The instructor will let you in.")
    await desk.get_by_role("button", name="Let in: ").click()
    await seen(page, "You are in the room.")
    await page.wait_for_function("localStorage.getItem('podium.login') !== null")
    assert adas.since() == [kinds.HTTP_AUTH], "to join: the proof, which proves the key"

    async with desk.expect_download():
        await press(desk, "Download CSV")
    await page.reload()
    await seen(page, "You are in the room.")
    await house.restart()
    await desk.reload()
    await desk.get_by_role("button", name="End now").wait_for()
    await page.reload()
    await seen(page, "You are in the room.")
    await press(desk, "End now")
    await seen(page, "You attended for")
    assert leads.since() == [], "a leader who signed in signs no more"
    assert adas.since() == [], "coming back is free"
    assert [text for text in (*lead.errors, *visitor.errors) if "net::ERR_" not in text] == []  # while it was down


async def test_editing_and_cancelling(house: House) -> None:
    """An edit is one signature, a cancellation two: the revision and its deletion."""
    lead = await visit(house.browser, house.instructor)
    leads = Counting(lead)
    desk = await lead.open(house.site.base)
    await _scheduled(desk)
    await press(desk, "Sign in")
    await press(desk, "Edit or move")
    leads.since()
    await desk.get_by_label("Title").fill("Knots, again")
    await press(desk, "Sign and publish the change")
    await desk.get_by_role("heading", name="Knots, again").wait_for()
    assert leads.since() == [kinds.SESSION]
    await press(desk, "Cancel …")
    await press(desk, "Cancel the session")
    await seen(desk, "The session was cancelled.")
    assert leads.since() == [kinds.SESSION, kinds.DELETION]


async def test_a_private_session_costs_no_more(house: House) -> None:
    """After signing in, an answer to a private session is one signature, and so is joining it."""
    ada = new_key()
    lead, visitor = await visit(house.browser, house.instructor), await visit(house.browser, ada)
    adas = Counting(visitor)
    desk = await lead.open(house.site.base)
    url = await _scheduled(desk, private=True, guest=encode_npub(ada.pubkey))
    page = await visitor.open(url)
    await press(page, "Sign in")
    await seen(page, TITLE)
    assert adas.since() == [kinds.HTTP_AUTH]
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")
    assert adas.since() == [kinds.RSVP]
    await press(page, "Join")
    await press(page, "Join with one signature")
    await seen(page, "You will be let in when the session starts.")
    assert adas.since() == [kinds.HTTP_AUTH]
    await page.reload()
    await seen(page, TITLE)
    assert adas.since() == []


async def test_signing_out_everywhere(house: House) -> None:
    """Other tabs and other browsers of the person are strangers at once; a new login is one signature."""
    ada = new_key()
    desk = await (await visit(house.browser, house.instructor)).open(house.site.base)
    url = await _scheduled(desk)
    one, two = await visit(house.browser, ada), await visit(house.browser, ada)
    page, tab, other = await one.open(url), await one.open(url), await two.open(url)
    await press(page, "Sign in")
    await tab.get_by_role("button", name="Sign out", exact=True).wait_for()
    await press(other, "Sign in")
    await other.get_by_role("button", name="Sign out", exact=True).wait_for()
    assert (len(one.signed), len(two.signed)) == (1, 1)
    await press(page, "Sign out everywhere")
    for each in (page, tab, other):
        await each.get_by_role("button", name="Sign in").first.wait_for()
    await press(other, "Sign in")
    await other.get_by_role("button", name="Sign out", exact=True).wait_for()
    assert len(two.signed) == 2


_REFUSE_THE_THIRD = """() => {
  const sign = window.nostr.signEvent;
  let left = 2;
  window.nostr.signEvent = async (event) => {
    if (left-- === 0) throw new Error("refused by hand");
    return sign(event);
  };
}"""


async def _answer_all_dates(house: House, url: str) -> None:
    """A participant answers three dates at once, on the page of the first."""
    visitor = await visit(house.browser, new_key())
    page = await visitor.open(url)
    await page.get_by_label("Answer the 2 dates that follow in the series in the same way: 2 more signatures").check()
    await press(page, "Confirm")
    await page.locator("podium-rsvp button[data-status=confirmed]:not([aria-busy])[aria-pressed=true]").wait_for()
    assert Counting(visitor).since() == [kinds.RSVP] * 3
    await page.locator("podium-series summary").click()
    await page.locator("podium-series a").last.click()
    await seen(page, "3 of 3 · all dates")
    await seen(page, "Your answer: confirmed.")
    assert visitor.errors == []


async def _mend_the_calendar(house: House, desk: Any, leads: Counting) -> None:
    """A program that knows no series cancels its first date; the page says that the calendar still lists it."""
    await desk.locator(".hero .badge[data-state=cancelled]").wait_for()
    async with PodiumClient(house.site.base, house.instructor) as other:
        first = (await other.series(desk.url.rpartition("/")[2])).dates[0]
        draft = await other.draft_cancellation(first.naddr)
        await other.submit((await other.sign(draft))[:2])
    await desk.reload()
    await seen(desk, "The calendar of the series still lists dates that were cancelled in another program: 1.")
    await press(desk, "Publish the calendar anew (1 signature)")
    await desk.get_by_role("button", name="Publish the calendar anew").wait_for(state="hidden")
    assert leads.since() == [kinds.CALENDAR]


async def test_a_series_names_its_signatures_first(house: House) -> None:
    """Three dates and their calendar are four; what was signed before a refusal stands, and a reload goes on with it.

    All that follow are answered, edited and cancelled in the same way.
    """
    lead = await visit(house.browser, house.instructor)
    leads = Counting(lead)
    desk = await lead.open(house.site.base)
    await desk.get_by_text("Schedule a session").click()
    await desk.get_by_label("Title").fill(TITLE)
    await desk.get_by_label("Repeat").select_option("weekly")
    await desk.get_by_label("How many dates").fill("3")
    await desk.evaluate(_REFUSE_THE_THIRD)
    await press(desk, "Sign and publish")
    await seen(desk, "4 signatures: 3 sessions and the calendar that lists the dates.")
    assert await desk.locator("podium-signing li").count() == 3
    assert leads.since() == [], "the dates are there before the first signature"
    await press(desk, "Sign all")
    await desk.get_by_role("button", name="Sign the 2 that are left").wait_for()
    assert await desk.locator("podium-signing li", has_text="published").count() == 2
    assert leads.since() == [kinds.SESSION] * 2
    await desk.reload()
    await press(desk, "Go on with the series that was not finished")
    await seen(desk, "2 signatures: 1 session and the calendar that lists the dates.")
    await press(desk, "Sign all")
    await desk.wait_for_url("**/s/naddr1*")
    assert leads.since() == [kinds.SESSION, kinds.CALENDAR]

    await _answer_all_dates(house, desk.url)
    await desk.get_by_text("1 of 3 · all dates").click()
    assert await desk.locator("podium-series a").count() == 2
    await press(desk, "Sign in")
    assert not await desk.get_by_role("button", name="Record", exact=True).is_visible(), "nothing runs that could be"
    await press(desk, "Edit or move")
    leads.since()
    await desk.get_by_label("Title").fill("Knots, again")
    await desk.get_by_label("Change all that follow in the series as well").check()
    await press(desk, "Sign and publish the change")
    await seen(desk, "4 signatures: 3 sessions and the calendar that lists the dates.")
    assert await flaws(desk, installed_axe()) == []
    await press(desk, "Sign all")
    await desk.locator("podium-signing section").wait_for(state="detached")
    assert leads.since() == [kinds.SESSION] * 3 + [kinds.CALENDAR]

    await desk.locator("podium-series a").first.click()
    await seen(desk, "2 of 3 · all dates")
    await desk.get_by_role("heading", name="Knots, again").wait_for()
    await press(desk, "Cancel …")
    await desk.get_by_label("Cancel all that follow in the series as well").check()
    await press(desk, "Cancel the session")
    await seen(desk, "5 signatures: 2 cancellations (two signatures each) and the calendar that lists the dates.")
    await press(desk, "Sign all")
    await desk.locator("podium-signing section").wait_for(state="detached")
    assert leads.since() == [kinds.SESSION, kinds.DELETION] * 2 + [kinds.CALENDAR]

    await _mend_the_calendar(house, desk, leads)
    assert lead.errors == []
