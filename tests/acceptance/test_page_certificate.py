"""The certificate in a real browser: shown, saved and printed by the participant, checked by anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from podium_protocol.live.certificate import find_certificate
from podium_protocol.nips.nip19 import encode_npub
from podium_storage.table.models import AttendanceRow, LiveSessionRow
from tests.support.page import Kept, KeptHouse, kept_house, kept_session, press, seen
from tests.support.relays import new_key

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

PARTICIPANT, INSTRUCTOR = new_key(), new_key()
ENDED: LiveSessionRow = kept_session(INSTRUCTOR.pubkey, "knots", state="ended", starts_in=-7200)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KeptHouse]:
    """A daemon with a session that one participant completed."""
    at = ENDED.scheduled_at
    attended = AttendanceRow(
        session_address=ENDED.session_address,
        pubkey=PARTICIPANT.pubkey,
        joined_at=at,
        left_at=at + 3000,
        total_duration=3000,
        join_count=1,
        evidence="engine",
        completed_at=at + 1800,
        completed_by="live",
        record_created_at=at + 3000,
        final=True,
    )
    rows = Kept([ENDED], attendance=[attended])
    async with kept_house(tmp_path_factory.mktemp("kept"), rows=rows) as found:
        yield found


async def test_a_participant_shows_saves_and_prints_it(house: KeptHouse, tmp_path: Path) -> None:
    """The picture is shown on the page, and the file that is saved holds the signed record."""
    visitor = await house.person(PARTICIPANT)
    page = await visitor.open(house.url(ENDED))
    await press(page, "Sign in")
    await press(page, "Show my certificate")
    picture = page.get_by_role("img", name="Your certificate of attendance")
    await picture.wait_for()
    assert await picture.evaluate("(picture) => picture.decode().then(() => picture.naturalWidth > 0)")
    async with page.expect_download() as coming:
        await press(page, "Save the file")
    saved = tmp_path / (await coming.value).suggested_filename
    await (await coming.value).save_as(saved)
    assert saved.name == "podium-certificate.svg"
    assert encode_npub(PARTICIPANT.pubkey) in saved.read_text()
    assert not hasattr(find_certificate(saved.read_bytes()), "reason")
    await page.evaluate("window.print = () => { window.printed = document.body.className; }")
    await press(page, "Print or save as PDF")
    assert await page.evaluate("window.printed") == "prints-certificate"
    assert visitor.errors == []
    assert visitor.foreign(house.base) == []


async def test_it_is_one_page_of_paper(house: KeptHouse) -> None:
    """Printed across, the certificate fills one sheet, and nothing else of the page is on it."""
    visitor = await house.person(PARTICIPANT)
    page = await visitor.open(house.url(ENDED))
    await press(page, "Sign in")
    await press(page, "Show my certificate")
    await page.get_by_role("img", name="Your certificate of attendance").wait_for()
    await page.evaluate("document.body.classList.add('prints-certificate')")
    paper = await page.pdf(format="A4", landscape=True)
    assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") == 1


async def test_a_badge_is_asked_for_and_signed(house: KeptHouse) -> None:
    """The participant asks beside the certificate, the instructor signs once for each and once for the definition."""
    visitor, leader = await house.person(PARTICIPANT), await house.person(INSTRUCTOR)
    page = await visitor.open(house.url(ENDED))
    await press(page, "Sign in")
    await press(page, "Show my certificate")
    await press(page, "Ask for a badge")
    await seen(page, "You asked for a badge.")

    desk = await leader.open(house.url(ENDED))
    await press(desk, "Sign in")
    await seen(desk, "Participants who ask for a badge: 1.")
    await press(desk, "Sign the badges")
    await seen(desk, "1 badge is signed. Nobody waits for one.")
    assert [event["kind"] for event in leader.signed] == [27235, 30009, 8]
    await page.reload()
    await press(page, "Show my certificate")
    await seen(page, "You have the badge")
    assert visitor.errors == leader.errors == []


async def test_anybody_checks_it(house: KeptHouse, tmp_path: Path) -> None:
    """A scanned code says at once that it is valid; a file with another name in it is refused."""
    visitor = await house.person(PARTICIPANT)
    page = await visitor.open(house.url(ENDED))
    await press(page, "Sign in")
    await press(page, "Show my certificate")
    source = await page.get_by_role("img", name="Your certificate of attendance").get_attribute("src")
    assert source is not None
    link = source.partition("metadata%3E")[2].partition("%3C")[0]
    stranger = await house.person()
    check = await stranger.open(f"{house.base}/verify#{link.rpartition('%23')[2]}")
    await seen(check, "Valid. This service signed it.")
    await seen(check, ENDED.title)
    await seen(check, encode_npub(PARTICIPANT.pubkey))
    forged = tmp_path / "forged.svg"
    forged.write_text("<svg>/verify#" + link.rpartition("%23")[2][:-8] + "AAAAAAAA</svg>")
    await check.set_input_files("input[type=file]", forged)
    await seen(check, "This is no valid certificate")
    assert not await check.locator(".verdict").is_visible()
    assert stranger.errors == []
