"""People's names in lists: equal names are made different, and a person without a name is shown by a short key."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from podium_protocol.events import Pubkey
from podium_protocol.nips.nip19 import encode_npub, keys_beginning
from podium_protocol.text import single_line

MAX_SHOWN: Final = 60
"""Characters of a name, without the addition that makes it different from equal ones."""

_MARK: Final = re.compile(r"\((…|\.\.\.)[^)]*\)?")
_HEAD: Final = 10  # "npub1" and five more, as the page shortens keys
_TAIL: Final = 6


def short_npub(pubkey: Pubkey) -> str:
    """The beginning and the end of the npub (NIP-19), shown for a person without a name.

    People compare it; it is too short to search for the person by it.
    """
    npub = encode_npub(pubkey)
    return f"{npub[:_HEAD]}…{npub[-_TAIL:]}"


def shown_names(names: Mapping[Pubkey, str]) -> dict[Pubkey, str]:
    """The name to show for each person in one list.

    A name is one line without control characters. Where two look the same (NFKC, ignoring case), each gets the end of
    its key added: an attacker can take another person's name, but not their key. Without a name it is the short npub.
    """
    cleaned = {pubkey: own_name(name) for pubkey, name in names.items()}
    taken = Counter(_looks_of(name) for name in cleaned.values() if name)
    return {pubkey: _shown(pubkey, name, taken) for pubkey, name in cleaned.items()}


def names_match(query: str) -> Callable[[Pubkey, str], bool]:
    """The test whether a person with this key and own name is meant by a search: by a part of it, or by their npub.

    Capitals and look-alike letters (NFKC) are the same; of an npub the beginning is enough.
    """
    wanted = _looks_of(single_line(query, MAX_SHOWN))
    begins = keys_beginning(wanted)
    if begins is not None:
        return lambda pubkey, _: begins(pubkey)
    return lambda _, name: wanted in _looks_of(own_name(name))


def own_name(name: str) -> str:
    """The name as one line of at most 60 characters, "" if it is none."""
    # only this module may write this form: with it a participant could pose as another one's key
    line = _MARK.sub("", single_line(name, MAX_SHOWN))
    return "" if _looks_of(line).startswith("npub1") else line.strip()


def _shown(pubkey: Pubkey, name: str, taken: Counter[str]) -> str:
    if not name:
        return short_npub(pubkey)
    return name if taken[_looks_of(name)] == 1 else f"{name} (…{encode_npub(pubkey)[-_TAIL:]})"


def _looks_of(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
