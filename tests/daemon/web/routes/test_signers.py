"""Remote signers over HTTP: what a page opens, sees, asks and closes. The signer is scripted, the server is real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio

from podium_daemon.signers.known_bunkers import KnownBunker
from podium_daemon.signers.page_signer import PageSigner
from podium_daemon.signers.qr import qr_code
from podium_protocol.nips.nip19 import encode_npub
from tests.support.bunker import MemoryTransport, ScriptedBunker
from tests.support.relays import new_key
from tests.support.site import Site, site
from tests.support.soon import soon

pytestmark = pytest.mark.asyncio(loop_scope="module")


class House:
    """A server, and a signer that its connections lead to."""

    def __init__(self, here: Site) -> None:
        self.here = here
        self.bunker = ScriptedBunker()
        self.transport = MemoryTransport(self.bunker)
        here.desk._transport = here.instructor_signers._transport = self.transport

    async def open(self, **wish: object) -> Page:
        """A page opens a connection."""
        answer = await self.here.post("/api/signers", body=wish)
        assert answer.status_code == 200, answer.text
        return Page(self, answer.json())

    def template(self, content: str = "Grüße") -> dict[str, object]:
        """Something to sign."""
        pubkey = self.bunker.user.pubkey
        return {"pubkey": pubkey, "created_at": 1_800_000_000, "kind": 31925, "tags": [["d", "x"]], "content": content}


class Page:
    """The page that opened a connection."""

    def __init__(self, house: House, opened: Mapping[str, Any]) -> None:
        self.house = house
        self.secret = opened["secret"]
        self.view = opened["signer"]
        self.path = f"/api/signers/{self.view['id']}"

    async def call(self, method: str, rest: str = "", body: object = None, **headers: str) -> httpx.Response:
        """One call with the connection's secret."""
        sent = {"Authorization": f"Podium-Signer {self.secret}"} | headers
        return await self.house.here.call(method, self.path + rest, body=body, headers=sent)

    async def until(self, state: str) -> dict[str, Any]:
        """Look until it is so, as the page does."""
        while self.view["state"] != state:
            self.view = (await self.call("GET", f"?seen={self.view['version']}&wait=5")).json()
        return dict(self.view)

    async def paired(self) -> Page:
        """A signer scans the code."""
        while self.view["uri"] is None:
            self.view = (await self.call("GET", f"?seen={self.view['version']}&wait=5")).json()
        self.house.transport.scan(self.view["uri"])
        await self.until("connected")
        return self


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Site]:
    """One server for all tests."""
    async with site() as here:
        yield here


@pytest.fixture
def house(served: Site) -> House:
    """A signer of its own, and nobody has opened a connection in the last minute."""
    served.desk._recent.clear()
    return House(served)


async def test_a_page_opens_asks_and_closes(house: House) -> None:
    """The code is the text's; an event comes back signed, once for each id; after the end there is nothing."""
    page = await house.open()
    while page.view["uri"] is None:
        page.view = (await page.call("GET", f"?seen={page.view['version']}&wait=5")).json()
    assert tuple(page.view["qr"]) == qr_code(page.view["uri"]).rows
    await page.paired()
    user = house.bunker.user.pubkey
    assert (page.view["pubkey"], page.view["npub"], page.view["qr"]) == (user, encode_npub(user), None)
    for _ in range(2):
        asked = await page.call("POST", "/requests", {"id": "one", "event": house.template()})
        assert asked.status_code == 200, asked.text
    page.view = (await page.call("GET")).json()
    (request,) = page.view["requests"]
    assert (request["state"], request["event"]["content"], len(request["event"]["sig"])) == ("signed", "Grüße", 128)
    assert [one.method for one in house.bunker.requests].count("sign_event") == 1
    assert (await page.call("DELETE")).json()["state"] == "over"
    assert (await page.call("GET")).status_code == 404


async def test_a_bunker_url_is_taken(house: House) -> None:
    """No code is shown, and its secret is in no answer."""
    page = await house.open(bunker=house.bunker.url())
    view = await page.until("connected")
    assert view["uri"] is None
    assert house.bunker.secret not in str(view)


