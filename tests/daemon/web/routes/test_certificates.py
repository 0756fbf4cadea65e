"""Certificates over HTTP: the caller's own, and the check of any."""

from __future__ import annotations

import msgspec

from podium_protocol.events import SignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live.certificate import find_certificate, link_to
from podium_storage.table.models import LiveSessionRow, WatchRow
from tests.protocol.live.test_certificate import issued
from tests.support.private import scheduled
from tests.support.relays import new_key
from tests.support.site import Site, site
from tests.support.world import Room


async def attended(here: Site, minutes: int) -> tuple[LiveSessionRow, SecretKey]:
    """A session in which one participant was for some minutes."""
    world = here.here
    row = await world.schedule(starts_in=1200, minutes=90)
    participant = await world.person()
    await world.advance(1200)
    room = Room(world, row)
    seat = await room.sit(participant)
    for _ in range(minutes):
        await world.clock.advance(60)
        seat.beat()
        await world.turn()
    await room.leave(seat)
    await world.turn()
    return await world.row(row.session_address), participant


async def test_who_completed_a_session_gets_a_signed_certificate() -> None:
    """It is signed by the service, says the minutes and the session, and is the same each time."""
    async with site() as here:
        row, participant = await attended(here, 46)
        first = (await here.get(here.path_of(row, "certificate"), participant)).json()["certificate"]
        event = verify(msgspec.convert(first["event"], SignedEvent))
        assert isinstance(event, VerifiedEvent)
        assert event.pubkey == here.here.service.pubkey
        assert (first["participant"], first["lessonId"], first["minutes"]) == (
            participant.pubkey,
            row.session_address,
            46,
        )
        assert (first["completedBy"], first["assurance"], first["serviceName"]) == ("live", "signature", "Podium")
        assert find_certificate(first["link"].encode()) == event
        again = (await here.get(here.path_of(row, "certificate"), participant)).json()["certificate"]
        assert again["event"]["id"] == first["event"]["id"]


async def test_a_certificate_is_not_published() -> None:
    """What the service signs with a name in it is given to the participant, and to no relay."""
    async with site() as here:
        row, participant = await attended(here, 46)
        before = len(here.here.published(31953))
        await here.get(here.path_of(row, "certificate"), participant)
        await here.here.deliver()
        assert len(here.here.published(31953)) == before


async def test_who_did_not_complete_it_gets_none() -> None:
    """Ten minutes are not enough; neither is another participant's attendance, nor no login."""
    async with site() as here:
        row, participant = await attended(here, 10)
        for key in (participant, new_key()):
            answer = await here.get(here.path_of(row, "certificate"), key)
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:podium:problem:not-completed")
        assert (await here.get(here.path_of(row, "certificate"))).status_code == 401


async def test_who_watched_the_recording_gets_one_that_says_so() -> None:
    """A completion by the recording has no minutes in the room."""
    async with site() as here:
        row = await here.here.schedule(starts_in=1200)
        watcher = new_key()
        watched = WatchRow(
            session_address=row.session_address,
            pubkey=watcher.pubkey,
            sha256="a" * 64,
            updated_at=1,
            completed_at=here.here.now,
        )
        await here.here.store.watches.put(watched)
        found = (await here.get(here.path_of(row, "certificate"), watcher)).json()["certificate"]
        assert (found["completedBy"], found["minutes"]) == ("recording", 0)


async def test_the_picture_is_a_certificate() -> None:
    """The SVG is in the language asked for, holds the signed record, and is checked as valid and ours."""
    async with site() as here:
        row, participant = await attended(here, 46)
        answer = await here.get(here.path_of(row, "certificate") + "?language=de", participant)
        picture = answer.json()["picture"]
        assert "Teilnahmebescheinigung" in picture
        checked = (await here.post("/api/certificates/check", None, {"content": picture})).json()
        assert (checked["isValid"], checked["isOurs"]) == (True, True)
        assert checked["certificate"]["participant"] == participant.pubkey


async def test_another_services_certificate_is_valid_and_not_ours() -> None:
    """A good signature by another key is told apart from this service's."""
    async with site() as here:
        link = link_to(issued(), public_url="https://school.example")
        checked = (await here.post("/api/certificates/check", None, {"content": link})).json()
        assert (checked["isValid"], checked["isOurs"], checked["certificate"]["name"]) == (True, False, "Ana")


async def test_a_forgery_is_told() -> None:
    """A changed name, and a text that is none, are invalid with a reason."""
    async with site() as here:
        for content in (issued().to_json().decode().replace("Ana", "Eve"), "hello", ""):
            checked = (await here.post("/api/certificates/check", None, {"content": content})).json()
            assert not checked["isValid"]
            assert checked["reason"]
            assert checked["certificate"] is None


async def test_a_private_sessions_certificate_is_for_its_people() -> None:
    """A stranger to a private session learns nothing of it by asking for a certificate."""
    async with site() as here:
        row = await scheduled(here.here)
        answer = await here.get(here.path_of(row, "certificate"), new_key())
        assert answer.status_code == 404
