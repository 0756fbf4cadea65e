"""Whether the daemon can do its work now, as `/readyz` says it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from podium_daemon.app.parts import Parts
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.tasks import Watched, wait_for_first
from podium_storage.errors import StoreError
from podium_storage.meta import Meta

CHECK_AGAIN: Final = 5.0
"""Seconds for which the outcome of a write counts: who asks more often causes no more writes."""

WAIT: Final = 2.0
"""Seconds to wait for the write: a locked database lets one wait for longer than monitors do."""

READ_WITHIN: Final = 2.0
"""Seconds after the start in which relays tell their past; one that is behind then is named, and delays nothing."""

_NAME: Final = "checkedAt"


class WriteCheck:
    """Finds out whether the database takes writes, by a small one: a full disk shows itself in no other way."""

    def __init__(self, meta: Meta, clock: Clock) -> None:
        self._meta = meta
        self._clock = clock
        self._writing: asyncio.Task[str | None] | None = None
        self._begun = float("-inf")

    async def trouble(self) -> str | None:
        """Why nothing can be written, in words; None if a write took place within the last seconds."""
        now = self._clock.monotonic()
        if self._writing is None or (self._writing.done() and now - self._begun >= CHECK_AGAIN):
            self._begun = now
            self._writing = asyncio.create_task(self._write(), name="check that the database takes writes")
        await wait_for_first(asyncio.wait([self._writing]), self._clock.sleep(WAIT))
        if not self._writing.done():
            return f"the database takes no writes: one has waited for {self._clock.monotonic() - self._begun:.0f} s"
        return self._writing.result()

    async def _write(self) -> str | None:
        try:
            await self._meta.set(_NAME, str(int(self._clock.now())))
        except StoreError as error:
            return f"the database takes no writes: {error}"
        return None


class Readiness:
    """Whether all parts of the daemon work."""

    def __init__(self, parts: Parts, missing: Callable[[], Sequence[str]], watched: Sequence[Watched]) -> None:
        self._parts = parts
        self._missing = missing
        self._watched = watched
        self._writes = WriteCheck(parts.core.meta, parts.core.clock)
        self._began = parts.core.clock.monotonic()

    async def trouble(self) -> str | None:
        """Why some part does not work now, in words; None if all do."""
        return await self._writes.trouble() or self._trouble_of_parts()

    def _trouble_of_parts(self) -> str | None:
        parts = self._parts
        if parts.people.twins.trouble is not None:
            return parts.people.twins.trouble
        if not parts.relays.syncer.caught_up.is_set() and self._is_new():
            return f"reading the relays: {', '.join(parts.relays.syncer.relays_behind())}"
        if missing := self._missing():
            return f"not running: {', '.join(missing)}"
        if unserved := parts.relays.gaps.unserved():
            return f"no relay serves {', '.join(unserved)}: {'; '.join(parts.relays.gaps.remarks())}"
        if parts.relays.admission.budget.is_reached:
            return "the database is as large as it may become: what strangers send is refused"
        troubles = [f"{what} fails and is tried again" for one in self._watched for what in one.trouble]
        return "; ".join(troubles) or None

    def _is_new(self) -> bool:
        return self._parts.core.clock.monotonic() - self._began < READ_WITHIN
