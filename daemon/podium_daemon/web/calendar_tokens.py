"""The secret part of a calendar's address: who asks for it is known by it, and nobody else can make one.

Calendar programs cannot sign, so the address is the key. A token is the person's public key and 256 bits of HMAC over
it and a counter, under a secret of this database; a higher counter makes the addresses given out before worthless.
Nothing is stored for people who never revoked one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

from podium_protocol.events import Pubkey, pubkey_or_none
from podium_storage.database import Database
from podium_storage.meta import Meta

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
        """Make every token given to this person so far worthless."""
        await self._meta.count(_name_of(pubkey))

    async def owner(self, token: str) -> Pubkey | None:
        """Whose token this is; None for one that was revoked, or that we never made."""
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
