"""RSVPs, attendance and reminders over HTTP: leaders see everybody, others see themselves, strangers nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import msgspec
import pytest
import pytest_asyncio

from podium_daemon.services.people.profiles import Introduction
from podium_protocol.addresses import Address
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.nips import nip19
from podium_storage.table.models import IntervalRow, LiveSessionRow
from tests.support.private import scheduled
from tests.support.reads import reading
from tests.support.relays import new_key
from tests.support.site import Site, site
from tests.support.world import Room

one_loop = pytest.mark.asyncio(loop_scope="module")
LISTS = ("rsvps", "attendance", "reminders")


class Class:
    """A session with a co-host that two people attended; one of them is unreachable, a third one declined."""

    def __init__(self, here: Site, row: LiveSessionRow, co_host: SecretKey) -> None:
        self.here = here
        self.row = row
        self.co_host = co_host
        self.ada, self.ben, self.cleo = new_key(), new_key(), new_key()

    async def hold(self) -> None:
        """People answer, come, and the session ends."""
        world = self.here.here
        await world.open_inbox(self.ada)
        for key in (self.ada, self.ben):
            await world.answer(key, self.row)
        await world.answer(self.cleo, self.row, RsvpStatus.DECLINED)
        await world.turn()
        await world.advance(1200)
        room = Room(world, self.row)
        seats = [await room.sit(key) for key in (self.ada, self.ben)]
        for _ in range(35):
            await world.clock.advance(60)
            for seat in seats:
                seat.beat()
            await world.turn()
        await room.leave(seats[1])
        await world.turn()

    async def rows(self, name: str, by: SecretKey) -> list[dict[str, object]]:
        """One list, as a person sees it."""
        answer = await self.here.get(self.here.path_of(self.row, name), by)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, object]] = answer.json()[name]
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lesson() -> AsyncIterator[Class]:
    """One class for all: nothing here changes it."""
    async with site() as here:
        co_host = new_key()
        row = await here.here.schedule(starts_in=1200, minutes=60, co_hosts=(co_host.pubkey,))
        found = Class(here, row, co_host)
        await found.hold()
        yield found


def address_of(row: LiveSessionRow) -> Address:
    """The session's address."""
    found = Address.parse(row.session_address)
    assert found is not None
    return found


async def test_an_answer_is_newer_than_the_one_that_counts_whoever_wrote_that() -> None:
    """Another client dated its answer ahead, under a `d` of its own: a draft of the same minute must still win."""
    async with site() as here:
        world, key = here.here, new_key()
        row = await world.schedule()
        elsewhere = write_rsvp(address_of(row), RsvpStatus.CONFIRMED, pubkey=key.pubkey, now=world.now + 300)
        renamed = tuple(("d", "another client's") if tag[0] == "d" else tag for tag in elsewhere.tags)
        await world.publish(key, msgspec.structs.replace(elsewhere, tags=renamed))
        draft = await here.post(here.path_of(row, "rsvp", "draft"), key, {"status": "declined"})
        assert draft.json()["events"][0]["created_at"] == world.now + 301
        assert (await here.sign_and_submit(key, draft)).status_code == 200
        counted = await world.rsvp(key, row)
        assert counted is not None
        assert counted.status == "declined"


@one_loop
@pytest.mark.parametrize("name", LISTS)
async def test_leaders_see_everybody(lesson: Class, name: str) -> None:
    """Instructor, co-host and the service's own key see all rows."""
    everybody = {"rsvps": 3, "attendance": 2, "reminders": 2}[name]
    for key in (lesson.here.here.instructor, lesson.co_host, lesson.here.here.service):
        assert len({row["pubkey"] for row in await lesson.rows(name, key)}) == everybody


@one_loop
@pytest.mark.parametrize("name", LISTS)
async def test_others_see_themselves(lesson: Class, name: str) -> None:
    """Each person sees the rows of their own key and no others; a stranger sees none, and nobody without a login."""
    for key in (lesson.ada, lesson.ben):
        rows = await lesson.rows(name, key)
        assert {row["pubkey"] for row in rows} == {key.pubkey}
        assert {row["npub"] for row in rows} == {nip19.encode_npub(key.pubkey)}
    assert await lesson.rows(name, new_key()) == []
    assert (await lesson.here.get(lesson.here.path_of(lesson.row, name))).status_code == 401


@one_loop
@pytest.mark.parametrize("name", LISTS)
async def test_a_stranger_costs_no_more_than_their_own_rows(lesson: Class, name: str) -> None:
    """The rows of one person are read by key: of the people of the session none is read."""
    store = lesson.here.here.store
    with reading(store.database) as reads:
        assert await lesson.rows(name, new_key()) == []
    tables = (store.rsvps, store.attendance, store.ledger, store.letters, store.watches, store.guests)
    assert [reads.rows_of(table.name) for table in tables] == [0] * len(tables)


