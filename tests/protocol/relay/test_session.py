from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from podium_protocol import filters, limits
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId
from podium_protocol.filters import Filter
from podium_protocol.messages import EventFrame, NoticeFrame
from podium_protocol.nips import nip42
from podium_protocol.relay.events import (
    AuthAnswered,
    AuthNeeded,
    EndOfStored,
    Published,
    SubscriptionClosed,
)
from podium_protocol.relay.verdicts import (
    AuthRequired,
    BlockedByRelay,
    EventAccepted,
    Invalid,
    RateLimited,
    Restricted,
    Unknown,
    Violation,
)
from tests.support.events import NOW, key_of, signed
from tests.support.talk import EVENT, KEY, LIVE, OTHER, URL, Talk


def req(subscription_id: str = "live", *wanted: Filter) -> list[object]:
    return ["REQ", subscription_id, *(msgspec.to_builtins(one.to_json_object()) for one in wanted or (LIVE,))]


def as_json(frames: Sequence[object]) -> object:
    return msgspec.json.decode(msgspec.json.encode(frames))


# -- subscriptions -----------------------------------------------------------------------------------------------------


def test_a_subscription_is_asked_for_when_connected() -> None:
    """A REQ leaves at once, and only once."""
    talk = Talk()
    talk.subscribe()
    assert talk.sent() == as_json([req()])
    assert talk.sent() == []


def test_a_subscription_made_before_the_connection_waits_for_it() -> None:
    """Nothing leaves while unconnected; the REQ leaves with the connection."""
    talk = Talk(connect=False)
    talk.subscribe()
    assert talk.sent() == []
    talk.session.connected(talk.now)
    assert talk.sent() == as_json([req()])


def test_every_subscription_is_asked_for_again_after_a_reconnect() -> None:
    """In the order they were made, whatever their state was, and not those that were ended."""
    talk = Talk()
    for name in ("one", "two", "three", "four"):
        talk.subscribe(name)
    talk.hears("EOSE", "one")
    talk.hears("CLOSED", "two", "error: shutting down")
    talk.session.unsubscribe("three")
    talk.sent()
    talk.reconnects()
    assert talk.labels() == [("REQ", "one"), ("REQ", "two"), ("REQ", "four")]


def test_an_event_is_handed_on_unparsed() -> None:
    """The caller gets the subscription's id and the raw JSON."""
    talk = Talk()
    talk.subscribe()
    talk.session.receive(b'["EVENT","live",' + EVENT.to_json() + b"]", talk.now)
    (told,) = talk.told()
    assert isinstance(told, EventFrame)
    assert (told.subscription_id, bytes(told.raw)) == ("live", EVENT.to_json())


def test_eose_ends_the_stored_events() -> None:
    """The caller is told once; a second EOSE says nothing new."""
    talk = Talk()
    talk.subscribe()
    talk.hears("EOSE", "live")
    talk.hears("EOSE", "live")
    assert talk.told() == [EndOfStored("live", partial=False)]
    talk.later(60)
    assert talk.told() == []


def test_each_connection_has_its_own_end_of_stored_events() -> None:
    """The backfill after a reconnect ends with an EOSE of its own."""
    talk = Talk()
    talk.subscribe()
    talk.hears("EOSE", "live")
    talk.reconnects()
    talk.hears("EOSE", "live")
    assert talk.told() == [EndOfStored("live", partial=False)] * 2


def test_without_eose_in_ten_seconds_the_answer_is_partial() -> None:
    """The deadline is announced, events are still taken afterwards, and a late EOSE is told."""
    talk = Talk()
    talk.subscribe()
    assert talk.session.next_deadline() == talk.now + 10
    talk.later(9.9)
    assert talk.told() == []
    talk.later(0.1)
    assert talk.told() == [EndOfStored("live", partial=True)]
    assert talk.session.next_deadline() is None
    talk.hears("EVENT", "live", {})
    talk.hears("EOSE", "live")
    assert [type(event) for event in talk.told()] == [EventFrame, EndOfStored]


def test_the_caller_moves_since_when_it_is_asked_again() -> None:
    """The resume callback gives the filters to send; they are the ones events are held against."""
    talk = Talk()
    last_eose: list[int | None] = [None]
    talk.session.subscribe("live", [LIVE], talk.now, resume=lambda wanted: filters.backfill(wanted, last_eose[0]))
    assert talk.sent() == as_json([req()])
    last_eose[0] = NOW
    talk.reconnects()
    moved = Filter(kinds=LIVE.kinds, since=NOW - 3600)
    assert talk.sent() == as_json([req("live", moved)])
    assert talk.session.filters_of("live") == (moved,)
    assert talk.session.filters_of("other") is None


