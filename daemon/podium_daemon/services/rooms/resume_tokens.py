"""The secret with which a person who lost the socket returns without a new signature.

The rooms service decides whether the person may come back, then asks the engine for a new grant. A return is a new
connection. Only SHA-256 of a secret is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from math import ceil
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engine import RandomBytes
from podium_daemon.conference.events import Connection, ConnectionId, RoomId, RoomRole
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.secret_table import SecretTable, digest_of
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey
from podium_storage.errors import StoreDamaged
from podium_storage.resume_tokens import Returns, StoredReturn
from podium_storage.store import Store

RESUME_SECONDS: Final = 120
_MAX_KEPT: Final = 200_000  # far more than there are seats: rooms and devices are limited where grants are given


class Kept(msgspec.Struct):
    """The resume token of one connection; `until` is None while the connection is open.

    `fingerprint`: of the certificate that the join proof names.
    """

    connection: Connection
    digest: bytes
    until: float | None = None
    fingerprint: str | None = None


class ResumeSecrets:
    """The resume secrets of connections that are open or have just ended. Times are monotonic seconds."""

    def __init__(self, clock: Clock, random_bytes: RandomBytes, *, seconds: int = RESUME_SECONDS) -> None:
        """Keep each secret for `seconds` after its connection ended."""
        self._clock = clock
        self.seconds = seconds
        self._kept: dict[ConnectionId, Kept] = {}
        self._secrets: SecretTable[ConnectionId] = SecretTable(clock, random_bytes, maximum=_MAX_KEPT)
        self._changed: dict[ConnectionId, None] = {}
        self._gone: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def mint(self, connection: Connection, fingerprint: str | None = None) -> str:
        """Make the secret of a new connection, to be sent over its socket and nowhere else."""
        self.drop(connection.id)
        secret = self._secrets.issue(connection.id)
        self._kept[connection.id] = Kept(connection, digest_of(secret), fingerprint=fingerprint)
        self._changed[connection.id] = None
        return secret

    def recall(self, connection: Connection, digest: bytes, until: float, fingerprint: str | None = None) -> None:
        """Restore a token that `changes` returned before a restart."""
        self._secrets.restore(digest, connection.id, until - self._clock.monotonic())
        self._kept[connection.id] = Kept(connection, digest, until, fingerprint)

    def connection_ended(self, connection: ConnectionId) -> None:
        """Note that the connection ended: the time to return begins. Of two calls the first counts."""
        kept = self._kept.get(connection)
        if kept is not None and kept.until is None:
            kept.until = self._clock.monotonic() + self.seconds
            self._secrets.expire_in(kept.digest, self.seconds)
            self._changed[connection] = None

    def redeem(self, secret: str) -> Kept | None:
        """Use a secret up and return what it stood for; None if it is unknown, used, withdrawn or expired."""
        found = self._secrets.get(secret)
        if found is None:
            return None
        # an open connection is resumed too: a page that was reloaded is back before the loss of its socket is noticed
        kept = self._kept[found]
        self.drop(found)
        return kept

    def forget(self, room: RoomId, pubkey: Pubkey | None = None) -> None:
        """Withdraw a removed person's secrets, or all of a closed room."""
        for kept in list(self._kept.values()):
            if kept.connection.room == room and pubkey in (None, kept.connection.pubkey):
                self.drop(kept.connection.id)

    def expire(self) -> None:
        """Delete expired secrets; called now and then."""
        now = self._clock.monotonic()
        for kept in list(self._kept.values()):
            if kept.until is not None and now >= kept.until:
                self.drop(kept.connection.id)

    def drop(self, connection: ConnectionId) -> None:
        """Withdraw the secret of a connection that the person ended. Those of their other devices stay valid."""
        kept = self._kept.pop(connection, None)
        if kept is not None:
            self._secrets.discard(kept.digest)
            self._changed.pop(connection, None)
            self._gone[kept.digest] = None

    def changes(self) -> tuple[list[Kept], list[bytes]]:
        """Return the tokens to store and the digests to delete since the last call."""
        changed, self._changed = self._changed, {}
        gone, self._gone = self._gone, {}
        return [self._kept[connection] for connection in changed], list(gone)

    def not_kept(self, kept: Iterable[Kept], gone: Iterable[bytes]) -> None:
        """Note that these changes could not be stored: the next `changes` returns them again."""
        self._gone = dict.fromkeys([*gone, *self._gone])
        self._changed |= dict.fromkeys(one.connection.id for one in kept if self._kept.get(one.connection.id) is one)


