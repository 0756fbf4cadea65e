"""`podium instructors`."""

from __future__ import annotations

from podium_daemon.api.instructors import InstructorOut
from podium_protocol.nips.nip19 import encode_npub
from tests.daemon.cli.conftest import CommandLine
from tests.support.answers import answer
from tests.support.relays import new_key
from tests.support.scripted_daemon import ScriptedDaemon, as_json

ADA = new_key().pubkey
ROW = answer(InstructorOut, pubkey=ADA, npub=encode_npub(ADA), name="Ada", listedIn="list")


def test_the_list_fits_a_narrow_terminal(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """Whole npubs, where each stands and the name are within 80 columns."""
    daemon.routes["GET /api/instructors"] = as_json({"instructors": [ROW]})
    done = podium("instructors", "list")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].split() == [encode_npub(ADA), "list", "Ada"]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_instructor_is_added_by_npub(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """The signed call names the key in hex."""
    daemon.routes["POST /api/instructors"] = as_json({"instructors": [ROW]})
    done = podium("instructors", "add", encode_npub(ADA))
    assert done.exit_code == 0, done.output
    assert daemon.calls[-1].body == {"pubkey": ADA}


def test_removing_asks_first(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """Without a terminal nothing is removed unless --yes says so."""
    daemon.routes["POST /api/instructors/remove"] = as_json({"instructors": []})
    refused = podium("instructors", "remove", encode_npub(ADA))
    assert (refused.exit_code, daemon.calls) == (2, [])
    assert podium("instructors", "remove", encode_npub(ADA), "--yes").exit_code == 0
