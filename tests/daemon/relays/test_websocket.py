"""The socket: handshakes that fail, redirects that are refused, frames of every kind, and goodbyes."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from podium_daemon.relays.addresses import AddressRefused, Destination, SystemLookup, resolve_configured
from podium_daemon.relays.websocket import Received, SocketLost, WebSocket
from tests.support.scripted_relay import Talk, raw_server, scripted_relay

LIMIT = 1000


async def opened(url: str, *, within: float = 5.0, tls: ssl.SSLContext | None = None) -> WebSocket:
    """A connection to a server of the test."""
    to = await resolve_configured(url, SystemLookup())
    assert isinstance(to, Destination)
    context = tls or ssl.create_default_context()
    return await WebSocket.open(to, tls=context, max_frame_bytes=LIMIT, within=within)


async def texts_of(socket: WebSocket, count: int) -> list[bytes]:
    """The next messages."""
    texts: list[bytes] = []
    while len(texts) < count:
        texts += (await socket.receive()).texts
    return texts


async def loss_of(socket: WebSocket) -> SocketLost:
    """How the connection ends."""
    try:
        while True:
            await socket.receive()
    except SocketLost as lost:
        return lost


def redirect(location: str, status: HTTPStatus) -> Callable[[ServerConnection, Request], Response]:
    """A server that sends clients elsewhere."""

    def answer(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(status, "")
        response.headers["Location"] = location
        return response

    return answer


@pytest.mark.parametrize(
    "status", [HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.SEE_OTHER]
)
async def test_redirects_are_refused_and_told(status: HTTPStatus) -> None:
    """A relay cannot send us to another host; the error names where it wanted us."""

    async def never(_talk: Talk) -> None:
        raise AssertionError("the redirect was followed")

    async with (
        scripted_relay(never) as other,
        scripted_relay(never, process_request=redirect(other.url, status)) as relay,
    ):
        with pytest.raises(SocketLost, match=f"redirects .{status}. to {other.url}, which is not followed"):
            await opened(relay.url)
        assert other.connections == 0


async def test_words_of_a_relay_cannot_move_the_cursor_of_a_terminal() -> None:
    """Control characters and walls of text do not get into an error."""
    nasty = "ws://x/%1b[2J\x07" + "y" * 5000
    async with scripted_relay(Talk.serve_honestly, process_request=redirect(nasty, HTTPStatus.FOUND)) as relay:
        with pytest.raises(SocketLost) as caught:
            await opened(relay.url)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("status", [HTTPStatus.OK, HTTPStatus.FORBIDDEN, HTTPStatus.BAD_GATEWAY])
async def test_other_answers_to_the_handshake_are_told_by_their_status(status: HTTPStatus) -> None:
    """A web server that is no relay is called that."""

    def refuse(connection: ServerConnection, _request: Request) -> Response:
        return connection.respond(status, "no relay here")

    async with scripted_relay(Talk.serve_honestly, process_request=refuse) as relay:
        with pytest.raises(SocketLost, match=f"answered HTTP {status} instead"):
            await opened(relay.url)


async def speak_smtp(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Another protocol."""
    writer.write(b"220 mail.example.org ESMTP\r\n" * 10)
    await writer.drain()
    await asyncio.Event().wait()


async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Close after the request."""
    await reader.readuntil(b"\r\n\r\n")


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the answer byte by byte, for ever."""
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nX-Drip: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.005)


