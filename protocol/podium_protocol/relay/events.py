"""The events that a `RelaySession` returns, besides `messages.EventFrame` and `messages.NoticeFrame`."""

from __future__ import annotations

import msgspec

from podium_protocol.events import EventId
from podium_protocol.messages import EventFrame, NoticeFrame
from podium_protocol.relay.verdicts import Verdict


class EndOfStored(msgspec.Struct, frozen=True):
    """The relay has sent all stored events. `partial`: no EOSE came in time; it may still follow."""

    subscription_id: str
    partial: bool


class SubscriptionClosed(msgspec.Struct, frozen=True):
    """The relay no longer serves this subscription on this connection. It is asked for again after a reconnect."""

    subscription_id: str
    verdict: Verdict


class Published(msgspec.Struct, frozen=True):
    """The outcome of a publication. A late `Done` may follow an `Unknown` that was a time-out."""

    event_id: EventId
    verdict: Verdict


class AuthNeeded(msgspec.Struct, frozen=True):
    """Sign `nip42.write_auth(..., challenge, ...)` and call `authenticate`, or call `cannot_authenticate`."""

    challenge: str


class AuthAnswered(msgspec.Struct, frozen=True):
    """The relay's answer to our login: `Done`, or why not."""

    verdict: Verdict


SessionEvent = EventFrame | EndOfStored | SubscriptionClosed | Published | AuthNeeded | AuthAnswered | NoticeFrame