def test_subscribing_again_under_the_same_id_replaces_the_filters() -> None:
    """NIP-01: a new REQ with the same id takes the place of the old one, also after a reconnect."""
    talk = Talk()
    talk.subscribe("live", Filter(kinds=(1,)))
    talk.subscribe("live", Filter(kinds=(2,)))
    talk.sent()
    talk.reconnects()
    assert talk.sent() == as_json([req("live", Filter(kinds=(2,)))])


def test_unsubscribing_closes() -> None:
    """A CLOSE leaves, the deadline goes, and an unknown id is no error."""
    talk = Talk()
    talk.subscribe()
    talk.sent()
    talk.session.unsubscribe("live")
    talk.session.unsubscribe("live")
    assert talk.sent() == [["CLOSE", "live"]]
    assert talk.session.next_deadline() is None


def test_frames_in_flight_after_a_close_are_no_fault() -> None:
    """They are dropped; only after a minute does the relay have no excuse."""
    talk = Talk()
    talk.subscribe()
    talk.session.unsubscribe("live")
    talk.hears("EVENT", "live", {})
    talk.hears("EOSE", "live")
    talk.hears("CLOSED", "live", "")
    assert (talk.told(), talk.faults()) == ([], {})
    talk.later(61)
    talk.hears("EVENT", "live", {})
    assert (talk.told(), talk.faults()) == ([], {Violation.UNKNOWN_SUBSCRIPTION: 1})


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (("EVENT", "made-up", {}), Violation.UNKNOWN_SUBSCRIPTION),
        (("EOSE", "made-up"), Violation.STRAY_END),
        (("CLOSED", "made-up", "error: x"), Violation.STRAY_END),
    ],
)
def test_frames_for_an_unknown_subscription_are_dropped_and_counted(
    frame: tuple[object, ...], fault: Violation
) -> None:
    """A relay cannot push what was not asked for."""
    talk = Talk()
    talk.hears(*frame)
    assert (talk.told(), talk.faults()) == ([], {fault: 1})


def test_a_closed_subscription_is_told_with_the_verdict() -> None:
    """It is not asked for again on this connection; events behind it are dropped."""
    talk = Talk()
    talk.subscribe()
    talk.sent()
    talk.hears("CLOSED", "live", "rate-limited: slow down")
    talk.hears("EVENT", "live", {})
    assert talk.told() == [SubscriptionClosed("live", RateLimited("rate-limited: slow down"))]
    assert (talk.sent(), talk.faults(), talk.session.next_deadline()) == ([], {}, None)


def test_a_closed_subscription_can_be_asked_for_again_by_the_caller() -> None:
    """After its own pause; the relay's events count again."""
    talk = Talk()
    talk.subscribe()
    talk.hears("CLOSED", "live", "error: x")
    talk.sent()
    talk.subscribe()
    talk.hears("EVENT", "live", {})
    assert talk.sent() == as_json([req()])
    assert isinstance(talk.told()[-1], EventFrame)


# -- publications ------------------------------------------------------------------------------------------------------


def test_a_publication_leaves_and_its_ok_is_told() -> None:
    """The event's own bytes, then the verdict."""
    talk = Talk()
    talk.publish()
    assert talk.session.data_to_send() == [b'["EVENT",' + EVENT.to_json() + b"]"]
    talk.hears("OK", EVENT.id, True, "")
    assert talk.told() == [Published(EVENT.id, EventAccepted())]
    assert talk.session.next_deadline() is None


@pytest.mark.parametrize("accepted", [True, False])
def test_a_duplicate_is_done(accepted: bool) -> None:
    """`duplicate:` means that the relay has it, whatever the boolean says."""
    talk = Talk()
    talk.publish()
    talk.hears("OK", EVENT.id, accepted, "duplicate: have it")
    assert talk.told() == [Published(EVENT.id, EventAccepted("duplicate: have it"))]


def test_stored_bytes_are_published_unchanged() -> None:
    """A retry from the outbox is byte for byte the event that was signed."""
    talk = Talk()
    stored = EVENT.to_json().replace(b'","', b'", "')
    talk.session.publish_bytes(EVENT.id, stored, talk.now)
    assert talk.session.data_to_send() == [b'["EVENT",' + stored + b"]"]


def test_without_ok_in_twenty_seconds_the_outcome_is_unknown() -> None:
    """The deadline is announced; the event may be published again afterwards."""
    talk = Talk()
    talk.publish()
    assert talk.session.next_deadline() == talk.now + 20
    talk.later(20)
    (told,) = talk.told()
    assert isinstance(told, Published)
    assert isinstance(told.verdict, Unknown)
    talk.sent()
    talk.publish()
    assert talk.labels() == [("EVENT", EVENT.id)]


