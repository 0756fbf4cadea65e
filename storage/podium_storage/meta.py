"""What a database stores about itself: small named values, and the service it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey
from podium_storage.database import Database, Transaction

_GET: Final = "SELECT value FROM meta WHERE name = ?"
_SET: Final = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_SERVICE: Final = "service"
_CREATED_AT: Final = "createdAt"


class Meta:
    """Named values of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> str | None:
        """The value of a name, or None."""
        row = await self._database.fetch_one(_GET, (name,))
        return None if row is None else str(row[0])

    async def set(self, name: str, value: str) -> None:
        """Give a name its value."""
        await self._database.transact(lambda tx: self.set_within(tx, name, value))

    async def set_within(self, tx: Transaction, name: str, value: str) -> None:
        """Give a name its value in the caller's transaction."""
        await tx.execute(_SET, (name, value))

    async def settled(self, name: str, make: Callable[[], str]) -> str:
        """Return the value of a name; the first call for a name stores what `make` returns."""

        async def scope(tx: Transaction) -> str:
            row = await tx.fetch_one(_GET, (name,))
            value = make() if row is None else str(row[0])
            if row is None:
                await self.set_within(tx, name, value)
            return value

        return await self._database.transact(scope)

    async def count(self, name: str) -> int:
        """Raise a name's number by one (the first is 1) and return it."""

        async def scope(tx: Transaction) -> int:
            row = await tx.fetch_one(_GET, (name,))
            number = 1 if row is None else int(str(row[0])) + 1
            await self.set_within(tx, name, str(number))
            return number

        return await self._database.transact(scope)

    async def service(self) -> Pubkey | None:
        """The service key this database belongs to, or None before the first start."""
        value = await self.get(_SERVICE)
        return None if value is None else Pubkey(value)

    async def created_at(self) -> int | None:
        """When the database was bound to its service (Unix seconds), or None before the first start."""
        value = await self.get(_CREATED_AT)
        return None if value is None else int(value)

    async def bind_service(self, service: Pubkey, *, now: int) -> None:
        """Bind a new database to the service's key; do nothing if it is bound to this key already.

        Two services in one database would each sign what the other one decided.

        Raises:
            InvalidInput: the database belongs to another service key.
        """
        bound = await self._database.transact(lambda tx: self._bind(tx, service, now))
        if bound != service:
            raise InvalidInput(
                f"this database belongs to the service key {bound} and the configured one is {service}: "
                "configure that key again, or give this one a database of its own (storage.path)"
            )

    async def _bind(self, tx: Transaction, service: Pubkey, now: int) -> str:
        row = await tx.fetch_one(_GET, (_SERVICE,))
        if row is not None:
            return str(row[0])
        await self.set_within(tx, _SERVICE, service)
        await self.set_within(tx, _CREATED_AT, str(now))
        return service
