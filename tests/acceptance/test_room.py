"""The room of the embedded engine in real browsers with made-up cameras: seen, heard, muted, and encrypted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip44
from podium_protocol.nips.nip19 import encode_npub
from tests.support.browsers import Visitor, chromium, visit
from tests.support.installed import Site
from tests.support.page import open_tab, press, press_start, seen, signed_post
from tests.support.relays import new_key, running_relay
from tests.support.until import until
from tests.support.wheel import installed_wheel

pytestmark = pytest.mark.real_peer

_FLAGS: Final = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
)
_SETTINGS: Final = {
    "conference.engine": "embedded",
    "conference.media_addresses": ["127.0.0.1"],
    "conference.meeting_url": "",
    "conference.heartbeat": 2,
    "attendance.minutes": 600,
    "attendance.completion": "all",  # to be there for seconds completes nothing
}
# what the browser itself counted of what came to it, from everybody together
_COUNTED: Final = """async () => {
  const told = {pictures: 0, sound: 0};
  for (const peer of window.podiumPeers) {
    if (peer.connectionState === "closed") continue;
    for (const one of (await peer.getStats()).values()) {
      if (one.type !== "inbound-rtp") continue;
      told.sound += one.totalAudioEnergy ?? 0;
      told.pictures += one.framesDecoded ?? 0;
    }
  }
  const shown = [...document.querySelectorAll("podium-room .tile:not(.own)")]
    .filter((tile) => tile.querySelector("video").videoWidth > 0);
  const screens = shown.filter((tile) => tile.classList.contains("screen")).length;
  return {...told, screens, people: shown.length - screens};
}"""
_WATCHED: Final = """
  window.podiumPeers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) { super(...given); window.podiumPeers.push(this); }
  };
  window.nostr.nip44 = {
    encrypt: (peer, text) => window.podiumEncrypt(peer, text),
    decrypt: (peer, text) => window.podiumDecrypt(peer, text),
  };
"""


class House(msgspec.Struct, frozen=True):
    """A daemon out of the wheel with the embedded engine, and a browser."""

    site: Site
    browser: Any
    instructor: SecretKey

    async def published(self, **fields: object) -> str:
        """A session that starts in a minute; its address."""
        wish = {"title": "Knots", "scheduledAt": int(time.time()) + 60, "duration": 60} | fields
        draft = await signed_post(self.site.base, self.instructor, "/api/sessions/draft", wish)
        events = [
            json.loads(self.instructor.sign(msgspec.convert(one, UnsignedEvent), os.urandom(32)).to_json())
            for one in draft["events"]
        ]
        await signed_post(self.site.base, self.instructor, "/api/events", {"events": events})
        return str(draft["lessonId"])

    async def shown(self, session_address: str) -> Any:
        """A public session as the interface shows it to anybody."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return (await client.get(f"{self.site.base}/api/sessions/{session_address}")).raise_for_status().json()

    def files_with(self, text: str) -> list[Path]:
        """The files of the daemon in which this text stands in the clear."""
        files = [path for path in self.site.state.rglob("*") if path.is_file()]
        return [path for path in files if text.encode() in path.read_bytes()]

    async def person(self, key: SecretKey, session_address: str) -> tuple[Visitor, Any]:
        """A person's browser at the page of a session, signed in."""

        def encrypt(peer: str, text: str) -> str:
            return nip44.encrypt(text, nip44.conversation_key(key, Pubkey(peer)), os.urandom(32))

        def decrypt(peer: str, text: str) -> str:
            return nip44.decrypt(text, nip44.conversation_key(key, Pubkey(peer)))

        visitor = await visit(self.browser, key, permissions=["camera", "microphone"])
        await visitor.context.expose_function("podiumEncrypt", encrypt)
        await visitor.context.expose_function("podiumDecrypt", decrypt)
        await visitor.context.add_init_script(_WATCHED)
        page = await visitor.open(f"{self.site.base}/s/{session_address}")
        await page.get_by_role("button", name="Sign in").first.click()
        await seen(page, "Knots")
        return visitor, page


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with room_house(tmp_path, _SETTINGS) as found:
        yield found


