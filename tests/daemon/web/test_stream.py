"""The event stream: who is told what, when, and how a page comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import pytest

from podium_daemon.web import stream_places, watch
from podium_daemon.web.channels import Bell
from podium_daemon.web.login import Caller
from podium_daemon.web.problems import Problem
from podium_daemon.web.routes import stream
from podium_daemon.web.routes.stream import USUAL_ROWS
from podium_daemon.web.stream_places import MAX_OF_ONE_KEY, StreamPlaces
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.nips import nip98
from podium_storage.changes import Batch, Change, ChangeKind
from podium_storage.table.models import LedgerRow, LiveSessionRow, RsvpRow
from tests.support.reads import reading
from tests.support.relays import new_key
from tests.support.site import WITHIN, Site, site
from tests.support.soon import soon

A_CLASS = 60


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


class Heard:
    """One open stream, read event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.beats = 0

    async def next(self) -> tuple[str, str, Any]:
        """The next event: name, id, data."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(WITHIN):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line == "" and "data" in fields:
                    return fields["event"], fields.get("id", ""), json.loads(fields["data"])
                self.beats += line == ": beat"
                fields = fields | {name: value} if name else fields
        raise AssertionError("the stream ended")

    async def until(self, wanted: str) -> Any:
        """The data of the next event of this name; what comes before it is passed over."""
        while True:
            name, _, data = await self.next()
            if name == wanted:
                return data

    async def until_beat(self) -> None:
        """Read until the daemon gives a sign of life."""
        async with asyncio.timeout(WITHIN + stream.BEAT_SECONDS):
            async for line in self._lines:
                if line == ": beat":
                    return


@asynccontextmanager
async def opened(here: Site, row: LiveSessionRow, by: SecretKey | None = None, **headers: str) -> AsyncIterator[Heard]:
    path = here.path_of(row, "events")
    sent = {"Authorization": nip98.write_header(here.login(by, "GET", path))} if by else {}
    async with here.client.stream("GET", here.base + path, headers=sent | headers) as response:
        yield Heard(response)


async def test_the_public_view_comes_first_and_when_it_changes(here: Site) -> None:
    """Anybody is told the session, and told again once a person answered."""
    row = await here.here.schedule()
    async with opened(here, row) as heard:
        name, first_id, session = await heard.next()
        assert (name, session["title"], session["counts"]["confirmed"]) == ("session", "Know your rights", 0)
        assert heard.response.headers["content-type"].startswith("text/event-stream")
        await here.here.answer(new_key(), row)
        name, next_id, session = await heard.next()
        assert (name, session["counts"]["confirmed"]) == ("session", 1)
        assert next_id != first_id


async def test_a_known_view_is_not_sent_again(here: Site) -> None:
    """With the id of the view one has, the stream begins with the next change."""
    row = await here.here.schedule()
    async with opened(here, row) as heard:
        _, seen, _ = await heard.next()
    async with opened(here, row, **{"Last-Event-ID": seen}) as heard:
        await here.here.answer(new_key(), row, RsvpStatus.DECLINED)
        _, _, session = await heard.next()
        assert session["counts"]["declined"] == 1


async def test_a_stranger_is_told_nothing_of_persons(here: Site) -> None:
    """The public stream has no event but `session`, and no participant's key in it."""
    row = await here.here.schedule()
    person = new_key()
    async with opened(here, row) as heard:
        await heard.next()
        await here.here.answer(person, row)
        name, _, session = await heard.next()
        assert name == "session"
        assert person.pubkey not in json.dumps(session)


async def test_who_signs_is_told_what_is_theirs(here: Site) -> None:
    """A signed stream brings the person's own answer, and again when it changes; not that of others."""
    row = await here.here.schedule()
    person, other = new_key(), new_key()
    async with opened(here, row, person) as heard:
        me = await heard.until("me")
        assert (me["pubkey"], me["role"], me["rsvp"]) == (person.pubkey, "participant", None)
        await here.here.answer(other, row)
        await here.here.answer(person, row, RsvpStatus.TENTATIVE)
        me = await heard.until("me")
        assert me["rsvp"]["status"] == "tentative"
        assert other.pubkey not in json.dumps(me)


