"""Who may hold sessions here: the allow-list, with its NIP-05 names resolved and checked again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from podium_daemon.clock import Clock
from podium_daemon.supervisor import Stop
from podium_protocol.events import Pubkey
from podium_protocol.live.session import Session

_log = structlog.get_logger(__name__)
RECHECK_SECONDS: Final = 3600
_RETRY_SECONDS: Final = 60

Lookup = Callable[[str], Awaitable[Pubkey | None]]
"""The key behind a NIP-05 name now; None if the name says nothing. Raises OSError when nobody answers."""


class Instructors:
    """The allow-list. A name that cannot be reached keeps the key it had; one that says another key loses it."""

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
        """`changed` is called after the list grew or shrank: sessions that wait for it are looked at again."""
        self._service = service
        self._keys = frozenset(keys) or (frozenset({service}) if not names else frozenset())
        self._names = tuple(names)
        self._resolved: dict[str, Pubkey] = {}
        self._lookup = lookup
        self._changed = changed
        self._clock = clock
        self._again = asyncio.Event()

    def replace(self, keys: Sequence[Pubkey], names: Sequence[str]) -> None:
        """Take over another list; its names are resolved at the next look."""
        self._keys = frozenset(keys) or (frozenset({self._service}) if not names else frozenset())
        self._names = tuple(names)
        self._resolved = {name: key for name, key in self._resolved.items() if name in names}
        self._again.set()

    @property
    def pubkeys(self) -> frozenset[Pubkey]:
        """Everybody on the list now."""
        return self._keys | frozenset(self._resolved.values())

    @property
    def names(self) -> Mapping[str, Pubkey]:
        """The names that resolved, with their keys."""
        return dict(self._resolved)

    def allows(self, pubkey: Pubkey) -> bool:
        """Whether somebody may hold sessions here."""
        return pubkey in self._keys or pubkey in self._resolved.values()

    def accepts(self, session: Session) -> bool:
        """Whether this service takes a session over: an instructor of ours signed it, and it names the service."""
        return self.allows(session.instructor) and (
            self._service in session.services or session.instructor == self._service
        )

    async def run(self, stop: Stop) -> None:
        """Resolve the names now and once an hour."""
        while True:
            answered = await self._resolve_all()
            if await stop.wait_for(RECHECK_SECONDS if answered else _RETRY_SECONDS):
                return

    async def _resolve_all(self) -> bool:
        before = self.pubkeys
        answers = await asyncio.gather(*(self._resolve(name) for name in self._names))
        if self.pubkeys != before:
            await self._changed()
        return all(answers)

    async def _resolve(self, name: str) -> bool:
        try:
            found = await self._lookup(name)
        except OSError as error:
            _log.warning(
                "a NIP-05 name could not be looked up", action="instructors.unreachable", nip05=name, error=str(error)
            )
            return False
        if found is None:
            self._resolved.pop(name, None)
            _log.warning("a NIP-05 name names no key", action="instructors.unknown", nip05=name)
        else:
            self._resolved[name] = found
        return True
