"""Asking a remote signer, and believing it only as far as it can be checked. Signer and clock are scripted."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence

import pytest

from podium_daemon.signers.bunker import BunkerClient, BunkerSigner
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol import kinds
from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.nips.nip46 import Request, Response
from tests.support.bunker import Behaviour, ScriptedBunker
from tests.support.clock import ManualClock
from tests.support.relays import new_key


class Wire:
    """A relay in memory: what the signer answers is heard at once, or when the test lets it."""

    def __init__(self, bunker: ScriptedBunker) -> None:
        self.bunker = bunker
        self.problem: str | None = None
        self.is_deaf = False
        self.sent: list[SignedEvent] = []
        self.client: BunkerClient | None = None

    async def send(self, event: SignedEvent) -> str | None:
        """Bring an event to the signer."""
        self.sent.append(event)
        if self.problem is None and not self.is_deaf:
            self.hear(self.bunker.answers(event))
        return self.problem

    def hear(self, raws: Sequence[bytes]) -> None:
        """The client gets these events."""
        assert self.client is not None
        for raw in raws:
            self.client.receive(raw)


class Person:
    """A listener that is told what to do."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.waits = 0

    def open_page(self, url: str) -> None:
        """Be told of a page."""
        self.pages.append(url)

    def still_waiting(self) -> None:
        """Be told to be patient."""
        self.waits += 1


class Scene:
    """A client with its wire, its person and its clock."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.bunker = ScriptedBunker(behaviour)
        self.wire = Wire(self.bunker)
        self.person = Person()
        self.clock = ManualClock()
        self.key = new_key()
        self.bunker.clients.add(self.key.pubkey)
        self.client = self.wire.client = BunkerClient(
            self.key,
            self.bunker.key.pubkey,
            self.wire,
            listener=self.person,
            clock=self.clock,
            random_bytes=os.urandom,
        )

    def draft(self) -> UnsignedEvent:
        """An event to sign."""
        return UnsignedEvent(self.bunker.user.pubkey, int(self.clock.now()), kinds.RSVP, (("d", "x"),), "Grüße")

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[asyncio.Task[SignedEvent]]:
        """A signature that is being waited for."""
        task: asyncio.Task[SignedEvent] = asyncio.create_task(self.client.sign(self.draft()))
        await self.clock.until_sleeping()
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_signature_is_asked_for_and_verified() -> None:
    """Connect, learn whose key it is, have an event signed; the wire shows no method and no content."""
    scene = Scene()
    await scene.client.connect("let me in", perms=[kinds.RSVP], name="Podium")
    user = await scene.client.get_public_key()
    signed = await BunkerSigner(scene.client, user).sign(scene.draft())
    assert (signed.pubkey, signed.content) == (scene.bunker.user.pubkey, "Grüße")
    assert [one.method for one in scene.bunker.requests] == ["connect", "get_public_key", "sign_event"]
    assert scene.bunker.requests[0].params == (
        scene.bunker.key.pubkey,
        "let me in",
        "sign_event:31925",
        '{"name":"Podium"}',
    )
    assert {event.kind for event in scene.wire.sent} == {24133}
    assert not any("sign_event" in event.content or "Grüße" in event.content for event in scene.wire.sent)


async def test_request_ids_are_unguessable() -> None:
    """128 fresh random bits each: an attacker who can write to us cannot answer for the signer."""
    scene = Scene()
    for _ in range(20):
        await scene.client.get_public_key()
    ids = {request.id for request in scene.bunker.requests}
    assert (len(ids), {len(one) for one in ids}) == (20, {32})


async def test_a_wrong_secret_is_told_in_the_signers_words() -> None:
    """The refusal's text is shown, and nothing is kept waiting."""
    with pytest.raises(SignerUnavailable, match="the signer refused: wrong secret"):
        await Scene().client.connect("guess", perms=[], name="Podium")


@pytest.mark.parametrize("result", ["", "ok", "LET ME IN", "let me in "])
async def test_connect_takes_ack_or_the_secret_and_nothing_else(result: str) -> None:
    """NIP-46 names the two."""
    for said, is_good in (("ack", True), ("let me in", True), (result, False)):
        scene = Scene(lambda request, said=said: [Response(request.id, result=said)])  # type: ignore[misc]
        if is_good:
            await scene.client.connect("let me in", perms=[], name="Podium")
        else:
            with pytest.raises(SignerUnavailable):
                await scene.client.connect("let me in", perms=[], name="Podium")


