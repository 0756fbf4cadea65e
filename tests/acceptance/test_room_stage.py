"""The room as a stage, in a real browser: all in reach at each size, by keyboard, in both languages, for all senses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from podium_daemon.web.routes.pages import page_files
from tests.acceptance.test_room_people import Here, enter, examine, house, pictures
from tests.support.page import close_windows, is_true, open_tab, press, seen
from tests.support.relays import new_key

__all__ = ["house", "pictures"]  # fixtures

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SIZES: Final = ((390, 844), (844, 390), (1280, 800), (1920, 1080))
LIVE: Final = "document.querySelector('podium-room').media?.state === 'live'"
# so many others, two of three with a picture
OTHERS: Final = """(count) => {
  const { media } = document.querySelector("podium-room");
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  const other = (_, n) => {
    const pubkey = (n * 40503 + 7).toString(16).padStart(64, "e9");
    const tracks = n % 3 ? { video: canvas.captureStream().getVideoTracks()[0] } : {};
    return [pubkey, { connection: pubkey, pubkey, tracks }];
  };
  media.others = new Map(Array.from({ length: count }, other));
  media.changed();
}"""
# what a person can press, and what is wrong with where it is; what scrolls by itself may hold more than one sees
MISPLACED: Final = """() => {
  const shown = [...document.querySelectorAll("podium-stage :is(button, a, input, select, textarea)")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest(".panel-body"));
  const flaw = (one) => {
    const { left, top, right, bottom, width, height } = one.getBoundingClientRect();
    if (left < 0 || top < 0 || right > innerWidth || bottom > innerHeight) return "outside";
    return width < 24 || height < 24 ? "small" : null;
  };
  const name = (one) => one.getAttribute("aria-label") ?? one.innerText;
  const found = shown.map((one) => [flaw(one), name(one)]).filter(([what]) => what);
  const { scrollWidth, scrollHeight } = document.documentElement;
  if (scrollWidth > innerWidth || scrollHeight > innerHeight) found.push(["scrolls", `${scrollWidth}x${scrollHeight}`]);
  return shown.length < 6 ? [["missing", String(shown.length)]] : found;
}"""
TAB_LINES: Final = "[...new Set([...document.querySelectorAll('[role=tab]')].map((one) => one.offsetTop))]"
TILES: Final = "document.querySelectorAll('podium-room .tile').length"


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with nobody's pages left open afterwards."""
    yield house
    await close_windows(house.browser)


def words(language: str) -> dict[str, str]:
    """The page's catalogue."""
    found: dict[str, str] = json.loads(page_files()[f"{language}.json"].content)
    return found


async def in_room(here: Here, **fields: object) -> Any:
    """A person's page in a room whose media runs."""
    _, page = await here.comes(new_key(), await here.started(**fields))
    await enter(page)
    await is_true(page, LIVE, "all that comes has come")
    return page


async def test_everything_is_in_reach_at_each_size(here: Here) -> None:
    """With 1, 2, 7 and 25 tiles no control lies outside the window or is too small to hit, and nothing scrolls."""
    page = await in_room(here)
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        for tiles in (1, 2, 7, 25):
            await page.evaluate(OTHERS, tiles - 1)
            least = min(tiles, 9)
            await is_true(page, f"{TILES} >= {least} && ({MISPLACED})().length === 0", f"{width}x{height}, {tiles}")
        await open_tab(page, "People")
        assert await page.evaluate(MISPLACED) == [], (width, height)
        await press(page, "Close the panel")


async def test_more_people_than_fit_have_pages_and_who_speaks_is_on_each(here: Here) -> None:
    """25 tiles at most; the others are a page further; the loudest is in sight whatever page one looks at."""
    page = await in_room(here)
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.evaluate(OTHERS, 40)
    await is_true(page, f"{TILES} === 25", "a full page")
    await seen(page, "1 of 2")
    await page.evaluate("""() => {
      const room = document.querySelector("podium-room");
      room.large = [...room.media.others.keys()][39];
      room.media.changed();
    }""")
    last = "[...document.querySelector('podium-room').media.others.keys()][39]"
    speaks = f"document.querySelector(`.tile[data-connection='${{{last}}}']`) !== null"
    await is_true(page, speaks, "who speaks is on the first page")
    await press(page, "Next page")
    await seen(page, "2 of 2")
    assert await page.evaluate(speaks)
    assert await page.get_by_role("button", name="Next page").is_disabled()


