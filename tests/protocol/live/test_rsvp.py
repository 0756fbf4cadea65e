"""RSVPs on the wire and by message."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, UnsignedEvent
from podium_protocol.live.rsvp import (
    Reply,
    Rsvp,
    RsvpStatus,
    needs_reconfirmation,
    newer,
    read_reply,
    read_rsvp,
    rsvp_identifier,
    write_rsvp,
)
from podium_protocol.tags import Tags
from tests.support.events import NOW, key_of, verified

INSTRUCTOR, GUEST = key_of(1), key_of(2)
SESSION = Address(31923, INSTRUCTOR.pubkey, "knots")
OTHER = Address(31923, INSTRUCTOR.pubkey, "splices")
DATE_BASED = f"31922:{INSTRUCTOR.pubkey}:knots"


def read(*rows: tuple[str, ...], kind: int = 31925) -> Rsvp | None:
    """Read an RSVP by the guest with these tags."""
    return read_rsvp(UnsignedEvent(GUEST.pubkey, NOW, kind, rows, ""))


@pytest.mark.parametrize(
    ("word", "status"),
    [("accepted", RsvpStatus.CONFIRMED), ("tentative", RsvpStatus.TENTATIVE), ("declined", RsvpStatus.DECLINED)],
)
def test_the_words_of_nip_52_are_the_models_statuses(word: str, status: RsvpStatus) -> None:
    """Accepted is confirmed, the others keep their names, both ways."""
    rsvp = read(("a", str(SESSION)), ("d", "x"), ("status", word))
    assert rsvp is not None
    assert (rsvp.status, status.wire, rsvp.session_address, rsvp.pubkey) == (status, word, str(SESSION), GUEST.pubkey)


@pytest.mark.parametrize("word", ["ACCEPTED", "Accepted", " accepted", "accepted\n", "\tAccEpted "])
def test_case_and_blanks_of_a_status_say_nothing(word: str) -> None:
    """Clients write the word as their own buttons have it, in the tag and in the older label."""
    for row in (("status", word), ("l", word, "status")):
        rsvp = read(("a", str(SESSION)), row)
        assert rsvp is not None
        assert rsvp.status is RsvpStatus.CONFIRMED


@pytest.mark.parametrize("word", ["confirmed", "yes", "", "acc epted", "accepted!", "\u0430ccepted"])
def test_other_words_are_dropped(word: str) -> None:
    """Even where a legacy label beside it would be good: the newer tag was meant."""
    assert read(("a", str(SESSION)), ("status", word), ("l", "accepted", "status")) is None


def test_the_legacy_label_is_a_fallback() -> None:
    """Old clients label the status; labels of other name spaces say nothing."""
    legacy = read(("a", str(SESSION)), ("L", "status"), ("l", "en", "lang"), ("l", "tentative", "status"))
    assert legacy is not None
    assert legacy.status is RsvpStatus.TENTATIVE
    assert read(("a", str(SESSION)), ("l", "accepted", "mood")) is None
    assert read(("a", str(SESSION)), ("l", "accepted")) is None


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (("a", DATE_BASED),),
        (("a", "31923:nobody:knots"),),
        (("a",),),
        (("e", "a" * 64),),
        (("a", "31923:nobody:knots"), ("a", str(SESSION))),
    ],
)
def test_what_names_no_session_is_dropped(rows: Tags) -> None:
    """No address, a date-based event's, or a malformed one."""
    assert read(*rows, ("status", "accepted")) is None


def test_the_first_session_counts() -> None:
    """One event answers to one session: others in it are not answered too, other kinds are passed over."""
    rsvp = read(("a", DATE_BASED), ("a", str(SESSION)), ("a", str(OTHER)), ("status", "accepted"))
    assert rsvp is not None
    assert rsvp.session_address == str(SESSION)


def test_another_kind_is_no_rsvp() -> None:
    """The same tags in a note say nothing."""
    assert read(("a", str(SESSION)), ("status", "accepted"), kind=1) is None


def test_what_is_written_is_read_back_and_replaces_itself() -> None:
    """`d` follows from the session, so a change of mind has the same address, and is newer."""
    first = write_rsvp(SESSION, RsvpStatus.CONFIRMED, pubkey=GUEST.pubkey, now=NOW, revision_id=EventId("a" * 64))
    second = write_rsvp(SESSION, RsvpStatus.DECLINED, pubkey=GUEST.pubkey, now=NOW, previous_created_at=NOW, note="ill")
    assert Address.from_event(first) == Address.from_event(second)
    assert second.created_at == NOW + 1
    one, two = read_rsvp(first), read_rsvp(second)
    assert one is not None
    assert two is not None
    assert (one.status, one.revision_id) == (RsvpStatus.CONFIRMED, "a" * 64)
    assert (two.status, two.note, newer(one, two)) == (RsvpStatus.DECLINED, "ill", two)


