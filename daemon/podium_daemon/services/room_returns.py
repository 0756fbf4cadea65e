"""Ways back into rooms without a new signature, kept over the end of this process, be it sudden.

They are written down a moment after they change. What a crash takes in between costs somebody a signature, and gives
nobody a way in: whoever was removed is refused at the door, and everything ends after two minutes.
"""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Final

import structlog

from podium_daemon.conference.base import RandomBytes
from podium_daemon.conference.events import Connection, ConnectionId, Role, RoomId
from podium_daemon.conference.resume import Kept, ResumeBook
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey
from podium_storage.errors import StoreDamaged
from podium_storage.resume_tokens import Returns, StoredReturn
from podium_storage.store import Store

_SIGN_OF_LIFE: Final = 60  # seconds between two that attendance writes down: a seat was lost up to so much later
_log = structlog.get_logger(__name__)


class WaysBack:
    """The resume secrets of all rooms."""

    def __init__(self, store: Store, *, clock: Clock, random_bytes: RandomBytes, seconds: int) -> None:
        """Each lasts `seconds` after its connection ended."""
        self._stored = Returns(store.database)
        self._book = ResumeBook(random_bytes, seconds=seconds)
        self._clock = clock
        self._changed = asyncio.Event()
        self._recalling = asyncio.Lock()
        self._is_recalled = False

    @property
    def seconds(self) -> int:
        """How long each lasts; a reload replaces it."""
        return self._book.seconds

    @seconds.setter
    def seconds(self, seconds: int) -> None:
        self._book.seconds = seconds

    async def run(self, stop: Stop) -> None:
        """Write down what changes until told to stop."""
        await self._recall()
        stopping = asyncio.create_task(stop.wait())
        try:
            is_over = False
            while not is_over:
                changing = asyncio.create_task(self._changed.wait())
                await asyncio.wait((changing, stopping), return_when=asyncio.FIRST_COMPLETED)
                changing.cancel()
                self._changed.clear()
                is_over = stop.is_set()
                await self._write()
        finally:
            stopping.cancel()

    def mint(self, connection: Connection) -> str:
        """See `ResumeBook`."""
        secret = self._book.mint(connection)
        self._changed.set()
        return secret

    def left(self, connection: ConnectionId, *, for_good: bool) -> None:
        """A connection ended. `for_good`: its person does not come back this way."""
        if for_good:
            self._book.drop(connection)
        self._book.left(connection, self._clock.monotonic())
        self._changed.set()

    async def redeem(self, secret: str) -> Connection | None:
        """The connection a secret returns from, once, also one of this database's last daemon."""
        await self._recall()
        connection = self._book.redeem(secret, self._clock.monotonic())
        self._changed.set()
        return connection

    def forget(self, room: RoomId, pubkey: Pubkey) -> None:
        """Withdraw a removed person's ways back."""
        self._book.forget(room, pubkey)
        self._changed.set()

    def expire(self) -> None:
        """Forget what is too old; called once in a while."""
        self._book.expire(self._clock.monotonic())
        self._changed.set()

    async def _recall(self) -> None:
        """Take back what the last daemon kept, before anybody asks for it."""
        async with self._recalling:
            if self._is_recalled:
                return
            now = self._clock.now()
            for one in await self._stored.all():
                if (until := self._end_of(one)) is None or until < now:
                    self._book.not_kept([], [one.digest])
                else:
                    left = until - now
                    self._book.recall(_connection(one), one.digest, self._clock.monotonic() + left)
            self._is_recalled = True
            self._changed.set()

    def _end_of(self, one: StoredReturn) -> int | None:
        if one.until is not None:
            return one.until
        # it was open when the daemon died, so nobody wrote down when it ended
        return None if one.last_evidence is None else one.last_evidence + _SIGN_OF_LIFE + self.seconds

    async def _write(self) -> None:
        kept, gone = self._book.changes()
        if not kept and not gone:
            return
        try:
            await self._stored.write([self._row(one) for one in kept], gone)
        except StoreDamaged:
            raise  # it will be so the next time
        except PodiumError as error:
            self._book.not_kept(kept, gone)  # with the next change: a room is no worse for it meanwhile
            _log.warning("ways back were not written down", action="room.returns_unkept", error=str(error))

    def _row(self, one: Kept) -> StoredReturn:
        at = one.connection
        left = None if one.until is None else one.until - self._clock.monotonic()
        return StoredReturn(
            digest=one.digest,
            connection=at.id,
            room=at.room,
            pubkey=at.pubkey,
            device=at.device,
            role=at.role.value,
            until=None if left is None else ceil(self._clock.now() + left),
        )


def _connection(one: StoredReturn) -> Connection:
    return Connection(ConnectionId(one.connection), RoomId(one.room), Pubkey(one.pubkey), one.device, Role(one.role))
