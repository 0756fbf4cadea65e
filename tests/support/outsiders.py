"""A person with another implementation (nostr-sdk, Rust): publishes, reads, unwraps messages, joins.

Of Podium it knows docs/wire-formats.md and nothing else. Every event it is given it verifies itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

import httpx
import msgspec
import nostr_sdk as sdk
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

_WITHIN: Final = timedelta(seconds=60)
Event = dict[str, Any]
"""A verified event, as the JSON of NIP-01."""


class Letter(msgspec.Struct, frozen=True):
    """A private message that nostr-sdk unwrapped. `at` is the rumor's own time."""

    rumor_id: str
    wrap_id: str
    sender: str
    subject: str
    text: str
    at: int
    rumor: Event


class Answer(msgspec.Struct, frozen=True):
    """What the daemon said over HTTP."""

    status: int
    body: Any


class Outsider:
    """One person with a key and a connection to one relay."""

    def __init__(self, client: sdk.Client, keys: sdk.Keys, relay_url: str) -> None:
        self._client = client
        self._relay_url = relay_url
        self.keys = keys
        self.pubkey = str(keys.public_key().to_hex())
        self.npub = str(keys.public_key().to_bech32())
        self.heard: list[Event] = []
        """Everything the subscriptions of this person brought, in the order of arrival."""
        self._letters: dict[str, Letter] = {}
        self._listening = asyncio.create_task(self._listen())

    # -- the relay

    async def publish(
        self, kind: int, tags: Iterable[Sequence[str]], content: str = "", *, created_at: int | None = None
    ) -> Event:
        """Sign with nostr-sdk and publish; the relay must take it."""
        event = self.sign(kind, tags, content, created_at=created_at)
        output = await self._client.send_event(sdk.Event.from_json(json.dumps(event)))
        assert not output.failed, output.failed
        return event

    def sign(
        self, kind: int, tags: Iterable[Sequence[str]], content: str = "", *, created_at: int | None = None
    ) -> Event:
        """An event by this person."""
        builder = sdk.EventBuilder(sdk.Kind(kind), content).tags([sdk.Tag.parse(list(tag)) for tag in tags])
        if created_at is not None:
            builder = builder.custom_created_at(sdk.Timestamp.from_secs(created_at))
        return _checked(builder.finalize(self.keys))

    def check(self, event: Event) -> None:
        """Have nostr-sdk verify an event that came inside another one."""
        _checked(sdk.Event.from_json(json.dumps(event)))

    async def schedule(self, service: str, identifier: str, starts_at: int, ends_at: int, *more: Sequence[str]) -> str:
        """A session as any calendar client would publish it, with the service tagged; its address."""
        tags = [
            ["d", identifier],
            ["title", identifier.replace("-", " ").capitalize()],
            ["start", str(starts_at)],
            ["end", str(ends_at)],
            ["D", str(starts_at // 86400)],
            ["p", service, self._relay_url, "service"],
        ]
        await self.publish(31923, [*tags, *more])
        return f"31923:{self.pubkey}:{identifier}"

    async def answer(self, session_address: str, status: str) -> Event:
        """An RSVP as any calendar client would publish it: `d` is random."""
        return await self.publish(31925, [["d", secrets.token_hex(8)], ["a", session_address], ["status", status]])

    async def everything(self) -> list[Event]:
        """What the relay has stored, of every kind and every author."""
        found = await self._client.fetch_events(sdk.ReqTarget.auto([sdk.Filter()]), _WITHIN)
        return [_checked(event) for event in found]

    async def find(self, kind: int, *, author: str | None = None, **tags: str) -> list[Event]:
        """What the relay has stored, the newest first."""
        found = await self._client.fetch_events(
            sdk.ReqTarget.auto([sdk.Filter.from_json(json.dumps(_filter(kind, author, tags)))]), _WITHIN
        )
        events = [_checked(event) for event in found]
        return sorted(events, key=lambda event: event["created_at"], reverse=True)

    async def follow(self, kind: int, *, author: str | None = None, **tags: str) -> None:
        """Hear of everything that comes, and of what is there."""
        wanted = sdk.Filter.from_json(json.dumps(_filter(kind, author, tags)))
        await self._client.subscribe(sdk.ReqTarget.auto([wanted]))

    # -- messages

    async def open_inbox(self, relay_url: str | None = None) -> None:
        """Say where messages are read (kind 10050), and read there."""
        await self.publish(10050, [["relay", relay_url or self._relay_url]])
        await self.follow(1059, p=self.pubkey)

    async def seal(self, recipient: str, kind: int, tags: Iterable[Sequence[str]], content: str = "") -> None:
        """Send a rumor of any kind, sealed and wrapped by nostr-sdk (NIP-59)."""
        builder = sdk.EventBuilder(sdk.Kind(kind), content).tags([sdk.Tag.parse(list(tag)) for tag in tags])
        rumor = builder.finalize_unsigned(self.keys.public_key())
        wrap = sdk.nip59_make_gift_wrap(self.keys, sdk.PublicKey.parse(recipient), rumor)
        assert not (await self._client.send_event(wrap)).failed

    @property
    def letters(self) -> list[Letter]:
        """The messages that came, unwrapped by nostr-sdk; each wrap once."""
        own = (event for event in self.heard if event["kind"] == 1059 and first(event, "p") == self.pubkey)
        for event in own:
            if event["id"] not in self._letters:  # each is opened once: tests ask again and again
                self._letters[event["id"]] = self._opened(event)
        return list(self._letters.values())

    def letters_at(self, at: int) -> list[Letter]:
        """Those that were due at that second."""
        return [letter for letter in self.letters if letter.at == at]

    def _opened(self, wrap: Event) -> Letter:
        gift = sdk.UnwrappedGift.from_gift_wrap(self.keys, sdk.Event.from_json(json.dumps(wrap)))
        rumor = json.loads(gift.rumor().as_json())
        return Letter(
            rumor_id=_id_of(rumor),
            wrap_id=wrap["id"],
            sender=str(gift.sender().to_hex()),
            subject=first(rumor, "subject") or "",
            text=rumor["content"],
            at=rumor["created_at"],
            rumor=rumor,
        )

    # -- the daemon

    async def call(self, method: str, url: str, body: object = None) -> Answer:
        """An HTTP call signed with nostr-sdk (NIP-98)."""
        raw = b"" if body is None else json.dumps(body).encode()
        tags = [["u", url], ["method", method], ["nonce", secrets.token_hex(8)]]
        tags += [["payload", hashlib.sha256(raw).hexdigest()]] if raw else []
        return await send(method, url, raw, self.sign(27235, tags))

    async def join(
        self, base: str, reference: str, session_address: str, *, device: str = "laptop", private: bool = False
    ) -> Seat:
        """Join with one signature and sit down, as docs/wire-formats.md says ("Joining")."""
        path = f"{base}/api/sessions/{reference}/join"
        ask = self.call("POST", f"{path}/challenge") if private else send("POST", f"{path}/challenge")
        challenge = (await ask).body
        tags = [["u", challenge["url"]], ["method", "POST"], ["a", session_address]]
        tags += [["nonce", challenge["nonce"]], ["device", device]]
        if challenge["recordingPolicyHash"]:
            tags.append(["recording_consent", "yes", challenge["recordingPolicyHash"]])
        proof = self.sign(27235, tags)
        answer = await send("POST", challenge["url"], b"", proof)
        assert answer.status == httpx.codes.OK, answer
        return await Seat.take(answer.body["socketUrl"], {"type": "hello", "token": answer.body["token"]}, proof["id"])

    async def close(self) -> None:
        """Go."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._client.shutdown()

    async def _listen(self) -> None:
        stream = self._client.notifications()
        seen: set[str] = set()
        while (notification := await stream.next()) is not None:
            if not isinstance(notification, sdk.ClientNotification.NEW_EVENT):
                continue
            event = _checked(notification.event)
            if event["id"] not in seen:
                seen.add(event["id"])
                self.heard.append(event)


class Seat:
    """A place in the room: a socket that beats until it is left."""

    def __init__(self, socket: ClientConnection, url: str, proof_id: str) -> None:
        self._socket = socket
        self._url = url
        self.proof_id = proof_id
        self.said: dict[str, Event] = {}
        """The newest message of each type that the room sent."""
        self.closed = asyncio.Event()
        self.closed_at: float | None = None
        self._welcomed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._beat())]

    @classmethod
    async def take(cls, url: str, greeting: Event, proof_id: str) -> Seat:
        """Open the socket, say who comes, and wait until the room says welcome or closes."""
        seat = cls(await connect(url, proxy=None, open_timeout=60, compression=None), url, proof_id)
        await seat._socket.send(json.dumps(greeting))
        async with asyncio.timeout(60):
            await seat._welcomed.wait()
        return seat

    @property
    def is_taken(self) -> bool:
        """Whether the room said welcome."""
        return "welcome" in self.said

    async def come_back(self) -> Seat:
        """Return with the resume secret, without a signature."""
        return await Seat.take(self._url, {"type": "return", "secret": self.said["resume"]["secret"]}, self.proof_id)

    async def leave(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(Exception):
            await self._socket.send('{"type":"leave"}')
        await self.drop()

    async def drop(self) -> None:
        """Be gone without a word."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.transport.abort()
        await self._socket.wait_closed()

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in self._socket:
                message = json.loads(frame)
                self.said[message["type"]] = message
                if message["type"] == "resume":  # it follows the welcome
                    self._welcomed.set()
        self.closed_at = time.time()
        self.closed.set()
        self._welcomed.set()

    async def _beat(self) -> None:
        await self._welcomed.wait()
        with contextlib.suppress(ConnectionClosed):  # it would be raised again and again without a pause for the reader
            while not self.closed.is_set():
                await self._socket.send('{"type":"beat"}')
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.said["welcome"]["heartbeat"]):
                        await self.closed.wait()


@contextlib.asynccontextmanager
async def outsiders(relay_url: str, count: int, keys: Sequence[sdk.Keys] = ()) -> AsyncIterator[list[Outsider]]:
    """So many people, the first ones with these keys, each on a connection of their own."""
    people: list[Outsider] = []
    try:
        for number in range(count):
            client = sdk.ClientBuilder().build()
            await client.add_relay(sdk.RelayUrl.parse(relay_url))
            await client.connect(_WITHIN)
            own = keys[number] if number < len(keys) else sdk.Keys.generate()
            people.append(Outsider(client, own, relay_url))
        yield people
    finally:
        await asyncio.gather(*(person.close() for person in people))


async def send(method: str, url: str, body: bytes = b"", login: Event | None = None) -> Answer:
    """An HTTP call with an event as its login."""
    headers = {"Content-Type": "application/json"}
    if login is not None:
        headers["Authorization"] = "Nostr " + base64.b64encode(json.dumps(login).encode()).decode()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        response = await client.request(method, url, content=body, headers=headers)
    return Answer(response.status_code, response.json() if response.content else None)


def first(event: Event, name: str) -> str | None:
    """The first value of the first tag of that name."""
    return next((tag[1] for tag in event["tags"] if tag[0] == name and len(tag) > 1), None)


def rows(event: Event, name: str) -> list[list[str]]:
    """All tags of that name."""
    return [tag for tag in event["tags"] if tag[0] == name]


def _filter(kind: int, author: str | None, tags: dict[str, str]) -> Event:
    wanted: Event = {"kinds": [kind], **{f"#{name}": [value] for name, value in tags.items()}}
    return wanted if author is None else {**wanted, "authors": [author]}


def _checked(event: sdk.Event) -> Event:
    assert event.verify(), f"nostr-sdk does not verify {event.as_json()}"
    return dict(json.loads(event.as_json()))


def _id_of(rumor: Event) -> str:
    computed = sdk.EventId.compute(
        sdk.PublicKey.parse(rumor["pubkey"]),
        sdk.Timestamp.from_secs(rumor["created_at"]),
        sdk.Kind(rumor["kind"]),
        [sdk.Tag.parse(tag) for tag in rumor["tags"]],
        rumor["content"],
    ).to_hex()
    assert rumor.get("id", computed) == computed, rumor
    return str(computed)
