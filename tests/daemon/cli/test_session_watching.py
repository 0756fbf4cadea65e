"""`podium session watch`."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios

from rich.cells import cell_len
from rich.text import Text

from podium_daemon.api.attendance import AttendanceOut
from podium_daemon.api.rooms import RoomOut, RoomPerson
from podium_daemon.api.rsvps import ReminderOut, RsvpOut
from podium_daemon.client.watching import WatchedSession, _changed
from tests.daemon.cli.conftest import CommandLine, Knots
from tests.support.answers import answer
from tests.support.scripted_daemon import Call, Reply, ScriptedDaemon, stream


def events(knots: Knots, *, state: str = "ended", name: str = "Ana") -> dict[str, object]:
    """What the stream tells those who lead, of one person."""
    person = {"pubkey": "a" * 64, "name": name}
    lists = {
        "rsvps": [answer(RsvpOut, status="confirmed", seat="waitlisted", position=2, **person)],
        "reminders": [answer(ReminderOut, message=one, state="sent", **person) for one in ("day", "hour")],
        "attendance": [answer(AttendanceOut, totalDuration=65, percent=3, **person)],
    }
    room = answer(RoomOut, people=[answer(RoomPerson, state="present", **person)])
    told = {part: {"items": items, "total": len(items)} for part, items in lists.items()}
    return {"session": knots.shown(state=state), **told, "room": room}


PLACE = "GET /api/sessions/knots/events"


def test_without_a_terminal_each_change_is_a_line(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """The session's state and each person's new cells are told once, with the time; it ends with the session."""
    daemon.routes[PLACE] = stream(**events(knots))
    done = podium("session", "watch", "knots")
    assert done.exit_code == 0, done.output
    assert re.match(r"\d\d:\d\d:\d\d UTC  Knots", done.stdout)
    told = [line.partition("  ")[2] for line in done.stdout.splitlines()]
    assert told[0].startswith("Knots: ended, ")
    assert told[1:] == [
        "Ana: answer: confirmed, waitlisted 2",
        "Ana: messages: 2 sent",
        "Ana: present: 0:01:05, 3 %",
        "Ana: room: present",
    ]


def test_a_number_alone_keeps_the_people_that_were_told() -> None:
    """Of a long list the stream tells the number where only that changed."""
    listed = json.dumps({"items": [answer(RsvpOut, pubkey="a" * 64, name="Ana")], "total": 1})
    view = _changed(WatchedSession(), "rsvps", listed)
    assert [one.name for one in view.rsvps] == ["Ana"]
    assert _changed(view, "rsvps", '{"total":300}') == view


def test_a_line_that_is_lost_is_taken_up_again(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """A stream that ends before the session does is opened again; what was told before is not repeated."""
    states = ["active", "active", "ended"]

    def next_stream(_call: Call) -> Reply:
        return stream(**events(knots, state=states.pop(0)))

    daemon.routes[PLACE] = next_stream
    done = podium("session", "watch", "knots")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("Ana: answer") == 1
    assert done.stderr.count("The line is lost") == 2


def test_json_is_one_line_an_event(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """Programs get the stream's events as they came, in ASCII whatever a name holds."""
    daemon.routes[PLACE] = stream(**events(knots, name="結\u2028\x1b[2J"))
    lines = podium("session", "watch", "knots", "--json").stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["session", "rsvps", "reminders", "attendance", "room"]
    assert all(line.isascii() for line in lines)
    assert json.loads(lines[1])["data"]["items"][0]["name"] == "結\u2028\x1b[2J"


def test_a_stream_of_another_shape_is_an_error(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """What is no session is refused in a sentence."""
    daemon.routes[PLACE] = stream(session={"title": 1})
    done = podium("session", "watch", "knots")
    assert done.exit_code == 1
    assert "cannot be understood" in done.stderr


def on_a_terminal(command: list[str]) -> str:
    """What a command writes on a terminal of 80 columns; it must succeed."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    variables |= {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    shown = b""
    with subprocess.Popen(command, stdout=terminal, env=variables) as running:
        os.close(terminal)
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(controller, 65_536):
                shown += piece
        os.close(controller)
        assert running.wait(timeout=60) == 0
    return shown.decode()


def test_a_terminal_gets_a_table_that_is_redrawn_in_place(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon
) -> None:
    """The table is drawn over what was there before, in the terminal's width, and its last state stays."""
    daemon.routes[PLACE] = stream(**events(knots, name="Ana" * 60))
    command = [sys.executable, "-m", "podium_daemon", *podium.options(), "--url", daemon.url]
    shown = on_a_terminal([*command, "session", "watch", "knots"])
    assert "\x1b[1A" in shown  # the cursor goes up, over the table of before
    last = [Text.from_ansi(line).plain for line in shown.rpartition("\x1b[1A")[2].splitlines()]
    assert any("AnaAna" in line and "…" in line and "confirmed" in line and "2 sent" in line for line in last)
    assert max(map(cell_len, last)) <= 80


def test_ctrl_c_ends_it_as_other_commands(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """Exit code 130, without a traceback."""
    daemon.routes[PLACE] = stream(**events(knots, state="active"))
    command = [sys.executable, "-m", "podium_daemon", *podium.options(), "--url", daemon.url]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, "session", "watch", "knots"], stdout=pipe, stderr=pipe, text=True) as running:
        assert running.stdout is not None
        assert "Knots: active" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said
