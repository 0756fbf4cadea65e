"""What the instructor and co-hosts do on the page, besides starting and ending: in real browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from podium_protocol.addresses import Address
from podium_protocol.nips.nip19 import encode_naddr, encode_npub
from tests.support.page import Here, page_house, press, press_start, seen
from tests.support.relays import new_key

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[Here]:
    """One daemon and one browser for all."""
    async with page_house() as here:
        yield here


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with no page left open afterwards."""
    yield house
    await house.close_pages()


def _row(page: Any, name: str) -> Any:
    """The row of a person, by what is shown of their key."""
    return page.locator(f'podium-named li.person:has(.who[title="{name}"])')


async def test_a_co_host_is_named_and_unnamed_in_the_page(here: Here) -> None:
    """One signature names a co-host, who can start at once and not edit; one takes that back. Invitations are shown."""
    ada, ben = new_key(), new_key()
    session_address = await here.submitted(starts_in=600, visibility="private", invited=[ada.pubkey])
    address = Address.parse(session_address)
    assert address is not None
    url = f"{here.stage.base_url}/s/{encode_naddr(address)}"
    adas, bens = encode_npub(ada.pubkey), encode_npub(ben.pubkey)

    lead = await here.person(here.instructor)
    desk = await lead.open(url)
    await press(desk, "Sign in")
    await _row(desk, adas).get_by_text("invited · invitation:").wait_for()
    before = len(lead.signed)
    await desk.get_by_label("Name people").fill(bens)
    await press(desk, "Name as co-host")
    await _row(desk, bens).get_by_text("co-host ·").wait_for()
    assert len(lead.signed) == before + 1

    page = await (await here.person(ben)).open(url)
    await press(page, "Sign in")
    await page.get_by_role("button", name="Start now").wait_for()
    for name in ("Edit or move", "Cancel …", "Name as co-host", "No longer co-host"):
        assert not await page.get_by_role("button", name=name).is_visible(), name

    await _row(desk, bens).get_by_role("button", name="No longer co-host").click()
    await _row(desk, bens).get_by_text("invited ·").wait_for()
    assert len(lead.signed) == before + 2
    await page.get_by_role("button", name="Start now").wait_for(state="hidden")

    await _row(desk, bens).get_by_role("button", name="Make co-host").click()
    await press_start(page)
    await page.get_by_role("button", name="End now").wait_for()
    await desk.get_by_role("button", name="End now").wait_for()


async def test_a_locked_room_keeps_people_out_until_it_is_opened(here: Here) -> None:
    """All in the room see the lock; who confirmed waits and is told why; who is in stays, over a reload too."""
    url, ada, ben = await here.scheduled(), new_key(), new_key()
    desk = await (await here.person(here.instructor)).open(url)
    await press(desk, "Sign in")
    await press_start(desk)
    adas = await (await here.person(ada)).open(url)
    await press(adas, "Join")
    await press(adas, "Join with one signature")
    await seen(adas, "You are in the room.")
    await press(desk, "Lock the room")
    await seen(desk, "The room is locked: nobody else comes in")
    await seen(adas, "Room locked")

    bens = await (await here.person(ben)).open(url)
    await press(bens, "Confirm")
    await press(bens, "Join")
    await press(bens, "Join with one signature")
    await seen(bens, "The room is locked; you will be let in when it is opened again.")
    await seen(desk, "waits: the room is locked")
    assert not await desk.get_by_role("button", name="Let in: ").is_visible()
    await adas.reload()
    await seen(adas, "You are in the room.")
    await desk.get_by_role("button", name="Lock the room").click()
    await seen(bens, "You are in the room.")
    await adas.get_by_text("Room locked").wait_for(state="hidden")


async def test_attendance_is_recorded_by_hand_with_a_note(here: Here) -> None:
    """A person whom no program saw stands in the list, and the note in the file of the intervals; nothing is signed."""
    url, ada = await here.scheduled(), new_key()
    lead = await here.person(here.instructor)
    desk = await lead.open(url)
    await press(desk, "Sign in")
    await press_start(desk)
    await desk.get_by_role("button", name="End now").wait_for()
    before = len(lead.signed)
    form = desk.locator("podium-by-hand")
    await form.get_by_text("Record attendance by hand").click()
    await form.get_by_label("Person").fill(encode_npub(ada.pubkey))
    await form.get_by_label("Note").fill("by phone")
    came = await form.get_by_label("Came at").input_value()
    left = await form.get_by_label("Left at").input_value()
    await form.get_by_label("Left at").fill(came)
    await form.get_by_role("button", name="Enter").click()
    await seen(desk, "The person leaves after they came")
    await form.get_by_label("Left at").fill(left)
    await form.get_by_role("button", name="Enter").click()
    await desk.locator(f'podium-answers tr:has([title="{encode_npub(ada.pubkey)}"])').wait_for()
    assert len(lead.signed) == before
    async with desk.expect_download() as waits:
        await press(desk, "Download intervals (CSV)")
    assert "by phone" in (await (await waits.value).path()).read_text()
