"""Writing session events: what goes out is what wire-formats.md promises, and is read back as it was meant."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol import tags
from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.live.session import RecordingAccess, Session, SessionSpec, Visibility, read_session, spec_of
from podium_protocol.live.session_writing import attach_recording, cancel, write_session
from podium_protocol.nips.nip09 import read_deletion
from podium_protocol.text import single_line
from tests.support.events import NOW, key_of, seeded, verify_or_fail

INSTRUCTOR, SERVICE, HELPER, GUEST = (key_of(number) for number in range(1, 5))
START = 1_796_144_400  # 2026-12-01 17:00 UTC
SPEC = SessionSpec(
    identifier="knots",
    title="Knots",
    summary="Six knots",
    description="Bring a rope.",
    starts_at=START,
    duration_minutes=90,
    timezone="Europe/Berlin",
    max_participants=50,
    rsvp_required=True,
    waiting_room=True,
    recording_allowed=True,
    co_hosts=(HELPER.pubkey,),
    invited=(GUEST.pubkey,),
    hashtags=("rope",),
)


def written(spec: SessionSpec = SPEC, *, now: int = NOW, previous: VerifiedEvent | None = None) -> UnsignedEvent:
    """The event for `spec`."""
    return write_session(
        spec,
        instructor=INSTRUCTOR.pubkey,
        service=SERVICE.pubkey,
        relay_hint="wss://relay.example",
        join_url="https://podium.example/s/knots",
        now=now,
        previous=previous,
    )


def published(event: UnsignedEvent) -> VerifiedEvent:
    """The event signed by the instructor."""
    return verify_or_fail(INSTRUCTOR.sign(event, seeded("aux")))


def with_tags(event: UnsignedEvent, *rows: tuple[str, ...]) -> VerifiedEvent:
    """The event with more tags, signed."""
    return published(msgspec.structs.replace(event, tags=(*event.tags, *rows)))


def test_the_event_is_the_one_of_wire_formats() -> None:
    """Kind, content and each tag, in order."""
    event = written()
    assert (event.kind, event.pubkey, event.created_at, event.content) == (
        31923,
        INSTRUCTOR.pubkey,
        NOW,
        SPEC.description,
    )
    assert event.tags == (
        ("d", "knots"),
        ("title", "Knots"),
        ("summary", "Six knots"),
        ("start", str(START)),
        ("end", str(START + 5400)),
        ("D", str(START // 86_400)),
        ("start_tzid", "Europe/Berlin"),
        ("t", "live-session"),
        ("t", "rope"),
        ("p", INSTRUCTOR.pubkey, "wss://relay.example", "instructor"),
        ("p", SERVICE.pubkey, "wss://relay.example", "service"),
        ("p", HELPER.pubkey, "", "co-host"),
        ("p", GUEST.pubkey, "", "invited"),
        ("location", "https://podium.example/s/knots"),
        ("max_participants", "50"),
        ("rsvp", "required"),
        ("waiting_room", "on"),
        ("recording", "allowed"),
        ("alt", "Live session: Knots"),
    )


def test_a_session_over_midnight_names_both_days() -> None:
    """One `D` for each day covered."""
    event = written(msgspec.structs.replace(SPEC, starts_at=START + 6 * 3600, duration_minutes=120))
    assert list(tags.values(event.tags, "D")) == [str(START // 86_400), str(START // 86_400 + 1)]


def test_encryption_is_written_as_private() -> None:
    """`e2ee required` brings `visibility private` along."""
    event = written(msgspec.structs.replace(SPEC, e2ee_required=True))
    assert ("e2ee", "required") in event.tags
    assert ("visibility", "private") in event.tags


@pytest.mark.parametrize("private", [{"visibility": Visibility.PRIVATE}, {"e2ee_required": True}])
def test_a_private_session_seals_its_attendance(private: dict[str, object]) -> None:
    """Nothing of a private session is published, whatever was asked for."""
    event = written(msgspec.structs.replace(SPEC, attendance=Visibility.PUBLIC, **private))
    assert list(tags.values(event.tags, "attendance")) == ["private"]


@pytest.mark.parametrize("private", [{"visibility": Visibility.PRIVATE}, {"e2ee_required": True}])
def test_a_private_session_has_no_public_recording(private: dict[str, object]) -> None:
    """Its recording shows who took part, whatever was asked for."""
    event = written(msgspec.structs.replace(SPEC, recording_access=RecordingAccess.PUBLIC, **private))
    assert list(tags.values(event.tags, "recording_access")) == ["participants"]


def test_all_problems_stand_in_the_refusal() -> None:
    """The error names each of them."""
    with pytest.raises(InvalidInput, match=r"title is empty.*in the past"):
        written(msgspec.structs.replace(SPEC, title="", starts_at=NOW - 7200))


def test_an_event_that_relays_would_refuse_is_not_written() -> None:
    """Text and guests together must stay below what relays take."""
    guests = tuple(key_of(number).pubkey for number in range(10, 400))
    with pytest.raises(InvalidInput, match="60000 bytes"):
        written(msgspec.structs.replace(SPEC, invited=guests, description="\\" * 16_384))


_SPECS = st.builds(
    SessionSpec,
    identifier=st.just("x"),
    title=st.text(max_size=60).map(lambda text: single_line("T" + text, 100)),
    starts_at=st.integers(NOW, NOW + 10**8),
    duration_minutes=st.integers(1, 1440),
    timezone=st.sampled_from(["UTC", "Asia/Kolkata"]),
    max_participants=st.none() | st.integers(1, 100_000),
    rsvp_required=st.booleans(),
    waiting_room=st.booleans(),
    recording_allowed=st.booleans(),
    e2ee_required=st.booleans(),
    visibility=st.sampled_from(Visibility),
    attendance=st.none() | st.sampled_from(Visibility),
    recording_access=st.none() | st.sampled_from(RecordingAccess),
    co_hosts=st.sampled_from([(), (HELPER.pubkey,)]),
)


@settings(max_examples=60)
@given(_SPECS)
def test_what_is_written_is_read_back(spec: SessionSpec) -> None:
    """Every wish survives the wire."""
    session = read_session(written(spec))
    assert isinstance(session, Session)
    expected = {"visibility": spec.effective_visibility, "attendance": spec.effective_attendance}
    expected["recording_access"] = spec.effective_recording_access
    assert spec_of(session) == msgspec.structs.replace(spec, **expected)


def test_an_edit_keeps_what_it_does_not_know() -> None:
    """Tags of other applications survive; our own are written anew, and those of one revision only are dropped."""
    first = with_tags(
        written(),
        ("image", "https://img.example/1.png"),
        ("a", "31924:" + INSTRUCTOR.pubkey + ":courses"),
        ("p", GUEST.pubkey, "", "speaker"),
        ("location", "Room 5"),
        ("r", "https://slides.example"),
        ("-",),
        ("end_tzid", "Asia/Tokyo"),
        ("expiration", "1"),
        ("nonce", "1", "20"),
    )
    edited = written(msgspec.structs.replace(SPEC, title="Better knots"), previous=first, now=NOW + 60)
    assert edited.tags[-6:] == (
        ("image", "https://img.example/1.png"),
        ("a", "31924:" + INSTRUCTOR.pubkey + ":courses"),
        ("p", GUEST.pubkey, "", "speaker"),
        ("location", "Room 5"),
        ("r", "https://slides.example"),
        ("-",),
    )
    assert list(tags.values(edited.tags, "title")) == ["Better knots"]
    assert sum(row[:2] == ("p", HELPER.pubkey) for row in edited.tags) == 1


def test_a_second_edit_within_a_second_wins() -> None:
    """The next revision is newer than the last one, even if the clock stood still or went back."""
    first = published(written())
    assert written(previous=first, now=NOW).created_at == NOW + 1
    assert written(previous=first, now=NOW - 500).created_at == NOW + 1


def test_an_edit_may_keep_a_start_that_has_passed() -> None:
    """A running session can be prolonged."""
    first = published(written())
    longer = written(msgspec.structs.replace(SPEC, duration_minutes=120), previous=first, now=START + 600)
    assert tags.first(longer.tags, "end") == str(START + 7200)


def test_only_the_same_session_can_be_replaced() -> None:
    """Tags of one session never leak into another."""
    with pytest.raises(LocalProtocolError, match="another session"):
        written(msgspec.structs.replace(SPEC, identifier="other"), previous=published(written()))


def test_a_recording_comes_before_other_links() -> None:
    """Readers take the first link; attaching the same one twice adds nothing."""
    first = with_tags(written(), ("r", "https://slides.example"), ("x", "y"))
    event = attach_recording(first, "https://files.example/1.webm", NOW + 9000)
    assert list(tags.values(event.tags, "r")) == ["https://files.example/1.webm", "https://slides.example"]
    again = attach_recording(published(event), "https://files.example/1.webm", NOW + 9000)
    assert (again.tags, again.created_at) == (event.tags, NOW + 9001)
    session = read_session(event)
    assert isinstance(session, Session)
    assert session.recording_url == "https://files.example/1.webm"
    with pytest.raises(InvalidInput):
        attach_recording(first, "javascript:alert(1)", NOW)


def test_a_cancellation_keeps_the_times_and_is_read_as_one() -> None:
    """The revision is the session as it was, marked cancelled, and newer."""
    first = published(written())
    revision, _ = cancel(first, NOW)
    assert revision.created_at == NOW + 1
    assert revision.tags == (*first.tags, ("status", "cancelled"))
    session = read_session(published(revision))
    assert isinstance(session, Session)
    assert session.cancelled
    assert session.starts_at == START


def test_the_reason_of_a_cancellation_stands_in_both_events_and_in_no_later_revision() -> None:
    """A relay that heeds the deletion keeps only its content; one that does not shows the revision."""
    revision, deletion = cancel(published(written()), NOW, "The instructor\x00 is ill.")
    assert revision.tags[-2:] == (("status", "cancelled"), ("reason", "The instructor is ill."))
    assert deletion.content == "The instructor is ill."
    session = read_session(published(revision))
    assert isinstance(session, Session)
    assert session.cancel_reason == "The instructor is ill."
    again, _ = cancel(published(revision), NOW + 5)
    assert [row for row in again.tags if row[0] in ("status", "reason")] == [("status", "cancelled")]
    assert "reason" not in {row[0] for row in written(previous=published(revision), now=NOW + 5).tags}


def test_the_deletion_covers_all_revisions_and_no_later_one() -> None:
    """Its `a` reaches the cancelled revision and those before it; what comes a second later is not covered."""
    first = published(written())
    revision, deletion = cancel(first, NOW + 5)
    assert deletion.tags == (
        ("e", revision.id),
        ("e", first.id),
        ("a", f"31923:{INSTRUCTOR.pubkey}:knots"),
        ("k", "31923"),
    )
    asked = read_deletion(published(deletion))
    assert set(asked.ids) == {first.id, revision.id}
    assert first.created_at < revision.created_at <= asked.created_at
    fresh = written(previous=published(revision), now=NOW + 5)
    assert fresh.created_at > asked.created_at
    assert ("status", "cancelled") not in fresh.tags


def test_the_ids_that_the_deletion_names_are_those_on_the_wire() -> None:
    """The id does not depend on the signature, so both events can be made before either is signed."""
    revision, deletion = cancel(published(written()), NOW + 5)
    wire = json.loads(published(revision).to_json())
    assert wire["id"] == next(tags.values(deletion.tags, "e"))


def test_only_sessions_are_cancelled() -> None:
    """Another kind of event is refused."""
    with pytest.raises(LocalProtocolError):
        cancel(UnsignedEvent(INSTRUCTOR.pubkey, NOW, 1, (), ""), NOW)
