"""The page as people get it: served by a daemon that runs from the installed wheel, opened in real browsers."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from podium_daemon.demo.stage import DemoPlan, DemoStage, raised
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip98
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections.sessions import room_of
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, IntervalRow, LiveSessionRow, RsvpRow
from tests.support.browsers import Visitor, chromium, visit
from tests.support.installed import Site, free_port
from tests.support.relays import new_key
from tests.support.until import until
from tests.support.wheel import installed_wheel


class Here(msgspec.Struct, frozen=True):
    """A daemon, a browser, and the instructor's key."""

    stage: DemoStage
    browser: Any
    instructor: SecretKey

    async def person(self, secret: SecretKey | None = None, **options: Any) -> Visitor:
        """A person's browser."""
        return await visit(self.browser, secret, **options)

    async def close_pages(self) -> None:
        """Close all browser windows."""
        await close_windows(self.browser)

    async def scheduled(self, *, starts_in: int = 300, **fields: object) -> str:
        """A session that the instructor published over the interface; the URL of its page."""
        session_address = await self.submitted(starts_in=starts_in, **fields)
        return f"{self.stage.base_url}/s/{(await self.shown(session_address))['naddr']}"

    async def submitted(self, *, starts_in: int = 300, **fields: object) -> str:
        """A session that the instructor signed and handed in; its address."""
        wish = {"title": "Know your rights", "scheduledAt": int(time.time()) + starts_in, "duration": 60} | fields
        draft = await self.post("/api/sessions/draft", wish)
        events = [self._signed(msgspec.convert(template, UnsignedEvent)) for template in draft["events"]]
        await self.post("/api/events", {"events": events})
        return str(draft["lessonId"])

    async def shown(self, reference: str) -> Any:
        """A session as the interface shows it to anybody."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return (await client.get(f"{self.stage.base_url}/api/sessions/{reference}")).raise_for_status().json()

    async def post(self, path: str, body: object) -> Any:
        """A call of the instructor."""
        return await signed_post(self.stage.base_url, self.instructor, path, body)

    def _signed(self, event: UnsignedEvent) -> object:
        return json.loads(self.instructor.sign(event, os.urandom(32)).to_json())


@asynccontextmanager
async def page_house(plan: DemoPlan | None = None, *flags: str) -> AsyncIterator[Here]:
    """A daemon out of the wheel, and a browser with these flags, for as long as the block runs."""
    plan = plan or DemoPlan(start_in=600, lasts=60, day=500, hour=400, quarter=300)
    instructor, wheel = new_key(), installed_wheel()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in wheel.environment.items():
            patch.setenv(name, value)
        daemon = raised(plan, instructor=instructor, service=new_key(), relay=None)
        async with chromium(*flags) as browser, daemon as stage:
            yield Here(stage, browser, instructor)


async def close_windows(browser: Any) -> None:
    """Close all browsers: a page that is left open goes on counting and following."""
    for context in list(browser.contexts):
        await context.close()


async def seen(page: Any, text: str | re.Pattern[str]) -> None:
    """Wait until a person sees this text."""
    await page.get_by_text(text).first.wait_for(state="visible")


_SHOW_RECORDING: Final = """(url) => {
  const recording = document.querySelector("podium-recording");
  delete recording.follow;
  recording.follow({ state: "ended", recordingState: "available", recordingUrl: url });
  recording.follow = () => {};
}"""


async def show_recording(page: Any, url: str) -> None:
    """Have an ended session's page show a recording at this address, whatever the service tells it from now on."""
    await page.evaluate(_SHOW_RECORDING, url)


# said by a browser while an element is not drawn yet, or while the page is being left
_NOT_YET: Final = ("Cannot read properties of", "is not iterable", "Execution context was destroyed")


async def is_true(page: Any, look: str, what: str, given: object = None) -> None:
    """Wait until an expression is true on the page; one that fails on what is not there yet is not true yet."""

    async def true() -> bool:
        try:
            return bool(await page.evaluate(look, given))
        except Exception as error:
            if not any(words in str(error) for words in _NOT_YET):
                raise
            return False

    await until(true, what)


async def press(page: Any, name: str) -> None:
    """Press the button of this name."""
    await page.get_by_role("button", name=name, exact=True).click()


async def open_tab(page: Any, name: str) -> None:
    """Open a tab of the panel in the room, by the tab itself or by the button in the bar."""
    tab = page.get_by_role("tab", name=name)
    if not await tab.is_visible():
        await page.locator(".stage-bar").get_by_role("button", name=name).click()
    await tab.click()


