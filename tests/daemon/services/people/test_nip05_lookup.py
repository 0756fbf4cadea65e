"""NIP-05 names over HTTPS, from a server that may be anybody's."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Collection
from ipaddress import IPv4Network

import pytest

from podium_daemon.relays.addresses import Lookup
from podium_daemon.services.people import nip05_lookup
from podium_daemon.services.people.nip05_lookup import MAX_BYTES, look_up
from podium_protocol.events import Pubkey
from tests.support.events import key_of
from tests.support.relays import new_key
from tests.support.tls import Answer, contexts, https_server

DOMAIN = "names.example.org"
LOOPBACK = (IPv4Network("127.0.0.0/8"),)
SERVER, CLIENT = contexts(DOMAIN)
ADA = key_of(1).pubkey


def leading_to(*addresses: str) -> Lookup:
    """A resolver that always gives these addresses."""

    async def lookup(_host: str, _port: int) -> Collection[str]:
        return addresses

    return lookup


def saying(body: bytes, status: str = "200 OK", *more: str) -> Answer:
    """A server with one answer."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *more, "", "")
        writer.write("\r\n".join(lines).encode() + body)

    return answer


def names(**known: object) -> bytes:
    """The document of NIP-05."""
    return json.dumps({"names": known}).encode()


async def asked(answer: Answer, name: str = f"ada@{DOMAIN}") -> Pubkey | None:
    """What a name says when the server answers like this."""
    async with https_server(answer, SERVER) as port:
        return await look_up(name, leading_to("127.0.0.1"), permitted=LOOPBACK, tls=CLIENT, port=port)


async def test_a_name_names_its_key() -> None:
    """The request asks for the name at the well-known place, and names the domain and not the address."""
    heads: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        await saying(names(ada=ADA, ben=new_key().pubkey))(head, writer)

    assert await asked(answer) == ADA
    assert heads[0].startswith(b"GET /.well-known/nostr.json?name=ada HTTP/1.1\r\n")
    assert f"\r\nHost: {DOMAIN}\r\n".encode().lower() in heads[0].lower()


async def test_a_domain_alone_is_its_underscore() -> None:
    """`_@domain` and the domain itself are the same name (NIP-05)."""
    for name in (DOMAIN, f"_@{DOMAIN}"):
        assert await asked(saying(names(_=ADA)), name) == ADA


@pytest.mark.family("NIP-19 and NIP-05")
@pytest.mark.parametrize(
    "body",
    [
        names(ben=ADA),
        names(Ada=ADA),
        names(ada=ADA.upper()),
        names(ada="0" * 64),
        names(ada="f" * 64),
        names(ada=""),
        names(ada="npub1x"),
        names(ada=None),
        names(ada=[ADA]),
        b"{}",
        b'{"names": {}}',
    ],
)
async def test_a_name_that_is_not_there_names_nobody(body: bytes) -> None:
    """A document without the name, or with something else than a key, is a clear no."""
    assert await asked(saying(body)) is None


async def test_odd_entries_of_others_do_not_hide_a_good_one() -> None:
    """A provider's other entries may be anything."""
    assert await asked(saying(names(ada=ADA, ben=None, cleo={"x": 1}))) == ADA


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
async def test_a_place_that_is_gone_names_nobody(status: str) -> None:
    """Nobody keeps such names there any more."""
    assert await asked(saying(names(ada=ADA), status)) is None


@pytest.mark.family("NIP-19 and NIP-05")
@pytest.mark.parametrize(
    ("body", "status", "header"),
    [
        (names(ada=ADA), "500 Internal Server Error", "X: y"),
        (names(ada=ADA), "503 Service Unavailable", "X: y"),
        (names(ada=ADA), "429 Too Many Requests", "X: y"),
        (names(ada=ADA), "403 Forbidden", "X: y"),
        (names(ada=ADA), "301 Moved Permanently", "Location: https://127.0.0.1/.well-known/nostr.json"),
        (names(ada=ADA), "302 Found", "Location: http://169.254.169.254/latest/meta-data/"),
        (b"<html>", "200 OK", "X: y"),
        (b"", "200 OK", "X: y"),
        (b'{"names": [', "200 OK", "X: y"),
        (b'{"names": ["ada"]}', "200 OK", "X: y"),
        (b"[" * 10_000, "200 OK", "X: y"),
        (b"\xff\xfe", "200 OK", "X: y"),
        (gzip.compress(names(ada=ADA), mtime=0), "200 OK", "Content-Encoding: gzip"),
        (b"x" * (MAX_BYTES + 1), "200 OK", "X: y"),
    ],
)
async def test_a_server_in_trouble_is_no_answer(body: bytes, status: str, header: str) -> None:
    """Errors, redirects, floods and nonsense say nothing of the name: the caller keeps what it knew."""
    with pytest.raises(OSError, match=r".+"):
        await asked(saying(body, status, header))


