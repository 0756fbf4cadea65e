"""Hooks: functions called for each row about to be written, inside its transaction. What they raise undoes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from podium_storage.columns import StoredRow
from podium_storage.database import Transaction

Row = TypeVar("Row", bound=StoredRow)

Creating = Callable[[Row, Transaction], Row | None]
"""Given the row to be added; returns another one to be added in its place, or None."""
Updating = Callable[[Row, Row, Transaction], Row | None]
"""Given the row as it is and as it shall be; returns another one to be written, or None."""
Deleting = Callable[[Row, Transaction], None]
"""Given the row to be deleted."""


class Hooks(Generic[Row]):
    """The hooks of one table, called in the order in which they were added. They must not wait, so they are plain."""

    def __init__(self) -> None:
        self._creating: list[Creating[Row]] = []
        self._updating: list[Updating[Row]] = []
        self._deleting: list[Deleting[Row]] = []

    def creating(self, hook: Creating[Row]) -> Creating[Row]:
        """Call the function before a row is added; serves as a decorator."""
        self._creating.append(hook)
        return hook

    def updating(self, hook: Updating[Row]) -> Updating[Row]:
        """Call the function before a row is changed; serves as a decorator."""
        self._updating.append(hook)
        return hook

    def deleting(self, hook: Deleting[Row]) -> Deleting[Row]:
        """Call the function before a row is deleted; serves as a decorator."""
        self._deleting.append(hook)
        return hook

    def before_create(self, row: Row, tx: Transaction) -> Row:
        """The row to add."""
        for hook in self._creating:
            row = hook(row, tx) or row
        return row

    def before_update(self, before: Row, after: Row, tx: Transaction) -> Row:
        """The row to write."""
        for hook in self._updating:
            after = hook(before, after, tx) or after
        return after

    def before_delete(self, row: Row, tx: Transaction) -> None:
        """Let the hooks see the row, and refuse."""
        for hook in self._deleting:
            hook(row, tx)
