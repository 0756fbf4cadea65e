"""A real browser in a room: the pictures that it decodes, what it takes, and how long a click waits."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.room_people import film_file
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.keys import SecretKey

CHROMIUM: Final = shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)
_EXTENSION: Final = """
window.nostr = {
  getPublicKey: async () => %s,
  signEvent: async (event) => JSON.parse(await window.podiumSign(JSON.stringify(event))),
};
"""
_CLICKS: Final = 12
_TILES: Final = 24  # on one page of a room, beside one's own
_FRAMES: Final = """() => [...document.querySelectorAll("podium-room .tile:not(.own) video, .alone")]
  .filter((one) => one.checkVisibility() && one.videoWidth > 0)
  .map((one) => one.getVideoPlaybackQuality().totalVideoFrames)"""
_MOVING: Final = f"(least) => ({_FRAMES})().filter((frames) => frames > 0).length >= least"
_WATCH_CLICKS: Final = """(button) => {
  let at = 0;
  globalThis.podiumLate = [];
  addEventListener("pointerdown", (event) => (at = event.timeStamp), true);
  const shown = () => requestAnimationFrame(() => globalThis.podiumLate.push(performance.now() - at));
  new MutationObserver(shown).observe(button, { attributes: true, attributeFilter: ["aria-pressed"] });
}"""
_ALONE: Final = """([film, count]) => {
  const bytes = Uint8Array.from(atob(film), (one) => one.charCodeAt(0));
  const src = URL.createObjectURL(new Blob([bytes], { type: "video/webm" }));
  for (let n = 0; n < count; n += 1) {
    const one = document.createElement("video");
    Object.assign(one, { src, loop: true, muted: true, autoplay: true, width: 230 });
    one.className = "alone";
    document.body.append(one);
  }
}"""


class Seen(msgspec.Struct, frozen=True):
    """What a browser showed: lines, pictures a second of each, percent of a core; and milliseconds of a click."""

    shown: int
    pictures: float
    slowest: float
    cpu: float
    click: float = 0.0
    slowest_click: float = 0.0


def missing() -> str | None:
    """Why this cannot be measured here, or None."""
    if find_spec("playwright") is None:
        return "playwright is not installed: pip install playwright"
    return None if os.access(CHROMIUM, os.X_OK) else "there is no Chromium: apt-get install chromium"


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """A headless browser with a made-up camera."""
    from playwright.async_api import async_playwright

    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


async def enter(browser: Any, url: str, others: int) -> Any:
    """A person's page in the room, camera on, once the pictures of the others move."""
    key = SecretKey(secrets.token_bytes(32))
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    await context.grant_permissions(["camera", "microphone"])

    def sign(text: str) -> str:
        asked = json.loads(text)
        rows = tuple(tuple(tag) for tag in asked["tags"])
        draft = UnsignedEvent(Pubkey(asked["pubkey"]), asked["created_at"], asked["kind"], rows, asked["content"])
        return key.sign(draft, secrets.token_bytes(32)).to_json().decode()

    await context.expose_function("podiumSign", sign)
    await context.add_init_script(_EXTENSION % json.dumps(key.pubkey))
    page = await context.new_page()
    page.set_default_timeout(120_000)
    await page.goto(url)
    await page.get_by_role("button", name="Join", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Camera").click()
    await page.get_by_role("button", name="Join with one signature").click()
    await page.wait_for_function(_MOVING, arg=min(others, _TILES))
    return page


async def watch(browser: Any, page: Any, seconds: float) -> Seen:
    """What the page shows in so many seconds, and then how late it answers a click."""
    seen = await _watch(browser, page, seconds)
    late = await _clicks(page)
    return msgspec.structs.replace(seen, click=median(late), slowest_click=max(late))


async def alone(browser: Any, count: int, seconds: float) -> Seen:
    """The same film in as many places of a page that does nothing else."""
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    await page.evaluate(_ALONE, [base64.b64encode(film_file()).decode(), count])
    await page.wait_for_function(_MOVING, arg=count)
    seen = await _watch(browser, page, seconds)
    await page.close()
    return seen


async def _watch(browser: Any, page: Any, seconds: float) -> Seen:
    frames, cpu, began = await _look(browser, page)
    await asyncio.sleep(seconds)
    more, later, ended = await _look(browser, page)
    took = ended - began
    rates = [(after - before) / took for before, after in zip(frames, more, strict=False)]
    return Seen(len(rates), median(rates), min(rates), (later - cpu) / took * 100)


async def _look(browser: Any, page: Any) -> tuple[list[int], float, float]:
    """The frames of each line, the CPU seconds of all of the browser's processes, and when that was."""
    session = await browser.new_browser_cdp_session()
    told = await session.send("SystemInfo.getProcessInfo")
    frames, now = await page.evaluate(f"() => [({_FRAMES})(), performance.now() / 1000]")
    await session.detach()
    return frames, sum(one["cpuTime"] for one in told["processInfo"]), now


async def _clicks(page: Any) -> list[float]:
    """Milliseconds from the press on the microphone's button until its new state is drawn."""
    button = page.locator(".stage-bar button").first
    await button.evaluate(_WATCH_CLICKS)
    for number in range(1, _CLICKS + 1):
        await button.click()
        await page.wait_for_function("(count) => globalThis.podiumLate.length >= count", arg=number)
    found: list[float] = await page.evaluate("globalThis.podiumLate")
    return found
