"""What a person said to the service by message, as the service seals it for itself: it must survive a lost disk.

The message itself cannot be kept on relays for that: without the lost conversation a `no` does not say to what, and its
sender may have given it an expiration. The rumor is of kind 30078 (NIP-78), by the service.
"""

from __future__ import annotations

from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, UnsignedEvent, pubkey_or_none
from podium_protocol.live import fields
from podium_protocol.live.fields import AuthoredEvent
from podium_protocol.live.rsvp import Reply, RsvpStatus

ALL: Final = "*"
"""In place of a session's address: all sessions."""

_PREFIX: Final = "podium:said"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One such message. `session_address` is `ALL` for `stop all`; `rumor_id` is the message's id, `at` its time."""

    pubkey: Pubkey
    session_address: str
    reply: Reply
    at: int
    rumor_id: EventId


def write_said(said: Said, *, service: Pubkey) -> UnsignedEvent:
    """Write the rumor that the service sends to itself. The same message gives the same rumor."""
    status = said.reply.status
    topic = "stop" if status is None else "answer"
    rows = tags.build(
        (
            ("d", f"{_PREFIX}:{topic}:{said.pubkey}:{said.session_address}"),
            ("p", said.pubkey),
            ("e", said.rumor_id),
            ("a", said.session_address) if said.session_address != ALL else None,
            ("status", status.wire)
            if status is not None
            else ("stop", "all" if said.session_address == ALL else "session"),
        )
    )
    return UnsignedEvent(service, said.at, kinds.APPLICATION_DATA, rows, "")


def read_said(event: AuthoredEvent) -> Said | None:
    """Read such a rumor; None for anything else. The caller has checked that the service wrote it."""
    if event.kind != kinds.APPLICATION_DATA or not (tags.first(event.tags, "d") or "").startswith(f"{_PREFIX}:"):
        return None
    pubkey = pubkey_or_none(tags.first(event.tags, "p") or "")
    rumor_id = fields.event_id(tags.first(event.tags, "e"))
    address = Address.parse(tags.first(event.tags, "a") or "")
    reply = _reply(tags.first(event.tags, "status"), tags.first(event.tags, "stop"))
    is_complete = reply is Reply.STOP_ALL or (address is not None and address.kind == kinds.SESSION)
    if pubkey is None or rumor_id is None or reply is None or not is_complete:
        return None
    session_address = ALL if reply is Reply.STOP_ALL else str(address)
    return Said(pubkey=pubkey, session_address=session_address, reply=reply, at=event.created_at, rumor_id=rumor_id)


def _reply(status: str | None, stop: str | None) -> Reply | None:
    if stop is not None:
        return {"all": Reply.STOP_ALL, "session": Reply.STOP}.get(stop)
    meant = RsvpStatus.from_wire(status or "")
    return next((reply for reply in Reply if meant is not None and reply.status is meant), None)