_SIGN_OF_LIFE: Final = 60  # seconds between two that attendance stores: the seat may have been lost that much later
_log = structlog.get_logger(__name__)


class ResumeTokens:
    """The resume secrets of all rooms."""

    def __init__(self, store: Store, *, clock: Clock, random_bytes: RandomBytes, seconds: int) -> None:
        """Make each secret valid for `seconds` after its connection ended."""
        self._stored = Returns(store.database)
        self._book = ResumeSecrets(clock, random_bytes, seconds=seconds)
        self._clock = clock
        self._changed = asyncio.Event()
        self._recalling = asyncio.Lock()
        self._is_recalled = False

    @property
    def seconds(self) -> int:
        """Seconds for which each is valid; a reload replaces it."""
        return self._book.seconds

    @seconds.setter
    def seconds(self, seconds: int) -> None:
        self._book.seconds = seconds

    async def run(self, stop: Stop) -> None:
        """Store changes until the stop."""
        await self._recall()
        is_over = False
        while not is_over:
            await wait_for_first(self._changed.wait(), stop.wait())
            self._changed.clear()
            is_over = stop.is_set()
            await self._write()

    def mint(self, connection: Connection, fingerprint: str | None = None) -> str:
        """See `ResumeSecrets`."""
        secret = self._book.mint(connection, fingerprint)
        self._changed.set()
        return secret

    def connection_ended(self, connection: ConnectionId, *, for_good: bool) -> None:
        """Note that a connection ended. `for_good`: its secret is withdrawn."""
        if for_good:
            self._book.drop(connection)
        self._book.connection_ended(connection)
        self._changed.set()

    async def redeem(self, secret: str) -> Kept | None:
        """Use a secret up and return what it stood for, also one from before the daemon's restart."""
        await self._recall()
        kept = self._book.redeem(secret)
        self._changed.set()
        return kept

    def forget(self, room: RoomId, pubkey: Pubkey) -> None:
        """Withdraw a removed person's secrets."""
        self._book.forget(room, pubkey)
        self._changed.set()

    def expire(self) -> None:
        """Delete expired secrets; called now and then."""
        self._book.expire()
        self._changed.set()

    async def _recall(self) -> None:
        """Restore the stored tokens before the first request for one."""
        async with self._recalling:
            if self._is_recalled:
                return
            now = self._clock.now()
            for one in await self._stored.all():
                if (until := self._end_of(one)) is None or until < now:
                    self._book.not_kept([], [one.digest])
                else:
                    left = until - now
                    self._book.recall(_connection(one), one.digest, self._clock.monotonic() + left, one.fingerprint)
            self._is_recalled = True
            self._changed.set()

    def _end_of(self, one: StoredReturn) -> int | None:
        if one.until is not None:
            return one.until
        # it was open when the daemon died, so the time of its end was not stored
        seen = one.last_evidence or one.began
        return None if seen is None else seen + _SIGN_OF_LIFE + self.seconds

    async def _write(self) -> None:
        kept, gone = self._book.changes()
        if not kept and not gone:
            return
        try:
            await self._stored.write([self._row(one) for one in kept], gone)
        except StoreDamaged:
            raise  # trying again is no use
        except PodiumError as error:
            self._book.not_kept(kept, gone)  # stored with the next change: meanwhile rooms work without it
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
            fingerprint=one.fingerprint,
            began=int(self._clock.now()),  # later writes leave the first one
        )


def _connection(one: StoredReturn) -> Connection:
    return Connection(
        ConnectionId(one.connection), RoomId(one.room), Pubkey(one.pubkey), one.device, RoomRole(one.role)
    )
