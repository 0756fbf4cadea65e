"""The names that people give at the door: kept for one session, and shown where their profile has none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.live.guests import is_taken
from podium_protocol.live.names import shown_names
from podium_storage.guests import door_names, people_in, with_door_names
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

OwnNames = Callable[[Collection[Pubkey]], Awaitable[Mapping[Pubkey, str]]]
"""The names that people's profiles, or guests themselves, say; "" for those without one."""


async def no_names(people: Collection[Pubkey]) -> dict[Pubkey, str]:
    """Answer as if no person had a profile."""
    return dict.fromkeys(people, "")


class DoorNames:
    """Decides which name a person may have in a session, and says what people are called in it."""

    def __init__(self, store: Store, own_names: OwnNames) -> None:
        self._store = store
        self._own_names = own_names

    async def accept(self, row: LiveSessionRow, person: Pubkey, name: str | None) -> str | Rejection | None:
        """The name to keep for `person`: None if they gave none, or need none since their profile has one.

        Rejected with `name-taken` if another person of the session has that name, by profile, as a guest or given here.
        """
        if name is None or (await self._own_names([person]))[person]:
            return None
        given = await door_names(self._store, row.session_address)
        known = await people_in(self._store.database, row.session_address)
        others = sorted({*private.people_of(row), *known} - {person})
        async for part in in_slices(others):
            own = await self._own_names(part)
            if is_taken(name, (own[one] or given.get(one, "") for one in part)):
                detail = f"there is already a person called {name!r} here"
                return Rejection(Slug.NAME_TAKEN, detail, "Add something that tells you apart.")
        return name

    async def shown(self, row: LiveSessionRow, people: Collection[Pubkey]) -> dict[Pubkey, str]:
        """What to call people in one list (`live.names`)."""
        own = await self._own_names(people)
        return shown_names(await with_door_names(self._store, row.session_address, own))
