"""What a person does in the first hour: init, run, schedule, answer, hold, look. Every step is a process of its own.

The story is told once, against a relay nobody here wrote; each test looks at one thing it left behind. The person's key
is instructor and service at once, as in the single-user default.
"""

from __future__ import annotations

import asyncio
import csv
import json
import re
import stat
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jsonschema
import nostr_sdk as sdk
import pytest
import pytest_asyncio

from tests.support.installed import MEETING_URL, Daemon, Home, Said, free_port, said_in
from tests.support.outsiders import Event, Letter, Outsider, first, outsiders, rows, send
from tests.support.relays import running_relay
from tests.support.schemata import installed_schemata
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION, RSVP, SPACE, MEETING, ATTENDANCE, DELETION = 31923, 31925, 30312, 30313, 31953, 5
RELAY_LIST, DM_RELAY_LIST, GIFT_WRAP, SEAL, MESSAGE, STREAM = 10002, 10050, 1059, 13, 14, 30311
PUBLIC: Final = (SESSION, RSVP, SPACE, MEETING, STREAM, DELETION, RELAY_LIST, DM_RELAY_LIST)

TITLE: Final = "Know your rights"
KNOW, BY_HAND, ILL = "know-your-rights", "by-hand", "the-instructor-is-ill"
_HEX64: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_SECONDS: Final = {"type": "string", "pattern": "^[0-9]{1,10}$"}


class Story:
    """The person's home, what each command said, and who else took part."""

    def __init__(self, home: Home, relay_url: str, people: list[Outsider]) -> None:
        self.home = home
        self.relay_url = relay_url
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.config = home.folder / ".config" / "podium" / "relays.toml"
        self.ada, self.ben, self.cem, self.stranger = people
        self.said: dict[str, Said] = {}
        self.proof_id = ""
        self.exit_status = -1

    async def tell(self, name: str, *arguments: str | Path, stdin: bytes = b"") -> Said:
        """Run a command and keep what it said under a name."""
        self.said[name] = said = await self.home.podium(*arguments, stdin=stdin)
        return said

    def json(self, name: str) -> Any:
        """The answer kept under a name."""
        assert self.said[name].code == 0, self.said[name]
        return self.said[name].json()

    @property
    def pubkey(self) -> str:
        """The person's own key."""
        return str(self.json("key")["pubkey"])

    def lesson(self, identifier: str) -> str:
        """A session's address."""
        return f"{SESSION}:{self.pubkey}:{identifier}"

    def heard(self, kind: int) -> list[Event]:
        """What the relay told a stranger, in the order of arrival."""
        return [event for event in self.stranger.heard if event["kind"] == kind]

    def meetings(self, identifier: str) -> list[Event]:
        """The live status of one session, in the order in which the relay told it."""
        return [event for event in self.heard(MEETING) if ["a", self.lesson(identifier)] in pairs(event)]

    def statuses(self, identifier: str) -> list[str | None]:
        """What they say, repetitions left out."""
        said = [first(event, "status") for event in self.meetings(identifier)]
        return [status for number, status in enumerate(said) if number == 0 or status != said[number - 1]]


def pairs(event: Event) -> list[list[str]]:
    """The first two elements of each tag."""
    return [tag[:2] for tag in event["tags"]]