def test_a_late_ok_is_told_once() -> None:
    """After a time-out a true OK still says that the event arrived; it is no fault, the next one is."""
    talk = Talk()
    talk.publish()
    talk.later(20)
    talk.told()
    talk.hears("OK", EVENT.id, True, "")
    assert talk.told() == [Published(EVENT.id, EventAccepted())]
    assert talk.faults() == {}
    talk.hears("OK", EVENT.id, True, "")
    assert (talk.told(), talk.faults()) == ([], {Violation.UNSOLICITED_OK: 1})


def test_a_retry_has_one_outcome() -> None:
    """The OK that came late for the first attempt answers the second; one more is a fault."""
    talk = Talk()
    talk.publish()
    talk.later(20)
    talk.publish()
    talk.told()
    talk.hears("OK", EVENT.id, True, "")
    talk.hears("OK", EVENT.id, True, "")
    assert talk.told() == [Published(EVENT.id, EventAccepted())]
    assert talk.faults() == {Violation.UNSOLICITED_OK: 1}


def test_a_late_refusal_is_ignored() -> None:
    """The retry gets an answer of its own."""
    talk = Talk()
    talk.publish()
    talk.later(20)
    talk.told()
    talk.hears("OK", EVENT.id, False, "auth-required: who")
    assert (talk.told(), talk.faults()) == ([], {})


def test_what_is_on_its_way_is_not_sent_twice() -> None:
    """Publishing the same event again before the OK changes nothing."""
    talk = Talk()
    talk.publish()
    talk.publish()
    assert talk.labels() == [("EVENT", EVENT.id)]


def test_a_lost_connection_leaves_publications_unknown() -> None:
    """They may have arrived: the caller is told, and nothing is sent again by itself."""
    talk = Talk()
    talk.publish()
    talk.publish(OTHER)
    talk.hears("OK", OTHER.id, True, "")
    talk.told()
    talk.session.disconnected()
    (told,) = talk.told()
    assert isinstance(told, Published)
    assert (told.event_id, type(told.verdict)) == (EVENT.id, Unknown)
    talk.session.connected(talk.now)
    assert talk.sent() == []


def test_what_was_queued_is_not_sent_on_the_next_connection() -> None:
    """Its outcome was told as unknown, so the caller decides."""
    talk = Talk()
    talk.publish()
    talk.reconnects()
    assert talk.sent() == []


def test_publishing_unconnected_has_an_unknown_outcome() -> None:
    """The caller gets an answer in every case."""
    talk = Talk(connect=False)
    talk.publish()
    assert talk.told() == [Published(EVENT.id, Unknown("not connected"))]
    assert talk.sent() == []


def test_an_ok_nobody_asked_for_is_counted() -> None:
    """It changes nothing."""
    talk = Talk()
    talk.hears("OK", EVENT.id, True, "")
    assert (talk.told(), talk.faults()) == ([], {Violation.UNSOLICITED_OK: 1})


def test_deadlines_come_in_order() -> None:
    """The earliest of all is announced, and each time-out happens at its own time."""
    talk = Talk()
    talk.publish(EVENT)
    talk.later(15)
    talk.publish(OTHER)
    talk.subscribe()
    assert talk.session.next_deadline() == 1020.0
    talk.later(5)
    assert [event.event_id for event in talk.told() if isinstance(event, Published)] == [EVENT.id]
    assert talk.session.next_deadline() == 1025.0
    talk.later(5)
    assert talk.told() == [EndOfStored("live", partial=True)]
    assert talk.session.next_deadline() == 1035.0


# -- logins ------------------------------------------------------------------------------------------------------------


def test_a_challenge_is_answered_as_soon_as_it_comes_and_everything_is_asked_again() -> None:
    """A relay may keep from strangers what is ours without a word, so nothing waits for a refusal."""
    talk = Talk(may_authenticate=True)
    talk.subscribe()
    talk.hears("AUTH", "c1")
    assert talk.told() == [AuthNeeded("c1")]
    talk.sent()
    login = talk.login("c1")
    assert talk.labels() == [("AUTH", login.id)]
    talk.hears("OK", login.id, True, "")
    assert talk.sent() == as_json([req()])
    talk.hears("EOSE", "live")
    assert talk.told() == [AuthAnswered(EventAccepted()), EndOfStored("live", partial=False)]


def test_without_leave_to_log_in_a_challenge_is_only_noted() -> None:
    """`auth = false`: the relay may ask as often as it likes."""
    talk = Talk()
    talk.subscribe()
    talk.hears("AUTH", "c1")
    assert talk.told() == []
    assert talk.labels() == [("REQ", "live")]


