"""A private session from invitation to attendance records: people on nostr-sdk, and a relay that learns nothing.

What a relay cannot help seeing is stated here: that gift wraps (kind 1059) come for a person, whom their `p` names, and
where a person reads messages (kinds 10050 and 10002, which are their own). Everything else is read back and searched.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import msgspec
import pytest
import pytest_asyncio

from tests.support.installed import Said, Site, offsets
from tests.support.outsiders import Event, Letter, Outsider, first, outsiders, rows, send
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real_peer]

TITLE: Final = "Whistleblowers among us"
NAME: Final = "behind-closed-doors"
SOON: Final = 20  # seconds to the session
QUARTER: Final = 6
INBOXES: Final = (10050, 10002)
WRAP, COPY, RSVP, RECORD = 1059, 16, 31925, 31953


class People(msgspec.Struct, frozen=True):
    """Who takes part: Ada and Ben come, Cem has no inbox, Dora helps; Eve is a stranger."""

    instructor: Outsider
    ada: Outsider
    ben: Outsider
    cem: Outsider
    dora: Outsider
    eve: Outsider

    @property
    def named(self) -> list[Outsider]:
        """Whom nothing public may name."""
        return [self.ada, self.ben, self.cem, self.dora]


class Life(msgspec.Struct, frozen=True):
    """What there is to look at afterwards."""

    created: Said
    lesson: str
    service: str
    people: People
    letters: dict[str, list[Letter]]
    stranger: dict[str, tuple[int, str]]
    nobody: dict[str, tuple[int, str]]
    reminders: list[dict[str, Any]]
    attendance: dict[str, dict[str, Any]]
    everything: list[Event]
    before: dict[str, Any]
    after: dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def life(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Life]:
    """The whole life of one session; then the daemon's disk is lost."""
    async with running_relay() as relay, outsiders(relay.url, 6) as found:
        people = People(*found)
        site = Site(
            tmp_path_factory.mktemp("private") / "site", relays=[relay.url], settings=offsets(3600, 1800, QUARTER)
        )
        service = await site.make_key()
        site.set(instructors__allow=[people.instructor.npub])
        await asyncio.gather(*(one.open_inbox() for one in (people.instructor, people.ada, people.ben, people.dora)))
        async with site.running():
            created = await _create(site, people)
            lesson = f"31923:{people.instructor.pubkey}:{NAME}"
            await _answer(site, people, lesson, service)
            stranger = {path: await _asked(site, path, people.eve) for path in _paths(NAME)}
            nobody = {path: await _asked(site, path, people.eve) for path in _paths("nothing-here")}
            await _attend(site, people, lesson)
            reminders = (await _get(site, people.instructor, "reminders"))["reminders"]
            before = await _shown(site, people)
            everything = await people.eve.everything()
        shutil.rmtree(site.state)
        async with site.running():
            await until(lambda: _is_back(site, people, before), "the session is read back out of its sealed copies")
            after = await _shown(site, people)
        yield Life(
            created=created,
            lesson=lesson,
            service=service,
            people=people,
            letters={one.pubkey: one.letters for one in found},
            stranger=stranger,
            nobody=nobody,
            reminders=reminders,
            attendance={row["pubkey"]: row for row in before["attendance"]},
            everything=everything,
            before=before,
            after=after,
        )


async def _create(site: Site, people: People) -> Said:
    key = site.folder / "instructor.key"
    key.write_text(people.instructor.keys.secret_key().to_bech32())
    key.chmod(0o600)
    guests = [option for one in (people.ada, people.ben, people.cem) for option in ("--invite", one.npub)]
    said = await site.podium(
        *("session", "create", TITLE, "--private", "--id", NAME, "--at", f"+{SOON}s", "--duration", "30"),
        *(*guests, "--co-host", people.dora.npub),
        key=key,
    )
    assert said.code == 0, said
    return said


async def _answer(site: Site, people: People, lesson: str, service: str) -> None:
    """Ada answers over HTTP; Ben from another client, sealed; Dora and Ben have read their invitations before."""
    for guest in (people.ada, people.ben, people.dora):
        await until(lambda guest=guest: _is_invited(guest), "the invitation has come")
    draft = await people.ada.call("POST", f"{site.base}/api/sessions/{NAME}/rsvp/draft", {"status": "confirmed"})
    assert draft.status == httpx.codes.OK, draft
    signed = [people.ada.sign(**_template(event)) for event in draft.body["events"]]
    taken = await people.ada.call("POST", f"{site.base}/api/events", {"events": signed})
    assert taken.status == httpx.codes.OK, taken
    await people.ben.seal(service, RSVP, [["d", "of-my-client"], ["a", lesson], ["status", "tentative"]])
    await people.eve.seal(service, RSVP, [["d", "let-me-in"], ["a", lesson], ["status", "accepted"]])

    async def counted() -> bool:
        counts = (await _get(site, people.instructor))["counts"]
        return bool(counts == {"confirmed": 1, "tentative": 1, "declined": 0})

    await until(counted, "both answers count, and the stranger's does not")


