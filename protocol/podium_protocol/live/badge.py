"""The badge of a session (NIP-58): the instructor defines it, and awards it to each participant who asked for it.

A badge is public: relays and all clients see who completed which session. So it is made on the participant's request
only, with one award event (kind 8) for each, and never for a private session.
"""

from __future__ import annotations

from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import MAX_IDENTIFIER_BYTES, Address
from podium_protocol.events import Pubkey, UnsignedEvent, pubkey_or_none
from podium_protocol.live.fields import AuthoredEvent
from podium_protocol.text import single_line

_PREFIX: Final = "completed:"
_MAX_TITLE_CHARS: Final = 200


class BadgeAward(msgspec.Struct, frozen=True):
    """A session's badge that its instructor gave to one participant."""

    session: Address
    participant: Pubkey


def badge_address(session: Address) -> Address | None:
    """The address of a session's badge definition; None if the session's `d` leaves no room for the prefix."""
    identifier = _PREFIX + session.identifier
    if len(identifier.encode()) > MAX_IDENTIFIER_BYTES:
        return None
    return Address(kinds.BADGE_DEFINITION, session.pubkey, identifier)


def write_badge_definition(session: Address, *, title: str, service_name: str, now: int) -> UnsignedEvent:
    """The definition (kind 30009) for the instructor to sign. It has no picture: nothing is loaded from anywhere.

    Raises:
        ValueError: the session can have no badge (`badge_address`).
    """
    name = single_line(title, _MAX_TITLE_CHARS)
    observer = single_line(service_name, _MAX_TITLE_CHARS)
    return UnsignedEvent(
        pubkey=session.pubkey,
        created_at=now,
        kind=kinds.BADGE_DEFINITION,
        tags=tags.build(
            (
                ("d", _badge(session).identifier),
                ("name", name),
                ("description", f"Completed the live session “{name}”, as {observer} observed."),
                ("a", str(session)),
            )
        ),
        content="",
    )


def write_badge_award(session: Address, participant: Pubkey, *, relay_hint: str, now: int) -> UnsignedEvent:
    """The award (kind 8) to one participant, for the instructor to sign.

    Raises:
        ValueError: the session can have no badge (`badge_address`).
    """
    hint = (relay_hint,) if relay_hint else ()
    return UnsignedEvent(
        pubkey=session.pubkey,
        created_at=now,
        kind=kinds.BADGE_AWARD,
        tags=tags.build((("a", str(_badge(session)), *hint), ("p", participant, *hint))),
        content="",
    )


def read_badge_definition(event: AuthoredEvent) -> Address | None:
    """The session whose badge an event defines, or None: it is no definition of a session's badge by its instructor."""
    if event.kind != kinds.BADGE_DEFINITION:
        return None
    return _session_of(Address(event.kind, event.pubkey, tags.first(event.tags, "d") or ""), event.pubkey)


def read_badge_award(event: AuthoredEvent) -> BadgeAward | None:
    """The award of a session's badge to exactly one participant, or None."""
    people, badges = list(tags.values(event.tags, "p")), list(tags.values(event.tags, "a"))
    if event.kind != kinds.BADGE_AWARD or len(people) != 1 or len(badges) != 1:
        return None
    participant, badge = pubkey_or_none(people[0]), Address.parse(badges[0])
    session = None if badge is None else _session_of(badge, event.pubkey)
    return None if session is None or participant is None else BadgeAward(session, participant)


def _badge(session: Address) -> Address:
    badge = badge_address(session)
    if badge is None:
        raise ValueError("the session's d is too long for a badge")
    return badge


def _session_of(badge: Address, author: Pubkey) -> Address | None:
    is_ours = badge.kind == kinds.BADGE_DEFINITION and badge.pubkey == author and badge.identifier.startswith(_PREFIX)
    return Address(kinds.SESSION, author, badge.identifier.removeprefix(_PREFIX)) if is_ours else None
