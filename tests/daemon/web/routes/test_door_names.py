"""Names that people with a key give at the door of a session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.names import short_npub
from podium_protocol.live.session import GuestPolicy
from podium_storage.table.models import LiveSessionRow
from tests.daemon.web.routes.test_guests import slug
from tests.support.relays import new_key
from tests.support.site import Site, site, welcomed


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


async def profile(here: Site, key: SecretKey, name: str) -> None:
    """The person publishes a kind 0."""
    content = json.dumps({"name": name})
    await here.here.publish(key, UnsignedEvent(key.pubkey, here.here.now, kinds.METADATA, (), content))


async def called(here: Site, row: LiveSessionRow, key: SecretKey) -> str:
    """What the person's own page is told that they are called."""
    names = await here.views.people.names_of(await here.here.row(row.session_address), [key.pubkey])
    return names[key.pubkey]


async def test_who_has_no_name_is_called_as_they_said(here: Site) -> None:
    """In the room's list, in the names that pages ask for, and in the list of answers; until a kind 0 is known."""
    row, ada = await here.here.schedule(starts_in=60), new_key()
    await here.here.advance(60)
    await welcomed(await here.present(row, await here.join_as(ada, row, "  Ada\u202e of\nB ")))
    await here.here.turn()
    led = here.here.instructor
    (person,) = (await here.get(here.path_of(row, "room"), led)).json()["people"]
    assert person["name"] == "Ada of B"
    answer = await here.post(here.path_of(row, "names"), led, {"pubkeys": [ada.pubkey]})
    assert answer.json() == {"names": {ada.pubkey: "Ada of B"}}
    await here.here.answer(ada, row)
    (rsvp,) = (await here.get(here.path_of(row, "rsvps"), led)).json()["rsvps"]
    assert rsvp["name"] == "Ada of B"
    here.parts.mirror.profiles._participants.clear()  # what the service does when a profile has come
    await profile(here, ada, "Ada L.")
    assert await called(here, row, ada) == "Ada L."


async def test_it_is_a_name_of_one_session(here: Site) -> None:
    """In another session it is not known, and may be another person's; a join that says none keeps it."""
    row, other, ada = await here.here.schedule(starts_in=60), await here.here.schedule(starts_in=60), new_key()
    assert (await here.join_as(ada, row, "Ada")).status_code == 200
    assert (await here.join(ada, other)).status_code == 200
    assert await called(here, other, ada) == short_npub(ada.pubkey)
    assert (await here.join_as(new_key(), other, "Ada")).status_code == 200
    assert (await here.join(ada, row)).status_code == 200
    assert await called(here, row, ada) == "Ada"
    assert (await here.join_as(ada, row, "ADA")).status_code == 200, "their own name is not taken"
    assert await called(here, row, ada) == "ADA"


@pytest.mark.parametrize("name", ["", " \u200b", "x" * 41, "\x07\u202e", "npub1xyz"])
async def test_a_name_has_1_to_40_characters(here: Site, name: str) -> None:
    """What is no name is refused in words, and nothing of the join is kept."""
    row, ada = await here.here.schedule(starts_in=60), new_key()
    refused = await here.join_as(ada, row, name)
    assert (refused.status_code, slug(refused)) == (400, "bad-name")
    assert await here.here.store.members.where("lessonId").equals(row.session_address).count() == 0


async def test_nobody_takes_the_name_of_another(here: Site) -> None:
    """One of a profile, of a guest or given at the door, whether its person answered or came; nor does a guest."""
    row = await here.here.schedule(starts_in=60, guests=GuestPolicy.ANYONE)
    ada, ben, eve = new_key(), new_key(), new_key()
    await profile(here, ada, "Ada")
    await profile(here, here.here.instructor, "Dr. Lead")
    await here.here.answer(ada, row)
    assert (await here.join_as(ben, row, "Ben")).status_code == 200
    assert (await here.post(here.path_of(row, "guest"), None, {"name": "Cleo"})).status_code == 200
    for name in ("ADA", "dr. lead", "B\u200ben", "cleo", "Ben (…abcdef)"):
        refused = await here.join_as(eve, row, name)
        assert (refused.status_code, slug(refused)) == (409, "name-taken"), name
    assert slug(await here.post(here.path_of(row, "guest"), None, {"name": "ben"})) == "name-taken"
    assert (await here.join_as(eve, row, "Eve")).status_code == 200


async def test_a_guest_takes_no_name_out_of_a_profile(here: Site) -> None:
    """The names that participants have by their kind 0 are theirs, before they come to the door too."""
    row, ada = await here.here.schedule(starts_in=60, guests=GuestPolicy.ANYONE), new_key()
    await profile(here, ada, "Ada")
    await here.here.answer(ada, row)
    path, led = here.path_of(row, "guests"), here.here.instructor
    assert slug(await here.post(here.path_of(row, "guest"), None, {"name": "ADA"})) == "name-taken"
    assert slug(await here.post(path, led, {"names": ["Ben", "ada"]})) == "name-taken"


async def test_of_two_equal_names_at_one_moment_one_is_kept(here: Site) -> None:
    """People at the door and a guest say the same name at once; the check and the keeping are one step."""
    row = await here.here.schedule(starts_in=60, guests=GuestPolicy.ANYONE)
    joins = [here.join_as(new_key(), row, name) for name in ("Ana", "ANA", "\uff21na")]
    comes = here.post(here.path_of(row, "guest"), None, {"name": "ana"})
    answers = await asyncio.gather(*joins, comes)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_a_name_is_asked_for_before_it_is_signed(here: Site) -> None:
    """What the join would refuse is refused unsigned, one's own name is not taken, and nothing is kept."""
    row, ada, ben = await here.here.schedule(starts_in=60), new_key(), new_key()
    path = here.path_of(row, "join", "name")
    assert (await here.join_as(ada, row, "Ada")).status_code == 200
    for _ in range(2):
        assert (await here.post(path, None, {"name": "Ben"})).json() == {"isFree": True}
    assert slug(await here.post(path, None, {"name": "ADA"})) == "name-taken"
    assert slug(await here.post(path, None, {"name": "ADA", "pubkey": ben.pubkey})) == "name-taken"
    assert slug(await here.post(path, None, {"name": "npub1xyz"})) == "bad-name"
    assert (await here.post(path, None, {"name": "ADA", "pubkey": ada.pubkey})).status_code == 200
    assert (await here.post(path, ada, {"name": "ada"})).status_code == 200


async def test_a_profile_wins(here: Site) -> None:
    """Of a person who has a kind 0 no other name is kept, so that none is refused either."""
    row, ada = await here.here.schedule(starts_in=60), new_key()
    await profile(here, ada, "Ada")
    await here.join_as(new_key(), row, "Ben")
    assert (await here.join_as(ada, row, "Ben")).status_code == 200
    assert await called(here, row, ada) == "Ada"


async def test_a_name_stands_under_the_signature(here: Site) -> None:
    """Two names in one proof are none."""
    row, ada = await here.here.schedule(starts_in=60), new_key()
    refused = await here.join_as(ada, row, "Ada", "Eve")
    assert (refused.status_code, slug(refused)) == (401, "bad-proof")
