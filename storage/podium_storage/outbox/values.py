"""The values of the outbox: items to publish, rows that are due, a relay's answers, and delivery states."""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec

from podium_protocol.events import EventId, SignedEvent


class Priority(IntEnum):
    """The order in which events go to one relay."""

    URGENT = 0  # people wait for it now: live status, "live now"
    NORMAL = 1
    BULK = 2  # refreshes, records


class DeliveryState(StrEnum):
    """The outcome of one event on one relay."""

    READY = "ready"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One event to publish. Times are Unix seconds.

    Args:
        event: sent unchanged, on every attempt.
        relays: normalised URLs; each gets a row.
        not_before: not sent earlier; 0 is at once.
        expires_at: not sent at this time or later.
        session_address: the session it belongs to.
        reference: what the caller knows it by, such as `reminder:17`.
    """

    event: SignedEvent
    relays: tuple[str, ...]
    not_before: int = 0
    expires_at: int | None = None
    priority: Priority = Priority.NORMAL
    session_address: str | None = None
    reference: str | None = None


class OutboxRow(msgspec.Struct, frozen=True, rename="camel"):
    """One event that is due on one relay."""

    id: int
    event_id: EventId
    event_json: bytes
    relay: str
    priority: Priority
    attempts: int
    next_attempt_at: int
    expires_at: int | None


class Delivery(msgspec.Struct, frozen=True, rename="camel"):
    """The delivery state of one event on one relay; `last_message` is the relay's text or ours."""

    event_id: EventId
    relay: str
    state: DeliveryState
    attempts: int
    next_attempt_at: int
    last_message: str | None
    session_address: str | None
    reference: str | None


class RelayAccepted(msgspec.Struct, frozen=True):
    """The relay has it: OK true, or `duplicate:`."""

    row: int
    message: str = ""


class TryAgain(msgspec.Struct, frozen=True):
    """The outcome is unknown, or the relay asked to wait: send the same bytes again at `at` (Unix seconds)."""

    row: int
    at: int
    message: str = ""


class RelayRefused(msgspec.Struct, frozen=True):
    """The relay's answer is final."""

    row: int
    message: str = ""


PublishResult = RelayAccepted | TryAgain | RelayRefused
