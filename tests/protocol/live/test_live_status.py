"""The room and the live status (NIP-53)."""

from __future__ import annotations

import msgspec
import pytest

from podium_protocol import tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, UnsignedEvent
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.live_status import (
    Meeting,
    MeetingStatus,
    Space,
    SpaceStatus,
    read_meeting,
    write_live_event,
    write_meeting,
    write_space,
)
from tests.support.events import NOW, key_of

INSTRUCTOR, SERVICE = key_of(1), key_of(2)
RELAY = "wss://relay.example"
MEETING = Meeting(
    identifier="room-1",
    space=Address(30312, SERVICE.pubkey, "podium"),
    session=Address(31923, INSTRUCTOR.pubkey, "knots"),
    title="Knots",
    summary="Six knots",
    status=MeetingStatus.LIVE,
    starts_at=NOW,
    ends_at=NOW + 3600,
    current_participants=7,
    total_participants=9,
)


def written(meeting: Meeting = MEETING, previous: int | None = None) -> UnsignedEvent:
    """The kind 30313 event."""
    return write_meeting(meeting, service=SERVICE.pubkey, relay_hint=RELAY, now=NOW, previous_created_at=previous)


def with_tag(*row: str) -> UnsignedEvent:
    """The event with one tag replaced."""
    event = written()
    return msgspec.structs.replace(event, tags=(*(old for old in event.tags if old[0] != row[0]), row))


def test_the_room_is_the_one_of_nip_53() -> None:
    """All required tags, with the service as its host."""
    space = Space(
        identifier="podium",
        name="Podium",
        service_url="https://podium.example",
        status=SpaceStatus.PRIVATE,
        summary="Courses",
        endpoint="https://podium.example/api",
        relays=(RELAY,),
    )
    event = write_space(space, service=SERVICE.pubkey, relay_hint=RELAY, now=NOW, previous_created_at=NOW)
    assert (event.kind, event.created_at) == (30312, NOW + 1)
    assert event.tags == (
        ("d", "podium"),
        ("room", "Podium"),
        ("summary", "Courses"),
        ("status", "private"),
        ("service", "https://podium.example"),
        ("endpoint", "https://podium.example/api"),
        ("p", SERVICE.pubkey, RELAY, "Host"),
        ("relays", RELAY),
        ("alt", "Room for live sessions: Podium"),
    )


def test_the_status_has_counts_and_no_roster() -> None:
    """`starts` and `ends`, not `start` and `end`; nobody but the instructor is named."""
    assert written().tags == (
        ("d", "room-1"),
        ("a", f"30312:{SERVICE.pubkey}:podium", RELAY),
        ("a", f"31923:{INSTRUCTOR.pubkey}:knots", RELAY),
        ("title", "Knots"),
        ("summary", "Six knots"),
        ("starts", str(NOW)),
        ("ends", str(NOW + 3600)),
        ("status", "live"),
        ("current_participants", "7"),
        ("total_participants", "9"),
        ("p", INSTRUCTOR.pubkey, RELAY, "Host"),
        ("alt", "Live session: Knots (live)"),
    )


def test_an_ended_meeting_has_a_recording_and_nobody_in_it() -> None:
    """The recording appears after the end only."""
    there = msgspec.structs.replace(MEETING, recording_url="https://files.example/1.webm")
    assert tags.first(written(there).tags, "recording") is None
    ended = written(msgspec.structs.replace(there, status=MeetingStatus.ENDED))
    assert tags.first(ended.tags, "recording") == "https://files.example/1.webm"
    assert tags.first(ended.tags, "current_participants") == "0"
    assert tags.first(ended.tags, "total_participants") == "9"


def test_pinned_messages_are_tags_of_their_own() -> None:
    """NIP-53's `pinned`, one for each; what is no event id is not read."""
    event = written(msgspec.structs.replace(MEETING, pinned=(EventId("ab" * 32),)))
    assert ("pinned", "ab" * 32) in event.tags
    read = read_meeting(msgspec.structs.replace(event, tags=(*event.tags, ("pinned", "zz"))))
    assert read is not None
    assert read.pinned == ("ab" * 32,)


def test_a_refresh_is_newer() -> None:
    """Clients take a live status without an update for an hour as ended."""
    assert written(previous=NOW).created_at == NOW + 1


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (SessionState.SCHEDULED, MeetingStatus.PLANNED),
        (SessionState.ACTIVE, MeetingStatus.LIVE),
        (SessionState.ENDED, MeetingStatus.ENDED),
        (SessionState.CANCELLED, MeetingStatus.ENDED),
    ],
)
def test_states_have_their_status(state: SessionState, status: MeetingStatus) -> None:
    """NIP-53 has no word for cancelled."""
    assert MeetingStatus.from_state(state) is status


def test_what_is_written_is_read_back() -> None:
    """With the time of the event, and the recording once it has ended."""
    ended = msgspec.structs.replace(
        MEETING, status=MeetingStatus.ENDED, current_participants=0, recording_url="https://files.example/1.webm"
    )
    open_end = msgspec.structs.replace(MEETING, ends_at=None, summary="")
    pinned = msgspec.structs.replace(MEETING, pinned=(EventId("ab" * 32), EventId("cd" * 32)))
    for meeting in (MEETING, ended, open_end, pinned):
        assert read_meeting(written(meeting)) == msgspec.structs.replace(meeting, created_at=NOW)


@pytest.mark.parametrize(
    "row", [("starts", "0"), ("starts", "soon"), ("status", "cancelled"), ("d", ""), ("a", "30312:x:y")]
)
def test_an_unusable_status_is_none(row: tuple[str, ...]) -> None:
    """Missing or malformed time, status, identifier and addresses."""
    assert read_meeting(with_tag(*row)) is None


def test_a_meeting_of_others_is_none() -> None:
    """Without a session of ours it is another application's meeting; another kind is none at all."""
    event = written()
    rows = tuple(row for row in event.tags if not row[1].startswith("31923:"))
    assert read_meeting(msgspec.structs.replace(event, tags=rows)) is None
    assert read_meeting(msgspec.structs.replace(event, kind=30311)) is None


def test_the_mirror_for_streaming_clients_says_the_same() -> None:
    """Kind 30311 with the same state and the session's address, without the room."""
    mirror = write_live_event(MEETING, service=SERVICE.pubkey, relay_hint=RELAY, now=NOW)
    assert mirror.kind == 30311
    assert mirror.tags == (written().tags[0], *written().tags[2:])
