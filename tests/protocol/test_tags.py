from __future__ import annotations

import pytest

from podium_protocol import tags

TAGS = (("a", "1"), ("b",), ("a", "2", "x"), ("a",), ("c", ""))


@pytest.mark.parametrize(("name", "value"), [("a", "1"), ("b", None), ("c", ""), ("z", None), ("A", None)])
def test_the_first_value_counts(name: str, value: str | None) -> None:
    """A tag without a value counts as absent, an empty value as a value."""
    assert tags.first(TAGS, name) == value


def test_all_values_come_in_order() -> None:
    """Tags without a value are left out."""
    assert list(tags.values(TAGS, "a")) == ["1", "2"]
    assert list(tags.values(TAGS, "b")) == []


def test_whole_tags_come_in_order() -> None:
    """With whatever stands behind the value."""
    assert list(tags.named(TAGS, "a")) == [("a", "1"), ("a", "2", "x")]


def test_rows_that_are_not_wanted_are_left_out() -> None:
    """A writer says `row if wanted else None`."""
    assert tags.build([("a", "1"), None, ["b"]]) == (("a", "1"), ("b",))
    assert tags.build([]) == ()
