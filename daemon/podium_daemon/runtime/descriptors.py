"""Open files and connections: how many the system allows, and how many of them are not for strangers."""

from __future__ import annotations

import resource
from typing import Final

_ENOUGH: Final = 65_536  # where the system names no limit
_RESERVE_AT_MOST: Final = 1_024  # relays of the operator's and of recipients (256), remote signers', the database


def raise_limit() -> int:
    """Raise the process's soft limit of open descriptors to the hard one, and return it.

    The soft one is 1,024 on most systems for the sake of `select`, which nothing here uses.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # refused by the system: the soft limit stays
            wanted = soft
    return max(soft, wanted)


def for_strangers(limit: int) -> int:
    """How many of `limit` descriptors HTTP connections may take, so that relays and the database keep theirs."""
    return max(1, limit - min(_RESERVE_AT_MOST, limit // 4))
