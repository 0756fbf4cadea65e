"""NIP-17: private messages, and the relays on which a person wants to receive them."""

from __future__ import annotations

from collections.abc import Iterable

from podium_protocol import kinds, relay_url, tags
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.limits import MAX_DM_RELAYS, MAX_MESSAGE_BYTES


def write_message(
    sender: Pubkey,
    recipient: Pubkey,
    text: str,
    *,
    created_at: int,
    subject: str | None = None,
    reply_to: EventId | None = None,
) -> UnsignedEvent:
    """Write the kind 14 rumor of a message in plain text, to be sealed and wrapped (`nip59.gift_wrap`).

    Raises:
        LocalProtocolError: no text, or more than 16 KiB of it.
    """
    size = len(text.encode(errors="surrogatepass"))
    if not 1 <= size <= MAX_MESSAGE_BYTES:
        raise LocalProtocolError(f"a message has 1 to {MAX_MESSAGE_BYTES} bytes, this one {size}: shorten it")
    reply = None if reply_to is None else ("e", reply_to)
    rows = tags.build([("p", recipient), reply, None if subject is None else ("subject", subject)])
    return UnsignedEvent(sender, created_at, kinds.PRIVATE_MESSAGE, rows, text)


def read_dm_relays(event: VerifiedEvent) -> tuple[str, ...]:
    """Read the relays of a kind 10050, in order and normalised; empty if none is usable, or for another kind.

    Nothing may be sent to a person without such relays (NIP-17).
    """
    if event.kind != kinds.DM_RELAY_LIST:
        return ()
    return relay_url.normalise_all(tags.values(event.tags, "relay"), MAX_DM_RELAYS)


def write_dm_relays(pubkey: Pubkey, relays: Iterable[str], *, created_at: int) -> UnsignedEvent:
    """Write a kind 10050 that names `relays`.

    Raises:
        LocalProtocolError: none, too many, or one that is no ws or wss URL.
    """
    urls = relay_url.require_all(relays, MAX_DM_RELAYS)
    return UnsignedEvent(pubkey, created_at, kinds.DM_RELAY_LIST, tuple(("relay", url) for url in urls), "")
