"""`podium rsvp`, `rsvps`, `attendance` and `reminders`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import msgspec
import pytest

from podium_daemon.api.attendance import AttendanceOut
from podium_daemon.api.rsvps import ReminderOut, RemindersOut, RsvpOut
from podium_protocol import kinds, tags
from podium_protocol.events import Pubkey
from podium_protocol.nips.nip19 import encode_npub
from tests.daemon.cli.conftest import STARTS_AT, CommandLine, Knots
from tests.support.answers import answer
from tests.support.scripted_daemon import Call, Reply, ScriptedDaemon, as_json

CSV = b"pubkey,joined\r\nab,2026-12-01T12:00:00Z\r\n"


@pytest.mark.parametrize(
    ("status", "on_the_wire"), [("confirmed", "accepted"), ("tentative", "tentative"), ("declined", "declined")]
)
def test_an_answer_is_signed_and_sent(podium: CommandLine, knots: Knots, status: str, on_the_wire: str) -> None:
    """The model's answers become the statuses of NIP-52, signed with the caller's key."""
    done = podium("rsvp", "knots", status)
    assert done.exit_code == 0, done.output
    (event,) = knots.sent
    assert (event.kind, event.pubkey) == (kinds.RSVP, knots.author.pubkey)
    assert tags.first(event.tags, "status") == on_the_wire
    assert tags.first(event.tags, "a") == str(knots.address)
    assert done.stdout.startswith(f"{status}: Knots, ")


@pytest.mark.parametrize(("word", "status"), [("yes", "confirmed"), ("maybe", "tentative"), ("no", "declined")])
def test_an_answer_has_a_short_word(podium: CommandLine, knots: Knots, word: str, status: str) -> None:
    """Yes, maybe and no are the same answers."""
    done = podium("rsvp", "knots", word)
    assert done.exit_code == 0, done.output
    assert len(knots.sent) == 1
    assert done.stdout.startswith(f"{status}: Knots, ")


def test_the_page_of_a_session_is_printed(podium: CommandLine, knots: Knots) -> None:
    """`podium open` prints the address alone, for programs too; no browser is started where no person looks."""
    assert knots
    done = podium("open", "knots")
    assert done.exit_code == 0, done.output
    assert "/s/" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("http")


@pytest.mark.parametrize(("name", "value"), [("status", "accepted"), ("a", "31923:{}:other")])
def test_another_answer_than_the_callers_is_not_signed(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon, name: str, value: str
) -> None:
    """A daemon cannot have "accepted" signed for "declined", nor an answer to another session."""

    def draft(call: Call) -> Reply:
        template = msgspec.json.decode(knots.draft_rsvp(call).content)
        (event,) = template["events"]
        event["tags"] = [[name, value.format(knots.author.pubkey)] if tag[0] == name else tag for tag in event["tags"]]
        return as_json(template)

    daemon.routes[f"POST /api/sessions/{knots.naddr}/rsvp/draft"] = draft
    done = podium("rsvp", "knots", "declined")
    assert done.exit_code == 5
    assert knots.sent == []


def test_rsvps_shows_seats_positions_and_what_is_amiss(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon, stranger: Pubkey
) -> None:
    """Each person stands in a line with answer, seat and remarks."""
    row = answer(
        RsvpOut,
        pubkey=stranger,
        npub=encode_npub(stranger),
        name="Ada\x1b[2J",
        status="confirmed",
        rsvpTime=STARTS_AT - 86_400,
        seat="waitlisted",
        position=3,
        needsReconfirmation=True,
        undeliverable=True,
    )
    daemon.routes["GET /api/sessions/knots/rsvps"] = as_json({"rsvps": [row]})
    line = podium("rsvps", "knots").stdout.splitlines()[1]
    assert line.startswith("Ada[2J ")
    assert "waitlisted 3" in line
    assert "answered for another time, no message relays (kind 10050)" in line
    shown = row | {"rsvpTimeIso": "2030-03-16T19:00:00+01:00"}
    assert json.loads(podium("rsvps", "knots", "--json").stdout) == {"rsvps": [shown]}
    assert daemon.calls[-1].caller == knots.author.pubkey


@pytest.mark.usefixtures("knots")
def test_nobody_is_said_in_words(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """Empty lists are sentences."""
    base = "GET /api/sessions/knots"
    daemon.routes |= {
        f"{base}/rsvps": as_json({"rsvps": []}),
        f"{base}/attendance": as_json({"attendance": [], "total": 0}),
        f"{base}/reminders": as_json(answer(RemindersOut)),
    }
    for command in ("rsvps", "attendance", "reminders"):
        done = podium(command, "knots")
        assert done.exit_code == 0
        assert len(done.stdout.splitlines()) == 1


@pytest.mark.usefixtures("knots")
def test_attendance_shows_time_joins_and_completion(
    podium: CommandLine, daemon: ScriptedDaemon, stranger: Pubkey
) -> None:
    """Each person stands in a line with when, on the session's clock, for how long, and what it was worth."""
    row = answer(
        AttendanceOut,
        pubkey=stranger,
        name="Ada",
        joinedAt=STARTS_AT,
        totalDuration=3909,
        joinCount=2,
        evidence="presence",
        completedAt=STARTS_AT + 1800,
        completedBy="live",
    )
    daemon.routes["GET /api/sessions/knots/attendance"] = as_json({"attendance": [row], "total": 1})
    _, line, zone = podium("attendance", "knots").stdout.splitlines()
    assert line.startswith("Ada     2030-03-17 19:00 ")
    assert "1:05:09  2      live, 2030-03-17 19:30 " in line
    assert zone == "Times in Europe/Berlin, UTC+01:00."
    (told,) = json.loads(podium("attendance", "knots", "--json").stdout)["attendance"]
    assert (told["joinedAt"], told["joinedAtIso"]) == (STARTS_AT, "2030-03-17T19:00:00+01:00")
    assert "leftAtIso" not in told, "the person is still there"


