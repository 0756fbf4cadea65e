"""What is fuzzed: each target reads bytes as a stranger sends them, and raises only where a promise is broken.

The refusal that a reader documents is no find. Anything else that is raised is one, and so is a value that cannot be
written and read again. Targets need no atheris: tests/fuzz runs their seeds and all former finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, NamedTuple

from aioice import ice, stun
from aiortc.sdp import SessionDescription

from podium_daemon.conference.engines.embedded import datagrams
from podium_daemon.conference.page_media import rtp
from podium_daemon.conference.page_media.sdp import MID, Description, read_description
from podium_protocol import events, kinds, messages
from podium_protocol.errors import InvalidInput, RemoteProtocolError
from podium_protocol.events import SignedEvent, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import bech32, nip19, nip44, nip46, nip59
from tests.support.vectors import read_vectors

OURS: Final = SecretKey(hashlib.sha256(b"ours").digest())
THEIRS: Final = SecretKey(hashlib.sha256(b"theirs").digest())
_SHARED: Final = nip44.conversation_key(OURS, THEIRS.pubkey)
_NOW: Final = 1_790_000_000


class Target(NamedTuple):
    """One reader of strangers' bytes, and inputs to begin with."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]


TARGETS: Final[dict[str, Target]] = {}


def _target(name: str, seeds: Callable[[], Iterable[bytes]]) -> Callable[[Callable[[bytes], None]], object]:
    def register(read: Callable[[bytes], None]) -> Callable[[bytes], None]:
        TARGETS[name] = Target(read, seeds)
        return read

    return register


def _signed(kind: int = 1, tags: tuple[tuple[str, ...], ...] = (), content: str = "") -> SignedEvent:
    return THEIRS.sign(UnsignedEvent(THEIRS.pubkey, _NOW, kind, tags, content), bytes(32))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# -- relays


def _frames() -> Iterable[bytes]:
    event = _signed(content='é\u2028 "\\').to_json()
    yield b'["EVENT","live",' + event + b"]"
    yield b'["OK","' + b"a" * 64 + b'",true,"duplicate: have it"]'
    yield from (b'["EOSE","a"]', b'["CLOSED","a","auth-required: x"]', b'["NOTICE","x"]', b'["AUTH","challenge"]')
    yield from (b'["COUNT","a",{"count":1}]', b"[[[[", b'["NOTICE",null]', b'["OK","x",1]')


@_target("frames", _frames)
def read_frame(data: bytes) -> None:
    """A relay's message is a frame or a rejection; the event in it is handed on as bytes."""
    frame = messages.decode(data)
    assert frame is not None
    if isinstance(frame, messages.EventFrame):
        assert bytes(frame.raw) in data
        events.verify_json(frame.raw)
    with contextlib.suppress(UnicodeDecodeError):
        assert type(messages.decode(data.decode())) is type(frame), "a text and its bytes are two messages"


def _events() -> Iterable[bytes]:
    yield _signed(content='a "b" \\ c\n').to_json()
    yield _signed(31923, (("d", "knots"), ("start", "1790000000"), ("t", ""))).to_json()
    yield _signed(5, (("e", "0" * 64), ("k", "1"))).to_json()


@_target("events", _events)
def read_event(data: bytes) -> None:
    """An event is verified or rejected; what was verified says the same when it is written and read again."""
    found = events.verify_json(data)
    if isinstance(found, VerifiedEvent):
        assert events.verify_json(found.to_json()) == found
        seen = json.loads(data)
        assert seen | json.loads(found.to_json()) == seen, "another reader sees another event"
    # the signature is what a fuzzer cannot guess: with a good one the rest of the text is what counts
    parsed = events.parse_json(data)
    if isinstance(parsed, events.ParsedEvent):
        draft = UnsignedEvent(
            THEIRS.pubkey, parsed.event.created_at, parsed.event.kind, parsed.event.tags, parsed.event.content
        )
        event = events.verify(THEIRS.sign(draft, bytes(32)))
        assert isinstance(event, VerifiedEvent)
        assert events.verify_json(event.to_json()) == event


