"""The page for everybody: axe-core on each view, light and dark, in both languages; pictures of all of them are kept.

`PODIUM_ARTIFACTS` names the folder for the pictures; without it they go to pytest's temporary one.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from podium_daemon.web.routes.pages import page_files
from podium_protocol.events import Pubkey
from podium_storage.table.models import RsvpRow
from tests.support.axe import flaws, installed_axe
from tests.support.browsers import Visitor
from tests.support.page import Kept, KeptHouse, kept_house, kept_session, press, profile_of, seen, signed_post
from tests.support.relays import new_key
from tests.support.sound import silence

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

ADA, BEN, INSTRUCTOR = new_key(), new_key(), new_key()
LANGUAGES: Final = {"en": "en-GB", "de": "de-DE"}
SIZES: Final = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
# colours are the same in every language: one is looked at in all of them, the other in two that differ in everything
VARIANTS: Final = {
    "en": (("light", "desk"), ("light", "phone"), ("dark", "desk"), ("dark", "phone")),
    "de": (("light", "phone"), ("dark", "desk")),
}
SUMMARY: Final = "How to read a lease, clause by clause, and what to do when something in it is not lawful."
TEXT: Final = "Bring your own lease if you have one.\n\nWe look at deposits, repairs and the end of a lease."

NOW: Final = kept_session(
    INSTRUCTOR.pubkey, "now", starts_in=3000, title="Know your rights", summary=SUMMARY, description=TEXT
)
LATER: Final = kept_session(
    INSTRUCTOR.pubkey,
    "later",
    starts_in=90_000,
    title="Leases, clause by clause",
    summary=SUMMARY,
    description=TEXT,
    location="Room 5, Old Library",
    max_participants=1,
    requires_rsvp=True,
)
ENDED: Final = kept_session(
    INSTRUCTOR.pubkey,
    "ended",
    starts_in=-7200,
    title="Deposits",
    state="ended",
    recording_state="available",
    recording_url="https://recordings.example.org/one.webm",
)
CANCELLED: Final = kept_session(INSTRUCTOR.pubkey, "off", starts_in=-9000, title="Repairs", state="cancelled")


class Look(msgspec.Struct, frozen=True):
    """One language's way through the page."""

    house: KeptHouse
    language: str
    axe: str
    pictures: Path

    async def person(self, secret: Any = None) -> Visitor:
        """A person who speaks it."""
        return await self.house.person(secret, locale=LANGUAGES[self.language], viewport=SIZES["desk"])

    def word(self, key: str) -> str:
        """A text of the page."""
        text: str = json.loads(page_files()[f"{self.language}.json"].content)[key]
        return text

    async def press(self, page: Any, key: str) -> None:
        """Press the button of this text."""
        await press(page, self.word(key))

    async def examine(self, page: Any, view: str) -> None:
        """Nothing serious, light and dark, on a desk and on a phone; a picture of each, nothing to scroll sideways."""
        found: list[str] = []
        for scheme, name in VARIANTS[self.language]:
            size = SIZES[name]
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.set_viewport_size(size)
            found += [f"{scheme}, {name}: {flaw}" for flaw in await flaws(page, self.axe)]
            path = self.pictures / f"{view}-{self.language}-{scheme}-{name}.png"
            await page.screenshot(path=path, full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"], (view, name)
        await page.set_viewport_size(SIZES["desk"])
        assert found == [], view


def answered(who: Pubkey, number: int, *, status: str = "confirmed", seat: str, position: int | None = None) -> RsvpRow:
    """A person's answer to the session that is full."""
    return RsvpRow(
        session_address=LATER.session_address,
        pubkey=who,
        status=status,
        rsvp_time=LATER.adopted_at,
        event_id=f"{number:064x}",
        first_seen=number,
        first_seen_at=LATER.adopted_at,
        seat=seat,
        position=position,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KeptHouse]:
    """A daemon with a session in each state; the one of now is started over the interface."""
    rsvps = [
        answered(BEN.pubkey, 1, seat="held"),
        answered(ADA.pubkey, 2, seat="waiting", position=1),
        answered(new_key().pubkey, 3, status="tentative", seat="none"),
    ]
    rows = Kept([NOW, LATER, ENDED, CANCELLED], rsvps=rsvps)
    profiles = [profile_of(INSTRUCTOR, name="Prof. Grace Hopper")]
    async with kept_house(tmp_path_factory.mktemp("kept"), rows=rows, profiles=profiles) as found:
        await signed_post(found.base, INSTRUCTOR, f"/api/sessions/{NOW.session_address}/start")
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def house(daemon: KeptHouse) -> AsyncIterator[KeptHouse]:
    """The daemon, with nobody's pages left open afterwards."""
    yield daemon
    await daemon.close_pages()


@pytest.fixture(params=LANGUAGES)
def look(house: KeptHouse, request: pytest.FixtureRequest, tmp_path: Path) -> Look:
    """Once in each language."""
    pictures = Path(os.environ.get("PODIUM_ARTIFACTS") or tmp_path)
    pictures.mkdir(parents=True, exist_ok=True)
    return Look(house, request.param, installed_axe(), pictures)


async def test_the_index_and_a_session_that_is_not_there(look: Look) -> None:
    """All sessions, the form to schedule another one, and the answer to a wrong address."""
    visitor = await look.person()
    page = await visitor.open(look.house.base)
    await seen(page, look.word("index.past"))
    await page.get_by_text(look.word("index.create"), exact=True).click()
    await look.examine(page, "index")
    await page.goto(f"{look.house.base}/s/nothing")
    await seen(page, look.word("unknown.title"))
    await look.examine(page, "unknown")
    assert visitor.foreign(look.house.base) == []


async def test_before_a_session(look: Look) -> None:
    """A stranger without a signer, and a person on the waiting list."""
    visitor = await look.person()
    page = await visitor.open(look.house.url(LATER))
    await seen(page, look.word("signer.title"))
    await look.examine(page, "before-no-signer")
    ada = await look.person(ADA)
    page = await ada.open(look.house.url(LATER))
    await look.press(page, "identity.show")
    await page.locator(".position").wait_for(state="visible")
    await look.examine(page, "before")


async def test_in_a_live_session(look: Look) -> None:
    """The consent, and the seat."""
    ada = await look.person(ADA)
    page = await ada.open(look.house.url(NOW))
    await look.press(page, "join.join")
    await seen(page, look.word("consent.title"))
    await look.examine(page, "consent")
    await page.get_by_label(look.word("consent.yes")).check()
    await look.press(page, "consent.join")
    await seen(page, look.word("seat.seated"))
    await look.examine(page, "live")
    await look.press(page, "join.leave")


async def test_after_a_session(look: Look) -> None:
    """A recording of another host, what one attended, and a session that was called off."""
    ada = await look.person(ADA)
    page = await ada.open(look.house.url(ENDED))
    await look.press(page, "identity.show")
    await seen(page, look.word("ended.absent"))
    await look.examine(page, "ended")
    url = str(ENDED.recording_url)
    await ada.context.route(url, lambda route: route.fulfill(body=silence(), content_type="audio/wav"))
    await press(page, look.word("recording.load").format(host="recordings.example.org"))
    await page.locator("video[src]").wait_for(state="visible")
    await look.examine(page, "player")
    await page.goto(look.house.url(CANCELLED))
    await seen(page, look.word("ended.cancelled"))
    await look.examine(page, "cancelled")


async def test_what_an_instructor_sees(look: Look) -> None:
    """The door with a person in the room, the editor, the question before a cancellation, the answers of a full one."""
    ada = await look.person(ADA)
    page = await ada.open(look.house.url(NOW))
    await look.press(page, "join.join")
    await page.get_by_label(look.word("consent.no")).check()
    await look.press(page, "consent.join")
    await seen(page, look.word("seat.seated"))
    lead = await look.person(INSTRUCTOR)
    desk = await lead.open(look.house.url(NOW))
    await look.press(desk, "identity.show")
    await desk.get_by_role("button", name=look.word("door.remove")).first.wait_for()
    await look.press(desk, "lead.edit")
    await look.examine(desk, "instructor-live")
    await desk.goto(look.house.url(LATER))  # who has signed in stays so, on the next page too
    await desk.locator(".answer-chips > li").nth(2).wait_for()
    await look.examine(desk, "instructor-before")
    await look.press(desk, "lead.cancel")
    await look.examine(desk, "instructor-cancel")
    await look.press(page, "join.leave")


async def test_the_checker_finds_what_is_wrong(look: Look) -> None:
    """A button without a name and a text that is too pale do not pass."""
    page = await (await look.person()).open(look.house.url(LATER))
    await seen(page, look.word("session.about"))
    await page.evaluate("() => document.querySelector('main').prepend(document.createElement('button'))")
    await page.evaluate("() => { document.querySelector('p.lead').style.color = 'rgb(200, 200, 200)'; }")
    found = await flaws(page, look.axe)
    assert {flaw.split(" ")[0] for flaw in found} == {"button-name", "color-contrast"}
