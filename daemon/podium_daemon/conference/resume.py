"""The secret with which somebody who lost the socket returns without a new signature. No I/O, no clock.

It belongs to the daemon's admission (the rooms service): that decides whether the person may come back, then asks the
engine for a new grant. A return is a new connection. Only SHA-256 of a secret is kept.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final

import msgspec

from podium_daemon.conference.base import RandomBytes
from podium_daemon.conference.events import Connection, ConnectionId, RoomId
from podium_daemon.conference.grants import digest_of
from podium_protocol.events import Pubkey

RESUME_SECONDS: Final = 120
_SECRET_BYTES: Final = 32
_MAX_SECRET_CHARACTERS: Final = 64


class Kept(msgspec.Struct):
    """A way back from one connection; `until` is None while that is open."""

    connection: Connection
    digest: bytes
    until: float | None = None


class ResumeBook:
    """The resume secrets of the connections that are open or ended a moment ago. Times are monotonic seconds."""

    def __init__(self, random_bytes: RandomBytes, *, seconds: int = RESUME_SECONDS) -> None:
        """Keep each secret for `seconds` after its connection ended."""
        self._random_bytes = random_bytes
        self.seconds = seconds
        self._kept: dict[ConnectionId, Kept] = {}
        self._by_digest: dict[bytes, ConnectionId] = {}
        self._changed: dict[ConnectionId, None] = {}
        self._gone: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def mint(self, connection: Connection) -> str:
        """Make the secret of a new connection, to be sent over its socket and nowhere else."""
        self.drop(connection.id)
        secret = base64.urlsafe_b64encode(self._random_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
        self._add(Kept(connection, digest_of(secret)))
        self._changed[connection.id] = None
        return secret

    def recall(self, connection: Connection, digest: bytes, until: float) -> None:
        """Take back what `changes` told before a restart."""
        self._add(Kept(connection, digest, until))

    def left(self, connection: ConnectionId, now: float) -> None:
        """The connection ended: its time to return runs from here. Said twice, the first counts."""
        kept = self._kept.get(connection)
        if kept is not None and kept.until is None:
            kept.until = now + self.seconds
            self._changed[connection] = None

    def redeem(self, secret: str, now: float) -> Connection | None:
        """The connection a secret returns from, once; None if it is unknown, spent, withdrawn or too old."""
        if len(secret) > _MAX_SECRET_CHARACTERS:
            return None
        found = self._by_digest.get(digest_of(secret))
        if found is None:
            return None
        kept = self._kept[found]
        self.drop(found)
        # an open connection is resumed too: a page that was reloaded is back before the loss of its socket is noticed
        return kept.connection if kept.until is None or now <= kept.until else None

    def forget(self, room: RoomId, pubkey: Pubkey | None = None) -> None:
        """Withdraw a removed person's secrets, or all of a closed room."""
        for kept in list(self._kept.values()):
            if kept.connection.room == room and pubkey in (None, kept.connection.pubkey):
                self.drop(kept.connection.id)

    def expire(self, now: float) -> None:
        """Forget what is too old; called once in a while."""
        for kept in list(self._kept.values()):
            if kept.until is not None and now > kept.until:
                self.drop(kept.connection.id)

    def drop(self, connection: ConnectionId) -> None:
        """Withdraw the secret of one connection: its person said goodbye there. Their other devices keep theirs."""
        kept = self._kept.pop(connection, None)
        if kept is not None:
            del self._by_digest[kept.digest]
            self._changed.pop(connection, None)
            self._gone[kept.digest] = None

    def changes(self) -> tuple[list[Kept], list[bytes]]:
        """What to keep over a restart and the digests to forget, since the last call."""
        changed, self._changed = self._changed, {}
        gone, self._gone = self._gone, {}
        return [self._kept[connection] for connection in changed], list(gone)

    def not_kept(self, kept: Iterable[Kept], gone: Iterable[bytes]) -> None:
        """These changes could not be written down: they are told again."""
        self._gone = dict.fromkeys([*gone, *self._gone])
        self._changed |= dict.fromkeys(one.connection.id for one in kept if self._kept.get(one.connection.id) is one)

    def _add(self, kept: Kept) -> None:
        self._kept[kept.connection.id] = kept
        self._by_digest[kept.digest] = kept.connection.id