def test_after_the_first_login_a_challenge_alone_asks_for_no_other() -> None:
    """Else a relay that likes to challenge would have us sign, and ask for everything, again and again."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.hears("OK", talk.login("c1").id, True, "")
    talk.told()
    talk.hears("AUTH", "c2")
    assert talk.told() == []


def test_the_end_of_what_strangers_are_told_is_not_the_end() -> None:
    """While the login is under way an EOSE is held back: what follows the login is the whole answer."""
    talk = Talk(may_authenticate=True)
    talk.subscribe()
    talk.hears("AUTH", "c1")
    talk.hears("EOSE", "live")
    assert talk.told() == [AuthNeeded("c1")]
    talk.hears("OK", talk.login("c1").id, True, "")
    assert talk.told() == [AuthAnswered(EventAccepted())]
    talk.hears("EOSE", "live")
    assert talk.told() == [EndOfStored("live", partial=False)]


@pytest.mark.parametrize("how", ["refused", "cannot be signed", "not answered"])
def test_without_a_login_what_strangers_are_told_is_all(how: str) -> None:
    """The held back EOSE is told once nothing comes of the login."""
    talk = Talk(may_authenticate=True)
    talk.subscribe()
    talk.hears("AUTH", "c1")
    talk.hears("EOSE", "live")
    talk.told()
    if how == "refused":
        talk.hears("OK", talk.login("c1").id, False, "restricted: no")
    elif how == "cannot be signed":
        talk.session.cannot_authenticate("the signer is away")
    else:
        talk.login("c1")
        talk.later(limits.EOSE_TIMEOUT)
        assert talk.told() == [EndOfStored("live", partial=True)]
        talk.later(limits.OK_TIMEOUT)
    assert talk.told()[-1] == EndOfStored("live", partial=False)


def test_after_a_login_the_same_past_is_asked_for_as_before_it() -> None:
    """What was withheld lies before the EOSE that came first, where a fresh backfill would not look."""
    talk, marks = Talk(may_authenticate=True), iter([100, 5_000])
    talk.session.subscribe("live", (LIVE,), talk.now, resume=lambda asked: filters.backfill(asked, next(marks)))
    talk.hears("EOSE", "live")
    (before,) = talk.sent()
    talk.hears("AUTH", "c1")
    login = talk.login("c1")
    talk.sent()
    talk.hears("OK", login.id, True, "")
    assert talk.sent() == [before]


def test_a_signer_that_was_away_at_the_challenge_is_asked_again_at_a_refusal() -> None:
    """Nothing waited for the first login, so nothing was lost with it."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.session.cannot_authenticate("the signer is away")
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: who")
    assert talk.told() == [AuthNeeded("c1"), AuthNeeded("c1")]


def test_a_refused_subscription_is_asked_for_once_more_after_a_login() -> None:
    """CLOSED auth-required, AUTH with the challenge, OK, REQ again."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.subscribe()
    talk.hears("CLOSED", "live", "auth-required: who are you")
    assert talk.told() == [AuthNeeded("c1")]
    talk.sent()
    login = talk.login("c1")
    assert talk.labels() == [("AUTH", login.id)]
    talk.hears("OK", login.id, True, "")
    assert talk.told() == [AuthAnswered(EventAccepted())]
    assert talk.sent() == as_json([req()])
    talk.hears("EOSE", "live")
    assert talk.told() == [EndOfStored("live", partial=False)]


def test_a_refused_publication_is_sent_once_more_after_a_login() -> None:
    """OK auth-required, AUTH, OK, the same EVENT again, and then its outcome."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.publish()
    (first,) = talk.session.data_to_send()
    talk.hears("OK", EVENT.id, False, "auth-required: who")
    assert talk.told() == [AuthNeeded("c1")]
    login = talk.login("c1")
    talk.session.data_to_send()
    talk.hears("OK", login.id, True, "")
    assert talk.session.data_to_send() == [first]
    talk.hears("OK", EVENT.id, True, "")
    assert talk.told() == [AuthAnswered(EventAccepted()), Published(EVENT.id, EventAccepted())]