@pytest.mark.faults
@pytest.mark.parametrize(
    "changes",
    [{"content": "other"}, {"kind": 1}, {"created_at": 1}, {"tags": []}, {"tags": [["d", "x"], ["p", "y"]]}],
)
async def test_an_event_that_differs_is_refused(changes: dict[str, object]) -> None:
    """A good signature of the right user on something else."""
    scene = Scene()

    def sign_other(request: Request) -> list[Response]:
        return [Response(request.id, result=scene.bunker.signed(request, **changes).to_json().decode())]

    scene.bunker.behaviour = sign_other
    with pytest.raises(SignerUnavailable, match="than was asked for"):
        await scene.client.sign(scene.draft())


@pytest.mark.faults
async def test_another_users_signature_is_refused() -> None:
    """The signer may hold several keys: only the one that was asked for counts."""
    scene = Scene()
    draft = scene.draft()
    scene.bunker.user = new_key()
    with pytest.raises(SignerUnavailable, match="another pubkey"):
        await scene.client.sign(draft)
    with pytest.raises(SignerUnavailable, match="another author"):
        await BunkerSigner(scene.client, scene.bunker.user.pubkey).sign(draft)


@pytest.mark.faults
async def test_only_the_known_signer_is_heard() -> None:
    """Answers by strangers, to unknown requests or to another key, and garbage, are counted and change nothing."""
    scene = Scene()
    scene.wire.is_deaf = True
    async with scene.asking() as asked:
        (event,) = scene.wire.sent
        honest = scene.bunker.answers(event)
        request = scene.bunker.requests[0]
        lie = Response(request.id, result=scene.bunker.signed(request, content="lie").to_json().decode())
        scene.wire.hear([scene.bunker.event(lie, scene.key.pubkey, new_key())])
        scene.wire.hear([scene.bunker.event(Response("00" * 16, result="x"), scene.key.pubkey)])
        scene.wire.hear([scene.bunker.event(lie, new_key().pubkey)])
        scene.wire.hear([b"{}", b"x", honest[0].replace(b'"sig":"', b'"sig":"0', 1)])
        assert not asked.done()
        scene.wire.hear([*honest, *honest])
        assert (await asked).content == "Grüße"
        assert dict(scene.client.dropped) == {
            "stranger": 1,
            "unasked": 2,
            "unreadable": 1,
            "bad_shape": 1,
            "not_json": 1,
            "bad_signature": 1,
        }


@pytest.mark.faults
async def test_floods_of_strangers_and_of_invented_answers_cost_no_checks() -> None:
    """Strangers are known before their signature is checked, of inventions some are read; the answer comes through."""
    scene = Scene()
    scene.wire.is_deaf = True
    invention = Response("00" * 16, result="x")
    stranger = scene.bunker.event(invention, scene.key.pubkey, new_key())
    invented = scene.bunker.event(invention, scene.key.pubkey)
    async with scene.asking() as asked:
        answers = scene.bunker.answers(scene.wire.sent[0])
        scene.wire.hear([stranger] * 1_000)
        scene.wire.hear([invented] * 1_000)
        assert dict(scene.client.dropped) == {"stranger": 1_000, "unasked": 200, "too_many": 800}
        await scene.clock.advance(1)
        scene.wire.hear(answers)
        assert (await asked).content == "Grüße"
    scene.wire.hear([invented])
    assert scene.client.dropped["unasked"] == 201, "with no open request nothing is checked"


async def test_a_person_has_ten_minutes_to_agree_and_is_told_once() -> None:
    """Nine minutes of silence are no failure; after 15 s the listener is told so."""
    scene = Scene()
    scene.wire.is_deaf = True
    async with scene.asking() as asked:
        await scene.clock.advance(14)
        assert scene.person.waits == 0
        await scene.clock.advance(9 * 60)
        assert (scene.person.waits, asked.done()) == (1, False)
        scene.wire.hear(scene.bunker.answers(scene.wire.sent[0]))
        assert (await asked).content == "Grüße"


