"""What is configured for a relay, how it is doing, and the numbers its connection keeps to."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from podium_protocol.limits import MAX_FRAME_BYTES, STABLE_AFTER
from podium_protocol.nips.nip11 import RelayLimits


class PoolRelay(msgspec.Struct, frozen=True):
    """One relay of the configuration. `auth`: it may learn who we are (NIP-42)."""

    url: str
    read: bool = True
    write: bool = True
    dm: bool = True
    auth: bool = True


class ConnectionState(StrEnum):
    """Where a connection stands."""

    IDLE = "idle"  # nothing to do there; opened when there is
    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    WAITING = "waiting"  # before the next attempt
    PENALTY = "penalty"  # it misbehaved, and is left alone for a while
    STOPPED = "stopped"


class Refusal(msgspec.Struct, frozen=True):
    """What a relay refused for good since the start: the last one's words, when it came, and how many there were."""

    words: str
    at: float
    count: int


class RelayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one relay is doing. Times are Unix seconds, None for never; words are for people."""

    url: str
    is_configured: bool
    read: bool
    write: bool
    dm: bool
    auth: bool
    state: ConnectionState
    last_error: str | None
    last_notice: str | None
    last_refusal: Refusal | None
    connected_since: float | None
    next_attempt_at: float | None  # while waiting, or in the penalty box
    publishing_paused_until: float | None  # it said rate-limited
    last_ok_at: float | None
    last_eose_at: float | None
    connections: int  # opened since the start
    received: int  # events handed on
    published: int
    refused: int
    unknown: int
    queued: int
    on_the_way: int
    score: float
    violations: dict[str, int]
    closed_subscriptions: dict[str, str]  # which the relay does not serve, with its words
    limits: RelayLimits  # which it names itself (NIP-11)


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of every connection; seconds where nothing else is said."""

    open_within: float = 10.0
    ping_after: float = 20.0  # of silence
    ping_within: float = 20.0  # a relay that says nothing at all after a ping is gone
    idle_close: float = 60.0  # for relays that were not configured
    tick: float = 1.0  # how often time-outs are looked at
    penalty: float = 900.0
    stable_after: float = STABLE_AFTER
    # Above it a frame cannot be skipped and costs the connection; between this and MAX_FRAME_BYTES it is dropped.
    max_socket_frame: int = 8 * MAX_FRAME_BYTES
    max_socket_frame_of_strangers: int = MAX_FRAME_BYTES
    messages_per_minute: int = 5_800
