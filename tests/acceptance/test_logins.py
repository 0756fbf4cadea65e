"""How the installed program logs in: to a daemon over HTTP (NIP-98), to a relay that asks (NIP-42)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nostr_sdk as sdk
import pytest

from tests.support.installed import Site
from tests.support.outsiders import Event, first
from tests.support.schemata import installed_schemata
from tests.support.scripted_relay import Talk, scripted_relay

pytestmark = pytest.mark.real_peer

HTTP_LOGIN, RELAY_LOGIN = 27235, 22242
CHALLENGE = 'a challenge, with "quotes" and ünïcode'


class Post:
    """A web server that writes down what it is asked, and answers nothing of use."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, Event, bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request: its first line, its login, its body."""
        first_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        scheme, _, encoded = headers["authorization"].partition(" ")
        assert scheme == "Nostr"
        self.requests.append((first_line, json.loads(base64.b64decode(encoded, validate=True)), body))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def _post() -> AsyncIterator[Post]:
    post = Post()
    async with await asyncio.start_server(post.serve, "127.0.0.1", 0) as server:
        post.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield post


async def test_commands_sign_what_they_call(tmp_path: Path) -> None:
    """Each call carries a fresh kind 27235 event by the caller's key, for this URL, method and body, and no other."""
    schemata = installed_schemata()
    site = Site(tmp_path, relays=[])
    pubkey = await site.make_key()
    async with _post() as post:
        await asyncio.gather(
            site.podium("--url", post.url, "rsvps", "knots"),
            site.podium("--url", post.url, "session", "create", "Knots", "--at", "+1h"),
        )
        logins = {line.split(" ")[0]: (line, login, body) for line, login, body in post.requests}
        assert set(logins) == {"GET", "POST"}
        for method, (line, login, body) in logins.items():
            assert sdk.Event.from_json(json.dumps(login)).verify()
            assert schemata.flaws(login) == []
            assert (login["kind"], login["pubkey"]) == (HTTP_LOGIN, pubkey)
            assert (first(login, "u"), first(login, "method")) == (post.url + line.split(" ")[1], method)
            assert first(login, "payload") == (hashlib.sha256(body).hexdigest() if body else None)
            assert abs(login["created_at"] - time.time()) < 60
    assert len({login["id"] for _, login, _ in post.requests}) == 2


async def test_the_daemon_logs_in_to_a_relay_that_asks(tmp_path: Path) -> None:
    """Asked by its own relay, the daemon signs the challenge with the service's key, for that relay, once."""
    schemata = installed_schemata()
    async with scripted_relay(_ask_for_a_login) as relay:
        site = Site(tmp_path, relays=[relay.url])
        pubkey = await site.make_key()
        async with site.running():
            await relay.until_messages("EVENT")
        ((_, login),) = [message for message in relay.messages if message[0] == "AUTH"]
    assert sdk.Event.from_json(json.dumps(login)).verify()
    assert schemata.flaws(login) == []
    assert (login["kind"], login["pubkey"], login["content"]) == (RELAY_LOGIN, pubkey, "")
    assert first(login, "challenge") == CHALLENGE
    assert (first(login, "relay") or "").rstrip("/") == relay.url


async def _ask_for_a_login(talk: Talk) -> None:
    await talk.send("AUTH", CHALLENGE)
    known = False
    while True:
        match await talk.receive():
            case ["AUTH", login]:
                known = True
                await talk.send("OK", login["id"], True, "")
            case ["REQ", name, *_] if known:
                await talk.send("EOSE", name)
            case ["REQ", name, *_]:
                await talk.send("CLOSED", name, "auth-required: who are you?")
            case ["EVENT", event] if known:
                await talk.send("OK", event["id"], True, "")
            case ["EVENT", event]:
                await talk.send("OK", event["id"], False, "auth-required: who are you?")