async def test_all_tabs_of_a_person_are_told_what_is_theirs(here: Site) -> None:
    """Each stream of one person has their answer when it changes, and goes on to when another one is closed."""
    row = await here.here.schedule()
    person = new_key()
    async with opened(here, row, person) as first:
        async with opened(here, row, person) as second:
            for heard in (first, second):
                assert (await heard.until("me"))["rsvp"] is None
            await here.here.answer(person, row)
            for heard in (first, second):
                assert (await heard.until("me"))["rsvp"]["status"] == "confirmed"
        await here.here.answer(person, row, RsvpStatus.DECLINED)
        assert (await first.until("me"))["rsvp"]["status"] == "declined"


async def test_a_change_of_the_session_is_read_once_for_all_who_listen(here: Site) -> None:
    """What is theirs is read for all who signed in together: ten streams cost no more queries than one."""
    row, people = await here.here.schedule(), [new_key() for _ in range(10)]
    for person in people:
        await here.here.answer(person, row)
    row, counts = await here.here.row(row.session_address), list[int]()
    async with AsyncExitStack() as stack:
        for number, those in enumerate((people[:1], people[1:])):
            listening = [await stack.enter_async_context(opened(here, row, person)) for person in those]
            for heard in listening:
                await heard.until("me")
            async with opened(here, row, people[0]) as heard:
                await heard.until("me")
                with reading(here.here.store.database) as reads:
                    await here.here.store.sessions.put(msgspec.structs.replace(row, title=f"Knots {number}"))
                    assert (await heard.until("session"))["title"] == f"Knots {number}"
            counts.append(sum(f'FROM "{here.here.store.rsvps.name}"' in sql for sql, _ in reads.queries))
    assert counts == [1, 1]


async def test_the_instructor_is_told_the_lists(here: Site) -> None:
    """The instructor's stream brings RSVPs, reminders, attendance and the room, and the RSVPs again on an answer."""
    row = await here.here.schedule()
    person = new_key()
    async with opened(here, row, here.here.instructor) as heard:
        assert (await heard.until("me"))["role"] == "instructor"
        names = [(await heard.next())[0] for _ in range(6)]
        assert names == ["rsvps", "reminders", "unreachable", "named", "attendance", "room"]
        await here.here.answer(person, row)
        rsvps = await heard.until("rsvps")
        assert [(one["pubkey"], one["status"]) for one in rsvps["items"]] == [(person.pubkey, "confirmed")]
        assert rsvps["total"] == 1


async def test_of_a_large_session_the_first_people_and_the_count_are_told(here: Site) -> None:
    """However many have answered, an answer has a hundred of them read and sent, with the number of all."""
    row = await here.here.schedule()
    await answer_all(here, row, 3 * USUAL_ROWS)
    async with opened(here, row, here.here.instructor) as heard:
        rsvps = await heard.until("rsvps")
        assert (len(rsvps["items"]), rsvps["total"]) == (USUAL_ROWS, 3 * USUAL_ROWS)
        with reading(here.here.store.database) as reads:
            await here.here.answer(new_key(), row)
            assert (await heard.until("rsvps"))["total"] == 3 * USUAL_ROWS + 1
        assert reads.rows_of(here.here.store.rsvps.name) <= USUAL_ROWS + 5  # and what the answer itself reads
    page = await here.get(f"{here.path_of(row, 'answers')}?offset=250&limit=100", here.here.instructor)
    assert len(page.json()["rsvps"]) == 51
    assert page.json()["total"] == 3 * USUAL_ROWS + 1
    assert (await here.get(here.path_of(row, "answers"), new_key())).status_code == 403


async def test_people_who_are_not_shown_change_the_number_alone(here: Site) -> None:
    """Of a large session the first hundred people are not sent again for each person who answers after them."""
    row = await here.here.schedule()
    await answer_all(here, row, 2 * USUAL_ROWS)
    async with opened(here, row, here.here.instructor) as heard:
        assert len((await heard.until("rsvps"))["items"]) == USUAL_ROWS
        await answer_all(here, row, 1, first=5_000)
        assert await heard.until("rsvps") == {"total": 2 * USUAL_ROWS + 1}


async def answer_all(here: Site, row: LiveSessionRow, count: int, *, first: int = 1) -> None:
    """Let many people have answered."""
    answers = [
        RsvpRow(
            session_address=row.session_address,
            pubkey=f"{number:064x}",
            status="confirmed",
            rsvp_time=here.here.now,
            event_id=f"{number:064x}",
            first_seen=number,
            first_seen_at=here.here.now,
            seat="held",
        )
        for number in range(first, first + count)
    ]
    await here.here.store.rsvps.bulk_put(answers)


