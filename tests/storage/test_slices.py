"""Long lists in short turns."""

from __future__ import annotations

import asyncio

from podium_storage.slices import in_slices


async def test_slices_are_the_list() -> None:
    """The runs are of the size asked for, and together they are the list."""
    assert [list(part) async for part in in_slices(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [list(part) async for part in in_slices("", 3)] == []


async def test_others_get_a_turn_between_two_slices() -> None:
    """Another task runs between two runs of the list."""
    seen: list[str] = []

    async def other() -> None:
        seen.append("other")

    task = asyncio.create_task(other())
    async for (letter,) in in_slices("ab", 1):
        seen += [letter]
    await task
    assert seen == ["a", "other", "b"]
