"""`podium badges`: asked for, listed and signed."""

from __future__ import annotations

import json
import time

import pytest

from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.live.badge import read_badge_award, write_badge_award, write_badge_definition
from podium_protocol.nips.nip19 import encode_npub
from tests.daemon.cli.conftest import CommandLine, Knots
from tests.support.relays import new_key
from tests.support.scripted_daemon import Call, Reply, ScriptedDaemon, as_json

ANA, STRANGER = new_key().pubkey, new_key().pubkey


class Desk:
    """A session that one participant completed and asks a badge for."""

    def __init__(self, knots: Knots) -> None:
        self.knots = knots
        self.award_id: str | None = None
        self.names: Pubkey = ANA

    def asked(self, _call: Call) -> Reply:
        """Who asked."""
        one = {"pubkey": ANA, "npub": encode_npub(ANA), "name": "Ana", "askedAt": 1, "awardId": self.award_id}
        return as_json({"badges": [one]})

    def draft(self, _call: Call) -> Reply:
        """The events to sign."""
        address, now = self.knots.address, int(time.time())
        definition = write_badge_definition(address, title="Knots", service_name="Harbour school", now=now)
        return self.knots.drafted(definition, write_badge_award(address, self.names, relay_hint="", now=now))

    def take(self, call: Call) -> Reply:
        """The daemon takes what is signed."""
        reply = self.knots.take(call)
        self.award_id = self.knots.sent[-1].id
        return reply


@pytest.fixture
def desk(daemon: ScriptedDaemon, knots: Knots) -> Desk:
    """The daemon of this session."""
    found = Desk(knots)
    for name in ("knots", knots.naddr):
        daemon.routes |= {
            f"GET /api/sessions/{name}/badges": found.asked,
            f"POST /api/sessions/{name}/badge": as_json({"askedAt": 1, "awardId": None}),
            f"POST /api/sessions/{name}/badges/draft": found.draft,
        }
    daemon.routes["POST /api/events"] = found.take
    return found


@pytest.mark.usefixtures("desk")
def test_a_participant_asks(podium: CommandLine) -> None:
    """It says that the instructor has to sign."""
    said = podium("badges", "ask", "knots")
    assert (said.exit_code, said.stdout) == (0, "Asked: you have it once the instructor signs it.\n")
    assert json.loads(podium("badges", "ask", "knots", "--json").stdout) == {"askedAt": 1, "awardId": None}


@pytest.mark.usefixtures("desk")
def test_who_asked_is_listed_by_name(podium: CommandLine) -> None:
    """Each with whether it is signed."""
    said = podium("badges", "list", "knots").stdout
    assert all(word in said for word in ("Ana", "waits", encode_npub(ANA)))


def test_the_instructor_signs_after_a_look_at_the_draft(podium: CommandLine, desk: Desk) -> None:
    """The definition and one award are signed; afterwards nobody waits."""
    assert podium("badges", "sign", "knots").exit_code == 2, "there is no terminal to ask on"
    said = podium("badges", "sign", "knots", "--yes")
    assert (said.exit_code, said.stdout) == (0, "Signed: 1.\n")
    definition, award = desk.knots.sent
    given = read_badge_award(award)
    assert definition.kind == kinds.BADGE_DEFINITION
    assert given is not None
    assert given.participant == ANA
    assert podium("badges", "sign", "knots", "--yes").stdout == "Nobody waits for a badge.\n"


def test_an_award_for_another_person_is_not_signed(podium: CommandLine, desk: Desk) -> None:
    """A daemon that slips in a person who did not ask gets no signature."""
    desk.names = STRANGER
    said = podium("badges", "sign", "knots", "--yes")
    assert said.exit_code == 5
    assert "Nothing was signed" in said.stderr
    assert desk.knots.sent == []
