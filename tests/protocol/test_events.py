from __future__ import annotations

import hashlib
import json

import msgspec
import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol import events
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import (
    EventId,
    ParsedEvent,
    Pubkey,
    Rejected,
    RejectReason,
    SignedEvent,
    UnsignedEvent,
    VerifiedEvent,
)
from podium_protocol.tags import Tags
from tests.support.events import NOW, key_of, seeded, signed, verify_or_fail

KEY = key_of(1)
EVENT = signed(KEY, kind=31925, tags=(("a", "31923:x:y"), ("d", ""), ("t", "é", "", "z")), content='a "b" \\ c\n')
RAW = EVENT.to_json()
FIELDS = msgspec.to_builtins(EVENT)


def with_field(name: str, json_value: str) -> bytes:
    """The event's JSON with one value replaced by any text."""
    parts = (f'"{key}":{json_value if key == name else json.dumps(value)}' for key, value in FIELDS.items())
    return ("{" + ",".join(parts) + "}").encode("utf-8", "surrogatepass")


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in FIELDS.items() if key != name}).encode()


SHAPE, JSON, KEYS = RejectReason.BAD_SHAPE, RejectReason.NOT_JSON, RejectReason.DUPLICATE_KEY

BAD_FIELDS: list[tuple[str, bytes, RejectReason]] = [
    *((f"{name} missing", without(name), SHAPE) for name in FIELDS),
    *((f"{name} null", with_field(name, "null"), SHAPE) for name in FIELDS),
    *((f"{name} object", with_field(name, "{}"), SHAPE) for name in FIELDS),
    *((f"{name} true", with_field(name, "true"), SHAPE) for name in FIELDS),
    *((f"{name} number", with_field(name, "5"), SHAPE) for name in ("id", "pubkey", "tags", "content", "sig")),
    *((f"{name} list", with_field(name, '["a"]'), SHAPE) for name in ("id", "pubkey", "kind", "content", "sig")),
    *((f"{name} text", with_field(name, '"5"'), SHAPE) for name in ("created_at", "kind", "tags")),
    *((f"{name} negative", with_field(name, "-1"), SHAPE) for name in ("created_at", "kind")),
    *((f"{name} fraction", with_field(name, "5.5"), SHAPE) for name in ("created_at", "kind")),
    *((f"{name} whole fraction", with_field(name, "5.0"), SHAPE) for name in ("created_at", "kind")),
    *((f"{name} exponent", with_field(name, "1e3"), SHAPE) for name in ("created_at", "kind")),
    *((f"{name} leading zero", with_field(name, "05"), JSON) for name in ("created_at", "kind")),
    *((f"{name} plus", with_field(name, "+5"), JSON) for name in ("created_at", "kind")),
    *((f"{name} hex", with_field(name, "0x5"), JSON) for name in ("created_at", "kind")),
    *((f"{name} NaN", with_field(name, "NaN"), JSON) for name in ("created_at", "kind", "content")),
    ("created_at beyond 2^53", with_field("created_at", str(2**53)), SHAPE),
    ("created_at beyond 2^64", with_field("created_at", str(2**64)), SHAPE),
    ("created_at of 5,000 digits", with_field("created_at", "9" * 5000), SHAPE),
    ("kind 65536", with_field("kind", "65536"), SHAPE),
    ("tags of text", with_field("tags", '["a"]'), SHAPE),
    ("tags with number", with_field("tags", '[["a",5]]'), SHAPE),
    ("tags with null", with_field("tags", '[["a",null]]'), SHAPE),
    ("tags with list", with_field("tags", '[["a",["b"]]]'), SHAPE),
    ("tags with empty tag", with_field("tags", '[["a"],[]]'), SHAPE),
    ("tags deep", with_field("tags", "[" * 50_000 + "]" * 50_000), SHAPE),
    ("content lone high surrogate", with_field("content", '"\\ud800"'), JSON),
    ("content lone low surrogate", with_field("content", '"\\udc00x"'), JSON),
    ("content swapped surrogates", with_field("content", '"\\udc00\\ud800"'), JSON),
    ("content raw surrogate", with_field("content", '"\ud800"'), JSON),
    ("content bad UTF-8", RAW.replace(b'"a \\"b', b'"\xff \\"b'), JSON),
    ("content overlong UTF-8", RAW.replace(b'"a \\"b', b'"\xc0\x80 \\"b'), JSON),
    ("content raw newline", RAW.replace(b"c\\n", b"c\n"), JSON),
    ("content raw NUL", RAW.replace(b"c\\n", b"c\x00"), JSON),
    ("content bad escape", RAW.replace(b"c\\n", b"c\\x41"), JSON),
    ("content unfinished", RAW[:-10], JSON),
    ("repeated kind", RAW[:-1] + b',"kind":31925}', KEYS),
    ("repeated id first", b'{"id":"x",' + RAW[1:], KEYS),
    ("repeated content spelled otherwise", RAW[:-1] + b',"c\\u006fntent":""}', KEYS),
    ("repeated unknown key", RAW[:-1] + b',"x":1,"x":2}', KEYS),
    ("repeated key deeper", RAW[:-1] + b',"x":{"y":1,"y":2}}', KEYS),
    ("unknown fraction", RAW[:-1] + b',"x":1.5}', JSON),
    ("unknown NaN", RAW[:-1] + b',"x":NaN}', JSON),
    ("unknown deep", RAW[:-1] + b',"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", JSON),
    ("trailing text", RAW + b"x", JSON),
    ("two events", RAW + RAW, JSON),
    ("trailing comma", RAW[:-1] + b",}", JSON),
    ("comment", RAW[:-1] + b"/**/}", JSON),
    ("byte order mark", b"\xef\xbb\xbf" + RAW, JSON),
    ("UTF-16", RAW.decode().encode("utf-16"), JSON),
    ("single quotes", RAW.replace(b'"', b"'"), JSON),
    ("empty", b"", JSON),
    ("white space", b"  \n", JSON),
    ("number", b"5", SHAPE),
    ("null", b"null", SHAPE),
    ("text", b'"event"', SHAPE),
    ("list of one event", b"[" + RAW + b"]", SHAPE),
    ("deep", b"[" * 100_000, SHAPE),
    ("empty object", b"{}", SHAPE),
]


@pytest.mark.family("event fields")
@pytest.mark.parametrize(("raw", "reason"), [case[1:] for case in BAD_FIELDS], ids=[case[0] for case in BAD_FIELDS])
def test_a_malformed_event_is_a_value_with_the_reason(raw: bytes, reason: RejectReason) -> None:
    """Missing, mistyped, out of range, repeated, deep, not JSON, not UTF-8: never an exception."""
    result = events.verify_json(raw)
    assert isinstance(result, Rejected)
    assert result.reason is reason, result


ID, SIG, PUBKEY = EVENT.id, EVENT.sig, EVENT.pubkey
OTHER = signed(key_of(2), content="other")
BAD_ID, BAD_SIG = RejectReason.BAD_ID, RejectReason.BAD_SIGNATURE

BAD_IDS: list[tuple[str, SignedEvent, RejectReason]] = [
    (name, msgspec.structs.replace(EVENT, **changes), reason)
    for name, changes, reason in [
        ("id of another event", {"id": OTHER.id}, BAD_ID),
        ("id in capitals", {"id": ID.upper()}, BAD_ID),
        ("id short", {"id": ID[:-1]}, BAD_ID),
        ("id long", {"id": ID + "0"}, BAD_ID),
        ("id empty", {"id": ""}, BAD_ID),
        ("id with newline", {"id": ID + "\n"}, BAD_ID),
        ("id zero", {"id": "0" * 64}, BAD_ID),
        ("content changed", {"content": "changed"}, BAD_ID),
        ("time changed", {"created_at": NOW + 1}, BAD_ID),
        ("kind changed", {"kind": 31923}, BAD_ID),
        ("tag added", {"tags": (*EVENT.tags, ("p", "x"))}, BAD_ID),
        ("tags swapped", {"tags": EVENT.tags[::-1]}, BAD_ID),
        ("author changed", {"pubkey": OTHER.pubkey}, BAD_ID),
        ("author in capitals", {"pubkey": PUBKEY.upper()}, BAD_ID),
        ("sig of another event", {"sig": OTHER.sig}, BAD_SIG),
        ("sig zero", {"sig": "0" * 128}, BAD_SIG),
        ("sig of ones", {"sig": "f" * 128}, BAD_SIG),
        ("sig in capitals", {"sig": SIG.upper()}, BAD_SIG),
        ("sig short", {"sig": SIG[:-2]}, BAD_SIG),
        ("sig long", {"sig": SIG + "00"}, BAD_SIG),
        ("sig odd", {"sig": SIG[:-1]}, BAD_SIG),
        ("sig empty", {"sig": ""}, BAD_SIG),
        ("sig with space", {"sig": SIG[:-1] + " "}, BAD_SIG),
        ("sig no hex", {"sig": "z" * 128}, BAD_SIG),
        ("sig in another script", {"sig": "٠" * 128}, BAD_SIG),
        ("sig halves swapped", {"sig": SIG[64:] + SIG[:64]}, BAD_SIG),
    ]
]


def rehashed(**changes: str) -> SignedEvent:
    """The event with changed fields and the right id for them, but the old signature."""
    event = msgspec.structs.replace(EVENT, **changes)
    return msgspec.structs.replace(event, id=EventId(hashlib.sha256(events.canonical(event)).hexdigest()))


BAD_IDS += [
    ("forged content", rehashed(content="forged"), BAD_SIG),
    ("forged author", rehashed(pubkey=OTHER.pubkey), BAD_SIG),
    ("author off the curve", rehashed(pubkey="f" * 64), BAD_SIG),
    ("author is zero", rehashed(pubkey="0" * 64), BAD_SIG),
    ("author in capitals, hashed so", rehashed(pubkey=PUBKEY.upper()), BAD_SIG),
    ("author short", rehashed(pubkey=PUBKEY[:-2]), BAD_SIG),
    ("author no hex", rehashed(pubkey="npub1"), BAD_SIG),
]


@pytest.mark.family("ids and signatures")
@pytest.mark.parametrize(("event", "reason"), [case[1:] for case in BAD_IDS], ids=[case[0] for case in BAD_IDS])
def test_a_bad_id_or_signature_is_a_value_with_the_reason(event: SignedEvent, reason: RejectReason) -> None:
    """The id on the wire must be the hash, and the signature the author's; nothing is taken in capitals."""
    for result in (events.verify(event), events.verify_json(event.to_json())):
        assert isinstance(result, Rejected)
        assert result.reason is reason


def test_a_good_event_is_verified() -> None:
    """Its fields are those on the wire, and its JSON comes back to the byte."""
    event = events.verify_json(RAW)
    assert isinstance(event, VerifiedEvent)
    assert event.to_json() == RAW
    assert verify_or_fail(EVENT) == event


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(FIELDS).encode(),
        json.dumps(FIELDS, indent=2).encode(),
        json.dumps(dict(reversed(FIELDS.items())), ensure_ascii=False).encode(),
        RAW.replace(b'"id"', b'"i\\u0064"'),
        RAW[:-1] + b',"relays":["wss://a.example"],"x":{"y":null}}',
        RAW.replace(b'"a \\"b', b'"\\u0061 \\"b'),
    ],
)
def test_other_spellings_of_the_same_event_are_verified(raw: bytes) -> None:
    """Order, white space, escapes and further keys are not signed."""
    result = events.verify_json(raw)
    assert isinstance(result, VerifiedEvent)
    assert result == verify_or_fail(EVENT)


