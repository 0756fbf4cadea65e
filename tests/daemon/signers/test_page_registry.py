"""Remote signers of pages at the daemon: paired, asked, counted and given up. Signer and clock are scripted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.signers.instructors import InstructorSigners
from podium_daemon.signers.known_bunkers import KnownBunkers
from podium_daemon.signers.page_registry import (
    IDLE_SECONDS,
    MAX_OPEN,
    OPENED_A_MINUTE,
    OPENED_A_MINUTE_FROM_ONE,
    OPENED_A_MINUTE_TO_ONE,
    PageSignerRegistry,
)
from podium_daemon.signers.page_signer import MAX_ASKED, PageSigner, Purpose, SigningRequest, State, View
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.nips.nip46 import Request, Response
from tests.support.bunker import MemoryTransport, ScriptedBunker
from tests.support.clock import ManualClock
from tests.support.soon import soon

RELAYS = ("wss://one.example", "wss://two.example")


class Scene:
    """A desk, and one signer that could come."""

    def __init__(self, folder: Path) -> None:
        self.bunker = ScriptedBunker()
        self.transport = MemoryTransport(self.bunker)
        self.clock = ManualClock()
        self.listed = {self.bunker.user.pubkey}
        self.instructors = InstructorSigners(
            KnownBunkers(folder, by="user"), self.transport, clock=self.clock, random_bytes=os.urandom
        )
        self.desk = PageSignerRegistry(
            self.transport,
            relays=lambda: RELAYS,
            instructors=self.instructors,
            is_instructor=lambda pubkey: pubkey in self.listed,
            service_name="Knots & Co",
            public_url="https://podium.example",
            clock=self.clock,
            random_bytes=os.urandom,
        )

    def open(self, bunker: str | None = None, *, address: str = "::1", purpose: Purpose = "page") -> PageSigner:
        """A page opens a connection."""
        opened = self.desk.open(address, purpose, bunker)
        assert not isinstance(opened, Rejection), opened
        return opened[0]

    async def paired(self) -> PageSigner:
        """A signer scanned the code."""
        signer = self.open()
        self.transport.scan(await self.uri(signer))
        await self.until(signer, "connected")
        return signer

    async def uri(self, signer: PageSigner) -> str:
        """The code's text, once it is shown."""
        await soon(lambda: signer.view.url is not None)
        assert signer.view.url is not None
        return signer.view.url

    async def until(self, signer: PageSigner, state: State) -> View:
        """Wait for a state."""
        await soon(lambda: signer.view.state == state)
        return signer.view

    def draft(self, content: str = "Grüße") -> UnsignedEvent:
        """Something to sign."""
        return UnsignedEvent(self.bunker.user.pubkey, 1_800_000_000, kinds.RSVP, (("d", "x"),), content)

    async def answer(self, signer: PageSigner, request_id: str = "one") -> SigningRequest:
        """What became of a request."""
        await soon(lambda: any(one.id == request_id and one.state != "asked" for one in signer.view.asked))
        return next(one for one in signer.view.asked if one.id == request_id)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A desk at work."""
    made = Scene(tmp_path / "kept")
    stop = Stop(made.clock)
    running = asyncio.create_task(made.desk.run(stop))
    yield made
    stop.set()
    await running
    assert made.transport.open_boxes == 0


async def test_a_page_is_paired_by_its_code_and_gets_signatures(scene: Scene) -> None:
    """The code names our relays and us; what the signer signed comes back with the request's id, once for each id."""
    signer = scene.open()
    uri = await scene.uri(signer)
    assert "name=Knots%20%26%20Co" in uri
    assert "wss%3A%2F%2Ftwo.example" in uri
    scene.transport.scan(uri)
    view = await scene.until(signer, "connected")
    assert (view.user, view.url) == (scene.bunker.user.pubkey, None)
    for _ in range(2):
        assert scene.desk.request_signature(signer, "one", scene.draft()) is None
    answer = await scene.answer(signer)
    assert isinstance(answer.event, VerifiedEvent)
    assert answer.event.content == "Grüße"
    assert [one.method for one in scene.bunker.requests].count("sign_event") == 1


async def test_a_page_is_paired_by_the_signers_url(scene: Scene) -> None:
    """`bunker://`: no code is shown, the secret goes to the signer, and its refusal is told."""
    view = await scene.until(scene.open(scene.bunker.url(RELAYS[0])), "connected")
    assert (view.user, view.url) == (scene.bunker.user.pubkey, None)
    refused = await scene.until(scene.open(scene.bunker.url().replace("let%20me%20in", "guess")), "over")
    assert refused.problem == "the signer refused: wrong secret"
    told = scene.desk.open("::1", "page", "bunker://nonsense?secret=abc")
    assert isinstance(told, Rejection)
    assert (told.slug, "abc" in told.detail) == ("bad-bunker", False)


