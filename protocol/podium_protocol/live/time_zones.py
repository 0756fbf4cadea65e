"""Time zones by their IANA names.

The zone data are files of the standard library's `zoneinfo` (the system's or the `tzdata` package's): constant data,
read once and cached, which is the one place where these pure rules touch a disk.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from functools import lru_cache
from typing import Final

UTC: Final = zoneinfo.ZoneInfo("UTC")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,63}(/[A-Za-z0-9_+-]{1,63}){0,3}")
# "right/" zones count leap seconds, so their epochs are not Unix time; the others differ from machine to machine
_UNUSABLE: Final = ("right/", "posix/")
_LOCAL_NAMES: Final = frozenset({"localtime", "posixrules", "Factory"})


@lru_cache(maxsize=1024)
def zone_or_none(name: str) -> zoneinfo.ZoneInfo | None:
    """The zone called exactly `name`, or None: paths, leap-second zones and the machine's own zone are refused."""
    if _NAME.fullmatch(name) is None or name.startswith(_UNUSABLE) or name in _LOCAL_NAMES:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def expectation(name: str) -> str:
    """What to write instead of the unknown zone `name`, with the nearest real name where there is one."""
    nearest = _nearest(name)
    advice = f"did you mean {nearest}?" if nearest else "an IANA name such as Europe/Berlin or UTC is expected"
    return f"unknown time zone {name[:64]!r}: {advice}"


def _nearest(name: str) -> str | None:
    folded = {zone.casefold(): zone for zone in sorted(zoneinfo.available_timezones())}
    folded |= {zone.rpartition("/")[2]: folded[zone] for zone in list(folded) if "/" in zone}  # "berlin" alone
    wanted = name[:64].strip().replace(" ", "_").casefold()
    found = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None
