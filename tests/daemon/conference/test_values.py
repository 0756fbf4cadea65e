"""The values of the engine interface."""

from __future__ import annotations

import msgspec
import pytest

from podium_daemon.conference.engine import Capabilities, Capability, Person, Support
from podium_daemon.conference.events import (
    Connection,
    ConnectionId,
    EngineEvent,
    EngineHealth,
    Joined,
    LeaveReason,
    Left,
    MediaUp,
    RecordingChanged,
    RecordingState,
    RoomClosed,
    RoomId,
    RoomOpened,
    RoomRole,
    TrackChange,
    TrackChanged,
    TrackKind,
)
from podium_protocol.errors import LocalProtocolError
from tests.support.conference import new_pubkey


def test_an_identity_names_key_and_device() -> None:
    """Engines with names of their own know a connection as key, hash sign, device."""
    pubkey = new_pubkey()
    assert Person(pubkey=pubkey, device="phone_1a-B").identity == f"{pubkey}#phone_1a-B"


@pytest.mark.parametrize("device", ["", "a b", "a#b", "a.b", "laptop\n", "ü", "\ud800", "x" * 65])
def test_a_device_that_could_pass_for_something_else_is_refused(device: str) -> None:
    """No hash sign, no newline, nothing long: an identity is read back by parting it at the hash sign."""
    with pytest.raises(LocalProtocolError):
        Person(pubkey=new_pubkey(), device=device)


def test_every_capability_has_an_answer() -> None:
    """The fields of the answers are the capabilities, one each."""
    assert set(Capabilities.__struct_fields__) == set(Capability)
    answers = Capabilities(**dict.fromkeys(Capability, Support.IN_ROOM))
    assert all(answers.support_of(capability) is Support.IN_ROOM for capability in Capability)


def test_events_travel_as_json_and_back() -> None:
    """Each event has a type of its own in JSON, with the page's spelling of its fields."""
    connection = Connection(ConnectionId("c"), RoomId("r"), new_pubkey(), "laptop", RoomRole.INSTRUCTOR)
    events: list[EngineEvent] = [
        RoomOpened(id="1", at=1, room=RoomId("r")),
        RoomClosed(id="2", at=2, room=RoomId("r")),
        Joined(id="3", at=3, connection=connection),
        MediaUp(id="4", at=4, connection=connection),
        Left(id="5", at=5, connection=connection, reason=LeaveReason.TIMEOUT),
        TrackChanged(id="6", at=6, connection=connection, kind=TrackKind.SCREEN, change=TrackChange.PUBLISHED),
        RecordingChanged(id="7", at=7, room=RoomId("r"), state=RecordingState.STARTED),
        EngineHealth(id="8", at=8, up=False, detail="gone"),
    ]
    raw = msgspec.json.encode(events)
    assert msgspec.json.decode(raw, type=list[EngineEvent]) == events
    assert [one["type"] for one in msgspec.json.decode(raw)] == [
        "roomOpened",
        "roomClosed",
        "joined",
        "mediaUp",
        "left",
        "trackChanged",
        "recordingChanged",
        "engineHealth",
    ]