async def test_only_the_pages_secret_opens_a_connection(scene: Scene) -> None:
    """Two pages have two secrets; a wrong one finds no more than a wrong id."""
    (one, first), (other, second) = (scene.desk.open("::1", "page", None) for _ in range(2))  # type: ignore[misc]  # not refused
    assert scene.desk.find(one.id, first) is one
    for signer_id, secret in ((one.id, second), (other.id, first), ("0" * 16, first), (one.id, "")):
        assert isinstance(scene.desk.find(signer_id, secret), Rejection)
    assert len({first, second}) == 2
    assert {len(first), len(second)} == {43}


async def test_what_the_signer_says_no_to_is_told(scene: Scene) -> None:
    """A refusal in its words, a changed event as a failure; the connection stays."""
    signer = await scene.paired()
    scene.bunker.behaviour = lambda request: [Response(request.id, error="not today")]
    scene.desk.request_signature(signer, "no", scene.draft())
    assert await scene.answer(signer, "no") == SigningRequest("no", "refused", None, "the signer refused: not today")

    def cheat(request: Request) -> list[Response]:
        return [Response(request.id, result=scene.bunker.signed(request, content="x").to_json().decode())]

    scene.bunker.behaviour = cheat
    scene.desk.request_signature(signer, "lie", scene.draft())
    lie = await scene.answer(signer, "lie")
    assert (lie.state, lie.event) == ("failed", None)
    assert "another content than was asked for" in lie.words
    assert signer.is_connected


async def test_a_page_to_agree_on_is_told_and_forgotten(scene: Scene) -> None:
    """`auth_url` stands in the view while it matters; javascript: never does."""
    signer = await scene.paired()
    scene.bunker.behaviour = lambda request: [
        Response(request.id, result="auth_url", error="javascript:alert(1)"),
        Response(request.id, result="auth_url", error="https://signer.example/agree"),
    ]
    scene.desk.request_signature(signer, "one", scene.draft())
    await soon(lambda: signer.view.page is not None)
    assert signer.view.page == "https://signer.example/agree"
    asked = scene.bunker.requests[-1]
    box = scene.transport.boxes[-1]
    granted = Response(asked.id, result=scene.bunker.signed(asked).to_json().decode())
    box.receiver.receive(scene.bunker.event(granted, next(iter(scene.bunker.clients))))
    assert (await scene.answer(signer)).state == "signed"
    await soon(lambda: signer.view.page is None)


async def test_another_author_is_not_asked_for(scene: Scene) -> None:
    """A page that thinks it is another person is told so, and the person is not bothered."""
    signer = await scene.paired()
    draft = UnsignedEvent(ScriptedBunker().user.pubkey, 1, 1, (), "")
    told = scene.desk.request_signature(signer, "one", draft)
    assert isinstance(told, Rejection)
    assert told.slug == "bad-pubkey"
    told = scene.desk.request_signature(scene.open(), "one", scene.draft())
    assert isinstance(told, Rejection)
    assert told.slug == "signer-not-connected"


async def test_requests_are_bounded(scene: Scene) -> None:
    """Sixteen at once; an answer that lies there makes room."""
    signer = await scene.paired()
    scene.transport.is_deaf = True
    for number in range(MAX_ASKED):
        assert scene.desk.request_signature(signer, str(number), scene.draft(str(number))) is None
    told = scene.desk.request_signature(signer, "more", scene.draft())
    assert isinstance(told, Rejection)
    assert told.slug == "too-many-requests"
    await soon(lambda: len(scene.bunker.requests) == 2)  # who it is, and where: none of these came through
    scene.desk.leave(signer)
    assert {one.state for one in signer.view.asked} == {"failed"}


async def test_news_come_when_there_are_some(scene: Scene) -> None:
    """A look with the version one has waits; any change, or the end of the server, ends the waiting."""
    signer = await scene.paired()
    scene.transport.is_deaf = True
    look = asyncio.create_task(signer.news(signer.view.version, 60))
    await asyncio.sleep(0)
    assert not look.done()
    scene.desk.request_signature(signer, "one", scene.draft())
    assert (await look).asked[0].state == "asked"
    look = asyncio.create_task(signer.news(signer.view.version, 60))
    await asyncio.sleep(0)
    scene.desk.close()
    await look


async def test_whoever_leaves_is_forgotten_everywhere(scene: Scene) -> None:
    """The signer is told, the mailbox is closed, what is under way fails, and the secret opens nothing."""
    opened = scene.desk.open("::1", "page", None)
    assert not isinstance(opened, Rejection)
    signer, secret = opened
    scene.transport.scan(await scene.uri(signer))
    await scene.until(signer, "connected")
    scene.desk.leave(signer)
    await soon(lambda: scene.transport.open_boxes == 0)
    assert scene.bunker.requests[-1].method == "logout"
    assert signer.view.state == "over"
    assert isinstance(scene.desk.find(signer.id, secret), Rejection)


