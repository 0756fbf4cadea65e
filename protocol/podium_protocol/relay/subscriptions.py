"""The subscriptions of a `RelaySession`: what was asked for, how far the relay got, and what it may send."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum, auto

from podium_protocol import limits, messages
from podium_protocol.filters import Filter
from podium_protocol.messages import EventFrame, NoticeFrame
from podium_protocol.relay.events import EndOfStored, SubscriptionClosed
from podium_protocol.relay.exchange import Exchange, pop_due, remember
from podium_protocol.relay.verdicts import Unknown, Verdict, Violation

Resume = Callable[[tuple[Filter, ...]], Sequence[Filter]]
"""From the filters of a subscription to those to send now, such as `filters.backfill` from the last EOSE."""


class SubscriptionStage(Enum):
    """The stage of a subscription on the present connection."""

    IDLE = auto()  # not asked for yet
    STORED = auto()  # stored events are coming
    LIVE = auto()  # after EOSE, or after it did not come in time
    WAITING = auto()  # refused until we have logged in
    CLOSED = auto()  # refused


class Subscription:
    """One REQ: the caller's filters, those last sent, and how far the relay got."""

    def __init__(self, filters: tuple[Filter, ...], resume: Resume | None) -> None:
        self.filters = filters
        self.sent = filters
        self.stage = SubscriptionStage.IDLE
        self.has_ended = False
        self.is_end_held = False  # the relay did not know us when it said that this was all
        self.was_retried = False  # after a login, on this connection
        self.logins_before = 0
        self.notices_before = 0
        self.has_stored = False  # whether a stored event came
        self._resume = resume
        self._quota = 0.0  # stored events it may still send

    def start(self, logins: int, *, again: bool = False) -> tuple[Filter, ...]:
        """Note that the REQ is sent now, and return its filters; `again`: the same ones as before."""
        if self._resume is not None and not again:
            self.sent = tuple(self._resume(self.filters))
        self.stage, self.has_ended, self.is_end_held, self.logins_before = (
            SubscriptionStage.STORED,
            False,
            False,
            logins,
        )
        self.has_stored = False
        limited = [one.limit for one in self.sent if one.limit is not None]
        self._quota = sum(limited) + limits.STORED_SLACK if len(limited) == len(self.sent) else math.inf
        return self.sent

    def is_open(self) -> bool:
        """Whether the relay may send events for it."""
        return self.stage in (SubscriptionStage.STORED, SubscriptionStage.LIVE)

    def take_stored(self) -> bool:
        """Whether one more stored event is within what the filters' `limit` asked for."""
        self.has_stored = True
        self._quota -= 1
        return self._quota >= 0