def letters(of: Outsider, beginning: str) -> list[Letter]:
    """A person's messages whose subject begins so."""
    return [letter for letter in of.letters if letter.subject.startswith(beginning)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """The whole first hour."""
    home = Home(tmp_path_factory.mktemp("first") / "home")
    async with running_relay() as relay, outsiders(relay.url, 4) as people:
        told = Story(home, relay.url, people)
        await _set_up(told)
        daemon = await Daemon.start(home, told.base, "run")
        try:
            await daemon.until_ready()
            await asyncio.gather(_know_your_rights(told), _by_hand(told), _cancelled(told))
            await _look_around(told)
        finally:
            told.exit_status = await daemon.stop()
        yield told


async def _set_up(story: Story) -> None:
    await story.tell("init", "init")
    await story.tell("init again", "init")
    await story.tell("key", "key", "show", "--json")
    await story.tell("untouched", "config", "check", "--json")
    text = story.config.read_text()
    text = _with(text, "", "relays", f'["{story.relay_url}"]')
    text = _with(text, "web", "port", str(story.port))
    text = _with(text, "conference", "meeting_url", f'"{MEETING_URL}"')
    text = _with(text, "conference", "heartbeat", '"1 s"')
    text = _with(text, "attendance", "poll", "1")
    text = _with(text, "attendance", "percent", "1")  # however long a slow machine takes to end it after she left
    text = _with(text, "lifecycle", "doors", '"1 h"')
    text = _with(text, "lifecycle", "announce_live_event", "true")
    text = _with(text, "reminders", "debounce", "1")
    text = _with(text, "reminders", "debounce_skip", "1")
    text = _with(text, "reminders", "confirmation_window", "0")
    story.config.write_text(text)
    await story.tell("edited", "config", "check", "--json")
    await story.tell("doctor before", "doctor", "--json")
    await story.tell("list before", "session", "list")
    for name, person in (("ada", story.ada), ("ben", story.ben), ("cem", story.cem)):
        await person.open_inbox()
        nsec = person.keys.secret_key().to_bech32().encode()
        await story.tell(f"key of {name}", "key", "import", story.home.folder / f"{name}.key", "--json", stdin=nsec)
    for kind in (SPACE, MEETING, STREAM, ATTENDANCE, RELAY_LIST, DM_RELAY_LIST, SESSION, DELETION):
        await story.stranger.follow(kind, author=story.pubkey)
    await story.stranger.follow(RSVP)


def _with(text: str, section: str, key: str, value: str) -> str:
    """The file as a person edits it: the # taken away, another value written."""
    head, found, rest = text.partition(f"\n[{section}]\n") if section else ("", "", text)
    changed, count = re.subn(rf"^#{key} = .*$", f"{key} = {value}", rest, count=1, flags=re.MULTILINE)
    assert count == 1, (section, key)
    return head + found + changed


async def _know_your_rights(story: Story) -> None:
    wish = ("--tz", "Europe/Berlin", "--duration", "90", "--max", "50", "--rsvp", "required")
    words = ("--summary", "Bring questions.", "--description", "What you may refuse.\n\nAnd what not.")
    people = ("--invite", story.ben.npub, "--co-host", story.cem.pubkey)
    await story.tell(
        "create", "session", "create", TITLE, "--at", "+2h", *wish, *words, *people, "--id", KNOW, "--json"
    )
    answers = (("ada", "confirmed"), ("ben", "tentative"), ("cem", "declined"))
    await asyncio.gather(*(_answer(story, name, KNOW[:4], answer) for name, answer in answers))
    await until(lambda: _answered(story, KNOW, 3), "three answers are counted")
    await until(_arrived(story.ada, "You are confirmed: Know"), "the confirmation arrives")
    await until(_arrived(story.ben, "You may come: Know"), "the tentative one's confirmation arrives")
    await story.tell("rsvps", "rsvps", KNOW[:4], "--json")
    await story.tell("rsvps in words", "rsvps", KNOW)
    await story.tell("rsvps of ada", "--key", story.home.folder / "ada.key", "rsvps", KNOW, "--json")
    await story.tell("edit", "session", "edit", KNOW, "--at", "+6s", "--max", "40", "--json")
    await until(_arrived(story.ada, "Moved: "), "the move is told")
    await until(_arrived(story.ada, "Live now: "), "it starts by itself")
    reference = next(word for word in letters(story.ada, "Live now: ")[0].text.split() if word.startswith(story.base))
    seat = await story.ada.join(story.base, urlsplit(reference).path.rpartition("/")[2], story.lesson(KNOW))
    story.proof_id = seat.proof_id
    await until(lambda: _present_for(story, 2), "two seconds of attendance")
    await story.tell("show live", "session", "show", KNOW, "--json")
    await seat.leave()
    await story.tell("not ada's to end", "--key", story.home.folder / "ada.key", "session", "end", KNOW)
    await story.tell("end", "session", "end", KNOW, "--json")
    await until(lambda: _stored(story, ATTENDANCE), "the record is on the relay")


async def _answer(story: Story, name: str, session: str, answer: str) -> None:
    await story.tell(f"{name} {answer}", "--key", story.home.folder / f"{name}.key", "rsvp", session, answer)


async def _answered(story: Story, session: str, count: int) -> bool:
    shown = await send("GET", f"{story.base}/api/sessions/{session}")
    return sum(shown.body["counts"].values()) == count


async def _present_for(story: Story, seconds: int) -> bool:
    shown = await story.ada.call("GET", f"{story.base}/api/sessions/{KNOW}/attendance")
    return any(row["totalDuration"] >= seconds for row in shown.body["attendance"])


async def _stored(story: Story, kind: int) -> list[Event]:
    return await story.stranger.find(kind, author=story.pubkey)


def _arrived(person: Outsider, beginning: str) -> Any:
    async def look() -> list[Letter]:
        return letters(person, beginning)

    return look


async def _by_hand(story: Story) -> None:
    await story.tell("create by hand", "session", "create", "Knots", "--at", "+30m", "--id", BY_HAND)
    await story.tell("end too early", "session", "end", BY_HAND)
    await story.tell("start", "session", "start", BY_HAND, "--json")
    await story.tell("only active", "session", "list", "--only", "active", "--json")
    await story.tell("end by hand", "session", "end", BY_HAND, "--json")
    await story.tell("reopen", "session", "reopen", BY_HAND, "--json")
    await story.tell("end again", "session", "end", BY_HAND, "--json")


async def _cancelled(story: Story) -> None:
    await story.tell("create ill", "session", "create", "Sailing", "--at", "+3h", "--id", ILL, "--json")
    await _answer(story, "ada", ILL, "confirmed")
    await until(_arrived(story.ada, "You are confirmed: Sailing"), "the confirmation arrives")
    await story.tell("cancel", "session", "cancel", ILL, "--yes", "--reason", "The instructor is ill.", "--json")
    await until(_arrived(story.ada, "Cancelled: "), "the cancellation is told")


async def _look_around(story: Story) -> None:
    folder = story.home.folder
    looks: dict[str, tuple[str | Path, ...]] = {
        "list": ("session", "list", "--json"),
        "list in words": ("session", "list"),
        "show": ("session", "show", KNOW, "--json"),
        "show in words": ("session", "show", KNOW),
        "attendance": ("attendance", KNOW, "--json"),
        "attendance in words": ("attendance", KNOW),
        "csv": ("attendance", KNOW, "--csv", folder / "people.csv", "--intervals", folder / "stays.csv"),
        "csv of ada": ("--key", folder / "ada.key", "attendance", KNOW, "--csv", folder / "ada.csv"),
        "reminders": ("reminders", KNOW, "--json"),
        "reminders in words": ("reminders", KNOW),
        "relays": ("relays", "check", "--json"),
        "doctor": ("doctor", "--json"),
        "config": ("config", "show", "--json"),
    }
    for name, arguments in looks.items():
        await story.tell(name, *arguments)


# -- what the person sees


async def test_init_writes_a_private_key_and_overwrites_nothing(story: Story) -> None:
    """The key file has mode 0600 in a folder of mode 0700, and a second init leaves everything as it is."""
    key_file = story.config.with_name("podium.key")
    assert story.said["init"].code == 0, story.said["init"]
    assert story.said["init again"].code == 1
    assert "exists already" in story.said["init again"].err
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
    assert sdk.Keys.parse(key_file.read_text().strip()).public_key().to_hex() == story.pubkey


async def test_the_written_configuration_is_good_as_it_is_and_edited(story: Story) -> None:
    """What init writes changes nothing but the place of the key; a person's edits count one by one."""
    assert story.json("untouched")["changed"] == ["identity.key_file"]
    edited = story.json("edited")["changed"]
    assert {"relays", "web.port", "conference.heartbeat", "lifecycle.doors"} <= set(edited)
    assert len(edited) == 12


async def test_before_the_daemon_runs_commands_say_how_to_start_it(story: Story) -> None:
    """A command without a daemon fails with the address it tried and the command that starts one."""
    said = story.said["list before"]
    assert said.code == 1
    assert story.base in said.err
    assert "podium run" in said.err


async def test_run_prints_where_it_is_and_what_to_type_next(story: Story) -> None:
    """The ready lines name the page, the service's npub, the relays and the next command."""
    greeting = (story.home.folder / "daemon.out").read_text()
    npub = sdk.PublicKey.parse(story.pubkey).to_bech32()
    for expected in (story.base, npub, story.relay_url, "podium session create", "Ctrl-C"):
        assert expected in greeting
    assert story.exit_status == 0, said_in(story.home.folder)[-2000:]


async def test_nothing_went_wrong_unnoticed(story: Story) -> None:
    """The daemon's log of the whole hour has no error and no traceback."""
    log = (story.home.folder / "daemon.log").read_text()
    assert "Traceback" not in log
    assert not re.search(r"\[error|\berror\s*\]|level.{2,4}error", log), log


async def test_create_says_what_was_asked_for(story: Story) -> None:
    """The session comes back with the model's fields, and the one line on what is public is on standard error."""
    shown = story.json("create")
    assert (shown["title"], shown["duration"], shown["timezone"]) == (TITLE, 90, "Europe/Berlin")
    assert (shown["maxParticipants"], shown["requiresRSVP"], shown["state"]) == (50, True, "scheduled")
    assert shown["lessonId"] == story.lesson(KNOW)
    assert shown["instructorPubkey"] == story.pubkey
    assert shown["endsAt"] == shown["scheduledAt"] + 90 * 60
    assert "Public" in story.said["create"].err


async def test_the_naddr_is_read_by_another_implementation(story: Story) -> None:
    """nostr-sdk decodes the session's naddr to its address and the relay that has it."""
    decoded = sdk.Nip19.from_bech32(story.json("create")["naddr"]).as_enum()
    assert decoded.is_ADDR()
    coordinate = sdk.Nip19Coordinate.from_bech32(story.json("create")["naddr"])
    named = coordinate.coordinate()
    assert (named.kind().as_u16(), named.public_key().to_hex(), named.identifier()) == (SESSION, story.pubkey, KNOW)
    assert [str(relay).rstrip("/") for relay in coordinate.relays()] == [story.relay_url.rstrip("/")]


async def test_answers_are_counted_by_person_and_seat(story: Story) -> None:
    """The instructor sees everybody's answer, confirmed with a seat; a participant sees their own and no other."""
    answers = story.json("rsvps")["rsvps"]
    everybody = {row["pubkey"]: (row["status"], row["seat"]) for row in answers}
    assert everybody == {
        story.ada.pubkey: ("confirmed", "held"),
        story.ben.pubkey: ("tentative", "none"),
        story.cem.pubkey: ("declined", "none"),
    }
    assert {row["pubkey"] for row in story.json("rsvps of ada")["rsvps"]} == {story.ada.pubkey}
    assert all(row["name"] and row["name"] in story.said["rsvps in words"].out for row in answers)


async def test_edit_changes_what_is_given_and_leaves_the_rest(story: Story) -> None:
    """A new start and cap begin another epoch; title, duration, zone and rules stay."""
    before, after = story.json("create"), story.json("edit")
    assert after["scheduledAt"] < before["scheduledAt"]
    assert after["maxParticipants"] == 40
    assert after["epoch"] == before["epoch"] + 1
    for field in ("title", "summary", "description", "duration", "timezone", "requiresRSVP", "lessonId"):
        assert after[field] == before[field], field


async def test_start_end_and_reopen_by_hand(story: Story) -> None:
    """The signed commands move the session, and the answer of each shows the state it led to."""
    assert story.json("start")["state"] == "active"
    assert [row["lessonId"] for row in story.json("only active")["sessions"]].count(story.lesson(BY_HAND)) == 1
    ended = story.json("end by hand")
    assert (ended["state"], ended["endReason"]) == ("ended", "manual_end")
    assert story.json("reopen")["state"] == "active"
    assert story.json("end again")["state"] == "ended"


async def test_moves_that_are_not_allowed_are_refused_with_the_reason(story: Story) -> None:
    """Nobody ends a session that is not live, and a participant ends none."""
    assert story.said["end too early"].code == 1
    assert "scheduled" in story.said["end too early"].err
    assert story.said["not ada's to end"].code == 1
    assert "instructor" in story.said["not ada's to end"].err


async def test_attendance_in_json_and_csv_agree(story: Story) -> None:
    """One row for the one person who was there: by presence, for as long as the record says, nobody else."""
    (row,) = story.json("attendance")["attendance"]
    assert (row["pubkey"], row["joinCount"], row["evidence"]) == (story.ada.pubkey, 1, "presence")
    assert row["joinedAt"] <= row["leftAt"]
    assert 2 <= row["totalDuration"] <= row["leftAt"] - row["joinedAt"]
    assert story.said["csv"].code == 0, story.said["csv"]
    (line,) = _lines(story.home.folder / "people.csv")
    assert (line["pubkey"], line["npub"], int(line["seconds"])) == (
        story.ada.pubkey,
        story.ada.npub,
        row["totalDuration"],
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["joined"])
    (stay,) = _lines(story.home.folder / "stays.csv")
    assert (stay["pubkey"], stay["device"]) == (story.ada.pubkey, "laptop")
    assert row["name"]
    assert row["name"] in story.said["attendance in words"].out


def _lines(file: Path) -> list[dict[str, str]]:
    text = file.read_bytes().decode()
    assert text.count("\r\n") == text.count("\n")  # RFC 4180
    return list(csv.DictReader(text.splitlines()))


async def test_a_participant_cannot_export_the_attendance_of_others(story: Story) -> None:
    """The CSV is for those who lead; nothing is written for anybody else."""
    assert story.said["csv of ada"].code == 1
    assert not (story.home.folder / "ada.csv").exists()


async def test_the_ledger_says_what_was_sent_and_where(story: Story) -> None:
    """Each message that went out names the relay and its words; offsets that were past are skipped, none is failed."""
    ledger = story.json("reminders")["reminders"]
    sent = {(row["pubkey"], row["message"]): row for row in ledger if row["state"] == "sent"}
    assert {message for pubkey, message in sent if pubkey == story.ada.pubkey} == {"confirmation", "moved", "start"}
    assert {message for pubkey, message in sent if pubkey == story.ben.pubkey} == {"confirmation", "moved", "start"}
    assert all([answer["relay"].rstrip("/") for answer in row["relays"]] == [story.relay_url] for row in sent.values())
    assert {row["state"] for row in ledger} <= {"sent", "skipped_late", "skipped", "cancelled"}
    assert not any(row["pubkey"] == story.cem.pubkey for row in ledger)


async def test_sessions_are_listed_by_start_with_their_state(story: Story) -> None:
    """The list has each session once, also for people, and the cancelled one says so."""
    listed = story.json("list")["sessions"]
    assert {row["lessonId"]: row["state"] for row in listed} == {
        story.lesson(KNOW): "ended",
        story.lesson(BY_HAND): "ended",
        story.lesson(ILL): "cancelled",
    }
    assert [row["scheduledAt"] for row in listed] == sorted(row["scheduledAt"] for row in listed)
    assert TITLE in story.said["list in words"].out
    assert "Europe/Berlin" in story.said["show in words"].out or "UTC+" in story.said["show in words"].out


async def test_relays_check_and_doctor_find_nothing_wrong(story: Story) -> None:
    """With the daemon running the relay answers and is connected, and every check of the doctor is good."""
    (relay,) = story.json("relays")["relays"]
    assert (relay["url"].rstrip("/"), relay["answers"], relay["pending"]) == (story.relay_url, "yes", 0)
    for name in ("doctor before", "doctor"):
        assert story.said[name].code == 0, story.said[name]
        assert {check["verdict"] for check in story.json(name)["checks"]} <= {"ok", "warn"}


async def test_the_meeting_is_shown_to_who_was_admitted_and_to_nobody_else(story: Story) -> None:
    """The address of the meeting is in no event, no log, and no answer of the interface."""
    events = [event for person in (story.ada, story.ben, story.cem, story.stranger) for event in person.heard]
    assert events
    assert not any(MEETING_URL in str(event) for event in events)
    assert MEETING_URL not in said_in(story.home.folder)
    assert not [name for name, said in story.said.items() if MEETING_URL in said.text]


# -- what strangers read on the relay


async def test_the_session_event_says_what_the_model_says(story: Story) -> None:
    """Kind 31923 has every tag of docs/wire-formats.md, and nostr-sdk verified it."""
    revisions = [event for event in story.heard(SESSION) if first(event, "d") == KNOW]
    (event,) = await story.stranger.find(SESSION, author=story.pubkey, d=KNOW)
    assert event in revisions
    shown = story.json("edit")
    assert event["content"] == "What you may refuse.\n\nAnd what not."
    expected = {
        "title": TITLE,
        "summary": "Bring questions.",
        "start": str(shown["scheduledAt"]),
        "end": str(shown["endsAt"]),
        "start_tzid": "Europe/Berlin",
        "t": "live-session",
        "max_participants": "40",
        "rsvp": "required",
    }
    assert {name: first(event, name) for name in expected} == expected
    assert {(tag[1], tag[3]) for tag in rows(event, "p")} == {
        (story.pubkey, "instructor"),
        (story.pubkey, "service"),
        (story.cem.pubkey, "co-host"),
        (story.ben.pubkey, "invited"),
    }
    days = {int(tag[1]) for tag in rows(event, "D")}
    assert days == set(range(shown["scheduledAt"] // 86400, (shown["endsAt"] - 1) // 86400 + 1))
    location = first(event, "location")
    assert location is not None
    assert location.startswith(f"{story.base}/s/naddr1")


async def test_a_second_edit_outranks_the_first(story: Story) -> None:
    """Revisions of one session are dated one after the other, so that relays keep the last."""
    dates = [event["created_at"] for event in story.heard(SESSION) if first(event, "d") == KNOW]
    assert len(dates) == 2
    assert dates == sorted(set(dates))


async def test_answers_are_signed_by_those_who_gave_them(story: Story) -> None:
    """Kind 31925 names the session, its author and the revision it answers."""
    said = {event["pubkey"]: event for event in story.heard(RSVP) if first(event, "a") == story.lesson(KNOW)}
    assert {key: first(event, "status") for key, event in said.items()} == {
        story.ada.pubkey: "accepted",
        story.ben.pubkey: "tentative",
        story.cem.pubkey: "declined",
    }
    revision = next(event for event in story.heard(SESSION) if first(event, "d") == KNOW)
    assert {first(event, "e") for event in said.values()} == {revision["id"]}
    assert {first(event, "p") for event in said.values()} == {story.pubkey}


async def test_the_room_is_announced_and_opens_with_the_first_session(story: Story) -> None:
    """Kind 30312 gives the service's name, its state, its address and who hosts; nothing is said twice."""
    spaces = sorted(story.heard(SPACE), key=lambda space: int(str(space["created_at"])))
    states = [first(space, "status") for space in spaces]
    assert states[:2] == ["closed", "open"]
    assert all(before != after for before, after in pairwise(states))
    for space in spaces:
        assert first(space, "room") == "Podium"
        assert (first(space, "service") or "").startswith(story.base)
        assert any(tag[1] == story.pubkey for tag in rows(space, "p"))


async def test_the_live_status_goes_forward_and_shows_counts_only(story: Story) -> None:
    """Kind 30313 goes from planned over live to ended, names the session, and never a participant."""
    assert story.statuses(KNOW) == ["planned", "live", "ended"]
    assert story.statuses(BY_HAND) == ["planned", "live", "ended", "live", "ended"]
    for event in story.meetings(KNOW):
        assert [tag[1] for tag in rows(event, "p")] == [story.pubkey]
        assert first(event, "title") == TITLE
    last = story.meetings(KNOW)[-1]
    assert first(last, "starts") == str(story.json("end")["startedAt"])
    assert first(last, "ends") == str(story.json("end")["endedAt"])
    assert (first(last, "current_participants"), first(last, "total_participants")) == ("0", "1")


async def test_streaming_clients_see_the_same_status(story: Story) -> None:
    """Where it is switched on, each kind 30311 event says what the 30313 of the same second says."""
    streams = {first(event, "d"): event for event in story.heard(STREAM)}
    assert len(story.heard(STREAM)) == len(story.heard(MEETING))
    for identifier in (KNOW, BY_HAND):
        last = story.meetings(identifier)[-1]
        stream = streams[first(last, "d")]
        for name in ("title", "starts", "ends", "status", "current_participants", "total_participants"):
            assert first(stream, name) == first(last, name)


async def test_the_attendance_record_says_what_was_observed(story: Story) -> None:
    """Kind 31953 agrees with the interface, names the proof of joining, and claims no more than presence."""
    (record,) = await story.stranger.find(ATTENDANCE, author=story.pubkey)
    (row,) = story.json("attendance")["attendance"]
    expected = {
        "d": f"{story.lesson(KNOW)}:{story.ada.pubkey}",
        "a": story.lesson(KNOW),
        "p": story.ada.pubkey,
        "joined": str(row["joinedAt"]),
        "left": str(row["leftAt"]),
        "duration": str(row["totalDuration"]),
        "joins": "1",
        "evidence": "presence",
        "e": story.proof_id,
    }
    assert {name: first(record, name) for name in expected} == expected
    assert first(record, "alt")
    assert rows(record, "completed") == [["completed", "live", str(row["completedAt"])]]
    assert record["content"] == ""


async def test_relay_lists_name_the_configured_relay(story: Story) -> None:
    """Kinds 10002 and 10050 of the service are there, once each."""
    (public,), (private,) = story.heard(RELAY_LIST), story.heard(DM_RELAY_LIST)
    assert [tag[1].rstrip("/") for tag in rows(public, "r")] == [story.relay_url]
    assert [tag[1].rstrip("/") for tag in rows(private, "relay")] == [story.relay_url]


async def test_a_cancelled_session_is_deleted_from_the_relay(story: Story) -> None:
    """The cancelled revision keeps its times, the kind 5 names address, event and kind, and the relay obeys it."""
    cancelled = [event for event in story.heard(SESSION) if first(event, "d") == ILL][-1]
    before = story.json("create ill")
    assert (first(cancelled, "status"), first(cancelled, "start")) == ("cancelled", str(before["scheduledAt"]))
    (deletion,) = story.heard(DELETION)
    assert deletion["pubkey"] == story.pubkey
    assert first(deletion, "a") == story.lesson(ILL)
    assert first(deletion, "k") == str(SESSION)
    assert cancelled["id"] in [tag[1] for tag in rows(deletion, "e")]
    assert deletion["content"] == "The instructor is ill."
    assert await story.stranger.find(SESSION, author=story.pubkey, d=ILL) == []


async def test_messages_are_unwrapped_by_another_implementation(story: Story) -> None:
    """Sealed by the service, each thing told once, in the words of the model, with the link where one is promised."""
    subjects = [letter.subject for letter in story.ada.letters]
    assert sorted(subject.partition(":")[0] for subject in subjects) == [
        "Cancelled", "Live now", "Moved", "You are confirmed", "You are confirmed",
    ]  # fmt: skip
    assert {letter.sender for letter in story.ada.letters + story.ben.letters} == {story.pubkey}
    assert len({letter.rumor_id for letter in story.ada.letters}) == len(subjects)
    assert story.cem.letters == []
    (live,) = letters(story.ada, "Live now: ")
    assert live.subject == f"Live now: {TITLE}"
    assert f"{story.base}/s/naddr1" in live.text
    assert live.at == story.json("edit")["scheduledAt"]


async def test_gift_wraps_hide_who_writes_and_when(story: Story) -> None:
    """The wrap is signed by a key of its own, names the recipient only, and expires when the session is over."""
    wraps = [event for event in story.ada.heard if event["kind"] == GIFT_WRAP]
    assert len({wrap["pubkey"] for wrap in wraps} | {story.pubkey}) == len(wraps) + 1
    for wrap in wraps:
        assert rows(wrap, "p") == [["p", story.ada.pubkey]]
        assert int(first(wrap, "expiration") or 0) > time.time()
    assert {tag[0] for wrap in wraps for tag in wrap["tags"]} == {"p", "expiration"}


# -- what schemas that nobody here wrote say


@pytest.mark.real_peer
@pytest.mark.parametrize("kind", PUBLIC)
async def test_public_events_satisfy_the_schema_of_their_kind(story: Story, kind: int) -> None:
    """Every event the relay was given has the shape that the schemas of @nostrability/schemata ask for."""
    schemata = installed_schemata()
    events = story.heard(kind)
    assert events
    assert {event["id"]: flaws for event in events if (flaws := schemata.flaws(event))} == {}


@pytest.mark.real_peer
async def test_messages_satisfy_the_schemas_of_wrap_seal_and_rumor(story: Story) -> None:
    """Kinds 1059, 13 and 14, the inner ones decrypted with nostr-sdk, have the shape their schemas ask for."""
    schemata = installed_schemata()
    for wrap in (event for event in story.ada.heard if event["kind"] == GIFT_WRAP):
        seal = sdk.Event.from_json(story.ada.keys.nip44_decrypt(sdk.PublicKey.parse(wrap["pubkey"]), wrap["content"]))
        assert seal.verify()
        assert seal.kind().as_u16() == SEAL
        assert schemata.flaws(wrap) + schemata.flaws(json.loads(seal.as_json())) == []
    for letter in story.ada.letters:
        assert letter.rumor["kind"] == MESSAGE
        assert schemata.flaws({**letter.rumor, "id": letter.rumor_id}) == []


async def test_attendance_records_satisfy_the_schema_of_our_own_kind(story: Story) -> None:
    """Kind 31953 is ours, so its schema is restated here from wire-formats.md."""
    records = story.heard(ATTENDANCE)
    assert records
    for record in records:
        jsonschema.Draft7Validator(_RECORD).validate(record)


def _tag(name: str, *values: dict[str, Any], more: bool = False) -> dict[str, Any]:
    head = [{"const": name}, *values]
    size = {"minItems": len(head)} if more else {"minItems": len(head), "maxItems": len(head)}
    return {"type": "array", "items": head, **size}


_ADDRESS = {"type": "string", "pattern": "^31923:[0-9a-f]{64}:.+$"}
_RECORD_TAGS = [
    _tag("d", {"type": "string", "pattern": "^31923:[0-9a-f]{64}:.+:[0-9a-f]{64}$"}),
    _tag("a", _ADDRESS, more=True),
    _tag("p", _HEX64, more=True),
    _tag("joined", _SECONDS),
    _tag("left", _SECONDS),
    _tag("duration", _SECONDS),
    _tag("joins", _SECONDS),
    _tag("completed", {"enum": ["live", "recording"]}, _SECONDS),
    _tag("evidence", {"enum": ["engine", "presence", "manual"]}),
    _tag("assurance", {"enum": ["signature", "link", "guest"]}),
    _tag("e", _HEX64, more=True),
    _tag("alt", {"type": "string", "minLength": 1}),
]
_NEEDED = ("d", "a", "p", "joined", "left", "duration", "joins", "evidence", "assurance", "alt")
_RECORD: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "pubkey", "created_at", "kind", "tags", "content", "sig"],
    "properties": {
        "id": _HEX64,
        "pubkey": _HEX64,
        "created_at": {"type": "integer", "minimum": 1},
        "kind": {"const": ATTENDANCE},
        "content": {"const": ""},
        "sig": {"type": "string", "pattern": "^[0-9a-f]{128}$"},
        "tags": {
            "type": "array",
            "items": {"anyOf": _RECORD_TAGS},
            "allOf": [{"contains": {"type": "array", "items": [{"const": name}]}} for name in _NEEDED],
        },
    },
}
