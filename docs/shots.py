"""Takes the pictures of the page for docs/screenshots.md: `make shots`, after the page has changed.

A daemon of this tree, a Chromium, generated keys, and a canvas in the camera's place. Each view is taken on a laptop
and on a phone, light and dark.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from podium_daemon.demo.people import open_wire
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from tests.support.browsers import chromium, visit
from tests.support.installed import Site, free_port
from tests.support.page import open_tab, press, seen, signed_post
from tests.support.relays import new_key
from tests.support.until import until

FOLDER: Final = Path(__file__).parent / "shots"
SIZES: Final = {"laptop": (1280, 800), "phone": (390, 844)}
MOST: Final = 60_000  # bytes of one picture
_FLAGS: Final = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)
# a person in front of a wall, instead of the browser's test picture
_CAMERA: Final = """
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.podiumPicture = (seed) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
    const paint = canvas.getContext("2d");
    const hue = (seed * 67 + 20) % 360;
    const wall = paint.createLinearGradient(0, 0, 640, 360);
    wall.addColorStop(0, `hsl(${hue} 26% 66%)`);
    wall.addColorStop(1, `hsl(${(hue + 40) % 360} 30% 38%)`);
    const draw = () => {
      paint.fillStyle = wall;
      paint.fillRect(0, 0, 640, 360);
      paint.fillStyle = `hsl(${(hue + 180) % 360} 24% 30%)`;
      paint.beginPath(); paint.ellipse(320, 400, 170, 160, 0, 0, 7); paint.fill();
      paint.fillStyle = `hsl(28 ${30 + seed % 3 * 8}% ${78 - seed % 4 * 13}%)`;
      paint.beginPath(); paint.ellipse(320, 170, 66, 82, 0, 0, 7); paint.fill();
    };
    draw();
    setInterval(draw, 200);
    return canvas.captureStream(5).getVideoTracks()[0];
  };
  navigator.mediaDevices.getUserMedia = (wish) =>
    wish.video ? Promise.resolve(new MediaStream([window.podiumPicture(4)])) : real(wish);
