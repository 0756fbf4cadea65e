"""The door of the room: who enters, who waits, who is turned away (semantics.md, "Room"; conference.md, "Identity").

Asked after the join proof was checked, and again whenever one of the facts changes for somebody who waits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from podium_protocol.live.lifecycle import State
from podium_protocol.live.rsvp import RsvpStatus


class DoorRole(StrEnum):
    """Who somebody is in the room."""

    INSTRUCTOR = "instructor"
    CO_HOST = "co-host"
    PARTICIPANT = "participant"

    @property
    def is_staff(self) -> bool:
        """Instructor and co-hosts."""
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
        waiting_room: the model's.
        free_seats: seats that nobody holds (`seats.free_seats`), less the people in the room who hold none; None
            without a cap.
        recording: the room is being recorded now.
    """

    state: State
    scheduled_start: int
    rsvp_required: bool = False
    waiting_room: bool = False
    free_seats: int | None = None
    recording: bool = False


class Knock(msgspec.Struct, frozen=True, kw_only=True):
    """One person at the door with one more device.

    Args:
        role: of the person.
        rsvp: the RSVP in force, if any.
        has_seat: they hold a seat (`seats.allocate`).
        admitted: the instructor has let them in during this session; it sticks, on every device.
        denied: they were removed from the session.
        devices: connections they have in the room already.
        consents: they said yes to this session's recording policy.
    """

    role: DoorRole = DoorRole.PARTICIPANT
    rsvp: RsvpStatus | None = None
    has_seat: bool = False
    admitted: bool = False
    denied: bool = False
    devices: int = 0
    consents: bool = False


class WaitReason(StrEnum):
    """What somebody in the waiting room waits for."""

    NOT_STARTED = "not_started"
    RSVP_REQUIRED = "rsvp_required"
    FULL = "full"
    CONSENT_REQUIRED = "consent_required"
    INSTRUCTOR = "instructor"


class RefuseReason(StrEnum):
    """Why somebody is turned away."""

    CANCELLED = "cancelled"
    ENDED = "ended"
    DENIED = "denied"
    TOO_MANY_DEVICES = "too_many_devices"
    DOORS_CLOSED = "doors_closed"


class Admit(msgspec.Struct, frozen=True):
    """Give them a room token with this role."""

    role: DoorRole


class AwaitDoor(msgspec.Struct, frozen=True):
    """Keep them in the waiting room."""

    reason: WaitReason


class Refuse(msgspec.Struct, frozen=True):
    """Turn them away; `opens_at` where coming back then is worth it."""

    reason: RefuseReason
    opens_at: int | None = None


Admission: TypeAlias = Admit | AwaitDoor | Refuse

DEFAULT_POLICY: Final = DoorPolicy()


def decide(knock: Knock, door: Door, now: int, policy: DoorPolicy = DEFAULT_POLICY) -> Admission:
    """Whether the person enters now.

    Instructor and co-hosts always pass, on rejoin too, before the doors open and whatever the lists say; only the end
    of the session, the number of devices and, while recording, the missing consent stop them as they stop everybody.
    An RSVP that is missing or declined leads to the waiting room, where the instructor can let its owner in.
    """
    return _refusal(knock, door, now, policy) or _obstacle(knock, door, policy) or Admit(knock.role)


def _refusal(knock: Knock, door: Door, now: int, policy: DoorPolicy) -> Refuse | None:
    if door.state is State.CANCELLED:
        return Refuse(RefuseReason.CANCELLED)
    if door.state is State.ENDED:
        return Refuse(RefuseReason.ENDED)
    if knock.denied and not knock.role.is_staff:
        return Refuse(RefuseReason.DENIED)
    if knock.devices >= policy.max_devices:
        return Refuse(RefuseReason.TOO_MANY_DEVICES)
    opens_at = door.scheduled_start - policy.doors_before
    if door.state is State.SCHEDULED and now < opens_at and not knock.role.is_staff:
        return Refuse(RefuseReason.DOORS_CLOSED, opens_at)
    return None


def _obstacle(knock: Knock, door: Door, policy: DoorPolicy) -> AwaitDoor | None:
    reason = None if knock.role.is_staff else _reason_to_wait(knock, door, policy)
    if reason is None and door.recording and not knock.consents:
        reason = WaitReason.CONSENT_REQUIRED  # last, so that nobody is asked before they could enter
    return None if reason is None else AwaitDoor(reason)


def _reason_to_wait(knock: Knock, door: Door, policy: DoorPolicy) -> WaitReason | None:
    if door.state is State.SCHEDULED:
        return WaitReason.NOT_STARTED
    if not knock.has_seat and door.free_seats == 0:
        return WaitReason.FULL  # also for those whom the instructor lets in: the cap is the room's
    if knock.admitted:
        return None
    if door.rsvp_required and knock.rsvp in (None, RsvpStatus.DECLINED):
        return WaitReason.RSVP_REQUIRED
    invited_in = policy.auto_admit_confirmed and knock.rsvp is RsvpStatus.CONFIRMED
    return WaitReason.INSTRUCTOR if door.waiting_room and not invited_in else None
