"""What people say of themselves in kind 0 (NIP-01, NIP-24), as far as Podium shows it: a name, and a NIP-05 claim.

The picture is left where it is: to load it would tell its host who looks at whom (hardening.md).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from podium_protocol import kinds
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.plain_text import single_line

MAX_NAME: Final = 60  # characters: a name stands in a line with other things
_MAX_CONTENT: Final = 64 * 1024
_CLAIM: Final = re.compile(r"[a-z0-9._-]{1,64}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")


class Profile(msgspec.Struct, frozen=True):
    """`name` is "" where there is none. `claim` is a NIP-05 name in lower case, worth nothing until looked up."""

    name: str = ""
    claim: str | None = None


class _Content(msgspec.Struct):
    # of any type: one odd field must not hide the good ones
    name: object = None
    display_name: object = None
    nip05: object = None


_decode: Final = msgspec.json.Decoder(_Content).decode


def read_profile(event: VerifiedEvent) -> Profile | None:
    """The profile in a kind 0 event; None for another kind, an overlong content, or one that is no JSON object."""
    if event.kind != kinds.METADATA or len(event.content) > _MAX_CONTENT:
        return None
    try:
        content = _decode(event.content.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    # NIP-24: display_name is the longer one for people; name is there without it as well
    name = _line(content.display_name) or _line(content.name)
    return Profile(name, _claim(content.nip05))


def _line(value: object) -> str:
    return single_line(value, MAX_NAME) if isinstance(value, str) else ""


def _claim(value: object) -> str | None:
    claim = value.strip().lower() if isinstance(value, str) else ""
    return claim if _CLAIM.fullmatch(claim) else None
