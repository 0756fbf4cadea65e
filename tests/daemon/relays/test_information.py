"""What relays say of themselves, asked with the same care as everything else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from podium_daemon.relays.addresses import Destination
from podium_daemon.relays.information import MAX_BYTES, Information, fetch_limits
from podium_protocol.nips.nip11 import NO_LIMITS, RelayLimits
from tests.support.clock import ManualClock
from tests.support.pools import running_pool
from tests.support.relays import new_key, running_relay, signed
from tests.support.scripted_relay import Talk, raw_server, says, scripted_relay
from tests.support.tls import contexts

TLS = ssl.create_default_context()
DOCUMENT = b'{"limitation":{"max_subscriptions":10}}'


def place(url: str, path: str = "", *, host: str = "relay.test") -> Destination:
    """A relay of another name at this address."""
    parts = urlsplit(url)
    assert parts.port is not None
    is_secure = parts.scheme == "wss"
    named = f"{parts.scheme}://{host}:{parts.port}{path}"
    return Destination(named, host, parts.port, is_secure=is_secure, addresses=("127.0.0.1",))


def answering(
    head: bytes, body: bytes = b""
) -> tuple[list[bytes], Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]]:
    """A web server that gives one answer, and the requests it got."""
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %b\r\nConnection: close\r\n\r\n" % head + body)
        await writer.drain()

    return seen, handle


async def test_the_document_is_asked_for_at_the_address_that_was_checked() -> None:
    """Path, query and host are the relay's own, the type is NIP-11's, and nothing unpacks."""
    seen, handle = answering(b"200 OK", DOCUMENT)
    async with raw_server(handle) as url:
        to = place(url, "/nostr?room=1")
        assert await fetch_limits(to, tls=TLS) == RelayLimits(max_subscriptions=10)
        request = seen[0].decode().lower()
        assert request.startswith("get /nostr?room=1 http/1.1\r\n")
        assert f"\r\nhost: relay.test:{to.port}\r\n" in request
        assert "\r\naccept: application/nostr+json\r\n" in request
        assert "\r\naccept-encoding: identity\r\n" in request


async def test_a_secure_relay_must_have_its_own_certificate() -> None:
    """The name in the URL counts, not the address."""
    server, client = contexts("relay.test")
    seen, handle = answering(b"200 OK", DOCUMENT)
    async with raw_server(handle, ssl=server) as url:
        assert await fetch_limits(place(url), tls=client) == RelayLimits(max_subscriptions=10)
        with pytest.raises(OSError, match="certificate"):
            await fetch_limits(place(url, host="other.test"), tls=client)
        assert len(seen) == 1


@pytest.mark.parametrize(
    ("head", "body", "why"),
    [
        (b"302 Found\r\nLocation: http://127.0.0.1:1/", b"", "HTTP 302"),
        (b"404 Not Found", b"", "HTTP 404"),
        (b"200 OK", b"<html>", "NIP-11"),
        (b"200 OK", b"x" * (MAX_BYTES + 1), "too long"),
        (b"200 OK\r\nContent-Encoding: gzip", b"\x1f\x8b", "NIP-11"),
        (b"nonsense", b"", "."),
    ],
    ids=["redirect", "none", "web page", "long", "packed", "no HTTP"],
)
async def test_anything_else_is_no_answer(head: bytes, body: bytes, why: str) -> None:
    """Redirects are not followed, and long documents not read."""
    _, handle = answering(head, body)
    async with raw_server(handle) as url:
        with pytest.raises(OSError, match=why):
            await fetch_limits(place(url), tls=TLS)


async def test_a_relay_that_does_not_answer_is_not_waited_for() -> None:
    """A web server that holds the connection holds up nothing else."""

    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with raw_server(hang) as url:
        with pytest.raises(OSError, match=r"within 0\.05 s"):
            await fetch_limits(place(url), tls=TLS, within=0.05)


async def test_it_is_asked_again_after_an_hour_and_what_was_known_stays() -> None:
    """A relay whose web server is away for once keeps its limits."""
    clock = ManualClock()
    seen, handle = answering(b"200 OK", DOCUMENT)
    information = Information(tls=TLS, clock=clock)
    async with raw_server(handle) as url:
        to = place(url)
        for _ in range(3):
            assert await information.read(to) == RelayLimits(max_subscriptions=10)
        assert len(seen) == 1
        await clock.advance(3601)
        await information.read(to)
        assert len(seen) == 2
    await clock.advance(3601)
    assert await information.read(to) == RelayLimits(max_subscriptions=10)
    assert await Information(tls=TLS, clock=clock).read(to) == NO_LIMITS


@pytest.mark.real_peer
async def test_a_relay_without_a_document_is_used_as_before() -> None:
    """LocalRelay has none."""
    async with running_relay() as relay, running_pool(relay.url) as pool:
        assert (await pool.publish(relay.url, signed(new_key()))).is_done
        assert pool.state_of(relay.url).limits == NO_LIMITS


async def test_an_event_longer_than_a_relay_takes_is_not_sent_there() -> None:
    """The outcome says how long it is, and that trying again is of no use; a shorter one goes."""
    limitation = {"limitation": {"max_message_length": 1024}}
    async with (
        scripted_relay(Talk.serve_honestly, process_request=says(limitation)) as relay,
        running_pool(relay.url) as pool,
    ):
        long = await pool.publish(relay.url, signed(new_key(), "x" * 2000))
        assert (long.is_done, long.retry_after) == (False, None)
        assert "the relay takes 1024 at most" in long.verdict.message
        assert (await pool.publish(relay.url, signed(new_key(), "short"))).is_done
        assert len(await relay.until_messages("EVENT")) == 1
