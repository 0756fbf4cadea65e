"""NIP-05: the names under which a domain vouches for keys."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from podium_protocol.events import Pubkey
from podium_protocol.nips import nip19

ROOT: Final = "_"
"""The name of the domain itself: `_@example.org` is shown as `example.org`."""

_MAX_NAME: Final = 60
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OTHER: Final = re.compile(r"[^a-z0-9]+")


def names_of(service: Pubkey, staff: Mapping[Pubkey, str]) -> dict[str, Pubkey]:
    """The names at a service's domain: the service's own, and one for each of `staff`, made from the profile name.

    A member of staff whose name does not fit an address, or whose name another member has too, is called by the `npub`.
    The domain vouches for one person by one name: never for two, nor for another person tomorrow after a rename.
    """
    slugs = {pubkey: slug_of(name) for pubkey, name in staff.items()}
    times = Counter(slugs.values())
    named = {
        slug if slug and times[slug] == 1 else nip19.encode_npub(pubkey): pubkey
        for pubkey, slug in sorted(slugs.items())
    }
    return {ROOT: service, **named}


def slug_of(name: str) -> str:
    """The name in letters that NIP-05 allows (a-z, 0-9, `-`); "" if nothing is left, or if it looks like a key."""
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    slug = _OTHER.sub("-", plain.lower())[:_MAX_NAME].strip("-")
    return "" if slug.startswith(("npub", "nsec")) else slug


def root_name(public_url: str) -> str | None:
    """The NIP-05 name of the service at `public_url`, or None: only https, the default port and domains have one."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    labels = host.split(".")
    is_domain = len(labels) > 1 and all(map(_LABEL.fullmatch, labels)) and not _is_address(host)
    if parts.scheme != "https" or parts.port not in (None, 443) or parts.path not in ("", "/") or not is_domain:
        return None
    return f"{ROOT}@{host}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
