"""Recording on the page: consent taken back and given in the room, and a recording that is watched for credit."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from podium_protocol.keys import SecretKey
from podium_protocol.live.recording import DEFAULT_POLICY, policies_for, policy_words
from podium_storage.table.models import WatchRow
from tests.support.browsers import Visitor, chromium, visit
from tests.support.page import open_tab, press, seen
from tests.support.recording import Studio, studio
from tests.support.site import Site, site
from tests.support.until import until
from tests.support.world import new_key

pytestmark = pytest.mark.real_peer

_AUTOPLAY = "--autoplay-policy=no-user-gesture-required"


@asynccontextmanager
async def stage(**fields: object) -> AsyncIterator[tuple[Site, Studio, Any]]:
    """A live session that may be recorded, its server, and a browser."""
    async with (
        studio(now=time.time(), **fields) as recording,
        site(recording.here) as here,
        chromium(_AUTOPLAY) as browser,
    ):
        yield here, recording, browser


def consents(visitor: Visitor) -> list[list[str]]:
    """The answers about the recording that a person has signed, with the hashes of what they answered."""
    tags = [tag for event in visitor.signed for tag in event["tags"]]
    return [tag[1:] for tag in tags if tag[0] == "recording_consent"]


async def watched(recording: Studio, key: SecretKey) -> WatchRow | None:
    """What a person has seen."""
    return await recording.here.store.watches.where("pubkey").equals(key.pubkey).first()


async def shown(here: Site, recording: Studio) -> str:
    """Make a recording of three seconds, served under this server's own address; the session's page."""
    recording.engine.cameras = {here.here.instructor.pubkey}
    row = await recording.recorded(3, here.here.instructor)
    url = f"{here.base}/recordings/{row.sha256}.webm"
    await here.here.store.recordings.put(msgspec.structs.replace(row, url=url))
    session = await recording.session()
    await here.here.store.sessions.put(msgspec.structs.replace(session, recording_url=url))
    return f"{here.base}/s/{here.views.naddr(session)}"


async def test_watching_it_all_completes_the_session() -> None:
    """One signature; a jump to the end counts the end alone; what is played in the end completes it, and is told."""
    async with stage() as (here, recording, browser):
        key = new_key()
        url = await shown(here, recording)
        visitor = await visit(browser, key)
        page = await visitor.open(url)
        video = page.locator("podium-recording video")
        await video.wait_for(state="visible")
        await press(page, "Count what I watch")
        await seen(page, "0 % watched; missing 0:00 to 0:03.")
        await recording.here.clock.advance(30)

        await video.evaluate("video => { video.muted = true; video.currentTime = 1.6; return video.play(); }")

        async def end_was_seen() -> bool:
            row = await watched(recording, key)
            return row is not None and row.watched > 0

        await until(end_was_seen, "the end of it was reported")
        row = await watched(recording, key)
        assert row is not None
        assert row.watched < 1800
        assert row.completed_at is None
        await video.evaluate("video => { video.currentTime = 0; return video.play(); }")
        await seen(page, "You completed this session by its recording.")
        assert [event["kind"] for event in visitor.signed] == [27235], "one signature for all of it"
        assert visitor.foreign(here.base) == []
        assert visitor.errors == []


async def test_it_counts_by_itself_for_a_person_who_is_signed_in() -> None:
    """Without a press; the bar has the part that was seen and words name the missing one, also after a reload."""
    async with stage() as (here, recording, browser):
        key = new_key()
        url = await shown(here, recording)
        visitor = await visit(browser, key)
        page = await visitor.open(url)
        await press(page, "Sign in")
        await seen(page, "0 % watched; missing 0:00 to 0:03.")
        assert not await page.get_by_role("button", name="Count what I watch").is_visible()
        await recording.here.clock.advance(30)
        video = page.locator("podium-recording video")
        await video.evaluate("video => { video.muted = true; video.currentTime = 1.6; return video.play(); }")
        words = re.compile(r"^[345]\d % watched; missing 0:00 to 0:01\.$")
        await seen(page, words)
        for _ in range(2):
            bar = page.locator("podium-player").get_by_role("img", name=words)
            await bar.wait_for(state="visible")
            # a locator of several is refused: there is one part
            whole, part = await bar.bounding_box(), await bar.locator("span").bounding_box()
            assert part["x"] - whole["x"] > whole["width"] * 0.45
            assert part["width"] > whole["width"] * 0.3
            await page.reload()
        assert [event["kind"] for event in visitor.signed] == [27235], "one signature: the login"
        assert visitor.errors == []


async def test_those_who_took_part_see_how_many_were_recorded() -> None:
    """The instructor is told the numbers of people and consents once they are signed in; a stranger never is."""
    async with stage() as (here, recording, browser):
        url = await shown(here, recording)
        lead = await (await visit(browser, here.here.instructor)).open(url)
        await seen(lead, "The recording is available.")
        numbers = "People recorded: 1. Consents kept: 1."
        assert not await lead.get_by_text(numbers).is_visible()
        await press(lead, "Sign in")
        await seen(lead, numbers)
        stranger = await (await visit(browser, new_key())).open(url)
        await press(stranger, "Sign in")
        await seen(stranger, "0 % watched; missing 0:00 to 0:03.")
        assert not await stranger.get_by_text("People recorded").is_visible()


async def test_signing_out_empties_the_player_of_a_private_recording() -> None:
    """A recording for participants that plays stops at "Sign out": the player holds nothing of it any more."""
    async with stage(recording_access=None) as (here, recording, browser):
        url = await shown(here, recording)
        visitor = await visit(browser, here.here.instructor)
        page = await visitor.open(url)
        await press(page, "Sign in")
        video = page.locator("podium-recording video")
        await video.wait_for(state="visible")
        await video.evaluate("video => { video.muted = true; video.loop = true; return video.play(); }")
        await press(page, "Sign out")
        await video.wait_for(state="hidden")
        left = await video.evaluate(
            "video => [video.getAttribute('src'), video.paused, video.readyState, video.buffered.length]"
        )
        assert left == [None, True, 0, 0]
        assert visitor.errors == []


async def test_a_consent_is_taken_back_and_given_in_the_room() -> None:
    """In German: what is shown is what is signed; one press pauses the recording, two others agree again."""
    async with stage() as (here, recording, browser):
        policies = policy_words(DEFAULT_POLICY)
        rooms, recorder = here.here.rooms, here.here.recorder
        rooms.settings = msgspec.structs.replace(rooms.settings, recording_policies=policies)
        recorder.settings = msgspec.structs.replace(recorder.settings, policies=policies)
        session = await recording.session()
        policy = policies_for(session, policies)["de"]
        policy_hash = hashlib.sha256(policy.encode()).hexdigest()
        visitor = await visit(browser, new_key(), locale="de-DE")
        page = await visitor.open(f"{here.base}/s/{here.views.naddr(session)}")
        await press(page, "Teilnehmen")
        await seen(page, policy)
        await page.get_by_label("Ja, ich darf aufgezeichnet werden").check()
        await press(page, "Mit einer Unterschrift teilnehmen")
        await open_tab(page, "Optionen")
        await seen(page, "Diese Veranstaltung wird gerade nicht aufgezeichnet.")
        assert consents(visitor) == [["yes", policy_hash]]
        answers = page.locator("podium-consent .buttons button:visible")
        assert await answers.all_inner_texts() == ["Mich nicht mehr aufzeichnen"]
        assert await recording.record() is None
        await seen(page, "Diese Veranstaltung wird aufgezeichnet.")
        await press(page, "Mich nicht mehr aufzeichnen")
        await seen(page, "Diese Veranstaltung wird gerade nicht aufgezeichnet.")
        assert ("stop", ()) in recording.engine.calls
        assert await recording.record() is not None
        assert await answers.all_inner_texts() == ["Der Aufzeichnung zustimmen"]
        await press(page, "Der Aufzeichnung zustimmen")
        await page.locator("podium-consent p[dir=auto]", has_text=policy).wait_for(state="visible")
        await press(page, "Der Aufzeichnung zustimmen")

        async def agreed() -> bool:
            return await recording.record() is None

        await until(agreed, "the recording goes on")
        await seen(page, "Diese Veranstaltung wird aufgezeichnet.")
        assert [given for given, _ in consents(visitor)] == ["yes", "no", "yes"]
        assert consents(visitor)[-1][1] == policy_hash
        assert visitor.errors == []