async def test_the_instructor_sees_who_waits(here: Site) -> None:
    """A person at the door is told to the instructor, though no table knows them."""
    row = await here.here.schedule(starts_in=600, waiting_room=True)
    async with opened(here, row, here.here.instructor) as heard:
        assert (await heard.until("room"))["waitingCount"] == 0
        person = new_key()
        await here.knock(person, row)
        room = await heard.until("room")
        while not room["waitingCount"]:  # the room may open before they stand at its door
            room = await heard.until("room")
        assert [(one["pubkey"], one["state"]) for one in room["people"]] == [(person.pubkey, "waiting")]


async def test_a_token_brings_a_lost_stream_back(here: Site) -> None:
    """One login opens a stream as its person, and the next one after the line was lost."""
    row = await here.here.schedule()
    person = new_key()
    token = await here.sign_in(person)
    for _ in range(2):
        async with opened(here, row, Authorization=f"Bearer {token}") as heard:
            assert (await heard.until("me"))["pubkey"] == person.pubkey


async def test_signing_out_ends_the_streams_of_that_login(here: Site) -> None:
    """The stream of a token that was signed out ends at once; that of another login goes on, until it is everywhere."""
    row = await here.here.schedule()
    person = new_key()
    here_token, there_token = await here.sign_in(person), await here.sign_in(person)
    async with (
        opened(here, row, Authorization=f"Bearer {here_token}") as ended,
        opened(here, row, Authorization=f"Bearer {there_token}") as other,
    ):
        await ended.until("me")
        await other.until("me")
        await here.call("POST", "/api/login/end", body={}, token=here_token)
        with pytest.raises(AssertionError, match="the stream ended"):
            await ended.until("never")
        await here.here.answer(person, row)
        assert (await other.until("me"))["rsvp"]["status"] == "confirmed"
        await here.call("POST", "/api/login/end", body={"everywhere": True}, token=await here.sign_in(person))
        with pytest.raises(AssertionError, match="the stream ended"):
            await other.until("never")


@pytest.mark.parametrize("header", ["Podium x", "Nostr e30=", "Bearer x", "Podium " + "a" * 500])
async def test_a_bad_login_opens_no_stream(here: Site, header: str) -> None:
    """An authorisation that is none is refused and not taken for a stranger's call."""
    row = await here.here.schedule()
    async with opened(here, row, Authorization=header) as heard:
        assert heard.response.status_code == 401


async def test_a_silent_stream_gives_signs_of_life(here: Site) -> None:
    """Where nothing changes, comments keep proxies from ending the stream."""
    row = await here.here.schedule()
    async with opened(here, row) as heard:
        await heard.next()
        await heard.until_beat()


async def test_an_unknown_session_has_no_stream(here: Site) -> None:
    """A reference that names nothing is a problem document."""
    answer = await here.get("/api/sessions/nothing/events")
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:podium:problem:unknown-session"


@asynccontextmanager
async def opened_together(
    here: Site, references: Sequence[str], by: SecretKey | None = None, *, token: str = "", **headers: str
) -> AsyncIterator[Heard]:
    path = "/api/stream?" + "&".join(f"session={one}" for one in references)
    sent = {"Authorization": nip98.write_header(here.login(by, "GET", path))} if by else {}
    sent |= {"Authorization": f"Bearer {token}"} if token else {}
    async with here.client.stream("GET", here.base + path, headers=sent | headers) as response:
        yield Heard(response)


async def test_one_stream_tells_of_several_sessions(here: Site) -> None:
    """Each event names the session that it is about, and a change of one of them is told of that one alone."""
    rows = [await here.here.schedule() for _ in range(7)]
    references = [here.views.naddr(row) for row in rows]
    async with opened_together(here, references) as heard:
        assert {(await heard.next())[0] for _ in rows} == {f"session {one}" for one in references}
        await here.here.answer(new_key(), rows[4])
        name, _, session = await heard.next()
        assert (name, session["counts"]["confirmed"]) == (f"session {references[4]}", 1)


async def test_a_session_that_is_not_shown_is_refused_alone(here: Site) -> None:
    """A private session of others and an unknown one are the same refusal; the rest of the stream goes on."""
    seen, hidden = await here.here.schedule(), await here.here.schedule()
    await here.here.store.sessions.put(msgspec.structs.replace(hidden, visibility="private"))
    references = [here.views.naddr(seen), here.views.naddr(hidden), "nothing"]
    for stranger in (None, new_key()):
        async with opened_together(here, references, stranger) as heard:
            told = [await heard.next() for _ in range(3)]
            names = [*(f"refused {one}" for one in references[1:]), f"session {references[0]}"]
            assert [name for name, _, _ in told] == names
            assert {data["type"] for _, _, data in told[:2]} == {"urn:podium:problem:unknown-session"}
    async with opened_together(here, references[:2], here.here.instructor) as heard:
        names = {(await heard.next())[0] for _ in range(2)}
        assert f"refused {references[1]}" not in names


