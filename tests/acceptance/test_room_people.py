"""A room with media in real browsers: devices are tried, the instructor leads, and trouble is said in words."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips.nip19 import encode_npub
from tests.support.axe import flaws, installed_axe
from tests.support.browsers import Visitor, chromium, visit
from tests.support.installed import Site, free_port
from tests.support.page import close_windows, is_true, open_tab, press, seen, signed_post
from tests.support.relays import new_key
from tests.support.until import until

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

FLAGS: Final = (
    "--use-fake-device-for-media-stream=device-count=2",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)
SIZES: Final = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
_LOUD: Final = """(npub) => {
  const tile = [...document.querySelectorAll("podium-room .tile")]
    .find((one) => one.querySelector(".tile-name").title === npub);
  const levels = document.querySelector("podium-room").media.levels();
  return (levels.get(tile?.dataset.connection) ?? 0) > 0.01;
}"""
_LARGE: Final = "document.querySelector('podium-room .tile.large .tile-name')?.title ?? null"
_OWN_CAMERA: Final = "document.querySelector('podium-room').media?.own.video?.getSettings().deviceId ?? null"


class Here(msgspec.Struct, frozen=True):
    """A daemon on the embedded engine that lets confirmed people in, a browser, and the instructor's key."""

    site: Site
    browser: Any
    instructor: SecretKey

    async def published(self, **fields: object) -> str:
        """A session that starts in two minutes; its page."""
        wish = {"title": "Know your rights", "scheduledAt": int(time.time()) + 120, "duration": 60} | fields
        draft = await signed_post(self.site.base, self.instructor, "/api/sessions/draft", wish)
        events = [
            json.loads(self.instructor.sign(msgspec.convert(one, UnsignedEvent), os.urandom(32)).to_json())
            for one in draft["events"]
        ]
        await signed_post(self.site.base, self.instructor, "/api/events", {"events": events})
        return f"{self.site.base}/s/{draft['lessonId']}"

    async def started(self, **fields: object) -> str:
        """A session that runs; its page."""
        url = await self.published(**fields)
        await signed_post(self.site.base, self.instructor, f"/api/sessions/{url.rpartition('/')[2]}/start")
        return url

    async def comes(self, key: SecretKey, url: str, before: str = "") -> tuple[Visitor, Any]:
        """A person's browser at the page, signed in; `before` runs in it first."""
        visitor = await visit(self.browser, key, permissions=["camera", "microphone"], viewport=SIZES["desk"])
        if before:
            await visitor.context.add_init_script(before)
        page = await visitor.open(url)
        await page.get_by_role("button", name="Sign in").first.click()
        await page.get_by_role("button", name="Join", exact=True).wait_for()
        return visitor, page


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
        "conference.auto_admit_confirmed": True,
    }
    site = Site(tmp_path_factory.mktemp("rooms"), relays=[], settings=settings)
    await site.make_key()
    async with chromium(*FLAGS) as browser, site.running():
        yield Here(site, browser, instructor)


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with nobody's pages left open afterwards."""
    yield house
    await close_windows(house.browser)


@pytest_asyncio.fixture(loop_scope="module")
async def with_cameras(here: Here) -> AsyncIterator[Here]:
    """The same, with a browser in which a page can choose between two cameras."""
    async with chromium(*FLAGS, is_whole=True) as browser:
        yield Here(here.site, browser, here.instructor)


async def enter(page: Any, *switches: str) -> None:
    """Into the room, with these switched on."""
    await press(page, "Join")
    await press(page, "Join with one signature")
    await seen(page, "You are in the room.")
    for name in switches:
        await press(page, name)


async def large(page: Any, who: str | None, what: str) -> None:
    """Wait until this person, or nobody, is large."""
    await is_true(page, f"(npub) => ({_LARGE}) === npub", what, who)


def about(person: str, what: str) -> str:
    """The name of a button about a person."""
    return f"{what}: {person[:10]}…{person[-6:]}"