# -- NIPs

_PREFIXES: Final = ("npub", "nevent", "nprofile", "naddr", "note")


def _entities() -> Iterable[bytes]:
    examples = json.loads(read_vectors("nip19-examples.json"))
    yield from (text.encode() for text in _texts(examples))
    address = f"31923:{THEIRS.pubkey}:knots"
    yield from (address.encode(), THEIRS.pubkey.encode(), f"nostr:{nip19.encode_npub(THEIRS.pubkey)}".encode())


def _texts(value: object) -> Iterable[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)


@_target("nip19", _entities)
def read_entity(data: bytes) -> None:
    """A text names a key, an event or an address, or is refused; bytes under a good checksum as well."""
    texts = [_text(data)]
    with contextlib.suppress(InvalidInput):
        texts.append(bech32.encode(_PREFIXES[data[0] % len(_PREFIXES)] if data else "npub", data[1:]))
    for text in texts:
        for read in (nip19.decode, nip19.parse_pubkey, nip19.parse_address):
            with contextlib.suppress(InvalidInput):
                _check_entity(read(text))


def _check_entity(entity: object) -> None:
    match entity:
        case nip19.Npub(pubkey):
            assert nip19.decode(nip19.encode_npub(pubkey)) == entity
        case nip19.Nprofile(pubkey, relays):
            assert nip19.decode(nip19.encode_nprofile(pubkey, relays)) == entity
        case nip19.Naddr(address, relays):
            assert nip19.decode(nip19.encode_naddr(address, relays)) == entity


def _payloads() -> Iterable[bytes]:
    vectors = json.loads(read_vectors("nip44.vectors.json"))["v2"]
    yield from (case["payload"].encode() for case in vectors["valid"]["encrypt_decrypt"])
    yield from (case["payload"].encode() for case in vectors["invalid"]["decrypt"])
    yield from (bytes([0, 5]) + b"hello" + bytes(27), bytes([0, 0, 0, 1, 0, 0]) + bytes(99))


@_target("nip44", _payloads)
def read_payload(data: bytes) -> None:
    """A payload is decrypted or refused; so are bytes of any padding that carry a good MAC."""
    for payload in (_text(data), _forged(data)):
        with contextlib.suppress(RemoteProtocolError):
            text = nip44.decrypt(payload, _SHARED)
            assert nip44.decrypt(nip44.encrypt(text, _SHARED, bytes(32)), _SHARED) == text


def _forged(padded: bytes) -> str:
    """What a peer who has the key could send: any bytes in place of a padded text."""
    nonce = bytes(32)
    cipher_key, cipher_nonce, mac_key = nip44._message_keys(_SHARED, nonce)
    ciphertext = nip44._chacha20(cipher_key, cipher_nonce, padded)
    mac = hmac.digest(mac_key, nonce + ciphertext, "sha256")
    return nip44.binascii.b2a_base64(b"\x02" + nonce + ciphertext + mac, newline=False).decode("ascii")


def _signer_texts() -> Iterable[bytes]:
    relay = "relay=wss%3A%2F%2Frelay.example.org"
    yield f"bunker://{THEIRS.pubkey}?{relay}&secret=abc".encode()
    yield f"nostrconnect://{THEIRS.pubkey}?{relay}&secret=abc&perms=sign_event%3A1&name=x".encode()
    yield from (b'{"id":"1","result":"ack"}', b'{"id":"1","result":"auth_url","error":"https://x"}')
    yield from (b'["wss://relay.example.org"]', b"null", b'{"id":"1","method":"ping","params":["a"]}')
    yield _signed().to_json()


