"""Instructors whom the operator added while the service ran, and the claim that adds the operator."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from podium_protocol.events import Pubkey
from podium_storage.database import Database, Transaction
from podium_storage.meta import Meta

_LIST: Final = "instructors"
_CLAIM: Final = "claim"


class StoredClaim(msgspec.Struct, frozen=True):
    """A claim that is not used yet: SHA-256 of its secret in hex, and when it ends (Unix seconds)."""

    digest: str
    expires_at: int


class KeptInstructors:
    """The list and the claim of one database."""

    def __init__(self, database: Database) -> None:
        """Keep them in this database."""
        self._database = database
        self._meta = Meta(database)

    async def listed(self) -> tuple[Pubkey, ...]:
        """Their keys, in the order in which they were added."""
        text = await self._meta.get(_LIST)
        return () if text is None else tuple(map(Pubkey, msgspec.json.decode(text, type=tuple[str, ...])))

    async def replace(self, pubkeys: Collection[Pubkey]) -> None:
        """Keep this list instead."""
        await self._meta.set(_LIST, _encoded(pubkeys))

    async def claim(self) -> StoredClaim | None:
        """The claim that is not used yet, even an expired one; None if there is none."""
        text = await self._meta.get(_CLAIM)
        return None if not text else msgspec.json.decode(text, type=StoredClaim)

    async def put_claim(self, claim: StoredClaim) -> None:
        """Keep a claim; the one before is not good any more."""
        await self._meta.set(_CLAIM, msgspec.json.encode(claim).decode())

    async def use_claim(self, pubkeys: Collection[Pubkey]) -> None:
        """Forget the claim and keep the list that it made, in one transaction."""

        async def scope(tx: Transaction) -> None:
            await self._meta.set_within(tx, _CLAIM, "")
            await self._meta.set_within(tx, _LIST, _encoded(pubkeys))

        await self._database.transact(scope)


def _encoded(pubkeys: Collection[Pubkey]) -> str:
    return msgspec.json.encode(tuple(pubkeys)).decode()
