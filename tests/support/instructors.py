"""Instructors for tests: the list of those who may hold sessions, and the signers that they left with the service."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, MutableSet

import msgspec

from podium_daemon.services.sessions.instructors import Instructors
from podium_daemon.signers.instructors import SigningRefused, Unavailable
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from tests.support.events import verify_or_fail


class Signing:
    """The instructors' own signers: those in `keys` answer, the others are away. `asked`: what they were asked for."""

    def __init__(self) -> None:
        self.keys: dict[Pubkey, SecretKey] = {}
        self.asked: list[UnsignedEvent] = []

    async def sign(self, pubkey: Pubkey, event: UnsignedEvent) -> VerifiedEvent | SigningRefused | Unavailable:
        """See `InstructorSigning`."""
        self.asked.append(event)
        key = self.keys.get(pubkey)
        if key is None:
            return Unavailable("it is away", is_connected=True)
        return verify_or_fail(key.sign(msgspec.structs.replace(event, pubkey=key.pubkey), os.urandom(32)))


class Listed(MutableSet[Pubkey]):
    """The allow-list of a world; each change of it counts at once, as after a reload."""

    def __init__(self, instructors: Instructors, keys: Iterable[Pubkey]) -> None:
        self._instructors = instructors
        self._keys = set(keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[Pubkey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, value: Pubkey) -> None:
        """List an instructor."""
        self._keys.add(value)
        self._instructors.replace(tuple(self._keys), ())

    def discard(self, value: Pubkey) -> None:
        """Take an instructor off the list."""
        self._keys.discard(value)
        self._instructors.replace(tuple(self._keys), ())
