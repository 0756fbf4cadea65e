"""Calendars to subscribe to: the content and the versions of their entries, and the tokens in their addresses."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from podium_protocol.events import Pubkey, pubkey_or_none
from podium_storage.database import Database
from podium_storage.meta import Meta
from podium_storage.table.models import LiveSessionRow, RsvpRow


class Entry(msgspec.Struct, frozen=True):
    """One session in one person's calendar. `rsvp` is None for instructor and co-hosts; `page` is where people join.

    `alarms`: at how many seconds before the start the person wants to be reminded.
    """

    row: LiveSessionRow
    rsvp: RsvpRow | None
    page: str
    alarms: tuple[int, ...] = ()


class Written(msgspec.Struct, frozen=True):
    """The content of an entry; any change in it is a new revision of the entry. Times in Unix seconds."""

    session_address: str
    starts_at: int
    ends_at: int
    title: str
    description: str
    page: str
    status: str
    alarms: tuple[int, ...]

    @property
    def digest(self) -> str:
        """A hash of the content, equal for equal texts and times."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]


class Revision(msgspec.Struct, frozen=True):
    """The version of an entry: its SEQUENCE, and when it was made (Unix seconds)."""

    sequence: int
    revised_at: int


class Face(msgspec.Struct, frozen=True):
    """The settings of all calendars of a service: its name, and the reminder offsets (seconds) for alarms in feeds."""

    name: str = "Podium"
    alarms: tuple[int, ...] = ()


_SECRET: Final = "calendarSecret"  # noqa: S105  (the name it is kept under)
_COUNTER: Final = "calendarRevocations"
_CONTEXT: Final = b"podium calendar 1"
_TOKEN: Final = re.compile(r"([0-9a-f]{64})([0-9a-f]{64})")


class CalendarTokens:
    """Makes, checks and revokes tokens."""

    def __init__(self, database: Database, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        """Keep the secret and the counters in this database."""
        self._meta = Meta(database)
        self._random_bytes = random_bytes
        self._secret: bytes | None = None

    async def token(self, pubkey: Pubkey) -> str:
        """The token of a person, the same until it is revoked."""
        return f"{pubkey}{await self._proof(pubkey)}"

    async def revoke(self, pubkey: Pubkey) -> None:
        """Revoke every token given to this person so far."""
        await self._meta.count(_name_of(pubkey))

    async def owner(self, token: str) -> Pubkey | None:
        """The person of a token; None if it was revoked, or never made here."""
        match = _TOKEN.fullmatch(token)
        pubkey = pubkey_or_none(match[1]) if match else None
        if match is None or pubkey is None:
            return None
        # constant time, or the answer's delay would tell how many of the guessed digits are right
        return pubkey if hmac.compare_digest(match[2], await self._proof(pubkey)) else None

    async def _proof(self, pubkey: Pubkey) -> str:
        if self._secret is None:
            self._secret = bytes.fromhex(await self._meta.settled(_SECRET, lambda: self._random_bytes(32).hex()))
        counter = int(await self._meta.get(_name_of(pubkey)) or "0")
        message = _CONTEXT + bytes.fromhex(pubkey) + counter.to_bytes(8, "big")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def _name_of(pubkey: Pubkey) -> str:
    return f"{_COUNTER}:{pubkey}"
