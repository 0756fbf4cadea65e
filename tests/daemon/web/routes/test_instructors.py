"""Who may hold sessions here, over HTTP: added and removed by the service's key, claimed once by the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from podium_daemon.services.sessions.instructor_list import CLAIM_SECONDS, InstructorList
from podium_daemon.services.sessions.instructors import Instructors
from podium_protocol.events import Pubkey
from podium_storage.kept_instructors import KeptInstructors
from tests.support.relays import new_key
from tests.support.site import Site, site

ADA = new_key()


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


def list_of(here: Site) -> InstructorList:
    """The running daemon's."""
    return here.parts.mirror.instructor_list


async def lonely_list(here: Site) -> tuple[InstructorList, Instructors]:
    """A list on the same database, of a service that nobody but itself may use."""

    async def changed() -> None: ...

    async def lookup(_: str) -> Pubkey | None:
        return None

    service = here.here.service.pubkey
    instructors = Instructors(service=service, keys=(), names=(), lookup=lookup, changed=changed, clock=here.here.clock)
    kept = KeptInstructors(here.here.store.database)
    own = InstructorList(instructors, kept, here.here.clock, here.core.random_bytes)
    await own.load()
    return own, instructors


async def test_the_service_adds_and_removes_instructors_at_once(here: Site) -> None:
    """An added person may draft a session in the next call, and a removed one may not any more."""
    wish = {"title": "Knots", "scheduledAt": here.here.now + 7200, "duration": 60}
    assert (await here.post("/api/sessions/draft", ADA, wish)).status_code == 403
    added = await here.post("/api/instructors", here.here.service, {"pubkey": ADA.pubkey})
    assert {each["pubkey"]: each["listedIn"] for each in added.json()["instructors"]}[ADA.pubkey] == "list"
    assert (await here.post("/api/sessions/draft", ADA, wish)).status_code == 200
    removed = await here.post("/api/instructors/remove", here.here.service, {"pubkey": ADA.pubkey})
    assert ADA.pubkey not in [each["pubkey"] for each in removed.json()["instructors"]]
    assert (await here.post("/api/sessions/draft", ADA, wish)).status_code == 403


async def test_nobody_else_changes_the_list(here: Site) -> None:
    """An instructor or a stranger can neither add nor remove; anybody may read it."""
    for path in ("/api/instructors", "/api/instructors/remove"):
        for key in (here.here.instructor, ADA):
            assert (await here.post(path, key, {"pubkey": ADA.pubkey})).status_code == 403
    assert (await here.get("/api/instructors")).status_code == 200


async def test_who_stands_in_the_configuration_is_removed_there(here: Site) -> None:
    """The answer says where the key is listed, and it stays an instructor's."""
    key = here.here.instructor.pubkey
    refused = await here.post("/api/instructors/remove", here.here.service, {"pubkey": key})
    assert refused.status_code == 404
    assert "configuration" in refused.json()["detail"]


async def test_the_list_outlives_a_restart(here: Site) -> None:
    """What was added is read again from the database."""
    assert await list_of(here).add(ADA.pubkey) is None
    _, instructors = await lonely_list(here)
    assert instructors.allows(ADA.pubkey)


async def test_a_claim_is_good_once(here: Site) -> None:
    """The first who has the secret is listed; the second, and a guess, are refused; its text is not in the database."""
    own, instructors = await lonely_list(here)
    secret = await own.new_claim()
    assert secret is not None
    rows = await here.here.store.database.fetch_all("SELECT value FROM meta")
    assert not any(secret in str(value) for (value,) in rows)
    assert await own.claim("x" * 43, ADA.pubkey) is not None
    assert await own.claim(secret, ADA.pubkey) is None
    assert instructors.allows(ADA.pubkey)
    again = await here.post("/api/instructors/claim", new_key(), {"secret": secret})
    assert (again.status_code, again.json()["type"]) == (403, "urn:podium:problem:claim")


async def test_a_claim_ends_after_a_day_and_with_the_next_one(here: Site) -> None:
    """A link in an old log opens nothing."""
    own, _ = await lonely_list(here)
    first = await own.new_claim()
    second = await own.new_claim()
    assert first is not None
    assert second is not None
    assert await own.claim(first, ADA.pubkey) is not None
    await here.here.clock.advance(CLAIM_SECONDS)
    assert await own.claim(second, ADA.pubkey) is not None


async def test_there_is_no_claim_where_somebody_is_listed(here: Site) -> None:
    """A service that has an instructor is not to be had by whoever reads its log."""
    own, _ = await lonely_list(here)
    assert await own.add(ADA.pubkey) is None
    assert await own.new_claim() is None
    assert await list_of(here).new_claim() is None
