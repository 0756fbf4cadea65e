"""When a room may be recorded, and the states of a recording."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from podium_protocol.events import Pubkey
from podium_protocol.live.join_proof import Consent
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.recording import (
    TRANSITIONS,
    IllegalStage,
    Objection,
    ObjectionReason,
    RecordingStage,
    RoomToRecord,
    access_of,
    agrees,
    moved,
    objection,
    policy_for,
)

ADA, BEN = Pubkey("a" * 64), Pubkey("b" * 64)
POLICY = "1" * 64
YES, NO, OLD = Consent(True, POLICY), Consent(False, POLICY), Consent(True, "2" * 64)
ROOM = RoomToRecord(
    state=SessionState.ACTIVE,
    allowed=True,
    e2ee=False,
    roster=(ADA, BEN),
    policy_hash=POLICY,
    answers={ADA: YES, BEN: YES},
)


def test_a_room_in_which_everybody_agreed_may_be_recorded() -> None:
    """No objection."""
    assert objection(ROOM) is None


@pytest.mark.parametrize(
    ("changes", "reason", "people"),
    [
        ({"e2ee": True}, ObjectionReason.E2EE, ()),
        ({"allowed": False}, ObjectionReason.NOT_ALLOWED, ()),
        ({"state": SessionState.SCHEDULED}, ObjectionReason.NOT_LIVE, ()),
        ({"state": SessionState.ENDED}, ObjectionReason.NOT_LIVE, ()),
        ({"roster": None}, ObjectionReason.ROSTER_UNKNOWN, ()),
        ({"roster": ()}, ObjectionReason.NOBODY_PRESENT, ()),
        ({"answers": {ADA: YES}}, ObjectionReason.NOT_AGREED, (BEN,)),
        ({"answers": {ADA: YES, BEN: None}}, ObjectionReason.NOT_AGREED, (BEN,)),
        ({"answers": {ADA: NO, BEN: OLD}}, ObjectionReason.NOT_AGREED, (ADA, BEN)),
        # whatever else is amiss, encryption comes first: no consent would change it
        ({"e2ee": True, "answers": {}, "roster": None}, ObjectionReason.E2EE, ()),
    ],
)
def test_each_objection_has_its_reason(
    changes: dict[str, object], reason: ObjectionReason, people: tuple[Pubkey, ...]
) -> None:
    """semantics.md, "Consent" and "E2EE", clause by clause; who has not agreed is named."""
    assert objection(msgspec.structs.replace(ROOM, **changes)) == Objection(reason, people)


def test_somebody_who_has_left_is_not_asked() -> None:
    """Only those present count: an old no of another person is no objection."""
    assert objection(msgspec.structs.replace(ROOM, roster=(ADA,), answers={ADA: YES, BEN: NO})) is None


def test_only_a_yes_to_this_policy_is_one() -> None:
    """A no, silence, and a yes to another text are not."""
    assert [agrees(answer, POLICY) for answer in (YES, NO, OLD, None)] == [True, False, False, False]


def test_only_the_moves_of_the_table_are_possible() -> None:
    """Every other move raises and changes nothing."""
    for stage, to in itertools.product(RecordingStage, RecordingStage):
        if to in TRANSITIONS[stage]:
            assert moved(stage, to) is to
        else:
            with pytest.raises(IllegalStage):
                moved(stage, to)


def test_nothing_is_available_that_was_not_processed() -> None:
    """One way leads there, with a look at it or without; what was taken back can be published again."""
    ways = [stage for stage in RecordingStage if RecordingStage.AVAILABLE in TRANSITIONS[stage]]
    assert ways == ["processing", "review", "unpublished"]
    assert [stage for stage in RecordingStage if RecordingStage.REVIEW in TRANSITIONS[stage]] == ["processing"]


def test_what_is_deleted_stays_so() -> None:
    """Nothing is left to make another state of."""
    assert TRANSITIONS[RecordingStage.DELETED] == frozenset()


def test_the_states_that_are_shown() -> None:
    """semantics.md, "Recording states"; a recording that runs, or is paused, is none yet."""
    shown = {stage.shown for stage in RecordingStage}
    assert shown == {"none", "pending", "processing", "review", "available", "unpublished", "deleted", "failed"}


class _Session(msgspec.Struct):
    recording_access: str | None
    visibility: str = "public"


@pytest.mark.parametrize("said", ["public", "participants", None])
@pytest.mark.parametrize("visibility", ["public", "private"])
@pytest.mark.parametrize("agreed", ["public", "participants", None])
def test_a_recording_is_public_only_where_everything_says_so(
    said: str | None, visibility: str, agreed: str | None
) -> None:
    """The session, its visibility, and what those were told who agreed to be in it."""
    everything = said == visibility == agreed == "public"
    assert (access_of(_Session(said, visibility), agreed) == "public") is everything


def test_the_policy_says_who_may_see_the_recording() -> None:
    """Other words for another audience: a yes to the one is none to the other."""
    words = "We record."
    public, narrow = policy_for(_Session("public"), words), policy_for(_Session("participants"), words)
    assert public == "We record. Who may see the recording: anybody."
    assert narrow.startswith("We record. Who may see the recording: those who answered yes or maybe")
    assert policy_for(_Session("public", "private"), words) == narrow
