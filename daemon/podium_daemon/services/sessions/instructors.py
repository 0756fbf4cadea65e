"""Who may hold sessions here: the allow-list, with its NIP-05 names resolved and checked again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey
from podium_protocol.live.session import Session, names_service
from podium_storage.errors import StoreDamaged

_log = structlog.get_logger(__name__)
RECHECK_SECONDS: Final = 3600
RETRY_SECONDS: Final = 60

Lookup = Callable[[str], Awaitable[Pubkey | None]]
"""Returns the key that a NIP-05 name names now, or None if the domain does not know it. Raises OSError: no answer."""


class Instructors:
    """The allow-list. A name whose domain does not answer keeps its key; one that names another key changes to that."""

    name = "instructors"

    def __init__(
        self,
        *,
        service: Pubkey,
        keys: Sequence[Pubkey],
        names: Sequence[str],
        lookup: Lookup,
        changed: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """`changed` is called after the list grew or shrank: sessions that wait for it are checked again."""
        self._service = service
        self._keys = frozenset(keys) or (frozenset({service}) if not names else frozenset())
        self._names = tuple(names)
        self._kept: frozenset[Pubkey] = frozenset()
        self._resolved: dict[str, Pubkey] = {}
        self._lookup = lookup
        self._changed = changed
        self._clock = clock
        self._again = asyncio.Event()
        self._told = self.pubkeys

    def replace(self, keys: Sequence[Pubkey], names: Sequence[str]) -> None:
        """Replace the list; its keys count at once, its names are resolved now."""
        self._keys = frozenset(keys) or (frozenset({self._service}) if not names else frozenset())
        self._names = tuple(names)
        self._resolved = {name: key for name, key in self._resolved.items() if name in names}
        self._again.set()

    def keep(self, pubkeys: Sequence[Pubkey]) -> None:
        """Replace those who were added while the service runs; they count beside the configuration's, at once."""
        self._kept = frozenset(pubkeys)
        self._again.set()

    @property
    def pubkeys(self) -> frozenset[Pubkey]:
        """The keys on the list now."""
        return self._keys | self._kept | frozenset(self._resolved.values())

    @property
    def kept(self) -> frozenset[Pubkey]:
        """Those of them who were added while the service ran."""
        return self._kept

    @property
    def is_service_alone(self) -> bool:
        """Whether only the service's own key may hold sessions: the operator has named no instructor yet."""
        return self.pubkeys == {self._service} and not self._names

    @property
    def names(self) -> Mapping[str, Pubkey]:
        """The names that resolved, with their keys."""
        return dict(self._resolved)

    def allows(self, pubkey: Pubkey) -> bool:
        """Whether `pubkey` may hold sessions here."""
        return pubkey in self._keys or pubkey in self._kept or pubkey in self._resolved.values()

    def accepts(self, session: Session) -> bool:
        """Whether this service takes a session over: one of our instructors signed it, and it names the service."""
        return self.allows(session.instructor) and names_service(session, self._service)

    async def run(self, stop: Stop) -> None:
        """Resolve the names now, once an hour, and whenever the list was replaced."""
        while not stop.is_set():
            self._again.clear()
            done = await self._resolve_all()
            await self._rest(RECHECK_SECONDS if done else RETRY_SECONDS, stop)

    async def _rest(self, seconds: float, stop: Stop) -> None:
        await wait_for_first(self._again.wait(), stop.wait_for(seconds))

    async def _resolve_all(self) -> bool:
        """Resolve all names; whether every domain answered and `changed` succeeded."""
        answers = await asyncio.gather(*(self._resolve(name) for name in self._names))
        if (now := self.pubkeys) != self._told:
            try:
                await self._changed()
            except StoreDamaged:
                raise  # trying again is no use
            except PodiumError as error:
                _log.warning("sessions will be looked at again", action="instructors.retry", error=str(error))
                return False
            self._told = now
        return all(answers)

    async def _resolve(self, name: str) -> bool:
        try:
            found = await self._lookup(name)
        except OSError as error:
            _log.warning(
                "a NIP-05 name could not be looked up", action="instructors.unreachable", nip05=name, error=str(error)
            )
            return False
        if name not in self._names:
            return True  # the list was replaced meanwhile: the answers belong to the old list
        if found is None:
            self._resolved.pop(name, None)
            _log.warning("a NIP-05 name names no key", action="instructors.unknown", nip05=name)
        else:
            self._resolved[name] = found
        return True
