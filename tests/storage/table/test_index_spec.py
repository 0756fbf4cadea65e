"""Dexie's grammar: what is read, and what is refused with the bad token named."""

from __future__ import annotations

import pytest

from podium_storage.errors import BadSchema
from podium_storage.table.schema import Index, parse_indexes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("++id", ()),
        ("++id, lessonId", (Index(("lessonId",)),)),
        ("++id,lessonId ,  scheduledAt", (Index(("lessonId",)), Index(("scheduledAt",)))),
        ("++id, &lessonId", (Index(("lessonId",), is_unique=True),)),
        ("++id, *labels", (Index(("labels",), is_multi=True),)),
        ("++id, &*labels", (Index(("labels",), is_unique=True, is_multi=True),)),
        ("++id, [a+b]", (Index(("a", "b")),)),
        ("++id, &[a+b+c]", (Index(("a", "b", "c"), is_unique=True),)),
        ("++id, a, [a+b], [b+a]", (Index(("a",)), Index(("a", "b")), Index(("b", "a")))),
    ],
)
def test_reads_each_form(text: str, expected: tuple[Index, ...]) -> None:
    """Each mark and each combination that Dexie knows is read into the index it means."""
    spec = parse_indexes(text)
    assert spec.is_auto
    assert spec.primary == Index(("id",), is_unique=True)
    assert spec.indexes == expected


@pytest.mark.parametrize(
    ("text", "columns"), [("id, a", ("id",)), ("&id", ("id",)), ("[a+b], c", ("a", "b")), ("&[a+b]", ("a", "b"))]
)
def test_reads_a_primary_key_that_does_not_count_up(text: str, columns: tuple[str, ...]) -> None:
    """A primary key without `++` is read as one that comes with the row."""
    spec = parse_indexes(text)
    assert not spec.is_auto
    assert spec.primary == Index(columns, is_unique=True)


@pytest.mark.parametrize(
    ("text", "token", "why"),
    [
        ("", "''", "empty"),
        ("++id,", "''", "empty"),
        ("++id, , a", "''", "empty"),
        ("++id, ++a", "'++a'", "only the primary key"),
        ("+id", "'+id'", "do not go together"),
        ("+++id", "'+++id'", "do not go together"),
        ("*id, a", "'*id'", "primary key"),
        ("&++id", "'&++id'", "do not go together"),
        ("++[a+b]", "'++[a+b]'", "cannot count up"),
        ("++id, &&a", "'&&a'", "do not go together"),
        ("++id, **a", "'**a'", "do not go together"),
        ("++id, *&a", "'*&a'", "do not go together"),
        ("++id, *[a+b]", "'*[a+b]'", "cannot be multi-entry"),
        ("++id, [a+b", "'[a+b'", "not closed"),
        ("++id, [a]", "'[a]'", "two columns or more"),
        ("++id, []", "'[]'", "no column"),
        ("++id, [a+]", "'[a+]'", "no column"),
        ("++id, [a++b]", "'[a++b]'", "no column"),
        ("++id, [a+a]", "'[a+a]'", "repeated"),
        ("++id, [a + b]", "'[a + b]'", "no column"),
        ("++id, a b", "'a b'", "no column"),
        ("++id, a.b", "'a.b'", "no column"),
        ("++id, a_b", "'a_b'", "no column"),
        ("++id, 1a", "'1a'", "no column"),
        ('++id, a"b', "'a\"b'", "no column"),
        ("++id, a; DROP TABLE b", "'a; DROP TABLE b'", "no column"),
        ("++id, a\nb", "'a\\nb'", "no column"),
        ("++id, é", "'é'", "no column"),
        ("++id, &", "'&'", "no column"),
        ("++id, a, a", "'a'", "declared twice"),
        ("++id, a, &a", "'a'", "declared twice"),
        ("++id, [a+b], &[a+b]", "'[a+b]'", "declared twice"),
        ("++id, id", "'id'", "declared twice"),
    ],
)
def test_refuses_and_names_the_bad_token(text: str, token: str, why: str) -> None:
    """A declaration that cannot be read is refused, and the error holds the token and the reason."""
    with pytest.raises(BadSchema) as refusal:
        parse_indexes(text)
    assert f"bad index {token}" in str(refusal.value)
    assert why in str(refusal.value)


def test_path_is_the_name_a_query_uses() -> None:
    """The path of an index is written as in the declaration, without its marks."""
    assert [index.path for index in parse_indexes("++id, &a, *b, &[a+b]").indexes] == ["a", "b", "[a+b]"]
