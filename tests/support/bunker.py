"""A remote signer (NIP-46) that does as a test tells it: in memory, or on a relay."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence

from podium_daemon.relays.incoming import Incoming
from podium_daemon.signers.remote_connection import Receiver
from podium_protocol import kinds
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent, VerifiedEvent, verify, verify_json
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip46
from podium_protocol.nips.nip46 import Request, Response
from tests.support.pools import running_pool
from tests.support.relays import new_key

Behaviour = Callable[[Request], Sequence[Response | bytes] | None]
"""What to answer to a request; None leaves it to the honest signer, bytes go out as they are."""


class ScriptedBunker:
    """Holds a user's key and answers requests; `requests` are those it could read, in order."""

    def __init__(self, behaviour: Behaviour | None = None, *, secret: str = "let me in") -> None:  # noqa: S107 (a test's)
        self.key = new_key()
        self.user = new_key()
        self.secret = secret
        self.behaviour = behaviour
        self.requests: list[Request] = []
        self.clients: set[str] = set()

    def url(self, *relays: str) -> str:
        """The bunker URL."""
        return nip46.write_bunker(nip46.BunkerUrl(self.key.pubkey, relays or ("ws://127.0.0.1:1",), self.secret))

    def answers(self, event: SignedEvent) -> list[bytes]:
        """The events that answer one from the relay."""
        verified = verify(event)
        assert isinstance(verified, VerifiedEvent)
        request = nip46.read_request(verified, self.key)
        self.requests.append(request)
        said = self.behaviour(request) if self.behaviour is not None else None
        responses = [self.honest(request, verified.pubkey)] if said is None else said
        return [one if isinstance(one, bytes) else self.event(one, verified.pubkey) for one in responses]

    def honest(self, request: Request, client: str) -> Response:
        """What NIP-46 wants to be answered."""
        if request.method == "connect":
            if request.params[0] != self.key.pubkey or request.params[1] != self.secret:
                return Response(request.id, error="wrong secret")
            self.clients.add(client)
            return Response(request.id, result="ack")
        if client not in self.clients:
            return Response(request.id, error="unknown client")
        return self._granted(request, client)

    def _granted(self, request: Request, client: str) -> Response:
        match request.method:
            case "get_public_key":
                return Response(request.id, result=self.user.pubkey)
            case "sign_event":
                return Response(request.id, result=self.signed(request).to_json().decode())
            case "logout":
                self.clients.discard(client)
                return Response(request.id, result="ack")
        return Response(request.id, error="unsupported")

    def signed(self, request: Request, **changes: object) -> SignedEvent:
        """The event of a request, signed by the user, with fields changed."""
        draft = json.loads(request.params[0]) | changes
        tags = tuple(tuple(tag) for tag in draft["tags"])
        event = UnsignedEvent(self.user.pubkey, draft["created_at"], draft["kind"], tags, draft["content"])
        return self.user.sign(event, os.urandom(32))

    def scan(self, uri: str) -> bytes:
        """The event that answers a nostrconnect:// URI which the person showed to the signer."""
        shown = nip46.parse_client(uri)
        self.clients.add(shown.client)
        return self.event(Response("scanned", result=shown.secret), shown.client)

    def event(self, response: Response, client: str, key: SecretKey | None = None) -> bytes:
        """A response as its event, signed by the signer's key or by another one."""
        sender = key or self.key
        draft = nip46.write_event(
            response,
            sender,
            client,  # type: ignore[arg-type]  # a verified event's author
            now=int(time.time()),
            nonce=os.urandom(32),
        )
        return sender.sign(draft, os.urandom(32)).to_json()


class MemoryBox:
    """A mailbox in memory: what the signer answers is heard at once."""

    def __init__(self, transport: MemoryTransport, relays: tuple[str, ...], receiver: Receiver) -> None:
        self.transport = transport
        self.relays = relays
        self.receiver = receiver
        self.is_open = True

    async def listens(self) -> str | None:
        """Whether it can be used."""
        return self.transport.problem

    async def send(self, event: SignedEvent) -> str | None:
        """Bring an event to the signer."""
        self.transport.sent.append(event)
        if self.transport.problem is None and not self.transport.is_deaf:
            for raw in self.transport.bunker.answers(event):
                self.receiver.receive(raw)
        return self.transport.problem

    def close(self) -> None:
        """Give it up."""
        self.is_open = False


class MemoryTransport:
    """Mailboxes with one signer at the other end. `problem`: what its relays say; `is_deaf`: it says nothing."""

    def __init__(self, bunker: ScriptedBunker) -> None:
        self.bunker = bunker
        self.problem: str | None = None
        self.is_deaf = False
        self.boxes: list[MemoryBox] = []
        self.sent: list[SignedEvent] = []

    def open(self, _key: Pubkey, relays: Sequence[str], receiver: Receiver) -> MemoryBox:
        """A mailbox."""
        self.boxes.append(MemoryBox(self, tuple(relays), receiver))
        return self.boxes[-1]

    @property
    def open_boxes(self) -> int:
        """The number that were not given up."""
        return sum(box.is_open for box in self.boxes)

    def scan(self, uri: str) -> None:
        """The person shows a code to the signer."""
        self.boxes[-1].receiver.receive(self.bunker.scan(uri))


@contextlib.asynccontextmanager
async def serving(bunker: ScriptedBunker, relay_url: str) -> AsyncIterator[None]:
    """The signer on a relay, listening."""
    jobs: set[asyncio.Task[None]] = set()
    listens = asyncio.Event()

    async def take(events: Sequence[Incoming]) -> None:
        for incoming in events:
            event = verify_json(incoming.raw)
            assert isinstance(event, VerifiedEvent)
            for raw in bunker.answers(event):
                task = asyncio.create_task(publish(raw))
                jobs.add(task)
                task.add_done_callback(jobs.discard)

    async def publish(raw: bytes) -> None:
        event = verify_json(raw)
        assert isinstance(event, VerifiedEvent)
        assert (await pool.publish(relay_url, event)).is_done

    async def on_eose(_name: str, _url: str, _partial: bool) -> None:
        listens.set()

    async with running_pool(relay_url, sink=take, on_eose=on_eose) as pool:
        wanted = Filter(kinds=(kinds.REMOTE_SIGNING,), tags=(("p", (bunker.key.pubkey,)),))
        pool.subscribe("requests", (wanted,))
        await listens.wait()
        yield
        await asyncio.gather(*jobs)
