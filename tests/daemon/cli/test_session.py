"""`podium session`."""

from __future__ import annotations

import json
import time

import msgspec
import pytest

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.series import write_calendar
from podium_protocol.nips.nip19 import encode_npub
from tests.daemon.cli.conftest import STARTS_AT, CommandLine, Knots
from tests.support.relays import new_key
from tests.support.scripted_daemon import ScriptedDaemon, as_json, problem, stream


def test_create_signs_what_was_asked_for_and_says_what_it_reveals(
    podium: CommandLine, knots: Knots, key: SecretKey
) -> None:
    """The draft is signed with the caller's key, handed over, and the notice of visibility is shown."""
    done = podium(
        "session", "create", "Knots", "--at", "2031-12-01 18:00", "--tz", "Europe/Berlin", "--duration", "1h 30m"
    )
    assert done.exit_code == 0, done.output
    (event,) = knots.sent
    assert (event.kind, event.pubkey) == (kinds.SESSION, key.pubkey)
    assert tags.first(event.tags, "start") == "1953910800"  # 17:00 UTC: Berlin is an hour ahead in winter
    assert tags.first(event.tags, "end") == str(1953910800 + 5400)
    assert "Public: anybody can read this." in done.stderr
    assert "Public" not in done.stdout


@pytest.mark.usefixtures("knots")
def test_create_passes_every_option_on(podium: CommandLine, daemon: ScriptedDaemon, stranger: Pubkey) -> None:
    """Each option reaches the daemon under the model's name."""
    options = ["--at", "+2h", "--max", "12", "--rsvp", "required", "--waiting-room", "--record", "--summary", "s"]
    people = [
        "--co-host",
        encode_npub(stranger),
        "--invite",
        stranger,
        "--recording-access",
        "public",
        "--attendance",
        "private",
        "--id",
        "knots",
        "--description",
        "d",
        "--tz",
        "UTC",
    ]
    assert podium("session", "create", "Knots", *options, *people).exit_code == 0
    wish = next(call.body for call in daemon.calls if call.path == "/api/sessions/draft")
    assert isinstance(wish, dict)
    assert abs(wish.pop("scheduledAt") - time.time() - 7200) < 60
    assert wish == {
        "title": "Knots",
        "summary": "s",
        "description": "d",
        "duration": 60,
        "timezone": "UTC",
        "maxParticipants": 12,
        "requiresRSVP": True,
        "waitingRoom": True,
        "allowRecording": True,
        "recordingAccess": "public",
        "attendance": "private",
        "e2eeRequired": False,
        "visibility": "public",
        "coHosts": [stranger],
        "invited": [stranger],
        "identifier": "knots",
    }


def _other_author(event: UnsignedEvent) -> UnsignedEvent:
    return msgspec.structs.replace(event, pubkey=new_key().pubkey)


def _other_kind(event: UnsignedEvent) -> UnsignedEvent:
    return msgspec.structs.replace(event, kind=0)


def _other_title(event: UnsignedEvent) -> UnsignedEvent:
    return msgspec.structs.replace(
        event, tags=tuple(("title", "No") if tag[0] == "title" else tag for tag in event.tags)
    )


def _second_start(event: UnsignedEvent) -> UnsignedEvent:
    return msgspec.structs.replace(event, tags=(*event.tags, ("start", "1")))


def _far_ahead(event: UnsignedEvent) -> UnsignedEvent:
    return msgspec.structs.replace(event, created_at=event.created_at + 3600)


@pytest.mark.parametrize("change", [_other_author, _other_kind, _other_title, _second_start, _far_ahead])
def test_create_signs_nothing_else(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon, change: object) -> None:
    """A daemon that puts another event before the key gets no signature, and the exit code says so."""
    assert callable(change)
    draft = change(knots.event(starts_at=STARTS_AT))
    daemon.routes["POST /api/sessions/draft"] = knots.drafted(draft)
    done = podium("session", "create", "Knots", "--at", "2030-03-17T17:46:40Z")
    assert done.exit_code == 5
    assert "Nothing was signed" in done.stderr
    assert knots.sent == []


