"""NIP-65: the relays a person writes to, and those on which they read what others write about them."""

from __future__ import annotations

import msgspec

from podium_protocol import kinds, relay_url, tags
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.limits import MAX_LISTED_RELAYS


class RelayList(msgspec.Struct, frozen=True):
    """Normalised URLs in order; a relay for both purposes stands in both lists."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


def read_relay_list(event: VerifiedEvent) -> RelayList:
    """Read the lists in a kind 10002, each cut at our cap; empty for another kind. Unknown markers are left out."""
    if event.kind != kinds.RELAY_LIST:
        return RelayList()
    return RelayList(read=_urls(event, "read"), write=_urls(event, "write"))


def write_relay_list(pubkey: Pubkey, relays: RelayList, *, created_at: int) -> UnsignedEvent:
    """Write a kind 10002 with `relays`.

    Raises:
        LocalProtocolError: none, too many, or one that is no ws or wss URL.
    """
    read, write = set(_required(relays.read)), set(_required(relays.write))
    rows = []
    for url in relay_url.require_all((*relays.write, *relays.read), 2 * MAX_LISTED_RELAYS):
        both = url in read and url in write
        rows.append(("r", url) if both else ("r", url, "read" if url in read else "write"))
    return UnsignedEvent(pubkey, created_at, kinds.RELAY_LIST, tuple(rows), "")


def _urls(event: VerifiedEvent, marker: str) -> tuple[str, ...]:
    # an empty marker is what some clients write for "both"
    rows = (tag[1] for tag in tags.named(event.tags, "r") if len(tag) == 2 or tag[2] in ("", marker))
    return relay_url.normalise_all(rows, MAX_LISTED_RELAYS)


def _required(relays: tuple[str, ...]) -> tuple[str, ...]:
    return relay_url.require_all(relays, MAX_LISTED_RELAYS) if relays else ()
