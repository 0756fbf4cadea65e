"""A process that queues events as fast as it can until it is killed: `python -m tests.support.outbox_writer DATABASE`.

Each transaction counts one up and queues one event; the number is printed once the transaction returned.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from podium_storage.database import Transaction
from podium_storage.meta import Meta
from tests.support.events import key_of, signed
from tests.support.mirrors import Mirrored, mirrored

RELAYS = ("wss://one.example", "wss://two.example")


async def write(here: Mirrored) -> None:
    meta = Meta(here.store.database)
    start = int(await meta.get("written") or 0)
    for number in range(start + 1, start + 100_000):

        async def scope(tx: Transaction, number: int = number) -> None:
            await meta.set_within(tx, "written", str(number))
            event = signed(key_of(1), content=str(number))
            await here.outbox.add_within(tx, event, RELAYS, reference=f"number:{number}")

        await here.store.database.transact(scope)
        print(number, flush=True)


async def main() -> None:
    async with mirrored(Path(sys.argv[1])) as here:
        await write(here)


if __name__ == "__main__":
    asyncio.run(main())
