"""QR codes as a matrix and as half blocks."""

from __future__ import annotations

from podium_daemon.signers.qr import QUIET_ZONE, as_lines, qr_code

TEXT = "nostrconnect://" + "a" * 64 + "?relay=wss%3A%2F%2Frelay.example.org&secret=" + "b" * 32
FINDER = ("1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111")


def test_a_code_has_its_three_corners() -> None:
    """ISO/IEC 18004: finder patterns in three corners, a square of 17 + 4 n modules, nothing around it."""
    code = qr_code(TEXT)
    assert (code.size - 17) % 4 == 0
    assert {len(row) for row in code.rows} == {code.size}
    for rows, columns in ((slice(7), slice(7)), (slice(7), slice(-7, None)), (slice(-7, None), slice(7))):
        assert tuple(row[columns] for row in code.rows[rows]) == FINDER


def test_half_blocks_are_the_same_code_with_its_quiet_zone() -> None:
    """Light modules are drawn, dark ones are left: read back, the lines are the matrix."""
    code = qr_code(TEXT)
    lines = as_lines(code)
    above = ["".join("0" if block in "█▀" else "1" for block in line) for line in lines]
    below = ["".join("0" if block in "█▄" else "1" for block in line) for line in lines]
    drawn = [row for pair in zip(above, below, strict=True) for row in pair]
    inner = drawn[QUIET_ZONE : QUIET_ZONE + code.size]
    assert tuple(row[QUIET_ZONE:-QUIET_ZONE] for row in inner) == code.rows
    edges = "".join([*drawn[:QUIET_ZONE], *drawn[QUIET_ZONE + code.size :]])
    edges += "".join(row[:QUIET_ZONE] + row[-QUIET_ZONE:] for row in inner)
    assert set(edges) == {"0"}
