"""The names that people give at the door: kept for one session, and shown where their profile has none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.live.guests import door_name, is_taken
from podium_protocol.live.names import shown_names
from podium_storage.guests import given_names, people_in, with_door_names
from podium_storage.slices import in_slices
from podium_storage.store import Store, Tables
from podium_storage.table.models import LiveSessionRow

_NO_NAME = Rejection(Slug.BAD_NAME, "a name has 1 to 40 characters", "Write another one.")
OwnNames = Callable[[Collection[Pubkey]], Awaitable[Mapping[Pubkey, str]]]
"""The names that people's profiles, or guests themselves, say; "" for those without one."""


async def no_names(people: Collection[Pubkey]) -> dict[Pubkey, str]:
    """Answer as if no person had a profile."""
    return dict.fromkeys(people, "")


class NameWish:
    """A name that a person wants, and the names in the profiles of the other people of the session."""

    def __init__(self, session_address: str, person: Pubkey | None, name: str, profiles: Mapping[Pubkey, str]) -> None:
        self._session_address = session_address
        self._person = person
        self._name = name
        self._profiles = profiles

    async def accept(self, tables: Tables) -> str | Rejection:
        """The name, for the transaction that keeps it; rejected with `name-taken` if another person has it.

        By profile, as a guest or given at the door. Of a person who has a profile's name no other one counts.
        """
        given = await given_names(tables, self._session_address)
        names = given | {person: name for person, name in self._profiles.items() if name}
        names.pop(self._person or Pubkey(""), None)
        async for part in in_slices(list(names.values())):
            if is_taken(self._name, part):
                detail = f"there is already a person called {self._name!r} here"
                return Rejection(Slug.NAME_TAKEN, detail, "Add something that tells you apart.")
        return self._name


class DoorNames:
    """Decides which name a person may have in a session, and says what people are called in it."""

    def __init__(self, store: Store, own_names: OwnNames) -> None:
        self._store = store
        self._own_names = own_names

    async def ask(self, row: LiveSessionRow, person: Pubkey | None, name: str) -> str | Rejection | None:
        """As a join with this name would be answered now, except that nothing is kept: before a person signs it.

        `person`: who asks, if that is known.
        """
        wanted = door_name(name)
        if wanted is None:
            return _NO_NAME
        wish = await self.wish(row, person, wanted)
        return None if wish is None else await wish.accept(self._store)

    async def wish(self, row: LiveSessionRow, person: Pubkey | None, name: str | None) -> NameWish | None:
        """What is to be kept as the name of `person`: None if they gave none, or have one in their profile."""
        if name is None or (person is not None and (await self._own_names([person]))[person]):
            return None
        others = {*private.people_of(row), *await people_in(self._store.database, row.session_address)} - {person}
        profiles: dict[Pubkey, str] = {}
        async for part in in_slices(sorted(others)):
            profiles |= await self._own_names(part)
        return NameWish(row.session_address, person, name, profiles)

    async def shown(self, row: LiveSessionRow, people: Collection[Pubkey]) -> dict[Pubkey, str]:
        """What to call people in one list (`live.names`)."""
        own = await self._own_names(people)
        return shown_names(await with_door_names(self._store, row.session_address, own))
