"""Reading session events from strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.events import UnsignedEvent
from podium_protocol.live.session import (
    GuestPolicy,
    NotASession,
    RecordingAccess,
    Session,
    SessionLimits,
    Visibility,
    names_service,
    read_session,
)
from podium_protocol.tags import Tags
from tests.support.events import NOW, key_of, verified

INSTRUCTOR, SERVICE, HELPER, GUEST = (key_of(number) for number in range(1, 5))
START, END = NOW + 3600, NOW + 7200
BASE: Tags = (
    ("d", "knots"),
    ("title", "Knots"),
    ("start", str(START)),
    ("end", str(END)),
    ("t", "live-session"),
)


def read(*changes: tuple[str, ...], without: tuple[str, ...] = (), content: str = "") -> Session | NotASession:
    """Read the base event with some tags replaced, added or left out; its id is not looked at here."""
    named = {row[0] for row in changes} | set(without)
    rows = (*(row for row in BASE if row[0] not in named), *changes)
    return read_session(UnsignedEvent(INSTRUCTOR.pubkey, NOW, 31923, rows, content))


def good(*changes: tuple[str, ...], without: tuple[str, ...] = (), content: str = "") -> Session:
    """Read and insist on a session."""
    session = read(*changes, without=without, content=content)
    assert isinstance(session, Session), session
    return session


def test_a_signed_session_is_read() -> None:
    """A verified event gives the session under its address, with its own id and times."""
    event = verified(INSTRUCTOR, kind=31923, tags=BASE, content="Bring a rope.")
    session = read_session(event)
    assert isinstance(session, Session)
    assert session.session_address == f"31923:{INSTRUCTOR.pubkey}:knots"
    assert (session.event_id, session.created_at, session.instructor) == (event.id, NOW, INSTRUCTOR.pubkey)
    assert (session.starts_at, session.ends_at, session.duration_minutes) == (START, END, 60)
    assert (session.title, session.description) == ("Knots", "Bring a rope.")
    assert session.duration_seconds == 3600
    assert good(("end", str(START + 61))).duration_minutes == 2


def test_what_is_not_said_is_off() -> None:
    """The model's switches are off, and nobody has a role, unless a tag says so."""
    session = good()
    switches = (session.rsvp_required, session.waiting_room, session.recording_allowed, session.e2ee_required)
    assert switches == (False, False, False, False)
    assert (session.max_participants, session.visibility, session.cancelled) == (None, Visibility.PUBLIC, False)
    assert (session.named, session.co_hosts, session.invited, session.timezone) == ((), (), (), "UTC")
    assert (session.guests, session.has_rules, session.has_end) == (None, False, True)


def test_all_fields_of_the_model_are_read() -> None:
    """Each tag of wire-formats.md has its field."""
    session = good(
        ("max_participants", "50"),
        ("rsvp", "required"),
        ("waiting_room", "on"),
        ("recording", "allowed"),
        ("start_tzid", "Europe/Berlin"),
        ("p", INSTRUCTOR.pubkey, "wss://relay.example", "instructor"),
        ("p", SERVICE.pubkey, "", "service"),
        ("p", HELPER.pubkey, "", "co-host"),
        ("p", GUEST.pubkey, "", "invited"),
        ("t", "live-session"),
        ("t", "rope"),
        ("location", "https://podium.example/s/1"),
        ("r", "https://files.example/1.webm"),
    )
    assert (session.max_participants, session.timezone, session.hashtags) == (50, "Europe/Berlin", ("rope",))
    assert session.rsvp_required
    assert session.waiting_room
    assert session.recording_allowed
    assert session.named == (INSTRUCTOR.pubkey, SERVICE.pubkey, HELPER.pubkey, GUEST.pubkey)
    assert session.has_rules
    assert session.co_hosts == (HELPER.pubkey,)
    assert session.invited == (GUEST.pubkey,)
    assert session.location == "https://podium.example/s/1"
    assert session.recording_url == "https://files.example/1.webm"


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ((), None),
        (("public",), Visibility.PUBLIC),
        (("private",), Visibility.PRIVATE),
        (("public", "private"), Visibility.PRIVATE),
        (("",), None),
        (("secret",), None),
    ],
)
def test_where_attendance_goes_is_read(said: tuple[str, ...], read_as: Visibility | None) -> None:
    """An event that says both has said private; any other word says nothing."""
    assert good(*(("attendance", word) for word in said)).attendance == read_as


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ((), None),
        (("public",), RecordingAccess.PUBLIC),
        (("participants",), RecordingAccess.PARTICIPANTS),
        (("public", "participants"), RecordingAccess.PARTICIPANTS),
        (("everybody",), None),
    ],
)
def test_who_may_see_the_recording_is_read(said: tuple[str, ...], read_as: RecordingAccess | None) -> None:
    """An event that says both has said the narrower; any other word says nothing."""
    assert good(*(("recording_access", word) for word in said)).recording_access == read_as