def test_create_signs_no_second_event(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """More events than a session needs are refused."""
    daemon.routes["POST /api/sessions/draft"] = knots.drafted(knots.event(), knots.event(identifier="b"))
    assert podium("session", "create", "Knots", "--at", "+2h").exit_code == 5
    assert knots.sent == []


def test_create_does_not_sign_a_public_event_for_a_private_session(podium: CommandLine, knots: Knots) -> None:
    """Who asked for a private session never signs one that relays would show to everybody."""
    done = podium("session", "create", "Knots", "--at", "+2h", "--private")
    assert done.exit_code == 5
    assert knots.sent == []


def test_create_does_not_sign_away_that_attendance_is_sealed(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon
) -> None:
    """Who asked for sealed attendance never signs a session that says it is published, or nothing."""
    for said in ("public", None):
        daemon.routes["POST /api/sessions/draft"] = knots.drafted(knots.event(attendance=said))
        done = podium("session", "create", "Knots", "--at", "2030-03-17T17:46:40Z", "--attendance", "private")
        assert done.exit_code == 5
    assert knots.sent == []


def test_without_a_relay_the_exit_code_is_4(podium: CommandLine, knots: Knots) -> None:
    """An event that goes to no relay is told as such."""
    knots.relays = []
    assert podium("session", "create", "Knots", "--at", "+2h").exit_code == 4


@pytest.mark.family("configuration and CLI")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--at", "tomorrow"], "is no time"),
        (["--at", "+soon"], "expected a duration"),
        (["--at", "2027-03-28 02:30", "--tz", "Europe/Berlin"], "does not exist in Europe/Berlin"),
        (["--at", "2026-10-25 02:30", "--tz", "Europe/Berlin"], "happens twice"),
        (["--at", "+2h", "--tz", "Europe/Berln"], "did you mean Europe/Berlin"),
        (["--at", "+2h", "--duration", "90s"], "whole minutes"),
        (["--at", "+2h", "--duration", "long"], "whole minutes"),
        (["--at", "+2h", "--max", "-1"], "--max"),
        (["--at", "+2h", "--rsvp", "maybe"], "--rsvp"),
        (["--at", "+2h", "--co-host", "somebody"], "--co-host"),
        (["--at", "+2h", "--invite", "ada@example"], "--invite"),
        ([], "--at"),
    ],
)
def test_wrong_options_are_usage_errors(
    podium: CommandLine, daemon: ScriptedDaemon, options: list[str], expected: str
) -> None:
    """A value that cannot be used ends with exit code 2, says what was expected, and nothing is asked of the daemon."""
    done = podium("session", "create", "Knots", *options)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert daemon.calls == []


@pytest.mark.usefixtures("knots")
def test_list_shows_a_line_each_in_the_viewers_and_the_sessions_zone(podium: CommandLine) -> None:
    """The time is the viewer's, followed by the session's own clock."""
    done = podium("session", "list")
    assert done.exit_code == 0
    head, row = done.stdout.splitlines()
    assert head.split() == ["START", "STATE", "TITLE", "CONFIRMED", "SESSION"]
    assert row.startswith("Sun 2030-03-17 18:00 UTC (19:00 Europe/Berlin)")
    assert row.split()[-5:] == ["Knots", "2", "of", "12", "knots"]


