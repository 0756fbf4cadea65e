"""What another site, a rebound name, an eavesdropper and a flood get from the installed daemon, in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from podium_daemon.web.guard import MAX_BODY_BYTES
from tests.support.page import Here, page_house, press, seen
from tests.support.relays import new_key

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

EVIL: Final = "evil.example.com"
_REFUSED: Final = 403
_SOCKET: Final = """(url) => new Promise((done) => {
  const socket = new WebSocket(url);
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})"""
_FETCH: Final = """([url, options]) => fetch(url, options).then((answer) => answer.text(), () => "refused")"""
_FORM: Final = """(url) => {
  const form = document.body.appendChild(document.createElement("form"));
  Object.assign(form, { method: "post", action: url });
  form.submit();
}"""
_EMBED: Final = """([name, attribute, url]) => new Promise((done) => {
  const element = document.createElement(name);
  element.onload = () => done("loaded");
  element.onerror = () => done("refused");
  element[attribute] = url;
  document.body.append(element);
})"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[Here]:
    """One daemon; the names of other sites lead to it, as a rebinding attacker would have them do."""
    async with page_house(None, f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with nobody's pages left open afterwards."""
    yield house
    await house.close_pages()


async def other_site(here: Here) -> Any:
    """A page of another site, open in a person's browser."""
    visitor = await here.person(new_key())
    address = "http://attacker.example/"
    await visitor.context.route(address, lambda route: route.fulfill(body="<body></body>", content_type="text/html"))
    return await visitor.open(address)


async def test_a_rebound_name_reaches_nothing(here: Here) -> None:
    """A name that an attacker points at this machine gets 421 for the page, the interface and the room's socket."""
    url = await here.scheduled(title="Only for our own name")
    evil = f"http://{EVIL}:{urlsplit(here.stage.base_url).port}"
    page = await (await here.person(new_key())).context.new_page()
    for path in ("/", urlsplit(url).path, "/api/sessions", "/metrics", "/page/core/api.js"):
        answer = await page.goto(f"{evil}{path}")
        assert answer.status == 421
        assert "Only for our own name" not in await page.content()
    socket = f"{evil.replace('http', 'ws')}/api/sessions/{urlsplit(url).path.rsplit('/', 1)[1]}/room"
    assert await page.evaluate(_SOCKET, socket) == "refused"


async def test_another_site_reads_and_changes_nothing(here: Here) -> None:
    """A page elsewhere can neither read an answer nor send what changes anything nor open a room's socket."""
    url = await here.scheduled()
    reference, base = url.rsplit("/", 1)[1], here.stage.base_url
    page = await other_site(here)
    assert await page.evaluate(_FETCH, [f"{base}/api/sessions", {}]) == "refused"
    with_header = {"method": "POST", "headers": {"Authorization": "Nostr x"}}
    assert await page.evaluate(_FETCH, [f"{base}/api/events", with_header]) == "refused"
    assert await page.evaluate(_SOCKET, f"{base.replace('http', 'ws')}/api/sessions/{reference}/room") == "refused"
    # a form needs nobody's leave to be sent, but the daemon looks where it comes from
    async with page.expect_navigation() as leading:
        await page.evaluate(_FORM, f"{base}/api/sessions/{reference}/join/challenge")
    assert (await leading.value).status == _REFUSED


async def test_another_site_can_neither_embed_nor_run_the_page(here: Here) -> None:
    """The page in a frame, its scripts and its pictures are refused to other sites, so that no click can be led."""
    base = here.stage.base_url
    page = await other_site(here)
    assert await page.evaluate(_EMBED, ["script", "src", f"{base}/page/core/api.js"]) == "refused"
    assert await page.evaluate(_EMBED, ["img", "src", f"{base}/page/icon.svg"]) == "refused"
    await page.evaluate(_EMBED, ["iframe", "src", base])
    frame = page.frames[-1]
    assert frame != page.main_frame
    assert await frame.locator("podium-index").count() == 0


async def test_what_an_eavesdropper_copies_is_worth_nothing(here: Here) -> None:
    """A signed login that the page has used is refused the second time, on its own call and on any other."""
    visitor = await here.person(new_key())
    page = await visitor.open(await here.scheduled())
    await seen(page, "Will you come?")
    async with page.expect_request(lambda request: request.url.endswith("/api/login")) as coming:
        await press(page, "Sign in")
    request = await coming.value
    await seen(page, "You have not answered yet.")
    sent = await request.all_headers()
    headers = {name: sent[name] for name in ("authorization", "content-type", "origin") if name in sent}
    assert sent["authorization"].startswith("Nostr ")
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        again = await client.post(request.url, content=request.post_data, headers=headers)
        assert (again.status_code, again.json()["type"]) == (401, "urn:podium:problem:login")
        elsewhere = await client.post(request.url.replace("/login", "/calendar"), headers=headers)
        assert elsewhere.status_code == 401


async def test_a_flood_is_cut_off(here: Here) -> None:
    """A body over the cap is refused before it is read, and the page goes on."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        flood = b" " * (MAX_BODY_BYTES + 1)
        answer = await client.post(
            f"{here.stage.base_url}/api/events", content=flood, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
    page = await (await here.person()).open(await here.scheduled())
    await seen(page, "Will you come?")