@pytest.mark.parametrize("bunker", ["", "bunker://x", "https://x", "bunker://" + "0" * 9000, "nostrconnect://x"])
async def test_what_is_no_bunker_url_is_refused(house: House, bunker: str) -> None:
    """400 or 422, and no connection is made."""
    answer = await house.here.post("/api/signers", body={"bunker": bunker})
    assert answer.status_code in (400, 422)
    assert house.transport.boxes == []


async def test_nobody_else_sees_or_uses_a_connection(house: House) -> None:
    """Without the secret, with another's, or with a signed login: nothing of it is told."""
    page, other = await house.open(), await house.open()
    for header in ("", "Podium-Signer", f"Podium-Signer {other.secret}", "Podium-Signer x", f"Bearer {page.secret}"):
        for method, rest, body in (
            ("GET", "", None),
            ("DELETE", "", None),
            ("POST", "/requests", {"id": "one", "event": house.template()}),
        ):
            answer = await page.call(method, rest, body, Authorization=header)
            assert answer.status_code in (401, 404), (header, answer.text)
            assert page.view["id"] not in answer.text
    assert (await house.here.get(page.path, new_key())).status_code == 401
    assert (await page.call("GET")).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"tags": [[]]}, {"content": "\ud800"}, {"kind": "1"}, {"created_at": 1.5}, {"sig": "x"}, {"tags": [[1]]}],
)
async def test_a_template_that_is_none_is_refused(house: House, change: dict[str, object]) -> None:
    """Nothing of it reaches the signer."""
    page = await (await house.open()).paired()
    answer = await page.call("POST", "/requests", {"id": "one", "event": house.template() | change})
    assert answer.status_code in (400, 422), answer.text
    assert "sign_event" not in [one.method for one in house.bunker.requests]


async def test_what_cannot_be_asked_yet_or_for_others_is_refused(house: House) -> None:
    """Before a signer came, and in another author's name."""
    page = await house.open()
    body = {"id": "one", "event": house.template()}
    assert (await page.call("POST", "/requests", body)).status_code == 409
    await page.paired()
    body["event"] = house.template() | {"pubkey": new_key().pubkey}
    assert (await page.call("POST", "/requests", body)).status_code == 400


async def test_a_minute_has_room_for_so_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 then, with what to do."""
    monkeypatch.setattr("podium_daemon.signers.page_registry.OPENED_A_MINUTE", 12)
    for _ in range(12):
        await house.open()
    answer = await house.here.post("/api/signers", body={})
    assert answer.status_code == 429
    assert answer.json()["next"] == "Try again in a minute."


async def test_a_page_of_another_origin_opens_none(house: House) -> None:
    """Nor does a request that is no JSON."""
    answer = await house.here.call("POST", "/api/signers", body={}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    answer = await house.here.call("POST", "/api/signers", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


async def test_a_stop_ends_the_waiting() -> None:
    """A look that waits is answered when the server stops, and does not hold it up."""
    async with site() as here:
        page = await (await House(here).open()).paired()
        look = asyncio.create_task(page.call("GET", f"?seen={page.view['version']}&wait=25"))
        signer = here.desk.find(page.view["id"], page.secret)
        assert isinstance(signer, PageSigner)
        await soon(lambda: bool(signer._changed._waiters))
        here.stop.set()
        async with asyncio.timeout(60):
            assert (await look).status_code == 200


async def test_an_instructor_sees_and_takes_back_what_they_left(house: House) -> None:
    """Each their own, with a signed login; the key behind it is never shown."""
    client = new_key()
    instructor = house.here.here.instructor
    known = KnownBunker(house.bunker.key.pubkey, instructor.pubkey, ("wss://one.example",), client)
    await house.here.instructor_signers.save_connection(known)
    path = "/api/service/signer"
    seen = await house.here.get(path, instructor)
    assert seen.json() == {"signer": encode_npub(known.signer), "relays": ["wss://one.example"]}
    assert client.expose().hex() not in seen.text
    assert (await house.here.get(path, new_key())).json() == {"signer": None, "relays": []}
    assert (await house.here.get(path)).status_code == 401
    for _ in range(2):
        gone = await house.here.call("DELETE", path, by=instructor)
        assert gone.json() == {"signer": None, "relays": []}
    assert await house.here.instructor_signers.find(instructor.pubkey) is None