def test_parsing_comes_before_the_signature() -> None:
    """A parsed event can be held against filters before its signature is paid for."""
    forged = msgspec.structs.replace(EVENT, sig="0" * 128)
    parsed = events.parse_json(forged.to_json())
    assert isinstance(parsed, ParsedEvent)
    assert parsed.event == forged
    assert parsed.form == events.canonical(EVENT)
    assert isinstance(events.verify_parsed(parsed), Rejected)


def test_the_canonical_form_is_that_of_nip01() -> None:
    """Short escapes for the seven characters the NIP lists, everything else as it is, no white space."""
    content = '\n"\\\r\t\b\f/é\u2028\u2029😀\x7f<>&'
    draft = UnsignedEvent(Pubkey("a" * 64), 5, 1, (("e", "x"), ("p",)), content)
    escaped = '\\n\\"\\\\\\r\\t\\b\\f/é\u2028\u2029😀\x7f<>&'
    assert events.canonical(draft).decode() == f'[0,"{"a" * 64}",5,1,[["e","x"],["p"]],"{escaped}"]'


def test_text_without_a_utf8_form_has_no_id() -> None:
    """A lone surrogate is our error: nothing from outside holds one."""
    with pytest.raises(LocalProtocolError, match="UTF-8"):
        events.canonical(UnsignedEvent(KEY.pubkey, NOW, 1, (("t", "\udfff"),), ""))


_characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from(
    [chr(code) for code in range(0x20)] + ['"', "\\", "/", "\x7f", "\x80", "\u2028", "\u2029", "\ufeff", "\uffff", "😀"]
)
_text = st.text(_characters, max_size=30)
_tags = st.lists(st.lists(_text, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple)


@settings(max_examples=300, deadline=None)
@given(_text, _tags, st.integers(0, 2**53 - 1), st.integers(0, 65535))
def test_nostr_sdk_computes_the_same_id(content: str, tags: Tags, created_at: int, kind: int) -> None:
    """For any text: control characters, U+2028, emoji, NUL, DEL, in content and in tags."""
    theirs = nostr_sdk.EventId.compute(
        nostr_sdk.PublicKey.parse(KEY.pubkey),
        nostr_sdk.Timestamp.from_secs(created_at),
        nostr_sdk.Kind(kind),
        [nostr_sdk.Tag.parse(list(tag)) for tag in tags],
        content,
    )
    assert UnsignedEvent(KEY.pubkey, created_at, kind, tags, content).id == theirs.to_hex()


@settings(max_examples=100, deadline=None)
@given(_text, _tags)
def test_nostr_sdk_verifies_our_events_and_we_theirs(content: str, tags: Tags) -> None:
    """Good events are good on both sides, in either side's JSON."""
    ours = signed(KEY, tags=tags, content=content)
    theirs = nostr_sdk.Event.from_json(ours.to_json().decode())
    assert theirs.verify()
    assert isinstance(events.verify_json(theirs.as_json().encode()), VerifiedEvent)
    draft = json.dumps({"pubkey": KEY.pubkey, "created_at": NOW, "kind": 1, "tags": tags, "content": content})
    made = nostr_sdk.Keys.parse(KEY.expose().hex()).sign_event(nostr_sdk.UnsignedEvent.from_json(draft))
    result = events.verify_json(made.as_json().encode())
    assert isinstance(result, VerifiedEvent)
    assert (result.content, result.tags, result.id) == (content, tags, ours.id)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_nostr_sdk_takes_no_mutation_that_we_refuse_for_its_signature(data: st.DataObject) -> None:
    """One byte of the JSON is changed: either it is the same event still, or neither side verifies it."""
    place = data.draw(st.integers(0, len(RAW) - 1))
    byte = data.draw(st.integers(0x20, 0x7E))
    raw = RAW[:place] + bytes([byte]) + RAW[place + 1 :]
    ours = events.verify_json(raw)
    try:
        theirs = nostr_sdk.Event.from_json(raw.decode()).verify()
    except (nostr_sdk.NostrSdkError, UnicodeDecodeError):
        theirs = False
    if isinstance(ours, VerifiedEvent):
        assert theirs
        assert ours == verify_or_fail(EVENT)
    else:
        # where nostr-sdk is laxer (it takes capitals in hex), the event must at least be the same one
        assert not theirs or json.loads(raw)["content"] == EVENT.content


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_value(raw: bytes) -> None:
    """Nothing from outside raises."""
    assert isinstance(events.verify_json(raw), Rejected)


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**65) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FIELDS)), _json_values)
def test_any_value_in_any_field_gives_a_value(name: str, value: object) -> None:
    """Only the value that was signed is verified."""
    result = events.verify_json(json.dumps(FIELDS | {name: value}).encode())
    if isinstance(result, VerifiedEvent):
        assert value == FIELDS[name]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 1),
        ("0", 1),
        ("000", 1),
        ("0000", 1),
        ("0A", 1),
        (" 00", 1),
        ("00 ", 1),
        ("0 0", 1),
        ("00\n", 1),
        ("0x", 1),
        ("zz", 1),
        ("٠٠", 1),
        ("ａａ", 1),
    ],
)
def test_hex_is_read_strictly(text: str, size: int) -> None:
    """`bytes.fromhex` alone takes capitals and white space."""
    assert events.hex_bytes(text, size) is None


def test_hex_of_the_right_size_is_read() -> None:
    """Lowercase digits of exactly that many bytes."""
    assert events.hex_bytes("00ff", 2) == b"\x00\xff"
    assert events.hex_bytes("", 0) == b""


@pytest.mark.parametrize("text", ["", "0" * 64, "f" * 64, KEY.pubkey.upper(), KEY.pubkey + "\n", KEY.pubkey[1:]])
def test_what_is_no_point_is_no_public_key(text: str) -> None:
    """Not on the curve, in capitals, of another length."""
    assert events.pubkey_or_none(text) is None
    assert events.pubkey_or_none(KEY.pubkey) == KEY.pubkey


def test_events_are_values() -> None:
    """None of the three stages can be changed, and equal fields are equal events."""
    verified = verify_or_fail(EVENT)
    for event in (UnsignedEvent(KEY.pubkey, NOW, 1, (), ""), EVENT, verified):
        with pytest.raises(AttributeError):
            event.content = "changed"  # type: ignore[misc]  # that is the point
    assert len({EVENT, signed(KEY, kind=31925, tags=EVENT.tags, content=EVENT.content)}) == 1
    assert seeded("x") == seeded("x")