async def test_signing_out_ends_a_stream_of_several(here: Site) -> None:
    """No session of the stream is told to a login that has ended."""
    rows = [await here.here.schedule() for _ in range(2)]
    token = await here.sign_in(new_key())
    async with opened_together(here, [here.views.naddr(row) for row in rows], token=token) as heard:
        await heard.next()
        await here.call("POST", "/api/login/end", body={}, token=token)
        assert await heard.until("signed-out") == {}
        with pytest.raises(AssertionError, match="the stream ended"):
            await heard.until("never")


async def test_one_person_opens_so_many_streams_and_no_more(here: Site) -> None:
    """The next stream of one key is refused, others still get theirs, and a closed one makes room."""
    row = await here.here.schedule()
    person = new_key()
    async with AsyncExitStack() as stack:
        listening = [await stack.enter_async_context(opened(here, row, person)) for _ in range(MAX_OF_ONE_KEY)]
        for heard in listening:
            await heard.next()
        async with opened(here, row, person) as refused:
            assert refused.response.status_code == 503
        async with opened(here, row, new_key()) as other:
            assert other.response.status_code == 200
    async with opened(here, row, person) as again:
        assert again.response.status_code == 200


async def test_a_stream_of_many_sessions_takes_one_place(here: Site) -> None:
    """Some browsers of one address that follow all they can leave room for everybody else."""
    references = [here.views.naddr(await here.here.schedule()) for _ in range(MAX_OF_ONE_KEY)]
    token = await here.sign_in(new_key())
    async with AsyncExitStack() as stack:
        opening = (opened_together(here, references, token=token) for _ in references)
        listening = [await stack.enter_async_context(one) for one in opening]
        for heard in listening:
            await heard.next()
        async with opened_together(here, references, token=token) as refused:
            assert refused.response.status_code == 503
    async with opened_together(here, references, token=token) as again:
        assert again.response.status_code == 200