async def test_a_tile_is_pinned_by_keyboard(here: Here) -> None:
    """The menu of a tile opens and closes by keyboard, lies in the window, and pins: large, the others beside it."""
    page = await in_room(here)
    await page.evaluate(OTHERS, 6)
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        tile = page.locator("podium-room .tile:not(.own)").nth(3)
        await tile.locator("button.more").focus()
        await page.keyboard.press("Enter")
        await tile.get_by_role("button", name="Pin for me").focus()
        box = await tile.locator(".menu").bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
        await page.keyboard.press("Enter")
        await page.locator("podium-room .tile.large.pinned").wait_for()
        assert await page.evaluate(MISPLACED) == [], (width, height)
        await page.locator("podium-room .tile.large button.more").focus()
        await page.keyboard.press("Enter")
        await page.locator("podium-room .tile.large").get_by_role("button", name="Pin for me").click()
        await page.locator("podium-room .tile.large").wait_for(state="hidden")


async def test_each_view_is_for_all_senses(here: Here, pictures: Path) -> None:
    """The checker finds nothing grave on the stage, in each tab; light and dark, on a desk and a phone."""
    url = await here.started(allowRecording=True)
    (_, desk), (_, page) = [await here.comes(key, url) for key in (here.instructor, new_key())]
    for one in (desk, page):
        await press(one, "Join")
        await one.get_by_label("Yes, I may be recorded").check()
        await press(one, "Join with one signature")
        await is_true(one, LIVE, "all that comes has come")
    for tab in ("People", "Lead"):
        await open_tab(desk, tab)
        assert len(await desk.evaluate(TAB_LINES)) == 1, "the tabs stand in one line"
        await examine({f"stage-{tab.lower()}": desk}, pictures)
    await page.evaluate(OTHERS, 6)
    await examine({"stage": page}, pictures)
    for tab in ("Questions", "Settings"):
        await open_tab(page, tab)
        await examine({f"stage-{tab.lower()}": page}, pictures)


async def test_from_the_link_to_the_goodbye_by_keyboard(here: Here) -> None:
    """Tab, Enter and Space alone: sign in, join, agree, switch on, open the panel, close it, leave."""
    visitor, page = await here.comes(new_key(), await here.started())

    async def reach(name: str) -> None:
        for _ in range(60):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.innerText.trim()") == name:
                return
        raise AssertionError(f"Tab never reached {name}")

    await reach("Join")
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").wait_for()
    await reach("Join with one signature")
    await page.keyboard.press("Enter")
    await page.locator(".stage-bar button:focus", has_text="Microphone").wait_for()
    await page.keyboard.press("Space")
    await page.locator('.stage-bar button[aria-pressed="true"]:focus', has_text="Microphone").wait_for()
    await reach("People")
    await page.keyboard.press("Enter")
    await page.locator("[role=tab]:focus", has_text="People").wait_for()
    await page.keyboard.press("ArrowRight")
    second = await page.locator("[role=tab]:visible").nth(1).inner_text()
    await page.locator("[role=tab][aria-selected=true]:focus", has_text=second).wait_for()
    await page.keyboard.press("Escape")
    await page.locator(".stage-bar button:focus", has_text="People").wait_for()
    await reach("Leave")
    await page.keyboard.press("Enter")
    await seen(page, "You left the room.")
    assert visitor.errors == []


