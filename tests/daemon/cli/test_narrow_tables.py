"""Tables on a terminal of 80 columns."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from podium_daemon.api.attendance import AttendanceOut
from podium_daemon.api.guests import GuestOut
from podium_daemon.api.instructors import InstructorOut
from podium_daemon.api.questions import AnswerOut, QuestionOut
from podium_daemon.api.recordings import RecordingRunOut, RecordingsOut
from podium_daemon.api.rsvps import ReminderOut, RemindersOut, RsvpOut
from podium_daemon.api.service import RelayOut, ServiceOut
from podium_daemon.api.sessions import PassedOverOut
from podium_daemon.cli import output
from podium_daemon.cli.output import shortened, table
from podium_protocol.nips.nip19 import encode_npub
from tests.daemon.cli.conftest import STARTS_AT, CommandLine, Knots
from tests.support.answers import answer
from tests.support.relays import new_key
from tests.support.scripted_daemon import ScriptedDaemon, as_json

LONG = {
    "latin": "Introduction to knots, ropes and everything that is tied with them " * 3,
    "wide": "結び目の入門" * 20,
    "right to left": "مقدمة في العقد والحبال " * 10,
    "combining": "é" * 120,
    "emoji": "👩‍🏫🪢" * 40,
}
NPUB = encode_npub(new_key().pubkey)
MOMENT = STARTS_AT + 5


def routes(knots: Knots, text: str) -> dict[str, object]:
    """What the daemon answers, with this text wherever people wrote one."""
    person = {"npub": NPUB, "name": text}
    base = f"GET /api/sessions/{knots.naddr}"
    plain = "GET /api/sessions/knots"
    question = answer(QuestionOut, id="3f9c" * 16, text=text, state="held", hold="stranger", createdAt=MOMENT, **person)
    question["answers"] = [answer(AnswerOut, text=text, role="instructor", createdAt=MOMENT)]
    reminder = answer(ReminderOut, message="quarter", dueAt=MOMENT, state="undeliverable", reason=text, **person)
    rsvp = answer(RsvpOut, status="confirmed", rsvpTime=MOMENT, seat="waitlisted", position=12, note=text, **person)
    there = {"joinedAt": MOMENT, "leftAt": MOMENT, "completedAt": MOMENT, "completedBy": "attendance"}
    attended = answer(AttendanceOut, totalDuration=5000, evidence="presence", assurance="signature", **there, **person)
    run = answer(RecordingRunOut, state="processing", url=f"https://{'a' * 90}", reason=text, size=10**9, length=9.5)
    guest = answer(GuestOut, assurance="guest", state="revoked", **person)
    relay = answer(RelayOut, url="wss://relay.example.org/a/long/path", lastError=text, lastNotice=text, state="open")
    passed = answer(PassedOverOut, lessonId=str(knots.address), title=text, reason=text, keeps=True)
    date = {"lessonId": str(knots.address), "naddr": knots.naddr, "number": 3, "title": text, "state": "scheduled"}
    date |= {"scheduledAt": STARTS_AT, "endsAt": STARTS_AT + 3600, "timezone": "Europe/Berlin"}
    answers = {
        "GET /api/sessions": {"sessions": [knots.shown(title=text, identifier="k" * 60)], "next": None},
        "GET /api/sessions/passed-over": {"events": [passed]},
        "GET /api/instructors": {
            "instructors": [answer(InstructorOut, npub=NPUB, name=text, listedIn="configuration")]
        },
        "GET /api/relays": {"relays": [relay]},
        "GET /api/service": answer(ServiceOut),
        "GET /api/service/signer": {"signer": NPUB, "relays": ["wss://relay.example.org"] * 3},
    }
    for path in (base, plain):
        answers |= {
            f"{path}/rsvps": {"rsvps": [rsvp]},
            f"{path}/attendance": {"attendance": [attended], "total": 1},
            f"{path}/reminders": answer(RemindersOut, reminders=[reminder]),
            f"{path}/questions": {"questions": [question], "total": 1},
            f"{path}/guests": {"policy": "invited", "guests": [guest]},
            f"{path}/series": {"address": "", "dates": [date]},
            f"{path}/badges": {"badges": [{"pubkey": "a" * 64, "askedAt": MOMENT, "awardId": None} | person]},
            f"{path}/recording": answer(RecordingsOut, recordings=[run]),
        }
    return {path: as_json(value) for path, value in answers.items()}


COMMANDS = [
    ("session", "list"),
    ("session", "passed-over"),
    ("session", "dates", "knots"),
    ("rsvps", "knots"),
    ("attendance", "knots"),
    ("reminders", "knots"),
    ("questions", "knots"),
    ("guests", "list", "knots"),
    ("badges", "list", "knots"),
    ("recording", "knots"),
    ("instructors", "list"),
    ("signer", "list", "--for-service"),
    ("relays", "check"),
    ("doctor",),
]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of 80 cells."""
    monkeypatch.setenv("COLUMNS", "80")


