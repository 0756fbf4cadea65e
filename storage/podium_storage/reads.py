"""What a live query read: conditions by table, held against the rows of each change."""

from __future__ import annotations

from podium_storage.changes import Batch, Change
from podium_storage.conditions import Condition


class ReadLog:
    """The ranges that were read during one run."""

    def __init__(self) -> None:
        self._conditions: dict[str, set[Condition]] = {}
        self._anything = False

    def add(self, table: str, condition: Condition) -> None:
        """Note that rows which satisfy the condition were read."""
        self._conditions.setdefault(table, set()).add(condition)

    @property
    def tables(self) -> frozenset[str] | None:
        """The tables that were read, or None when it may be any."""
        return None if self._anything else frozenset(self._conditions)

    def add_anything(self) -> None:
        """Note SQL of somebody's own: nobody knows what it read, so that every change may matter."""
        self._anything = True

    def is_touched_by(self, batch: Batch) -> bool:
        """Whether a change in the batch enters, leaves or alters what was read."""
        return batch.resync or (self._anything and bool(batch.changes)) or any(map(self._sees, batch.changes))

    def _sees(self, change: Change) -> bool:
        rows = [row for row in (change.before, change.after) if row is not None]
        return any(condition.matches(row) for condition in self._conditions.get(change.table, ()) for row in rows)
