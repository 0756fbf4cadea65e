"""NIP-13: proof of work, the number of zero bits that an event's id begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from podium_protocol.events import EventId, UnsignedEvent, canonical
from podium_protocol.tags import Tags

MAX_WORK: Final = 20
"""Bits that anybody may ask us for: about a million hashes, a second or two for a small event."""

_TAG: Final = "nonce"
_TRIES: Final = 32  # times the mean: once in e**32 it is not enough


def difficulty(event_id: EventId) -> int:
    """How many leading zero bits an event's id has."""
    return 256 - int(event_id, 16).bit_length()


def mine(event: UnsignedEvent, bits: int, nonces: Iterable[int] | None = None) -> UnsignedEvent | None:
    """The event with a nonce by which its id has `bits` zero bits or more; None if none of `nonces` does.

    About 2**bits hashes, a microsecond each for a small event, and one more for every 2 kB of content: not
    for an event loop. `nonces` None: more than are ever needed.
    """
    drafted = _with_nonce(event, event.id, bits)  # an event cannot hold its own id: this text is in no other place
    head, _, tail = canonical(drafted).partition(event.id.encode())
    begun, shift = hashlib.sha256(head), 256 - bits
    for nonce in range(_TRIES << bits) if nonces is None else nonces:
        work = begun.copy()
        work.update(b"%d" % nonce + tail)
        if not int.from_bytes(work.digest(), "big") >> shift:
            return _with_nonce(event, str(nonce), bits)
    return None


def without_nonce(rows: Tags) -> Tags:
    """An event's tags without its proof of work: what it says."""
    return tuple(tag for tag in rows if tag[0] != _TAG)


def _with_nonce(event: UnsignedEvent, nonce: str, bits: int) -> UnsignedEvent:
    return msgspec.structs.replace(event, tags=(*without_nonce(event.tags), (_TAG, nonce, str(bits))))
