"""Presence, kind 10312 (NIP-53): secondary evidence of attendance, for sessions that have no engine."""

from __future__ import annotations

from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.attendance import DEFAULT_POLICY, AttendancePolicy

_MAX_ADDRESS: Final = 400


class Presence(msgspec.Struct, frozen=True):
    """One kind 10312 event: `room` is its first `a`, which may be any room anywhere."""

    pubkey: Pubkey
    room: str
    created_at: int
    received_at: int


def read_presence(event: VerifiedEvent, received_at: int, policy: AttendancePolicy = DEFAULT_POLICY) -> Presence | None:
    """Read a presence event, or None: it must have been made within 120 s of `received_at`, so old ones do not count.

    An event without an `a` names no room: its sender has left.
    """
    if event.kind != kinds.ROOM_PRESENCE or abs(event.created_at - received_at) > policy.presence_skew:
        return None
    room = (tags.first(event.tags, "a") or "")[:_MAX_ADDRESS]
    return Presence(event.pubkey, room, event.created_at, received_at)
