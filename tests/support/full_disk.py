"""A disk without room: every write fails as SQLite says it, and what is read is as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from podium_storage.errors import StoreFull
from podium_storage.store import Store


@contextlib.contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """Nothing can be written while the block runs."""

    async def refuse(*_: object, **__: object) -> object:
        raise StoreFull("no space left")

    database = store.database
    database.transact, written = refuse, database.transact  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        database.transact = written  # type: ignore[method-assign]
