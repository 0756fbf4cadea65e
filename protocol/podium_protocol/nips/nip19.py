"""NIP-19: the text forms of keys, events and addresses that people see, type and scan.

Relay hints in what we read are hints: those that are no ws or wss URL are left out. Errors never echo the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from podium_protocol import relay_url
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.events import EventId, Pubkey, pubkey_or_none
from podium_protocol.keys import SecretKey
from podium_protocol.kinds import MAX_KIND
from podium_protocol.nips import bech32

_SPECIAL, _RELAY, _AUTHOR, _KIND = range(4)
_HEX_64: Final = re.compile(r"[0-9a-f]{64}")
_URI: Final = re.compile(r"nostr:", re.IGNORECASE)
_SECRET: Final = re.compile(r"(?:nostr:)?\s*n(?:crypt)?sec1", re.IGNORECASE)
_NPUB: Final = "npub1"
_NPUB_CHARS: Final = 63
_WHOLE_CHARS: Final = 51  # of the data, that have five bits of the key each; the next one has the last bit
_MAX_VALUE: Final = 255  # a TLV's length is one byte


class Npub(msgspec.Struct, frozen=True):
    """A person's public key."""

    pubkey: Pubkey


class Nsec(msgspec.Struct, frozen=True):
    """A secret key."""

    secret: SecretKey


class Note(msgspec.Struct, frozen=True):
    """An event by its id."""

    event_id: EventId


class Nprofile(msgspec.Struct, frozen=True):
    """A person, and where their events may be found."""

    pubkey: Pubkey
    relays: tuple[str, ...] = ()


class Nevent(msgspec.Struct, frozen=True):
    """An event by its id, and where it may be found."""

    event_id: EventId
    relays: tuple[str, ...] = ()
    author: Pubkey | None = None
    kind: int | None = None


class Naddr(msgspec.Struct, frozen=True):
    """An addressable event, whatever its revision, and where it may be found."""

    address: Address
    relays: tuple[str, ...] = ()


Entity = Npub | Nsec | Note | Nprofile | Nevent | Naddr


def encode_npub(pubkey: Pubkey) -> str:
    """`npub1...`."""
    return bech32.encode("npub", bytes.fromhex(pubkey))


def keys_beginning(npub: str) -> Callable[[Pubkey], bool] | None:
    """The test whether a key's npub begins so, in any case of letters; None if no npub does.

    The checksum at the end of a whole npub is not looked at.
    """
    text = npub.lower()
    if not text.startswith(_NPUB) or len(text) > _NPUB_CHARS:
        return None
    found = bech32.leading_bits(text[len(_NPUB) :][:_WHOLE_CHARS])
    if found is None:
        return None
    bits, count = found
    return lambda pubkey: int(pubkey, 16) >> (256 - count) == bits


def encode_nsec(secret: SecretKey) -> str:
    """`nsec1...`: the secret itself, for a person who asked to see or to save it."""
    return bech32.encode("nsec", secret.expose())


def encode_note(event_id: EventId) -> str:
    """`note1...`."""
    return bech32.encode("note", bytes.fromhex(event_id))


def encode_nprofile(pubkey: Pubkey, relays: Iterable[str] = ()) -> str:
    """`nprofile1...`.

    Raises:
        LocalProtocolError: a relay is no ws or wss URL.
    """
    return _encode("nprofile", [(_SPECIAL, bytes.fromhex(pubkey)), *_relay_rows(relays)])


def encode_nevent(
    event_id: EventId, relays: Iterable[str] = (), *, author: Pubkey | None = None, kind: int | None = None
) -> str:
    """`nevent1...`.

    Raises:
        LocalProtocolError: a relay is no ws or wss URL.
    """
    rows = [(_SPECIAL, bytes.fromhex(event_id)), *_relay_rows(relays)]
    if author is not None:
        rows.append((_AUTHOR, bytes.fromhex(author)))
    if kind is not None:
        rows.append((_KIND, kind.to_bytes(4, "big")))
    return _encode("nevent", rows)


def encode_naddr(address: Address, relays: Iterable[str] = ()) -> str:
    """`naddr1...`.

    Raises:
        LocalProtocolError: the identifier is longer than 255 bytes, or a relay is no ws or wss URL.
    """
    rows = [(_SPECIAL, address.identifier.encode()), *_relay_rows(relays)]
    rows += [(_AUTHOR, bytes.fromhex(address.pubkey)), (_KIND, address.kind.to_bytes(4, "big"))]
    return _encode("naddr", rows)


def decode(text: str) -> Entity:
    """Decode the text strictly and return what it names; white space and `nostr:` are not removed here.

    Raises:
        InvalidInput: a checksum, length or content that NIP-19 does not allow, or a prefix we do not know.
    """
    prefix, data = bech32.decode(text)
    reader = _READERS.get(prefix)
    if reader is None:
        raise InvalidInput(f"this is none of {', '.join(_READERS)} (NIP-19)")
    return reader(data)


def parse_pubkey(text: str) -> Pubkey:
    """The person a user names by hex, npub or nprofile, with or without `nostr:` and white space around it.

    Raises:
        InvalidInput: anything else; a secret key is refused with a warning and not repeated.
    """
    trimmed = _trim(text)
    if _HEX_64.fullmatch(trimmed.lower()):
        return _pubkey(bytes.fromhex(trimmed))
    entity = decode(trimmed)
    if isinstance(entity, Npub | Nprofile):
        return entity.pubkey
    raise InvalidInput(f"{_NAMES[type(entity)]} is not a person: give an npub, an nprofile or 64 hex digits")