"""
_OTHERS: Final = """(count) => {
  const { media } = document.querySelector("podium-room");
  const key = (n) => Array.from({ length: 64 }, (_, at) => ((n * 7 + at * at * 13 + n * at * 5 + 3) % 16).toString(16)).join("");
  for (let n = 1; n <= count; n += 1) {
    const tracks = n % 3 === 0 ? {} : { video: window.podiumPicture(n) };
    document.querySelector("podium-session").client.names.note(key(n), `Participant ${n + 2}`);
    media.others.set(`made-${n}`, { connection: `made-${n}`, pubkey: key(n), tracks });
  }
  media.changed();
}"""  # noqa: E501
_TEXT: Final = "Bring your own lease if you have one.\n\nWe look at deposits, repairs and the end of a lease."


class Shots:
    """A daemon with sessions in it, and the pictures taken so far."""

    def __init__(self, site: Site, browser: Any, instructor: SecretKey) -> None:
        self._site = site
        self._browser = browser
        self._instructor = instructor

    async def session(self, title: str, *, starts_in: int, **fields: object) -> str:
        """Publish a session; its page."""
        about = {"summary": "How to read a lease, clause by clause.", "description": _TEXT}
        wish = {"title": title, "scheduledAt": int(time.time()) + starts_in, "duration": 60} | about | fields
        draft = await self._lead("/api/sessions/draft", wish)
        signed = [self._sign(msgspec.convert(one, UnsignedEvent)) for one in draft["events"]]
        await self._lead("/api/events", {"events": signed})
        return f"{self._site.base}/s/{draft['lessonId']}"

    async def start(self, url: str) -> None:
        """Start a session; its own event may come back from the relay at this moment."""

        async def started() -> bool:
            try:
                await self._lead(f"/api/sessions/{url.rpartition('/')[2]}/start")
            except httpx.HTTPStatusError:
                return False
            return True

        await until(started, "the session starts")

    async def person(self, url: str, key: SecretKey | None = None, *, signs_in: bool = True) -> Any:
        """A person's page."""
        visitor = await visit(self._browser, key, permissions=["camera", "microphone"])
        await visitor.context.add_init_script(_CAMERA)
        page = await visitor.open(url)
        if signs_in and key is not None:
            await page.get_by_role("button", name="Sign in").first.click()
            await page.get_by_text("Sign out", exact=True).wait_for()
        return page

    async def answer(self, url: str, key: SecretKey) -> None:
        """Have a person confirm."""
        path = f"/api/sessions/{url.rpartition('/')[2]}/rsvp/draft"
        draft = await signed_post(self._site.base, key, path, {"status": "confirmed", "pubkey": key.pubkey})
        signed = [
            json.loads(key.sign(msgspec.convert(one, UnsignedEvent), os.urandom(32)).to_json())
            for one in draft["events"]
        ]
        await signed_post(self._site.base, key, "/api/events", {"events": signed})

    async def link(self, url: str, name: str) -> str:
        """A personal link to a session."""
        made = await self._lead(f"/api/sessions/{url.rpartition('/')[2]}/guests", {"names": [name]})
        return str(made["guests"][0]["link"])

    async def take(self, page: Any, view: str, *, few: bool = False, at: Any = None) -> None:
        """Take a view in all sizes and colours; `few`: light on a laptop and dark on a phone; `at`: its middle."""
        session = await page.context.new_cdp_session(page)
        for name, (width, height) in SIZES.items():
            await page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                if few and (name == "laptop") != (scheme == "light"):
                    continue
                if at is not None:
                    await at.evaluate("(one) => one.scrollIntoView({ block: 'center' })")
                await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                await page.wait_for_timeout(400)  # the tiles move, and the pictures come
                shot = await session.send("Page.captureScreenshot", {"format": "webp", "quality": 60})
                data = base64.b64decode(shot["data"])
                assert len(data) <= MOST, (view, name, len(data))
                (FOLDER / f"{view}-{name}-{scheme}.webp").write_bytes(data)
        await page.set_viewport_size({"width": 1280, "height": 800})
        print(view)

    def _sign(self, event: UnsignedEvent) -> object:
        return json.loads(self._instructor.sign(event, os.urandom(32)).to_json())

    async def _lead(self, path: str, body: object = None) -> Any:
        return await signed_post(self._site.base, self._instructor, path, body)


async def call(relay: str, *people: tuple[SecretKey, str]) -> None:
    """Publish what people are called (kind 0)."""
    async with open_wire(relay) as wire:
        for key, name in people:
            profile = UnsignedEvent(key.pubkey, int(time.time()), kinds.METADATA, (), json.dumps({"name": name}))
            await wire.publish(key.sign(profile, os.urandom(32)))


async def join(page: Any) -> None:
    """Come to the door of a session that may be recorded."""
    await press(page, "Join")
    await page.get_by_label("Yes, I may be recorded").check()


async def search(shots: Shots, key: SecretKey, relay: str) -> None:
    """One of many answers, found by a name."""
    url = await shots.session("Heating bills", starts_in=180_000)
    people = [new_key() for _ in range(12)]
    await call(relay, *((one, f"Participant {number}") for number, one in enumerate(people, 1)))
    for one in people:
        await shots.answer(url, one)
    desk = await shots.person(url, key)
    await desk.locator(".answer-chips").get_by_text("Participant 12").wait_for()
    field = desk.get_by_label("Search who answered")
    await field.fill("participant 1")
    await seen(desk, "4 people found")
    await shots.take(desk, "search", few=True, at=field)


