"""The part of the allow-list that is changed while the service runs, and the claim by which the operator gets on it."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from typing import Final

import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.secret_table import digest_of, new_secret
from podium_daemon.services.sessions.instructors import Instructors
from podium_protocol.events import Pubkey
from podium_storage.kept_instructors import KeptInstructors, StoredClaim

CLAIM_SECONDS: Final = 24 * 3600
MAX_KEPT: Final = 1_000
"""The list is read whole at each start, and stands in the answer of every page's first call."""

_log = structlog.get_logger(__name__)
_USED: Final = Rejection(
    Slug.CLAIM,
    "this link was used, or is too old",
    "The daemon prints a new one each time it starts, as long as nobody is on the list.",
)


class InstructorList:
    """Adds and removes instructors at once and for good; those of the configuration stay as they are there."""

    def __init__(
        self, instructors: Instructors, kept: KeptInstructors, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Change `instructors`, and keep what is changed in `kept`."""
        self._instructors = instructors
        self._kept = kept
        self._clock = clock
        self._random_bytes = random_bytes
        self._changing = asyncio.Lock()

    @property
    def added(self) -> frozenset[Pubkey]:
        """Those who are listed here, and not in the configuration."""
        return self._instructors.kept

    async def load(self) -> None:
        """Read the list; called before anything else asks who is an instructor."""
        self._instructors.keep(await self._kept.listed())

    async def add(self, pubkey: Pubkey) -> Rejection | None:
        """Add an instructor; nothing changes for one who is on the list."""
        async with self._changing:
            kept = await self._kept.listed()
            if pubkey in kept:
                return None
            if len(kept) >= MAX_KEPT:
                return Rejection(Slug.FULL, f"the list holds {MAX_KEPT} instructors", "Remove one first.")
            await self._kept.replace((*kept, pubkey))
            self._instructors.keep((*kept, pubkey))
        _log.info("an instructor was added", action="instructors.added", pubkey=pubkey)
        return None

    async def remove(self, pubkey: Pubkey) -> Rejection | None:
        """Remove an instructor who was added here."""
        async with self._changing:
            kept = await self._kept.listed()
            if pubkey not in kept:
                is_configured = self._instructors.allows(pubkey)
                why = "this key is listed in the configuration" if is_configured else "this key is not on the list"
                return Rejection(Slug.NOT_FOUND, why, "`podium instructors list` shows where each stands.")
            left = tuple(each for each in kept if each != pubkey)
            await self._kept.replace(left)
            self._instructors.keep(left)
        _log.info("an instructor was removed", action="instructors.removed", pubkey=pubkey)
        return None

    async def new_claim(self) -> str | None:
        """The secret of a new claim, good for a day and once; None where a person is on the list already."""
        if not self._instructors.is_service_alone:
            return None
        secret = new_secret(self._random_bytes)
        expires_at = int(self._clock.now()) + CLAIM_SECONDS
        await self._kept.put_claim(StoredClaim(digest_of(secret).hex(), expires_at))
        return secret

    async def claim(self, secret: str, pubkey: Pubkey) -> Rejection | None:
        """Put the person who has the secret of the claim on the list; it is good once."""
        async with self._changing:
            claim = await self._kept.claim()
            if claim is None or claim.expires_at <= self._clock.now():
                return _USED
            if not hmac.compare_digest(claim.digest, digest_of(secret).hex()):
                return _USED
            kept = await self._kept.listed()
            listed = kept if pubkey in kept else (*kept, pubkey)
            await self._kept.use_claim(listed)
            self._instructors.keep(listed)
        _log.info("the operator's claim was used", action="instructors.claimed", pubkey=pubkey)
        return None
