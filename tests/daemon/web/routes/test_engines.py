"""A meeting on another server, through the daemon's own door: proof, socket, click, webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio

from podium_daemon.conference.engines.bigbluebutton.engine import BigBlueButtonEngine
from podium_daemon.conference.engines.bigbluebutton.settings import WEBHOOK, BigBlueButtonSettings
from podium_daemon.conference.engines.bigbluebutton.signing import meeting_of
from podium_daemon.conference.events import RoomId
from podium_daemon.conference.shared_secret import SharedSecret
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_protocol.live.names import short_npub
from podium_protocol.nips.nip19 import encode_npub
from podium_storage.table.models import LiveSessionRow
from tests.support.conference import seeded_bytes
from tests.support.fake_bigbluebutton import FakeBigBlueButton
from tests.support.http_stage import http_stage
from tests.support.seat_server import Page
from tests.support.site import WITHIN, Site, site
from tests.support.world import new_key, signed, world

SECRET = "Nc3GahVNwGmcKmtl2AoPJY0sHTMbLEMZ"
PUBLIC = "https://podium.example.org"
one_loop = pytest.mark.asyncio(loop_scope="module")


class School:
    """A daemon whose rooms are on a played BigBlueButton."""

    def __init__(self, here: Site, server: FakeBigBlueButton) -> None:
        self.here = here
        self.server = server

    async def tell(self, checksum: str, body: bytes) -> httpx.Response:
        """A webhook, as bbb-webhooks sends it."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.here.call("POST", f"{WEBHOOK}?checksum={checksum}", content=body, headers=kind)

    async def session(self) -> LiveSessionRow:
        """A session that anybody may enter now."""
        world = self.here.here
        row = await world.schedule(starts_in=300)
        await world.lifecycle.start(row.session_address, world.instructor.pubkey)
        return await world.row(row.session_address)


async def read_until(page: Page, kind: str) -> dict[str, object]:
    """The first message of a kind."""
    async with asyncio.timeout(WITHIN):
        while (message := await page.read())["type"] != kind:
            pass
    return message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def school() -> AsyncIterator[School]:
    """One for all."""
    async with world() as here:
        server = FakeBigBlueButton(SECRET, here.clock.now)
        async with http_stage(server.answer) as place:
            settings = BigBlueButtonSettings(
                url=f"http://{place}/bigbluebutton/", secret=SharedSecret(SECRET), public_url=PUBLIC
            )
            engine = BigBlueButtonEngine(settings, clock=here.clock, random_bytes=seeded_bytes())
            here.join(engine)
            async with site(here) as running:
                yield School(running, server)
            await engine._api.aclose()


@one_loop
async def test_from_the_proof_to_the_meeting_and_into_the_attendance(school: School) -> None:
    """A signed proof takes a seat, the seat's address is answered with a signed one, the webhook makes a presence."""
    row, somebody = await school.session(), new_key()
    page = await school.here.knock(somebody, row)
    welcome = await read_until(page, "welcome")
    told: list[int] = []

    async def deliver(checksum: str, body: bytes) -> None:
        told.append((await school.tell(checksum, body)).status_code)

    school.server.deliver = deliver
    path = urlsplit(str(welcome["meetingUrl"])).path
    answer = await school.here.get(path)
    assert answer.status_code == 303
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert (await school.here.client.get(answer.headers["Location"])).status_code == 302
    assert told == [204]
    assert (await read_until(page, "meeting"))["meetingUrl"] != welcome["meetingUrl"]
    shown = (await school.here.get(school.here.path_of(row, "room"), school.here.here.instructor)).json()
    assert [(one["pubkey"], one["state"]) for one in shown["people"]] == [(somebody.pubkey, "present")]
    again = await school.here.get(path)
    assert again.status_code == 410
    assert again.json()["type"] == "urn:podium:problem:entrance-used"


@one_loop
async def test_people_have_their_names_in_the_meeting(school: School) -> None:
    """The profile's name, else that given at the door; who comes later under the same one gets the end of their key."""
    row, ada, twin, nameless, named = await school.session(), new_key(), new_key(), new_key(), new_key()
    world = school.here.here
    profiles = [
        signed(key, UnsignedEvent(key.pubkey, world.now, kinds.METADATA, (), '{"name": "Ada\u202e"}'))
        for key in (ada, twin)
    ]
    await world.mirror.ingest(profiles, received_at=world.now)
    names: list[str] = []
    for key in (ada, twin, nameless, named):
        given = ["Cleo"] if key is named else []
        page = await school.here.present(row, await school.here.join_as(key, row, *given))
        path = urlsplit(str((await read_until(page, "welcome"))["meetingUrl"])).path
        address = (await school.here.get(path)).headers["Location"]
        names += parse_qs(urlsplit(address).query)["fullName"]
    assert names == ["Ada", f"Ada (\u2026{encode_npub(twin.pubkey)[-6:]})", short_npub(nameless.pubkey), "Cleo"]


@one_loop
async def test_a_webhook_of_nobody_is_refused(school: School) -> None:
    """Without the server's signature, with two of them, or for another engine, nothing is taken."""
    row = await school.session()
    room = meeting_of(RoomId(row.conference_room_id or ""))
    checksum, body = school.server.webhook(PUBLIC + WEBHOOK, [school.server.event("meeting-ended", room)])
    assert (await school.tell(checksum, body)).status_code == 204
    assert (await school.tell("0" * 64, body)).status_code == 403
    assert (await school.tell(f"{checksum}&checksum={checksum}", body)).status_code == 403
    assert (await school.tell("", body)).status_code == 403
    other = await school.here.call("POST", f"/api/conference/webhook/livekit?checksum={checksum}", content=body)
    assert other.status_code == 404
    signed_nonsense, nonsense = school.server.webhook(PUBLIC + WEBHOOK, "x")
    assert (await school.tell(signed_nonsense, nonsense)).status_code == 400


@one_loop
async def test_a_server_that_is_away_is_said_at_the_click(school: School) -> None:
    """A participant who clicks while the server is down is told to try again, and the socket has the next address."""
    row = await school.session()
    page = await school.here.knock(new_key(), row)
    welcome = await read_until(page, "welcome")
    good, school.server.secret = school.server.secret, "changed on the other side"
    answer = await school.here.get(urlsplit(str(welcome["meetingUrl"])).path)
    school.server.secret = good
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:podium:problem:engine")
    following = await read_until(page, "meeting")
    assert (await school.here.get(urlsplit(str(following["meetingUrl"])).path)).status_code == 303


async def test_an_engine_without_a_server_has_neither() -> None:
    """With the link engine these addresses lead nowhere."""
    async with site() as here:
        answers = await asyncio.gather(
            here.get("/api/conference/enter/x"), here.post("/api/conference/webhook/bigbluebutton")
        )
        assert [answer.status_code for answer in answers] == [404, 404]
