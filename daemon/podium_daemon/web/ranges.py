"""Byte ranges of a file (RFC 9110, section 14): which bytes a request asks for."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_ONE: Final = re.compile(r"bytes=(?P<first>[0-9]{1,18})?-(?P<last>[0-9]{1,18})?", re.IGNORECASE)


class Part(msgspec.Struct, frozen=True):
    """Bytes from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many."""
        return self.last - self.first + 1


class Unsatisfiable(msgspec.Struct, frozen=True):
    """The range lies outside of the file: answer 416."""


def part_of(header: str | None, size: int) -> Part | Unsatisfiable | None:
    """The part that a Range header asks for, or None for the whole file.

    A header that is malformed, or asks for several parts, is ignored, as a server may (14.2).
    """
    match = _ONE.fullmatch(header.strip()) if header else None
    if match is None or (match["first"] is None and match["last"] is None):
        return None
    if match["first"] is None:
        count = int(match["last"])
        return Part(max(size - count, 0), size - 1) if count and size else Unsatisfiable()
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size - 1
    if last < first and match["last"]:
        return None  # malformed: 14.1.1
    return Part(first, min(last, size - 1)) if first < size else Unsatisfiable()


def still_valid(if_range: str | None, etag: str) -> bool:
    """Whether a Range may be answered with a part (13.1.5). Dates are not given out here, so none can match."""
    return if_range is None or if_range.strip() == etag
