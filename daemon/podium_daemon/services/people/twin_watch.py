"""Detects another daemon with our key: both would send everything twice, so each of them stops sending and says so.

A daemon announces its room (30312) anew at each start. One that is at work already sees an announcement by its own key
that it did not make, stops, and answers with one of its own, by which the other sees the same and stops too. What was
written before our start is our own earlier life, whatever the disk still knows of it: it does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.reconcile_loop import Moment, comes
from podium_daemon.runtime.supervisor import Stop
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import PodiumError
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.nips import nip19
from podium_protocol.tags import values
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox.outbox import Outbox

_RETRY: Final = 5.0  # seconds
_AHEAD: Final = 5
"""Seconds: several revisions within one second are dated ahead, also by this daemon before its restart."""

_log = structlog.get_logger(__name__)

Announce = Callable[[], Awaitable[None]]


class TwinWatch:
    """The service that looks for another daemon. `trouble` says what was seen, and stays until a restart."""

    name = "twin watch"

    def __init__(
        self,
        service: Pubkey,
        *,
        space: Address,
        outbox: Outbox,
        mirror: Mirror,
        announce: Announce,
        answer: Callable[[int], Awaitable[None]],
        caught_up: Moment,
        clock: Clock,
    ) -> None:
        """`space`: our room. This daemon's own events are in `outbox` and `mirror` before they are on any relay.

        `announce` publishes the room anew; `answer` too, dated at a time (Unix) at the earliest, and past a publisher
        that has stopped.
        """
        self._service = service
        self._space = str(space)
        self._outbox = outbox
        self._mirror = mirror
        self._announce = announce
        self._answer = answer
        self._caught_up = caught_up
        self._clock = clock
        self._started = int(clock.now())
        self._past: set[EventId] = set()
        self._seen = asyncio.Event()
        self._seen_at = 0
        self.trouble: str | None = None

    @property
    def may_send(self) -> bool:
        """Whether no other daemon with our key was seen."""
        return self.trouble is None

    async def inspect_events(self, events: Sequence[VerifiedEvent], *, live: bool) -> None:
        """Check new events before they are stored; `live`: they came after the relay's EOSE for our own events."""
        own = [event for event in events if event.pubkey == self._service and self._concerns_us(event)]
        if not live:
            self._past.update(event.id for event in own)
            return
        fresh = [one for one in own if one.created_at > self._started + _AHEAD and one.id not in self._past]
        if not fresh or self.trouble is not None:
            return
        known = await self._outbox.known([event.id for event in fresh])
        for event in fresh:
            if event.id not in known and not await self._is_held(event):
                self._stop_sending(event)
                return

    async def _is_held(self, event: VerifiedEvent) -> bool:
        """Whether the mirror has the event or a newer revision: a relay that was down may send what was deleted."""
        address = Address.from_event(event)
        held = None if address is None else await self._mirror.newest(address)
        return held is not None and (held.id == event.id or held.created_at > event.created_at)

    async def run(self, stop: Stop) -> None:
        """Announce ourselves once the past is read, and answer the first other daemon that is seen."""
        for moment, act in ((self._caught_up, self._announce), (self._seen, self._answer_it)):
            if not await comes(moment, stop):
                return
            while not await self._done(act):
                if await stop.wait_for(_RETRY):
                    return
        await stop.wait()

    async def _answer_it(self) -> None:
        """Answer the other daemon: it began no later than its event is dated, whatever its clock says."""
        await self._answer(self._seen_at + _AHEAD + 1)

    async def _done(self, act: Announce) -> bool:
        try:
            await act()
        except PodiumError as error:
            _log.warning("the room will be announced again", action="twin.retry", error=str(error))
            return False
        return True

    def _stop_sending(self, event: VerifiedEvent) -> None:
        self.trouble = (
            f"another daemon works with this key ({nip19.encode_npub(self._service)}): it published an event of kind "
            f"{event.kind} that this one did not make ({event.id}); nothing is sent from here, so that nobody gets "
            "everything twice: stop one of the two, then restart the other"
        )
        _log.critical(self.trouble, action="twin.seen", event_id=event.id, kind=event.kind)
        self._seen_at = event.created_at
        self._seen.set()

    def _concerns_us(self, event: VerifiedEvent) -> bool:
        """Whether it is our room or one of its meetings: a person's key (single-user default) may host other rooms."""
        if event.kind == kinds.SPACE:
            return str(Address.from_event(event)) == self._space
        return event.kind == kinds.MEETING and self._space in values(event.tags, "a")