async def choose(page: Any, person: str, what: str) -> None:
    """In a person's tile, by keyboard alone."""
    tile = page.locator("podium-room .tile", has=page.locator(f'.tile-name[title="{person}"]'))
    await tile.locator("button.more").focus()
    await page.keyboard.press("Enter")
    await tile.get_by_role("button", name=about(person, what)).focus()
    await page.keyboard.press("Enter")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures are kept."""
    folder = Path(os.environ.get("PODIUM_ARTIFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def test_the_instructor_leads_a_room(here: Here, pictures: Path) -> None:
    """Who speaks is large; one is muted, all are, one may speak, one is large for everybody; and newcomers see that."""
    url, (ada, ben) = await here.started(), (new_key(), new_key())
    (_, desk), (_, adas), (_, bens) = [await here.comes(key, url) for key in (here.instructor, ada, ben)]
    npubs = {name: encode_npub(key.pubkey) for name, key in (("ada", ada), ("ben", ben))}
    await enter(desk)
    await enter(adas, "Camera", "Microphone")
    await enter(bens, "Camera")
    await desk.get_by_role("button", name="Speaker large").click()
    await is_true(desk, _LOUD, "Ada is heard", npubs["ada"])
    await large(desk, npubs["ada"], "Ada speaks, Ben does not")

    await choose(desk, npubs["ada"], "Mute")
    await seen(adas, "Microphone: you were muted by the instructor.")
    await press(bens, "Microphone")
    await large(desk, npubs["ben"], "now Ben speaks")

    await open_tab(desk, "Lead")
    await press(desk, "Mute everybody")
    await bens.locator('.stage-bar button[aria-pressed="false"]', has_text="Microphone").wait_for()
    await open_tab(desk, "People")
    await desk.locator("podium-people").get_by_role("button", name=about(npubs["ada"], "Let speak")).click()
    await seen(adas, "The instructor lets you speak.")
    for page in (bens, adas):
        await press(page, "Microphone")
    await is_true(desk, _LOUD, "Ada may speak", npubs["ada"])
    await bens.locator('.stage-bar button[aria-pressed="false"]', has_text="Microphone").wait_for()
    assert await adas.get_by_role("button", name="Microphone").get_attribute("aria-pressed") == "true"

    await choose(desk, npubs["ben"], "Show large")
    await large(adas, npubs["ben"], "Ben is shown to Ada")
    await seen(bens, "The instructor shows you large to everybody.")
    _, cems = await here.comes(new_key(), url)
    await enter(cems)
    await large(cems, npubs["ben"], "a newcomer sees Ben large")
    await desk.locator("podium-room .tile.large > button.more").click()
    await examine({"room-lead": desk, "room": cems}, pictures)
    await open_tab(desk, "Lead")
    await press(desk, "Show nobody large")
    await large(adas, None, "nobody is large")


async def examine(pages: dict[str, Any], pictures: Path) -> None:
    """Nothing serious for people with other senses, nothing to scroll sideways; light and dark, desk and phone."""
    for (view, page), scheme, name in [
        (pair, scheme, name) for pair in pages.items() for scheme, name in (("light", "desk"), ("dark", "phone"))
    ]:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size(SIZES[name])
        await page.screenshot(path=pictures / f"{view}-{scheme}-{name}.png", full_page=True)
        assert await flaws(page, installed_axe()) == [], (view, scheme, name)
        assert await page.evaluate("document.documentElement.scrollWidth") <= SIZES[name]["width"], (view, name)
        await page.set_viewport_size(SIZES["desk"])


async def test_devices_are_tried_before_others_see_them(with_cameras: Here, pictures: Path) -> None:
    """In the dialog: a picture and a level of one's own; what was chosen counts in the room and later."""
    ada, adas = await with_cameras.comes(new_key(), await with_cameras.started())
    await press(adas, "Join")
    await seen(adas, "Your camera is off")
    for name in ("Camera", "Microphone"):
        await press(adas, name)
    await seen(adas, "Your microphone works")
    await is_true(adas, "document.querySelector('podium-devices video').videoWidth > 0", "one's own picture")
    await examine({"devices": adas}, pictures)
    cameras = adas.get_by_role("combobox", name="Camera")
    wanted = await cameras.locator("option").nth(2).get_attribute("value")
    await cameras.select_option(value=wanted)
    await press(adas, "Join with one signature")
    await is_true(adas, f"(wanted) => ({_OWN_CAMERA}) === wanted", "the camera that was chosen", wanted)
    await adas.locator('.stage-bar button[aria-pressed="true"]:focus', has_text="Microphone").wait_for()
    assert await adas.evaluate("document.querySelector('podium-devices').tracks") == {}, "nothing is tried any more"

    switched_on = adas.locator('.stage-bar button[aria-pressed="true"]')
    await press(adas, "Microphone")
    await switched_on.filter(has_text="Microphone").wait_for(state="hidden")
    await adas.reload()  # the seat comes back by itself
    await is_true(adas, f"(wanted) => ({_OWN_CAMERA}) === wanted", "the camera that was chosen", wanted)
    assert not await switched_on.filter(has_text="Microphone").is_visible(), "what was switched off stays off"
    await adas.evaluate("localStorage.setItem('podium.chosen.audio', 'pulled-out')")
    await press(adas, "Microphone")
    await adas.locator('.stage-bar button[aria-pressed="true"]', has_text="Microphone").wait_for()
    assert await adas.evaluate("localStorage.getItem('podium.chosen.audio')") is None
    assert ada.errors == []