@_target("nip46", _signer_texts)
def read_signer(data: bytes) -> None:
    """URLs of signers, their messages, and what they say to have signed: read, or refused as documented."""
    text = _text(data)
    for read in (nip46.parse_bunker, nip46.parse_client):
        with contextlib.suppress(InvalidInput):
            url = read(text)
            again = nip46.write_bunker(url) if isinstance(url, nip46.BunkerUrl) else nip46.write_client(url)
            assert read(again) == url
    asked = UnsignedEvent(THEIRS.pubkey, _NOW, 1, (), "")
    for take in (nip46.read_relays, nip46.read_user, lambda result: nip46.read_signed(result, asked)):
        with contextlib.suppress(RemoteProtocolError):
            take(text)
    with contextlib.suppress(UnicodeEncodeError):
        _read_messages(text)


def _read_messages(text: str) -> None:
    if not 1 <= len(text.encode()) <= 40_000:
        return
    content = nip44.encrypt(text, _SHARED, bytes(32))
    event = _verified(kinds.REMOTE_SIGNING, (("p", OURS.pubkey),), content)
    for read in (nip46.read_response, nip46.read_request):
        with contextlib.suppress(RemoteProtocolError):
            message = read(event, OURS)
            if isinstance(message, nip46.Response):
                nip46.answer_of(message)
    wrap = _verified(kinds.GIFT_WRAP, (("p", OURS.pubkey),), content)
    assert nip59.unwrap(wrap, OURS, now=_NOW) is not None
    sealed = THEIRS.sign(UnsignedEvent(THEIRS.pubkey, _NOW, kinds.SEAL, (), content), bytes(32)).to_json().decode()
    if len(sealed) <= 60_000:
        wrap = _verified(kinds.GIFT_WRAP, (("p", OURS.pubkey),), nip44.encrypt(sealed, _SHARED, bytes(32)))
        assert nip59.unwrap(wrap, OURS, now=_NOW) is not None


def _verified(kind: int, tags: tuple[tuple[str, ...], ...], content: str) -> VerifiedEvent:
    """As if it had been verified: no stage after that looks at the signature again."""
    return VerifiedEvent("0" * 64, THEIRS.pubkey, _NOW, kind, tags, content, "0" * 128)  # type: ignore[arg-type]


# -- media


def _descriptions() -> Iterable[bytes]:
    certificate = "sha-256 " + ":".join(["AB"] * 32)
    rows = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0"]
    common = [
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuv",
        f"a=fingerprint:{certificate}",
    ]
    audio = ["m=audio 9 UDP/TLS/RTP/SAVPF 111 45", "a=mid:0", "a=rtpmap:111 opus/48000/2", f"a=extmap:4 {MID}"]
    video = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtpmap:96 VP8/90000", "a=ssrc:1234 cname:x"]
    end = ["a=setup:actpass", "a=sendonly", "a=candidate:1 1 udp 2113937151 10.0.0.7 56789 typ host", ""]
    yield "\r\n".join([*rows, *audio, *common, *end]).encode()
    yield "\r\n".join([*rows, *audio, *common, *end[:-1], *video, *common, *end]).encode()
    yield "\r\n".join([*rows, *audio, *common, "a=setup:active", "a=recvonly", ""]).encode()


@_target("sdp", _descriptions)
def read_sdp(data: bytes) -> None:
    """A description is read or refused; what is passed on is plain text that aiortc reads as the same media lines."""
    text = _text(data)
    kinds_named = tuple("audio" if "m=audio" in line else "video" for line in text.splitlines() if line[:2] == "m=")
    for kind in ("offer", "answer"):
        for expected in {kinds_named, ("audio",), ("audio", "video")}:
            found = read_description(text, kind, expected, None)  # type: ignore[arg-type]  # a loop over both
            if isinstance(found, Description):
                assert found.text.isascii()
                theirs = SessionDescription.parse(found.text)
                assert [(media.kind, media.rtp.muxId) for media in theirs.media] == [
                    (line.kind, line.mid) for line in found.lines
                ]


