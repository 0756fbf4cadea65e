"""What somebody said to the service by message, as the service seals it for itself: a lost disk must not forget it.

The message itself is no memory: it was written to a conversation that is gone with the disk, so that a `no` says no
more to what, and its writer may have given it an expiration. The rumor is of kind 30078 (NIP-78), by the service.
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
"""In the place of a session: every one of them."""

_PREFIX: Final = "podium:said"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was said. `lesson_id` is `ALL` for `stop all`; `rumor_id` is the message's, `at` its time."""

    pubkey: Pubkey
    lesson_id: str
    reply: Reply
    at: int
    rumor_id: EventId


def write_said(said: Said, *, service: Pubkey) -> UnsignedEvent:
    """The rumor for the service's own eyes. The same words give the same rumor."""
    status = said.reply.status
    topic = "stop" if status is None else "answer"
    rows = tags.build(
        (
            ("d", f"{_PREFIX}:{topic}:{said.pubkey}:{said.lesson_id}"),
            ("p", said.pubkey),
            ("e", said.rumor_id),
            ("a", said.lesson_id) if said.lesson_id != ALL else None,
            ("status", status.wire) if status is not None else ("stop", "all" if said.lesson_id == ALL else "session"),
        )
    )
    return UnsignedEvent(service, said.at, kinds.APPLICATION_DATA, rows, "")


def read_said(event: AuthoredEvent) -> Said | None:
    """What a rumor of the service remembers; None for anything else. Whose rumor it is, the caller has checked."""
    if event.kind != kinds.APPLICATION_DATA or not (tags.first(event.tags, "d") or "").startswith(f"{_PREFIX}:"):
        return None
    pubkey = pubkey_or_none(tags.first(event.tags, "p") or "")
    rumor_id = fields.event_id(tags.first(event.tags, "e"))
    address = Address.parse(tags.first(event.tags, "a") or "")
    reply = _reply(tags.first(event.tags, "status"), tags.first(event.tags, "stop"))
    is_complete = reply is Reply.STOP_ALL or (address is not None and address.kind == kinds.SESSION)
    if pubkey is None or rumor_id is None or reply is None or not is_complete:
        return None
    lesson_id = ALL if reply is Reply.STOP_ALL else str(address)
    return Said(pubkey=pubkey, lesson_id=lesson_id, reply=reply, at=event.created_at, rumor_id=rumor_id)


def _reply(status: str | None, stop: str | None) -> Reply | None:
    if stop is not None:
        return {"all": Reply.STOP_ALL, "session": Reply.STOP}.get(stop)
    meant = RsvpStatus.from_wire(status or "")
    return next((reply for reply in Reply if meant is not None and reply.status is meant), None)
