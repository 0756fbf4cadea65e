"""No statement that the daemon runs again and again looks at every row of a table that grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import msgspec

from podium_protocol import kinds
from podium_protocol.events import EventId
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import Visibility
from podium_storage.database import Database
from podium_storage.mirror.mirror import OpenedWraps, Watermarks
from podium_storage.projections.rsvps import people_who_answered
from podium_storage.resume_tokens import Returns
from podium_storage.table.models import LiveSessionRow
from tests.support.able_engine import AbleEngine
from tests.support.plans import Walk, tracing
from tests.support.site import Site, site
from tests.support.store import opened
from tests.support.world import EVERYTHING, RELAY

HOUR = 3600
SMALL: Final = {"lookups", "outboxRelays", "sequences", "meta", "migrations"}
"""Tables with a row for each event of one batch, relay, table, name or migration."""

ALLOWED: Final = {
    'INSERT INTO "atoms"': "of the tables that refer to it; skipped, since no row ever waits for the one it refers to",
    "DELETE FROM addressFloors": "once an hour, in steps",
    "FROM events AS e INDEXED BY eventsByAuthor WHERE e.createdAt <": "once an hour, on an index that holds all of it",
    "DELETE FROM outboxRelays": "once an hour; it ends at the first row of each relay",
    "DELETE FROM unopenedWraps WHERE seenAt <": "once an hour; no more than 100,000 rows",
    "SELECT lessonId, room FROM forgottenSessions": "what is being forgotten; the table is empty at other times",
    "FROM returns AS r ORDER BY": "once a start; rows live for two minutes",
    "FROM outbox AS o JOIN outboxRelays AS r ON r.id = o.relay WHERE o.settledAt IS NULL GROUP BY": (
        "a count of what waits, on an index of just that"
    ),
}
"""Walks that are meant: what stands in the statement, and why it may."""


async def test_what_the_daemon_asks_of_its_store_is_found_by_index() -> None:
    """A session from its announcement until it is forgotten, with people, pages, a restart and the hourly cleaning."""
    async with site(engine=AbleEngine) as here, tracing(here.here.store.database) as statements:
        await _live(here)
        walks = await statements.walks()
        assert len(statements.forms) > 180, "the life is a whole one"
    known = [words for words in ALLOWED if any(words in walk.statement for walk in walks)]
    assert [words for words in ALLOWED if words not in known] == [], "an exception that is not needed any more"
    assert [walk for walk in walks if walk.table not in SMALL and not _is_allowed(walk)] == []


async def test_a_walk_through_a_table_is_seen(tmp_path: Path) -> None:
    """Without a condition, by a column without an index, and by a range that holds every key."""
    async with opened(tmp_path / "a.db") as tables, tracing(tables.database) as statements:
        await tables.notes.where("lessonId").equals("a").to_list()
        assert await statements.walks() == []
        await tables.notes.where("id").above(0).and_("starCount").equals(1).to_list()
        await tables.seats.to_list()
        await _ask(tables.database, "SELECT n.id FROM notes AS n WHERE n.body IS NULL")
        assert [walk.table for walk in await statements.walks()] == ["notes", "notes", "seats"]


async def _ask(database: Database, sql: str) -> None:
    await database.fetch_all(sql)


def _is_allowed(walk: Walk) -> bool:
    return any(words in walk.statement for words in ALLOWED)


async def _live(here: Site) -> None:
    world = here.here
    row = await world.schedule(starts_in=25 * HOUR, max_participants=2, recording_allowed=True)
    people = [await world.person() for _ in range(3)]
    for person in people:
        await world.answer(person, row)
    await world.answer(people[0], row, RsvpStatus.TENTATIVE)
    await world.turn()
    await _look(here, row)
    await world.cancel(await world.move(await world.schedule(starts_in=30 * HOUR), world.now + 40 * HOUR))
    private = await world.schedule(starts_in=50 * HOUR, visibility=Visibility.PRIVATE, invited=(people[0].pubkey,))
    for seconds in (HOUR, 23 * HOUR, HOUR):
        await world.advance(seconds)
    await _meet(here, row, people[2])
    world.join(world.engine)
    await world.turn()
    await world.rooms.polls.close_what_is_over()
    await world.advance(3 * HOUR)
    await _look(here, row)
    await here.get(here.path_of(private), people[0])
    await _ask_around(here, row)
    await world.clock.advance(3 * 365 * 24 * HOUR)
    await world.parts.housekeeping.housekeeping.sweep()


async def _meet(here: Site, row: LiveSessionRow, key: SecretKey) -> None:
    """Enter the room; talk, ask and vote there."""
    world, leads = here.here, here.here.instructor
    desk, page = await here.enter(leads, row, consent=True), await here.enter(key, row, consent=True)
    poll = {"question": "Which knot?", "options": ["Bowline", "Bend"]}
    made = (await here.post(here.path_of(row, "polls"), leads, poll)).json()["polls"]
    await here.post(here.path_of(row, "polls", str(made[-1]["id"]), "open"), leads)
    await page.socket.send(json.dumps({"type": "vote", "poll": made[-1]["id"], "choices": [0]}))
    await page.socket.send(json.dumps({"type": "chat", "text": "Good evening"}))
    await here.get(here.path_of(row, "chat"), leads)
    await world.attendance._turn(EVERYTHING)
    await world.attendance._turn(msgspec.structs.replace(EVERYTHING, resync=False))
    await _look(here, row)
    await here.post(here.path_of(row, "end"), leads)
    await desk.socket.close()
    await page.socket.close()


async def _look(here: Site, row: LiveSessionRow) -> None:
    """The pages and lists that people open."""
    leads, person = here.here.instructor, await here.here.person()
    await here.here.answer(person, row)
    for key in (leads, person):
        token = await here.sign_in(key)
        for path in ("", "/rsvps", "/answers", "/attendance", "/reminders", "/questions", "/polls", "/room", "/badges"):
            await here.call("GET", here.path_of(row) + path, token=token)
        await here.call("GET", "/api/sessions?offset=0&limit=10", token=token)
        link = (await here.call("POST", "/api/calendar", token=token)).json()
        await here.get(link["url"].removeprefix(here.base))
        await here.call("POST", "/api/login/end", token=token)
    await here.here.rsvp(person, row)
    for path in ("/api/sessions?state=live", "/metrics", "/api/relays", f"/s/{here.views.naddr(row)}"):
        await here.get(path)


async def _ask_around(here: Site, row: LiveSessionRow) -> None:
    """What else the parts ask that talk to relays, which are none here."""
    world, database = here.here, here.here.store.database
    await Returns(database).all()
    await people_who_answered(database, [row.session_address])
    await world.outbox.next_due(world.now)
    await world.outbox.expire(world.now)
    await world.outbox.relays_of(row.session_address)
    await OpenedWraps(database).add_unopened([EventId(row.event_id)], now=world.now)
    await OpenedWraps(database).known([EventId(row.event_id)])
    await world.mirror.by_filter(Filter(kinds=(kinds.MEETING,)))
    await world.mirror.get(EventId(row.event_id))
    await Watermarks(database).get(RELAY, "all")
