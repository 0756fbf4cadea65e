"""A request that is sent again and changes nothing: no write, no event, no page and no seat is told.

The routes are those of the application itself, so that a new one without a row here fails.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, get_args

import httpx
import pytest
import pytest_asyncio

from podium_daemon.conference.events import RoomId
from podium_daemon.conference.signaling import DaemonMessage, Notice
from podium_daemon.services.recording.recording import RecordingSettings
from podium_daemon.services.recording.work import WorkSettings
from podium_protocol.keys import SecretKey
from podium_protocol.live.session import GuestPolicy
from podium_storage.changes import Batch
from podium_storage.database import Transaction
from podium_storage.table.models import LiveSessionRow
from tests.daemon.web.routes import test_guests as guests
from tests.daemon.web.routes import test_questions as questions
from tests.daemon.web.routes import test_recordings as recordings
from tests.daemon.web.routes.test_certificates import attended
from tests.daemon.web.test_write_limits import ROUTES
from tests.support.able_engine import AbleEngine
from tests.support.recording import POLICY, Studio
from tests.support.seat_server import Page
from tests.support.site import Site, reading, site
from tests.support.world import new_key

Again = Callable[[], Awaitable[httpx.Response]]
"""Sends the same request, each time."""

Case = Callable[[Site, LiveSessionRow], Awaitable[Again]]
"""Given a session whose room is open; prepares what the request is about."""

RecordingCase = Callable[[Site, Studio], Awaitable[Again]]

COMMANDS: Final = ("hide", "pin", "answer")

SECRET_EACH_TIME: Final = "a new secret each time, which is what is asked for"
NOT_THE_SAME: Final = {
    "POST /api/calendar/revoke": SECRET_EACH_TIME,
    "POST /api/conference/webhook/{engine}": "tests/daemon/web/routes/test_engines.py",
    "POST /api/instructors/claim": "a secret that is good once",
    "POST /api/login": SECRET_EACH_TIME,
    "POST /api/login/end": "a login that is good no more is refused",
    "POST /api/sessions/{reference}/guest": "two guests may not have one name",
    "POST /api/sessions/{reference}/guest/open": SECRET_EACH_TIME,
    "POST /api/sessions/{reference}/guest/key": "encrypts with a new salt, and keeps nothing",
    "POST /api/sessions/{reference}/guests/{guest}/renew": SECRET_EACH_TIME,
    "POST /api/sessions/{reference}/join/challenge": SECRET_EACH_TIME,
    "POST /api/sessions/{reference}/join": "a proof is good once",
    "POST /api/sessions/{reference}/polls": "two polls may say the same",
    "POST /api/sessions/{reference}/polls/sealed": "two polls may say the same",
    "POST /api/sessions/{reference}/watching": SECRET_EACH_TIME,
    "POST /api/signers": SECRET_EACH_TIME,
    "POST /api/signers/{signer_id}/requests": "in memory only: tests/daemon/web/routes/test_signers.py",
    "DELETE /api/signers/{signer_id}": "in memory only",
}
"""Calls that are another call each time, and why."""


def led(*path: str, body: object = None, method: str = "POST") -> Case:
    """The same call by the instructor."""

    async def case(here: Site, row: LiveSessionRow) -> Again:
        return lambda: here.call(method, here.path_of(row, *path), by=here.here.instructor, body=body)

    return case


def about_guest(*path: str, body: Callable[[SecretKey], object]) -> Case:
    """The same call by the instructor, about a person who is in the room."""

    async def case(here: Site, row: LiveSessionRow) -> Again:
        person = new_key()
        await here.enter(person, row)
        return lambda: here.post(here.path_of(row, *path), here.here.instructor, body(person))

    return case


def by_service(path: str) -> Case:
    """The same call by the service's key, about a person."""

    async def case(here: Site, _row: LiveSessionRow) -> Again:
        person = new_key()
        return lambda: here.post(path, here.here.service, {"pubkey": person.pubkey})

    return case