async def test_a_code_that_nobody_scans_ends(scene: Scene) -> None:
    """After ten minutes the page is told to ask for a fresh one; its mailbox is closed."""
    signer = scene.open()
    await scene.uri(signer)
    await scene.clock.until_sleeping(2)
    await scene.clock.advance(601)
    view = await scene.until(signer, "over")
    assert "scan a fresh code" in str(view.problem)
    assert scene.transport.open_boxes == 0


async def test_a_connection_that_nobody_uses_ends(scene: Scene) -> None:
    """Twelve hours after the last call."""
    signer = await scene.paired()
    await scene.clock.until_sleeping()
    await scene.clock.advance(IDLE_SECONDS - 60)
    assert signer.is_connected
    await scene.clock.advance(120)
    assert signer.view.state == "over"


async def test_one_address_cannot_open_them_all(scene: Scene) -> None:
    """A class behind one router connects within a minute, beyond that none; all together have a limit too."""
    assert OPENED_A_MINUTE_FROM_ONE >= 90
    for _ in range(OPENED_A_MINUTE_FROM_ONE):
        scene.open(address="192.0.2.1")
    told = scene.desk.open("192.0.2.1", "page", None)
    assert isinstance(told, Rejection)
    assert told.slug == "too-many-signers"
    for number in range(OPENED_A_MINUTE - OPENED_A_MINUTE_FROM_ONE):
        scene.open(address=f"192.0.2.{100 + number}")
    assert isinstance(scene.desk.open("198.51.100.1", "page", None), Rejection)
    await scene.clock.advance(61)
    scene.open(address="192.0.2.1")


async def test_a_proxy_on_this_machine_speaks_for_all_callers(scene: Scene) -> None:
    """Its address, which is told as an empty one, has no limit of its own."""
    for _ in range(OPENED_A_MINUTE_FROM_ONE + 1):
        scene.open(address="")


async def test_one_signer_is_not_asked_by_many_connections(scene: Scene) -> None:
    """Whoever has a signer's URL could have its person asked again and again, from any number of addresses."""
    for number in range(OPENED_A_MINUTE_TO_ONE):
        assert not isinstance(scene.desk.open(f"192.0.2.{number}", "page", scene.bunker.url()), Rejection)
    told = scene.desk.open("192.0.2.100", "page", scene.bunker.url())
    assert isinstance(told, Rejection)
    assert told.slug == "too-many-signers"
    await scene.clock.advance(61)
    assert not isinstance(scene.desk.open("192.0.2.100", "page", scene.bunker.url()), Rejection)


async def test_a_full_desk_gives_up_the_oldest_that_no_signer_came_to(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connected page stays."""
    assert MAX_OPEN == 2_000
    monkeypatch.setattr("podium_daemon.signers.page_registry.MAX_OPEN", 3)
    stays = await scene.paired()
    first, second = scene.open(), scene.open()
    scene.open()
    assert (stays.view.state, first.view.state, second.view.state) == ("connected", "over", "pairing")


async def test_an_instructor_leaves_a_signer_after_one_proof(scene: Scene) -> None:
    """One signature proves whose key it is; then the connection is kept, and the page's is over."""
    signer = scene.open(purpose="service")
    scene.transport.scan(await scene.uri(signer))
    await scene.until(signer, "kept")
    assert [one.method for one in scene.bunker.requests].count("sign_event") == 1
    known = await scene.instructors.find(scene.bunker.user.pubkey)
    assert known is not None
    assert known.relays == RELAYS
    assert isinstance(scene.desk.request_signature(signer, "one", scene.draft()), Rejection)
    assert isinstance(await scene.instructors.sign(known.user, scene.draft()), VerifiedEvent)


async def test_a_claim_is_no_proof(scene: Scene) -> None:
    """A signer that says it holds an instructor's key, and cannot sign with it, is not kept; nor is a stranger's."""
    honest = scene.bunker.user
    claims = ScriptedBunker()
    scene.bunker.behaviour = lambda request: (
        [Response(request.id, result=claims.user.pubkey)] if request.method == "get_public_key" else None
    )
    for listed in ({claims.user.pubkey}, {honest.pubkey}):
        scene.listed = listed
        signer = scene.open(purpose="service")
        scene.transport.scan(await scene.uri(signer))
        await scene.until(signer, "over")
    assert "list of instructors" in str(signer.view.problem)
    assert await scene.instructors.find(claims.user.pubkey) is None


async def test_relays_that_are_away_are_told(scene: Scene) -> None:
    """No code that nobody could use is shown."""
    scene.transport.problem = "away are wss://one.example"
    view = await scene.until(scene.open(), "over")
    assert (view.url, view.problem) == (None, "no relay of the signer answers: away are wss://one.example")