async def test_the_room_speaks_german(here: Here) -> None:
    """Bar, tabs and lines are in the person's language, and fit at each size."""
    url, german = await here.started(), words("de")
    visitor, page = await here.comes(new_key(), url)
    await page.evaluate("localStorage.setItem('podium.language', 'de')")
    await page.reload()
    await press(page, german["join.join"])
    await press(page, german["consent.join"])
    await is_true(page, LIVE, "all that comes has come")
    await page.evaluate(OTHERS, 6)
    shown = await page.locator(".stage-bar button:visible").evaluate_all(
        "all => all.map((one) => one.innerText.trim())"
    )
    keys = ("room.audio", "room.video", "room.screen", "hands.short", "tab.people", "tab.questions", "tab.settings")
    assert {german[key] for key in (*keys, "join.leave")} <= set(shown) <= set(german.values())
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        await is_true(page, f"({MISPLACED})().length === 0", f"{width}x{height}")
    assert visitor.errors == []


async def test_long_names_and_the_other_direction_hold(here: Here) -> None:
    """A title of one long word, and a page from right to left: all is still in reach."""
    page = await in_room(here, title="W" * 150)
    await page.evaluate(OTHERS, 6)
    await page.evaluate("document.documentElement.dir = 'rtl'")
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        await is_true(page, f"({MISPLACED})().length === 0", f"{width}x{height}")


# no word of the daemon's reaches a browser without a network, so its socket never hears that it was closed
_DEAF: Final = """window.WebSocket = class extends WebSocket {
  addEventListener(name, ...given) { if (name !== "close") super.addEventListener(name, ...given); }
}"""


async def test_a_lost_line_is_said_once(here: Here) -> None:
    """Without the network there is one line about it, though the socket seems open, and none when it is back."""
    visitor, page = await here.comes(new_key(), await here.started(), _DEAF)
    await enter(page)
    await is_true(page, LIVE, "all that comes has come")
    await visitor.context.set_offline(True)
    await seen(page, "The connection to the service was lost.")
    trouble = page.locator("podium-session").get_by_text("lost").filter(visible=True)
    assert await trouble.count() <= 2, "the line, and the state of the seat"
    assert await page.locator(".stage-line:visible").count() == 1
    await visitor.context.set_offline(False)
    await page.locator(".stage-line").wait_for(state="hidden")


_COMING: Final = """async () => {
  const told = {audio: 0, video: 0};
  for (const peer of window.podiumPeers) {
    if (peer.connectionState === "closed") continue;
    const inbound = [...(await peer.getStats()).values()].filter((one) => one.type === "inbound-rtp");
    for (const one of inbound) told[one.kind] += one.packetsReceived;
  }
  return told;
}"""
_PEERS: Final = """
  window.podiumPeers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) { super(...given); window.podiumPeers.push(this); }
  };
"""


async def test_a_picture_that_is_not_shown_is_not_sent(here: Here) -> None:
    """A phone's panel covers the people: sound comes, no picture does; closed, the pictures move again."""
    url = await here.started()
    (_, stage), (_, bench) = [await here.comes(key, url, _PEERS) for key in (here.instructor, new_key())]
    await enter(stage, "Camera", "Microphone")
    await enter(bench)
    await bench.set_viewport_size({"width": 390, "height": 844})
    moving = "document.querySelector('.tile:not(.own) video')?.getVideoPlaybackQuality().totalVideoFrames > 5"
    await is_true(bench, moving, "a moving picture")
    await open_tab(bench, "People")

    async def still() -> dict[str, int]:
        before = await bench.evaluate(_COMING)
        await is_true(bench, f"async (least) => (await ({_COMING})()).audio > least", "sound", before["audio"] + 50)
        after: dict[str, int] = await bench.evaluate(_COMING)
        return {"before": before["video"], "after": after["video"]}

    await is_true(bench, "document.querySelector('podium-room').tiles.shown.length === 0", "nothing is in sight")
    await still()  # what was on its way
    counted = await still()
    assert counted["before"] == counted["after"], "a second of sound, and no picture"
    await press(bench, "Close the panel")
    await is_true(bench, moving, "the picture moves again")
