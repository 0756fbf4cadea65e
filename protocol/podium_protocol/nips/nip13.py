"""NIP-13: proof of work, the number of zero bits that an event's id begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from podium_protocol.events import EventId, UnsignedEvent, canonical
from podium_protocol.tags import Tags

MAX_WORK: Final = 20
"""The most bits a relay may ask of us: about a million hashes, a second or two for a small event."""

_TAG: Final = "nonce"
_TRIES: Final = 32  # times the mean: once in e**32 it is not enough


def difficulty(event_id: EventId) -> int:
    """The number of leading zero bits in an event's id (NIP-13)."""
    return 256 - int(event_id, 16).bit_length()


def mine(event: UnsignedEvent, bits: int, nonces: Iterable[int] | None = None) -> UnsignedEvent | None:
    """Return the event with a nonce that gives its id at least `bits` leading zero bits; None if none of `nonces` does.

    It takes about 2**bits hashes, each a microsecond for a small event and one more for every 2 kB of content: do not
    call it on an event loop. `nonces` None: more nonces than are ever needed.
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
    """The event's tags without its proof of work, so that two events can be compared by what they say."""
    return tuple(tag for tag in rows if tag[0] != _TAG)


def _with_nonce(event: UnsignedEvent, nonce: str, bits: int) -> UnsignedEvent:
    return msgspec.structs.replace(event, tags=(*without_nonce(event.tags), (_TAG, nonce, str(bits))))
