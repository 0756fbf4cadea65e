"""What to call people: their own names, else those they gave at a door."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypedDict

from podium_daemon.services.people.profiles import Introduction
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.live.names import own_name, shown_names
from podium_protocol.nips import nip19
from podium_storage.guests import with_door_names
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

_FEW: Final = 20  # names that are told apart on the event loop


class PersonNames:
    """Reads the names of people."""

    def __init__(
        self,
        store: Store,
        introduce: Callable[[Pubkey], Introduction],
        load: Callable[[Iterable[Pubkey]], Awaitable[None]],
    ) -> None:
        """`introduce` gives a person's names, those of participants once `load` was awaited for them."""
        self._store = store
        self.introduce = introduce
        self._load = load

    def name_of(self, pubkey: Pubkey) -> str:
        """The name that an instructor gives themselves; "" if none is known."""
        return self.introduce(pubkey).name

    async def names_of(self, row: LiveSessionRow, people: Iterable[str]) -> dict[str, str]:
        """What to call each of `people` in one list of the session (`live.names`)."""
        names = await self._names_in(row, [Pubkey(pubkey) for pubkey in dict.fromkeys(people)])
        shown = shown_names(names) if len(names) <= _FEW else await asyncio.to_thread(shown_names, names)
        return {str(pubkey): name for pubkey, name in shown.items()}

    async def own_names(self, row: LiveSessionRow, people: Iterable[str]) -> dict[str, str]:
        """The own names of those of `people` who belong to the session and have one.

        Others are left out: a page could otherwise ask for any key's name, a guest's of another session included.
        """
        keys = [[row.session_address, pubkey] for pubkey in dict.fromkeys(people)]
        tables = (self._store.rsvps, self._store.members, self._store.questions)
        known = set(private.people_of(row)) | {row.instructor_pubkey}
        for table in tables:
            known |= {one.pubkey for one in await table.where("[lessonId+pubkey]").any_of(keys).to_list()}
        wanted = [Pubkey(pubkey) for _, pubkey in keys if pubkey in known]
        names = {str(pubkey): own_name(name) for pubkey, name in (await self._names_in(row, wanted)).items()}
        return {pubkey: name for pubkey, name in names.items() if name}

    async def _names_in(self, row: LiveSessionRow, people: Sequence[Pubkey]) -> dict[Pubkey, str]:
        """People's own names, else those they gave at the door of the session."""
        await self._load(people)
        own = {pubkey: self.introduce(pubkey).name for pubkey in people}
        return await with_door_names(self._store, row.session_address, own)


class Person(TypedDict):
    """What each row of a list says of its person."""

    pubkey: str
    npub: str
    name: str


def person_fields(pubkey: str, name: str) -> Person:
    """The fields of a row that say whose it is."""
    return {"pubkey": pubkey, "npub": nip19.encode_npub(Pubkey(pubkey)), "name": name}