def poll(command: str) -> Case:
    """A decision about a poll."""

    async def case(here: Site, row: LiveSessionRow) -> Again:
        lead, path = here.here.instructor, here.path_of(row, "polls")
        made = await here.post(path, lead, {"question": "Which knot?", "options": ["a", "b"]})
        number = made.json()["polls"][0]["id"]
        if command == "close":
            await here.post(f"{path}/{number}/open", lead)
        return lambda: here.post(f"{path}/{number}/{command}", lead)

    return case


async def sealed_poll(here: Site, _row: LiveSessionRow) -> Again:
    """New cipher text of a poll in an encrypted session."""
    row = await here.here.schedule(starts_in=600, e2ee_required=True)
    path, lead = here.path_of(row, "polls"), here.here.instructor
    body = {"sealed": "0." + "A" * 80, "sealedRight": "0." + "B" * 60, "options": 2}
    made = await here.post(f"{path}/sealed", lead, body)
    assert made.status_code == 200, made.text
    number = made.json()["polls"][0]["id"]
    return lambda: here.post(f"{path}/{number}/seal", lead, {"sealed": "1." + "A" * 80, "sealedRight": "1." + "B" * 60})


async def question(here: Site, row: LiveSessionRow) -> Again:
    """One signed question."""
    event = questions.question(here, row, await questions.guest(here, row))
    return lambda: questions.send(here, row, event)


async def question_vote(here: Site, row: LiveSessionRow) -> Again:
    """One vote for a question."""
    _, event = await questions.asked(here, row)
    voter = await questions.guest(here, row)
    return lambda: here.post(here.path_of(row, "questions", event.id, "vote"), voter, {"on": True})


def moderation(command: str) -> Case:
    """A decision about a question."""

    async def case(here: Site, row: LiveSessionRow) -> Again:
        _, event = await questions.asked(here, row)
        return lambda: questions.moderated(here, row, event.id, command)

    return case


async def chat_line(here: Site, row: LiveSessionRow) -> Again:
    """A line of the chat that is deleted."""
    page = await here.enter(new_key(), row)
    await page.socket.send(json.dumps({"type": "chat", "text": "hello"}))
    while (message := await reading(page))["type"] != "chat":
        pass
    return lambda: here.post(here.path_of(row, "chat", str(message["id"]), "delete"), here.here.instructor)


async def rsvp(here: Site, row: LiveSessionRow) -> Again:
    """One signed answer."""
    person = await here.here.person()
    draft = await here.post(here.path_of(row, "rsvp", "draft"), person, {"status": "confirmed"})
    event = here.sign(person, draft.json()["events"][0])
    return lambda: here.post("/api/events", person, {"events": [event]})


async def badge(here: Site, _row: LiveSessionRow) -> Again:
    """A participant's wish for a badge."""
    row, person = await attended(here, 46)
    return lambda: here.post(here.path_of(row, "badge"), person)


async def no_badge(here: Site, _row: LiveSessionRow) -> Again:
    """That wish taken back."""
    row, person = await attended(here, 46)
    await here.post(here.path_of(row, "badge"), person)
    return lambda: here.call("DELETE", here.path_of(row, "badge"), by=person)


async def calendar(here: Site, _row: LiveSessionRow) -> Again:
    """A person's calendar address."""
    person = new_key()
    return lambda: here.post("/api/calendar", person)


async def guest_revoked(here: Site, row: LiveSessionRow) -> Again:
    """A personal link that is good no more."""
    (guest,) = await guests.invite(here, row, "Ana")
    return lambda: here.post(here.path_of(row, "guests", guest["pubkey"], "revoke"), here.here.instructor)


async def guests_invited(here: Site, row: LiveSessionRow) -> Again:
    """A name that has its link already."""
    return lambda: here.post(here.path_of(row, "guests"), here.here.instructor, {"names": ["Ana"]})