@one_loop
async def test_who_is_out_of_reach_is_the_same_in_parts(lesson: Class) -> None:
    """The few people that a page is told are those of the full list, and so is their number."""
    views = lesson.here.views
    whole = await views.answers.unreachable(await lesson.here.here.row(lesson.row.session_address), None)
    part, total = await views.answers.first_unreachable(await lesson.here.here.row(lesson.row.session_address), 100)
    assert part == whole
    assert total == len(whole) == 1


@one_loop
async def test_a_page_asks_for_the_names_of_people(lesson: Class) -> None:
    """A list of keys, of which those are named who belong to the session and have a name."""
    lesson.here.introductions[lesson.ada.pubkey] = Introduction("Ada")
    answer = await lesson.here.post(
        lesson.here.path_of(lesson.row, "names"), lesson.ada, {"pubkeys": [lesson.ada.pubkey, new_key().pubkey]}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"names": {lesson.ada.pubkey: "Ada"}}
    del lesson.here.introductions[lesson.ada.pubkey]


@one_loop
async def test_leaders_search_those_who_answered_and_attended(lesson: Class) -> None:
    """By a part of the name as the page shows it, in any case, or by the beginning of the npub; in parts, too."""
    here, instructor = lesson.here, lesson.here.here.instructor
    names = {lesson.ada: "Ada Byron", lesson.ben: "Ben Bitdiddle", lesson.cleo: "Cleo"}
    here.introductions.update({key.pubkey: Introduction(name) for key, name in names.items()})
    npub = nip19.encode_npub(lesson.ben.pubkey)

    async def found(name: str, **asked: str) -> tuple[list[str], int]:
        answer = await here.get(f"{here.path_of(lesson.row, name)}?{urlencode(asked)}", instructor)
        assert answer.status_code == 200, answer.text
        rows = answer.json()["rsvps" if name == "answers" else name]
        return [names[key] for row in rows for key in names if key.pubkey == row["pubkey"]], answer.json()["total"]

    for name in ("answers", "attendance"):
        # two who came at the same second stand in either order, and always in that one
        both, total = await found(name, q="B")
        assert (sorted(both), total) == (["Ada Byron", "Ben Bitdiddle"], 2)
        for place in (0, 1):
            assert await found(name, q=" b ", offset=str(place), limit="1") == (both[place : place + 1], 2)
        assert await found(name, q=npub[:20].upper()) == (["Ben Bitdiddle"], 1)
        assert await found(name, q="nobody of that name") == ([], 0)
        assert (await here.get(f"{here.path_of(lesson.row, name)}?q={'x' * 101}", instructor)).status_code == 422
    assert await found("answers", q="cleo") == (["Cleo"], 1)
    for place in (0, 1):
        assert await found("attendance", limit="1", offset=str(place)) == (both[place : place + 1], 2)
    own = await here.get(f"{here.path_of(lesson.row, 'attendance')}?q=ben", lesson.ada)
    assert [row["pubkey"] for row in own.json()["attendance"]] == [lesson.ada.pubkey]
    assert (await here.get(f"{here.path_of(lesson.row, 'answers')}?q=ben", lesson.ada)).status_code == 403
    here.introductions.clear()


@one_loop
async def test_the_leader_of_one_session_is_nobody_in_another(lesson: Class) -> None:
    """Leading is a matter of the session: its co-host sees nothing elsewhere."""
    other = await lesson.here.here.schedule()
    await lesson.here.here.answer(lesson.ada, other)
    answer = await lesson.here.get(lesson.here.path_of(other, "rsvps"), lesson.co_host)
    assert answer.json() == {"rsvps": []}


@one_loop
async def test_rsvps_come_in_order_of_arrival(lesson: Class) -> None:
    """Each row says the answer, the seat, whether a reminder was sent, and whether the person can be reached."""
    rows = await lesson.rows("rsvps", lesson.here.here.instructor)
    assert [(row["pubkey"], row["status"], row["seat"], row["reminderSent"], row["undeliverable"]) for row in rows] == [
        (lesson.ada.pubkey, "confirmed", "held", True, False),
        (lesson.ben.pubkey, "confirmed", "held", False, True),
        (lesson.cleo.pubkey, "declined", "none", False, False),
    ]
    shown = (await lesson.here.get(lesson.here.path_of(lesson.row))).json()
    assert shown["counts"] == {"confirmed": 2, "tentative": 0, "declined": 1}
    assert (shown["seatsTaken"], shown["participantCount"]) == (2, 1)


