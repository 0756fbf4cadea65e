"""What to call people: their own names, else those they gave at a door."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypedDict, TypeVar

from podium_daemon.services.people.profiles import Introduction
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.live.names import names_match, own_name, shown_names
from podium_protocol.nips import nip19
from podium_storage.guests import with_door_names
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

T = TypeVar("T")

_FEW: Final = 20  # rows of a list that is built on the event loop
_SOME: Final = 500  # people whose names are looked up in one turn


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
        shown = await beside_loop(len(names), lambda: shown_names(names))
        return {str(pubkey): name for pubkey, name in shown.items()}

    async def each_alone(self, row: LiveSessionRow, people: Sequence[Pubkey]) -> dict[Pubkey, str]:
        """What to call each of `people` where no other one is listed."""
        names = await self._names_in(row, people)
        return {pubkey: shown_names({pubkey: name})[pubkey] for pubkey, name in names.items()}

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

    async def matching(self, row: LiveSessionRow, people: Sequence[Pubkey], query: str) -> list[Pubkey]:
        """Those of `people` whom a search means (`live.names`), in their order: of ten thousand in a few turns."""
        is_meant, names = names_match(query), {}
        async for part in in_slices(people, _SOME):
            names.update(await self._names_in(row, part))
        return await beside_loop(len(names), lambda: [one for one in people if is_meant(one, names[one])])

    async def _names_in(self, row: LiveSessionRow, people: Sequence[Pubkey]) -> dict[Pubkey, str]:
        """People's own names, else those they gave at the door of the session."""
        await self._load(people)
        own = {pubkey: self.introduce(pubkey).name for pubkey in people}
        return await with_door_names(self._store, row.session_address, own)


async def beside_loop(count: int, build: Callable[[], T]) -> T:
    """Build a list of `count` rows: a long one on a thread, so that the event loop does not wait for it."""
    return build() if count <= _FEW else await asyncio.to_thread(build)


class PersonFields(TypedDict):
    """What each row of a list says of its person."""

    pubkey: str
    npub: str
    name: str


def person_fields(pubkey: str, name: str) -> PersonFields:
    """The fields of a row that say whose it is."""
    return {"pubkey": pubkey, "npub": nip19.encode_npub(Pubkey(pubkey)), "name": name}