def test_one_login_serves_all_that_wait() -> None:
    """Only one AUTH is in flight, whatever else is refused meanwhile."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.subscribe("one")
    talk.subscribe("two")
    talk.publish()
    talk.publish(OTHER)
    talk.hears("CLOSED", "one", "auth-required: x")
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    assert talk.told() == [AuthNeeded("c1")]
    login = talk.login("c1")
    talk.sent()
    talk.hears("CLOSED", "two", "auth-required: x")
    talk.hears("OK", login.id, True, "")
    talk.hears("OK", OTHER.id, False, "auth-required: x")
    assert talk.told() == [AuthAnswered(EventAccepted())]
    assert talk.labels() == [("REQ", "one"), ("REQ", "two"), ("EVENT", EVENT.id), ("EVENT", OTHER.id)]


def test_a_second_refusal_after_the_login_is_final() -> None:
    """No loop: what was sent again after a login is not sent a third time."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.subscribe()
    talk.publish()
    talk.hears("CLOSED", "live", "auth-required: x")
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    login = talk.login("c1")
    talk.hears("OK", login.id, True, "")
    talk.told()
    talk.sent()
    talk.hears("AUTH", "c2")
    talk.hears("CLOSED", "live", "auth-required: x")
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    assert talk.told() == [
        SubscriptionClosed("live", AuthRequired("auth-required: x")),
        Published(EVENT.id, AuthRequired("auth-required: x")),
    ]
    assert talk.sent() == []


def test_restricted_after_a_login_is_final() -> None:
    """The relay knows who asks and refuses."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    talk.hears("OK", talk.login("c1").id, True, "")
    talk.hears("OK", EVENT.id, False, "restricted: not on the list")
    assert talk.told()[-1] == Published(EVENT.id, Restricted("restricted: not on the list"))


def test_a_relay_that_always_asks_again_gets_three_logins() -> None:
    """Endless challenges and refusals do not have the caller sign for ever."""
    talk = Talk(may_authenticate=True)
    asked = 0
    for number in range(10):
        talk.hears("AUTH", f"c{number}")
        event = signed(KEY, content=str(number))
        talk.publish(event)
        talk.hears("OK", event.id, False, "auth-required: again")
        if AuthNeeded(f"c{number}") in talk.told():
            asked += 1
            talk.hears("OK", talk.login(f"c{number}").id, True, "")
            talk.hears("OK", event.id, False, "auth-required: again")
        assert talk.session.next_deadline() is None
    assert asked == limits.MAX_AUTH_ATTEMPTS


def test_a_relay_that_may_not_know_us_gets_no_login() -> None:
    """Without the permission of the configuration, auth-required is final and nobody is asked to sign."""
    talk = Talk()
    talk.hears("AUTH", "c1")
    talk.subscribe()
    talk.publish()
    talk.hears("CLOSED", "live", "auth-required: x")
    talk.hears("OK", EVENT.id, False, "auth-required: y")
    assert talk.told() == [
        SubscriptionClosed("live", AuthRequired("auth-required: x")),
        Published(EVENT.id, AuthRequired("auth-required: y")),
    ]
    talk.sent()
    with pytest.raises(LocalProtocolError, match="are off"):
        talk.login("c1")
    assert talk.sent() == []


def test_the_challenge_may_come_after_the_refusal() -> None:
    """NIP-42 leaves the order open."""
    talk = Talk(may_authenticate=True)
    talk.subscribe()
    talk.hears("CLOSED", "live", "auth-required: x")
    assert talk.told() == []
    talk.hears("AUTH", "c1")
    assert talk.told() == [AuthNeeded("c1")]


def test_a_challenge_that_never_comes_leaves_the_outcome_unknown() -> None:
    """After 20 s what waits is given back to the caller."""
    talk = Talk(may_authenticate=True)
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    assert talk.session.next_deadline() == talk.now + 20
    talk.later(20)
    (told,) = talk.told()
    assert isinstance(told, Published)
    assert isinstance(told.verdict, Unknown)


def test_the_newest_challenge_is_the_one_that_counts() -> None:
    """A signature over an older one is not sent; the caller is asked for the newest."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.subscribe()
    talk.hears("CLOSED", "live", "auth-required: x")
    talk.hears("AUTH", "c2")
    talk.told()
    talk.sent()
    talk.login("c1")
    assert talk.told() == [AuthNeeded("c2")]
    assert talk.sent() == []
    login = talk.login("c2")
    assert talk.labels() == [("AUTH", login.id)]


def test_a_relay_that_changes_its_challenge_for_ever_is_given_up() -> None:
    """Asking for signatures over moving challenges ends after three."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c0")
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    for number in range(3):
        assert talk.told() == [AuthNeeded(f"c{number}")]
        talk.hears("AUTH", f"c{number + 1}")
        talk.login(f"c{number}")
    (told,) = talk.told()
    assert isinstance(told, Published)
    assert isinstance(told.verdict, Unknown)


def test_a_refused_login_ends_what_waits_for_it() -> None:
    """The fault is the login's: the event is not invalid because the login was."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.subscribe()
    talk.publish()
    talk.hears("CLOSED", "live", "auth-required: x")
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    talk.told()
    talk.hears("OK", talk.login("c1").id, False, "invalid: created_at too old")
    words = "invalid: created_at too old"
    assert talk.told() == [
        AuthAnswered(Invalid(True, words)),
        SubscriptionClosed("live", AuthRequired(words)),
        Published(EVENT.id, AuthRequired(words)),
    ]


