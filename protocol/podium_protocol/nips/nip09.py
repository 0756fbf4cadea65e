"""NIP-09: an author's request to delete events of their own."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, Pubkey, UnsignedEvent, VerifiedEvent, hex_bytes


class Deletion(msgspec.Struct, frozen=True):
    """What one author asks relays to delete, and when."""

    author: Pubkey
    created_at: int
    ids: tuple[EventId, ...]
    addresses: tuple[Address, ...]


def write_deletion(
    author: Pubkey,
    *,
    created_at: int,
    events: Iterable[tuple[EventId, int]] = (),
    addresses: Iterable[Address] = (),
    reason: str = "",
) -> UnsignedEvent:
    """Write a kind 5 for `events` (pairs of id and kind) and `addresses`, with a `k` tag for each kind it names.

    Raises:
        LocalProtocolError: it names nothing, or the address of another author.
    """
    events, addresses = tuple(events), tuple(addresses)
    if not events and not addresses:
        raise LocalProtocolError("a deletion names at least one event or address")
    if any(address.pubkey != author for address in addresses):
        raise LocalProtocolError("only the author of an address can ask for its deletion")
    named_kinds = dict.fromkeys([kind for _, kind in events] + [address.kind for address in addresses])
    rows: list[tuple[str, str]] = [("e", event_id) for event_id, _ in events]
    rows += [("a", str(address)) for address in addresses]
    rows += [("k", str(kind)) for kind in named_kinds]
    return UnsignedEvent(author, created_at, kinds.DELETION, tuple(rows), reason)


def read_deletion(event: VerifiedEvent | UnsignedEvent) -> Deletion:
    """Read what the event (or a rumor from a checked seal) asks to delete; nothing if it is not a kind 5.

    Malformed tags and addresses of others are left out: a stranger's kind 5 must not hide a session.
    """
    if event.kind != kinds.DELETION:
        return Deletion(event.pubkey, event.created_at, (), ())
    ids = (EventId(text) for text in tags.values(event.tags, "e") if hex_bytes(text, 32) is not None)
    parsed = (Address.parse(text) for text in tags.values(event.tags, "a"))
    own = (address for address in parsed if address is not None and address.pubkey == event.pubkey)
    return Deletion(event.pubkey, event.created_at, tuple(dict.fromkeys(ids)), tuple(dict.fromkeys(own)))
