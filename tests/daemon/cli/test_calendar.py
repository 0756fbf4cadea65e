"""`podium calendar`."""

from __future__ import annotations

import json

from tests.daemon.cli.conftest import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon, as_json

OLD = "https://live.example.org/calendar/old.ics"
NEW = "https://live.example.org/calendar/new.ics"


def test_the_address_is_printed_alone(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """Standard output has the address and nothing else; the warning goes to standard error. The call is signed."""
    daemon.routes["POST /api/calendar"] = as_json({"url": OLD})
    done = podium("calendar")
    assert (done.exit_code, done.stdout) == (0, f"{OLD}\n")
    assert "yourself" in done.stderr
    assert [call.caller is not None for call in daemon.calls] == [True]


def test_revoking_gives_the_new_address(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """Only --revoke makes the old one worthless; --json prints what the daemon said."""
    daemon.routes["POST /api/calendar/revoke"] = as_json({"url": NEW})
    done = podium("calendar", "--revoke", "--yes", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"url": NEW})