def test_a_refused_login_is_tried_again_if_the_challenge_changed_meanwhile() -> None:
    """The relay sent a new challenge while the old one was being signed."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    login = talk.login("c1")
    talk.hears("AUTH", "c2")
    talk.told()
    talk.hears("OK", login.id, False, "auth-required: wrong challenge")
    assert talk.told()[-1] == AuthNeeded("c2")


def test_a_login_that_is_not_answered_leaves_the_outcome_unknown() -> None:
    """After 20 s; an answer that comes later still counts for what follows."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    login = talk.login("c1")
    talk.told()
    talk.later(20)
    assert [type(event.verdict) for event in talk.told() if isinstance(event, Published)] == [Unknown]
    talk.hears("OK", login.id, True, "")
    assert talk.told() == [AuthAnswered(EventAccepted())]
    assert talk.faults() == {}


def test_a_slow_signer_does_not_use_up_the_attempts() -> None:
    """A person may take minutes to approve; the same challenge is asked for again with the next refusal."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    for _ in range(5):
        talk.publish()
        talk.hears("OK", EVENT.id, False, "auth-required: x")
        assert talk.told() == [AuthNeeded("c1")]
        talk.later(limits.AUTH_TIMEOUT)
        assert [type(event.verdict) for event in talk.told() if isinstance(event, Published)] == [Unknown]


def test_a_login_that_cannot_be_signed_ends_what_waits_for_it() -> None:
    """The caller's reason is the verdict's message, and later refusals are final at once."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    talk.told()
    talk.session.cannot_authenticate("the signer refused")
    assert talk.told() == [Published(EVENT.id, AuthRequired("the signer refused"))]
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    assert talk.told() == [Published(EVENT.id, AuthRequired("auth-required: x"))]


def test_a_login_that_has_left_cannot_be_taken_back() -> None:
    """The relay's answer decides, and no second login leaves before it."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.publish()
    talk.hears("OK", EVENT.id, False, "auth-required: x")
    login = talk.login("c1")
    talk.session.cannot_authenticate("too late")
    talk.login("c1")
    assert talk.labels() == [("EVENT", EVENT.id), ("AUTH", login.id)]
    talk.hears("OK", login.id, True, "")
    assert talk.labels() == [("EVENT", EVENT.id)]


@pytest.mark.parametrize("url", ["wss://relay.example.com.evil.example", "wss://other.example"])
def test_a_login_to_another_relay_is_never_sent(url: str) -> None:
    """Else this relay could use it there."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    login = KEY.sign(nip42.write_auth(KEY.pubkey, url, "c1", NOW), bytes(32))
    with pytest.raises(LocalProtocolError, match="no kind 22242 login"):
        talk.session.authenticate(login, talk.now)
    assert talk.sent() == []


def test_a_login_of_another_kind_is_never_sent() -> None:
    """An AUTH holds a kind 22242 and nothing else."""
    talk = Talk(may_authenticate=True)
    with pytest.raises(LocalProtocolError, match="no kind 22242 login"):
        talk.session.authenticate(signed(KEY, tags=(("relay", URL), ("challenge", "c1"))), talk.now)