async def test_a_class_behind_one_router_follows_seven_sessions_each(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty strangers of one address have their streams; of one address more are refused, and others are not."""
    references = [here.views.naddr(await here.here.schedule()) for _ in range(7)]
    address = {"X-Forwarded-For": "203.0.113.9"}
    async with AsyncExitStack() as stack:
        opening = (opened_together(here, references, **address) for _ in range(A_CLASS))
        listening = [await stack.enter_async_context(one) for one in opening]
        for heard in listening:
            assert (await heard.next())[0].startswith("session ")
        monkeypatch.setattr(stream_places, "MAX_OF_ONE_ADDRESS", A_CLASS)
        async with opened_together(here, references, **address) as refused:
            assert refused.response.status_code == 503
            assert "without a login" in (await refused.response.aread()).decode()
        async with opened_together(here, references, new_key(), **address) as signed_in:
            assert signed_in.response.status_code == 200
        async with opened_together(here, references, **{"X-Forwarded-For": "203.0.113.10"}) as other:
            assert other.response.status_code == 200


async def test_hostile_text_stays_inside_its_field(here: Site) -> None:
    """A title with line breaks and field names is one line of JSON."""
    title = "one\n\nevent: me\ndata: {}\r\rdata: x\u2028"
    row = await here.here.schedule(summary=title)
    async with opened(here, row) as heard:
        name, _, session = await heard.next()
        assert name == "session"
        assert "event: me" in session["summary"]


async def test_streams_end_when_the_server_stops(here: Site) -> None:
    """A stop is not held up by an open page: its stream ends as a whole answer does."""
    row = await here.here.schedule()
    async with opened(here, row) as heard:
        await heard.next()
        here.stop.set()
        with pytest.raises(AssertionError, match="the stream ended"):
            await heard.next()


async def test_streams_survive_what_nobody_foresaw(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that could not be told by a fault of ours is told once it can be, and until then the site says so."""
    monkeypatch.setattr(watch, "RETRY_SECONDS", 0.05)
    row = await here.here.schedule()
    seen = here.tasks
    async with opened(here, row) as heard:
        assert (await heard.until("session"))["counts"]["confirmed"] == 0
        with monkeypatch.context() as broken:
            broken.setattr(watch, "_touched", lambda _batch: 1 / 0)
            await here.here.answer(new_key(), row)
            await soon(lambda: bool(seen.trouble))
        assert (await heard.until("session"))["counts"]["confirmed"] == 1
        assert (seen.trouble, seen.faults > 0) == ({}, True)


async def test_streams_are_woken_a_few_at_a_time(here: Site) -> None:
    """Between those that are told of a change at once, other work has its turn: a thousand would hold it up."""
    row = await here.here.schedule()
    hub, bells = watch.StreamHub(here.here.store, here.views), [Bell() for _ in range(120)]
    with ExitStack() as stack:
        listening = [stack.enter_context(hub.listen(row.session_address, None, bell)) for bell in bells]
        await hub.current(row.session_address, listening[0].topic)
        await here.here.answer(new_key(), row)
        woken = [0]
        async with asyncio.timeout(WITHIN):
            while woken[-1] < len(bells):
                await asyncio.sleep(0)
                woken.append(sum(bell.is_set() for bell in bells))
    assert max(after - before for before, after in pairwise(woken)) <= 25


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        (None, "scheduled", False),
        ("scheduled", "cancelled", False),
        ("scheduled", "prepared", True),
        ("scheduled", "undeliverable", True),
        ("undeliverable", "scheduled", True),
        ("sent", None, True),
    ],
)
def test_messages_that_are_only_planned_are_news_to_leaders_alone(
    before: str | None, after: str | None, is_told: bool
) -> None:
    """A session that moves has the messages to thousands planned again: what is theirs is not read for that."""

    def row(state: str | None) -> LedgerRow | None:
        usual = {"epoch": 0, "message": "hour", "due_at": 9, "window_ends_at": 10, "relays": (), "updated_at": 0}
        return None if state is None else LedgerRow(session_address="s", pubkey="ada", state=state, **usual)

    change = Change("reminderLedger", ChangeKind.UPDATED, 1, row(before), row(after))
    touch = watch._touched(Batch((change,)))["s"]
    assert (touch.tables, touch.people) == ({"reminderLedger"}, {"ada"} if is_told else set())


def test_streams_have_a_share_for_those_who_signed_in_and_for_leaders() -> None:
    """Strangers take half of the places, people who signed in nine of ten, and a leader finds one of the last."""
    places = StreamPlaces(lambda: 27)  # three quarters of them: 20 streams

    def fill(stack: ExitStack, count: int, *, signed: bool = False, leading: bool = False) -> int:
        taken = 0
        with contextlib.suppress(Problem):
            for taken in range(count):  # noqa: B007  (how many it were is the answer)
                viewer = Caller(new_key().pubkey) if signed else None
                stack.enter_context(places.take_place(viewer, leading=leading))
            taken += 1
        return taken

    with ExitStack() as stack:
        assert fill(stack, 30) == 10
        assert fill(stack, 30, signed=True) == 8
        assert fill(stack, 30) == 0
        assert fill(stack, 30, signed=True, leading=True) == 2
    with ExitStack() as stack:
        assert fill(stack, 30) == 10


@pytest.mark.parametrize(
    ("connections", "is_signed_in", "share"),
    [(8_192, False, 200), (27, False, 5), (8_192, True, 500), (27, True, 10)],
)
def test_those_of_one_address_take_a_part_of_the_places(connections: int, is_signed_in: bool, share: int) -> None:
    """They get so many streams, of few places half; others and leaders find theirs, and a closed one makes room."""
    places = StreamPlaces(lambda: connections)

    def place(address: str, *, leading: bool = False) -> AbstractContextManager[None]:
        viewer = Caller(new_key().pubkey) if is_signed_in else None
        return places.take_place(viewer, address=address, leading=leading)

    with ExitStack() as stack:
        for _ in range(share - 1):
            stack.enter_context(place("203.0.113.9"))
        with place("203.0.113.9"), pytest.raises(Problem, match="this network"):
            stack.enter_context(place("203.0.113.9"))
        stack.enter_context(place("203.0.113.9"))
        stack.enter_context(place("203.0.113.9", leading=True))
        for address in ("2001:db8::/64", "", ""):
            stack.enter_context(place(address))
        assert places.taken == share + 4
    assert (places.taken, dict(places._strangers), dict(places._signed)) == (0, {}, {})