async def _attend(site: Site, people: People, lesson: str) -> None:
    await until(lambda: _is(site, people, "active"), "the session starts by the clock")
    ada = await people.ada.join(site.base, NAME, lesson, private=True)
    dora = await people.dora.join(site.base, NAME, lesson, private=True)
    await until(lambda: _is_told(people.ada, "Live now"), "Ada is told that it is live")
    await ada.leave()
    ended = await people.instructor.call("POST", f"{site.base}/api/sessions/{NAME}/end")
    assert ended.status == httpx.codes.OK, ended
    await dora.drop()
    await until(lambda: _has_record(people.ada, people.ada), "Ada has her attendance record")
    await until(lambda: _has_record(people.instructor, people.dora), "the instructor has Dora's")

    async def quiet() -> bool:
        (relay,) = (await send("GET", f"{site.base}/api/relays")).body["relays"]
        return bool(relay["pending"] == 0)

    await until(quiet, "everything is on the relay")


def _template(event: Event) -> dict[str, Any]:
    return {name: event[name] for name in ("kind", "tags", "content", "created_at")}


def _paths(name: str) -> list[tuple[str, str]]:
    there = f"/api/sessions/{name}"
    reads = (
        "",
        "/rsvps",
        "/attendance",
        "/reminders",
        "/room",
        "/events",
        "/calendar.ics",
        "/questions",
        "/conference",
    )
    calls = ("/rsvp/draft", "/join/challenge", "/start", "/end", "/room/admit")
    return [*(("GET", there + path) for path in reads), *(("POST", there + path) for path in calls)]


async def _asked(site: Site, path: tuple[str, str], by: Outsider) -> tuple[int, str]:
    method, where = path
    body = {"POST": {"status": "confirmed"} if where.endswith("/rsvp/draft") else {}}.get(method)
    if where.endswith("/room/admit"):
        body = {"everybody": True}
    if where.endswith(("/start", "/end", "/challenge")):
        body = None
    answer = await by.call(method, site.base + where, body)
    detail = answer.body["detail"] if isinstance(answer.body, dict) and "detail" in answer.body else str(answer.body)
    return answer.status, detail.replace(NAME, "NAME").replace("nothing-here", "NAME")


async def _get(site: Site, by: Outsider, what: str = "") -> dict[str, Any]:
    path = f"{site.base}/api/sessions/{NAME}" + (f"/{what}" if what else "")
    return dict((await by.call("GET", path)).body)


async def _is(site: Site, people: People, state: str) -> bool:
    return bool((await _get(site, people.instructor)).get("state") == state)


async def _is_invited(guest: Outsider) -> bool:
    return {letter.rumor["kind"] for letter in guest.letters} >= {14, COPY}


async def _is_told(person: Outsider, words: str) -> bool:
    return any(letter.subject.startswith(words) for letter in person.letters)


async def _has_record(reader: Outsider, about: Outsider) -> bool:
    return any(first(record, "p") == about.pubkey and first(record, "left") for record in _records(reader.letters))


def _records(letters: list[Letter]) -> list[Event]:
    return [letter.rumor for letter in letters if letter.rumor["kind"] == RECORD]


async def _shown(site: Site, people: People) -> dict[str, Any]:
    session = await _get(site, people.instructor)
    fields = ("lessonId", "title", "state", "visibility", "counts", "startedAt", "endedAt")
    answers = (await _get(site, people.instructor, "rsvps"))["rsvps"]
    attendance = (await _get(site, people.instructor, "attendance"))["attendance"]
    return {
        "session": {field: session.get(field) for field in fields},
        "answers": [(row["pubkey"], row["status"], row["rsvpTime"]) for row in answers],
        "attendance": attendance,
    }


async def _is_back(site: Site, people: People, before: dict[str, Any]) -> bool:
    if "lessonId" not in await _get(site, people.instructor):
        return False
    after = await _shown(site, people)
    return bool(after["session"]["counts"] == before["session"]["counts"] and after["attendance"])


async def test_creating_it_says_what_it_reveals(life: Life) -> None:
    """The one line of the command names what stays sealed and what relays see."""
    (line,) = [line for line in life.created.text.splitlines() if line.startswith("Private:")]
    assert "encrypted" in line
    assert "relays see" in line


