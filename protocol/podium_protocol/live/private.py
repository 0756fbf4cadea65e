"""Private sessions: who belongs to one, and how its signed events travel (docs/wire-formats.md, "Private sessions").

A seal vouches for its signer only (NIP-59), and the service seals what an instructor signed. So the signed event goes
whole, as the content of a kind 16 rumor by the service (NIP-18): the recipient checks the instructor's own signature
and need not trust the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.events import EventId, Pubkey, Rejected, SignedEvent, UnsignedEvent, VerifiedEvent, verify_json
from podium_protocol.live.languages import ENGLISH, N_, Language
from podium_protocol.live.message_texts import MAX_TITLE, PERSONAL, PERSONAL_NEEDS_KEY, spoken_time
from podium_protocol.live.profile import MAX_NAME
from podium_protocol.live.session_spec import Visibility
from podium_protocol.nips import nip17
from podium_protocol.text import single_line

MAX_COPY_BYTES: Final = 28_000
"""A rumor of this size pads to 28 KiB, its seal to 40, its wrap to 56: under the 64 KiB at which many relays refuse."""

_TRAVEL: Final = frozenset({kinds.SESSION, kinds.RSVP, kinds.DELETION})
_SIGNATURE: Final = "0" * 128


class Guarded(Protocol):
    """The fields of a session that decide who may know of it; `LiveSessionRow` has them."""

    @property
    def visibility(self) -> str: ...
    @property
    def instructor_pubkey(self) -> str: ...
    @property
    def co_hosts(self) -> tuple[str, ...]: ...
    @property
    def invited(self) -> tuple[str, ...]: ...


def is_private(session: Guarded) -> bool:
    """Whether the session is private: nothing about it may be published."""
    return session.visibility == Visibility.PRIVATE


class Attested(Protocol):
    """The fields of a session that decide where its attendance records go; `LiveSessionRow` has them."""

    @property
    def visibility(self) -> str: ...
    @property
    def attendance(self) -> str: ...


def seals_attendance(session: Attested) -> bool:
    """Whether attendance records go sealed to the person and the instructor, instead of being published."""
    return attendance_of(session) is Visibility.PRIVATE


def attendance_of(session: Attested) -> Visibility:
    """Where attendance records go: in a private session nothing is published, whatever the session says otherwise."""
    is_sealed = Visibility.PRIVATE in (session.visibility, session.attendance)
    return Visibility.PRIVATE if is_sealed else Visibility.PUBLIC


def people_of(session: Guarded) -> tuple[Pubkey, ...]:
    """The people whom the session names: instructor, co-hosts, invited; each once."""
    named = (session.instructor_pubkey, *session.co_hosts, *session.invited)
    return tuple(dict.fromkeys(map(Pubkey, named)))


def may_attend(session: Guarded, pubkey: str | None) -> bool:
    """Whether `pubkey` may know of the session, answer and join: any person if it is public, else those it names."""
    return not is_private(session) or (pubkey is not None and pubkey in people_of(session))


def write_copy(event: SignedEvent, *, service: Pubkey) -> UnsignedEvent:
    """Write the kind 16 rumor that holds `event` whole. It has the event's time, so a repetition has the same id."""
    address = Address.from_event(event)
    rows = tags.build(
        (
            ("e", event.id, ""),  # NIP-18 wants a relay in the third place, but no relay has this event
            ("p", event.pubkey),
            ("k", str(event.kind)),
            ("a", str(address)) if address is not None else None,
        )
    )
    return UnsignedEvent(service, event.created_at, kinds.GENERIC_REPOST, rows, event.to_json().decode())


def read_copy(rumor: UnsignedEvent) -> VerifiedEvent | None:
    """Read the event in a copy and check its signature; None if it is no copy, or of a kind that is not sent so."""
    if rumor.kind != kinds.GENERIC_REPOST:
        return None
    event = verify_json(rumor.content.encode("utf-8", "surrogatepass"))
    return None if isinstance(event, Rejected) or event.kind not in _TRAVEL else event


def check_size(event: UnsignedEvent | SignedEvent, *, service: Pubkey) -> None:
    """Refuse an event that would be too long for relays once it is sealed and wrapped.

    Raises:
        InvalidInput: the event is too long; the text says by how much, and what to do.
    """
    signed = SignedEvent(
        EventId(event.id), event.pubkey, event.created_at, event.kind, event.tags, event.content, _SIGNATURE
    )
    size = len(msgspec.json.encode(write_copy(signed, service=service)))
    if size > MAX_COPY_BYTES:
        raise InvalidInput(
            f"a private session travels encrypted and may have {MAX_COPY_BYTES} bytes, this one has {size}: "
            "shorten the text or invite fewer people"
        )


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What the private message to an invited person says.

    Args:
        title: the session's, from a stranger.
        starts_at: Unix seconds.
        timezone: IANA name.
        page: address of the session's page.
        is_personal: it signs the recipient in.
        needs_key: the room is encrypted from end to end, so that a link does not lead into it.
        inviter: how the instructor is called: their name, else their short npub.
        cancelled: the session is cancelled.
        cancel_reason: the instructor's words for it, from a stranger.
        changed: the person was told of another time or title before.
    """

    title: str
    starts_at: int
    timezone: str
    page: str
    inviter: str
    is_personal: bool = False
    needs_key: bool = False
    cancelled: bool = False
    cancel_reason: str | None = None
    changed: bool = False


_KINDS: Final = (N_("Cancelled: {title}"), N_("Invitation changed: {title}"), N_("You are invited: {title}"))


def write_invitation(
    told: Invitation, *, service: Pubkey, recipient: Pubkey, created_at: int, language: Language = ENGLISH
) -> UnsignedEvent:
    """Write the kind 14 rumor (NIP-17) that tells people without our page of a private session."""
    say = language.catalogue.gettext
    cancelled, changed, new = _KINDS
    kind = cancelled if told.cancelled else changed if told.changed else new
    headline = say(kind).format(title=single_line(told.title, MAX_TITLE))
    when = spoken_time(told.starts_at, told.timezone, language)
    text = "\n\n".join((headline, *_opening(told, language), when, *_closing(told, language)))
    return nip17.write_message(service, recipient, text, created_at=created_at, subject=headline)


def _opening(told: Invitation, language: Language) -> Iterator[str]:
    if not told.cancelled:
        invites = language.catalogue.gettext(N_("{inviter} invites you."))
        yield invites.format(inviter=single_line(told.inviter, MAX_NAME))


def _closing(told: Invitation, language: Language) -> Iterator[str]:
    say = language.catalogue.gettext
    if told.cancelled:
        yield say(N_("The instructor cancelled the session."))
        if told.cancel_reason:
            yield say(N_("Reason: {reason}")).format(reason=told.cancel_reason)
        yield say(N_("The session's page: {url}")).format(url=told.page)
        return
    private = say(N_("This session is private: only invited people see it and may come."))
    how = say(N_("Sign in on its page with this key."))
    yield private if told.is_personal else f"{private} {how}"
    yield say(N_("Join: {url}")).format(url=told.page)
    if told.is_personal:
        yield say(PERSONAL_NEEDS_KEY if told.needs_key else PERSONAL)
    yield say(N_("Reply yes, maybe or no to answer."))