def test_the_event_is_the_one_of_nip_52() -> None:
    """Address, revision, `d`, status and author, each with the relay hint where the NIP has a place for it."""
    event = write_rsvp(
        SESSION,
        RsvpStatus.CONFIRMED,
        pubkey=GUEST.pubkey,
        now=NOW,
        revision_id=EventId("a" * 64),
        relay_hint="wss://relay.example",
    )
    assert event.tags == (
        ("a", str(SESSION), "wss://relay.example"),
        ("e", "a" * 64, "wss://relay.example"),
        ("d", rsvp_identifier(SESSION)),
        ("status", "accepted"),
        ("p", INSTRUCTOR.pubkey, "wss://relay.example"),
        ("alt", "Answer to a live session: accepted"),
    )
    assert rsvp_identifier(SESSION) != rsvp_identifier(OTHER)


def test_only_sessions_are_answered() -> None:
    """An address of another kind is a mistake of the caller."""
    with pytest.raises(LocalProtocolError, match="kind 31922"):
        write_rsvp(Address(31922, INSTRUCTOR.pubkey, "x"), RsvpStatus.CONFIRMED, pubkey=GUEST.pubkey, now=NOW)


_ANSWERS = st.builds(
    Rsvp,
    session_address=st.just(str(SESSION)),
    pubkey=st.just(GUEST.pubkey),
    status=st.sampled_from(RsvpStatus),
    created_at=st.integers(0, 3),
    event_id=st.sampled_from([EventId(letter * 64) for letter in "abcd"]),
)


@given(st.lists(_ANSWERS, min_size=1, max_size=4, unique_by=lambda rsvp: (rsvp.created_at, rsvp.event_id)))
def test_the_winner_does_not_depend_on_the_order_of_arrival(answers: list[Rsvp]) -> None:
    """Newest first, ties by lowest id: every order of the same answers has one winner."""
    winners = set()
    for order in itertools.permutations(answers):
        winner = order[0]
        for answer in order[1:]:
            winner = newer(winner, answer)
        winners.add((winner.created_at, winner.event_id))
    newest = max(answer.created_at for answer in answers)
    assert winners == {(newest, min(answer.event_id for answer in answers if answer.created_at == newest))}


def test_an_answer_to_another_time_needs_reconfirmation() -> None:
    """Flagged if the revision they named had another start; unknown revisions and none at all are not."""
    event = verified(GUEST, kind=31925, tags=(("a", str(SESSION)), ("e", "a" * 64), ("d", "1"), ("status", "accepted")))
    rsvp = read_rsvp(event)
    assert rsvp is not None
    old = EventId("a" * 64)
    assert needs_reconfirmation(rsvp, NOW + 60, {old: NOW})
    assert not needs_reconfirmation(rsvp, NOW, {old: NOW})
    assert not needs_reconfirmation(rsvp, NOW + 60, {})
    unsaid = read(("a", str(SESSION)), ("e", "short"), ("status", "accepted"))
    assert unsaid is not None
    assert not needs_reconfirmation(unsaid, NOW + 60, {old: NOW})


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("yes", Reply.YES),
        ("Yes!", Reply.YES),
        ("  MAYBE...\n", Reply.MAYBE),
        ("“no”", Reply.NO),
        ("stop", Reply.STOP),
        ("STOP  ALL.", Reply.STOP_ALL),
        ("stop-all", Reply.STOP_ALL),
        ("stop,\tall", Reply.STOP_ALL),
    ],
)
def test_exact_words_are_answers(text: str, reply: Reply) -> None:
    """Case, white space and punctuation do not matter."""
    assert read_reply(text) is reply


@pytest.mark.parametrize(
    "text",
    ["", "!", "yes it is", "no, yes", "y", "nay", "don't stop", "stopall", "yes" + " " * 100, "y.e.s", "1", "да"],
)
def test_conversation_is_no_answer(text: str) -> None:
    """Anything more than an answer and politeness changes nothing."""
    assert read_reply(text) is None


def test_answers_have_their_status() -> None:
    """Yes, maybe and no are RSVPs; the two kinds of stop are not."""
    assert [reply.status for reply in Reply] == [
        RsvpStatus.CONFIRMED,
        RsvpStatus.TENTATIVE,
        RsvpStatus.DECLINED,
        None,
        None,
    ]