def test_a_new_connection_needs_a_new_login() -> None:
    """Neither the challenge nor the login outlives the connection, and each connection may ask once more."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.subscribe()
    talk.hears("CLOSED", "live", "auth-required: x")
    talk.hears("OK", talk.login("c1").id, True, "")
    talk.told()
    talk.reconnects()
    talk.hears("CLOSED", "live", "auth-required: x")
    assert talk.told() == []
    talk.hears("AUTH", "c2")
    assert talk.told() == [AuthNeeded("c2")]
    talk.sent()
    talk.session.disconnected()
    talk.login("c2")
    assert talk.sent() == []


def test_unsubscribing_takes_back_what_waits_for_a_login() -> None:
    """It is not asked for after the login."""
    talk = Talk(may_authenticate=True)
    talk.hears("AUTH", "c1")
    talk.subscribe()
    talk.hears("CLOSED", "live", "auth-required: x")
    talk.session.unsubscribe("live")
    talk.hears("OK", talk.login("c1").id, True, "")
    assert ("REQ", "live") not in talk.labels()[1:]


# -- refusals by NOTICE ------------------------------------------------------------------------------------------------


def test_a_req_that_only_a_notice_answers_is_refused_with_its_words() -> None:
    """Older relays refuse so: it is closed on both sides, and may be asked again."""
    talk = Talk()
    talk.subscribe()
    talk.session.data_to_send()
    talk.hears("NOTICE", "too many subscriptions")
    assert talk.told() == [NoticeFrame("too many subscriptions")]
    talk.later(limits.EOSE_TIMEOUT)
    assert talk.told() == [SubscriptionClosed("live", Unknown("answered by a notice alone: too many subscriptions"))]
    assert talk.session.data_to_send() == [b'["CLOSE","live"]']
    talk.hears("EOSE", "live")
    assert (talk.told(), talk.faults()) == ([], {})
    talk.subscribe()
    talk.hears("EOSE", "live")
    assert talk.told() == [EndOfStored("live", partial=False)]


def test_a_notice_before_the_req_or_beside_stored_events_refuses_nothing() -> None:
    """Then the relay is merely slow, and the answer is partial."""
    talk = Talk()
    talk.hears("NOTICE", "welcome")
    talk.subscribe()
    talk.subscribe("busy")
    talk.hears("EVENT", "busy", {})
    talk.told()
    talk.later(limits.EOSE_TIMEOUT - 1)
    talk.subscribe("late")
    talk.later(1)
    assert talk.told() == [EndOfStored("live", partial=True), EndOfStored("busy", partial=True)]
    talk.hears("NOTICE", "no more")
    talk.hears("EOSE", "late")
    talk.later(limits.EOSE_TIMEOUT)
    assert talk.told() == [NoticeFrame("no more"), EndOfStored("late", partial=False)]


# -- hostile relays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (b"not json", Violation.BAD_FRAME),
        (b"[" * 200_000, Violation.BAD_FRAME),
        (b'["OK",5]', Violation.MALFORMED),
        (b"", Violation.MALFORMED),
        (b"{}", Violation.BAD_FRAME),
        (b'["COUNT","live",{"count":1}]', Violation.UNKNOWN_LABEL),
        (b'["NOTICE","' + b"x" * 600_000 + b'"]', Violation.OVERSIZED_FRAME),
    ],
)
def test_a_bad_frame_is_counted_and_the_conversation_goes_on(frame: bytes, fault: Violation) -> None:
    """One bad message never ends a connection."""
    talk = Talk()
    talk.subscribe()
    talk.session.receive(frame, talk.now)
    talk.hears("EOSE", "live")
    assert talk.told() == [EndOfStored("live", partial=False)]
    assert talk.faults() == {fault: 1}


def test_an_ok_without_words_settles_the_publication_and_is_no_fault() -> None:
    """A relay that leaves out the last element of its OKs is as good as any other, however often it does."""
    talk = Talk()
    for number in range(200):
        event = signed(key_of(1), content=str(number))
        talk.session.publish(event, talk.now)
        talk.hears("OK", event.id, True)
        assert talk.told() == [Published(event.id, EventAccepted())]
    assert talk.faults() == {}


@pytest.mark.parametrize(
    "frame",
    [
        ("EOSE", "closed long ago"),
        ("CLOSED", "closed long ago"),
        ("OK", "0" * 64, True),
        ("OK", "", False, "invalid: no id"),
        ("AUTH", None),
        ("PING",),
    ],
)
def test_what_does_no_harm_is_not_punished_for_its_form(frame: tuple[object, ...]) -> None:
    """Once a second for ten minutes is no flood: it is counted, and the relay stays in use."""
    talk = Talk()
    for _ in range(600):
        talk.later(1)
        talk.hears(*frame)
    assert not talk.session.misbehaviour.is_banned(talk.now)
    assert sum(talk.faults().values()) == 600


def test_a_stream_of_faults_leads_to_the_penalty_box() -> None:
    """The score says so; the session itself goes on."""
    talk = Talk()
    for _ in range(60):
        talk.hears("EVENT", "made-up", {})
    assert talk.session.misbehaviour.is_banned(talk.now)
    talk.reconnects()
    assert talk.session.misbehaviour.is_banned(talk.now)


def test_more_stored_events_than_asked_for_are_a_flood() -> None:
    """The sum of the limits and some slack pass, the rest is dropped and counted."""
    talk = Talk()
    talk.subscribe("live", Filter(kinds=(1,), limit=3), Filter(kinds=(2,), limit=2))
    for _ in range(5 + limits.STORED_SLACK + 7):
        talk.hears("EVENT", "live", {})
    assert len(talk.told()) == 5 + limits.STORED_SLACK
    assert talk.faults() == {Violation.FLOOD: 7}


def test_stored_events_without_a_limit_are_no_flood() -> None:
    """A backlog of any size comes through."""
    talk = Talk()
    talk.subscribe("live", Filter(kinds=(1,), limit=3), Filter(kinds=(2,)))
    for _ in range(limits.LIVE_BURST + 10):
        talk.session.receive(b'["EVENT","live",{}]', talk.now)
    assert len(talk.told()) == limits.LIVE_BURST + 10


def test_a_flood_of_live_events_is_dropped_above_the_burst_and_the_rate() -> None:
    """A burst passes, the rest waits for time to go by."""
    talk = Talk()
    talk.subscribe()
    talk.hears("EOSE", "live")
    talk.told()
    for _ in range(limits.LIVE_BURST + 10):
        talk.session.receive(b'["EVENT","live",{}]', talk.now)
    assert len(talk.told()) == limits.LIVE_BURST
    assert talk.faults() == {Violation.FLOOD: 10}
    talk.now += 1
    for _ in range(10):
        talk.hears("EVENT", "live", {})
    assert len(talk.told()) == 10


def test_a_notice_is_cut_and_told() -> None:
    """Words for a person, no more than are worth reading."""
    talk = Talk()
    talk.hears("NOTICE", "x" * 5000)
    assert talk.told() == [NoticeFrame("x" * 500)]


def test_a_flood_of_notices_is_dropped() -> None:
    """They share the allowance of live events."""
    talk = Talk()
    for _ in range(limits.IDLE_BURST + 3):
        talk.session.receive(b'["NOTICE","x"]', talk.now)
    assert len(talk.told()) == limits.IDLE_BURST
    assert talk.faults() == {Violation.FLOOD: 3}


@pytest.mark.parametrize("frame", [b'["AUTH","x"]', b'["EOSE","live"]', b'["EOSE","gone"]', b'["EVENT","gone",{}]'])
def test_a_flood_of_frames_that_change_nothing_is_held_against_the_relay(frame: bytes) -> None:
    """Challenges, second EOSEs and what comes after a CLOSE cost time without end, and no honest relay sends many."""
    talk = Talk()
    talk.subscribe("live")
    talk.subscribe("gone")
    talk.session.unsubscribe("gone")
    talk.hears("EOSE", "live")
    talk.hears("AUTH", "first")
    for _ in range(limits.IDLE_BURST + 3):
        talk.session.receive(frame, talk.now)
    assert talk.faults() == {Violation.FLOOD: 3}


def test_memory_of_late_frames_is_bounded() -> None:
    """Ten thousand time-outs do not grow the session for ever."""
    talk = Talk()
    for number in range(limits.MAX_REMEMBERED + 50):
        talk.session.publish_bytes(EventId(f"{number:064x}"), b"{}", talk.now)
    talk.later(20)
    talk.told()
    talk.hears("OK", f"{0:064x}", True, "")
    assert talk.faults() == {Violation.UNSOLICITED_OK: 1}
    assert len(talk.session._publications.overdue) == limits.MAX_REMEMBERED


def test_frames_after_the_connection_are_ignored() -> None:
    """A pump may still hold some when it learns of the end."""
    talk = Talk()
    talk.subscribe()
    talk.session.disconnected()
    talk.hears("EOSE", "live")
    talk.hears("nonsense")
    assert (talk.told(), talk.faults()) == ([], {})


def test_a_connection_proves_itself_by_an_answer() -> None:
    """An EOSE or an OK does, a notice or a challenge does not, and each connection starts anew."""
    talk = Talk()
    talk.subscribe()
    talk.hears("NOTICE", "hello")
    talk.hears("AUTH", "c1")
    assert not talk.session.has_answered
    talk.hears("EOSE", "live")
    assert talk.session.has_answered
    talk.reconnects()
    assert not talk.session.has_answered
    talk.publish()
    talk.hears("OK", EVENT.id, False, "blocked: no")
    assert talk.session.has_answered
    assert talk.told()[-1] == Published(EVENT.id, BlockedByRelay("blocked: no"))


@pytest.mark.parametrize(
    ("subscription_id", "wanted"), [("", [LIVE]), ("x" * 65, [LIVE]), ("live", []), ("live", [LIVE] * 21)]
)
def test_a_subscription_that_cannot_be_sent_is_refused_at_once(subscription_id: str, wanted: list[Filter]) -> None:
    """Also while unconnected: else the next connection would fail on it."""
    talk = Talk(connect=False)
    with pytest.raises(LocalProtocolError):
        talk.session.subscribe(subscription_id, wanted, talk.now)
    talk.session.connected(talk.now)
    assert talk.sent() == []