@asynccontextmanager
async def room_house(folder: Path, settings: Mapping[str, object]) -> AsyncIterator[House]:
    """A daemon out of the wheel with these settings, its relay, and a browser."""
    instructor = new_key()
    async with running_relay() as relay, chromium(*_FLAGS) as browser:
        site = Site(folder, relays=[relay.url], settings=settings)
        await site.make_key()
        site.set(instructors__allow=[encode_npub(instructor.pubkey)])
        async with site.started(**installed_wheel().environment) as daemon:
            await daemon.until_ready()
            yield House(site, browser, instructor)


async def join(page: Any, *, consent: str | None = None) -> None:
    """Come to the door with one signature."""
    await press(page, "Join")
    if consent is not None:
        await page.get_by_label(consent).check()
    await press(page, "Join with one signature")


async def switch_on(page: Any, *names: str) -> None:
    """Press the room's switches."""
    for name in names:
        await page.get_by_role("toolbar").get_by_role("button", name=name).click()


async def counted(page: Any, what: str, **more_than: float) -> Any:
    """Wait until the browser has counted more than this."""

    async def enough() -> Any:
        told = await page.evaluate(_COUNTED)
        return told if all(told[name] > least for name, least in more_than.items()) else None

    return await until(enough, what)


async def quiet(page: Any, what: str) -> None:
    """Wait until no sound comes any more, while pictures do."""
    before = await page.evaluate(_COUNTED)

    async def silent() -> bool:
        nonlocal before
        now = await page.evaluate(_COUNTED)
        if now["pictures"] < before["pictures"] + 25:  # about half a second of two cameras
            return False
        same = now["sound"] - before["sound"] < 1e-3
        before = now
        return bool(same)

    await until(silent, what)


async def test_three_people_see_hear_and_are_muted(house: House) -> None:
    """They wait, are admitted, see and hear each other, show a screen, are muted for good, and come back."""
    session_address = await house.published(waitingRoom=True)
    (lead, desk), (ada, adas), (ben, bens) = [
        await house.person(key, session_address) for key in (house.instructor, new_key(), new_key())
    ]
    await press_start(desk)
    await join(desk)
    for page in (adas, bens):
        await join(page)
        await seen(page, "The instructor will let you in.")
    await press(desk, "Let everybody in")
    for page in (desk, adas, bens):
        await seen(page, "You are in the room.")
        await switch_on(page, "Microphone", "Camera")
    for page in (desk, adas, bens):
        await counted(page, "two pictures and their sound", people=1, pictures=20, sound=0.01)

    await switch_on(adas, "Share screen")
    await counted(bens, "Ada's screen", screens=0)

    await open_tab(desk, "Lead")
    await press(desk, "Mute everybody")
    for page in (adas, bens):
        await page.locator('.stage-bar button[aria-pressed="false"]', has_text="Microphone").wait_for()
    await quiet(desk, "the instructor hears nobody")
    await switch_on(bens, "Microphone")
    await quiet(desk, "whoever opens a microphone later is muted too")

    await open_tab(desk, "People")
    await ada.context.set_offline(True)
    await seen(desk, "2 people are here.")
    await ada.context.set_offline(False)
    await seen(desk, "3 people are here.")
    await seen(adas, "You are in the room.")
    start = (await adas.evaluate(_COUNTED))["pictures"]
    await counted(adas, "pictures after the return", people=1, pictures=start + 20)
    for visitor in (lead, ada, ben):
        assert visitor.foreign(house.site.base) == []
        assert visitor.dialogs == []
        assert len([one for one in visitor.signed if one["kind"] == 27235]) < 8


async def test_an_encrypted_room_shows_itself_to_its_people_only(house: House) -> None:
    """With the instructor's key people see each other; before it comes nothing is seen; leaving renews it."""
    await encrypted_life(house)