def _packets() -> Iterable[bytes]:
    head = bytes([0x90, 111]) + bytes([0, 7, 0, 0, 0, 8, 0, 0, 0, 9])
    yield head + bytes([0xBE, 0xDE, 0, 1, 0x10, ord("0"), 0x20, 0x7F]) + b"sound"
    yield bytes([0xA0]) + head[1:] + b"xx" + bytes([0, 0, 3])
    yield rtp.write_sender_report(rtp.SenderReport(5, 1 << 40, 900), packets=3, octets=400, cname=b"x")
    yield rtp.write_receiver_report(1, [rtp.Report(5, 12, -3, 70_000, 8, 9, 10)])
    yield rtp.write_nack(1, 77, [65530, 2, 40]) + rtp.write_picture_lost(3, 4)


@_target("rtp", _packets)
def read_media(data: bytes) -> None:
    """A packet is read or is none; what is written anew is read as the same packet; feedback stays bounded."""
    datagrams.sort(data)
    for mid_id, level_id in ((None, None), (1, 2), (0, 15), (255, 1)):
        packet = rtp.read_packet(data, mid_id, level_id)
        if packet is not None:
            written = rtp.write_packet(packet, payload_type=96, sequence=1, timestamp=2, ssrc=3, level_id=4)
            again = rtp.read_packet(written, None, 4)
            assert again is not None
            assert (again.body, again.marker, again.padded) == (packet.body, packet.marker, packet.padded)
            assert again.level == packet.level
    told = list(rtp.read_feedback(data))
    assert len(told) * 4 <= len(data)
    assert all(len(one.missing) <= rtp.MAX_MISSING for one in told if isinstance(one, rtp.Nack))


# -- STUN


class _Sink:
    """A socket that counts what would be sent."""

    def __init__(self) -> None:
        self.sent = 0

    def sendto(self, data: bytes, _address: object) -> None:
        """Send nothing."""
        self.sent += len(data)


async def _protocol() -> ice.StunProtocol:
    protocol = ice.StunProtocol(ice.Connection(ice_controlling=False, components=1))
    protocol.local_candidate = ice.Candidate.from_sdp("1 1 UDP 659136 127.0.0.1 31102 typ host")
    return protocol


@cache
def _connection() -> ice.StunProtocol:
    """One ICE connection without a network; what it does on datagrams waits for nothing."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_protocol())
    finally:
        loop.close()


def _binding(**attributes: object) -> bytes:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    for name, value in attributes.items():
        message.attributes[name.replace("_", "-")] = value
    return bytes(message)


def _checks() -> Iterable[bytes]:
    yield _binding()
    yield _binding(USERNAME="abcd:efgh", PRIORITY=1, ICE_CONTROLLING=7)
    yield _binding(XOR_MAPPED_ADDRESS=("127.0.0.1", 5), SOFTWARE="x", ERROR_CODE=(401, "no"))
    yield _binding(USERNAME="abcd:efgh")[:20]


@_target("stun", _checks)
def read_stun(data: bytes) -> None:
    """A datagram of a stranger, and one of a peer who knows the password, raises nothing and is answered in kind."""
    protocol, sink = _connection(), _Sink()
    protocol.transport = sink  # type: ignore[assignment]  # what is sent is counted
    for datagram in (data, _with_integrity(data, protocol.receiver)):
        datagrams._take(protocol, datagram, ("127.0.0.1", 9))
        assert sink.sent <= 2 * len(datagram) + 200, "an answer larger than its question feeds a flood"
        sink.sent = 0
    protocol.receiver._early_checks.clear()


def _with_integrity(data: bytes, connection: ice.Connection) -> bytes:
    """The attributes in `data` in a check that carries the right name and the right MAC."""
    username = f"{connection.local_username}:x".encode()
    name = b"\x00\x06" + len(username).to_bytes(2, "big") + username + bytes(-len(username) % 4)
    body = name + data[20:1000]
    body += bytes(-len(body) % 4)
    head = b"\x00\x01" + (len(body) + 24).to_bytes(2, "big") + bytes.fromhex("2112a442") + bytes(12)
    mac = hmac.digest(connection.local_password.encode(), head + body, "sha1")
    return head + body + b"\x00\x08\x00\x14" + mac
