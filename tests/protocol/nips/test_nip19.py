from __future__ import annotations

import json
import re
import traceback

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.events import EventId, Pubkey
from podium_protocol.keys import SecretKey
from podium_protocol.nips import bech32, nip19
from podium_protocol.nips.nip19 import Naddr, Nevent, Note, Nprofile, Npub, Nsec
from tests.support.events import key_of, seeded
from tests.support.vectors import read_vectors

KEY = key_of(1)
NSEC = nip19.encode_nsec(KEY)
NPUB = nip19.encode_npub(KEY.pubkey)
EVENT_ID = EventId(seeded("event").hex())
ADDRESS = Address(31923, KEY.pubkey, "algebra")
POINT = bytes.fromhex(KEY.pubkey)
KIND = (31923).to_bytes(4, "big")


def test_the_examples_of_the_nip_are_read_and_written() -> None:
    """Npub and nsec both ways, nprofile with its two relays."""
    examples = json.loads(read_vectors("nip19-examples.json"))
    pairs = [re.findall(r"`([^`]+)`", line) for line in examples["text"]]
    (pubkey, npub), (other_npub, other_pubkey), (nsec, secret), (nprofile,) = pairs
    assert nip19.decode(npub) == Npub(pubkey)
    assert nip19.encode_npub(other_pubkey) == other_npub
    assert nip19.decode(nsec) == Nsec(SecretKey.from_hex(secret))
    assert nip19.encode_nsec(SecretKey.from_hex(secret)) == nsec
    assert nip19.decode(nprofile) == Nprofile(pubkey, ("wss://r.x.com", "wss://djbas.sadkb.com"))
    assert nip19.encode_nprofile(pubkey, ["wss://r.x.com", "wss://djbas.sadkb.com"]) == nprofile
    assert all(nip19.decode(text) for text in examples["strings"])


def tlv(*rows: tuple[int, bytes]) -> bytes:
    return b"".join(bytes((kind, len(value))) + value for kind, value in rows)


BAD_DATA = [
    ("npub", b""),
    ("npub", POINT[1:]),
    ("npub", POINT + b"\x00"),
    ("npub", bytes(32)),
    ("npub", b"\xff" * 32),
    ("nsec", b""),
    ("nsec", bytes(32)),
    ("nsec", b"\xff" * 32),
    ("nsec", bytes(31) + b"\x01\x00"),
    ("note", b""),
    ("note", POINT[1:]),
    ("note", POINT + b"\x00"),
    ("nprofile", b""),
    ("nprofile", b"\x00"),
    ("nprofile", b"\x00\x20" + POINT[1:]),
    ("nprofile", tlv((0, POINT))[:-1]),
    ("nprofile", tlv((0, POINT)) + b"\x01"),
    ("nprofile", tlv((0, POINT)) + b"\x01\x05wss"),
    ("nprofile", tlv((0, POINT), (0, POINT))),
    ("nprofile", tlv((0, POINT[1:]))),
    ("nprofile", tlv((0, bytes(32)))),
    ("nprofile", tlv((1, b"wss://a.example"))),
    ("nevent", tlv((0, POINT + b"\x00"))),
    ("nevent", tlv((0, POINT), (0, POINT))),
    ("nevent", tlv((0, POINT), (2, bytes(32)))),
    ("nevent", tlv((0, POINT), (2, POINT), (2, POINT))),
    ("nevent", tlv((0, POINT), (3, b"\x01"))),
    ("nevent", tlv((0, POINT), (3, b"\x00\x01\x00\x00"))),
    ("nevent", tlv((0, POINT), (3, KIND), (3, KIND))),
    ("naddr", tlv((0, b"d"), (2, POINT))),
    ("naddr", tlv((0, b"d"), (3, KIND))),
    ("naddr", tlv((2, POINT), (3, KIND))),
    ("naddr", tlv((0, b"d"), (0, b"e"), (2, POINT), (3, KIND))),
    ("naddr", tlv((0, b"\xff"), (2, POINT), (3, KIND))),
    ("naddr", tlv((0, b"d"), (2, POINT[1:]), (3, KIND))),
    ("naddr", tlv((0, b"d"), (2, POINT), (3, KIND[2:]))),
    ("naddr", tlv((0, b"d"), (2, POINT), (3, b"\xff" * 4))),
    ("nrelay", tlv((0, b"wss://a.example"))),
    ("ncryptsec", bytes(91)),
    ("bc", bytes(20)),
    ("", b"\x00"),
]


@pytest.mark.family("NIP-19 and NIP-05")
@pytest.mark.parametrize(("prefix", "data"), BAD_DATA, ids=range(len(BAD_DATA)))
def test_bad_content_under_a_good_checksum_is_refused(prefix: str, data: bytes) -> None:
    """Lengths, missing and repeated values, points off the curve, kinds out of range, other prefixes."""
    with pytest.raises(InvalidInput):
        nip19.decode(bech32.encode(prefix, data))