@pytest.mark.usefixtures("knots")
def test_list_asks_for_one_state(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """--only is the daemon's filter by state."""
    assert podium("session", "list", "--only", "active").exit_code == 0
    assert daemon.calls[-1].path == "/api/sessions?state=active"


def test_an_empty_list_says_what_to_do(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """Nothing to show is said in words."""
    daemon.routes["GET /api/sessions"] = as_json({"sessions": [], "next": None})
    assert "podium session create" in podium("session", "list").stdout


def test_json_is_the_daemons_own(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """--json prints the answer as it came, fields this version does not know included."""
    newer = knots.shown(mood="good", counts={"confirmed": 2, "tentative": 1, "declined": 0, "perhaps": [1]})
    daemon.routes["GET /api/sessions"] = as_json({"sessions": [newer], "next": None})
    daemon.routes["GET /api/sessions/knots"] = as_json(newer)
    assert json.loads(podium("session", "list", "--json").stdout) == {"sessions": [newer]}
    assert json.loads(podium("session", "show", "knots", "--json").stdout) == newer


def test_show_names_what_matters(podium: CommandLine, knots: Knots) -> None:
    """Title, times, seats, rules, answers and the link are shown by name."""
    lines = dict(line.split(":", 1) for line in podium("session", "show", "knots").stdout.splitlines())
    assert lines["title"].strip() == "Knots"
    assert lines["seats"].strip() == "2 of 12 taken, 1 waiting"
    assert lines["rules"].strip() == "public, RSVP required"
    assert lines["answers"].strip() == "2 confirmed, 1 tentative, 0 declined"
    assert lines["instructor"].strip() == encode_npub(knots.author.pubkey)


@pytest.mark.parametrize("form", ["{naddr}", "nostr:{naddr}", "{address}", " {naddr} "])
def test_a_session_is_named_by_naddr_or_address(podium: CommandLine, knots: Knots, form: str) -> None:
    """Every way to name a session leads to the same one."""
    assert podium("session", "show", form.format(naddr=knots.naddr, address=knots.address)).exit_code == 0


def test_an_identifier_with_other_characters_is_found_in_the_list(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon
) -> None:
    """Characters that a URL would escape never get into a signed path; a prefix of several is refused."""
    named = knots.shown(lessonId=f"31923:{knots.author.pubkey}:knots & ropes/2")
    other = knots.shown(lessonId=f"31923:{knots.author.pubkey}:knots & ropes/3")
    daemon.routes["GET /api/sessions"] = as_json({"sessions": [named, other], "next": None})
    assert podium("session", "show", "knots & ropes/2").exit_code == 0
    assert daemon.calls[-1].path == f"/api/sessions/{knots.naddr}"
    ambiguous = podium("session", "show", "knots & ropes/")
    assert ambiguous.exit_code == 2
    assert "2 sessions begin like that" in ambiguous.stderr


@pytest.mark.parametrize("reference", ["npub", "note1qqqq", "naddr1qqqq", "", "   "])
def test_what_names_no_session_is_refused(podium: CommandLine, daemon: ScriptedDaemon, reference: str) -> None:
    """A person or an event in the place of a session is a usage error."""
    named = encode_npub(new_key().pubkey) if reference == "npub" else reference
    assert podium("session", "show", named).exit_code == 2
    assert daemon.calls == []


def test_edit_sends_only_what_changes(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """What is not given stays as it is; the signed revision keeps its identifier."""
    assert podium("session", "edit", "knots", "--at", "2030-03-18 10:00", "--max", "0").exit_code == 0
    wish = next(call.body for call in daemon.calls if call.path.endswith("/draft"))
    # 10:00 in the session's own zone, Europe/Berlin
    assert wish == {"scheduledAt": 1900054800, "maxParticipants": None}
    (event,) = knots.sent
    assert tags.first(event.tags, "d") == "knots"


@pytest.mark.usefixtures("knots")
def test_edit_without_a_change_is_a_usage_error(podium: CommandLine) -> None:
    """Nothing to do is said."""
    done = podium("session", "edit", "knots")
    assert done.exit_code == 2
    assert "nothing to change" in done.stderr


def test_edit_does_not_sign_another_session(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """A revision of another session of the same author is not what was asked for."""
    route = f"POST /api/sessions/{knots.naddr}/draft"
    daemon.routes[route] = knots.drafted(knots.event(identifier="other"))
    assert podium("session", "edit", "knots", "--max", "3").exit_code == 5
    assert knots.sent == []


@pytest.mark.parametrize(("count", "words"), [(1, "a date that no longer takes"), (3, "3 dates that no longer take")])
def test_an_outdated_calendar_is_told_with_the_command_that_mends_it(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon, count: int, words: str
) -> None:
    """`session dates` says it, and `session relist` signs the calendar and nothing else."""
    series = Address(kinds.CALENDAR, knots.author.pubkey, "knots")
    daemon.routes["GET /api/sessions/knots/series"] = as_json({"address": str(series), "dates": [], "outdated": count})
    done = podium("session", "dates", "knots")
    assert done.stderr.startswith(f"The calendar of the series lists {words} place: `podium session relist knots`")
    daemon.routes["GET /api/sessions/knots"] = as_json(knots.shown(series=str(series), seriesNumber=1))
    calendar = write_calendar(series, "Knots", [str(knots.address)], now=int(time.time()))
    daemon.routes[f"POST /api/sessions/{knots.naddr}/series/draft"] = knots.drafted(calendar)
    assert podium("session", "relist", "knots").stdout == "The calendar lists the dates that take place.\n"
    assert [event.kind for event in knots.sent] == [kinds.CALENDAR]
    daemon.routes[f"POST /api/sessions/{knots.naddr}/series/draft"] = knots.drafted()
    assert "nothing to sign" in podium("session", "relist", "knots").stdout


@pytest.mark.parametrize("command", ["start", "end", "reopen"])
def test_commands_are_signed_by_the_caller(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon, command: str
) -> None:
    """Start, end and reopen are calls whose login is the instructor's signature."""
    daemon.routes[f"POST /api/sessions/knots/{command}"] = as_json(knots.shown(state="active"))
    done = podium("session", command, "knots")
    assert done.exit_code == 0
    assert "active" in done.stdout
    assert daemon.calls[-1].caller == knots.author.pubkey


@pytest.mark.usefixtures("knots")
def test_a_refusal_is_told_with_the_next_step(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """The daemon's words and its advice are shown, without a traceback."""
    daemon.routes["POST /api/sessions/knots/start"] = problem(409, "doors-closed", "the doors open at 17:30", "Wait.")
    done = podium("session", "start", "knots")
    assert done.exit_code == 1
    assert done.stderr == "podium: the doors open at 17:30\nWait.\n"


def test_cancel_signs_the_revision_and_the_deletion(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """Two events are signed in order: the cancelled revision and its deletion."""
    assert podium("session", "cancel", "knots", "--yes", "--reason", "ill").exit_code == 0
    revision, deletion = knots.sent
    assert tags.first(revision.tags, "status") == "cancelled"
    assert deletion.kind == kinds.DELETION
    assert tags.first(deletion.tags, "a") == str(knots.address)
    assert any(call.body == {"reason": "ill"} for call in daemon.calls)


def test_cancel_does_not_delete_other_things(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """A deletion that names further events is not signed, and neither is the revision before it."""
    template = msgspec.json.decode(knots.cancellation().content)
    template["events"][1]["tags"] += [["e", "ab" * 32], ["e", "cd" * 32]]
    daemon.routes[f"POST /api/sessions/{knots.naddr}/cancel/draft"] = as_json(template)
    assert podium("session", "cancel", "knots", "--yes").exit_code == 5
    assert knots.sent == []


@pytest.mark.parametrize("field", ["title", "summary", "state"])
def test_strangers_text_cannot_write_on_the_terminal(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon, field: str
) -> None:
    """Controls, bidi overrides and Rich markup in a title come out as harmless text, and JSON escapes them."""
    hostile = "[red]x[/red]\x1b[2J\x9b31m\u202e\r\nstart: never"
    session = knots.shown(**{field: hostile})
    daemon.routes["GET /api/sessions/knots"] = as_json(session)
    daemon.routes["GET /api/sessions"] = as_json({"sessions": [session], "next": None})
    for command in (("show", "knots"), ("list",), ("show", "knots", "--json")):
        done = podium("session", *command)
        assert done.exit_code == 0
        assert not set("\x1b\x9b\u202e\r") & set(done.stdout)
    lines = podium("session", "show", "knots").stdout.splitlines()
    assert sum(line.startswith("start:") for line in lines) == 1
    assert any("[red]x[/red]" in line for line in lines)
    assert json.loads(podium("session", "show", "knots", "--json").stdout)[field] == hostile


def test_restore_signs_the_session_as_it_was(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """The draft that takes a cancellation back is signed if it is this session at its own hour, and no other."""
    place = f"POST /api/sessions/{knots.naddr}/restore/draft"
    daemon.routes[place] = knots.drafted(knots.event())
    daemon.routes[f"GET /api/sessions/{knots.naddr}/events"] = stream(session=knots.shown())
    assert podium("session", "restore", "knots").exit_code == 0
    (event,) = knots.sent
    assert tags.first(event.tags, "d") == tags.first(knots.event().tags, "d")
    assert tags.first(event.tags, "status") is None
    daemon.routes[place] = knots.drafted(knots.event(starts_at=STARTS_AT + 3600))
    assert podium("session", "restore", "knots").exit_code == 5
    assert len(knots.sent) == 1


@pytest.mark.usefixtures("knots")
def test_what_was_passed_over_is_shown_with_its_reason(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """A table for people, the daemon's answer as JSON; and a plain word where there is nothing."""
    one = {
        "eventId": "ab" * 32,
        "lessonId": f"31923:{'cd' * 32}:dinner",
        "author": "cd" * 32,
        "title": "Dinner\x1b[2J",
        "createdAt": STARTS_AT,
        "reason": "no title",
        "keeps": True,
    }
    daemon.routes["GET /api/sessions/passed-over"] = as_json({"events": [one]})
    shown = podium("session", "passed-over")
    assert shown.exit_code == 0
    assert "no title" in shown.stdout
    assert "stays in force" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert json.loads(podium("session", "passed-over", "--json").stdout)["events"] == [one]
    daemon.routes["GET /api/sessions/passed-over"] = as_json({"events": []})
    assert "Nothing was passed over." in podium("session", "passed-over").stdout
