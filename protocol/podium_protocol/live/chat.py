"""The chat of a room: what a line and a reaction may be, and the transcript. Nothing of it is ever on relays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from podium_protocol.events import Pubkey
from podium_protocol.text import paragraphs, single_line

MAX_TEXT: Final = 1_000  # characters of a line
MAX_LINES: Final = 500  # of one session: the newest are kept
MAX_SEALED: Final = 5_600  # base64 digits of a line's cipher text: 4 bytes a character, nonce, tag and epoch
REACTIONS: Final = ("thumbs-up", "applause", "heart", "laugh", "surprise", "party")
_MAX_NAME: Final = 100
_SEALED: Final = re.compile(r"[0-9]{1,5}\.[A-Za-z0-9+/]{38,}={0,2}")
_NOT_READABLE: Final = "(encrypted: the service cannot read it)"


class ChatLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line, `private`: for those who lead. `sent_at` is in Unix seconds; `sealed`: the text is cipher text."""

    pubkey: Pubkey
    text: str
    sent_at: int
    private: bool = False
    sealed: bool = False


def read_text(text: str, *, sealed: bool = False) -> str | None:
    """The text of a line as it is kept, or None if it is empty, too long, or not encrypted where it must be (`sealed`).

    What is too long is refused, not cut: a cut line would say what its sender did not.
    """
    if sealed:
        return text if is_sealed(text, MAX_SEALED) else None
    return paragraphs(text, MAX_TEXT) or None if len(text) <= MAX_TEXT else None


def is_sealed(text: str, at_most: int) -> bool:
    """Whether a text has the form of cipher text under a room's key (docs/encryption.md), of `at_most` characters."""
    return len(text) <= at_most and _SEALED.fullmatch(text) is not None


def is_reaction(kind: str, *, sealed: bool = False) -> bool:
    """Whether this is one of the reactions there are, or cipher text where it must be (`sealed`)."""
    return _SEALED.fullmatch(kind) is not None if sealed else kind in REACTIONS


def transcript(title: str, lines: Iterable[ChatLine], names: Mapping[str, str]) -> str:
    """The chat as plain text with times in UTC: each line begins with its time, and what continues it is indented.

    So no text can forge a line of another person.
    """
    return "".join([f"{single_line(title, _MAX_NAME)}\n\n", *(_written(line, names) for line in lines)])


def _written(line: ChatLine, names: Mapping[str, str]) -> str:
    at = datetime.fromtimestamp(line.sent_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    who = single_line(names.get(line.pubkey, line.pubkey), _MAX_NAME)
    text = _NOT_READABLE if line.sealed else "\n    ".join(line.text.splitlines())
    return f"{at} {who}{' (private)' if line.private else ''}: {text}\n"
