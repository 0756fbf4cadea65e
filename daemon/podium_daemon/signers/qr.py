"""QR codes (ISO/IEC 18004) as a matrix, which the terminal or the page draws."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

QUIET_ZONE: Final = 4
"""The width of the light border around the code that the standard asks for, in modules; it is not part of `rows`."""


class QrCode(msgspec.Struct, frozen=True):
    """`rows`: one string for each row, "1" for a dark module and "0" for a light one; without the quiet zone."""

    rows: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of modules on each side."""
        return len(self.rows)


def qr_code(text: str) -> QrCode:
    """Make the code for a text of up to 2,900 bytes, with the lowest error correction: screens do not get dirty."""
    import segno  # most daemons draw no code for weeks

    code = segno.make_qr(text, error="l", boost_error=True)
    return QrCode(tuple("".join("1" if module else "0" for module in row) for row in code.matrix))


@lru_cache(maxsize=64)
def qr_rows(text: str) -> tuple[str, ...]:
    """The rows of the code for a text, kept for the next who asks."""
    return qr_code(text).rows


def as_lines(code: QrCode) -> list[str]:
    """The code in half blocks, two rows of modules a line, for light characters on a dark ground."""
    side = code.size + 2 * QUIET_ZONE
    edge = "0" * QUIET_ZONE
    blank = ["0" * side] * QUIET_ZONE
    rows = [*blank, *(f"{edge}{row}{edge}" for row in code.rows), *blank]
    if len(rows) % 2:
        rows.append("0" * side)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_HALVES[above + below] for above, below in zip(*pair, strict=True)) for pair in pairs]


_HALVES: Final = {"00": "█", "01": "▀", "10": "▄", "11": " "}
