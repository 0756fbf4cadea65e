"""The rules for people without a signer: who may come, what they may be called, and what is signed for them."""

from __future__ import annotations

import unicodedata
from typing import Final, Protocol

from podium_protocol import kinds, tags
from podium_protocol.events import UnsignedEvent
from podium_protocol.live.session_spec import Guests, Visibility
from podium_protocol.text import single_line

MAX_NAME: Final = 40
"""Characters; longer ones break tiles and lists."""

_JOINERS: Final = "\u200c\u200d"  # scripts and emoji need them; they do not tell two names apart
_SIGNED_CALLS: Final = ("/join", "/recording/consent")


class Guested(Protocol):
    """The part of a session that says who may come without a signer."""

    @property
    def guests(self) -> str | None: ...
    @property
    def visibility(self) -> str: ...
    @property
    def e2ee_required(self) -> bool: ...


def guests_of(session: Guested, default: Guests) -> Guests:
    """Who may come without a signer; `default` is for sessions that do not say.

    To a private session nobody comes by a name alone. An encrypted room is closed to guests: the service has their
    keys, and could read what is said there.
    """
    if session.e2ee_required:
        return Guests.OFF
    chosen = default if session.guests is None else Guests(session.guests)
    if session.visibility == Visibility.PRIVATE and chosen is Guests.ANYONE:
        return Guests.INVITED
    return chosen


def guest_name(text: str) -> str | None:
    """The name as it is shown, 1 to 40 characters; None if it is none."""
    visible = "".join(one for one in unicodedata.normalize("NFC", text) if one in _JOINERS or not _is_unseen(one))
    name = single_line(visible, MAX_NAME + 1)
    return name if len(name.strip(_JOINERS)) >= 1 and len(name) <= MAX_NAME else None


def comparable_name(name: str) -> str:
    """Equal for names that people would take for each other: case, width and ways to write an accent do not count."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(one for one in folded if not _is_unseen(one))


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def is_signed_for_guests(event: UnsignedEvent, *, session_address: str, meeting: str, public_url: str) -> bool:
    """Whether the service signs this with a guest's key: an answer, a question, its withdrawal, a join or a consent.

    A login is not among them: with it a guest would pass for the owner of a key, in every session. `meeting` is the
    address of the session's live status.
    """
    rows = event.tags
    named = tags.first(rows, "a")
    match event.kind:
        case kinds.RSVP:
            return named == session_address
        case kinds.LIVE_CHAT:
            return named == meeting
        case kinds.DELETION:
            return tags.first(rows, "k") == str(kinds.LIVE_CHAT) and named is None
        case kinds.HTTP_AUTH:
            url = tags.first(rows, "u") or ""
            is_ours = url.startswith(f"{public_url}/api/sessions/") and url.endswith(_SIGNED_CALLS)
            return is_ours and named == session_address and not any(row[0] == "login" for row in rows)
    return False