async def encrypted_life(house: House) -> None:
    """An encrypted session with three people, the first of whom comes before the instructor does."""
    keys = [new_key(), new_key()]
    invited = [key.pubkey for key in keys]
    session_address = await house.published(e2eeRequired=True, visibility="private", invited=invited)
    (lead, desk), (ada, adas), (_, bens) = [
        await house.person(key, session_address) for key in (house.instructor, *keys)
    ]
    await press_start(desk)
    await join(adas)
    await seen(adas, "Waiting for the instructor's key.")
    await switch_on(adas, "Camera")
    for page in (desk, bens):
        await join(page)
        await seen(page, "You are in the room.")
        await switch_on(page, "Microphone", "Camera")
    for page in (desk, adas, bens):
        await counted(page, "two pictures", people=1, pictures=20)
    await counted(adas, "sound", sound=0.01)

    shown = encode_npub(keys[0].pubkey)[:10]
    await desk.locator("podium-people").get_by_role("button", name=f"Show large: {shown}").click()
    for page in (desk, bens):
        await page.locator("podium-room .tile.large video:not([hidden])").wait_for()

    await _ask(desk, adas, bens)
    await press(bens, "Leave")
    before = (await desk.evaluate(_COUNTED))["pictures"]
    await counted(desk, "Ada's picture under the new key", pictures=before + 20)
    await open_tab(desk, "Lead")
    await press(desk, "End now")
    await seen(adas, "The poll is closed. Your choice: Bowline. That is right.")
    assert house.files_with("knot holds") == []
    assert house.files_with(session_address.rpartition(":")[2]) != []
    assert lead.foreign(house.site.base) == ada.foreign(house.site.base) == []


async def _ask(desk: Any, *pages: Any) -> None:
    await open_tab(desk, "Poll")
    await desk.get_by_label("Question", exact=True).fill("Which knot holds?")
    await desk.get_by_label("Options, one a line").fill("*Bowline\nGranny")
    await press(desk, "Prepare")
    await desk.locator("podium-polls").get_by_role("button", name="Open").click()
    for page in pages:
        await open_tab(page, "Poll")
        await page.get_by_role("radio", name="Bowline").check()
        await press(page, "Vote")
        await seen(page, "Your choice: Bowline.")


async def test_what_was_recorded_is_watched_and_completes(house: House) -> None:
    """Nothing is recorded before everybody agreed; after the end the film is made, watched, and counts."""
    session_address = await house.published(allowRecording=True)
    ada, ben = new_key(), new_key()
    (_, desk), (visitor, adas), (_, bens) = [
        await house.person(key, session_address) for key in (house.instructor, ada, ben)
    ]
    await press_start(desk)
    await join(desk, consent="Yes, I may be recorded")
    await join(adas, consent="Yes, I may be recorded")
    await join(bens, consent="No, do not record me")
    for page in (desk, adas):
        await seen(page, "You are in the room.")
        await switch_on(page, "Microphone", "Camera")
    await counted(bens, "the instructor's picture", people=0, pictures=20)
    await open_tab(desk, "Lead")
    await press(desk, "Record")
    await seen(desk, "1 of 3 people in the room have not agreed to be recorded.")
    await press(bens, "Leave")
    await open_tab(desk, "People")
    await seen(desk, "2 people are here.")
    await open_tab(desk, "Lead")
    await press(desk, "Record")
    await seen(adas, "This session is being recorded.")
    begun = (await adas.evaluate(_COUNTED))["pictures"]
    await counted(adas, "a few seconds of it", pictures=begun + 120)
    await press(desk, "End now")

    await seen(adas, "The recording is with those who lead, who look at it before it is published.")
    await press(desk, "Publish the recording")
    await seen(adas, "The recording is available.")
    session = await house.shown(session_address)
    assert session["recordingUrl"] == session["joinUrl"], "it is for participants: the page opens it for whom it is"
    video = adas.locator("podium-recording video")
    await video.wait_for(state="visible")
    await video.evaluate("video => { video.currentTime = 0; return video.play(); }")
    await seen(adas, "You completed this session by its recording.")
    width, seconds, sound = await video.evaluate(
        "video => [video.videoWidth, video.duration, video.webkitAudioDecodedByteCount]"
    )
    assert width > 0
    assert seconds > 3
    assert sound > 0

    async def credited() -> Any:
        rows = (await house.site.read("attendance", session_address, key=house.site.key_file))["attendance"]
        return any(row["pubkey"] == ada.pubkey and row["completedBy"] == "recording" for row in rows)

    await until(credited, "her record says so")
    assert visitor.foreign(house.site.base) == []
