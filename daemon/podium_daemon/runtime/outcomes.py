"""The one shape of 'no' that services give and interfaces tell: an expected outcome, not an exception."""

from __future__ import annotations

import msgspec


class Refused(msgspec.Struct, frozen=True):
    """Nothing was changed.

    `slug` is stable and for machines, `detail` says what was wrong, `next_step` what the caller can do.
    """

    slug: str
    detail: str
    next_step: str = ""
