"""Recordings: their states, and when the policy allows one to run (semantics.md, "Room, consent, recording").

`TRANSITIONS` is the one table. Whether recording may go on is asked before it starts and whenever the roster or a
participant's answer changes; the same rule answers both, so a withdrawal stops what would not have been started.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import Pubkey
from podium_protocol.live.join_proof import Consent
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.session_spec import RecordingAccess, Visibility


class RecordingStage(StrEnum):
    """The stage of one run's recording. The model's states begin with the end of the session: see `shown`."""

    RECORDING = "recording"
    PAUSED = "paused"
    PENDING = "pending"
    PROCESSING = "processing"
    REVIEW = "review"
    AVAILABLE = "available"
    UNPUBLISHED = "unpublished"
    DELETED = "deleted"
    FAILED = "failed"

    @property
    def shown(self) -> str:
        """The name in the API: none, pending, processing, review, available, unpublished, deleted, failed."""
        return "none" if self in (RecordingStage.RECORDING, RecordingStage.PAUSED) else self.value


TRANSITIONS: Final[Mapping[RecordingStage, frozenset[RecordingStage]]] = MappingProxyType(
    {
        RecordingStage.RECORDING: frozenset({RecordingStage.PAUSED, RecordingStage.PENDING}),
        RecordingStage.PAUSED: frozenset({RecordingStage.RECORDING, RecordingStage.PENDING}),
        RecordingStage.PENDING: frozenset({RecordingStage.PROCESSING, RecordingStage.FAILED}),
        # back to pending: the process that mixed it died, and the tracks are still there
        RecordingStage.PROCESSING: frozenset(
            {RecordingStage.PENDING, RecordingStage.REVIEW, RecordingStage.AVAILABLE, RecordingStage.FAILED}
        ),
        RecordingStage.FAILED: frozenset({RecordingStage.PENDING, RecordingStage.DELETED}),
        RecordingStage.REVIEW: frozenset({RecordingStage.AVAILABLE, RecordingStage.DELETED}),
        RecordingStage.AVAILABLE: frozenset({RecordingStage.UNPUBLISHED, RecordingStage.DELETED}),
        RecordingStage.UNPUBLISHED: frozenset({RecordingStage.AVAILABLE, RecordingStage.DELETED}),
        RecordingStage.DELETED: frozenset(),
    }
)


class IllegalStage(LocalProtocolError):
    """The table has no such move. Nothing was changed."""


def moved(stage: RecordingStage, to: RecordingStage) -> RecordingStage:
    """Return the stage `to`, if the table allows the move.

    Raises:
        IllegalStage: the table has no such move.
    """
    if to not in TRANSITIONS[stage]:
        raise IllegalStage(f"a recording that is {stage} cannot become {to}")
    return to


class ObjectionReason(StrEnum):
    """Why nothing may be recorded now."""

    E2EE = "e2ee"
    NOT_ALLOWED = "recording_not_allowed"
    NOT_LIVE = "not_live"
    ROSTER_UNKNOWN = "roster_unknown"
    NOBODY_PRESENT = "nobody_present"
    NOT_AGREED = "not_agreed"


class Objection(msgspec.Struct, frozen=True):
    """The reason, and the people who have not agreed."""

    reason: ObjectionReason
    people: tuple[Pubkey, ...] = ()


class RoomToRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The room as the rule sees it.

    Args:
        state: of the session.
        allowed: the model's `allowRecording`, as the instructor signed it.
        e2ee: the model's `e2eeRequired`.
        roster: who is in the room now; None where the engine does not say.
        policy_hash: SHA-256 (hex) of the recording policy in force.
        answers: the newest signed answer of each person.
    """

    state: SessionState
    allowed: bool
    e2ee: bool
    roster: Collection[Pubkey] | None
    policy_hash: str
    answers: Mapping[Pubkey, Consent | None]


def agrees(answer: Consent | None, policy_hash: str) -> bool:
    """Whether a person has signed yes to exactly this policy: a yes to another text is consent to something else."""
    return answer is not None and answer.given and answer.policy_hash == policy_hash


def objection(room: RoomToRecord) -> Objection | None:
    """Why `room` must not be recorded now, or None."""
    if room.e2ee:  # the recorder would hold the key
        return Objection(ObjectionReason.E2EE)
    if not room.allowed:
        return Objection(ObjectionReason.NOT_ALLOWED)
    if room.state is not SessionState.ACTIVE:
        return Objection(ObjectionReason.NOT_LIVE)
    if room.roster is None:
        return Objection(ObjectionReason.ROSTER_UNKNOWN)
    if not room.roster:
        return Objection(ObjectionReason.NOBODY_PRESENT)
    missing = tuple(sorted(one for one in room.roster if not agrees(room.answers.get(one), room.policy_hash)))
    return Objection(ObjectionReason.NOT_AGREED, missing) if missing else None


# -- who may see it

_AUDIENCE: Final[Mapping[RecordingAccess, str]] = MappingProxyType(
    {
        RecordingAccess.PARTICIPANTS: (
            "Who may see the recording: those who answered yes or maybe to this session, were invited or took part, "
            "and those who lead it."
        ),
        RecordingAccess.PUBLIC: "Who may see the recording: anybody.",
    }
)


class Shown(Protocol):
    """The fields of a session that decide who may see its recording; `LiveSessionRow` has them."""

    @property
    def visibility(self) -> str: ...
    @property
    def recording_access(self) -> str | None: ...


def access_of(session: Shown, agreed: str | None = RecordingAccess.PUBLIC) -> RecordingAccess:
    """Who may see the recording of a session; `agreed` is the access that the recorded people agreed to, if any.

    A later change cannot publish what was agreed to for participants only, and a private session has no public
    recording.
    """
    said = (session.recording_access, agreed)
    if session.visibility == Visibility.PRIVATE or any(one != RecordingAccess.PUBLIC for one in said):
        return RecordingAccess.PARTICIPANTS
    return RecordingAccess.PUBLIC


def policy_for(session: Shown, words: str) -> str:
    """The policy that people agree to: the service's own `words`, and who may see the recording of this session."""
    return f"{words.rstrip()} {_AUDIENCE[access_of(session)]}"
