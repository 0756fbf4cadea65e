"""The badge of a session: what is written is read again, and nobody else's badge is taken for it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import UnsignedEvent
from podium_protocol.live.badge import (
    BadgeAward,
    badge_address,
    read_badge_award,
    read_badge_definition,
    write_badge_award,
    write_badge_definition,
)
from tests.support.events import NOW, key_of

INSTRUCTOR, PARTICIPANT, STRANGER = (key_of(number).pubkey for number in range(1, 4))
SESSION = Address(kinds.SESSION, INSTRUCTOR, "knots")
AWARD = write_badge_award(SESSION, PARTICIPANT, relay_hint="wss://relay.example", now=NOW)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_what_is_written_is_read_again(identifier: str) -> None:
    """Definition and award name the session by whatever `d` it has."""
    session = Address(kinds.SESSION, INSTRUCTOR, identifier)
    definition = write_badge_definition(session, title="Knots", service_name="Harbour school", now=NOW)
    award = write_badge_award(session, PARTICIPANT, relay_hint="", now=NOW)
    assert Address.from_event(definition) == badge_address(session)
    assert read_badge_definition(definition) == session
    assert read_badge_award(award) == BadgeAward(session, PARTICIPANT)


def test_the_definition_says_what_it_is_for() -> None:
    """It has the title on one line and who observed it, and leads to the session."""
    definition = write_badge_definition(SESSION, title="Knots\nfor all", service_name="Harbour school", now=NOW)
    assert {tag[0]: tag[1] for tag in definition.tags} == {
        "d": "completed:knots",
        "name": "Knots for all",
        "description": "Completed the live session “Knots for all”, as Harbour school observed.",
        "a": str(SESSION),
    }


@pytest.mark.parametrize(
    "event",
    [
        msgspec.structs.replace(AWARD, pubkey=STRANGER),
        msgspec.structs.replace(AWARD, kind=kinds.REACTION),
        msgspec.structs.replace(AWARD, tags=(*AWARD.tags, ("p", STRANGER))),
        msgspec.structs.replace(AWARD, tags=(*AWARD.tags, AWARD.tags[0])),
        msgspec.structs.replace(AWARD, tags=(("a", str(SESSION)), ("p", PARTICIPANT))),
        msgspec.structs.replace(AWARD, tags=(("a", f"30009:{INSTRUCTOR}:bravery"), ("p", PARTICIPANT))),
        msgspec.structs.replace(AWARD, tags=(AWARD.tags[0], ("p", "0" * 64))),
        msgspec.structs.replace(AWARD, tags=()),
    ],
    ids=["by another", "another kind", "two people", "two badges", "no badge", "another badge", "no key", "nothing"],
)
def test_what_is_no_award_of_the_session_is_none(event: UnsignedEvent) -> None:
    """Another author's award, or one to several people, is not read as an award of this session."""
    assert read_badge_award(event) is None


def test_a_session_with_a_long_d_has_no_badge() -> None:
    """A `d` of 255 bytes leaves no room for the prefix: there is no address, and nothing is written."""
    session = Address(kinds.SESSION, INSTRUCTOR, "k" * 255)
    assert badge_address(session) is None
    with pytest.raises(ValueError, match="too long"):
        write_badge_award(session, PARTICIPANT, relay_hint="", now=NOW)