@one_loop
async def test_attendance_is_told_as_it_was_observed(lesson: Class) -> None:
    """Who left has an end, who is there has none; both have completed."""
    rows = await lesson.rows("attendance", lesson.here.here.instructor)
    assert [row["pubkey"] for row in rows] == sorted(
        [lesson.ada.pubkey, lesson.ben.pubkey], key=[row["pubkey"] for row in rows].index
    )
    by_person = {row["pubkey"]: row for row in rows}
    ben = by_person[lesson.ben.pubkey]
    assert (ben["totalDuration"], ben["joinCount"], ben["evidence"]) == (35 * 60, 1, "presence")
    assert ben["leftAt"] == lesson.row.scheduled_at + 35 * 60
    assert {row["completedBy"] for row in rows} == {"live"}
    assert by_person[lesson.ada.pubkey]["leftAt"] is None


@one_loop
async def test_reminders_are_counted_by_what_became_of_them(lesson: Class) -> None:
    """The ledger names each message, and the summary counts the states."""
    answer = (await lesson.here.get(lesson.here.path_of(lesson.row, "reminders"), lesson.here.here.instructor)).json()
    states = [row["state"] for row in answer["reminders"]]
    assert answer["summary"] == {state: states.count(state) for state in set(states)}
    assert answer["summary"]["undeliverable"] >= 1
    times = [row["dueAt"] for row in answer["reminders"]]
    assert times == sorted(times)
    (cut,) = answer["unreachable"]
    assert (cut["pubkey"], cut["npub"]) == (lesson.ben.pubkey, nip19.encode_npub(lesson.ben.pubkey))
    assert "confirmation" in cut["messages"]


@one_loop
async def test_who_cannot_be_reached_is_told_so_and_nobody_else_is(lesson: Class) -> None:
    """The list is of everybody for those who lead, and of oneself for others."""
    for key, is_cut in ((lesson.ben, True), (lesson.ada, False), (new_key(), False)):
        answer = await lesson.here.get(lesson.here.path_of(lesson.row, "reminders"), key)
        assert [one["pubkey"] for one in answer.json()["unreachable"]] == [key.pubkey] * is_cut


async def test_who_names_relays_later_is_reached_whatever_was_too_late_by_then() -> None:
    """A message that was reached since says more than one that could not be sent before."""
    async with site() as here:
        world, key = here.here, new_key()
        row = await world.schedule(starts_in=1200)
        await world.answer(key, row)
        await world.turn()
        path = here.path_of(row, "reminders")
        (cut,) = (await here.get(path, world.instructor)).json()["unreachable"]
        assert (cut["pubkey"], cut["messages"]) == (key.pubkey, ["confirmation"])
        assert [one["undeliverable"] for one in (await here.get(here.path_of(row, "rsvps"), key)).json()["rsvps"]] == [
            True
        ]
        await world.advance(60)
        await world.open_inbox(key)
        for _ in range(2):
            await world.turn()
        assert (await here.get(path, world.instructor)).json()["unreachable"] == []


async def test_invitations_that_reach_nobody_are_listed_with_their_guest() -> None:
    """Who leads a private session sees whom to tell by another way."""
    async with site() as here:
        world, guest = here.here, new_key()
        row = await scheduled(world, guest)
        await world.turn()
        answer = (await here.get(here.path_of(row, "reminders"), world.instructor)).json()
        found = {one["pubkey"]: sorted(one["messages"]) for one in answer["unreachable"]}
        assert found[guest.pubkey] == ["invitation", "session"]


@one_loop
async def test_leaders_export_attendance(lesson: Class) -> None:
    """One row per person, and a second file with the stretches; names of files are made here."""
    path = lesson.here.path_of(lesson.row, "attendance")
    names = {"csv": "attendance.csv", "csv-intervals": "attendance-intervals.csv"}
    for form, head in (("csv", "name,npub,pubkey,rsvp,percent"), ("csv-intervals", "pubkey,device,joined")):
        answer = await lesson.here.get(f"{path}?format={form}", lesson.co_host)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == f'attachment; filename="{names[form]}"'
        assert answer.text.startswith(head)
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert {row["pubkey"] for row in rows} == {lesson.ada.pubkey, lesson.ben.pubkey}
        assert all(row["joined"].endswith("Z") for row in rows)


@one_loop
async def test_others_export_nothing(lesson: Class) -> None:
    """A participant sees their own rows, and gets no table of others; an unknown format is refused."""
    path = lesson.here.path_of(lesson.row, "attendance")
    for form in ("csv", "csv-intervals"):
        assert (await lesson.here.get(f"{path}?format={form}", lesson.ada)).status_code == 403
    for form in ("xlsx", "", "CSV", "csv%0D%0AX:y"):
        assert (await lesson.here.get(f"{path}?format={form}", lesson.co_host)).status_code == 422


