"""Reading and writing of event tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Tag = tuple[str, ...]
Tags = tuple[Tag, ...]


def first(tags: Tags, name: str) -> str | None:
    """Value of the first tag called `name`, or None; a tag without a value counts as absent."""
    for tag in tags:
        if len(tag) > 1 and tag[0] == name:
            return tag[1]
    return None


def values(tags: Tags, name: str) -> Iterator[str]:
    """Value of each tag called `name`, in order."""
    return (tag[1] for tag in tags if len(tag) > 1 and tag[0] == name)


def named(tags: Tags, name: str) -> Iterator[Tag]:
    """Each whole tag called `name` that has a value, in order."""
    return (tag for tag in tags if len(tag) > 1 and tag[0] == name)


def build(rows: Iterable[Iterable[str] | None]) -> Tags:
    """Freeze rows into tags and leave out rows that are None, so that a writer can say `row if wanted else None`."""
    return tuple(tuple(row) for row in rows if row is not None)
