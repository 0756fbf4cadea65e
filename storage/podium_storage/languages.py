"""The language in which each person is written to: the one their page used last, else that of their replies."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final

import msgspec

from podium_storage.database import Database, Transaction

MAX_LANGUAGES: Final = 100_000
"""Most people whose language is remembered: anybody can sign in, and those seen longest ago are forgotten first."""

_KEPT: Final = 365 * 24 * 3600  # seconds after the person was last seen with it
_REFRESH: Final = 30 * 24 * 3600  # seconds until it is noted anew that a page still uses it
_NOTED: Final = 10_000  # people whose page's language is held in memory: each of their calls tells it

_OF: Final = "SELECT pubkey, language FROM languages WHERE pubkey IN (SELECT value FROM json_each(?))"
_PAGE_OF: Final = "SELECT language, seenAt FROM languages WHERE pubkey = ? AND fromPage = 1"
# what replaces a row gets a new id, so that the lowest ids are of those seen longest ago
_PUT: Final = """
INSERT OR REPLACE INTO languages (pubkey, language, fromPage, seenAt)
SELECT ?1, ?2, ?3, ?4 WHERE ?3 = 1 OR NOT EXISTS (SELECT 1 FROM languages WHERE pubkey = ?1 AND fromPage = 1)"""
_SWEEP: Final = "DELETE FROM languages WHERE seenAt < ?"
_DROP_OLDEST: Final = "DELETE FROM languages WHERE id <= (SELECT max(id) FROM languages) - ?"


class Languages:
    """The languages of people, by tag (BCP 47)."""

    def __init__(self, database: Database) -> None:
        """Keep them in this database."""
        self._database = database
        self._noted: OrderedDict[str, tuple[str, int]] = OrderedDict()

    async def of_people(self, pubkeys: Collection[str]) -> dict[str, str]:
        """The tags of the languages that are known; people of whom none is known are left out."""
        return await self._database.snapshot(lambda tx: languages_within(tx, pubkeys)) if pubkeys else {}

    async def note_page(self, pubkey: str, language: str, now: int) -> None:
        """Note the language that a person's page uses at `now` (Unix seconds); writes only if that is news."""
        known = self._noted.get(pubkey)
        if known is None:
            row = await self._database.fetch_one(_PAGE_OF, (pubkey,))
            known = None if row is None else (str(row[0]), int(str(row[1])))
        if known is None or known[0] != language or now - known[1] >= _REFRESH:
            await self._database.transact(lambda tx: note_language(tx, pubkey, language, now, from_page=True))
            known = language, now
        self._noted[pubkey] = known
        self._noted.move_to_end(pubkey)
        if len(self._noted) > _NOTED:
            self._noted.popitem(last=False)


async def languages_within(tx: Transaction, pubkeys: Collection[str]) -> dict[str, str]:
    """As `Languages.of_people`, as the caller's transaction sees it."""
    rows = await tx.fetch_all(_OF, (msgspec.json.encode(sorted(set(pubkeys))).decode(),))
    return {str(pubkey): str(language) for pubkey, language in rows}


async def note_language(
    tx: Transaction, pubkey: str, language: str, now: int, *, from_page: bool, at_most: int = MAX_LANGUAGES
) -> None:
    """Note a person's language at `now` (Unix seconds); that of a reply does not replace that of a page."""
    await tx.execute(_PUT, (pubkey, language, int(from_page), now))
    await tx.execute(_SWEEP, (now - _KEPT,))
    await tx.execute(_DROP_OLDEST, (at_most,))