@pytest.mark.family("NIP-19 and NIP-05")
@pytest.mark.parametrize(
    "text",
    [
        NPUB[:-1],
        NPUB + "q",
        NPUB[:-1].upper() + NPUB[-1],
        NPUB.replace("npub", "nsec"),
        " " + NPUB,
        NPUB + "\n",
        "nostr:" + NPUB,
        "npub",
        "",
        "ｎｐｕｂ" + NPUB[4:],
    ],
)
def test_a_damaged_text_is_refused(text: str) -> None:
    """`decode` repairs nothing."""
    with pytest.raises(InvalidInput):
        nip19.decode(text)


def test_capitals_are_read() -> None:
    """QR codes are smaller in capitals, and bech32 allows them."""
    assert nip19.decode(NPUB.upper()) == Npub(KEY.pubkey)


def test_unknown_values_are_ignored_and_bad_relay_hints_left_out() -> None:
    """NIP-19: TLVs that are not recognised are no error; a hint that is no relay URL is no hint."""
    hints = [b"wss://A.example/", b"http://b.example", b"\xff", b"", b"wss://a.example"]
    data = tlv((9, b"x"), (0, b"algebra"), *((1, hint) for hint in hints), (2, POINT), (200, b""), (3, KIND))
    assert nip19.decode(bech32.encode("naddr", data)) == Naddr(ADDRESS, ("wss://a.example",))


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        (NPUB, Npub(KEY.pubkey)),
        (NSEC, Nsec(KEY)),
        (nip19.encode_note(EVENT_ID), Note(EVENT_ID)),
        (nip19.encode_nprofile(KEY.pubkey), Nprofile(KEY.pubkey)),
        (nip19.encode_nevent(EVENT_ID), Nevent(EVENT_ID)),
        (
            nip19.encode_nevent(EVENT_ID, ["wss://a.example"], author=KEY.pubkey, kind=0),
            Nevent(EVENT_ID, ("wss://a.example",), KEY.pubkey, 0),
        ),
        (nip19.encode_naddr(ADDRESS, ["wss://a.example/"]), Naddr(ADDRESS, ("wss://a.example",))),
        (nip19.encode_naddr(Address(10002, KEY.pubkey, "")), Naddr(Address(10002, KEY.pubkey, ""))),
    ],
)
def test_what_was_written_is_read(text: str, entity: object) -> None:
    """Each form comes back as the value it was made of."""
    assert nip19.decode(text) == entity


@pytest.mark.parametrize("relay", ["https://a.example", "wss://a.example/" + "x" * 300, ""])
def test_a_bad_relay_hint_of_ours_is_our_error(relay: str) -> None:
    """It is not written."""
    for write in (
        lambda: nip19.encode_nprofile(KEY.pubkey, [relay]),
        lambda: nip19.encode_nevent(EVENT_ID, [relay]),
        lambda: nip19.encode_naddr(ADDRESS, [relay]),
    ):
        with pytest.raises(LocalProtocolError):
            write()


def test_an_identifier_that_does_not_fit_is_our_error() -> None:
    """255 bytes do, 256 do not: the length is one byte."""
    assert nip19.decode(nip19.encode_naddr(Address(31923, KEY.pubkey, "é" * 127 + "x")))
    with pytest.raises(LocalProtocolError, match="255 bytes"):
        nip19.encode_naddr(Address(31923, KEY.pubkey, "é" * 128))


@pytest.mark.parametrize(
    "text",
    [
        KEY.pubkey,
        KEY.pubkey.upper(),
        NPUB,
        NPUB.upper(),
        f"  {NPUB}\n",
        f"nostr:{NPUB}",
        f"NOSTR:{NPUB}",
        nip19.encode_nprofile(KEY.pubkey, ["wss://a.example"]),
        f"nostr:{nip19.encode_nprofile(KEY.pubkey)} ",
    ],
)
def test_a_person_is_named_in_many_ways(text: str) -> None:
    """Hex, npub, nprofile, as a URI, with white space around."""
    assert nip19.parse_pubkey(text) == KEY.pubkey


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (nip19.encode_note(EVENT_ID), "note"),
        (nip19.encode_nevent(EVENT_ID), "nevent"),
        (nip19.encode_naddr(ADDRESS), "naddr"),
    ],
)
def test_what_is_no_person_is_named(text: str, names: str) -> None:
    """The message says what was given, and what to give."""
    with pytest.raises(InvalidInput, match=f"an? {names}.*npub"):
        nip19.parse_pubkey(text)


@pytest.mark.family("NIP-19 and NIP-05")
@pytest.mark.parametrize("text", ["", "me", "a" * 63, "f" * 64, "0" * 64, "someone@example.com", f"nostr:nostr:{NPUB}"])
def test_what_names_nobody_is_refused(text: str) -> None:
    """Also 64 digits that are no point on the curve."""
    with pytest.raises(InvalidInput):
        nip19.parse_pubkey(text)


_SECRETS = [
    NSEC,
    NSEC.upper(),
    f" {NSEC}\n",
    f"nostr:{NSEC}",
    f"nostr: {NSEC}",
    NSEC[:-1],
    NSEC[:-3] + "qqq",
    NSEC.replace("nsec", "NSEC"),
    "ncryptsec1" + NSEC[5:],
]


