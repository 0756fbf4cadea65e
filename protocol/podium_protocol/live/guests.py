"""The rules for people without a signer: who may come, what they may be called, and what is signed for them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import unicodedata
from collections.abc import Collection, Iterable
from typing import Final, Protocol

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.live.names import own_name
from podium_protocol.live.session_spec import GuestPolicy, Visibility
from podium_protocol.text import single_line

MAX_NAME: Final = 40
"""Characters; longer ones break tiles and lists."""

_JOINERS: Final = "\u200c\u200d"  # scripts and emoji need them; they do not tell two names apart
RECORDING_LINK_SECONDS: Final = 14 * 24 * 3600
"""The link to a recording is good as long as the message that brings it: relays drop that after two weeks."""

_LINK_CONTEXT: Final = b"podium personal link 1"
_LINK: Final = struct.Struct(">Bq32s")  # for what, when made, for whom; then the code
_CODE_BYTES: Final = 16
_LINK_CHARACTERS: Final = (_LINK.size + _CODE_BYTES) * 4 // 3
_SIGNED_CALLS: Final = ("/join", "/recording/consent")


class Guested(Protocol):
    """The part of a session that says who may come without a signer."""

    @property
    def guests(self) -> str | None: ...
    @property
    def visibility(self) -> str: ...
    @property
    def e2ee_required(self) -> bool: ...


def guests_of(session: Guested, default: GuestPolicy) -> GuestPolicy:
    """Who may come without a signer; `default` is for sessions that do not say.

    To a private session no guest comes by a name alone. An encrypted room is closed to guests: the service has their
    keys, and could read what is said there.
    """
    if session.e2ee_required:
        return GuestPolicy.OFF
    chosen = default if session.guests is None else GuestPolicy(session.guests)
    if session.visibility == Visibility.PRIVATE and chosen is GuestPolicy.ANYONE:
        return GuestPolicy.INVITED
    return chosen


def guest_name(text: str) -> str | None:
    """The name as it is shown, 1 to 40 characters; None if it is none."""
    visible = "".join(one for one in unicodedata.normalize("NFC", text) if one in _JOINERS or not _is_unseen(one))
    name = single_line(visible, MAX_NAME + 1)
    return name if len(name.strip(_JOINERS)) >= 1 and len(name) <= MAX_NAME else None


def door_name(text: str) -> str | None:
    """The name in one session of a person with a key whose profile has none, by the rule of guests' names; or None.

    A key's short form is no name, and the addition by which equal names are told apart is no part of one.
    """
    return guest_name(own_name(guest_name(text) or ""))


def comparable_name(name: str) -> str:
    """Equal for names that people would take for each other: case, width and ways to write an accent do not count."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(one for one in folded if not _is_unseen(one))


def is_taken(name: str, others: Iterable[str]) -> bool:
    """Whether people would take the bearer of this name for another person, as `others` are shown."""
    looks = comparable_name(name)
    return any(comparable_name(own_name(one)) == looks for one in others)


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


class PersonalLink(msgspec.Struct, frozen=True, kw_only=True):
    """What the link in a message says: for whom it was made, when (Unix seconds), and whether for the recording."""

    person: Pubkey
    made_at: int
    to_recording: bool = False


def personal_link_key(service_secret: bytes) -> bytes:
    """The key of a service's personal links, derived from its own."""
    return hmac.new(service_secret, _LINK_CONTEXT, hashlib.sha256).digest()


def write_personal_link(link: PersonalLink, session_address: str, key: bytes) -> str:
    """The secret of a personal link: 76 characters that are safe in a URL.

    It is derived and not drawn, so that a message that is written again has the same text, and nothing of it is kept.
    """
    said = _LINK.pack(link.to_recording, link.made_at, bytes.fromhex(link.person))
    return base64.urlsafe_b64encode(said + _link_code(said, session_address, key)).decode()


def read_personal_link(text: str, session_address: str, key: bytes) -> PersonalLink | None:
    """Read the secret of a link to this session; None if we did not make it."""
    if len(text) != _LINK_CHARACTERS or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    said, code = raw[: _LINK.size], raw[_LINK.size :]
    if not hmac.compare_digest(code, _link_code(said, session_address, key)):
        return None
    to_recording, made_at, person = _LINK.unpack(said)
    return PersonalLink(person=Pubkey(person.hex()), made_at=made_at, to_recording=bool(to_recording))


def acts_as(key: str, person: str | None, leaders: Collection[str]) -> Pubkey:
    """The person for whom a guest's key speaks: the one whose link was opened, or the guest alone.

    A link can be passed on, and what a person may do is looked up by their key: by the link of an instructor or
    co-host a guest comes, who leads nothing.
    """
    return Pubkey(key if person is None or person in leaders else person)


def _link_code(said: bytes, session_address: str, key: bytes) -> bytes:
    return hmac.new(key, said + session_address.encode(), hashlib.sha256).digest()[:_CODE_BYTES]
