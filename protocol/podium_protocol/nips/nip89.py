"""NIP-89: the handler that says which kinds an application opens, and the `client` tag that names it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.tags import Tag


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """An application. Clients put the `naddr` of the event to open in place of `<bech32>` in `url`."""

    identifier: str
    name: str
    about: str
    url: str
    opens: Sequence[int]


def write_handler(handler: Handler, *, pubkey: Pubkey, created_at: int) -> UnsignedEvent:
    """Write the kind 31990 for `pubkey` to sign. It holds a profile of its own: that of `pubkey` may be a person's."""
    rows = tags.build(
        (
            ("d", handler.identifier),
            *(("k", str(kind)) for kind in handler.opens),
            ("web", handler.url, "naddr"),
            ("alt", f"Application for live sessions: {handler.name}"),
        )
    )
    content = msgspec.json.encode({"name": handler.name, "about": handler.about}).decode()
    return UnsignedEvent(pubkey, created_at, kinds.HANDLER, rows, content)


def client_tag(name: str, handler: Address, relay_hint: str) -> Tag:
    """The `client` tag with which an application marks an event that it wrote (NIP-89)."""
    return ("client", name, str(handler), relay_hint)


def is_written_by(rows: tags.Tags, handler: Address) -> bool:
    """Whether the event's `client` tag names this application (NIP-89)."""
    return any(row[2] == str(handler) for row in tags.named(rows, "client") if len(row) > 2)