def parse_address(text: str) -> Address:
    """The event a user names by naddr, with or without `nostr:`, or by `kind:pubkey:identifier`.

    Raises:
        InvalidInput: anything else; a secret key is refused with a warning and not repeated.
    """
    trimmed = _trim(text)
    address = Address.parse(trimmed)
    if address is not None:
        return address
    entity = decode(trimmed)
    if isinstance(entity, Naddr):
        return entity.address
    raise InvalidInput(f"{_NAMES[type(entity)]} is not a session: give an naddr, or `31923:<pubkey>:<d>`")


def _trim(text: str) -> str:
    trimmed = text.strip()
    if _SECRET.match(trimmed):
        raise InvalidInput(
            "that is a SECRET key, and nobody here needs it. It was not used, stored or repeated. If it was typed "
            "where others can see it, make a new key. Give the public key (npub) instead"
        )
    uri = _URI.match(trimmed)
    return trimmed[uri.end() :] if uri else trimmed


def _read_npub(data: bytes) -> Npub:
    return Npub(_pubkey(data))


def _read_nsec(data: bytes) -> Nsec:
    try:
        return Nsec(SecretKey(data))
    except LocalProtocolError:
        raise InvalidInput(
            "this nsec holds no usable key: a secret key is 32 bytes, from 1 to the order less 1"
        ) from None


def _read_note(data: bytes) -> Note:
    return Note(_event_id(data))


def _read_nprofile(data: bytes) -> Nprofile:
    rows = _rows(data)
    return Nprofile(_pubkey(_single(rows, _SPECIAL, "pubkey")), _relays(rows))


def _read_nevent(data: bytes) -> Nevent:
    rows = _rows(data)
    author, kind = _optional(rows, _AUTHOR, "author"), _optional(rows, _KIND, "kind")
    return Nevent(
        _event_id(_single(rows, _SPECIAL, "event id")),
        _relays(rows),
        None if author is None else _pubkey(author),
        None if kind is None else _kind(kind),
    )


def _read_naddr(data: bytes) -> Naddr:
    rows = _rows(data)
    try:
        identifier = _single(rows, _SPECIAL, "identifier").decode()
    except UnicodeDecodeError:
        raise InvalidInput("the identifier of this naddr is not UTF-8") from None
    pubkey, kind = _pubkey(_single(rows, _AUTHOR, "author")), _kind(_single(rows, _KIND, "kind"))
    return Naddr(Address(kind, pubkey, identifier), _relays(rows))


_READERS: Final[dict[str, Callable[[bytes], Entity]]] = {
    "npub": _read_npub,
    "nsec": _read_nsec,
    "note": _read_note,
    "nprofile": _read_nprofile,
    "nevent": _read_nevent,
    "naddr": _read_naddr,
}
_NAMES: Final[dict[type[Entity], str]] = {
    Npub: "an npub (a person)",
    Nsec: "a secret key",
    Note: "a note (one event)",
    Nprofile: "an nprofile (a person)",
    Nevent: "an nevent (one event)",
    Naddr: "an naddr (an addressable event)",
}

_Row = tuple[int, bytes]


def _encode(prefix: str, rows: Sequence[_Row]) -> str:
    if any(len(value) > _MAX_VALUE for _, value in rows):
        raise LocalProtocolError(f"an identifier or a relay in an {prefix} has at most {_MAX_VALUE} bytes (NIP-19)")
    return bech32.encode(prefix, b"".join(bytes((kind, len(value))) + value for kind, value in rows))


def _relay_rows(relays: Iterable[str]) -> list[_Row]:
    normal = [relay_url.normalise(url) for url in relays]
    if None in normal:
        raise LocalProtocolError("a relay hint is a ws or wss URL")
    return [(_RELAY, url.encode("ascii")) for url in normal if url is not None]


def _rows(data: bytes) -> list[_Row]:
    rows = []
    while data:
        if len(data) < 2 or len(data) < 2 + data[1]:
            raise InvalidInput("the text ends in the middle of a value: copy it again")
        rows.append((data[0], data[2 : 2 + data[1]]))
        data = data[2 + data[1] :]
    return rows


def _optional(rows: list[_Row], kind: int, name: str) -> bytes | None:
    values = [value for row_kind, value in rows if row_kind == kind]
    if len(values) > 1:
        # of two values, two readers may take different ones
        raise InvalidInput(f"the text names its {name} more than once")
    return values[0] if values else None


def _single(rows: list[_Row], kind: int, name: str) -> bytes:
    value = _optional(rows, kind, name)
    if value is None:
        raise InvalidInput(f"the text does not name its {name}")
    return value


def _relays(rows: list[_Row]) -> tuple[str, ...]:
    texts = [value.decode("ascii", "replace") for kind, value in rows if kind == _RELAY]
    return relay_url.normalise_all(texts, len(texts))


def _pubkey(data: bytes) -> Pubkey:
    pubkey = pubkey_or_none(data.hex())
    if pubkey is None:
        raise InvalidInput("this is no public key: it is not 32 bytes, or not on the curve")
    return pubkey


def _event_id(data: bytes) -> EventId:
    if len(data) != 32:
        raise InvalidInput("this is no event id: it is not 32 bytes")
    return EventId(data.hex())


def _kind(data: bytes) -> int:
    kind = int.from_bytes(data, "big")
    if len(data) != 4 or kind > MAX_KIND:
        raise InvalidInput(f"this names no kind: four bytes, 0 to {MAX_KIND}")
    return kind
