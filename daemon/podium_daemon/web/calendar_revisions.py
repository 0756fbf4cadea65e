"""The version of each entry that a person's calendar program got last: stored, so that a number never goes back.

An entry is personal (a seat, a place in the waiting list), so no revision of the session says when it changed. The
content is compared with the content before; any difference raises SEQUENCE, DTSTAMP and LAST-MODIFIED (RFC 5545,
3.8.7). Numbers come from the clock: a counter would begin again after a lost disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from podium_daemon.runtime.clock import Clock
from podium_daemon.web.calendars import Revision, Written
from podium_protocol.events import Pubkey
from podium_storage.store import BoundTables, Store
from podium_storage.table.models import CalendarEntryRow

_SEQUENCE_FROM: Final = 1_577_836_800  # 2020-01-01: keeps the numbers inside 32 bits until 2088


class CalendarRevisions:
    """Numbers the versions of the entries in people's feeds."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Keep the numbers in this store."""
        self._store = store
        self._clock = clock

    async def revisions_of(self, owner: Pubkey, entries: Sequence[Written]) -> list[Revision]:
        """The revisions of all entries of a person's feed, in their order; new ones for those that changed.

        Entries that are no longer in the feed are deleted. Nothing is written if nothing changed.
        """
        digests = {entry.session_address: entry.digest for entry in entries}
        known = await self._known(self._store, owner)
        if {row.session_address: row.digest for row in known.values()} != digests:
            known = await self._store.transaction(
                "rw", [self._store.calendar_entries], lambda tables: self._renew(tables, owner, digests)
            )
        return [Revision(row.sequence, row.revised_at) for row in (known[entry.session_address] for entry in entries)]

    def now(self) -> Revision:
        """The revision of an entry that is written for the first time, or for a single download."""
        return _after(None, int(self._clock.now()))

    async def _known(self, tables: Store | BoundTables, owner: Pubkey) -> dict[str, CalendarEntryRow]:
        rows = await tables.calendar_entries.where("pubkey").equals(owner).to_list()
        return {row.session_address: row for row in rows}

    async def _renew(
        self, tables: BoundTables, owner: Pubkey, digests: Mapping[str, str]
    ) -> dict[str, CalendarEntryRow]:
        known, now = await self._known(tables, owner), int(self._clock.now())
        after = {
            address: _renewed(known.get(address), owner, address, digest, now) for address, digest in digests.items()
        }
        await tables.calendar_entries.bulk_put([row for address, row in after.items() if row != known.get(address)])
        gone = [row.id for address, row in known.items() if address not in digests and row.id is not None]
        await tables.calendar_entries.bulk_delete(gone)
        return after


def _renewed(
    before: CalendarEntryRow | None, owner: Pubkey, session_address: str, digest: str, now: int
) -> CalendarEntryRow:
    if before is not None and before.digest == digest:
        return before
    revision = _after(before, now)
    return CalendarEntryRow(
        id=None if before is None else before.id,
        pubkey=owner,
        session_address=session_address,
        digest=digest,
        sequence=revision.sequence,
        revised_at=revision.revised_at,
    )


def _after(before: CalendarEntryRow | None, now: int) -> Revision:
    """A later revision, even within one second and after a clock that was set back."""
    if before is None:
        return Revision(max(0, now - _SEQUENCE_FROM), now)
    return Revision(max(before.sequence + 1, now - _SEQUENCE_FROM), max(before.revised_at + 1, now))
