"""Questions and answers (kind 1311, NIP-53), and the rule who may ask."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, UnsignedEvent
from podium_protocol.live.questions import (
    MAX_TAGS,
    MAX_TEXT,
    Asker,
    AskingPolicy,
    Hold,
    NotAQuestion,
    Question,
    objection,
    ranked,
    read_question,
    vote_objection,
    write_question,
)
from tests.support.events import NOW, key_of, seeded, verify_or_fail
from tests.support.schemata import installed_schemata

ADA, SERVICE = key_of(1), key_of(2)
MEETING = Address(kinds.MEETING, SERVICE.pubkey, "room-1")
TWIN = Address(kinds.LIVE_EVENT, SERVICE.pubkey, "room-1")
PARENT, OTHER = EventId("ab" * 32), EventId("cd" * 32)
RELAY = "wss://relay.example"


def asked(text: str = "Why a bowline?", **changes: object) -> UnsignedEvent:
    """A question, with changes."""
    event = write_question(MEETING, text, pubkey=ADA.pubkey, now=NOW, relay_hint=RELAY)
    return msgspec.structs.replace(event, **changes)


def with_tags(*rows: tuple[str, ...]) -> UnsignedEvent:
    """A question with these tags and no others."""
    return asked(tags=rows)


def test_a_question_is_what_nip_53_shows() -> None:
    """The meeting in an `a` marked root, the text, nothing else; it is read as it was written."""
    event = asked()
    assert (event.kind, event.created_at, event.content) == (1311, NOW, "Why a bowline?")
    assert event.tags == (("a", f"30313:{SERVICE.pubkey}:room-1", RELAY, "root"),)
    assert read_question(event) == Question(
        meeting=MEETING, pubkey=ADA.pubkey, event_id=event.id, text="Why a bowline?", created_at=NOW
    )


def test_an_answer_names_its_question_and_the_asker() -> None:
    """The question in an `e` marked reply, its author in a `p`, beside the meeting."""
    event = write_question(MEETING, "It holds.", pubkey=ADA.pubkey, now=NOW, reply_to=PARENT, asker=SERVICE.pubkey)
    assert event.tags == (
        ("a", str(MEETING), "", "root"),
        ("e", PARENT, "", "reply"),
        ("p", SERVICE.pubkey, ""),
    )
    read = read_question(event)
    assert isinstance(read, Question)
    assert read.reply_to == PARENT


@pytest.mark.real_peer
def test_others_schemas_agree() -> None:
    """Others' JSON Schema of kind 1311 has nothing against it, but that it knows chats of streams (30311) only."""
    schemata = installed_schemata()
    for meeting, flaws in ((TWIN, 0), (MEETING, 1)):
        for reply_to in (None, PARENT):
            event = write_question(meeting, "Why?", pubkey=ADA.pubkey, now=NOW, relay_hint=RELAY, reply_to=reply_to)
            found = schemata.flaws(msgspec.json.decode(verify_or_fail(ADA.sign(event, seeded("aux"))).to_json()))
            assert len(found) == flaws
            assert all(flaw.startswith("None of [['a', '30313:") for flaw in found)


@pytest.mark.parametrize(
    "event",
    [
        with_tags(("a", str(MEETING))),
        with_tags(("a", str(TWIN), RELAY, "root")),
        with_tags(("a", str(MEETING)), ("a", str(TWIN))),
        with_tags(("a", str(MEETING)), ("a", f"30023:{ADA.pubkey}:post"), ("t", "knots")),
    ],
    ids=["no hint", "twin", "both", "an article besides"],
)
def test_what_other_clients_write_is_read(event: UnsignedEvent) -> None:
    """The streaming twin of a meeting stands for it, and other tags do not matter."""
    read = read_question(event)
    assert isinstance(read, Question)
    assert (read.meeting, read.reply_to) == (MEETING, None)


def test_a_message_to_the_room_names_the_room() -> None:
    """Without a meeting the room is what it is about; with one, the meeting."""
    room = Address(30312, SERVICE.pubkey, "podium")
    alone, both = (
        read_question(with_tags(("a", str(room)))),
        read_question(with_tags(("a", str(room)), ("a", str(MEETING)))),
    )
    assert isinstance(alone, Question)
    assert isinstance(both, Question)
    assert (alone.meeting, both.meeting) == (room, MEETING)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (asked(kind=1), "kind 1"),
        (asked(content=""), "no text"),
        (asked(content=" \n\u202e\x00 "), "no text"),
        (asked(content="x" * (MAX_TEXT + 1)), "longer"),
        (with_tags(), "exactly one meeting"),
        (with_tags(("a", f"30312:{SERVICE.pubkey}:a"), ("a", f"30312:{SERVICE.pubkey}:b")), "exactly one meeting"),
        (with_tags(("a", "30312:zz:podium")), "exactly one meeting"),
        (with_tags(("a", f"30312:{SERVICE.pubkey}:podium"), ("a", "30313:zz:room-1")), "exactly one meeting"),
        (with_tags(("a", "30313:zz:room-1")), "exactly one meeting"),
        (with_tags(("a", str(MEETING)), ("a", f"30313:{SERVICE.pubkey}:room-2")), "exactly one meeting"),
        (with_tags(("a", str(MEETING)), ("a", "30313:zz:room-1")), "exactly one meeting"),
        (with_tags(("a", str(MEETING)), ("e", "zz")), "not clear"),
        (with_tags(("a", str(MEETING)), ("e", PARENT), ("e", OTHER)), "not clear"),
        (with_tags(("a", str(MEETING)), ("e", PARENT, "", "reply"), ("e", OTHER, "", "reply")), "not clear"),
        (with_tags(("a", str(MEETING)), *[("t", "x")] * MAX_TAGS), "tags"),
    ],
)
def test_what_is_odd_is_refused(event: UnsignedEvent, reason: str) -> None:
    """Nothing is cut, guessed or repaired: the message is refused with what is wrong."""
    read = read_question(event)
    assert isinstance(read, NotAQuestion)
    assert reason in read.reason


