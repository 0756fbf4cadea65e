from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from podium_protocol import limits
from podium_protocol.events import EventId, SignedEvent
from podium_protocol.relay.events import AuthNeeded, Published
from podium_protocol.relay.verdicts import EventAccepted, Unknown
from tests.support.talk import EVENT, OTHER, Talk

_words = st.sampled_from(["", "auth-required: x", "error: x", "duplicate: x", "rate-limited: x", "pow: 9", "nonsense"])
_subscriptions = st.sampled_from(["live", "two", "made-up"])
_events = st.sampled_from([EVENT, OTHER])


class Conversation(RuleBasedStateMachine):
    """Whatever a relay sends and a caller does, in any order.

    No exception; each publication has exactly one outcome, except that it may be accepted after a time-out; never two
    logins in flight; no more signatures asked for than the cap.
    """

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk(may_authenticate=True)
        self.talk.subscribe()
        self.open: set[EventId] = set()
        self.timed_out: set[EventId] = set()
        self.asked: list[str] = []
        self.asked_on_connection = 0
        self.waits_on_connection = 0
        self.login_in_flight: object = None

    @rule(event=_events)
    def publish(self, event: SignedEvent) -> None:
        self.open.add(event.id)
        self.timed_out.discard(event.id)
        self.talk.publish(event)

    @rule(subscription=_subscriptions)
    def subscribe(self, subscription: str) -> None:
        self.talk.subscribe(subscription)

    @rule(subscription=_subscriptions)
    def unsubscribe(self, subscription: str) -> None:
        self.talk.session.unsubscribe(subscription)

    @rule(event=_events, accepted=st.booleans(), words=_words)
    def ok(self, event: SignedEvent, accepted: bool, words: str) -> None:
        self.talk.hears("OK", event.id, accepted, words)

    @rule(subscription=_subscriptions, words=_words)
    def closed(self, subscription: str, words: str) -> None:
        self.talk.hears("CLOSED", subscription, words)

    @rule(subscription=_subscriptions)
    def event_then_eose(self, subscription: str) -> None:
        self.talk.hears("EVENT", subscription, {})
        self.talk.hears("EOSE", subscription)

    @rule(challenge=st.sampled_from(["c1", "c2", "c3", "c4"]))
    def challenge(self, challenge: str) -> None:
        self.talk.hears("AUTH", challenge)

    @rule()
    def sign(self) -> None:
        if self.asked:
            self.talk.login(self.asked[-1])

    @rule()
    def refuse_to_sign(self) -> None:
        self.talk.session.cannot_authenticate("no")

    @rule(accepted=st.booleans(), words=_words)
    def login_answered(self, accepted: bool, words: str) -> None:
        if self.login_in_flight is not None:
            self.talk.hears("OK", self.login_in_flight, accepted, words)
            self.login_in_flight = None

    @rule()
    def wait(self) -> None:
        self.talk.later(20)
        self.waits_on_connection += 1
        self.login_in_flight = None

    @rule()
    def reconnect(self) -> None:
        self.talk.reconnects()
        self.login_in_flight, self.asked_on_connection, self.waits_on_connection = None, 0, 0

    @invariant()
    def the_books_are_right(self) -> None:
        for label, first in self.talk.labels():
            if label == "AUTH":
                assert self.login_in_flight is None, "two logins in flight"
                self.login_in_flight = first
        for told in self.talk.told():
            if isinstance(told, Published):
                self.outcome(told)
            if isinstance(told, AuthNeeded):
                self.asked.append(told.challenge)
                self.asked_on_connection += 1
        slow_signatures = self.waits_on_connection * 20 // int(limits.AUTH_TIMEOUT)  # not the relay's doing
        assert self.asked_on_connection <= limits.MAX_AUTH_ATTEMPTS + slow_signatures
        deadline = self.talk.session.next_deadline()
        assert deadline is None or deadline > self.talk.now, "a deadline has passed"

    def outcome(self, told: Published) -> None:
        if told.event_id in self.open:
            self.open.remove(told.event_id)
            if isinstance(told.verdict, Unknown):
                self.timed_out.add(told.event_id)
        else:
            assert told.event_id in self.timed_out, "two outcomes"
            assert isinstance(told.verdict, EventAccepted)
            self.timed_out.remove(told.event_id)

    def teardown(self) -> None:
        self.talk.session.disconnected()
        self.the_books_are_right()
        assert not self.open, "a publication without an outcome"


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
