"""Secrets that stand for a value: random, kept only as a hash, bounded in number and in time.

Only SHA-256 of a secret is kept, so that a dump of our memory or a core file is of no use to an attacker. A lookup by
hash also takes as long for a guess that is nearly right as for any other.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from math import inf
from typing import Final, Generic, TypeVar

from podium_daemon.runtime.clock import Clock

V = TypeVar("V")

SECRET_BYTES: Final = 32
_MAX_CHARACTERS: Final = 64  # base64 of 32 bytes has 43; nothing longer is worth hashing


class SecretTable(Generic[V]):
    """The value of each secret. Beyond `maximum` the oldest are forgotten; time is monotonic, in seconds."""

    def __init__(
        self, clock: Clock, random_bytes: Callable[[int], bytes], *, maximum: int, seconds: float = inf
    ) -> None:
        """Keep each secret for `seconds` after it was issued, unless `expire_in` says otherwise."""
        self._clock = clock
        self._random_bytes = random_bytes
        self._maximum = maximum
        self._seconds = seconds
        self._kept: dict[bytes, tuple[float, V]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[V]:
        """The values in order of issue, including expired ones that are not yet forgotten."""
        return iter([value for _, value in self._kept.values()])

    def issue(self, value: V) -> str:
        """Issue a new secret for `value`: 43 characters that are safe in a URL."""
        secret = new_secret(self._random_bytes)
        self._forget_old()
        self._kept[digest_of(secret)] = (self._clock.monotonic() + self._seconds, value)
        return secret

    def restore(self, digest: bytes, value: V, seconds: float) -> None:
        """Restore a secret that was stored elsewhere during a restart; it is valid for `seconds`."""
        self._forget_old()
        self._kept[digest] = (self._clock.monotonic() + seconds, value)

    def get(self, secret: str) -> V | None:
        """The value of a secret; None if it is unknown, used, withdrawn or expired, without a difference."""
        return self._valid(self._kept.get(digest_of(secret))) if len(secret) <= _MAX_CHARACTERS else None

    def redeem(self, secret: str) -> V | None:
        """Return the value as `get` does, and use the secret up."""
        return self._valid(self._kept.pop(digest_of(secret), None)) if len(secret) <= _MAX_CHARACTERS else None

    def expire_in(self, digest: bytes, seconds: float) -> None:
        """Let a valid secret expire `seconds` from now; no effect on an unknown one."""
        entry = self._kept.get(digest)
        if entry is not None and self._valid(entry) is not None:
            self._kept[digest] = (self._clock.monotonic() + seconds, entry[1])

    def discard(self, digest: bytes) -> None:
        """Withdraw a secret; no effect on an unknown one."""
        self._kept.pop(digest, None)

    def _valid(self, entry: tuple[float, V] | None) -> V | None:
        return entry[1] if entry is not None and entry[0] > self._clock.monotonic() else None

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest][0] > now and len(self._kept) < self._maximum:
                return
            del self._kept[oldest]


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """256 random bits as unpadded base64url (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(random_bytes(SECRET_BYTES)).rstrip(b"=").decode()


def digest_of(secret: str) -> bytes:
    """SHA-256 of a secret's text, whatever characters a stranger put into it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
