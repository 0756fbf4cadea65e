from __future__ import annotations

import pytest

from podium_protocol import kinds


@pytest.mark.parametrize(
    ("kind", "replaceable", "ephemeral", "addressable"),
    [
        (0, True, False, False),
        (1, False, False, False),
        (2, False, False, False),
        (3, True, False, False),
        (4, False, False, False),
        (9999, False, False, False),
        (10_000, True, False, False),
        (19_999, True, False, False),
        (20_000, False, True, False),
        (29_999, False, True, False),
        (30_000, False, False, True),
        (39_999, False, False, True),
        (40_000, False, False, False),
        (65_535, False, False, False),
    ],
)
def test_the_ranges_of_nip01(kind: int, replaceable: bool, ephemeral: bool, addressable: bool) -> None:
    """Each range at both of its ends."""
    assert kinds.is_replaceable(kind) is replaceable
    assert kinds.is_ephemeral(kind) is ephemeral
    assert kinds.is_addressable(kind) is addressable


def test_no_two_kinds_have_the_same_number() -> None:
    """A slip of the pen here would mix two kinds of events."""
    numbers = [value for name, value in vars(kinds).items() if name.isupper() and name != "MAX_KIND"]
    assert len(numbers) == len(set(numbers))
    assert all(0 <= number <= kinds.MAX_KIND for number in numbers)
