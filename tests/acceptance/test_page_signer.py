"""The page without an extension: a signer nobody here wrote (NDK's) scans its code and signs through the daemon."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from podium_protocol.nips.nip46 import Request, Response
from tests.support.bunker import ScriptedBunker, serving
from tests.support.ndk import NdkSigner, ndk_signer
from tests.support.page import Here, page_house, press, seen
from tests.support.relays import new_key
from tests.support.until import until

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Here]:
    """One daemon and one browser for all tests."""
    async with page_house() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phone(here: Here) -> AsyncIterator[NdkSigner]:
    """A person's signer elsewhere, on the daemon's relay."""
    async with ndk_signer(here.stage.relay_url) as signer:
        yield signer


async def code_of(page: Any) -> str:
    """What the page shows to signers, once the code is there."""
    await page.get_by_role("img", name="QR code for your signer").wait_for(state="visible")
    link = page.get_by_role("link", name="Open in a signer on this device")
    return str(await link.get_attribute("href"))


def signatures(phone: NdkSigner) -> int:
    """How many the signer was asked for so far."""
    return phone.methods.count("sign_event")


async def test_a_person_answers_and_joins_with_a_signer_elsewhere(here: Here, phone: NdkSigner) -> None:
    """No extension: the code is shown, scanned, and the answer signed; joining is one signature, a heartbeat none."""
    visitor = await here.person()
    url = await here.scheduled(starts_in=120)
    page = await visitor.open(url)
    beats: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: beats.append(str(frame))))
    await seen(page, "To answer or join you need a Nostr signer")
    await press(page, "Confirm")
    uri = await code_of(page)
    assert uri.startswith("nostrconnect://")
    await seen(page, "The relays of this service are on this machine only")
    await phone.scan(uri)
    await seen(page, "Your answer: confirmed.")
    await page.get_by_text("To answer or join you need a Nostr signer").wait_for(state="hidden")

    await here.post(f"/api/sessions/{url.rpartition('/')[2]}/start", {})
    before = signatures(phone)
    await press(page, "Join")
    await press(page, "Join with one signature")
    await seen(page, "You are in the room.")
    assert signatures(phone) == before + 1
    seated = len(beats)

    async def has_beaten() -> bool:
        return sum("beat" in frame for frame in beats[seated:]) >= 2

    await until(has_beaten, "two heartbeats")
    assert signatures(phone) == before + 1
    await press(page, "Leave")

    await page.reload()
    await seen(page, "Your answer: confirmed.")
    assert signatures(phone) == before + 1
    await press(page, "Tentative")
    await seen(page, "Your answer: tentative.")
    assert signatures(phone) == before + 2  # the answer itself
    async with page.expect_navigation():  # the page is loaded anew; until then the old one can be seen
        await press(page, "Disconnect the signer")
    await seen(page, "Sign in to see your answer")
    assert await page.evaluate("sessionStorage.getItem('podium.signer')") is None
    assert visitor.errors == []
    assert visitor.foreign(here.stage.base_url) == []


async def test_a_bunker_url_is_pasted_by_keyboard(here: Here) -> None:
    """Beside an extension: the field takes the URL, the signer is used from then on; a lost connection is told."""
    async with ndk_signer(here.stage.relay_url, "token") as signer:
        visitor = await here.person(new_key(), locale="de-DE")
        page = await visitor.open(await here.scheduled())
        await press(page, "Entfernten Unterzeichner nutzen")
        field = page.get_by_label("Oder füge ein, was dein Unterzeichner zeigt:")
        await field.fill("bunker://nonsense")
        await page.keyboard.press("Enter")
        await seen(page, "Das ist keine vollständige bunker://-Adresse.")
        await field.fill(f"bunker://{signer.pubkey}?relay={here.stage.relay_url}&secret=token")
        await page.keyboard.press("Enter")
        await seen(page, "Du hast noch nicht geantwortet.")
        assert signatures(signer) == 1
        kept = json.loads(await page.evaluate("sessionStorage.getItem('podium.signer')"))
        assert sorted(kept) == ["id", "secret"]
        assert visitor.signed == []
        await _forgotten_by_the_daemon(page, kept)
        await press(page, "Absagen")
        await seen(page, "Die Verbindung zu deinem Unterzeichner ist zu Ende.")
        # what the daemon refuses is a line of the browser's, and nothing else is
        assert [line for line in visitor.errors if "400" not in line and "404" not in line] == []


async def _forgotten_by_the_daemon(page: Any, kept: dict[str, str]) -> None:
    status = await page.evaluate(
        """async ({ id, secret }) => (await fetch(`/api/signers/${id}`, {
             method: "DELETE", headers: { Authorization: `Podium-Signer ${secret}` } })).status""",
        kept,
    )
    assert status == 200


async def test_the_page_that_a_signer_names_is_linked(here: Here) -> None:
    """`auth_url`: the person is told that the signer waits, and may go where it says; nothing is opened by itself."""
    bunker = ScriptedBunker(_ask_to_agree)
    async with serving(bunker, here.stage.relay_url):
        visitor = await here.person()
        page = await visitor.open(await here.scheduled())
        await press(page, "Use a remote signer")
        await page.get_by_label("Or paste what your signer shows:").fill(bunker.url(here.stage.relay_url))
        await page.keyboard.press("Enter")
        link = page.get_by_role("link", name="Your signer wants you to agree on this page: signer.example")
        await link.wait_for(state="visible")
        await seen(page, "Your signer is asked. Agree there.")
        assert await link.get_attribute("href") == "https://signer.example/agree?x=%3Cb%3E"
        assert await link.get_attribute("rel") == "noopener noreferrer"
        assert len(visitor.context.pages) == 1
        assert visitor.errors == []


def _ask_to_agree(request: Request) -> list[Response] | None:
    pages = ("javascript:alert(1)", "https://signer.example/agree?x=%3Cb%3E")
    if request.method != "sign_event":
        return None
    return [Response(request.id, result="auth_url", error=page) for page in pages]


async def test_nobody_is_kept_in_the_dialog(here: Here) -> None:
    """Escape closes it: nothing was signed, the page says what to install, and a late signer is not heard."""
    async with ndk_signer(here.stage.relay_url) as signer:
        visitor = await here.person()
        page = await visitor.open(await here.scheduled())
        await press(page, "Tentative")
        uri = await code_of(page)
        await page.get_by_text("I have no signer").click()
        await seen(page, "On a phone: a signer app")
        await page.keyboard.press("Escape")
        await seen(page, "There is no Nostr extension in this browser, and no remote signer is connected.")
        await signer.scan(uri)
        await press(page, "Tentative")
        fresh = await code_of(page)
        assert fresh != uri
        assert signatures(signer) == 0
        assert visitor.errors == []
