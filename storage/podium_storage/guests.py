"""Guests of a session, and the people for whom their keys speak."""

from __future__ import annotations

from collections.abc import Collection

from podium_protocol.events import Pubkey
from podium_protocol.live.guests import acts_as
from podium_storage.store import Tables
from podium_storage.table.models import GuestRow, LiveSessionRow


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