class Subscriptions:
    """The subscriptions at one relay, over all its connections."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._all: dict[str, Subscription] = {}
        self._waiting: dict[str, Subscription] = {}  # refused until we have logged in
        self._eose_due: dict[str, float] = {}  # in order of deadline, so that the first entry is the next one
        self._parted: dict[str, float] = {}  # to distinguish late frames from invented ones
        self._notices = 0
        self._last_notice = ""

    # -- what the caller wants -----------------------------------------------------------------------------------------

    def add(self, subscription_id: str, filters: tuple[Filter, ...], resume: Resume | None) -> None:
        """Want events, without asking for them yet; replaces the subscription with this id."""
        self._waiting.pop(subscription_id, None)
        self._all[subscription_id] = Subscription(filters, resume)

    def remove(self, subscription_id: str) -> None:
        """End a subscription. Unknown ids are ignored."""
        subscription = self._all.pop(subscription_id, None)
        self._waiting.pop(subscription_id, None)
        self._eose_due.pop(subscription_id, None)
        if subscription is not None and subscription.is_open():
            self._exchange.frames.append(messages.encode_close(subscription_id))
            self._part(subscription_id)

    def filters_of(self, subscription_id: str) -> tuple[Filter, ...] | None:
        """The filters last sent for a subscription; None for an unknown id."""
        subscription = self._all.get(subscription_id)
        return None if subscription is None else subscription.sent

    # -- asking --------------------------------------------------------------------------------------------------------

    def ask(self, subscription_id: str, *, again: bool = False) -> None:
        """Send the REQ; `again`: the same one as before."""
        subscription, exchange = self._all[subscription_id], self._exchange
        filters = subscription.start(exchange.login.successes, again=again)
        subscription.notices_before = self._notices
        exchange.frames.append(messages.encode_req(subscription_id, filters))
        self._eose_due.pop(subscription_id, None)
        self._eose_due[subscription_id] = exchange.now + limits.EOSE_TIMEOUT

    def ask_all(self) -> None:
        """Send every REQ on a new connection."""
        for subscription_id, subscription in self._all.items():
            subscription.was_retried = False
            self.ask(subscription_id)

    def ask_as_known(self) -> None:
        """Repeat the requests made before the login, unchanged: withheld events may be older than the last EOSE."""
        for subscription_id, subscription in self._all.items():
            if subscription.is_open() and subscription.logins_before < self._exchange.login.successes:
                self.ask(subscription_id, again=True)

    # -- what the relay says -------------------------------------------------------------------------------------------

    def on_event(self, frame: EventFrame) -> None:
        """Take an event of a subscription that may have it."""
        subscription = self._all.get(frame.subscription_id)
        if subscription is None or not subscription.is_open():
            self._on_stray(frame.subscription_id, Violation.UNKNOWN_SUBSCRIPTION)
            return
        exchange = self._exchange
        stored = subscription.stage is SubscriptionStage.STORED
        if subscription.take_stored() if stored else exchange.live.take_frame(exchange.now):
            exchange.events.append(frame)
        else:
            exchange.blame(Violation.FLOOD)

    def on_eose(self, subscription_id: str) -> None:
        """Take the end of a subscription's stored events."""
        subscription = self._all.get(subscription_id)
        if subscription is None or not subscription.is_open():
            self._on_stray(subscription_id, Violation.STRAY_END)
        elif subscription.has_ended:
            self._exchange.take_idle()
        else:
            self._exchange.has_answered = subscription.has_ended = True
            if self._exchange.login.is_under_way():
                subscription.is_end_held = True  # without a login it may send less: it is asked again afterwards
            else:
                self._end(subscription_id, subscription)

    def on_closed(self, subscription_id: str) -> Subscription | None:
        """Note that the relay closed a subscription; it is to be `wait`ed with or `close`d. None: it was not open."""
        subscription = self._all.get(subscription_id)
        if subscription is None or not subscription.is_open():
            self._on_stray(subscription_id, Violation.STRAY_END)
            return None
        self._eose_due.pop(subscription_id, None)
        self._part(subscription_id)
        return subscription

    def on_notice(self, text: str) -> None:
        """Take a NOTICE, which may be an old relay's refusal of a REQ."""
        if self._exchange.take_idle(len(text)):
            self._notices += 1
            self._last_notice = text[: limits.MAX_MESSAGE_CHARS]
            self._exchange.events.append(NoticeFrame(self._last_notice))

    def on_disconnected(self) -> None:
        """Note that the connection is gone: all are asked for again on the next one."""
        for subscription in self._all.values():
            subscription.stage = SubscriptionStage.IDLE

    def reset(self) -> None:
        """Forget the state of the last connection."""
        self._waiting, self._eose_due, self._parted = {}, {}, {}

    # -- the clock -----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Handle the EOSEs that did not come in time."""
        for subscription_id in pop_due(self._eose_due, self._exchange.now):
            self._miss_eose(subscription_id, self._all[subscription_id])

    def next_deadline(self) -> float | None:
        """When the next EOSE is due."""
        return next(iter(self._eose_due.values()), None)

    # -- those that wait for a login -----------------------------------------------------------------------------------

    @property
    def has_waiting(self) -> bool:
        """Whether subscriptions wait for a login."""
        return bool(self._waiting)

    def wait(self, subscription_id: str, subscription: Subscription) -> None:
        """Put a refused subscription aside until we have logged in."""
        subscription.stage = SubscriptionStage.WAITING
        self._waiting[subscription_id] = subscription

    def close(self, subscription_id: str, subscription: Subscription, verdict: Verdict) -> None:
        """Give a refused subscription up, on this connection."""
        subscription.stage = SubscriptionStage.CLOSED
        self._exchange.events.append(SubscriptionClosed(subscription_id, verdict))

    def retry_waiting(self) -> None:
        """Send the REQs again that waited for the login."""
        waiting, self._waiting = self._waiting, {}
        for subscription_id, subscription in waiting.items():
            subscription.was_retried = True
            self.ask(subscription_id)

    def fail_waiting(self, verdict: Verdict) -> None:
        """Give up those that waited for the login."""
        waiting, self._waiting = self._waiting, {}
        for subscription_id, subscription in waiting.items():
            self.close(subscription_id, subscription, verdict)

    def release_ends(self) -> None:
        """Take the EOSEs that were held for a login: without one no more events will come."""
        for subscription_id, subscription in self._all.items():
            if subscription.is_open() and subscription.is_end_held:
                self._end(subscription_id, subscription)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _end(self, subscription_id: str, subscription: Subscription) -> None:
        subscription.stage, subscription.is_end_held = SubscriptionStage.LIVE, False
        self._eose_due.pop(subscription_id, None)
        self._exchange.events.append(EndOfStored(subscription_id, partial=False))

    def _miss_eose(self, subscription_id: str, subscription: Subscription) -> None:
        """Take a NOTICE instead of an EOSE for a refusal: older relays refuse that way and never send CLOSED."""
        if subscription.has_stored or subscription.notices_before == self._notices:
            subscription.stage = SubscriptionStage.LIVE
            self._exchange.events.append(EndOfStored(subscription_id, partial=True))
            return
        self._exchange.frames.append(messages.encode_close(subscription_id))
        self._part(subscription_id)
        words = f"answered by a notice alone: {self._last_notice}"
        self.close(subscription_id, subscription, Unknown(words[: limits.MAX_MESSAGE_CHARS]))

    def _on_stray(self, subscription_id: str, violation: Violation) -> None:
        if self._parted.get(subscription_id, 0.0) < self._exchange.now:
            self._exchange.blame(violation)
        else:
            self._exchange.take_idle()

    def _part(self, subscription_id: str) -> None:
        remember(self._parted, subscription_id, self._exchange.now + limits.CLOSE_GRACE)
