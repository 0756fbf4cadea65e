"""HEAD: the head of the GET, on every route that has one, and no body."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.types import Message, Receive, Scope, Send

from podium_daemon.web.head_requests import HeadRequests
from podium_protocol.nips import nip98
from podium_storage.table.models import LiveSessionRow
from tests.support.site import Site, site
from tests.support.world import signed

one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """A server."""
    async with site() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def row(here: Site) -> LiveSessionRow:
    """A session on it."""
    return await here.here.schedule()


@one_loop
async def test_every_get_has_its_head(here: Site, row: LiveSessionRow) -> None:
    """Each GET of the interface, and the pages: the same status and kind of answer, signed by the instructor."""
    schema = (await here.get("/openapi.json")).json()
    paths = [path for path, operations in schema["paths"].items() if "get" in operations]
    pages = ["/", "/s/{reference}", "/page/page.css", "/openapi.json", "/no-such-page"]
    assert len(paths) > 15
    for path in (*paths, *pages):
        filled = path.replace("{reference}", here.views.naddr(row))
        filled += f"?session={here.views.naddr(row)}" if path == "/api/stream" else ""
        key = here.here.instructor
        head = await here.call("HEAD", filled, by=key)
        assert head.content == b"", path
        if path.endswith(("/events", "/stream")):
            assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            continue
        get = await here.call("GET", filled, by=key)
        assert head.status_code == get.status_code != 405, path
        assert head.headers.get("content-type") == get.headers.get("content-type"), path
    assert (await here.call("HEAD", "/api/events", by=here.here.instructor)).status_code == 405


@one_loop
async def test_a_head_is_signed_for_as_a_head(here: Site, row: LiveSessionRow) -> None:
    """The login names the method that was sent."""
    path, key = here.path_of(row, "rsvps"), here.here.instructor
    for method, status in (("HEAD", 200), ("GET", 401)):
        login = nip98.write(key.pubkey, here.base + path, method, None, here.here.now, [("nonce", os.urandom(8).hex())])
        headers = {"Authorization": nip98.write_header(signed(key, login))}
        assert (await here.call("HEAD", path, headers=headers)).status_code == status


async def test_the_rest_of_a_stream_is_given_up() -> None:
    """An answer that goes on for ever is ended when its head is out, and cleans up after itself."""
    cleaned = asyncio.Event()

    async def stream(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 405, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"more", "more_body": True})
                await asyncio.Event().wait()
        finally:
            cleaned.set()

    assert await asked(stream) == [200, b""]
    assert cleaned.is_set()


async def test_a_fault_is_passed_on() -> None:
    """What goes wrong in a GET is not hidden by its having been asked for as a HEAD."""

    async def broken(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            raise RuntimeError("broken")
        await send({"type": "http.response.start", "status": 405, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    with pytest.raises(RuntimeError, match="broken"):
        await asked(broken)


async def asked(app: object) -> list[object]:
    """What a HEAD is told: statuses and bodies in order."""
    said: list[object] = []

    async def send(message: Message) -> None:
        said.append(message.get("status", message.get("body")))

    async def receive() -> Message:
        return {"type": "http.request"}

    async with asyncio.timeout(60):
        await HeadRequests(app)({"type": "http", "method": "HEAD"}, receive, send)  # type: ignore[arg-type]
    return said
