"""Numbers that only go up: the keys of tables, and orders of arrival. A number that was rolled back was never given."""

from __future__ import annotations

from podium_storage.database import Transaction


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
