"""Event kinds Podium writes or reads, and the ranges of NIP-01."""

from __future__ import annotations

from typing import Final

METADATA: Final = 0
DELETION: Final = 5  # NIP-09
REACTION: Final = 7  # NIP-25; sealed, to a private message (NIP-17)
BADGE_AWARD: Final = 8  # NIP-58
SEAL: Final = 13  # NIP-59
PRIVATE_MESSAGE: Final = 14  # NIP-17
GENERIC_REPOST: Final = 16  # NIP-18: how signed events of private sessions travel, sealed
GIFT_WRAP: Final = 1059  # NIP-59
LIVE_CHAT: Final = 1311  # NIP-53
RELAY_LIST: Final = 10002  # NIP-65
DM_RELAY_LIST: Final = 10050  # NIP-17
ROOM_PRESENCE: Final = 10312  # NIP-53
RELAY_AUTH: Final = 22242  # NIP-42
REMOTE_SIGNING: Final = 24133  # NIP-46
BLOB_AUTH: Final = 24242  # Blossom, BUD-11
HTTP_AUTH: Final = 27235  # NIP-98
BADGE_DEFINITION: Final = 30009  # NIP-58
APPLICATION_DATA: Final = 30078  # NIP-78: what people said by message, sealed for ourselves
LIVE_EVENT: Final = 30311  # NIP-53
SPACE: Final = 30312  # NIP-53: the room
MEETING: Final = 30313  # NIP-53: the live status of one session
SESSION: Final = 31923  # NIP-52: time-based calendar event
CALENDAR: Final = 31924  # NIP-52: a list of calendar events; of a series of sessions here
RSVP: Final = 31925  # NIP-52
HANDLER: Final = 31990  # NIP-89: which kinds an application opens
ATTENDANCE: Final = 31953  # ours: addressable attendance record, see docs/wire-formats.md

MAX_KIND: Final = 65535


def is_replaceable(kind: int) -> bool:
    """Only the newest event per (pubkey, kind) counts (NIP-01)."""
    return kind in (0, 3) or 10_000 <= kind < 20_000


def is_ephemeral(kind: int) -> bool:
    """Relays do not store it (NIP-01)."""
    return 20_000 <= kind < 30_000


def is_addressable(kind: int) -> bool:
    """Only the newest event per (kind, pubkey, `d`) counts (NIP-01)."""
    return 30_000 <= kind < 40_000
