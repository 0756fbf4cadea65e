"""Room tokens of engines whose door is the daemon's own WebSocket. No I/O, no clock: callers pass monotonic seconds.

A token is 256 random bits, good once, until its time is up, for one room, person, device and role. Only its SHA-256 is
kept, so a dump of our memory or a core file admits nobody.
"""

from __future__ import annotations

from typing import Final

import msgspec

from podium_daemon.conference.engine import Person, RandomBytes
from podium_daemon.conference.events import RoomId, TrackKind
from podium_daemon.runtime.secret_table import digest_of, new_secret
from podium_protocol.events import Pubkey

MAX_DEVICES: Final = 3  # of one pubkey in one room (semantics.md, Attendance)
_MAX_TOKEN_CHARACTERS: Final = 64  # base64 of 32 bytes has 43; nothing longer is worth hashing


class SeatGrant(msgspec.Struct, frozen=True):
    """What a token is bound to; `until` is monotonic seconds, `publish` what the person may send."""

    room: RoomId
    person: Person
    until: float
    publish: frozenset[TrackKind] = frozenset(TrackKind)


class GrantBook:
    """The unredeemed grants of one engine."""

    def __init__(self, random_bytes: RandomBytes, *, devices: int = MAX_DEVICES) -> None:
        """Keep at most `devices` grants a person and room."""
        self._random_bytes = random_bytes
        self._devices = devices
        self._grants: dict[bytes, SeatGrant] = {}
        self._by_room: dict[RoomId, dict[Pubkey, dict[str, bytes]]] = {}

    def __len__(self) -> int:
        return len(self._grants)

    def issue(self, grant: SeatGrant) -> str:
        """Make a token for `grant`.

        A device has one unredeemed grant and a person a few: the newest stay, so that asking again and again with new
        device names costs us nothing.
        """
        token = new_secret(self._random_bytes)
        devices = self._by_room.setdefault(grant.room, {}).setdefault(grant.person.pubkey, {})
        replaced = devices.pop(grant.person.device, None)
        if replaced is None and len(devices) >= self._devices:
            replaced = devices.pop(next(iter(devices)))
        if replaced is not None:
            del self._grants[replaced]
        digest = digest_of(token)
        devices[grant.person.device] = digest
        self._grants[digest] = grant
        return token

    def redeem(self, token: str, now: float) -> SeatGrant | None:
        """The grant of a token, which is spent by this; None if it was never made, spent, withdrawn or is too old.

        The four are not told apart: the caller is a stranger until the token is good.
        """
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        digest = digest_of(token)
        grant = self._grants.get(digest)
        if grant is None:
            return None
        self._forget(digest, grant)
        return grant if now < grant.until else None

    def revoke(self, room: RoomId, pubkey: Pubkey | None = None) -> int:
        """Withdraw a person's grants for a room, or everybody's; returns how many there were."""
        people = self._by_room.get(room, {})
        withdrawn = [
            digest for holder in ([pubkey] if pubkey else list(people)) for digest in people.get(holder, {}).values()
        ]
        for digest in withdrawn:
            self._forget(digest, self._grants[digest])
        return len(withdrawn)

    def expire(self, now: float) -> None:
        """Forget what is too old; looks at every grant, so it is called once a heartbeat, not once a person."""
        for digest, grant in list(self._grants.items()):
            if now >= grant.until:
                self._forget(digest, grant)

    def _forget(self, digest: bytes, grant: SeatGrant) -> None:
        del self._grants[digest]
        people = self._by_room[grant.room]
        devices = people[grant.person.pubkey]
        del devices[grant.person.device]
        if not devices:
            del people[grant.person.pubkey]
        if not people:
            del self._by_room[grant.room]