@one_loop
async def test_a_stranger_s_formula_is_text_in_the_export(lesson: Class) -> None:
    """What a spreadsheet would run is made text before it gets there."""
    here = lesson.here.here
    row = await here.schedule()
    interval = IntervalRow(
        connection_id="manual:1",
        session_address=row.session_address,
        pubkey=lesson.ada.pubkey,
        device="manual",
        joined_at=here.now,
        left_at=here.now + 60,
        last_evidence=here.now + 60,
        source="manual",
        note='=HYPERLINK("http://evil.example.com","click")',
    )
    await here.store.intervals.put(interval)
    answer = await lesson.here.get(f"{lesson.here.path_of(row, 'attendance')}?format=csv-intervals", here.instructor)
    (read,) = csv.DictReader(io.StringIO(answer.text))
    assert read["note"] == '\'=HYPERLINK("http://evil.example.com","click")'


class TestAnswering:
    """A person's RSVP, drafted here, signed there, handed in."""

    async def test_an_answer_is_drafted_signed_and_counted(self) -> None:
        """Each status becomes NIP-52's word for it, and the newest counts."""
        async with site() as here:
            row, key = await here.here.schedule(), new_key()
            for status, word in (("confirmed", "accepted"), ("tentative", "tentative"), ("declined", "declined")):
                draft = await here.post(here.path_of(row, "rsvp", "draft"), key, {"status": status})
                (template,) = draft.json()["events"]
                assert ["status", word] in template["tags"]
                assert template["pubkey"] == key.pubkey
                assert (await here.sign_and_submit(key, draft)).status_code == 200
                (own,) = (await here.get(here.path_of(row, "rsvps"), key)).json()["rsvps"]
                assert own["status"] == status

    async def test_the_draft_is_for_whoever_signed_the_call(self) -> None:
        """Nobody drafts an answer in another person's name."""
        async with site() as here:
            row, key = await here.here.schedule(), new_key()
            body = {"status": "confirmed", "pubkey": new_key().pubkey}
            refused = await here.post(here.path_of(row, "rsvp", "draft"), key, body)
            assert (refused.status_code, refused.json()["type"]) == (400, "urn:podium:problem:bad-pubkey")

    async def test_an_answer_names_the_revision_it_was_given_to(self) -> None:
        """So that a move can ask again."""
        async with site() as here:
            row, key = await here.here.schedule(), new_key()
            draft = await here.post(here.path_of(row, "rsvp", "draft"), key, {"status": "confirmed"})
            (template,) = draft.json()["events"]
            assert [tag[1] for tag in template["tags"] if tag[0] == "e"] == [row.event_id]


@one_loop
async def test_leaders_see_whom_the_session_names(lesson: Class) -> None:
    """Instructor and co-hosts see co-hosts and invited people, whom a public session sends nothing; others do not."""
    here, path = lesson.here, lesson.here.path_of(lesson.row, "named-people")
    for key in (here.here.instructor, lesson.co_host):
        people = (await here.get(path, key)).json()["people"]
        assert [(one["pubkey"], one["role"], one["invitation"]) for one in people] == [
            (lesson.co_host.pubkey, "co-host", None)
        ]
    assert (await here.get(path, lesson.ada)).status_code == 403


@one_loop
async def test_names_are_told_to_a_page_that_asks_for_them(lesson: Class) -> None:
    """A list of public keys is answered with a name for each that has one; a key that is none is refused."""
    path = lesson.here.path_of(lesson.row, "names")
    answer = await lesson.here.post(path, lesson.ada, {"pubkeys": [lesson.ada.pubkey, lesson.co_host.pubkey]})
    assert (answer.status_code, answer.json()) == (200, {"names": {}})
    refused = await lesson.here.post(path, lesson.ada, {"pubkeys": ["npub1"]})
    assert refused.status_code == 422


async def test_what_became_of_each_invitation_is_shown() -> None:
    """Of a private session: sent to whom names relays for messages, undeliverable to whom names none."""
    async with site() as here:
        world = here.here
        ada, ben = new_key(), new_key()
        await world.open_inbox(ada)
        row = await scheduled(world, ada, ben)
        await world.turn()
        people = (await here.get(here.path_of(row, "named-people"), world.instructor)).json()["people"]
        found = {one["pubkey"]: (one["role"], one["invitation"], one["reason"]) for one in people}
        assert found[ada.pubkey][:2] == ("invited", "sent")
        assert found[ben.pubkey][:2] == ("invited", "undeliverable")
        assert found[ben.pubkey][2], "and why"
