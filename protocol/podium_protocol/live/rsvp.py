"""RSVPs, kind 31925 (NIP-52), and the answers people give by message (wire-formats.md, "What Podium accepts")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, Pubkey, UnsignedEvent
from podium_protocol.live import fields, reply_words
from podium_protocol.live.fields import AuthoredEvent, next_created_at
from podium_protocol.tags import Tags
from podium_protocol.text import paragraphs

MAX_NOTE: Final = 1000
_MAX_REPLY: Final = 64


class RsvpStatus(StrEnum):
    """The model's `LiveSessionRSVPStatus`."""

    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    DECLINED = "declined"

    @property
    def wire(self) -> str:
        """NIP-52's word for it."""
        return "accepted" if self is RsvpStatus.CONFIRMED else self.value

    @classmethod
    def from_wire(cls, text: str) -> RsvpStatus | None:
        """The status that NIP-52 calls `text`, in any case and with blanks around it, or None for other words."""
        return _FROM_WIRE.get(text.strip().casefold())


_FROM_WIRE: Final = {status.wire: status for status in RsvpStatus}


class Rsvp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One person's answer to one session. `revision_id` is the revision they answered to, where they said so.

    `identifier` is the event's own `d`, by which its author may delete it; None for an answer that is no such event.
    `assurance`: "link" for an answer by the link in the person's message, which they did not sign.
    """

    session_address: str
    pubkey: Pubkey
    status: RsvpStatus
    created_at: int
    event_id: EventId
    revision_id: EventId | None = None
    note: str = ""
    identifier: str | None = None
    assurance: str | None = None


class Reply(StrEnum):
    """The possible replies to one of our messages."""

    YES = "yes"
    MAYBE = "maybe"
    NO = "no"
    STOP = "stop"
    STOP_ALL = "stop all"

    @property
    def status(self) -> RsvpStatus | None:
        """The RSVP it gives, or None for the two that end reminders."""
        return _STATUS_OF_REPLY.get(self)


_STATUS_OF_REPLY: Final = {
    Reply.YES: RsvpStatus.CONFIRMED,
    Reply.MAYBE: RsvpStatus.TENTATIVE,
    Reply.NO: RsvpStatus.DECLINED,
}
_REPLIES: Final = {reply.value: reply for reply in Reply}


def read_rsvp(event: AuthoredEvent) -> Rsvp | None:
    """Read an RSVP to the session its first kind-31923 `a` names, or None if it answers to something else.

    `d` is ignored, since clients mint a new one per click: the key is (session, author), see `newer`.
    """
    if event.kind != kinds.RSVP:
        return None
    session = fields.address(event.tags, kinds.SESSION)
    status = _status_of(event.tags)
    if session is None or status is None:
        return None
    return Rsvp(
        session_address=str(session),
        pubkey=event.pubkey,
        status=status,
        created_at=event.created_at,
        event_id=event.id,
        revision_id=fields.event_id(tags.first(event.tags, "e")),
        note=paragraphs(event.content[: 2 * MAX_NOTE], MAX_NOTE),
        identifier=tags.first(event.tags, "d") or "",
    )


def write_rsvp(
    session: Address,
    status: RsvpStatus,
    *,
    pubkey: Pubkey,
    now: int,
    revision_id: EventId | None = None,
    relay_hint: str = "",
    note: str = "",
    previous_created_at: int | None = None,
) -> UnsignedEvent:
    """Write the kind 31925 event for `pubkey` to sign (or, for a private session, the rumor to wrap).

    `d` follows from the session alone, so that each change of mind replaces the last answer on every relay.

    Raises:
        LocalProtocolError: the address is not that of a session.
    """
    if session.kind != kinds.SESSION:
        raise LocalProtocolError(f"an RSVP answers to a kind {kinds.SESSION} address, this is kind {session.kind}")
    hint = (relay_hint,) if relay_hint else ()
    return UnsignedEvent(
        pubkey=pubkey,
        created_at=next_created_at(now, previous_created_at),
        kind=kinds.RSVP,
        tags=tags.build(
            (
                ("a", str(session), *hint),
                ("e", revision_id, *hint) if revision_id else None,
                ("d", rsvp_identifier(session)),
                ("status", status.wire),
                ("p", session.pubkey, *hint),
                ("alt", f"Answer to a live session: {status.wire}"),
            )
        ),
        content=paragraphs(note, MAX_NOTE),
    )


def rsvp_identifier(session: Address) -> str:
    """The `d` of the RSVPs we write: 32 hex digits that depend on the session alone (the author is in the event)."""
    return hashlib.sha256(f"podium rsvp {session}".encode()).hexdigest()[:32]


def newer(one: Rsvp, other: Rsvp) -> Rsvp:
    """Which of two answers by one person to one session counts: the newest `created_at`, ties by lowest id (NIP-01)."""
    return min(one, other, key=lambda rsvp: (-rsvp.created_at, rsvp.event_id))


def needs_reconfirmation(rsvp: Rsvp, starts_at: int, start_of_revision: Mapping[EventId, int]) -> bool:
    """Whether the answer was to a revision with another start than `starts_at`; it is kept, and flagged.

    `start_of_revision` holds the starts of the revisions we have seen: an answer to one we have not is not flagged.
    """
    if rsvp.revision_id is None:
        return False
    return start_of_revision.get(rsvp.revision_id, starts_at) != starts_at


def read_reply(text: str) -> Reply | None:
    """The answer a private message gives if it says yes, maybe, no, stop or stop all in a known language, else None.

    Case, white space, punctuation, politeness and emoji around it do not matter ("Yes please!", "Ja, gerne 👍", " STOP,
    all. "), and a 👍 alone is an answer; anything more is conversation.
    """
    return None if len(text) > _MAX_REPLY else _REPLIES.get(reply_words.meaning_of(text) or "")


def read_reaction(content: str) -> Reply | None:
    """The answer that a reaction to a message gives (kind 7, NIP-17 and NIP-25), or None if it only acknowledges."""
    return None if len(content) > _MAX_REPLY else _REPLIES.get(reply_words.meaning_of_reaction(content) or "")


def is_courtesy(text: str) -> bool:
    """Whether a message holds only thanks and greetings, which need no answer."""
    return len(text) <= _MAX_REPLY and reply_words.meaning_of(text) == ""


def _status_of(rows: Tags) -> RsvpStatus | None:
    stated = tags.first(rows, "status")
    if stated is not None:
        return RsvpStatus.from_wire(stated)
    # before 2024 NIP-52 put the status into a NIP-32 label; some clients still do
    labels = (row[1] for row in tags.named(rows, "l") if len(row) > 2 and row[2] == "status")
    return RsvpStatus.from_wire(next(labels, ""))