async def guest_signed(here: Site, _row: LiveSessionRow) -> Again:
    """A guest's signature by the service."""
    row = await here.here.schedule(starts_in=600, guests=GuestPolicy.ANYONE)
    who = await guests.guest(here, row)
    draft = await here.call(
        "POST", here.path_of(row, "rsvp", "draft"), body={"status": "confirmed"}, token=who["token"]
    )
    return lambda: guests.as_guest(here, row, who, draft.json()["events"][0])


async def manual_attendance(here: Site, row: LiveSessionRow) -> Again:
    """The instructor vouches for a person."""
    now, person = here.here.now, new_key()
    body = {"pubkey": person.pubkey, "joinedAt": now - 500, "leftAt": now - 100, "note": "no camera"}
    return lambda: here.post(here.path_of(row, "attendance", "manual"), here.here.instructor, body)


async def conference(here: Site, row: LiveSessionRow) -> Again:
    """The room of a session made."""
    body = {
        "name": row.title,
        "waitingRoom": row.waiting_room,
        "allowRecording": row.allow_recording,
        "e2eeRequired": row.e2ee_required,
        "instructorPubkey": row.instructor_pubkey,
    }
    return lambda: here.post(here.path_of(row, "conference"), here.here.instructor, body)


async def reopened(here: Site, row: LiveSessionRow) -> Again:
    """A session that was ended too early."""
    await here.post(here.path_of(row, "end"), here.here.instructor)
    return lambda: here.post(here.path_of(row, "reopen"), here.here.instructor)


async def cancelled(here: Site, row: LiveSessionRow) -> Again:
    """A draft of a cancellation."""
    return lambda: here.post(here.path_of(row, "cancel", "draft"), here.here.instructor, {"reason": "ill"})


async def restored(here: Site, _row: LiveSessionRow) -> Again:
    """A draft that takes a cancellation back."""
    row = await here.here.cancel(await here.here.schedule())
    return lambda: here.post(here.path_of(row, "restore", "draft"), here.here.instructor)


def always(call: Callable[[Site, LiveSessionRow], Awaitable[httpx.Response]]) -> Case:
    """A call that needs no preparation."""

    async def case(here: Site, row: LiveSessionRow) -> Again:
        return lambda: call(here, row)

    return case


def draft(here: Site) -> dict[str, object]:
    """A session as its instructor wishes it."""
    return {"title": "Knots", "scheduledAt": here.here.now + 7200, "duration": 60}


async def speaking(here: Site, row: LiveSessionRow) -> Again:
    """A person who may speak although mute-all is on."""
    person = new_key()
    await here.enter(person, row)
    await here.post(here.path_of(row, "room", "mute-all"), here.here.instructor, {"on": True})
    body = {"pubkey": person.pubkey, "on": True}
    return lambda: here.post(here.path_of(row, "room", "speak"), here.here.instructor, body)


