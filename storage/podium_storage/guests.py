"""Guests of a session, the people for whom their keys speak, and the names that people gave at its door."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, TypeVar

from podium_protocol.events import Pubkey
from podium_protocol.live.guests import acts_as
from podium_storage.database import Database
from podium_storage.store import Tables
from podium_storage.table.models import GuestRow, LiveSessionRow

Key = TypeVar("Key", bound=str)
_PEOPLE: Final = """
WITH lesson AS (SELECT id FROM atoms WHERE value = ?1), people AS (
  SELECT r.pubkey FROM lesson CROSS JOIN trainingLiveSessionRSVPs AS r ON r.lessonId = lesson.id UNION
  SELECT m.pubkey FROM lesson CROSS JOIN roomMembers AS m ON m.lessonId = lesson.id UNION
  SELECT g.pubkey FROM lesson CROSS JOIN sessionGuests AS g ON g.lessonId = lesson.id
  WHERE g.revokedAt IS NULL AND g.person IS NULL
)
SELECT person.value FROM people CROSS JOIN atoms AS person ON person.id = people.pubkey"""


async def guest_in(tables: Tables, session_address: str, pubkey: str) -> GuestRow | None:
    """The guest of this session whose key the service keeps, or None for a person with their own."""
    found = await tables.guests.where("pubkey").equals(pubkey).first()
    return found if found is not None and found.session_address == session_address else None


async def guests_for(tables: Tables, session_address: str, people: Collection[str]) -> list[GuestRow]:
    """The guests of a session whose keys speak for these people."""
    found = await tables.guests.where("person").any_of(sorted(people)).to_list()
    return [one for one in found if one.session_address == session_address]


def speaks_for(row: LiveSessionRow, guest: GuestRow) -> Pubkey:
    """The person for whom a guest's key speaks in a session."""
    return acts_as(guest.pubkey, guest.person, (row.instructor_pubkey, *row.co_hosts))


async def author_of(tables: Tables, row: LiveSessionRow, pubkey: Pubkey) -> Pubkey:
    """The person who said what this key has signed: its owner, or the one for whom a guest's key speaks."""
    guest = await guest_in(tables, row.session_address, pubkey)
    return pubkey if guest is None else speaks_for(row, guest)


async def people_in(database: Database, session_address: str) -> list[Pubkey]:
    """Who answered, came to the door, or is a guest by name of a session; the guests who were not sent away.

    Raises:
        StoreError: what the database said.
    """
    return [Pubkey(str(person)) for (person,) in await database.fetch_all(_PEOPLE, (session_address,))]


async def door_names(tables: Tables, session_address: str) -> dict[Pubkey, str]:
    """The names that people with a key gave at the door of a session."""
    members = tables.members.where("lessonId").equals(session_address).and_("name").above("")
    return {Pubkey(one.pubkey): one.name or "" for one in await members.to_list()}


async def given_names(tables: Tables, session_address: str) -> dict[Pubkey, str]:
    """The names that people gave at the door of a session, and those of its guests who were not sent away.

    Read in the transaction that keeps one more name: of two equal ones at the same moment one is first.
    """
    guests = await tables.guests.where("lessonId").equals(session_address).to_list()
    here = {Pubkey(one.pubkey): one.name for one in guests if one.person is None and one.revoked_at is None}
    return await door_names(tables, session_address) | here


async def with_door_names(tables: Tables, session_address: str, names: Mapping[Key, str]) -> dict[Key, str]:
    """`names`, where an empty one is replaced by that given at the door of the session, if any."""
    keys = [(session_address, pubkey) for pubkey, name in names.items() if not name]
    if not keys:
        return dict(names)
    members = await tables.members.where("[lessonId+pubkey]").any_of(keys).and_("name").above("").to_list()
    given = {one.pubkey: one.name or "" for one in members}
    return {pubkey: name or given.get(pubkey, "") for pubkey, name in names.items()}
