"""What people say of themselves in kind 0 (NIP-01, NIP-24), as far as Podium shows it: a name, and a NIP-05 claim.

And the service's own profile, which never replaces a profile that another client wrote. People's pictures are never
loaded: a request for one would tell its host who looks at whom (hardening.md).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.live.fields import AuthoredEvent
from podium_protocol.nips import nip89
from podium_protocol.text import single_line

MAX_NAME: Final = 60  # characters: a name shares its line with other text
_MAX_CONTENT: Final = 64 * 1024
_CLAIM: Final = re.compile(r"[a-z0-9._-]{1,64}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")


class Profile(msgspec.Struct, frozen=True):
    """`name` is "" if there is none. `claim` is a NIP-05 name in lower case; it proves nothing until looked up."""

    name: str = ""
    claim: str | None = None


class _Content(msgspec.Struct):
    # of any type: one odd field must not hide the good ones
    name: object = None
    display_name: object = None
    nip05: object = None
    bot: object = None


_decode: Final = msgspec.json.Decoder(_Content).decode


def read_profile(event: VerifiedEvent) -> Profile | None:
    """Read the profile in a kind 0 event; None for another kind, or if its content is too long or no JSON object."""
    content = _content(event)
    if content is None:
        return None
    # NIP-24: display_name is the longer one for people; name is there without it as well
    name = _line(content.display_name) or _line(content.name)
    return Profile(name, _claim(content.nip05))


def write_service_profile(
    *, name: str, about: str, nip05: str | None, service: Pubkey, handler: Address, relay_hint: str, created_at: int
) -> UnsignedEvent:
    """The kind 0 of a service: a program (NIP-24, `bot`), marked as written by `handler` (NIP-89, `client`)."""
    fields: dict[str, object] = {"name": name, "about": about, "bot": True}
    if nip05 is not None:
        fields["nip05"] = nip05
    rows = (nip89.client_tag(name, handler, relay_hint),)
    return UnsignedEvent(service, created_at, kinds.METADATA, rows, msgspec.json.encode(fields).decode())


def is_service_profile(event: AuthoredEvent, handler: Address) -> bool:
    """Whether `handler` wrote this kind 0 of a program: a person's client that edits it drops both marks."""
    content = _content(event)
    return content is not None and content.bot is True and nip89.is_written_by(event.tags, handler)


def _content(event: AuthoredEvent) -> _Content | None:
    if event.kind != kinds.METADATA or len(event.content) > _MAX_CONTENT:
        return None
    try:
        return _decode(event.content.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _line(value: object) -> str:
    return single_line(value, MAX_NAME) if isinstance(value, str) else ""


def _claim(value: object) -> str | None:
    claim = value.strip().lower() if isinstance(value, str) else ""
    return claim if _CLAIM.fullmatch(claim) else None
