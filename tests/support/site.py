"""The HTTP interface as it is served: uvicorn on a free port of loopback, a `World` behind it, real clients before it.

`async with site() as here: await here.call("GET", "/api/sessions", by=key)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
from websockets.asyncio.client import connect

from podium_daemon.app.core import Current
from podium_daemon.app.people import build_signers
from podium_daemon.app.web import build_context, connection_caps, hosts_of, serve_context
from podium_daemon.config import Config
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import Watched
from podium_daemon.services.people.profiles import Introduction
from podium_daemon.web.calendars import Face
from podium_daemon.web.context import Context
from podium_daemon.web.server import WebServer, listen
from podium_daemon.web.views import Views
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.join_proof import Consent, write_join_proof
from podium_protocol.nips import nip98
from podium_storage.table.models import LiveSessionRow
from tests.support.seat_server import Page
from tests.support.world import World, signed, world

WITHIN = 60.0
"""Seconds a page waits for a message in a test, so that one that never comes fails the test and not the run."""


class Raw(msgspec.Struct, frozen=True):
    """An answer as it came; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, answer: bytes) -> Raw:
        """Take it apart."""
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)


class Site:
    """One running server. Its clock is the world's, which the test moves."""

    def __init__(self, here: World, client: httpx.AsyncClient, port: int, folder: Path) -> None:
        self.here = here
        self.client = client
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.refresh: Callable[[], None] = lambda: None
        self.tasks = Watched("web")
        self.introductions: dict[Pubkey, Introduction] = {}
        self.stop = Stop()
        self.ready: str | None = None
        self.calendar = Face()
        self._pages: list[Page] = []
        self._folder = folder
        self.core = msgspec.structs.replace(here.core, current=Current(self._config()))
        self.parts = msgspec.structs.replace(
            here.parts, core=self.core, signers=build_signers(self.core, here.parts.mirror)
        )
        self.desk, self.instructor_signers = self.parts.signers.pages, self.parts.signers.instructors
        self.allowances = self.parts.relays.admission.allowances
        self.views = Views(
            here.store,
            public_url=self.base,
            relay_hints=self.core.write_relays,
            introduce=lambda pubkey: self.introductions.get(pubkey) or here.parts.mirror.profiles.profile_of(pubkey),
            load_names=here.parts.mirror.profiles.load,
            doors=self.core.doors,
            participation=self.parts.attendance.participations.of,
            service=here.service.pubkey,
        )

    def _config(self) -> Config:
        """The world's, with the port that was free."""
        given = self.here.core.config
        web = given.web.model_copy(update={"host": "127.0.0.1", "port": self.port, "public_url": self.base})
        storage = given.storage.model_copy(update={"state_directory": self._folder})
        return given.model_copy(update={"web": web, "storage": storage})

    async def _ready(self) -> str | None:
        return self.ready

    def context(self) -> Context:
        """What the routes are given: the daemon's parts, with what a test says of names, readiness and calendar."""
        context = build_context(self.parts, caps=connection_caps(self.core), ready=self._ready, watched=())
        return msgspec.structs.replace(context, views=self.views, calendar=lambda: self.calendar)

    def serve(self, listener: socket.socket) -> WebServer:
        """The server, on all of it."""
        caps = connection_caps(self.core)
        web = serve_context(self.context(), listener, hosts=hosts_of(self.core.config), caps=caps)
        self.refresh, self.tasks = web.site.refresh, web.site.tasks
        return web.server

    # -- plain calls

    async def call(
        self,
        method: str,
        path: str,
        *,
        by: SecretKey | None = None,
        body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        """One request, signed by `by` or with a login's `token`; `body` is sent as JSON, `content` as it is."""
        raw = json.dumps(body).encode() if body is not None else content
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if by is not None:
            sent["Authorization"] = nip98.write_header(self.login(by, method, path, raw))
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return await self.client.request(method, self.base + path, content=raw, headers=sent | dict(headers or {}))

    async def sign_in(self, key: SecretKey) -> str:
        """The token that one signed login is answered with."""
        answer = await self.post("/api/login", key)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    def login(self, key: SecretKey, method: str, path: str, body: bytes | None = None) -> SignedEvent:
        """The signed login of one call."""
        return signed(key, self.login_draft(key, method, path, body))

    def login_draft(self, key: SecretKey, method: str, path: str, body: bytes | None = None) -> UnsignedEvent:
        """A good login, before it is signed; the nonce tells calls of one second apart."""
        nonce = ("nonce", os.urandom(8).hex())
        return nip98.write(key.pubkey, self.base + path, method, body, self.here.now, (nonce,))

    async def get(self, path: str, by: SecretKey | None = None) -> httpx.Response:
        """GET."""
        return await self.call("GET", path, by=by)

    async def post(self, path: str, by: SecretKey | None = None, body: object = None) -> httpx.Response:
        """POST, with a body of JSON if there is one."""
        return await self.call("POST", path, by=by, body=body)

    def path_of(self, row: LiveSessionRow, *rest: str) -> str:
        """The path of a session's resource."""
        return "/".join(("/api/sessions", self.views.naddr(row), *rest))

    async def raw(self, request: bytes) -> Raw:
        """What the server answers to bytes that no honest client would send; it closes the connection afterwards."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        answer = b""
        # the server closes without reading on: what it had not read then resets the connection, after its answer
        async with asyncio.timeout(WITHIN):
            with contextlib.suppress(ConnectionResetError):
                while piece := await reader.read(65536):
                    answer += piece
        writer.close()
        return Raw.of(answer)

    # -- drafts

    async def sign_and_submit(self, key: SecretKey, draft: httpx.Response) -> httpx.Response:
        """Sign the templates of a draft in their order and hand them in."""
        assert draft.status_code == 200, draft.text
        events = [self.sign(key, template) for template in draft.json()["events"]]
        return await self.post("/api/events", key, {"events": events})

    def sign(self, key: SecretKey, template: Mapping[str, object]) -> dict[str, object]:
        """A template with the key's signature, as JSON."""
        return as_json(signed(key, unsigned(template)))

    # -- rooms

    async def challenge(self, row: LiveSessionRow, by: SecretKey | None = None) -> dict[str, object]:
        """Ask for a fresh challenge; for a private session a person asks for it."""
        answer = await self.post(self.path_of(row, "join", "challenge"), by)
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    async def join(
        self,
        key: SecretKey,
        row: LiveSessionRow,
        device: str = "laptop",
        *,
        challenge: Mapping[str, object] | None = None,
        consent: bool | None = None,
    ) -> httpx.Response:
        """Answer a challenge with a signed proof; `consent` None says nothing about recording."""
        asked = challenge or await self.challenge(row, key if row.visibility == "private" else None)
        proof = self.proof(key, row, device, asked, consent)
        return await self.send_proof(row, signed(key, proof))

    def proof(
        self,
        key: SecretKey,
        row: LiveSessionRow,
        device: str,
        asked: Mapping[str, object],
        consent: bool | None = None,
    ) -> UnsignedEvent:
        """The proof, before it is signed."""
        address = Address.parse(row.session_address)
        assert address is not None
        return write_join_proof(
            key.pubkey,
            url=self.base + self.path_of(row, "join"),
            method="POST",
            body=None,
            session=address,
            nonce=str(asked["nonce"]),
            device=device,
            now=self.here.now,
            consent=None if consent is None else Consent(consent, str(asked["recordingPolicyHash"])),
        )

    async def join_as(self, key: SecretKey, row: LiveSessionRow, *names: str) -> httpx.Response:
        """Join, and say how one wants to be called there."""
        draft = self.proof(key, row, "laptop", await self.challenge(row))
        rows = (*draft.tags, *(("name", name) for name in names))
        return await self.send_proof(row, signed(key, msgspec.structs.replace(draft, tags=rows)))

    async def send_proof(self, row: LiveSessionRow, proof: SignedEvent) -> httpx.Response:
        """The join call with a proof."""
        headers = {"Authorization": nip98.write_header(proof)}
        return await self.client.post(self.base + self.path_of(row, "join"), headers=headers)

    async def open_socket(self, row: LiveSessionRow, *first: object) -> Page:
        """A room socket, and the first messages on it."""
        url = f"ws://127.0.0.1:{self.port}{self.path_of(row, 'room')}"
        page = Page(await connect(url, proxy=None, open_timeout=60, ping_interval=None))
        self._pages.append(page)
        for message in first:
            await page.socket.send(json.dumps(message))
        return page

    async def knock(
        self, key: SecretKey, row: LiveSessionRow, device: str = "laptop", *, consent: bool | None = None
    ) -> Page:
        """Join and open the socket with the ticket, whatever comes of it."""
        return await self.present(row, await self.join(key, row, device, consent=consent))

    async def present(self, row: LiveSessionRow, ticket: httpx.Response) -> Page:
        """Open the socket with the ticket of a join."""
        assert ticket.status_code == 200, ticket.text
        return await self.open_socket(row, {"type": "hello", "token": ticket.json()["token"]})

    async def enter(
        self, key: SecretKey, row: LiveSessionRow, device: str = "laptop", *, consent: bool | None = None
    ) -> Page:
        """Join and sit down; the page has read its welcome."""
        page = await self.knock(key, row, device, consent=consent)
        await welcomed(page)
        return page

    async def close_pages(self) -> None:
        """Close every page that is open."""
        for page in self._pages:
            page.socket.transport.abort()
            await page.socket.wait_closed()


@asynccontextmanager
async def site(here: World | None = None, **options: object) -> AsyncIterator[Site]:
    """A world behind a server, with the rooms service at work; `options` are the world's."""
    async with AsyncExitStack() as stack:
        found = here or await stack.enter_async_context(world(**options))
        listener = listen("127.0.0.1", 0)
        stack.callback(listener.close)
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
        running = Site(found, client, listener.getsockname()[1], Path(stack.enter_context(TemporaryDirectory())))
        async with _served(running, running.serve(listener)):
            yield running


@asynccontextmanager
async def _served(running: Site, server: WebServer) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(server.run(running.stop)), asyncio.create_task(running.here.rooms.run(running.stop))]
    try:
        await _until_answered(running)
        yield
    finally:
        await running.close_pages()
        running.stop.set()
        await asyncio.gather(*tasks)


async def _until_answered(running: Site) -> None:
    # the socket listens since before the server ran, so the first call waits for it
    answer = await running.client.get(running.base + "/healthz")
    assert answer.status_code == 200, answer.text


async def welcomed(page: Page) -> None:
    """Read until the welcome of a seat and its resume secret."""
    page.welcome = await reading(page)
    assert page.welcome["type"] == "welcome", page.welcome
    resume = await reading(page)
    assert resume["type"] == "resume", resume
    page.welcome["secret"] = resume["secret"]


async def reading(page: Page) -> dict[str, object]:
    """The next message, soon."""
    async with asyncio.timeout(WITHIN):
        return await page.read()


async def closing(page: Page) -> int | None:
    """The close code, soon; messages that are left are thrown away."""
    async with asyncio.timeout(WITHIN):
        return await page.closed()


def as_json(event: SignedEvent) -> dict[str, object]:
    """A signed event as the interface takes it."""
    found: dict[str, object] = json.loads(event.to_json())
    return found


def unsigned(template: Mapping[str, object]) -> UnsignedEvent:
    """A template as the interface gives it."""
    return msgspec.convert(template, UnsignedEvent)