async def test_a_flood_is_not_read_to_its_end() -> None:
    """A body without an end costs no more than the cap."""
    sent = 0

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
            await writer.drain()
            sent += 4096

    with pytest.raises(OSError, match="long"):
        await asked(answer)
    assert sent < 100 * MAX_BYTES


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"])
async def test_a_server_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    """However it spreads its answer, the whole takes no longer than its time."""
    monkeypatch.setattr(nip05_lookup, "WITHIN", 0.2)
    begun = asyncio.Event()

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        begun.set()
        while True:
            await asyncio.sleep(0.01)  # a drip: each byte is in time, all of them are not
            writer.write(b" ")
            await writer.drain()

    with pytest.raises(OSError, match="within"):
        await asked(answer)
    assert begun.is_set()


@pytest.mark.family("NIP-19 and NIP-05")
@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.1", "192.168.1.1"),
        ("169.254.169.254",),
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("64:ff9b::7f00:1",),
        ("2002:7f00:1::",),
        ("224.0.0.1",),
        ("0.0.0.0",),  # noqa: S104  (a name may lead there; nothing listens)
        (),
        ("nonsense",),
    ],
)
async def test_a_name_does_not_lead_inside(addresses: tuple[str, ...]) -> None:
    """A name whose domain leads to private addresses only is not asked."""
    async with https_server(saying(names(ada=ADA)), SERVER) as port:
        with pytest.raises(OSError, match="no public address"):
            await look_up(f"ada@{DOMAIN}", leading_to(*addresses), tls=CLIENT, port=port)


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """The name is resolved once: a second answer of the resolver cannot lead elsewhere."""
    answers = [("127.0.0.1",), ("203.0.113.1",)]
    asked_for: list[str] = []

    async def rebinding(host: str, _port: int) -> Collection[str]:
        asked_for.append(host)
        return answers.pop(0)

    async with https_server(saying(names(ada=ADA)), SERVER) as port:
        assert await look_up(f"ada@{DOMAIN}", rebinding, permitted=LOOPBACK, tls=CLIENT, port=port) == ADA
    assert asked_for == [DOMAIN]


async def test_another_hosts_certificate_is_no_answer() -> None:
    """The server that answers must be the domain's, by its certificate."""
    server, client = contexts("other.example.org")
    async with https_server(saying(names(ada=ADA)), server) as port:
        with pytest.raises(OSError, match=r".+"):
            await look_up(f"ada@{DOMAIN}", leading_to("127.0.0.1"), permitted=LOOPBACK, tls=client, port=port)


async def test_an_untrusted_certificate_is_no_answer() -> None:
    """A certificate that nobody vouches for is refused."""
    other, _ = contexts(DOMAIN)
    async with https_server(saying(names(ada=ADA)), other) as port:
        with pytest.raises(OSError, match=r".+"):
            await look_up(f"ada@{DOMAIN}", leading_to("127.0.0.1"), permitted=LOOPBACK, tls=CLIENT, port=port)


async def test_nobody_there_is_no_answer() -> None:
    """A closed port and a resolver that knows nothing are told as such."""
    async with https_server(saying(b""), SERVER) as port:
        pass
    with pytest.raises(OSError, match=r".+"):
        await look_up(f"ada@{DOMAIN}", leading_to("127.0.0.1"), permitted=LOOPBACK, tls=CLIENT, port=port)

    async def failing(_host: str, _port: int) -> Collection[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(OSError, match="not known"):
        await look_up(f"ada@{DOMAIN}", failing)


async def test_a_resolver_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead name server holds nobody up."""
    monkeypatch.setattr(nip05_lookup, "WITHIN", 0.05)

    async def silent(_host: str, _port: int) -> Collection[str]:
        await asyncio.Event().wait()
        return ()

    with pytest.raises(OSError, match="within"):
        await look_up(f"ada@{DOMAIN}", silent)
