"""The door of the room."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.admission import (
    Admission,
    Admit,
    AwaitDoor,
    Door,
    DoorPolicy,
    DoorRole,
    Knock,
    Refuse,
    RefuseReason,
    WaitReason,
    decide,
)
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.rsvp import RsvpStatus

START = 10_000
LIVE = Door(state=SessionState.ACTIVE, scheduled_start=START)
GUEST = Knock()
IN = Admit(DoorRole.PARTICIPANT)
STAFF = (DoorRole.INSTRUCTOR, DoorRole.CO_HOST)


def ask(knock: Knock = GUEST, door: Door = LIVE, now: int = START, **policy: object) -> Admission:
    """The answer at the door."""
    return decide(knock, door, now, msgspec.structs.replace(DoorPolicy(), **policy))


def test_an_open_session_lets_everybody_in() -> None:
    """No list, no cap, no waiting room."""
    assert ask() == IN


def test_the_doors_open_a_quarter_of_an_hour_before() -> None:
    """Earlier people are told when to come back; from then on they wait for the start."""
    soon = Door(state=SessionState.SCHEDULED, scheduled_start=START)
    assert ask(door=soon, now=START - 901) == Refuse(RefuseReason.DOORS_CLOSED, START - 900)
    assert ask(door=soon, now=START - 900) == AwaitDoor(WaitReason.NOT_STARTED)


def test_a_session_that_was_started_early_has_open_doors() -> None:
    """Whatever the clock says."""
    assert ask(now=START - 5000) == IN


@pytest.mark.parametrize(
    ("state", "reason"), [(SessionState.ENDED, RefuseReason.ENDED), (SessionState.CANCELLED, RefuseReason.CANCELLED)]
)
def test_nobody_enters_what_is_over(state: SessionState, reason: RefuseReason) -> None:
    """Not even the instructor, who reopens it first."""
    door = msgspec.structs.replace(LIVE, state=state)
    for role in DoorRole:
        assert ask(Knock(role=role, admitted=True), door) == Refuse(reason)


def test_the_waiting_room_denies_by_default() -> None:
    """Until the instructor admits, which sticks; confirmed people enter by themselves only if that is configured."""
    door = msgspec.structs.replace(LIVE, waiting_room=True)
    confirmed = Knock(rsvp=RsvpStatus.CONFIRMED, has_seat=True)
    assert ask(GUEST, door) == AwaitDoor(WaitReason.INSTRUCTOR)
    assert ask(confirmed, door) == AwaitDoor(WaitReason.INSTRUCTOR)
    assert ask(Knock(admitted=True), door) == IN
    assert ask(confirmed, door, auto_admit_confirmed=True) == IN
    tentative = Knock(rsvp=RsvpStatus.TENTATIVE)
    assert ask(tentative, door, auto_admit_confirmed=True) == AwaitDoor(WaitReason.INSTRUCTOR)


@pytest.mark.parametrize("role", STAFF)
def test_instructor_and_co_hosts_always_pass(role: DoorRole) -> None:
    """Before the doors, past every list and into a full room, on rejoin too (jitsi-meet#7561)."""
    door = Door(
        state=SessionState.SCHEDULED, scheduled_start=START, rsvp_required=True, waiting_room=True, free_seats=0
    )
    assert ask(Knock(role=role, denied=True), door, now=0) == Admit(role)


def test_a_missing_rsvp_leads_to_the_waiting_room() -> None:
    """Not to a refusal; declined is like missing, tentative is an answer, and the instructor can let anybody in."""
    door = msgspec.structs.replace(LIVE, rsvp_required=True)
    assert ask(GUEST, door) == AwaitDoor(WaitReason.RSVP_REQUIRED)
    assert ask(Knock(rsvp=RsvpStatus.DECLINED), door) == AwaitDoor(WaitReason.RSVP_REQUIRED)
    assert ask(Knock(rsvp=RsvpStatus.TENTATIVE), door) == IN
    assert ask(Knock(admitted=True), door) == IN


def test_a_full_room_keeps_those_without_a_seat_waiting() -> None:
    """Also those whom the instructor lets in; a seat or a free one opens the door."""
    full = msgspec.structs.replace(LIVE, free_seats=0)
    assert ask(GUEST, full) == AwaitDoor(WaitReason.FULL)
    assert ask(Knock(admitted=True), full) == AwaitDoor(WaitReason.FULL)
    assert ask(Knock(rsvp=RsvpStatus.CONFIRMED, has_seat=True), full) == IN
    assert ask(GUEST, msgspec.structs.replace(LIVE, free_seats=1)) == IN


def test_a_kick_outweighs_everything_a_participant_has() -> None:
    """Admission, seat and RSVP."""
    kicked = Knock(denied=True, admitted=True, has_seat=True, rsvp=RsvpStatus.CONFIRMED)
    assert ask(kicked) == Refuse(RefuseReason.DENIED)


def test_three_devices_are_the_limit() -> None:
    """For everybody."""
    for role in DoorRole:
        assert ask(Knock(role=role, devices=2)) == Admit(role)
        assert ask(Knock(role=role, devices=3)) == Refuse(RefuseReason.TOO_MANY_DEVICES)


def test_newcomers_consent_before_they_enter_a_recorded_room() -> None:
    """The instructor too; but nobody is asked who could not enter anyway."""
    door = msgspec.structs.replace(LIVE, recording=True, waiting_room=True)
    for role in STAFF:
        assert ask(Knock(role=role), door) == AwaitDoor(WaitReason.CONSENT_REQUIRED)
        assert ask(Knock(role=role, consents=True), door) == Admit(role)
    assert ask(Knock(admitted=True), door) == AwaitDoor(WaitReason.CONSENT_REQUIRED)
    assert ask(Knock(admitted=True, consents=True), door) == IN
    assert ask(GUEST, door) == AwaitDoor(WaitReason.INSTRUCTOR)


_KNOCKS = st.builds(
    Knock,
    role=st.sampled_from(DoorRole),
    rsvp=st.none() | st.sampled_from(RsvpStatus),
    has_seat=st.booleans(),
    admitted=st.booleans(),
    denied=st.booleans(),
    devices=st.integers(0, 4),
    consents=st.booleans(),
)
_DOORS = st.builds(
    Door,
    state=st.sampled_from(SessionState),
    scheduled_start=st.just(START),
    rsvp_required=st.booleans(),
    waiting_room=st.booleans(),
    free_seats=st.none() | st.integers(0, 2),
    recording=st.booleans(),
)


@given(_KNOCKS, _DOORS, st.integers(START - 2000, START + 2000))
def test_no_participant_enters_past_a_closed_door(knock: Knock, door: Door, now: int) -> None:
    """A person who is let in was allowed to by every single rule."""
    if decide(knock, door, now) != IN:
        return
    assert door.state is SessionState.ACTIVE
    assert not knock.denied
    assert knock.devices < 3
    assert knock.has_seat or door.free_seats != 0
    assert knock.admitted or not door.waiting_room
    assert knock.consents or not door.recording


@given(_KNOCKS, _DOORS, st.integers(START - 2000, START + 2000))
def test_being_admitted_never_makes_it_worse(knock: Knock, door: Door, now: int) -> None:
    """A person who got in without the instructor's word gets in with it."""
    if isinstance(decide(knock, door, now), Admit):
        assert isinstance(decide(msgspec.structs.replace(knock, admitted=True), door, now), Admit)


@given(
    st.builds(
        Knock,
        rsvp=st.sampled_from([None, *RsvpStatus]),
        has_seat=st.booleans(),
        admitted=st.booleans(),
        is_guest=st.booleans(),
    ),
    st.booleans(),
    st.booleans(),
)
def test_nobody_enters_a_locked_room(knock: Knock, waiting_room: bool, auto: bool) -> None:
    """Whatever they answered and whoever let them in before; leaders do, and who is in it stays or comes back."""
    door = msgspec.structs.replace(LIVE, locked=True, waiting_room=waiting_room)
    assert ask(knock, door, auto_admit_confirmed=auto) == AwaitDoor(WaitReason.LOCKED)
    back = msgspec.structs.replace(knock, inside=True, admitted=True)
    assert ask(back, door) == IN
    for role in STAFF:
        assert ask(msgspec.structs.replace(knock, role=role), door) == Admit(role)