async def test_guests_get_words_and_the_signed_session(life: Life) -> None:
    """An invitation any client shows, with title and page; and the instructor's event whole, with its signature."""
    for guest in (life.people.ada, life.people.ben, life.people.dora):
        letters = life.letters[guest.pubkey]
        (words,) = [one for one in letters if one.subject.startswith("You are invited")]
        assert TITLE in words.text
        assert "/s/naddr1" in words.text
        copies = [one for one in letters if one.rumor["kind"] == COPY]
        assert {one.sender for one in copies} == {life.service}
        session = json.loads(copies[0].rumor["content"])
        assert session["pubkey"] == life.people.instructor.pubkey
        assert [first(session, "title"), first(session, "visibility")] == [TITLE, "private"]
        guest.check(session)


async def test_who_names_no_inbox_is_shown_as_undeliverable(life: Life) -> None:
    """Cem can be told nothing, and the instructor sees it in the ledger."""
    own = {row["message"]: row["state"] for row in life.reminders if row["pubkey"] == life.people.cem.pubkey}
    assert own == {"invitation": "undeliverable", "session": "undeliverable"}
    assert life.letters[life.people.cem.pubkey] == []


async def test_reminders_come_as_for_any_session(life: Life) -> None:
    """Both who answered are confirmed, reminded and told that it is live; who did not answer is not reminded."""
    for guest in (life.people.ada, life.people.ben):
        subjects = [one.subject for one in life.letters[guest.pubkey]]
        for words in ("starting soon - Join Now", "Live now"):
            assert sum(words in subject for subject in subjects) == 1, subjects
    assert not any("Live now" in one.subject for one in life.letters[life.people.dora.pubkey])


async def test_attendance_records_go_to_the_person_and_the_instructor(life: Life) -> None:
    """Each is a sealed kind 31953 of the service; nobody gets another participant's."""
    ada, dora, instructor = life.people.ada, life.people.dora, life.people.instructor
    assert {first(record, "p") for record in _records(life.letters[ada.pubkey])} == {ada.pubkey}
    assert {first(record, "p") for record in _records(life.letters[dora.pubkey])} == {dora.pubkey}
    assert {first(record, "p") for record in _records(life.letters[instructor.pubkey])} == {ada.pubkey, dora.pubkey}
    assert _records(life.letters[life.people.ben.pubkey]) == []


async def test_no_public_event_names_a_participant_or_the_session(life: Life) -> None:
    """Everything on the relay is read: beside gift wraps and people's own inboxes nothing shows who or what."""
    secret = [*(one.pubkey for one in life.people.named), TITLE, NAME, life.lesson]
    shown = [event for event in life.everything if event["kind"] != WRAP]
    assert {event["kind"] for event in shown} >= {10050, 30312}, "the service and its people are on the relay at all"
    for event in shown:
        is_own_inbox = event["kind"] in INBOXES
        text = json.dumps(event if not is_own_inbox else {**event, "pubkey": ""})
        assert [word for word in secret if word in text] == [], event
    assert not {event["kind"] for event in shown} & {5, 31923, RSVP, RECORD, 30313, 30311, 1311}


async def test_gift_wraps_say_only_for_whom_they_are(life: Life) -> None:
    """One recipient and perhaps an expiration; the key is fresh each time, so that none shows the service."""
    wraps = [event for event in life.everything if event["kind"] == WRAP]
    own = {life.service, *(one.pubkey for one in (*life.people.named, life.people.instructor, life.people.eve))}
    assert {rows(wrap, "p")[0][1] for wrap in wraps} <= own
    assert life.service in {first(wrap, "p") for wrap in wraps}, "the service sent copies to itself"
    for wrap in wraps:
        assert [tag for tag in wrap["tags"] if tag[0] not in ("p", "expiration")] == []
        assert len(rows(wrap, "p")) == 1
        assert wrap["pubkey"] not in own


async def test_to_a_stranger_it_is_not_there(life: Life) -> None:
    """Every call of a person who is not invited has the answer that a session which does not exist has."""
    assert {status for status, _ in life.stranger.values()} == {404}, life.stranger
    for (method, path), answer in life.stranger.items():
        assert answer == life.nobody[method, path.replace(NAME, "nothing-here")]


async def test_a_lost_disk_gives_back_what_was(life: Life) -> None:
    """State, answers and attendance come out of what the service had sealed for itself and people for it."""
    assert life.after["session"] == life.before["session"]
    assert sorted(life.after["answers"]) == sorted(life.before["answers"])
    fields = ("pubkey", "joinedAt", "leftAt", "totalDuration", "joinCount")
    after = {row["pubkey"]: [row[field] for field in fields] for row in life.after["attendance"]}
    assert after == {key: [row[field] for field in fields] for key, row in life.attendance.items()}