async def endless_header(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a header that never ends, as fast as possible."""
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        writer.write(b"X-More: " + b"a" * 4000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        pytest.param(speak_smtp, "did not answer as a WebSocket server", id="another protocol"),
        pytest.param(hang_up, "dropped the connection before answering", id="hangs up"),
        pytest.param(say_nothing, "did not answer within 0.3 s", id="silent"),
        pytest.param(drip, "did not answer", id="drips"),
        pytest.param(endless_header, "did not answer as a WebSocket server", id="endless header"),
    ],
)
async def test_handshakes_that_do_not_happen_end_in_time_with_a_reason(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], words: str
) -> None:
    """Whatever the server does, opening ends and says why."""
    async with raw_server(handle) as url:
        with pytest.raises(SocketLost, match=words):
            await opened(url, within=0.3)


async def test_a_closed_port_is_told() -> None:
    """Nobody listens: the connection is refused."""
    async with raw_server(hang_up) as url:
        pass
    with pytest.raises(SocketLost, match="refused the connection"):
        await opened(url)


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    """A host with a dead IPv6 address and a living IPv4 one is reached."""
    async with scripted_relay(Talk.serve_honestly) as relay:
        port = int(relay.url.rsplit(":", 1)[1])
        to = Destination(relay.url, "127.0.0.1", port, is_secure=False, addresses=("127.0.0.2", "127.0.0.1"))
        socket = await WebSocket.open(to, tls=ssl.create_default_context(), max_frame_bytes=LIMIT, within=5)
        await socket.close()
        assert relay.connections == 1


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables such as ALL_PROXY do not lead relay traffic elsewhere."""
    for name in ("ws_proxy", "http_proxy", "all_proxy", "socks_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with scripted_relay(Talk.serve_honestly) as relay:
        await (await opened(relay.url)).close()
        assert relay.connections == 1


async def test_messages_arrive_whole_and_in_order_however_they_are_cut() -> None:
    """Fragments are joined, empty ones included; messages in one piece with the handshake are not lost."""

    async def cut(talk: Talk) -> None:
        await talk.send_raw("one")
        await talk.socket.send(["t", "", "w", "", "", "o"])
        await talk.socket.ping()
        await talk.send_raw("three")

    async with scripted_relay(cut) as relay:
        socket = await opened(relay.url)
        assert await texts_of(socket, 3) == [b"one", b"two", b"three"]
        await socket.close()


async def test_binary_messages_are_dropped_and_counted() -> None:
    """Nostr has none; the texts around them stay."""

    async def mixed(talk: Talk) -> None:
        await talk.send_raw(b"\x00\xff")
        await talk.socket.send([b"\x01", b"\x02"])
        await talk.send_raw("text")

    async with scripted_relay(mixed) as relay:
        socket, texts, binaries = await opened(relay.url), list[bytes](), 0
        while not texts:
            received = await socket.receive()
            texts += received.texts
            binaries += received.binaries
        assert (texts, binaries) == ([b"text"], 2)
        await socket.close()


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    """A frame as a server sends it."""
    return Frame(opcode, data, fin).serialize(mask=False)


@pytest.mark.parametrize(
    ("data", "words", "oversized"),
    [
        pytest.param(frame(Opcode.TEXT, b"x" * (LIMIT + 1)), "above the size limit", True, id="too large"),
        pytest.param(b"\x81\x7f" + b"\x7f" * 8, "above the size limit", True, id="nine exabytes announced"),
        pytest.param(
            frame(Opcode.TEXT, b"x" * 600, fin=False) + frame(Opcode.CONT, b"x" * 600),
            "above the size limit",
            True,
            id="too large in sum",
        ),
        pytest.param(b"\xc1\x01x", "broke the WebSocket protocol", False, id="compressed"),
        pytest.param(frame(Opcode.CONT, b"x"), "broke the WebSocket protocol", False, id="continuation of nothing"),
        pytest.param(b"\x83\x00", "broke the WebSocket protocol", False, id="reserved opcode"),
        pytest.param(b"\x81\x81abcdx", "broke the WebSocket protocol", False, id="masked by a server"),
        pytest.param(b"\x89\x7e\x01\x00" + b"x" * 256, "broke the WebSocket protocol", False, id="long ping"),
        pytest.param(frame(Opcode.CLOSE, b"\x03\xe9bye\x1b"), "closed the connection: 1001 bye", False, id="close"),
        pytest.param(frame(Opcode.CLOSE, b""), "closed the connection: 1005", False, id="close without a word"),
        pytest.param(frame(Opcode.CLOSE, b"\x03"), "broke the WebSocket protocol", False, id="half a close code"),
        pytest.param(None, "dropped the connection", False, id="drops it"),
    ],
)
async def test_a_connection_that_breaks_says_why(data: bytes | None, words: str, oversized: bool) -> None:
    """Broken frames end this connection, with words for people, and nothing else."""

    async def break_it(talk: Talk) -> None:
        await talk.send_raw("before")
        if data is None:
            talk.socket.transport.abort()
        else:
            await talk.write(data)

    async with scripted_relay(break_it) as relay:
        socket = await opened(relay.url)
        assert await texts_of(socket, 1) == [b"before"]
        lost = await loss_of(socket)
        assert words in str(lost)
        assert str(lost).isprintable()
        assert lost.oversized is oversized
        await socket.close()


async def test_what_we_send_arrives_as_text_and_a_ping_is_answered() -> None:
    """The other direction, against websockets' own server."""
    async with scripted_relay(Talk.serve_honestly) as relay:
        socket = await opened(relay.url)
        socket.send_texts([b'["REQ","a",{}]'])
        await socket.drain()
        assert await texts_of(socket, 1) == [b'["EOSE", "a"]']
        socket.ping()
        assert await socket.receive() == Received([], 0, 1, 0)  # the pong
        await socket.close()


async def test_a_relay_that_pings_without_reading_is_not_read_on() -> None:
    """Pongs that nobody takes do not pile up in memory: reading waits for them to go out."""
    sent = 0

    async def flood(talk: Talk) -> None:
        nonlocal sent
        talk.socket.transport.pause_reading()
        burst = frame(Opcode.PING, b"x" * 125) * 500
        while True:
            await talk.write(burst)
            sent += len(burst)

    async with scripted_relay(flood) as relay:
        socket = await opened(relay.url)
        reading = asyncio.create_task(loss_of(socket))
        waiting = 0
        while waiting == 0 or sent != waiting:  # until the flood itself is stuck
            waiting = sent
            await asyncio.sleep(0.2)
        assert socket._writer.transport.get_write_buffer_size() < 1_000_000
        reading.cancel()
        await asyncio.wait([reading])
        await socket.close()


def certificate(folder: Path, host: str) -> ssl.SSLContext:
    """A server's context with a certificate for `host`, signed by itself and written to `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if host == "127.0.0.1":
        names = [x509.IPAddress(ipaddress.ip_address(host))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


async def test_tls_is_made_with_the_name_of_the_url_and_its_certificate_is_checked(tmp_path: Path) -> None:
    """A pinned address changes nothing about whose certificate is asked for."""
    server = certificate(tmp_path, "relay.test")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))
    async with scripted_relay(Talk.serve_honestly, ssl=server) as relay:
        port = int(relay.url.rsplit(":", 1)[1])
        good = Destination(f"wss://relay.test:{port}", "relay.test", port, is_secure=True, addresses=("127.0.0.1",))
        socket = await WebSocket.open(good, tls=trusting, max_frame_bytes=LIMIT, within=5)
        socket.send_texts([b'["REQ","a",{}]'])
        assert await texts_of(socket, 1) == [b'["EOSE", "a"]']
        await socket.close()
        other = Destination(f"wss://other.test:{port}", "other.test", port, is_secure=True, addresses=("127.0.0.1",))
        with pytest.raises(SocketLost, match="certificate is not good: Hostname mismatch"):
            await WebSocket.open(other, tls=trusting, max_frame_bytes=LIMIT, within=5)
        with pytest.raises(SocketLost, match="certificate is not good: self"):
            await WebSocket.open(good, tls=ssl.create_default_context(), max_frame_bytes=LIMIT, within=5)


async def test_tls_to_a_server_without_it_is_told() -> None:
    """`wss` to a port that speaks something else fails with words."""
    async with raw_server(speak_smtp) as url:
        with pytest.raises(SocketLost, match=r"TLS failed: .+"):
            await opened(url.replace("ws://", "wss://"))


async def test_goodbye_is_said_and_closing_never_hangs() -> None:
    """A relay hears a normal closure; one that ignores it is left after a while."""

    async def ignore(_talk: Talk) -> None:
        await asyncio.Event().wait()

    async with scripted_relay(Talk.serve_honestly) as relay:
        socket = await opened(relay.url)
        await socket.close()
        socket.send_texts([b"too late"])
        socket.ping()
    async with raw_server(say_nothing) as url, scripted_relay(ignore) as relay:
        socket = await opened(relay.url)
        await socket.close()
        assert isinstance(await resolve_configured("http://" + url, SystemLookup()), AddressRefused)