UNUSABLE: list[tuple[tuple[tuple[str, ...], ...], tuple[str, ...], str]] = [
    ((), ("d",), "no identifier"),
    ((("d", ""),), (), "no identifier"),
    ((("d", "x" * 120),), (), "119 bytes"),
    ((("d", "a\nb"),), (), "unprintable"),
    ((("d", "one"), ("d", "two")), (), "d is given twice"),
    ((), ("title",), "no title"),
    ((("title", "\u202e\x07 "),), (), "no title"),
    ((), ("start",), "start is no Unix time"),
    ((("start", "2026-12-01"),), (), "start is no Unix time"),
    ((("start", "-5"),), (), "start is no Unix time"),
    ((("start", str(START) + ".0"),), (), "start is no Unix time"),
    ((("start", "99999999999999"),), (), "start is no Unix time"),
    ((("start", str(START)), ("start", str(START + 60))), (), "start is given twice"),
    ((("end", str(START)),), (), "end is no Unix time after start"),
    ((("end", str(START - 1)),), (), "end is no Unix time after start"),
    ((("end", str(START + 86_401)),), (), "longer than 1440 minutes"),
    ((("t", "meetup"),), (), "another kind"),
    ((), ("t",), "another kind"),
    ((("max_participants", "0"),), (), "max_participants"),
    ((("max_participants", "fifty"),), (), "max_participants"),
    ((("max_participants", "-1"),), (), "max_participants"),
    ((("max_participants", "5"), ("max_participants", "500")), (), "max_participants is given twice"),
]
"""Tags that are added or replaced, tags that are left out, and the reason why it is no session then."""


@pytest.mark.family("session semantics")
@pytest.mark.parametrize(("changes", "without", "reason"), UNUSABLE)
def test_an_unusable_event_is_none_with_a_reason(
    changes: tuple[tuple[str, ...], ...], without: tuple[str, ...], reason: str
) -> None:
    """Missing, malformed, doubled and contradictory tags each have their reason."""
    result = read(*changes, without=without)
    assert isinstance(result, NotASession)
    assert reason in result.reason


@pytest.mark.parametrize("end", [(), (("end", ""),)])
def test_a_missing_end_is_the_usual_duration(end: tuple[tuple[str, ...], ...]) -> None:
    """NIP-52 lets `end` out: then a session lasts an hour, or what the limits say, and is marked."""
    session = good(*end, without=("end",))
    assert (session.ends_at, session.has_end) == (START + 3600, False)
    event = UnsignedEvent(INSTRUCTOR.pubkey, NOW, 31923, tuple(row for row in BASE if row[0] != "end"), "")
    other = read_session(event, SessionLimits(default_duration_minutes=90))
    assert isinstance(other, Session)
    assert (other.duration_minutes, good().has_end) == (90, True)


@pytest.mark.parametrize(
    "row",
    [
        ("p", SERVICE.pubkey),
        ("p", SERVICE.pubkey, ""),
        ("p", SERVICE.pubkey, "wss://relay.example"),
        ("p", SERVICE.pubkey, "", ""),
        ("p", SERVICE.pubkey, "", "service"),
        ("p", SERVICE.pubkey, "", "Host"),
        ("p", SERVICE.pubkey, "", "participant"),
        ("p", SERVICE.pubkey, "", "co-host"),
    ],
)
def test_any_mention_of_the_service_makes_it_ours_without_the_hashtag(row: tuple[str, ...]) -> None:
    """No client lets people write our role, and some write no role and no relay at all."""
    assert names_service(good(row, without=("t",)), SERVICE.pubkey)
    assert not names_service(good(row, without=("t",)), HELPER.pubkey)


def test_the_hashtag_alone_is_for_a_service_that_is_its_own_instructor() -> None:
    """Nobody else need take it over, and a date with a friend is no session."""
    assert names_service(good(), INSTRUCTOR.pubkey)
    assert not names_service(good(), SERVICE.pubkey)
    assert not names_service(good(("p", GUEST.pubkey), without=("t",)), INSTRUCTOR.pubkey)


@pytest.mark.parametrize(
    "row",
    [
        *(("max_participants", "5"), ("rsvp", "optional"), ("waiting_room", "off"), ("recording", "allowed")),
        *(("e2ee", "required"), ("visibility", "private"), ("guests", "off")),
        *(("attendance", "public"), ("recording_access", "public")),
    ],
)
def test_a_tag_of_our_own_says_that_the_writer_knows_them(row: tuple[str, ...]) -> None:
    """A client that writes one says all; a client that writes none knows NIP-52 only."""
    assert good(row).has_rules
    assert not good(("location", "Room 5"), ("start_tzid", "Europe/Berlin"), ("p", GUEST.pubkey)).has_rules