S: Final = "/api/sessions/{reference}"
CASES: Final[dict[str, Case]] = {
    f"POST {S}/badge": badge,
    f"DELETE {S}/badge": no_badge,
    f"POST {S}/badges/draft": led("badges", "draft"),
    "POST /api/calendar": calendar,
    "POST /api/certificates/check": always(lambda here, _: here.post("/api/certificates/check", None, {})),
    f"POST {S}/chat": led("chat", body={"on": False}),
    f"POST {S}/chat/{{line}}/delete": chat_line,
    f"POST {S}/conference": conference,
    f"POST {S}/conference/start": led("conference", "start"),
    f"POST {S}/conference/end": led("conference", "end"),
    f"POST {S}/attendance/manual": manual_attendance,
    f"POST {S}/guest/sign": guest_signed,
    f"POST {S}/guests": guests_invited,
    f"POST {S}/guests/{{guest}}/revoke": guest_revoked,
    "POST /api/instructors": by_service("/api/instructors"),
    "POST /api/instructors/remove": by_service("/api/instructors/remove"),
    f"POST {S}/join/name": always(
        lambda here, row: here.post(here.path_of(row, "join", "name"), None, {"name": "Ana"})
    ),
    f"POST {S}/names": led("names", body={"pubkeys": []}),
    f"POST {S}/polls/{{poll}}/seal": sealed_poll,
    f"POST {S}/polls/{{poll}}/open": poll("open"),
    f"POST {S}/polls/{{poll}}/close": poll("close"),
    f"POST {S}/polls/{{poll}}/delete": poll("delete"),
    f"POST {S}/questions": question,
    f"POST {S}/questions/{{question}}/vote": question_vote,
    **{f"POST {S}/questions/{{question}}/{command}": moderation(command) for command in COMMANDS},
    f"POST {S}/room/admit": about_guest("room", "admit", body=lambda one: {"pubkeys": [one.pubkey]}),
    f"POST {S}/room/remove": about_guest("room", "remove", body=lambda one: {"pubkey": one.pubkey}),
    f"POST {S}/room/hands/lower": led("room", "hands", "lower", body={"everybody": True}),
    f"POST {S}/room/mute-all": led("room", "mute-all", body={"on": True}),
    f"POST {S}/room/mute": about_guest("room", "mute", body=lambda one: {"pubkey": one.pubkey}),
    f"POST {S}/room/speak": speaking,
    f"POST {S}/room/spotlight": about_guest("room", "spotlight", body=lambda one: {"pubkey": one.pubkey}),
    f"POST {S}/room/lock": led("room", "lock", body={"on": True}),
    "POST /api/events": rsvp,
    f"POST {S}/rsvp/draft": led("rsvp", "draft", body={"status": "confirmed"}),
    "POST /api/sessions/draft": always(
        lambda here, _: here.post("/api/sessions/draft", here.here.instructor, draft(here))
    ),
    f"POST {S}/draft": led("draft", body={"title": "Other knots"}),
    f"POST {S}/cancel/draft": led("cancel", "draft", body={"reason": "ill"}),
    f"POST {S}/restore/draft": restored,
    f"POST {S}/series/draft": led("series", "draft"),
    f"POST {S}/start": led("start"),
    f"POST {S}/end": led("end"),
    f"POST {S}/reopen": reopened,
    "DELETE /api/service/signer": always(
        lambda here, _: here.call("DELETE", "/api/service/signer", by=here.here.instructor)
    ),
}


async def consent(here: Site, studio: Studio) -> Again:
    """The answer to the recording policy, signed anew."""
    key, row = new_key(), await studio.session()
    await here.enter(key, row, consent=True)
    return lambda: recordings.answered(here, key, row, given=True)


async def switch_on(here: Site, studio: Studio) -> Again:
    """Recording switched on."""
    row = await studio.session()
    await here.enter(new_key(), row, consent=True)
    return lambda: recordings.switched(here, row, on=True)


def act(*before: str) -> RecordingCase:
    """What is done with a finished recording; the last of these twice."""

    async def case(here: Site, studio: Studio) -> Again:
        work = WorkSettings(review=True)
        studio.here.recorder.settings = RecordingSettings(policies={"en": POLICY}, work=work)
        await studio.recorded(1)
        path = here.path_of(await studio.session(), "recording")
        for one in before[:-1]:
            await here.post(f"{path}/{one}", here.here.instructor)
        return lambda: here.post(f"{path}/{before[-1]}", here.here.instructor)

    return case


async def retry(here: Site, studio: Studio) -> Again:
    """A failed recording tried again."""
    await studio.sit()
    await studio.record()
    studio.engine._begun.clear()
    await studio.end()
    await studio.make()
    row = await studio.session()
    return lambda: here.post(here.path_of(row, "recording", "retry"), here.here.instructor)