def test_a_marked_parent_outranks_others() -> None:
    """Of several `e` tags the one marked reply is the direct parent (NIP-10)."""
    read = read_question(with_tags(("a", str(MEETING)), ("e", OTHER, "", "root"), ("e", PARENT, "", "reply")))
    assert isinstance(read, Question)
    assert read.reply_to == PARENT


@given(content=st.text(max_size=40), rows=st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=4), max_size=4))
def test_reading_never_fails(content: str, rows: list[list[str]]) -> None:
    """Whatever a stranger wrote is a question or a reason, never an error."""
    event = asked(content=content, tags=(("a", str(MEETING)), *map(tuple, rows)))
    assert isinstance(read_question(event), Question | NotAQuestion)


@pytest.mark.parametrize(
    ("meeting", "text"), [(Address(31923, ADA.pubkey, "x"), "Why?"), (MEETING, " "), (MEETING, "x" * 1001)]
)
def test_nothing_odd_is_written(meeting: Address, text: str) -> None:
    """A question to something else, an empty or a long one is our own mistake."""
    with pytest.raises(LocalProtocolError):
        write_question(meeting, text, pubkey=ADA.pubkey, now=NOW)


GUEST = Asker(invited=True)


@pytest.mark.parametrize(
    ("asker", "hold"),
    [
        (Asker(leads=True, removed=True, silenced=True, asked=(NOW,) * 99), None),
        (GUEST, None),
        (Asker(present=True), None),
        (Asker(), Hold.STRANGER),
        (Asker(present=True, removed=True), Hold.REMOVED),
        (Asker(present=True, silenced=True), Hold.SILENCED),
        (msgspec.structs.replace(GUEST, asked=(NOW - 59,) * 5), Hold.TOO_MANY),
        (msgspec.structs.replace(GUEST, asked=(NOW + 59,) * 5), Hold.TOO_MANY),
        (msgspec.structs.replace(GUEST, asked=(NOW - 60,) * 29), None),
        (msgspec.structs.replace(GUEST, asked=(NOW - 60,) * 30), Hold.TOO_MANY),
    ],
)
def test_who_may_ask(asker: Asker, hold: Hold | None) -> None:
    """Those who come ask, not too much at a time; strangers, the removed and the silenced wait; leaders always may."""
    assert objection(asker, NOW, None) is hold


def test_what_was_asked_before_the_end_still_counts() -> None:
    """A question that a slow relay brings after the end was in time if it was asked in time."""
    assert objection(GUEST, NOW, NOW) is None
    assert objection(GUEST, NOW + 1, NOW) is Hold.OVER
    assert objection(Asker(leads=True), NOW + 1, NOW) is None


def test_the_numbers_are_the_policys() -> None:
    """A policy with other numbers gives other answers."""
    policy = AskingPolicy(burst=1, burst_seconds=10, per_person=2)
    assert objection(msgspec.structs.replace(GUEST, asked=(NOW,)), NOW + 10, None, policy) is None
    assert objection(msgspec.structs.replace(GUEST, asked=(NOW,)), NOW + 9, None, policy) is Hold.TOO_MANY
    assert objection(msgspec.structs.replace(GUEST, asked=(0, 0)), NOW, None, policy) is Hold.TOO_MANY


class Asked(msgspec.Struct, frozen=True):
    """A question in a list; `place` is its order of arrival."""

    place: int
    pinned: bool
    answered: bool
    votes: int


def test_the_silenced_vote_and_the_removed_do_not() -> None:
    """People vote who may ask, however much they asked; strangers and the removed do not, and nobody after the end."""
    assert vote_objection(msgspec.structs.replace(GUEST, silenced=True, asked=(NOW,) * 99), NOW, None) is None
    assert vote_objection(Asker(), NOW, None) is Hold.STRANGER
    assert vote_objection(Asker(present=True, removed=True), NOW, None) is Hold.REMOVED
    assert vote_objection(GUEST, NOW + 1, NOW) is Hold.OVER


@given(rows=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), max_size=12), most=st.integers(0, 12))
def test_questions_stand_by_their_votes(rows: list[tuple[bool, bool, int]], most: int) -> None:
    """Pinned ones first, then open ones by votes, then answered ones, each as they arrived; the best are kept."""
    questions = [Asked(place, *row) for place, row in enumerate(rows)]
    listed = ranked(questions, most)
    assert listed == sorted(listed, key=_rank)
    rest = [one for one in questions if not one.pinned]
    assert len({one.place for one in listed}) == len(listed) == len(questions) - len(rest) + min(len(rest), most)
    left_out = [one for one in rest if one not in listed]
    kept = [one for one in listed if not one.pinned]
    assert all((one.answered, -one.votes) <= (other.answered, -other.votes) for one in kept for other in left_out)


def _rank(one: Asked) -> tuple[bool, bool, int, int]:
    return not one.pinned, one.answered and not one.pinned, 0 if one.pinned else -one.votes, one.place
