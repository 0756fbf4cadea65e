"""Rooms: joining, the people in them, the controls of instructor and co-hosts; and the model's calling service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import Hex64, Model, PersonOut
from podium_daemon.api.login import SignedInOut


class ChallengeOut(Model):
    """What a join proof must contain (docs/wire-formats.md, Join proof)."""

    url: str
    method: str
    lesson_id: str
    nonce: str
    expires_at: int
    recording_policy: str
    recording_policy_hash: str
    notice: Annotated[str, Field(description="What becomes of the attendance, and what this service adds to that.")]
    attendance: Annotated[str, Field(description="public: the record is published; private: it is sealed.")]
    own_notice: Annotated[str, Field(description="What this service adds; may be empty.")]


class NameIn(Model):
    """`pubkey`: of the caller, where they are not signed in; their own name is not taken."""

    name: Annotated[str, Field(max_length=1000)]
    pubkey: Hex64 | None = None


class NameOut(Model):
    is_free: bool


class JoinOut(Model):
    """`admitted` or `waiting`; either way the room socket takes the token.

    `login`: what `POST /api/login` answers with, where the join proof has the tag `["login", "yes"]`.
    """

    state: Literal["admitted", "waiting"]
    reason: str | None
    socket_url: str
    token: Annotated[str, Field(repr=False)]
    expires_at: int
    login: SignedInOut | None = None


class RoomPerson(PersonOut):
    state: Annotated[
        Literal["present", "waiting", "removed"], Field(description="removed: turned away until they are admitted")
    ]
    role: str
    since: int
    waiting_for: Annotated[str | None, Field(description="why they are not let in yet")] = None
    assurance: Annotated[Literal["guest", "link"] | None, Field(description="of a guest: how they came")] = None


class HandOut(PersonOut):
    since: int


class ControlOut(Model):
    """`support`: this service can do it (native), people can in the meeting itself (in_room), or neither (none)."""

    support: Literal["native", "in_room", "none"]
    active: bool


class SpotlightOut(Model):
    """The person who is shown large to all; `support` as in a control."""

    support: Literal["native", "in_room", "none"]
    pubkey: str | None


class RoomOut(Model):
    """`people`, `hands` (in order) and `speakers` (exempt from mute-all) are for instructor and co-hosts.

    `auto_admit`: confirmed RSVPs pass the waiting room.
    """

    conference_room_id: str | None
    is_active: bool
    participant_count: int
    waiting_count: int
    people: tuple[RoomPerson, ...]
    hands: tuple[HandOut, ...]
    mute_all: ControlOut
    recording: ControlOut
    speakers: tuple[str, ...]
    spotlight: SpotlightOut
    auto_admit: bool


class LowerIn(Model):
    """Whose hands to lower: those of `pubkeys`, or all."""

    pubkeys: Sequence[Hex64] = ()
    everybody: bool = False


class SwitchIn(Model):
    on: bool


class MuteIn(Model):
    pubkey: Hex64
    kind: Literal["audio", "video", "screen"] = "audio"


class SpeakIn(Model):
    pubkey: Hex64
    on: bool


class SpotlightIn(Model):
    """The person to show large to all; null: no person."""

    pubkey: Hex64 | None


class AdmitIn(Model):
    """Whom to let in: `pubkeys`, or all who wait."""

    pubkeys: Sequence[Hex64] = ()
    everybody: bool = False


class RemoveIn(Model):
    pubkey: Hex64
    reason: str = ""


class ConferenceConfigIn(Model):
    """The model's "Conference Configuration"."""

    name: str
    max_participants: int | None = None
    waiting_room: bool
    allow_recording: bool
    e2ee_required: Annotated[bool, Field(alias="e2eeRequired")]
    instructor_pubkey: Hex64


class ConferenceRoomOut(Model):
    conference_room_id: str
    join_url: str


class ConferenceDetailsOut(Model):
    conference_room_id: str | None
    is_active: bool
    participant_count: int


class NamesIn(Model):
    """Whose names a page wants to show."""

    pubkeys: Annotated[Sequence[Hex64], Field(max_length=200)]


class PeopleNamesOut(Model):
    """The names of those who have one and belong to the session, by their keys."""

    names: dict[str, str]
