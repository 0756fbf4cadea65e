"""The conversation with one relay, without I/O: frames in, frames and events out, time passed in.

A thin pump owns the socket: it tells `connected`, `receive`, `disconnected` and `tick`, sends what `data_to_send`
returns as text frames, and hands on what `events_received` returns. One session lives as long as the relay is
configured, over all its connections. Every `now` is monotonic seconds. Nothing a relay sends raises.

Sources: NIP-01, NIP-42. What an answer means is in `verdicts`, what is held against a relay in `violations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from podium_protocol import limits, messages
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.messages import (
    AuthFrame,
    ClosedFrame,
    EoseFrame,
    EventFrame,
    FrameFlaw,
    FrameRejected,
    NoticeFrame,
    OkFrame,
)
from podium_protocol.nips import nip42
from podium_protocol.relay import verdicts
from podium_protocol.relay.events import (
    AuthAnswered,
    AuthNeeded,
    EndOfStored,
    Published,
    SessionEvent,
    SubscriptionClosed,
)
from podium_protocol.relay.login import LoginStage, RelayLogin
from podium_protocol.relay.subscriptions import (
    LiveEventAllowance,
    Publication,
    Resume,
    Subscription,
    SubscriptionStage,
    pop_due,
    remember,
)
from podium_protocol.relay.verdicts import (
    AuthRequired,
    EventAccepted,
    Misbehaviour,
    RateLimited,
    Unknown,
    Verdict,
    Violation,
)

_VIOLATIONS: Final[dict[FrameFlaw, Violation]] = {
    FrameFlaw.TOO_LARGE: Violation.OVERSIZED_FRAME,
    FrameFlaw.BLANK: Violation.MALFORMED,
    FrameFlaw.NOT_JSON: Violation.BAD_FRAME,
    FrameFlaw.MALFORMED: Violation.MALFORMED,
    FrameFlaw.BAD_SHAPE: Violation.BAD_FRAME,
    FrameFlaw.UNKNOWN_LABEL: Violation.UNKNOWN_LABEL,
}


class RelaySession:
    """One relay's subscriptions, publications and login."""

    def __init__(self, url: str, *, may_authenticate: bool = False) -> None:
        """Start unconnected. `may_authenticate`: the configuration lets this relay know who we are."""
        self.url = url
        self.may_authenticate = may_authenticate
        self.misbehaviour = Misbehaviour()
        self.is_connected = False
        self.has_answered = False
        """Whether an EOSE or an OK came on this connection: one of the two conditions of `backoff.is_proven`."""
        self._now = 0.0
        self._login = RelayLogin()
        self._login_due: float | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._publications: dict[EventId, Publication] = {}
        # refused until we have logged in
        self._waiting_subscriptions: dict[str, Subscription] = {}
        self._waiting_publications: dict[EventId, Publication] = {}
        # in order of deadline, so that the first entry is the next one
        self._eose_due: dict[str, float] = {}
        self._ok_due: dict[EventId, float] = {}
        # to distinguish late frames from invented ones
        self._parted: dict[str, float] = {}
        self._overdue: dict[EventId, float] = {}
        self._live = LiveEventAllowance()
        self._notices = 0
        self._last_notice = ""
        self._out: list[bytes] = []
        self._events: list[SessionEvent] = []

    # -- what the caller wants -----------------------------------------------------------------------------------------

    def subscribe(
        self, subscription_id: str, filters: Sequence[Filter], now: float, *, resume: Resume | None = None
    ) -> None:
        """Ask for events, now if connected, and after each reconnect; a second call with the id replaces the filters.

        `resume` is called with `filters` each time the REQ is sent and returns those to send.

        Raises:
            LocalProtocolError: an id or filters that NIP-01 does not allow.
        """
        self._now = now
        messages.encode_req(subscription_id, filters)  # refuse here what could not be sent later
        self._waiting_subscriptions.pop(subscription_id, None)
        subscription = self._subscriptions[subscription_id] = Subscription(tuple(filters), resume)
        if self.is_connected:
            self._ask(subscription_id, subscription)

    def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription. Unknown ids are ignored: the relay may have closed it first."""
        subscription = self._subscriptions.pop(subscription_id, None)
        self._waiting_subscriptions.pop(subscription_id, None)
        self._eose_due.pop(subscription_id, None)
        if subscription is not None and subscription.is_open():
            self._out.append(messages.encode_close(subscription_id))
            self._part(subscription_id)

    def publish(self, event: SignedEvent, now: float) -> None:
        """Send `event`; a `Published` with the outcome follows in every case."""
        self.publish_bytes(event.id, event.to_json(), now)

    def publish_bytes(self, event_id: EventId, event_json: bytes, now: float) -> None:
        """Send an event from its stored bytes, unchanged. An event that still awaits its OK is not sent twice."""
        self._now = now
        if not self.is_connected:
            self._events.append(Published(event_id, Unknown("not connected")))
        elif event_id not in self._publications:
            self._overdue.pop(event_id, None)
            publication = self._publications[event_id] = Publication(messages.encode_event(event_json))
            self._send(event_id, publication)

    def authenticate(self, login: SignedEvent, now: float) -> None:
        """Hand over the signed login that `AuthNeeded` asked for; if the challenge changed meanwhile, it asks again.

        Raises:
            LocalProtocolError: this relay may not know who we are, or `login` is no login to this relay.
        """
        self._now = now
        if not self.may_authenticate:
            raise LocalProtocolError(f"logins to {self.url} are off: set `auth` for this relay in the configuration")
        if not nip42.is_login_to(login, self.url):
            raise LocalProtocolError(f"the event is no kind 22242 login to {self.url}")
        if not self.is_connected or self._login.stage is LoginStage.SENT:
            return
        if nip42.challenge_of(login) != self._login.challenge:
            self._login.drop_stale()
            self._ask_for_login_or_fail(Unknown("the relay's challenge changed too often"))
            return
        self._login.send(login.id)
        self._login_due = now + limits.OK_TIMEOUT
        self._out.append(messages.encode_auth(login))

    def cannot_authenticate(self, reason: str) -> None:
        """Say that `AuthNeeded` will not be answered: requests that wait for the login fail as `AuthRequired`."""
        if self._login.stage is LoginStage.SENT:
            return  # it was answered, and the relay's reply decides
        if self._has_waiting():
            self._login.refuse()
        else:
            self._login.put_off()
        self._fail_waiting(AuthRequired(reason))

    def filters_of(self, subscription_id: str) -> tuple[Filter, ...] | None:
        """The filters last sent for a subscription, against which its events are checked; None for an unknown id."""
        subscription = self._subscriptions.get(subscription_id)
        return None if subscription is None else subscription.sent

    # -- what the pump does --------------------------------------------------------------------------------------------

    def connected(self, now: float) -> None:
        """Note that the socket is open: every subscription is asked for again."""
        self._now = now
        self._reset()
        self.is_connected = True
        for subscription_id, subscription in self._subscriptions.items():
            subscription.was_retried = False
            self._ask(subscription_id, subscription)

    def disconnected(self) -> None:
        """Note that the socket is closed: events on their way have an unknown outcome (they may have arrived)."""
        self.is_connected = False
        for event_id in self._publications:
            self._events.append(Published(event_id, Unknown("the connection was lost before the relay answered")))
        self._reset()
        for subscription in self._subscriptions.values():
            subscription.stage = SubscriptionStage.IDLE

    def receive(self, frame: bytes | str, now: float) -> None:
        """Take one text frame from the relay; bad ones are counted, and the connection goes on."""
        self._now = now
        if not self.is_connected:
            return
        match messages.decode(frame):
            case EventFrame() as message:  # first, since nearly every frame is one
                self._on_event(message)
            case OkFrame() as message:
                self._on_ok(message)
            case EoseFrame(subscription_id):
                self._on_eose(subscription_id)
            case ClosedFrame(subscription_id, text):
                self._on_closed(subscription_id, text)
            case NoticeFrame(text):
                self._on_notice(text)
            case AuthFrame(challenge):
                self._on_challenge(challenge)
            case FrameRejected(flaw):
                self._blame(_VIOLATIONS[flaw])

    def tick(self, now: float) -> None:
        """Handle time-outs; call it at `next_deadline` at the latest."""
        self._now = now
        for subscription_id in pop_due(self._eose_due, now):
            self._miss_eose(subscription_id, self._subscriptions[subscription_id])
        for event_id in pop_due(self._ok_due, now):
            remember(self._overdue, event_id, now)
            self._finish(event_id, Unknown("the relay did not answer in time"))
        if self._login_due is not None and self._login_due <= now:
            self._login.give_up()
            self._fail_waiting(Unknown("the login was not completed in time"))

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, in the caller's monotonic seconds."""
        due = [next(iter(times.values())) for times in (self._eose_due, self._ok_due) if times]
        if self._login_due is not None:
            due.append(self._login_due)
        return min(due, default=None)

    def data_to_send(self) -> list[bytes]:
        """Frames to send as text, in order; each is returned once."""
        frames, self._out = self._out, []
        return frames

    def events_received(self) -> list[SessionEvent]:
        """The events since the last call, in order; each is returned once."""
        events, self._events = self._events, []
        return events

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def _ask(self, subscription_id: str, subscription: Subscription, *, again: bool = False) -> None:
        filters = subscription.start(self._login.successes, again=again)
        subscription.notices_before = self._notices
        self._out.append(messages.encode_req(subscription_id, filters))
        self._eose_due.pop(subscription_id, None)
        self._eose_due[subscription_id] = self._now + limits.EOSE_TIMEOUT

    def _on_event(self, frame: EventFrame) -> None:
        subscription = self._subscriptions.get(frame.subscription_id)
        if subscription is None or not subscription.is_open():
            self._on_stray(frame.subscription_id, Violation.UNKNOWN_SUBSCRIPTION)
            return
        stored = subscription.stage is SubscriptionStage.STORED
        if subscription.take_stored() if stored else self._live.take_event(self._now):
            self._events.append(frame)
        else:
            self._blame(Violation.FLOOD)

    def _on_eose(self, subscription_id: str) -> None:
        subscription = self._subscriptions.get(subscription_id)
        if subscription is None or not subscription.is_open():
            self._on_stray(subscription_id, Violation.STRAY_END)
        elif not subscription.has_ended:
            self.has_answered = subscription.has_ended = True
            if self._login.is_under_way():
                subscription.is_end_held = True  # without a login it may send less: it is asked again afterwards
            else:
                self._end(subscription_id, subscription)

    def _end(self, subscription_id: str, subscription: Subscription) -> None:
        subscription.stage, subscription.is_end_held = SubscriptionStage.LIVE, False
        self._eose_due.pop(subscription_id, None)
        self._events.append(EndOfStored(subscription_id, partial=False))

    def _miss_eose(self, subscription_id: str, subscription: Subscription) -> None:
        """Take a NOTICE instead of an EOSE for a refusal: older relays refuse that way and never send CLOSED."""
        if subscription.has_stored or subscription.notices_before == self._notices:
            subscription.stage = SubscriptionStage.LIVE
            self._events.append(EndOfStored(subscription_id, partial=True))
            return
        subscription.stage = SubscriptionStage.CLOSED
        self._out.append(messages.encode_close(subscription_id))
        self._part(subscription_id)
        words = f"answered by a notice alone: {self._last_notice}"
        self._events.append(SubscriptionClosed(subscription_id, Unknown(words[: limits.MAX_MESSAGE_CHARS])))

    def _on_closed(self, subscription_id: str, text: str) -> None:
        subscription = self._subscriptions.get(subscription_id)
        if subscription is None or not subscription.is_open():
            self._on_stray(subscription_id, Violation.STRAY_END)
            return
        self._eose_due.pop(subscription_id, None)
        self._part(subscription_id)
        verdict = verdicts.of_closed(text)
        if isinstance(verdict, AuthRequired) and self._is_worth_a_login(subscription):
            subscription.stage = SubscriptionStage.WAITING
            self._waiting_subscriptions[subscription_id] = subscription
            self._pursue_login(subscription)
        else:
            subscription.stage = SubscriptionStage.CLOSED
            self._events.append(SubscriptionClosed(subscription_id, verdict))

    def _on_stray(self, subscription_id: str, violation: Violation) -> None:
        if self._parted.get(subscription_id, 0.0) < self._now:
            self._blame(violation)

    def _part(self, subscription_id: str) -> None:
        remember(self._parted, subscription_id, self._now + limits.CLOSE_GRACE)

    # -- publications --------------------------------------------------------------------------------------------------

    def _send(self, event_id: EventId, publication: Publication) -> None:
        publication.logins_before = self._login.successes
        self._out.append(publication.frame)
        self._ok_due[event_id] = self._now + limits.OK_TIMEOUT

    def _on_ok(self, frame: OkFrame) -> None:
        publication = self._publications.get(frame.event_id)
        if publication is None:
            self._on_other_ok(frame)
            return
        self.has_answered = True
        self._ok_due.pop(frame.event_id, None)
        verdict = verdicts.of_ok(frame.accepted, frame.message)
        if isinstance(verdict, AuthRequired) and self._is_worth_a_login(publication):
            self._waiting_publications[frame.event_id] = publication
            self._pursue_login(publication)
        else:
            self._finish(frame.event_id, verdict)

    def _on_other_ok(self, frame: OkFrame) -> None:
        if frame.event_id == self._login.sent_id:
            self._on_login_answer(frame)
        elif self._overdue.pop(frame.event_id, None) is None:
            self._blame(Violation.UNSOLICITED_OK)
        elif isinstance(verdict := verdicts.of_ok(frame.accepted, frame.message), EventAccepted):
            self._events.append(Published(frame.event_id, verdict))  # late, but the caller still wants to know

    def _finish(self, event_id: EventId, verdict: Verdict) -> None:
        del self._publications[event_id]
        self._waiting_publications.pop(event_id, None)
        self._events.append(Published(event_id, verdict))

    # -- login ---------------------------------------------------------------------------------------------------------

    def _is_worth_a_login(self, item: Subscription | Publication) -> bool:
        """Whether a refused request may be sent again after a login: only once, so that no relay makes us loop."""
        if not self.may_authenticate or item.was_retried:
            return False
        return item.logins_before < self._login.successes or self._login.is_hopeful()

    def _pursue_login(self, item: Subscription | Publication) -> None:
        if item.logins_before < self._login.successes:
            self._retry_waiting()  # it was refused before the relay knew us, and by now it does
        elif self._login.may_ask():
            self._ask_for_login()
        elif self._login_due is None:
            self._login_due = self._now + limits.OK_TIMEOUT  # for the challenge to arrive

    def _ask_for_login(self) -> None:
        self._login_due = self._now + limits.AUTH_TIMEOUT
        self._events.append(AuthNeeded(self._login.ask_signature()))

    def _ask_for_login_or_fail(self, verdict: Verdict) -> None:
        if self._login.may_ask() and self._wants_login():
            self._ask_for_login()
        else:
            self._fail_waiting(verdict)

    def _on_challenge(self, challenge: str) -> None:
        self._login.challenge = challenge
        if self._login.may_ask() and self._wants_login():
            self._ask_for_login()

    def _on_login_answer(self, frame: OkFrame) -> None:
        self.has_answered = True
        self._login.answer(frame.accepted)
        if frame.accepted:
            self._events.append(AuthAnswered(EventAccepted(frame.message[: limits.MAX_MESSAGE_CHARS])))
            self._retry_waiting()
            self._ask_as_known()
            return
        verdict = verdicts.of_closed(frame.message)
        self._events.append(AuthAnswered(verdict))
        # the fault is the login's: nothing that waits for it is invalid or blocked because of that
        keeps = isinstance(verdict, RateLimited | Unknown)
        self._ask_for_login_or_fail(verdict if keeps else AuthRequired(verdict.message))

    def _wants_login(self) -> bool:
        """Requests wait for a login, or the relay does not know us and may silently withhold gift wraps (NIP-17)."""
        return self._has_waiting() or (self.may_authenticate and not self._login.successes)

    def _has_waiting(self) -> bool:
        return bool(self._waiting_subscriptions or self._waiting_publications)

    def _ask_as_known(self) -> None:
        """Repeat the requests made before the login, unchanged: withheld events may be older than the last EOSE."""
        for subscription_id, subscription in self._subscriptions.items():
            if subscription.is_open() and subscription.logins_before < self._login.successes:
                self._ask(subscription_id, subscription, again=True)

    def _retry_waiting(self) -> None:
        self._login_due = None
        subscriptions, self._waiting_subscriptions = self._waiting_subscriptions, {}
        for subscription_id, subscription in subscriptions.items():
            subscription.was_retried = True
            self._ask(subscription_id, subscription)
        publications, self._waiting_publications = self._waiting_publications, {}
        for event_id, publication in publications.items():
            publication.was_retried = True
            self._send(event_id, publication)

    def _fail_waiting(self, verdict: Verdict) -> None:
        self._login_due = None
        subscriptions, self._waiting_subscriptions = self._waiting_subscriptions, {}
        for subscription_id, subscription in subscriptions.items():
            subscription.stage = SubscriptionStage.CLOSED
            self._events.append(SubscriptionClosed(subscription_id, verdict))
        for event_id in tuple(self._waiting_publications):
            self._finish(event_id, verdict)
        for subscription_id, subscription in self._subscriptions.items():
            if subscription.is_open() and subscription.is_end_held:
                self._end(subscription_id, subscription)  # without a login no more events will come

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _on_notice(self, text: str) -> None:
        if self._live.take_event(self._now):
            self._notices += 1
            self._last_notice = text[: limits.MAX_MESSAGE_CHARS]
            self._events.append(NoticeFrame(self._last_notice))
        else:
            self._blame(Violation.FLOOD)

    def _blame(self, violation: Violation) -> None:
        self.misbehaviour.add(violation, self._now)

    def _reset(self) -> None:
        """Forget the state of the last connection."""
        self.has_answered = False
        self._login, self._login_due = RelayLogin(), None
        self._live = LiveEventAllowance()
        self._out = []
        self._publications, self._waiting_publications, self._waiting_subscriptions = {}, {}, {}
        self._eose_due, self._ok_due = {}, {}
        self._parted, self._overdue = {}, {}