@pytest.mark.family("NIP-19 and NIP-05")
@pytest.mark.parametrize("read", [nip19.parse_pubkey, nip19.parse_address])
@pytest.mark.parametrize("text", _SECRETS)
def test_a_secret_key_is_refused_loudly_and_not_echoed(read: object, text: str) -> None:
    """Whole or mistyped: the person is warned, and neither the message nor the traceback repeats it."""
    with pytest.raises(InvalidInput, match="SECRET") as caught:
        read(text)  # type: ignore[operator]  # one of two functions
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert NSEC[5:-8] not in shown.lower()
    assert KEY.expose().hex() not in shown


@pytest.mark.parametrize("text", [NSEC[:-1] + "é", "x" + NSEC, NSEC + NSEC])
def test_no_error_of_decode_echoes_the_text(text: str) -> None:
    """A mistyped secret key is still most of a secret key."""
    with pytest.raises(InvalidInput) as caught:
        nip19.decode(text)
    assert NSEC[5:-8] not in "".join(traceback.format_exception(caught.value))


def test_a_decoded_secret_key_does_not_show_itself() -> None:
    """Its repr names the public key."""
    assert KEY.expose().hex() not in repr(nip19.decode(NSEC))
    assert KEY.pubkey in repr(nip19.decode(NSEC))


@pytest.mark.parametrize(
    "text", [nip19.encode_naddr(ADDRESS), f" nostr:{nip19.encode_naddr(ADDRESS)}", str(ADDRESS), f"{ADDRESS}\n"]
)
def test_a_session_is_named_by_naddr_or_address(text: str) -> None:
    """With or without `nostr:` and white space."""
    assert nip19.parse_address(text) == ADDRESS


@pytest.mark.parametrize(
    "text", [NPUB, nip19.encode_nevent(EVENT_ID), "31923:x:y", f"031923:{KEY.pubkey}:d", "", "algebra"]
)
def test_what_names_no_session_is_refused(text: str) -> None:
    """Among them addresses with another spelling of the kind."""
    with pytest.raises(InvalidInput):
        nip19.parse_address(text)


_keys = st.integers(0, 50).map(lambda number: key_of(number).pubkey)
_hosts = st.from_regex(r"[a-z][a-z0-9]{0,12}\.example", fullmatch=True).map(lambda host: f"wss://{host}")
_relays = st.lists(_hosts, max_size=4, unique=True).map(tuple)
_identifiers = st.text(max_size=60).filter(lambda text: not re.search("[\ud800-\udfff]", text))


@settings(max_examples=50, deadline=None)
@given(_keys, _relays)
def test_nostr_sdk_reads_our_people_and_we_theirs(pubkey: Pubkey, relays: tuple[str, ...]) -> None:
    """Npub and nprofile mean the same to an independent client, both ways."""
    theirs = nostr_sdk.Nip19Profile.from_bech32(nip19.encode_nprofile(pubkey, relays))
    assert theirs.public_key().to_hex() == pubkey
    assert nip19.decode(theirs.to_bech32()) == Nprofile(pubkey, relays)
    assert nip19.decode(theirs.public_key().to_bech32()) == Npub(pubkey)
    assert nostr_sdk.PublicKey.parse(nip19.encode_npub(pubkey)).to_hex() == pubkey


@settings(max_examples=50, deadline=None)
@given(_keys, st.integers(30_000, 39_999), _identifiers, _relays)
def test_nostr_sdk_reads_our_addresses_and_we_theirs(
    pubkey: Pubkey, kind: int, identifier: str, relays: tuple[str, ...]
) -> None:
    """An naddr means the same to an independent client, both ways, for any identifier."""
    address = Address(kind, pubkey, identifier)
    theirs = nostr_sdk.Nip19Coordinate.from_bech32(nip19.encode_naddr(address, relays))
    coordinate = theirs.coordinate()
    assert (coordinate.kind().as_u16(), coordinate.identifier()) == (kind, identifier)
    assert coordinate.public_key().to_hex() == pubkey
    assert nip19.decode(theirs.to_bech32()) == Naddr(address, relays)


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=32, max_size=32), _relays, st.none() | _keys, st.none() | st.integers(0, 65535))
def test_nostr_sdk_reads_our_events_and_we_theirs(
    digest: bytes, relays: tuple[str, ...], author: Pubkey | None, kind: int | None
) -> None:
    """Note and nevent mean the same to an independent client, both ways."""
    event_id = EventId(digest.hex())
    theirs = nostr_sdk.Nip19Event.from_bech32(nip19.encode_nevent(event_id, relays, author=author, kind=kind))
    assert theirs.event_id().to_hex() == event_id
    assert nip19.decode(theirs.to_bech32()) == Nevent(event_id, relays, author, kind)
    assert nip19.decode(theirs.event_id().to_bech32()) == Note(event_id)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.text("npubsec1qzry9x8", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No other exception, whatever a person types."""
    for read in (nip19.decode, nip19.parse_pubkey, nip19.parse_address):
        try:
            read(text)
        except InvalidInput:
            continue
