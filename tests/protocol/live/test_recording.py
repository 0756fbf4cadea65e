"""When a room may be recorded, and the states of a recording."""

from __future__ import annotations

import hashlib
import itertools

import msgspec
import pytest

from podium_protocol.events import Pubkey
from podium_protocol.live.join_proof import Consent
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.recording import (
    DEFAULT_POLICY,
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
    policies_for,
    policy_in,
    policy_words,
)

ADA, BEN = Pubkey("a" * 64), Pubkey("b" * 64)
POLICY = "1" * 64
YES, NO, OLD = Consent(True, POLICY), Consent(False, POLICY), Consent(True, "2" * 64)
ROOM = RoomToRecord(
    state=SessionState.ACTIVE,
    allowed=True,
    e2ee=False,
    roster=(ADA, BEN),
    policy_hashes=(POLICY,),
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
    assert [agrees(answer, (POLICY,)) for answer in (YES, NO, OLD, None)] == [True, False, False, False]


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


def test_a_yes_to_the_policy_in_another_of_its_languages_is_one() -> None:
    """People in one room read it in German and in English, and no one of them has to sign it twice."""
    german = "3" * 64
    both = msgspec.structs.replace(ROOM, policy_hashes={POLICY, german})
    answers = {ADA: YES, BEN: Consent(True, german)}
    assert objection(msgspec.structs.replace(both, answers=answers)) is None
    assert objection(msgspec.structs.replace(both, answers=answers | {BEN: OLD})) == Objection(
        ObjectionReason.NOT_AGREED, (BEN,)
    )


def _in_english(session: _Session, words: str) -> str:
    return policies_for(session, {"en": words})["en"]


def test_the_policy_says_who_may_see_the_recording() -> None:
    """Other words for another audience: a yes to the one is none to the other."""
    words = "We record."
    public, narrow = _in_english(_Session("public"), words), _in_english(_Session("participants"), words)
    assert public == "We record. Who may see the recording: anybody."
    assert narrow.startswith("We record. Who may see the recording: those who answered yes or maybe")
    assert _in_english(_Session("public", "private"), words) == narrow


def test_the_policy_is_in_one_language_throughout() -> None:
    """The service's words and who may see the recording: in German for those who read German."""
    policies = policies_for(_Session("public"), policy_words("We record.", "Wir zeichnen auf."))
    assert policies == {
        "en": "We record. Who may see the recording: anybody.",
        "de": "Wir zeichnen auf. Wer die Aufzeichnung sehen darf: alle.",
    }
    assert policy_in(policies, "de") == policies["de"]


def test_a_policy_of_the_services_own_is_not_replaced_by_a_translation_of_the_default() -> None:
    """German readers are then shown the one text there is, and what they are shown is what they sign."""
    assert set(policy_words(DEFAULT_POLICY)) == {"en", "de"}
    policies = policies_for(_Session("public"), policy_words("We record."))
    assert policy_in(policies, "de") == policies["en"]


def test_old_consents_to_the_default_policy_stay_good() -> None:
    """Its English text is, to the byte, the one that people have signed since the first version."""
    policies = policies_for(_Session("participants"), policy_words(DEFAULT_POLICY))
    signed = hashlib.sha256(policies["en"].encode()).hexdigest()
    assert signed == "ad90a0f0371e943761cf20df420a8938919e84a3e6a84596a63b2c26a60798bd"
