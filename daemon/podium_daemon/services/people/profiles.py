"""Who people say they are: names out of kind 0; for instructors also NIP-05 names, looked up and again each hour.

They are kept in memory: the mirror has the events, and after a restart each NIP-05 name is looked up again.
NIP-05 names of participants are never looked up: each would send the daemon to a server of a stranger's choice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
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
from podium_storage.changes import Batch
from podium_storage.mirror.mirror import TABLE, Mirror
from podium_storage.store import Store

_log = structlog.get_logger(__name__)

RECHECK_SECONDS: Final = 3600
RETRY_SECONDS: Final = 300
TRUSTED_SECONDS: Final = 24 * 3600  # a name whose domain has not answered for this long is no longer shown
_AT_ONCE: Final = 8  # look-ups: a stranger's server may delay each for up to ten seconds
_LONGEST_REST: Final = 30.0
MOST: Final = 20_000  # participants' names that are kept, some 5 MB; the others are read again when they are needed
_AUTHORS: Final = 250  # of one query: a profile has up to 32 kB

Lookup = Callable[[str], Awaitable[Pubkey | None]]
"""Returns the key that a NIP-05 name names now, or None if the domain does not know it. Raises OSError: no answer."""


class Introduction(msgspec.Struct, frozen=True):
    """A person's own name ("" if there is none), and their NIP-05 name if it leads to their key."""

    name: str = ""
    nip05: str | None = None


class _Claim(msgspec.Struct):
    """One person's NIP-05 name; `verified_at` is None unless the last answer named the person's key."""

    text: str
    due_at: float
    verified_at: float | None = None


class Profiles:
    """The profiles of instructors, always there, and of participants, once `load` was asked for them."""

    name = "profiles"

    def __init__(
        self,
        *,
        mirror: Mirror,
        store: Store,
        instructors: Callable[[], Collection[Pubkey]],
        lookup: Lookup,
        clock: Clock,
    ) -> None:
        self._mirror = mirror
        self._changes = store.changes
        self._guests = store.guests
        self._instructors = instructors
        self._lookup = lookup
        self._clock = clock
        self._profiles: dict[Pubkey, Profile] = {}
        self._claims: dict[Pubkey, _Claim] = {}
        self._read: frozenset[Pubkey] = frozenset()
        self._participants: dict[Pubkey, str] = {}
        self._changes_seen = 0
        self._listeners: list[Callable[[], None]] = []
        self._bell = asyncio.Event()

    def profile_of(self, pubkey: Pubkey) -> Introduction:
        """The names that may be shown for a person now."""
        claim = self._claims.get(pubkey)
        is_theirs = claim is not None and claim.verified_at is not None
        profile = self._profiles.get(pubkey)
        name = self._participants.get(pubkey, "") if profile is None else profile.name
        return Introduction(name, claim.text if claim and is_theirs else None)

    async def load(self, people: Iterable[Pubkey]) -> None:
        """Have the names of these people at hand for `of`: those that are not, are read out of the mirror."""
        missing = [one for one in dict.fromkeys(people) if one not in self._read and one not in self._participants]
        for start in range(0, len(missing), _AUTHORS):
            part = missing[start : start + _AUTHORS]
            seen = -1
            while seen != self._changes_seen:  # what came while we read could be newer than what was read
                seen = self._changes_seen
                names = await self._names_of(part)
            self._participants |= names
        for oldest in list(self._participants)[: max(0, len(self._participants) - MOST)]:
            del self._participants[oldest]

    async def own_names(self, people: Collection[Pubkey]) -> dict[Pubkey, str]:
        """The names that these people give themselves; "" for those of whom none is known."""
        await self.load(people)
        return {pubkey: self.profile_of(pubkey).name for pubkey in people}

    def follow(self, told: Callable[[], None]) -> None:
        """Call `told` after each change of a result of `of` that was asked for."""
        self._listeners.append(told)

    async def run(self, stop: Stop) -> None:
        """Read profiles as they come, and look their NIP-05 names up, until the stop."""
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
        before = {pubkey: self.profile_of(pubkey) for pubkey in anew}
        if anew:
            newest = await self._newest_of(anew)
            for pubkey in anew:
                self._take(pubkey, newest.get(pubkey))
        for gone in self._read - listed:
            self._profiles.pop(gone, None)
            self._claims.pop(gone, None)
        self._read = listed
        renamed = await self._follow_participants(batch)
        if renamed or any(self.profile_of(pubkey) != shown for pubkey, shown in before.items()):
            self._tell()

    async def _follow_participants(self, batch: Batch) -> bool:
        """Whether one of the names that are at hand is another now."""
        self._changes_seen += 1
        changed = frozenset(self._participants) & (self._participants.keys() if batch.resync else set(_authors(batch)))
        if not changed:
            return False
        if len(changed) > _AUTHORS:
            self._participants.clear()  # they are read again when they are needed
            return True
        names = await self._names_of(changed)
        renamed = {pubkey: name for pubkey, name in names.items() if self._participants.get(pubkey) != name}
        self._participants |= renamed
        return bool(renamed)

    async def _names_of(self, people: Collection[Pubkey]) -> dict[Pubkey, str]:
        newest = await self._newest_of(people)
        given = {
            guest.pubkey: guest.name for guest in await self._guests.where("pubkey").any_of(list(people)).to_list()
        }
        return {pubkey: _name_in(newest.get(pubkey)) or given.get(pubkey, "") for pubkey in people}

    async def _newest_of(self, people: Collection[Pubkey]) -> dict[Pubkey, VerifiedEvent]:
        if not people:
            return {}
        newest: dict[Pubkey, VerifiedEvent] = {}
        for event in await self._mirror.by_filter(Filter(kinds=(kinds.METADATA,), authors=tuple(sorted(people)))):
            newest.setdefault(event.pubkey, event)
        return newest

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
        """Wait until the next name is due, or a new one comes."""
        next_due = min((claim.due_at for claim in self._claims.values()), default=float("inf"))
        pause = min(max(next_due - self._clock.now(), 0.0), _LONGEST_REST)
        await wait_for_first(self._bell.wait(), self._clock.sleep(pause))

    async def _check(self, pubkey: Pubkey, claim: _Claim, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            before = self.profile_of(pubkey)
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
                # any attacker can claim a name: only the domain can say whose it is (NIP-05)
                claim.verified_at = self._clock.now() if found == pubkey else None
        if self.profile_of(pubkey) != before:
            self._tell()


def _name_in(event: VerifiedEvent | None) -> str:
    profile = read_profile(event) if event is not None else None
    return profile.name if profile is not None else ""


def _authors(batch: Batch) -> Iterator[Pubkey]:
    for change in batch.changes:
        event = change.after or change.before
        if isinstance(event, VerifiedEvent) and event.kind == kinds.METADATA:
            yield event.pubkey
