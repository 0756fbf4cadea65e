"""Signed events made before anything is timed: answers of many people to a few sessions, as a relay would send them."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from podium_protocol import kinds
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip59

FIRST_SECOND: Final = 1_760_000_000
"""`created_at` of the first event; each further one is a second younger, so that `since` and `until` cut a part out."""

_SESSIONS: Final = 20


def rsvps(count: int) -> Iterator[bytes]:
    """JSON of `count` RSVPs, each the only one of its person to its session."""
    instructor = _new_key().pubkey
    lessons = [f"{kinds.SESSION}:{instructor}:s{number}" for number in range(_SESSIONS)]
    person = _new_key()
    for number in range(count):
        if number % _SESSIONS == 0:
            person = _new_key()
        tags = (
            ("a", lessons[number % _SESSIONS], "wss://relay.example"),
            ("d", f"answer-{number % _SESSIONS}"),
            ("status", "accepted"),
            ("p", instructor),
        )
        draft = UnsignedEvent(person.pubkey, FIRST_SECOND + number, kinds.RSVP, tags, "")
        yield person.sign(draft, os.urandom(32)).to_json()


def write(path: Path, count: int) -> list[bytes]:
    """Write `count` RSVPs to a file, one a line, and return them."""
    lines = list(rsvps(count))
    path.write_bytes(b"\n".join(lines))
    return lines


def write_forged(path: Path, events: Sequence[bytes]) -> None:
    """Write the same events, each with a signature that is not good, to a file."""
    path.write_bytes(b"\n".join(map(_forged, events)))


def wraps(service: Pubkey, count: int) -> Iterator[bytes]:
    """JSON of `count` gift wraps to the service, each an answer of another person."""
    for number in range(count):
        person = _new_key()
        rumor = UnsignedEvent(person.pubkey, FIRST_SECOND, kinds.PRIVATE_MESSAGE, (("p", service),), "yes")
        sealed = nip59.seal(rumor, person, service, created_at=FIRST_SECOND, nonce=os.urandom(32), aux=os.urandom(32))
        yield _wrapped(sealed, service, number)


def garbage_wraps(service: Pubkey, count: int) -> Iterator[bytes]:
    """JSON of `count` signed gift wraps to the service that say nothing: every other one holds a seal that does."""
    stranger = _new_key()
    for number in range(count):
        if number % _SESSIONS == 0:
            stranger = _new_key()
        noise = b64encode(b"\x02" + os.urandom(400)).decode()
        tags = () if number % 2 else (("p", service),)
        kind = kinds.SEAL if number % 2 else kinds.GIFT_WRAP
        draft = UnsignedEvent(stranger.pubkey, FIRST_SECOND + number, kind, tags, noise)
        event = stranger.sign(draft, os.urandom(32))
        yield _wrapped(event, service, number) if number % 2 else event.to_json()


def _wrapped(sealed: SignedEvent, service: Pubkey, number: int) -> bytes:
    wrap = nip59.wrap(
        sealed,
        service,
        ephemeral_secret=os.urandom(32),
        created_at=FIRST_SECOND + number,
        nonce=os.urandom(32),
        aux=os.urandom(32),
    )
    return wrap.to_json()


def wraps_part(service: Pubkey, count: int) -> Filter:
    """The filter that asks for the first `count` gift wraps."""
    tags = (("p", (service,)),)
    return Filter(kinds=(kinds.GIFT_WRAP,), tags=tags, since=FIRST_SECOND, until=FIRST_SECOND + count - 1)


def part(start: int, count: int) -> Filter:
    """The filter that asks for `count` of them from number `start` on."""
    return Filter(kinds=(kinds.RSVP,), since=FIRST_SECOND + start, until=FIRST_SECOND + start + count - 1)


def _forged(event: bytes) -> bytes:
    end = len(event) - len(b'0"}')
    return event[:end] + (b"1" if event[end : end + 1] == b"0" else b"0") + event[end + 1 :]


def _new_key() -> SecretKey:
    return SecretKey(os.urandom(32))