@pytest.mark.parametrize(
    ("word", "guests"),
    [
        ("off", GuestPolicy.OFF),
        ("invited", GuestPolicy.INVITED),
        ("anyone", GuestPolicy.ANYONE),
        ("everybody", GuestPolicy.OFF),
    ],
)
def test_who_may_come_without_a_signer_is_read(word: str, guests: GuestPolicy) -> None:
    """A word that nobody knows opens no door."""
    assert good(("guests", word)).guests is guests


def test_another_kind_is_no_session() -> None:
    """The same tags on a date-based calendar event say nothing."""
    assert isinstance(read_session(UnsignedEvent(INSTRUCTOR.pubkey, NOW, 31922, BASE, "")), NotASession)


@pytest.mark.parametrize("word", ["cancelled", "canceled", "CANCELLED", " Cancelled "])
def test_a_cancelled_revision_keeps_its_times(word: str) -> None:
    """Our own cancellations keep the original times."""
    session = good(("status", word))
    assert session.cancelled
    assert (session.starts_at, session.ends_at) == (START, END)


@pytest.mark.parametrize(
    ("changes", "without"),
    [((("start", "0"),), ()), ((("start", "0"),), ("end", "title")), ((("status", "cancelled"),), ("end",))],
)
def test_a_cancellation_by_others_may_have_lost_its_times(
    changes: tuple[tuple[str, ...], ...], without: tuple[str, ...]
) -> None:
    """Start 0 cancels, and no missing time keeps a session alive that its instructor called off."""
    session = good(*changes, without=without)
    assert session.cancelled
    assert (session.starts_at, session.ends_at) == (0, 0)


def test_encryption_makes_it_private_whatever_the_event_says() -> None:
    """`e2ee required` forces private, also where another client wrote the event."""
    assert good(("e2ee", "required")).visibility is Visibility.PRIVATE
    assert good(("visibility", "private")).visibility is Visibility.PRIVATE


def test_an_unknown_zone_falls_back_to_utc() -> None:
    """The start is an epoch, so only its rendering is lost."""
    session = good(("start_tzid", "Mars/Base"))
    assert (session.timezone, session.starts_at) == ("UTC", START)


def test_texts_are_cleaned() -> None:
    """A title cannot move a terminal's cursor or start a line of its own."""
    session = good(("title", "\x1b]0;x\x07Knots\n\u202etset"), ("summary", "a\rb"), content="one\x1b\ntwo")
    assert (session.title, session.summary, session.description) == ("]0;xKnots tset", "a b", "one\ntwo")


def test_links_that_are_none_are_passed_over() -> None:
    """The first web link in `r` is taken, not a script before it."""
    assert good(("r", "javascript:alert(1)"), ("r", "https://a.example/v")).recording_url == "https://a.example/v"


def test_keys_off_the_curve_have_no_role() -> None:
    """Malformed and impossible keys are passed over."""
    bad = (("p", "f" * 64, "", "co-host"), ("p", "xyz", "", "co-host"), ("p", HELPER.pubkey.upper(), "", "co-host"))
    assert good(*bad, ("p", HELPER.pubkey, "", "co-host")).co_hosts == (HELPER.pubkey,)


def test_a_crowd_of_people_is_refused_unread() -> None:
    """Each key costs a look at the curve, so there is a bound on them."""
    crowd = tuple(("p", GUEST.pubkey, "", "invited") for _ in range(421))
    assert isinstance(read(*crowd), NotASession)
    assert good(*crowd[1:]).invited == (GUEST.pubkey,)


def test_the_deprecated_name_stands_in_for_the_title() -> None:
    """NIP-52: `name` only if `title` is not available."""
    assert good(("name", "Old"), without=("title",)).title == "Old"
    assert good(("name", "Old")).title == "Knots"


_WORDS = st.sampled_from(
    ["d", "title", "start", "end", "t", "p", "status", "r", "max_participants", "e2ee", "service", "live-session", "0"]
)
_ROWS = st.lists(st.lists(_WORDS | st.text(max_size=8), min_size=1, max_size=5).map(tuple), max_size=12).map(tuple)


@given(_ROWS, st.text(max_size=20))
def test_no_tags_make_the_reader_fail(rows: Tags, content: str) -> None:
    """Whatever the tags are, the answer is a session with a usable address or a reason."""
    result = read_session(UnsignedEvent(INSTRUCTOR.pubkey, NOW, 31923, (*rows, *BASE), content))
    assert isinstance(result, NotASession) or result.session_address.startswith("31923:")