_TWENTY: Final = """() => {
  const { media } = document.querySelector("podium-room");
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  const tracks = (number) => (number < 12 ? { video: canvas.captureStream().getVideoTracks()[0] } : {});
  const people = Array.from({ length: 19 }, (_, number) => number.toString(16).padStart(64, "a"));
  const other = (pubkey, number) => ({ connection: pubkey, pubkey, tracks: tracks(number) });
  media.others = new Map(people.map((pubkey, number) => [pubkey, other(pubkey, number)]));
  media.changed();
}"""
_COUNTED: Final = """() => {
  const boxOf = (tile) => tile.getBoundingClientRect();
  const boxesOf = (which) => [...document.querySelectorAll(`podium-room ${which}`)].map(boxOf);
  const [boxes, others, [own]] = [".tile", ".tile:not(.own)", ".tile.own"].map(boxesOf);
  const names = [...document.querySelectorAll("podium-room .tile-line")];
  const isOut = ({ left, top, right, bottom }) => left < 0 || top < 0 || right > innerWidth || bottom > innerHeight;
  return {
    tiles: boxes.length,
    sizes: new Set(others.map(({ width, height }) => `${width}x${height}`)).size,
    least: Math.min(...others.map(({ height }) => height)),
    isSmall: own?.width < others[0]?.width,
    line: Math.max(...names.map((line) => line.getBoundingClientRect().height)),
    out: boxes.filter(isOut).length,
  };
}"""


async def test_twenty_people_fit(here: Here, pictures: Path) -> None:
    """Camera or not, others have tiles of one size, oneself a smaller one, all in sight on desk and phone."""
    _, page = await here.comes(new_key(), await here.started())
    await enter(page)
    await is_true(page, "document.querySelector('podium-room').media.state === 'live'", "all that comes has come")
    await page.evaluate(_TWENTY)
    for size in SIZES.values():
        await page.set_viewport_size(size)
        await is_true(page, f"({_COUNTED})().out === 0", "the tiles have moved into the window")
        shown = await page.evaluate(_COUNTED)
        assert (shown["tiles"], shown["sizes"], shown["out"]) == (20, 1, 0), "one of the twenty is oneself"
        assert shown["isSmall"]
        assert shown["least"] >= 66
        assert shown["line"] <= 32, "the name hides no picture"
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        await page.screenshot(path=pictures / f"room-twenty-{size['width']}.png", full_page=True)


