"""Who the instructors say they are: names out of kind 0, and NIP-05 names that were looked up and are again each hour.

Kept in memory: the mirror has the events, and a name that was good before the daemon stopped is asked about anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.reconcile_loop import run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import uncancelled, wait_for_first
from podium_protocol import kinds
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.live.profile import Profile, read_profile
from podium_storage.changes import Batch, ChangeFeed
from podium_storage.mirror.mirror import TABLE, Mirror

_log = structlog.get_logger(__name__)

RECHECK_SECONDS: Final = 3600
RETRY_SECONDS: Final = 300
TRUSTED_SECONDS: Final = 24 * 3600  # a name whose domain has not answered for this long is not shown any more
_AT_ONCE: Final = 8  # look-ups: each is up to ten seconds of a stranger's server
_LONGEST_REST: Final = 30.0

Lookup = Callable[[str], Awaitable[Pubkey | None]]
"""The key behind a NIP-05 name now; None if the name says nothing. Raises OSError when nobody answers."""


class Introduction(msgspec.Struct, frozen=True):
    """A person's own name ("" if there is none), and their NIP-05 name if it leads to their key."""

    name: str = ""
    nip05: str | None = None


class _Claim(msgspec.Struct):
    """One person's NIP-05 name; `verified_at` is None unless it led to them the last time there was an answer."""

    text: str
    due_at: float
    verified_at: float | None = None


class Profiles:
    """The instructors' profiles. `of` is for everybody, at any time."""

    name = "profiles"

    def __init__(
        self,
        *,
        mirror: Mirror,
        changes: ChangeFeed,
        instructors: Callable[[], Collection[Pubkey]],
        lookup: Lookup,
        clock: Clock,
    ) -> None:
        self._mirror = mirror
        self._changes = changes
        self._instructors = instructors
        self._lookup = lookup
        self._clock = clock
        self._profiles: dict[Pubkey, Profile] = {}
        self._claims: dict[Pubkey, _Claim] = {}
        self._read: frozenset[Pubkey] = frozenset()
        self._listeners: list[Callable[[], None]] = []
        self._bell = asyncio.Event()

    def of(self, pubkey: Pubkey) -> Introduction:
        """What may be shown of somebody now."""
        claim = self._claims.get(pubkey)
        is_theirs = claim is not None and claim.verified_at is not None
        return Introduction(self._profiles.get(pubkey, Profile()).name, claim.text if claim and is_theirs else None)

    def follow(self, told: Callable[[], None]) -> None:
        """Have `told` called after anything that `of` says has changed."""
        self._listeners.append(told)

    async def run(self, stop: Stop) -> None:
        """Read profiles as they come, and look their NIP-05 names up."""
        with self._changes.subscribe(TABLE) as changes:
            async with asyncio.TaskGroup() as group:
                checking = group.create_task(uncancelled(self._check_for_ever(), self.name))
                try:
                    await run_reconcile_loop(self.name, self._turn, changes, clock=self._clock, stop=stop)
                finally:
                    checking.cancel()

    # -- profiles

    async def _turn(self, batch: Batch) -> None:
        listed = frozenset(self._instructors())
        anew = listed if batch.resync else (listed - self._read) | (listed & frozenset(_authors(batch)))
        before = {pubkey: self.of(pubkey) for pubkey in anew}
        if anew:
            newest: dict[Pubkey, VerifiedEvent] = {}
            wanted = Filter(kinds=(kinds.METADATA,), authors=tuple(sorted(anew)))
            for event in await self._mirror.by_filter(wanted):
                newest.setdefault(event.pubkey, event)
            for pubkey in anew:
                self._take(pubkey, newest.get(pubkey))
        for gone in self._read - listed:
            self._profiles.pop(gone, None)
            self._claims.pop(gone, None)
        self._read = listed
        if any(self.of(pubkey) != shown for pubkey, shown in before.items()):
            self._tell()

    def _take(self, pubkey: Pubkey, event: VerifiedEvent | None) -> None:
        profile = (read_profile(event) if event is not None else None) or Profile()
        self._profiles[pubkey] = profile
        claim = self._claims.get(pubkey)
        if claim is not None and claim.text == profile.claim:
            return
        self._claims.pop(pubkey, None)
        if profile.claim is not None:
            self._claims[pubkey] = _Claim(profile.claim, self._clock.now())
            self._bell.set()

    def _tell(self) -> None:
        for told in self._listeners:
            told()

    # -- NIP-05

    async def _check_for_ever(self) -> None:
        at_once = asyncio.Semaphore(_AT_ONCE)
        while True:
            self._bell.clear()
            now = self._clock.now()
            due = [(pubkey, claim) for pubkey, claim in self._claims.items() if claim.due_at <= now]
            await asyncio.gather(*(self._check(pubkey, claim, at_once) for pubkey, claim in due))
            await self._rest()

    async def _rest(self) -> None:
        """Until the next name is due, or there is a new one."""
        next_due = min((claim.due_at for claim in self._claims.values()), default=float("inf"))
        pause = min(max(next_due - self._clock.now(), 0.0), _LONGEST_REST)
        await wait_for_first(self._bell.wait(), self._clock.sleep(pause))

    async def _check(self, pubkey: Pubkey, claim: _Claim, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            before = self.of(pubkey)
            try:
                found = await self._lookup(claim.text)
            except OSError as error:
                _log.info("a NIP-05 name could not be looked up", action="profiles.unreachable", error=str(error))
                now = self._clock.now()
                claim.due_at = now + RETRY_SECONDS
                if claim.verified_at is not None and claim.verified_at <= now - TRUSTED_SECONDS:
                    claim.verified_at = None
            else:
                claim.due_at = self._clock.now() + RECHECK_SECONDS
                # a claim costs nothing: only the domain can say whose name it is (NIP-05)
                claim.verified_at = self._clock.now() if found == pubkey else None
        if self.of(pubkey) != before:
            self._tell()


def _authors(batch: Batch) -> Iterator[Pubkey]:
    for change in batch.changes:
        event = change.after or change.before
        if isinstance(event, VerifiedEvent) and event.kind == kinds.METADATA:
            yield event.pubkey