def is_whole(line: str) -> bool:
    """An address that stands below its row in one piece, to be copied."""
    return line.startswith("  ") and "://" in line.split(maxsplit=1)[0]


@pytest.mark.usefixtures("narrow")
def test_what_tells_the_dates_of_a_series_apart_is_whole(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon
) -> None:
    """The start, and the identifier that other commands are given, which differs at its end only."""
    names = [f"knots-for-beginners-from-the-very-first-{'ab' * 4}-0{number}" for number in (1, 2)]
    shown = [
        knots.shown(title="Knots for beginners", lessonId=str(knots.address) + name[len("knots") :]) for name in names
    ]
    daemon.routes["GET /api/sessions"] = as_json({"sessions": shown, "next": None})
    lines = podium("session", "list").stdout.splitlines()
    assert [line.strip() for line in lines if line.strip() in names] == names
    assert [line[:46] for line in lines[1::2]] == ["Sun 2030-03-17 18:00 UTC (19:00 Europe/Berlin)"] * 2


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_table_holds_in_80_columns(
    command: tuple[str, ...],
    text: str,
    podium: CommandLine,
    knots: Knots,
    daemon: ScriptedDaemon,
) -> None:
    """No line of any table is wider than the terminal, whatever people are called."""
    daemon.routes |= routes(knots, text)
    done = podium(*command)
    lines = done.stdout.splitlines()
    assert len(lines) >= 2, done.output
    assert [line for line in lines if cell_len(line) > 80 and not is_whole(line)] == []


def test_every_command_with_a_table_is_in_the_list_above() -> None:
    """A new table does not escape the test."""
    sources = Path(output.__file__).parent.glob("*.py")
    tables = sum(len(re.findall(r"(?<!def )\btable\(", source.read_text())) for source in sources)
    assert tables == len(COMMANDS)


@pytest.mark.usefixtures("narrow")
def test_a_name_that_is_copied_is_never_cut(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """The npub of an instructor stays whole, since the command that removes one takes it; the name gives way."""
    daemon.routes |= routes(knots, LONG["latin"])
    line = podium("instructors", "list").stdout.splitlines()[1]
    assert NPUB in line
    assert line.endswith("…")


@pytest.mark.usefixtures("narrow")
def test_words_of_a_question_stand_whole_below_their_row(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon
) -> None:
    """A question is there to be read: it is wrapped between words, indented, and not cut."""
    daemon.routes |= routes(knots, LONG["latin"])
    lines = podium("questions", "knots").stdout.splitlines()
    below = [line for line in lines if line.startswith("  ")]
    assert LONG["latin"].strip() in " ".join(line.strip() for line in below)


def test_a_pipe_gets_whole_values(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal nothing is cut: programs read there."""
    monkeypatch.delenv("COLUMNS")
    table(("title", "state"), [("x" * 200, "y" * 200)], empty="")
    assert capsys.readouterr().out.splitlines()[1] == f"{'x' * 200}  {'y' * 200}"


@given(st.text(), st.integers(min_value=4, max_value=80))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    """Of any letters, no more cells than there are; a text that fits stays as it is."""
    found = shortened(text, width)
    assert cell_len(found) <= width
    assert found == text or found.endswith("…")


_SCRIPT = """
from podium_daemon.cli import output
from podium_daemon.cli.output import table
names = ["n" * 200, "結び目" * 30]
table(("name", "state", "npub"), [(name, "present", "npub1" + "q" * 58) for name in names], empty="", whole=("npub",))
"""


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_a_row_is_one_line_of_a_real_terminal(environment: dict[str, str]) -> None:
    """The width is the terminal's own, with lines and without."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 90))
    variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    variables |= {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"} | environment
    try:
        subprocess.run([sys.executable, "-c", _SCRIPT], stdout=terminal, env=variables, check=True, timeout=60)
        shown = os.read(controller, 65_536).decode()
    finally:
        os.close(terminal)
        os.close(controller)
    lines = [Text.from_ansi(line).plain for line in shown.splitlines()]
    assert max(map(cell_len, lines)) <= 90
    assert sum("npub1" + "q" * 58 in line for line in lines) == 2
    assert sum("…" in line for line in lines) == 2
