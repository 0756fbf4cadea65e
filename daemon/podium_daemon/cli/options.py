"""Arguments and options that several commands share, and the help that begins with examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey
from podium_protocol.nips.nip19 import parse_pubkey

SessionReference = Annotated[
    str, typer.Argument(metavar="SESSION", help="naddr, address, or the beginning of its identifier.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet.")]


def helped(text: str, *examples: str) -> str:
    """Help with its examples first."""
    # the backspace tells the formatter to keep the lines that follow as they are
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples) + f"\n\n{text}"


def pubkey_of(text: str, option: str) -> Pubkey:
    """Whom hex, npub, nprofile or a nostr: URI names.

    Raises:
        InvalidInput: anything else; a secret key is refused and not repeated.
    """
    try:
        return parse_pubkey(text)
    except InvalidInput as error:
        raise InvalidInput(f"{option}: {error}") from None
