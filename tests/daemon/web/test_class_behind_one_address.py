"""A class behind one network address that comes in the same minute: none of them is refused anything on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import httpx
import pytest
from websockets.asyncio.client import connect

from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip98
from podium_storage.table.models import LiveSessionRow
from tests.daemon.web.routes.test_signers import House
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import Site, site, welcomed
from tests.support.world import signed

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

A_CLASS: Final = 60
FOLLOWED: Final = 7  # sessions in the page of each
NAT: Final = "203.0.113.9"
SCANNING: Final = asyncio.Lock()


class Participant:
    """A person at a page, with a remote signer, behind the class's address."""

    def __init__(self, house: House, rows: Sequence[LiveSessionRow], address: str = NAT) -> None:
        self._house, self._here = house, house.here
        self._rows = rows
        self._from = {"X-Forwarded-For": address}
        self.key: SecretKey = new_key()
        self.calls = 0  # that may write something

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """One call, which must be answered as it was meant."""
        self.calls += method != "GET"
        answer = await self._here.call(method, path, body=body, headers=self._from | headers)
        assert answer.status_code == 200, (method, path, answer.text)
        return answer.json() if answer.headers["content-type"].startswith("application/json") else None

    def proof(self, method: str, path: str) -> dict[str, str]:
        """The header of a call that the person signed."""
        return {"Authorization": nip98.write_header(self._here.login(self.key, method, path))}

    async def open_page(self, stack: AsyncExitStack) -> None:
        """The page with its files, and the stream of all sessions that it follows."""
        for path in ("/", "/page/main.js", "/api/sessions", self._here.path_of(self._rows[0])):
            await self._here.call("GET", path, headers=self._from)
        login = await self.call("POST", "/api/login", **self.proof("POST", "/api/login"))
        names = "&".join(f"session={self._here.views.naddr(row)}" for row in self._rows)
        headers = self._from | {"Authorization": f"Bearer {login['token']}"}
        stream = self._here.client.stream("GET", f"{self._here.base}/api/stream?{names}", headers=headers)
        answer = await stack.enter_async_context(stream)
        assert answer.status_code == 200
        stack.push_async_callback(answer.aclose)

    async def connect_signer(self) -> None:
        """The remote signer, which signs two events: the answer and the join."""
        async with SCANNING:  # the signer of the tests answers at the newest mailbox
            opened = await self.call("POST", "/api/signers", {})
            path, view = f"/api/signers/{opened['signer']['id']}", opened["signer"]
            secret = {"Authorization": f"Podium-Signer {opened['secret']}"}
            while view["uri"] is None:
                view = await self.call("GET", f"{path}?seen={view['version']}&wait=5", **secret)
            self._house.transport.scan(view["uri"])
        while view["state"] != "connected":
            view = await self.call("GET", f"{path}?seen={view['version']}&wait=5", **secret)
        for name in ("answer", "join"):
            await self.call("POST", f"{path}/requests", {"id": name, "event": self._house.template()}, **secret)

    async def answer(self) -> None:
        """An RSVP to the first session."""
        draft = await self.call(
            "POST",
            self._here.path_of(self._rows[0], "rsvp", "draft"),
            {"status": "confirmed", "pubkey": self.key.pubkey},
        )
        event = self._here.sign(self.key, draft["events"][0])
        await self.call("POST", "/api/events", {"events": [event]})

    async def join(self) -> Page:
        """The room: its name asked for, a challenge, a proof, a seat."""
        row, room = self._rows[0], self._here.path_of(self._rows[0], "room")
        await self.call("POST", self._here.path_of(row, "join", "name"), {"name": f"Ana {self.key.pubkey[:8]}"})
        challenge = await self.call("POST", self._here.path_of(row, "join", "challenge"))
        proof = signed(self.key, self._here.proof(self.key, row, "laptop", challenge))
        join = self._here.path_of(row, "join")
        ticket = await self.call("POST", join, Authorization=nip98.write_header(proof))
        url = f"ws://127.0.0.1:{self._here.port}{room}"
        page = Page(await connect(url, proxy=None, ping_interval=None, additional_headers=self._from, open_timeout=60))
        await page.socket.send(json.dumps({"type": "hello", "token": ticket["token"]}))
        await welcomed(page)
        return page


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        running.client = httpx.AsyncClient(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=None))
        async with running.client:
            yield running


async def live_session(here: Site) -> LiveSessionRow:
    """A session whose room is open to all."""
    row = await here.here.schedule(starts_in=600)
    await here.here.lifecycle.start(row.session_address, here.here.instructor.pubkey)
    return await here.here.row(row.session_address)


async def test_a_class_behind_one_address_gets_all_the_way_into_the_room(here: Site) -> None:
    """Sixty people in one minute: page, stream of seven sessions, remote signer, answer, room; nobody is refused.

    The clock stands still meanwhile, so no allowance runs in. Of ten times as much from that address the rest is
    refused, and others are answered.
    """
    rows = [await live_session(here), *[await here.here.schedule() for _ in range(FOLLOWED - 1)]]
    house = House(here)
    people = [Participant(house, rows) for _ in range(A_CLASS)]
    async with AsyncExitStack() as stack:

        async def come(person: Participant) -> Page:
            await person.open_page(stack)
            await person.connect_signer()
            await person.answer()
            return await person.join()

        pages = await asyncio.gather(*map(come, people))
        for page in pages:
            stack.push_async_callback(page.socket.wait_closed)
            stack.callback(page.socket.transport.abort)
        shown = await here.get(here.path_of(rows[0], "room"), here.here.instructor)
        assert shown.json()["participantCount"] == A_CLASS
        assert (await here.get(here.path_of(rows[0]))).json()["counts"]["confirmed"] == A_CLASS
        spent = sum(person.calls for person in people)
        for _ in range(9 * spent):
            here.allowances.take_token(address=NAT)  # as the calls of nine more classes do
        refused = await here.call("POST", "/api/certificates/check", body={}, headers={"X-Forwarded-For": NAT})
        assert refused.status_code == 429
        await Participant(house, rows, "198.51.100.7").answer()


async def test_an_address_that_opens_ten_times_as_many_signers_is_refused(here: Site) -> None:
    """A hundred a minute; the rest waits, and other addresses do not."""
    House(here)
    opened = [
        (await here.call("POST", "/api/signers", body={}, headers={"X-Forwarded-For": NAT})).status_code
        for _ in range(A_CLASS * 2)
    ]
    assert set(opened[:A_CLASS]) == {200}
    assert opened[-1] == 429
    assert (await here.call("POST", "/api/signers", body={})).status_code == 200