async def test_an_act_that_one_slips_into_can_be_taken_back(here: Here) -> None:
    """Removing and ending wait five seconds with a way back, and say so where one looks; then they happen."""
    url, ada = await here.started(), new_key()
    (_, desk), (_, adas) = [await here.comes(key, url) for key in (here.instructor, ada)]
    for page in (desk, adas):
        await enter(page)
    remove = desk.locator("podium-people").get_by_role("button", name=about(encode_npub(ada.pubkey), "Remove"))
    await remove.click()
    await press(desk, "Undo")
    await desk.get_by_text("Removing").wait_for(state="hidden")
    await open_tab(desk, "Lead")
    await press(desk, "End now")
    await seen(desk, "Ending in")
    await press(desk, "Undo")
    await desk.get_by_text("Ending in").wait_for(state="hidden")
    await open_tab(desk, "People")
    await remove.click()
    await seen(adas, "You were removed")
    await press(desk, f"Let back in: {encode_npub(ada.pubkey)[:10]}…{encode_npub(ada.pubkey)[-6:]}")
    await press(adas, "Join again")
    await press(adas, "Join with one signature")
    await seen(adas, "You are in the room.")
    await open_tab(desk, "Lead")
    await press(desk, "End now")
    await seen(adas, "You attended for")


async def test_single_keys_are_shortcuts_but_not_while_one_types(here: Here) -> None:
    """M, V and H do what their buttons do, ? shows the list; in a field they are letters; they can be switched off."""
    _, page = await here.comes(new_key(), await here.started())
    await enter(page)
    pressed = page.locator('.stage-bar button[aria-pressed="true"]')
    await page.locator(".stage-bar button:focus", has_text="Microphone").wait_for()
    for key, name in (("m", "Microphone"), ("v", "Camera"), ("h", "Hand")):
        await page.keyboard.press(key)
        await pressed.filter(has_text=name).wait_for()
    await open_tab(page, "Questions")
    await page.get_by_label("Your question").fill("")
    await page.get_by_label("Your question").press_sequentially("mvh?")
    assert await page.get_by_label("Your question").input_value() == "mvh?"
    assert await pressed.count() == 3
    await page.get_by_role("tab", name="Questions").focus()
    await page.keyboard.press("?")
    await seen(page, "Single keys as shortcuts")
    await page.get_by_label("Single keys as shortcuts").uncheck()
    await page.get_by_role("tab", name="Settings").focus()
    await page.keyboard.press("m")
    await page.get_by_label("Single keys as shortcuts").check()
    assert await pressed.count() == 3


async def test_a_second_tab_brings_the_room_over(here: Here) -> None:
    """Another tab of the same browser says that one is in the room already, and takes the seat over on request."""
    url = await here.started()
    visitor, first = await here.comes(new_key(), url)
    await enter(first)
    second = await visitor.open(url)
    await seen(second, "You are in the room in another tab.")
    assert not await second.get_by_role("button", name="Join", exact=True).is_visible()
    await press(second, "Bring it here")
    await press(second, "Join with one signature")
    await seen(second, "You are in the room.")
    await seen(first, "You joined again in another tab of this browser.")
    await seen(first, "You are in the room in another tab.")
    await press(second, "Leave")
    await first.get_by_text("You are in the room in another tab.").wait_for(state="hidden")
    assert visitor.errors == []


async def test_what_waits_is_counted_in_the_title(here: Here) -> None:
    """Who leads sees in the tab's name how many wait or have a hand up, by the names they gave; all see whose is up.

    A name that is taken is refused before a signature.
    """
    url = await here.started(waitingRoom=True)
    (_, desk), (ada, adas) = [await here.comes(key, url) for key in (here.instructor, new_key())]
    taken = ((desk, "The host", "You are in the room."), (adas, "the HOST", "Somebody here has this name already."))
    for page, name, line in taken:  # the second once the first is in the room: until then the name is free
        await press(page, "Join")
        await page.get_by_label("Your name in this room").fill(name)
        await press(page, "Join with one signature")
        await seen(page, line)
    assert len(ada.signed) == 1, "signing in, and no join"
    await press(adas, "Join")
    await adas.get_by_label("Your name in this room").fill("Ada of the door")
    await press(adas, "Join with one signature")
    await is_true(desk, "document.title.startsWith('(1) ')", "somebody waits")
    await desk.locator("podium-people .person .who", has_text="Ada of the door").wait_for()
    await press(desk, "Let everybody in")
    await is_true(desk, "!document.title.startsWith('(')", "nobody waits")
    await adas.get_by_role("button", name="Raise your hand").click()
    await seen(adas, "Your hand is up.")
    await is_true(desk, "document.title.startsWith('(1) ')", "a hand is up")
    await open_tab(adas, "People")
    people = adas.locator("podium-people .person:visible")
    assert await until(lambda: _texts(people, 2), "both are in the list") is not None
    await adas.locator("podium-people .person .hand:visible", has_text="1").wait_for()
    await adas.locator("podium-room .tile.own .tile-hand:visible", has_text="1").wait_for()
    await press(desk, "Camera")
    await adas.locator("podium-room .tile:not(.own)").wait_for()
    await press(adas, "Camera")
    await desk.locator("podium-room .tile:not(.own) .tile-hand:visible", has_text="1").wait_for()
    await press(desk, "Leave")
    await until(lambda: _texts(people, 1), "who left is not")
    await press(adas, "Leave")
    await press(adas, "Join again")
    assert await adas.get_by_label("Your name in this room").input_value() == "Ada of the door"
    await press(adas, "Not now")
    kept = "Object.keys(localStorage).some((key) => key.startsWith('podium.name'))"
    await is_true(adas, kept, "the name is kept for the next join")
    await adas.get_by_role("button", name="Sign out", exact=True).click()
    await is_true(
        adas, "!Object.keys(localStorage).some((key) => key.startsWith('podium.name'))", "the name is forgotten"
    )