async def press_start(page: Any) -> None:
    """Start the session, before the hour or not."""
    await page.get_by_role("button", name=re.compile(r"^Start now(, \d+ min early)?$")).click()


async def signed_post(base: str, key: SecretKey, path: str, body: object = None) -> Any:
    """A signed call (NIP-98); what it answers, which must be good."""
    url, raw = f"{base}{path}", b"" if body is None else json.dumps(body).encode()
    nonce = ("nonce", os.urandom(8).hex())
    login = nip98.write(key.pubkey, url, "POST", raw or None, int(time.time()), (nonce,))
    headers = {"Authorization": nip98.write_header(key.sign(login, os.urandom(32))), "Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.post(url, content=raw, headers=headers)
    assert answer.is_success, f"{url}: {answer.status_code} {answer.text}"  # in the daemon's own words
    return answer.json()


class Kept(msgspec.Struct, frozen=True):
    """Rows of a database."""

    sessions: Sequence[LiveSessionRow]
    rsvps: Sequence[RsvpRow] = ()
    attendance: Sequence[AttendanceRow] = ()
    intervals: Sequence[IntervalRow] = ()


class KeptHouse(msgspec.Struct, frozen=True):
    """A daemon that found sessions on its disk, and a browser."""

    base: str
    browser: Any

    def url(self, row: LiveSessionRow) -> str:
        """The page of a session."""
        return f"{self.base}/s/{row.session_address}"

    async def person(self, secret: SecretKey | None = None, **options: Any) -> Visitor:
        """A person's browser."""
        return await visit(self.browser, secret, **options)

    async def close_pages(self) -> None:
        """Close all browser windows."""
        await close_windows(self.browser)


@asynccontextmanager
async def kept_house(folder: Path, *, rows: Kept, profiles: Sequence[VerifiedEvent] = ()) -> AsyncIterator[KeptHouse]:
    """A daemon out of the wheel whose database held these rows before it started; what they say passed no check."""
    people = sorted({row.instructor_pubkey for row in rows.sessions})
    settings = {"instructors.allow": people, "embedded.enabled": True, "embedded.port": free_port()}
    site = Site(folder, relays=[], settings=settings | {"embedded.in_memory": True})
    await site.make_key()
    site.state.mkdir(mode=0o700)
    async with await Store.open(site.state / "podium.sqlite3") as store:
        await store.sessions.bulk_add(rows.sessions)
        await store.rsvps.bulk_add(rows.rsvps)
        await store.attendance.bulk_add(rows.attendance)
        await store.intervals.bulk_add(rows.intervals)
        await Mirror(store.database, store.interner).ingest(profiles, received_at=int(time.time()))
    (site.state / "podium.sqlite3").chmod(0o600)
    async with chromium() as browser, site.started(**installed_wheel().environment) as daemon:
        await daemon.until_ready()
        yield KeptHouse(site.base, browser)


def kept_session(instructor: Pubkey, name: str, *, starts_in: int = 7200, **fields: Any) -> LiveSessionRow:
    """A session as a daemon holds it; `fields` are the row's."""
    start = int(time.time()) + starts_in
    session_address = str(Address(kinds.SESSION, instructor, name))
    usual: dict[str, Any] = {
        "session_address": session_address,
        "conference_room_id": room_of(session_address),
        "scheduled_at": start,
        "ends_at": start + 3600,
        "duration": 60,
        "instructor_pubkey": instructor,
        "title": "Know your rights",
        "summary": "",
        "description": "",
        "timezone": "America/New_York",
        "requires_rsvp": False,
        "waiting_room": False,
        "allow_recording": True,
        "e2ee_required": False,
        "visibility": "public",
        "co_hosts": (),
        "invited": (),
        "state": "scheduled",
        "epoch": 0,
        "event_id": hashlib.sha256(session_address.encode()).hexdigest(),
        "event_created_at": start - 86400,
        "runs": (),
        "adopted_at": start - 86400,
    }
    if fields.get("state") in ("ended", "cancelled"):
        usual |= {
            "started_at": start,
            "ended_at": start + 3600,
            "runs": ((start, start + 3600),),
            "end_reason": "clock",
        }
    return LiveSessionRow(**usual | fields)


def profile_of(key: SecretKey, *, age: int = 0, **fields: object) -> VerifiedEvent:
    """A kind 0 event, `age` seconds old."""
    draft = UnsignedEvent(key.pubkey, int(time.time()) - age, kinds.METADATA, (), json.dumps(fields))
    event = verify(key.sign(draft, os.urandom(32)))
    assert isinstance(event, VerifiedEvent)
    return event
