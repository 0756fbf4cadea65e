"""What people say to each other in a room, in real browsers: the chat, reactions and polls."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from podium_protocol.keys import SecretKey
from podium_protocol.nips.nip19 import encode_npub
from tests.acceptance.test_room_people import FLAGS, Here, enter
from tests.support.axe import flaws, installed_axe
from tests.support.browsers import chromium
from tests.support.installed import Site, free_port
from tests.support.page import close_windows, open_tab, press, seen
from tests.support.relays import new_key

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

LINKS: Final = "See https://example.org/a?b=c. Not javascript:alert(1) <img src=x onerror=alert(1)>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """One daemon and one browser for all."""
    instructor = new_key()
    settings: dict[str, object] = {
        "instructors.allow": [instructor.pubkey],
        "embedded.enabled": True,
        "embedded.port": free_port(),
        "embedded.in_memory": True,
        "conference.engine": "embedded",
        "conference.media_addresses": ["127.0.0.1"],
    }
    site = Site(tmp_path_factory.mktemp("talk"), relays=[], settings=settings)
    await site.make_key()
    async with chromium(*FLAGS) as browser, site.running():
        yield Here(site, browser, instructor)


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with nobody's pages left open afterwards."""
    yield house
    await close_windows(house.browser)


async def seated(here: Here, url: str, *keys: SecretKey) -> list[Any]:
    """The pages of these people, in the room."""
    pages = [(await here.comes(key, url))[1] for key in keys]
    for page in pages:
        await enter(page)
    return pages


async def write(page: Any, text: str) -> None:
    """Write a line and send it by the keyboard."""
    field = page.locator("podium-chat textarea")
    await field.fill(text)
    await field.press("Enter")


async def test_people_chat(here: Here) -> None:
    """A line comes to all, its links can be followed, nothing else in it is alive, and a number says what is unread."""
    url = await here.started()
    desk, adas, bens = await seated(here, url, here.instructor, new_key(), new_key())
    await open_tab(adas, "Chat")
    await write(adas, LINKS)
    await bens.locator('.stage-bar button[data-tab="chat"] .count', has_text="1").wait_for()
    await open_tab(bens, "Chat")
    link = bens.locator("podium-chat .text a")
    assert await link.get_attribute("href") == "https://example.org/a?b=c"
    assert await link.get_attribute("rel") == "noopener noreferrer"
    assert await bens.locator("podium-chat .text").inner_text() == LINKS
    assert await bens.locator("podium-chat .text img").count() == 0
    await bens.locator('.stage-bar button[data-tab="chat"] .count').wait_for(state="hidden")
    assert await flaws(bens, installed_axe()) == []

    await bens.get_by_label("Only to those who lead").check()
    await write(bens, "May I leave early?")
    await desk.wait_for_function("document.title.startsWith('(')")
    await open_tab(desk, "Chat")
    await seen(desk, "May I leave early?")
    assert await adas.get_by_text("May I leave early?").count() == 0

    line = desk.locator("podium-chat li", has_text="example.org")
    await line.get_by_role("button", name=re.compile("^Delete line")).click()
    await bens.locator("podium-chat .text a").wait_for(state="detached")
    await press(desk, "Chat off")
    await seen_placeholder(adas, "The chat is off.")
    await adas.get_by_label("Only to those who lead").is_disabled()
    async with desk.expect_download() as saving:
        await press(desk, "Save as text")
    text = (await (await saving.value).path()).read_text(encoding="utf-8")
    assert "(only to those who lead): May I leave early?" in text


CUT: Final = """() => [...document.querySelectorAll(".stage-bar > button")].filter((one) => one.checkVisibility())
  .map((one) => [one.innerText, one.getBoundingClientRect()])
  .filter(([, { left, right, width }]) => left < 0 || right > innerWidth || width < 24).map(([name]) => name)"""


async def seen_placeholder(page: Any, beginning: str) -> None:
    """Wait until the field for a line says this."""
    await page.locator(f'podium-chat textarea[placeholder^="{beginning}"]').wait_for()


async def test_people_react(here: Here) -> None:
    """An emoji stands over the tile of who reacts, or in a line where they have none, and goes after some seconds."""
    url, ada = await here.started(), new_key()
    adas, bens = await seated(here, url, ada, new_key())
    await press(bens, "React")
    await bens.get_by_role("button", name="Heart").click()
    await adas.locator(".toast", has_text="\u2764").wait_for()
    await press(adas, "Camera")
    await press(adas, "React")
    assert await flaws(adas, installed_axe()) == []
    await adas.get_by_role("button", name="Applause").click()
    tile = bens.locator("podium-room .tile", has=bens.locator(f'.tile-name[title="{encode_npub(ada.pubkey)}"]'))
    await tile.get_by_role("img", name="Applause").wait_for()
    await adas.locator("podium-room .tile.own").get_by_role("img", name="Applause").wait_for()
    await tile.get_by_role("img", name="Applause").wait_for(state="detached")
    await bens.set_viewport_size({"width": 390, "height": 844})
    assert await bens.evaluate("document.documentElement.scrollWidth") <= 390


async def test_a_quiz_in_the_room(here: Here) -> None:
    """A leader prepares and opens it; people vote, and vote again; at the close they see a result and what is right."""
    desk, adas, bens = await seated(here, await here.started(), here.instructor, new_key(), new_key())
    await open_tab(desk, "Poll")
    await desk.get_by_label("Question", exact=True).fill("Which knot holds?")
    await desk.get_by_label("Options, one a line").fill("*Bowline\nGranny")
    await press(desk, "Prepare")
    assert await adas.locator(".stage-bar").get_by_role("button", name="Poll").count() == 0
    await press(desk, "Open")
    for page, choices in ((adas, ("Granny", "Bowline")), (bens, ("Granny",))):
        await open_tab(page, "Poll")
        for choice in choices:
            await page.get_by_role("radio", name=choice).check()
            await press(page, "Vote")
            await seen(page, f"Your choice: {choice}.")
    assert await flaws(adas, installed_axe()) == []
    assert await adas.get_by_text("1 vote").count() == 0
    assert await adas.get_by_text("right", exact=True).locator("visible=true").count() == 0
    await desk.get_by_text("1 vote", exact=True).nth(1).wait_for()
    await press(desk, "Close and show the result")
    await seen(adas, "The poll is closed. Your choice: Bowline. That is right.")
    await seen(bens, "The poll is closed. Your choice: Granny. That is not right.")
    await seen(bens, "1 vote")
    for page in (adas, desk):
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert await page.evaluate(CUT) == [], "with the poll's button there are most of them"
