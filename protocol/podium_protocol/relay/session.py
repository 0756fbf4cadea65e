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
from podium_protocol.relay.events import AuthAnswered, AuthNeeded, Published, SessionEvent
from podium_protocol.relay.exchange import Exchange
from podium_protocol.relay.login import LoginStage, RelayLogin
from podium_protocol.relay.publications import Publication, Publications
from podium_protocol.relay.subscriptions import Resume, Subscription, Subscriptions
from podium_protocol.relay.verdicts import AuthRequired, EventAccepted, RateLimited, Unknown, Verdict, Violation

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
        self.is_connected = False
        self._exchange = Exchange()
        self._subscriptions = Subscriptions(self._exchange)
        self._publications = Publications(self._exchange)
        self._login_due: float | None = None
        self.misbehaviour = self._exchange.misbehaviour

    @property
    def has_answered(self) -> bool:
        """Whether an EOSE or an OK came on this connection: one of the two conditions of `backoff.is_proven`."""
        return self._exchange.has_answered

    # -- what the caller wants -----------------------------------------------------------------------------------------

    def subscribe(
        self, subscription_id: str, filters: Sequence[Filter], now: float, *, resume: Resume | None = None
    ) -> None:
        """Ask for events, now if connected, and after each reconnect; a second call with the id replaces the filters.

        `resume` is called with `filters` each time the REQ is sent and returns those to send.

        Raises:
            LocalProtocolError: an id or filters that NIP-01 does not allow.
        """
        self._exchange.now = now
        messages.encode_req(subscription_id, filters)  # refuse here what could not be sent later
        self._subscriptions.add(subscription_id, tuple(filters), resume)
        if self.is_connected:
            self._subscriptions.ask(subscription_id)

    def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription. Unknown ids are ignored: the relay may have closed it first."""
        self._subscriptions.remove(subscription_id)

    def publish(self, event: SignedEvent, now: float) -> None:
        """Send `event`; a `Published` with the outcome follows in every case."""
        self.publish_bytes(event.id, event.to_json(), now)

    def publish_bytes(self, event_id: EventId, event_json: bytes, now: float) -> None:
        """Send an event from its stored bytes, unchanged. An event that still awaits its OK is not sent twice."""
        self._exchange.now = now
        if not self.is_connected:
            self._exchange.events.append(Published(event_id, Unknown("not connected")))
        else:
            self._publications.add(event_id, event_json)

    def authenticate(self, login: SignedEvent, now: float) -> None:
        """Hand over the signed login that `AuthNeeded` asked for; if the challenge changed meanwhile, it asks again.

        Raises:
            LocalProtocolError: this relay may not know who we are, or `login` is no login to this relay.
        """
        self._exchange.now = now
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
        self._exchange.frames.append(messages.encode_auth(login))

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
        return self._subscriptions.filters_of(subscription_id)

    # -- what the pump does --------------------------------------------------------------------------------------------

    def connected(self, now: float) -> None:
        """Note that the socket is open: every subscription is asked for again."""
        self._exchange.now = now
        self._reset()
        self.is_connected = True
        self._subscriptions.ask_all()

    def disconnected(self) -> None:
        """Note that the socket is closed: events on their way have an unknown outcome (they may have arrived)."""
        self.is_connected = False
        self._publications.on_disconnected()
        self._reset()
        self._subscriptions.on_disconnected()

    def receive(self, frame: bytes | str, now: float) -> None:
        """Take one text frame from the relay; bad ones are counted, and the connection goes on."""
        self._exchange.now = now
        if not self.is_connected:
            return
        match messages.decode(frame):
            case EventFrame() as message:  # first, since nearly every frame is one
                self._subscriptions.on_event(message)
            case OkFrame() as message:
                self._on_ok(message)
            case EoseFrame(subscription_id):
                self._subscriptions.on_eose(subscription_id)
            case ClosedFrame(subscription_id, text):
                self._on_closed(subscription_id, text)
            case NoticeFrame(text):
                self._subscriptions.on_notice(text)
            case AuthFrame(challenge):
                self._on_challenge(challenge)
            case FrameRejected(flaw):
                self._exchange.blame(_VIOLATIONS[flaw])

    def tick(self, now: float) -> None:
        """Handle time-outs; call it at `next_deadline` at the latest."""
        self._exchange.now = now
        self._subscriptions.tick()
        self._publications.tick()
        if self._login_due is not None and self._login_due <= now:
            self._login.give_up()
            self._fail_waiting(Unknown("the login was not completed in time"))

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, in the caller's monotonic seconds."""
        due = (self._subscriptions.next_deadline(), self._publications.next_deadline(), self._login_due)
        return min((one for one in due if one is not None), default=None)

    def data_to_send(self) -> list[bytes]:
        """Frames to send as text, in order; each is returned once."""
        frames, self._exchange.frames = self._exchange.frames, []
        return frames

    def events_received(self) -> list[SessionEvent]:
        """The events since the last call, in order; each is returned once."""
        events, self._exchange.events = self._exchange.events, []
        return events

    # -- refusals and answers ------------------------------------------------------------------------------------------

    def _on_closed(self, subscription_id: str, text: str) -> None:
        if (subscription := self._subscriptions.on_closed(subscription_id)) is None:
            return
        verdict = verdicts.of_closed(text)
        if isinstance(verdict, AuthRequired) and self._is_worth_a_login(subscription):
            self._subscriptions.wait(subscription_id, subscription)
            self._pursue_login(subscription)
        else:
            self._subscriptions.close(subscription_id, subscription, verdict)

    def _on_ok(self, frame: OkFrame) -> None:
        if (publication := self._publications.on_ok(frame.event_id)) is None:
            if frame.event_id == self._login.sent_id:
                self._on_login_answer(frame)
            else:
                self._publications.on_other_ok(frame)
            return
        verdict = verdicts.of_ok(frame.accepted, frame.message)
        if isinstance(verdict, AuthRequired) and self._is_worth_a_login(publication):
            self._publications.wait(frame.event_id, publication)
            self._pursue_login(publication)
        else:
            self._publications.finish(frame.event_id, verdict)

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
            self._login_due = self._exchange.now + limits.OK_TIMEOUT  # for the challenge to arrive

    def _ask_for_login(self) -> None:
        self._login_due = self._exchange.now + limits.AUTH_TIMEOUT
        self._exchange.events.append(AuthNeeded(self._login.ask_signature()))

    def _ask_for_login_or_fail(self, verdict: Verdict) -> None:
        if self._login.may_ask() and self._wants_login():
            self._ask_for_login()
        else:
            self._fail_waiting(verdict)

    def _on_challenge(self, challenge: str) -> None:
        if self._login.challenge is not None and not self._exchange.take_idle():
            return
        self._login.challenge = challenge
        if self._login.may_ask() and self._wants_login():
            self._ask_for_login()

    def _on_login_answer(self, frame: OkFrame) -> None:
        self._exchange.has_answered = True
        self._login.answer(frame.accepted)
        if frame.accepted:
            self._exchange.events.append(AuthAnswered(EventAccepted(frame.message[: limits.MAX_MESSAGE_CHARS])))
            self._retry_waiting()
            self._subscriptions.ask_as_known()
            return
        verdict = verdicts.of_closed(frame.message)
        self._exchange.events.append(AuthAnswered(verdict))
        # the fault is the login's: nothing that waits for it is invalid or blocked because of that
        keeps = isinstance(verdict, RateLimited | Unknown)
        self._ask_for_login_or_fail(verdict if keeps else AuthRequired(verdict.message))

    def _wants_login(self) -> bool:
        """Requests wait for a login, or the relay does not know us and may silently withhold gift wraps (NIP-17)."""
        return self._has_waiting() or (self.may_authenticate and not self._login.successes)

    def _has_waiting(self) -> bool:
        return self._subscriptions.has_waiting or self._publications.has_waiting

    def _retry_waiting(self) -> None:
        self._login_due = None
        self._subscriptions.retry_waiting()
        self._publications.retry_waiting()

    def _fail_waiting(self, verdict: Verdict) -> None:
        self._login_due = None
        self._subscriptions.fail_waiting(verdict)
        self._publications.fail_waiting(verdict)
        self._subscriptions.release_ends()

    # -- the rest ------------------------------------------------------------------------------------------------------

    @property
    def _login(self) -> RelayLogin:
        return self._exchange.login

    def _reset(self) -> None:
        """Forget the state of the last connection."""
        self._login_due = None
        self._exchange.reset()
        self._subscriptions.reset()
        self._publications.reset()