async def outside(shots: Shots, key: SecretKey) -> None:
    """The list, an invitation, and what an instructor sees before."""
    later = await shots.session("Deposits", starts_in=90_000, maxParticipants=12, requiresRSVP=True)
    page = await shots.person(later, new_key(), signs_in=False)
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")
    await shots.take(page, "invitation")
    await page.goto(later.rpartition("/s/")[0])
    await seen(page, "Upcoming")
    await shots.take(page, "sessions")
    guest = await shots.person(await shots.link(later, "Ana"))
    await seen(guest, "You are here by your personal link: Ana")
    await shots.take(guest, "guest", few=True)
    desk = await shots.person(later, key)
    await desk.locator(".answer-chips > li").first.wait_for()
    await shots.take(desk, "instructor")
    await desk.goto(later.rpartition("/s/")[0])
    await desk.get_by_text("Schedule a session").click()
    await desk.get_by_label("Title").fill("Leases, in four evenings")
    await desk.get_by_label("Repeat").select_option("weekly")
    await desk.get_by_label("How many dates").fill("4")
    await shots.take(desk, "series-form", few=True, at=desk.get_by_label("How many dates"))
    await press(desk, "Sign and publish")
    await seen(desk, "5 signatures")
    await shots.take(desk, "series", few=True, at=desk.locator("podium-signing"))


async def inside(shots: Shots, key: SecretKey, relay: str) -> None:
    """The way into a room, the stage and its panel, for those who take part and for those who lead."""
    url = await shots.session("Leases, clause by clause", starts_in=120, allowRecording=True, waitingRoom=True)
    await shots.start(url)
    desk = await shots.person(url, key)
    await join(desk)
    await press(desk, "Camera")
    await press(desk, "Microphone")
    await shots.take(desk, "entry")
    await press(desk, "Join with one signature")
    people = [new_key() for _ in range(2)]
    await call(relay, *((one, f"Participant {number}") for number, one in enumerate(people, 1)))
    page, waits = [await shots.person(url, one) for one in people]
    await join(page)
    await press(page, "Join with one signature")
    await desk.get_by_role("button", name="Let in:").click()
    await seen(page, "You are in the room.")
    await press(page, "Camera")
    await join(waits)
    await press(waits, "Join with one signature")
    await seen(waits, "The instructor will let you in.")
    await page.get_by_role("button", name="Raise your hand").click()
    await page.evaluate(_OTHERS, 7)
    await page.locator(".toast").wait_for(state="hidden")
    await shots.take(page, "room")
    await open_tab(page, "Settings")
    await shots.take(page, "room-settings")
    await desk.evaluate(_OTHERS, 7)
    for tab in ("People", "Lead"):
        await open_tab(desk, tab)
        await shots.take(desk, f"room-{tab.lower()}")
    await open_tab(page, "Questions")
    await page.get_by_label("Your question").fill("Who pays for a repair that nobody asked for?")
    await press(page, "Ask")
    await open_tab(desk, "Questions")
    await desk.get_by_role("button", name="Upvote").click()
    await seen(desk, "1 vote")
    await shots.take(desk, "room-questions", few=True)
    await open_tab(desk, "Lead")
    await press(desk, "End now")
    await seen(page, "You attended for")
    await shots.take(page, "afterwards")
    await press(page, "Show my certificate")
    await press(page, "Ask for a badge")
    await seen(page, "You asked for a badge.")
    await shots.take(page, "badge", few=True, at=page.locator("podium-badge"))
    await desk.reload()
    await seen(desk, "Participants who ask for a badge: 1.")
    await shots.take(desk, "badges", few=True, at=desk.locator("podium-badges"))


async def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(exist_ok=True)
    instructor = new_key()
    settings: dict[str, object] = {
        "instructors.allow": [instructor.pubkey],
        "embedded.enabled": True,
        "embedded.port": free_port(),
        "embedded.in_memory": True,
        "conference.engine": "embedded",
        "conference.media_addresses": ["127.0.0.1"],
    }
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), relays=[], settings=settings)
        await site.make_key()
        async with chromium(*_FLAGS) as browser, site.running():
            shots = Shots(site, browser, instructor)
            relay = f"ws://127.0.0.1:{settings['embedded.port']}"
            await call(relay, (instructor, "The instructor"))
            await inside(shots, instructor, relay)
            await outside(shots, instructor)
            await search(shots, instructor, relay)


if __name__ == "__main__":
    asyncio.run(main())