@pytest.fixture
def csv_daemon(daemon: ScriptedDaemon) -> ScriptedDaemon:
    """Answers with CSV that names its form."""

    def attendance(call: Call) -> Reply:
        form = call.path.rpartition("format=")[2]
        return Reply(200, CSV + form.encode() + b"\r\n", "text/csv")

    daemon.routes["GET /api/sessions/knots/attendance"] = attendance
    return daemon


@pytest.mark.usefixtures("csv_daemon")
def test_csv_files_are_written_as_they_come_for_their_owner_alone(podium: CommandLine, tmp_path: Path) -> None:
    """Both files are written byte by byte, with mode 0600: they say who was where and when."""
    people, stays = tmp_path / "people.csv", tmp_path / "stays.csv"
    done = podium("attendance", "knots", "--csv", str(people), "--intervals", str(stays))
    assert done.exit_code == 0
    assert people.read_bytes() == CSV + b"csv\r\n"
    assert stays.read_bytes() == CSV + b"csv-intervals\r\n"
    assert stat.S_IMODE(people.stat().st_mode) == 0o600


@pytest.mark.usefixtures("csv_daemon")
def test_csv_goes_to_standard_output_for_a_dash(podium: CommandLine) -> None:
    """A dash is the pipe, and nothing else is written into it."""
    assert podium("attendance", "knots", "--csv", "-").stdout_bytes == CSV + b"csv\r\n"


@pytest.mark.usefixtures("csv_daemon")
def test_an_existing_file_is_left_as_it_was(podium: CommandLine, tmp_path: Path) -> None:
    """An export does not overwrite another one."""
    (tmp_path / "people.csv").write_text("mine")
    done = podium("attendance", "knots", "--csv", str(tmp_path / "people.csv"))
    assert done.exit_code == 1
    assert (tmp_path / "people.csv").read_text() == "mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".people")]


@pytest.mark.usefixtures("knots")
def test_reminders_shows_what_the_relays_said(podium: CommandLine, daemon: ScriptedDaemon, stranger: Pubkey) -> None:
    """The ledger names person, message, state, the relays' words and the sums."""
    row = answer(
        ReminderOut,
        pubkey=stranger,
        npub=encode_npub(stranger),
        message="hour",
        dueAt=STARTS_AT - 3600,
        state="failed",
        relays=[{"relay": "wss://a.example.org", "said": "blocked: no\x1b[2J"}],
        reason="every relay refused",
        attempts=4,
    )
    daemon.routes["GET /api/sessions/knots/reminders"] = as_json(
        answer(RemindersOut, reminders=[row], summary={"failed": 1, "sent": 5})
    )
    done = podium("reminders", "knots")
    assert "every relay refused; wss://a.example.org: blocked: no[2J; 4 attempts" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 failed, 5 sent"
    assert json.loads(podium("reminders", "knots", "--json").stdout)["summary"] == {"failed": 1, "sent": 5}
    cut = {"pubkey": stranger, "npub": encode_npub(stranger), "name": "Ada", "messages": ["hour"]}
    daemon.routes["GET /api/sessions/knots/reminders"] = as_json(
        answer(RemindersOut, reminders=[row], summary={"undeliverable": 1}, unreachable=[cut])
    )
    assert podium("reminders", "knots").stdout.splitlines()[-1].endswith("(kind 10050): Ada")