async def _texts(found: Any, count: int) -> list[str] | None:
    texts: list[str] = await found.all_inner_texts()
    return texts if len(texts) == count else None


async def test_a_phone_offers_no_screen_to_share(here: Here) -> None:
    """Where the browser cannot share a screen there is no button for it; the others are there."""
    _, page = await here.comes(new_key(), await here.started(), "delete MediaDevices.prototype.getDisplayMedia;")
    await enter(page)
    await page.locator(".stage-bar button:focus", has_text="Microphone").wait_for()
    assert not await page.get_by_role("button", name="Share screen").is_visible()
    assert await page.get_by_role("button", name="Camera").is_visible()


_REFUSING: Final = """
  const refuse = (name) => Promise.reject(new DOMException("no", name));
  navigator.mediaDevices.getUserMedia = ({ audio }) => refuse(audio ? "NotFoundError" : "NotAllowedError");
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    if (description.type === window.podiumBreaks) return Promise.reject(new Error("no"));
    return set.call(this, description);
  };
  window.podiumBreaks = "answer";
"""


async def test_trouble_is_said_in_words(here: Here) -> None:
    """No permission, no device, nothing gets out or in, no connection to the service, and a browser without calls."""
    url = await here.started()
    visitor, page = await here.comes(new_key(), url, _REFUSING)
    await enter(page)
    await seen(page, "The others cannot see or hear you at the moment.")
    await seen(page, "Perhaps this network lets no calls through.")
    await page.evaluate("window.podiumBreaks = 'offer'")
    await page.get_by_text("The others cannot see or hear you").wait_for(state="hidden")
    await press(page, "Camera")
    await seen(page, "Camera: the browser does not allow it.")
    await press(page, "Microphone")
    await seen(page, "Microphone: no such device was found.")
    await visitor.context.set_offline(True)
    await seen(page, "The connection to the service was lost.")
    await visitor.context.set_offline(False)
    await seen(page, "You cannot see or hear the others at the moment.")
    await page.evaluate("window.podiumBreaks = ''")
    await page.get_by_text("You cannot see or hear the others").wait_for(state="hidden")
    _, old = await here.comes(new_key(), url, "delete window.RTCPeerConnection;")
    await seen(old, "This browser cannot take part in calls.")
    await enter(old)


async def test_who_confirmed_does_not_wait(here: Here) -> None:
    """They come in by themselves, the others wait, and the instructor is told that it is so."""
    url = await here.started(waitingRoom=True)
    (_, desk), (_, adas), (_, bens) = [await here.comes(key, url) for key in (here.instructor, new_key(), new_key())]
    await press(adas, "Confirm")
    await seen(adas, "Your answer: confirmed.")
    await enter(adas)
    await press(bens, "Join")
    await press(bens, "Join with one signature")
    await seen(bens, "The instructor will let you in.")
    await seen(desk, "Whoever confirmed comes in without waiting")
    await press(desk, "Let everybody in")
    await seen(bens, "You are in the room.")
