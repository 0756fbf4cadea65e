"""The door of the room: who enters, who waits, who is turned away (semantics.md, "Room"; conference.md, "Identity").

Asked after the join proof was checked, and again whenever one of the facts changes for a person who waits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.rsvp import RsvpStatus


class DoorRole(StrEnum):
    """A person's role in the room."""

    INSTRUCTOR = "instructor"
    CO_HOST = "co-host"
    PARTICIPANT = "participant"

    @property
    def is_staff(self) -> bool:
        """Whether the role is instructor or co-host."""
        return self is not DoorRole.PARTICIPANT


class DoorPolicy(msgspec.Struct, frozen=True):
    """Seconds before the start, an option, and devices per person."""

    doors_before: int = 900
    auto_admit_confirmed: bool = False
    max_devices: int = 3


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """The session as its door sees it.

    Args:
        state: of the session.
        scheduled_start: Unix seconds.
        rsvp_required: the model's `requiresRSVP`.
        waiting_room: the model's `waitingRoom`.
        free_seats: seats that no participant holds (`seats.free_seats`), minus the people in the room without a seat;
            None without a cap.
        recording: the room is being recorded now.
        locked: the leaders have closed the room: who is in stays, others wait until they open it.
    """

    state: SessionState
    scheduled_start: int
    rsvp_required: bool = False
    waiting_room: bool = False
    free_seats: int | None = None
    recording: bool = False
    locked: bool = False


class Knock(msgspec.Struct, frozen=True, kw_only=True):
    """One person at the door with one more device.

    Args:
        role: the person's.
        rsvp: the RSVP in force, if any.
        has_seat: they hold a seat (`seats.allocate`).
        admitted: the instructor has let them in during this session; it sticks, on every device.
        denied: they were removed from the session.
        devices: connections they have in the room already.
        consents: they said yes to this session's recording policy.
        inside: they are in the room, or were when it was locked, or come back to a seat that they lost.
        is_guest: only the name that they gave is known of them: where there is a waiting room, they wait.
    """

    role: DoorRole = DoorRole.PARTICIPANT
    rsvp: RsvpStatus | None = None
    has_seat: bool = False
    admitted: bool = False
    denied: bool = False
    devices: int = 0
    consents: bool = False
    inside: bool = False
    is_guest: bool = False


class WaitReason(StrEnum):
    """What a person in the waiting room waits for."""

    NOT_STARTED = "not_started"
    LOCKED = "locked"
    RSVP_REQUIRED = "rsvp_required"
    FULL = "full"
    CONSENT_REQUIRED = "consent_required"
    INSTRUCTOR = "instructor"


class RefuseReason(StrEnum):
    """Why a person is turned away."""

    CANCELLED = "cancelled"
    ENDED = "ended"
    DENIED = "denied"
    TOO_MANY_DEVICES = "too_many_devices"
    DOORS_CLOSED = "doors_closed"


class Admit(msgspec.Struct, frozen=True):
    """Let the person enter with this role."""

    role: DoorRole


class AwaitDoor(msgspec.Struct, frozen=True):
    """Keep the person in the waiting room."""

    reason: WaitReason


class Refuse(msgspec.Struct, frozen=True):
    """Turn the person away; `opens_at` (Unix seconds) is when it is worth trying again, if ever."""

    reason: RefuseReason
    opens_at: int | None = None


Admission: TypeAlias = Admit | AwaitDoor | Refuse

DEFAULT_POLICY: Final = DoorPolicy()


def decide(knock: Knock, door: Door, now: int, policy: DoorPolicy = DEFAULT_POLICY) -> Admission:
    """Decide whether the person enters now, waits, or is turned away. `now` is Unix seconds.

    Instructor and co-hosts always pass, also when they rejoin, before the doors open and whatever the lists say. Like
    all participants they are stopped only by the end of the session, by the number of devices and, while recording, by
    missing consent. A person whose RSVP is missing or declined goes to the waiting room, and the instructor can let
    them in from there.
    """
    return _refusal(knock, door, now, policy) or _obstacle(knock, door, policy) or Admit(knock.role)


def _refusal(knock: Knock, door: Door, now: int, policy: DoorPolicy) -> Refuse | None:
    if door.state is SessionState.CANCELLED:
        return Refuse(RefuseReason.CANCELLED)
    if door.state is SessionState.ENDED:
        return Refuse(RefuseReason.ENDED)
    if knock.denied and not knock.role.is_staff:
        return Refuse(RefuseReason.DENIED)
    if knock.devices >= policy.max_devices:
        return Refuse(RefuseReason.TOO_MANY_DEVICES)
    opens_at = door.scheduled_start - policy.doors_before
    if door.state is SessionState.SCHEDULED and now < opens_at and not knock.role.is_staff:
        return Refuse(RefuseReason.DOORS_CLOSED, opens_at)
    return None


def _obstacle(knock: Knock, door: Door, policy: DoorPolicy) -> AwaitDoor | None:
    reason = None if knock.role.is_staff else _reason_to_wait(knock, door, policy)
    if reason is None and door.recording and not knock.consents:
        reason = WaitReason.CONSENT_REQUIRED  # last, so that people are asked only when they could enter
    return None if reason is None else AwaitDoor(reason)


def _reason_to_wait(knock: Knock, door: Door, policy: DoorPolicy) -> WaitReason | None:
    if door.state is SessionState.SCHEDULED:
        return WaitReason.NOT_STARTED
    if door.locked and not knock.inside:
        return WaitReason.LOCKED  # before all else: also those who confirmed or were let in before
    if not knock.has_seat and door.free_seats == 0:
        return WaitReason.FULL  # also for those whom the instructor lets in: the cap is the room's
    if knock.admitted:
        return None
    if door.rsvp_required and knock.rsvp in (None, RsvpStatus.DECLINED):
        return WaitReason.RSVP_REQUIRED
    invited_in = policy.auto_admit_confirmed and knock.rsvp is RsvpStatus.CONFIRMED and not knock.is_guest
    return WaitReason.INSTRUCTOR if door.waiting_room and not invited_in else None
