"""`podium questions`, `ask` and `moderate`."""

from __future__ import annotations

import json

import msgspec
import pytest

from podium_daemon.api.service import ServiceOut
from podium_protocol import kinds
from podium_protocol.events import SignedEvent, VerifiedEvent, verify
from tests.daemon.cli.conftest import STARTS_AT, CommandLine, Knots
from tests.support.answers import answer
from tests.support.events import key_of
from tests.support.scripted_daemon import Call, Reply, ScriptedDaemon, as_json

SERVICE, ADA = key_of(2), key_of(3)
ROOM = "room-1"
QUESTION = {
    "id": "3f9c" + "0" * 60,
    "pubkey": ADA.pubkey,
    "npub": "npub1ada",
    "name": "Ada",
    "role": "participant",
    "text": "Why a \u202ebowline?",
    "createdAt": STARTS_AT,
    "state": "shown",
    "hold": None,
    "pinned": True,
    "answered": True,
    "votes": 12,
    "silenced": False,
    "answers": [
        {
            "id": "aa" * 32,
            "pubkey": SERVICE.pubkey,
            "npub": "npub1lead",
            "name": "The instructor",
            "role": "instructor",
            "text": "It holds.",
            "createdAt": STARTS_AT,
            "state": "shown",
        }
    ],
}
OTHER = QUESTION | {"id": "3fff" + "0" * 60, "text": "And?", "state": "held", "hold": "stranger", "pinned": False}


class Heard:
    """What the daemon was given."""

    def __init__(self) -> None:
        self.events: list[SignedEvent] = []

    def take(self, call: Call) -> Reply:
        """A question."""
        assert isinstance(call.body, dict)
        event = msgspec.convert(call.body["event"], SignedEvent)
        assert isinstance(verify(event), VerifiedEvent)
        self.events.append(event)
        return as_json({"id": event.id})


@pytest.fixture
def heard(knots: Knots, daemon: ScriptedDaemon) -> Heard:
    """A daemon with two questions."""
    found = Heard()
    shown = json.loads(daemon.routes["GET /api/sessions/knots"].content) | {"conferenceRoomId": ROOM}  # type: ignore[union-attr]  # a plain reply
    listed = as_json({"questions": [QUESTION, OTHER], "total": 5})
    service = answer(ServiceOut, servicePubkey=SERVICE.pubkey)
    daemon.routes |= {
        "GET /api/sessions/knots": as_json(shown),
        "GET /api/service": as_json(service),
        "GET /api/sessions/knots/questions": listed,
        f"GET /api/sessions/{knots.naddr}/questions": listed,
        f"POST /api/sessions/{knots.naddr}/questions": found.take,
    }
    return found


@pytest.mark.usefixtures("heard")
def test_questions_stand_in_lines_with_their_answers(podium: CommandLine) -> None:
    """Id, person, state and text of each, what was answered below, and how many are missing; no control character."""
    done = podium("questions", "knots")
    lines = done.stdout.splitlines()
    assert done.exit_code == 0, done.output
    assert lines[1].startswith("3f9c0000  Ada")
    assert "pinned, answered" in lines[1]
    assert "12" in lines[1].split()
    assert lines[1].endswith("Why a bowline?")
    assert lines[2].split()[-2:] == ["It", "holds."]
    assert "held, stranger" in lines[3]
    assert "3 older questions" in done.stderr
    assert json.loads(podium("questions", "knots", "--json").stdout)["questions"][0]["votes"] == 12


def test_a_question_is_signed_and_sent(podium: CommandLine, heard: Heard, knots: Knots) -> None:
    """One kind 1311 event by the caller that names the meeting; an answer names the question and its author too."""
    for arguments, parent in ((("Why?",), None), (("It holds.", "--answer-to", "3f9c"), QUESTION["id"])):
        done = podium("ask", "knots", *arguments)
        assert done.exit_code == 0, done.output
        event = heard.events.pop()
        assert (event.kind, event.pubkey, event.content) == (kinds.LIVE_CHAT, knots.author.pubkey, arguments[0])
        assert event.tags[0] == ("a", f"30313:{SERVICE.pubkey}:{ROOM}", "", "root")
        assert event.tags[1:] == ((("e", parent, "", "reply"), ("p", ADA.pubkey, "")) if parent else ())
        assert "anybody can read" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("ask", "knots", " "), ("ask", "knots", "x" * 1001), ("ask", "knots", "Why?", "--answer-to", "3f")]
)
def test_what_makes_no_question_is_not_signed(podium: CommandLine, heard: Heard, arguments: tuple[str, ...]) -> None:
    """No text, too much of it, or an answer to nobody knows what: usage, and nothing is sent."""
    assert podium(*arguments).exit_code == 2
    assert heard.events == []


@pytest.mark.usefixtures("heard")
def test_a_decision_names_the_whole_id(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """The beginning of an id is enough where it is the only one; else nothing is decided."""
    path = f"POST /api/sessions/knots/questions/{QUESTION['id']}/hide"
    daemon.routes[path] = as_json({"questions": [], "total": 0})
    done = podium("moderate", "knots", "3F9", "hide")
    assert done.exit_code == 0, done.output
    assert done.stdout == "hide: Why a bowline?\n"
    assert podium("moderate", "knots", "3f", "hide").exit_code == 2
    assert podium("moderate", "knots", "", "hide").exit_code == 2
    assert podium("moderate", "knots", "3f9c", "burn").exit_code == 2