@pytest.mark.faults
async def test_a_signer_that_stays_silent_is_given_up() -> None:
    """After ten minutes the request fails and is forgotten: a late answer is dropped."""
    scene = Scene()
    scene.wire.is_deaf = True
    async with scene.asking() as asked:
        await scene.clock.advance(601)
        with pytest.raises(SignerUnavailable, match="did not answer within 600 s"):
            await asked
    assert scene.client.unanswered == ()
    scene.wire.hear(scene.bunker.answers(scene.wire.sent[0]))
    assert scene.client.dropped["unasked"] == 1


async def test_a_page_to_agree_on_is_shown_and_gives_new_time() -> None:
    """`auth_url` names the page; the second answer to the same request counts, ten minutes from then on."""
    scene = Scene()
    scene.wire.is_deaf = True
    async with scene.asking() as asked:
        await scene.clock.advance(590)
        answers = scene.bunker.answers(scene.wire.sent[0])
        request_id = scene.bunker.requests[0].id
        page = Response(request_id, result="auth_url", error="https://signer.example/agree?x=1")
        scene.wire.hear([scene.bunker.event(page, scene.key.pubkey)] * 2)
        await scene.clock.advance(590)
        assert (scene.person.pages, asked.done()) == (["https://signer.example/agree?x=1"], False)
        scene.wire.hear(answers)
        assert (await asked).content == "Grüße"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "", "https://a b", "https://u@h", None])
async def test_a_page_that_is_none_is_not_shown(url: str | None) -> None:
    """Only http(s) links with a host are put before a person."""
    scene = Scene()
    scene.wire.is_deaf = True
    async with scene.asking() as asked:
        answers = scene.bunker.answers(scene.wire.sent[0])
        page = Response(scene.bunker.requests[0].id, result="auth_url", error=url)
        scene.wire.hear([scene.bunker.event(page, scene.key.pubkey)])
        assert (scene.person.pages, scene.client.dropped["bad_auth_url"]) == ([], 1)
        scene.wire.hear(answers)
        await asked


async def test_a_signer_cannot_keep_a_person_busy_for_ever() -> None:
    """Three pages for one request; further ones are dropped and give no new time."""
    scene = Scene()
    scene.wire.is_deaf = True
    async with scene.asking() as asked:
        scene.bunker.answers(scene.wire.sent[0])
        for number in range(10):
            page = Response(scene.bunker.requests[0].id, result="auth_url", error=f"https://signer.example/{number}")
            scene.wire.hear([scene.bunker.event(page, scene.key.pubkey)])
            await scene.clock.advance(500)
        assert (len(scene.person.pages), asked.done()) == (3, True)


async def test_a_refusal_is_made_safe_to_show() -> None:
    """Control characters of a signer's words do not reach a terminal, and they are cut."""
    scene = Scene(lambda request: [Response(request.id, error=f"no\x1b[2J\n\u202e{'x' * 999}")])
    with pytest.raises(SignerUnavailable) as caught:
        await scene.client.get_public_key()
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.faults
async def test_a_signer_that_cannot_be_reached_is_told_at_once() -> None:
    """No relay took the request: no waiting for an answer that cannot come."""
    scene = Scene()
    scene.wire.problem = "away are wss://a.example"
    with pytest.raises(SignerUnavailable, match="cannot be reached: away are"):
        await scene.client.sign(scene.draft())
    assert scene.client.unanswered == ()


async def test_requests_under_way_can_be_sent_again_as_they_are() -> None:
    """What was lost with a connection goes out as the same event, so that a signer knows it again."""
    scene = Scene()
    scene.wire.is_deaf = True
    async with scene.asking() as asked:
        assert scene.client.unanswered == tuple(scene.wire.sent)
        scene.wire.is_deaf = False
        for event in scene.client.unanswered:
            await scene.wire.send(event)
        assert (await asked).content == "Grüße"
        assert len({event.id for event in scene.wire.sent}) == 1
    assert scene.client.unanswered == ()


async def test_several_signatures_at_once_are_not_mixed_up() -> None:
    """Answers find their requests in whatever order they come."""
    scene = Scene()
    scene.wire.is_deaf = True
    drafts = [UnsignedEvent(scene.bunker.user.pubkey, 1, 1, (), str(number)) for number in range(5)]
    asked = [asyncio.create_task(scene.client.sign(draft)) for draft in drafts]
    await scene.clock.until_sleeping(5)
    for event in reversed(scene.wire.sent):
        scene.wire.hear(scene.bunker.answers(event))
    assert [(await task).content for task in asked] == ["0", "1", "2", "3", "4"]
