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
from podium_protocol.live.languages import LANGUAGES, N_
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
        policy_hashes: SHA-256 (hex) of the recording policy in force, in each of its languages.
        answers: the newest signed answer of each person.
    """

    state: SessionState
    allowed: bool
    e2ee: bool
    roster: Collection[Pubkey] | None
    policy_hashes: Collection[str]
    answers: Mapping[Pubkey, Consent | None]


def agrees(answer: Consent | None, policy_hashes: Collection[str]) -> bool:
    """Whether a person has signed yes to exactly this policy, in one of its languages.

    A yes to another text is consent to something else.
    """
    return answer is not None and answer.given and answer.policy_hash in policy_hashes


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
    missing = tuple(sorted(one for one in room.roster if not agrees(room.answers.get(one), room.policy_hashes)))
    return Objection(ObjectionReason.NOT_AGREED, missing) if missing else None


# -- who may see it

_AUDIENCE: Final[Mapping[RecordingAccess, str]] = MappingProxyType(
    {
        RecordingAccess.PARTICIPANTS: N_(
            "Who may see the recording: those who answered yes or maybe to this session, were invited or took part, "
            "and those who lead it."
        ),
        RecordingAccess.PUBLIC: N_("Who may see the recording: anybody."),
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


DEFAULT_POLICY: Final = N_(
    "This session may be recorded: picture, voice and shared screens of those who agree. You can withdraw at any time; "
    "recording then pauses at once."
)


def policy_words(words: str, german: str = "") -> dict[str, str]:
    """The service's own words of its policy, by the tags of the languages in which there are any.

    `words` are English, or the one text for all people; `german` may be empty: then the default's translation is used
    where `words` are the default, and else there is no German text.
    """
    if not german and words == DEFAULT_POLICY:
        german = LANGUAGES["de"].catalogue.gettext(DEFAULT_POLICY)
    return {"en": words, **({"de": german} if german else {})}


def policies_for(session: Shown, words: Mapping[str, str]) -> dict[str, str]:
    """The policy that people agree to, by language: the service's own `words`, and who may see this recording.

    Each text has its own hash, and a yes to one is as good as a yes to another.
    """
    audience = _AUDIENCE[access_of(session)]
    return {tag: f"{text.rstrip()} {LANGUAGES[tag].catalogue.gettext(audience)}" for tag, text in words.items()}


def policy_in(policies: Mapping[str, str], tag: str) -> str:
    """The policy in a language; where there is none in it, the text for all people."""
    return policies.get(tag) or policies["en"]