async def played(here: Site, studio: Studio) -> Again:
    """A stretch that was credited."""
    await studio.recorded(2)
    row = await studio.session()
    player = (await here.post(here.path_of(row, "watching"), new_key())).json()
    header = {"Authorization": f"Podium {player['secret']}"}
    return lambda: here.call("POST", "/api/watching", body={"segments": [[0, 1]]}, headers=header)


RECORDING_CASES: Final[dict[str, RecordingCase]] = {
    f"POST {S}/recording/consent": consent,
    f"POST {S}/room/recording": switch_on,
    f"POST {S}/recording/publish": act("publish"),
    f"POST {S}/recording/unpublish": act("publish", "unpublish"),
    f"POST {S}/recording/delete": act("delete"),
    f"POST {S}/recording/retry": retry,
    "POST /api/watching": played,
}


IN_THE_BACKGROUND: Final = {"returns"}
"""Tables that the daemon writes by itself: until when people may come back to their seats."""


class Quiet:
    """Tells what a call wrote, what the change feed told, and what a person in the room was sent."""

    def __init__(self, here: Site, row: LiveSessionRow, onlooker: Page | None) -> None:
        self._here = here
        self._room = RoomId(row.conference_room_id or "")
        self._onlooker = onlooker
        self._changes = here.here.store.changes.subscribe()

    async def begin(self) -> None:
        """What happens from now on counts."""
        await self._here.here.store.database.transact(_note_writes)
        await self._told("begin")
        self._changes.take_changes()

    async def happened(self) -> tuple[list[str], Batch | None, list[dict[str, object]]]:
        """Tables written, changes told, messages to the onlooker."""
        written = await self._here.here.store.database.transact(_noted_writes)
        return written, self._changes.take_changes(), await self._told("end")

    async def _told(self, mark: str) -> list[dict[str, object]]:
        if self._onlooker is None:
            return []
        await self._here.here.engine.send_message(self._room, Notice(mark))
        found: list[dict[str, object]] = []
        while (message := await self._onlooker._next()) != {"type": "notice", "text": mark}:
            found.append(message)
        return found


