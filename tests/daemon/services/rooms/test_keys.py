"""The secrets of encrypted rooms: given by one page, to those who are there, and read by nobody on the way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from podium_protocol.keys import SecretKey
from podium_protocol.live.session import Visibility
from podium_storage.table.models import LiveSessionRow
from tests.support.able_engine import AbleEngine
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import Site, reading, site

pytestmark = pytest.mark.asyncio(loop_scope="module")
CIPHERTEXT = "AgAAbcd="


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    async with site(engine=AbleEngine) as running:
        yield running


async def live(here: Site, *people: SecretKey, encrypted: bool = True) -> LiveSessionRow:
    """A session that runs, with end-to-end encryption or without."""
    invited = tuple(person.pubkey for person in people)
    private = Visibility.PRIVATE if encrypted else Visibility.PUBLIC
    row = await here.here.schedule(starts_in=60, e2ee_required=encrypted, visibility=private, invited=invited)
    await here.here.store.sessions.where("lessonId").equals(row.session_address).modify(state="active")
    return await here.here.row(row.session_address)


async def told(page: Page, kind: str) -> Any:
    """The next message of this type."""
    while True:
        message = await reading(page)
        if message["type"] == kind:
            return message


async def give(page: Page, to: str, *, epoch: int = 3) -> None:
    """A page gives a secret to a person."""
    await page.socket.send(json.dumps({"type": "key", "to": to, "epoch": epoch, "ciphertext": CIPHERTEXT}))


async def test_the_instructors_page_hears_who_is_there(here: Site) -> None:
    """It is told when a person comes and when a person goes, with the highest epoch that was given."""
    ada, ben = new_key(), new_key()
    row = await live(here, ada, ben)
    lead = await here.enter(here.here.instructor, row)
    assert await told(lead, "key-holders") == {"type": "key-holders", "people": [], "epoch": -1}
    adas = await here.enter(ada, row)
    assert (await told(lead, "key-holders"))["people"] == [ada.pubkey]
    await give(lead, ada.pubkey, epoch=9)
    bens = await here.enter(ben, row)
    assert await told(lead, "key-holders") == {"type": "key-holders", "people": [ada.pubkey, ben.pubkey], "epoch": 9}
    await adas.socket.close()
    assert (await told(lead, "key-holders"))["people"] == [ben.pubkey]
    assert await told(adas, "key") == {"type": "key", "from": here.here.instructor.pubkey, "ciphertext": CIPHERTEXT}
    await bens.socket.close()


async def test_only_the_page_that_gives_is_passed_on(here: Site) -> None:
    """What a participant, or a second page of the instructor, sends as a key reaches nobody."""
    ada, ben = new_key(), new_key()
    row = await live(here, ada, ben)
    lead = await here.enter(here.here.instructor, row)
    second = await here.enter(here.here.instructor, row, "phone")
    adas, bens = await here.enter(ada, row), await here.enter(ben, row)
    await give(adas, ben.pubkey)
    await give(second, ben.pubkey)
    await give(lead, new_key().pubkey)
    await give(lead, ben.pubkey, epoch=4)
    await told(bens, "key")
    last = {}
    while last.get("people") != [here.here.instructor.pubkey, ada.pubkey, ben.pubkey]:
        last = await told(lead, "key-holders")
    await adas.socket.close()
    after = await told(lead, "key-holders")
    assert (after["people"], after["epoch"]) == ([here.here.instructor.pubkey, ben.pubkey], 4)
    for page in (bens, second, lead):
        await page.socket.close()


async def test_another_page_takes_over(here: Site) -> None:
    """When the page that gives is gone, the instructor's next one is told who is there."""
    ada = new_key()
    row = await live(here, ada)
    lead = await here.enter(here.here.instructor, row)
    await here.enter(ada, row)
    second = await here.enter(here.here.instructor, row, "phone")
    await lead.socket.close()
    assert (await told(second, "key-holders"))["people"] == [ada.pubkey]


async def test_rooms_without_encryption_know_no_keys(here: Site) -> None:
    """In another room nobody is asked for a secret, and what is sent as one is dropped."""
    ada = new_key()
    row = await live(here, encrypted=False)
    lead, adas = await here.enter(here.here.instructor, row), await here.enter(ada, row)
    await give(lead, ada.pubkey)
    await here.here.rooms.notify(row.session_address, "a line")
    for page in (lead, adas):
        seen = []
        while not seen or seen[-1]["type"] != "notice":
            seen.append(await reading(page))
        assert {message["type"] for message in seen} <= {"resume", "welcome", "notice"}
