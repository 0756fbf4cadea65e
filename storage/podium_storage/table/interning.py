"""Interned texts and sequences: each lesson and person is written once; numbers only go up."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from podium_storage.backend import SqlRow, Value
from podium_storage.database import Transaction
from podium_storage.errors import StoreDamaged
from podium_storage.sqlite import SqliteDialect

CACHE_SIZE: Final = 131_072  # pairs; a pubkey costs some 300 bytes here, so 40 MB when full


Read = Callable[[str, Sequence[Value]], Awaitable[list[SqlRow]]]
"""Reads rows, on a connection or in a transaction."""


class Interner:
    """The texts of one database, with the most recently used pairs kept in memory.

    It is used on the event loop and, by transactions in one hop, on the database's thread.
    """

    def __init__(self, cache_size: int = CACHE_SIZE) -> None:
        """Keep up to `cache_size` pairs."""
        self._cache_size = cache_size
        self._lock = threading.RLock()  # for the pairs in memory; never held during a statement
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._texts: dict[int, str] = {}
        # what a transaction minted is known to it alone: after a rollback the same id may be given to another text
        self._minted: weakref.WeakKeyDictionary[Transaction, dict[str, int]] = weakref.WeakKeyDictionary()

    def __len__(self) -> int:
        """Number of pairs in memory."""
        return len(self._ids)

    def known(self, text: str, tx: Transaction | None) -> int | None:
        """The id of a text if it is known without the database."""
        with self._lock:
            found = self._ids.get(text)
            if found is not None:
                self._ids.move_to_end(text)
                return found
            return self._minted[tx].get(text) if tx is not None and tx in self._minted else None

    def is_new(self, text: str, tx: Transaction) -> bool:
        """Whether the text got its id in this transaction: no row that was there before it can hold it."""
        with self._lock:
            return tx in self._minted and text in self._minted[tx]

    async def ids(self, tx: Transaction, texts: Collection[str]) -> dict[str, int]:
        """The id of each text, minted where there is none yet: two statements at most, however many texts."""
        found, missing = self._split(texts, tx)
        if not missing:
            return found
        stored = await self._stored(tx, missing)
        found |= stored
        if fresh := [text for text in missing if text not in stored]:
            found |= await self._mint(tx, fresh)
        self._remember(stored)
        return found

    async def texts(self, read: Read, tx: Transaction | None, ids: Iterable[int]) -> Mapping[int, str]:
        """The text of each id: one statement at most, however many ids.

        Raises:
            StoreDamaged: an id has no text.
        """
        wanted = set(ids)
        with self._lock:
            missing = [key for key in wanted if key not in self._texts]
            texts = self._touched(wanted.difference(missing))
        if not missing:
            return texts
        sql, parameters = SqliteDialect.values(missing)
        stored = _pairs(await read(f'SELECT "value", "id" FROM "atoms" WHERE "id" IN ({sql})', parameters))
        if len(stored) != len(missing):
            raise StoreDamaged(f"{len(missing) - len(stored)} interned texts are missing: restore a backup")
        with self._lock:
            minted = self._minted.get(tx, {}) if tx is not None else {}
        self._remember({text: key for text, key in stored.items() if text not in minted})
        return texts | {key: text for text, key in stored.items()}

    def _touched(self, ids: Iterable[int]) -> dict[int, str]:
        texts = {key: self._texts[key] for key in ids}
        for text in texts.values():
            self._ids.move_to_end(text)
        return texts

    def _split(self, texts: Collection[str], tx: Transaction) -> tuple[dict[str, int], list[str]]:
        found: dict[str, int] = {}
        missing: list[str] = []
        for text in texts:
            key = self.known(text, tx)
            if key is None:
                missing.append(text)
            else:
                found[text] = key
        return found, missing

    async def _stored(self, tx: Transaction, texts: list[str]) -> dict[str, int]:
        sql, parameters = SqliteDialect.values(texts)
        return _pairs(await tx.query(f'SELECT "value", "id" FROM "atoms" WHERE "value" IN ({sql})', parameters))

    async def _mint(self, tx: Transaction, texts: list[str]) -> dict[str, int]:
        sql, parameters = SqliteDialect.values(texts)
        minted = _pairs(await tx.query(f'INSERT INTO "atoms" ("value") {sql} RETURNING "value", "id"', parameters))
        with self._lock:
            if tx not in self._minted:
                overlay: dict[str, int] = {}
                self._minted[tx] = overlay
                tx.after_commit(lambda: self._remember(overlay))
            self._minted[tx].update(minted)
        return minted

    def _remember(self, pairs: Mapping[str, int]) -> None:
        with self._lock:
            for text, key in pairs.items():
                self._ids[text] = key
                self._ids.move_to_end(text)
                self._texts[key] = text
            while len(self._ids) > self._cache_size:
                _, oldest = self._ids.popitem(last=False)
                del self._texts[oldest]


def _pairs(rows: Iterable[SqlRow]) -> dict[str, int]:
    return {text: key for text, key in rows if isinstance(text, str) and isinstance(key, int)}


async def reserve(tx: Transaction, name: str, count: int = 1) -> int:
    """Take the next `count` numbers of a sequence and return the first; the very first is 1."""
    rows = await tx.query(
        'INSERT INTO "sequences" ("name", "last") VALUES (?, ?)'
        ' ON CONFLICT ("name") DO UPDATE SET "last" = "last" + excluded."last" RETURNING "last"',
        (name, count),
    )
    last = rows[0][0]
    assert isinstance(last, int)
    return last - count + 1


async def raise_to(tx: Transaction, name: str, least: int) -> None:
    """Let the sequence go on after `least`, if it has not come so far."""
    await tx.execute(
        'INSERT INTO "sequences" ("name", "last") VALUES (?, ?)'
        ' ON CONFLICT ("name") DO UPDATE SET "last" = max("last", excluded."last")',
        (name, least),
    )