async def _note_writes(tx: Transaction) -> None:
    """Have the database note each row that is written, also one that is written as it was."""
    await tx.execute("CREATE TEMP TABLE IF NOT EXISTS written (what TEXT)")
    tables = await tx.query("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    for (name,) in tables:
        for verb in ("INSERT", "UPDATE", "DELETE"):
            await tx.execute(  # triggers of the connection alone, gone with it
                f'CREATE TEMP TRIGGER IF NOT EXISTS "noted {verb} {name}" AFTER {verb} ON main."{name}" '  # noqa: S608
                f"BEGIN INSERT INTO written VALUES ('{name}'); END"
            )
    await tx.execute("DELETE FROM temp.written")


async def _noted_writes(tx: Transaction) -> list[str]:
    rows = await tx.query("SELECT what FROM temp.written")
    return [str(name) for (name,) in rows if name not in IN_THE_BACKGROUND]


async def check(here: Site, quiet: Quiet, again: Again) -> None:
    """The first call may do something, the second one does nothing."""
    first = await again()
    assert first.status_code < 500, first.text
    await here.here.clock.advance(2)
    await here.here.rooms.people.tell()  # of those who came to be called about
    await quiet.begin()
    second = await again()
    assert second.status_code in (first.status_code, 404, 409), (first.text, second.text)
    found = await quiet.happened()
    assert found == ([], None, []), found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One server: each call is about a session of its own."""
    async with site(engine=AbleEngine) as running:
        yield running


async def open_room(here: Site) -> tuple[LiveSessionRow, Page]:
    """A live session with a person in its room who only looks on."""
    row = await here.here.schedule(starts_in=600)
    await here.here.lifecycle.start(row.session_address, here.here.instructor.pubkey)
    row = await here.here.row(row.session_address)
    return row, await here.enter(new_key(), row)


ENDS_THE_ROOM: Final = {f"POST {S}/end", f"POST {S}/conference/end", f"POST {S}/reopen"}


one_loop = pytest.mark.asyncio(loop_scope="module")


@one_loop
@pytest.mark.parametrize("name", CASES)
async def test_a_call_that_changes_nothing_writes_and_tells_nothing(here: Site, name: str) -> None:
    """No row, no change in the feed that pages are woken by, no message to others in the room."""
    row, onlooker = await open_room(here)
    again = await CASES[name](here, row)
    await check(here, Quiet(here, row, None if name in ENDS_THE_ROOM else onlooker), again)


@one_loop
async def test_a_call_that_changes_something_is_noticed(here: Site) -> None:
    """The same three witnesses see the first call."""
    row, onlooker = await open_room(here)
    quiet = Quiet(here, row, onlooker)
    await quiet.begin()
    await here.post(here.path_of(row, "chat"), here.here.instructor, {"on": False})
    written, batch, told = await quiet.happened()
    assert "roomControls" in written
    assert batch is not None
    assert told == [{"type": "chat-state", "open": False}]


SEAT_MESSAGES: Final[dict[str, dict[str, object]]] = {"hand": {"up": True}, "vote": {"poll": 0, "choices": [1]}}
NOT_THE_SAME_MESSAGE: Final = {
    "key": "each is encrypted anew",
    "chat": "people say the same twice; a line a second",
    "reaction": "people clap twice; once a second",
}


def test_every_message_of_a_seat_is_here() -> None:
    """A new one has a row, or a reason."""
    kinds = {one.__struct_config__.tag for one in get_args(DaemonMessage)}
    assert kinds == set(SEAT_MESSAGES) | set(NOT_THE_SAME_MESSAGE)


@one_loop
@pytest.mark.parametrize("kind", SEAT_MESSAGES)
async def test_a_message_that_changes_nothing_is_answered_and_told_to_no_others(here: Site, kind: str) -> None:
    """The person gets the same answer again; the room is told the first time only."""
    row, onlooker = await open_room(here)
    page, rooms = await here.enter(new_key(), row), here.here.rooms
    message: dict[str, object] = {"type": kind, **SEAT_MESSAGES[kind]}
    if kind == "vote":
        path, lead = here.path_of(row, "polls"), here.here.instructor
        body = {"question": "Which knot?", "options": ["a", "b"], "live": True}
        message["poll"] = (await here.post(path, lead, body)).json()["polls"][0]["id"]
        await here.post(f"{path}/{message['poll']}/open", lead)
    quiet = Quiet(here, row, onlooker)
    for told in (True, False):
        await rooms.people.tell()
        await quiet.begin()
        await page.socket.send(json.dumps(message))
        while (await reading(page))["type"] != kind:
            pass
        await rooms.people.tell()
        await rooms.polls.tell_results()
        written, batch, seen = await quiet.happened()
        assert bool(seen) is told
        assert told or (written, batch) == ([], None)


@pytest.mark.parametrize("name", RECORDING_CASES)
async def test_a_recording_is_not_changed_twice(name: str) -> None:
    """The same, of what is recorded."""
    async with recordings.stage() as (here, studio):
        again = await RECORDING_CASES[name](here, studio)
        await check(here, Quiet(here, await studio.session(), None), again)


def test_every_route_that_writes_is_here() -> None:
    """Each is called twice, or is another call each time."""
    named = {f"{method} {path}": path for method, path, _ in ROUTES}
    covered = {name for name in named if name in NOT_THE_SAME}
    for name in (*CASES, *RECORDING_CASES):
        start = name if name in named else f"{name.rpartition('/')[0]}/{{command}}"
        assert start in named, name
        covered.add(start)
    assert covered == set(named)
    assert set(NOT_THE_SAME) <= set(named)
