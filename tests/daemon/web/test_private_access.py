"""To whom a private session is there: those it names, who sign their calls; to anybody else it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
import pytest_asyncio

from podium_protocol.keys import SecretKey
from podium_protocol.live.session import Visibility
from podium_protocol.nips import nip98
from podium_storage.table.models import LiveSessionRow
from tests.support.private import answer, edited, guests, scheduled, taken
from tests.support.site import Site, closing, reading, site
from tests.support.world import new_key, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Here(msgspec.Struct, frozen=True):
    """A site with one private session; Ada is invited, Dora helps, Eve is a stranger."""

    site: Site
    row: LiveSessionRow
    ada: SecretKey
    dora: SecretKey
    eve: SecretKey


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Here]:
    """One site for all: nobody here changes the session."""
    async with site() as running:
        ada, dora, eve = new_key(), new_key(), new_key()
        row = await scheduled(running.here, ada, starts_in=600, co_hosts=guests(dora))
        await taken(running.here, signed(ada, answer(running.here, ada, row)))
        await running.here.turn()
        yield Here(running, await running.here.row(row.session_address), ada, dora, eve)


READS = ("", "rsvps", "attendance", "reminders", "room", "calendar.ics")
CALLS = {
    "draft": {"title": "Mine"},
    "cancel/draft": {"reason": ""},
    "start": None,
    "end": None,
    "reopen": None,
    "rsvp/draft": {"status": "confirmed"},
    "join/challenge": None,
    "room/admit": {"everybody": True},
    "room/remove": {"pubkey": "0" * 64, "reason": ""},
    "conference/start": None,
}


def detail(response: httpx.Response, *names: str) -> str:
    """What it says, with the names of sessions taken out."""
    text = response.text
    for name in names:
        text = text.replace(name, "NAME")
    return text


@pytest.mark.parametrize("what", READS)
async def test_the_people_of_a_session_read_it(here: Here, what: str) -> None:
    """Instructor, co-host and guest; by naddr and by the beginning of its name."""
    identifier = here.row.session_address.rpartition(":")[2]
    for key in (here.site.here.instructor, here.dora, here.ada):
        for path in (here.site.path_of(here.row), f"/api/sessions/{identifier[:6]}"):
            response = await here.site.get(f"{path}/{what}".rstrip("/"), key)
            assert response.status_code == 200, response.text


@pytest.mark.parametrize("what", READS)
async def test_a_stranger_reads_what_anybody_reads_of_nothing(here: Here, what: str) -> None:
    """Signed or not: the same answer as for a session that does not exist, to the letter."""
    identifier = here.row.session_address.rpartition(":")[2]
    for key in (here.eve, None):
        found, missing = [
            await here.site.get(f"/api/sessions/{name}/{what}".rstrip("/"), key)
            for name in (identifier, "nothing-here")
        ]
        assert found.status_code in (404, 401), found.text
        assert (found.status_code, detail(found, identifier)) == (missing.status_code, detail(missing, "nothing-here"))


@pytest.mark.parametrize("what", sorted(CALLS))
async def test_a_stranger_can_do_nothing(here: Here, what: str) -> None:
    """Every call that changes or composes something has the answer of a session that does not exist."""
    identifier = here.row.session_address.rpartition(":")[2]
    found, missing = [
        await here.site.post(f"/api/sessions/{name}/{what}", here.eve, CALLS[what])
        for name in (identifier, "nothing-here")
    ]
    assert found.status_code == 404, found.text
    assert detail(found, identifier) == detail(missing, "nothing-here")


async def test_lists_leave_it_out(here: Here) -> None:
    """The list of everybody has no private session; that of its people has it."""
    for key, there in ((None, False), (here.eve, False), (here.ada, True), (here.dora, True)):
        listed = (await here.site.get("/api/sessions", key)).json()["sessions"]
        assert (here.row.session_address in [one["lessonId"] for one in listed]) is there


async def test_the_operator_sees_it(here: Here) -> None:
    """The service's own key: its holder has the database too."""
    assert (await here.site.get(here.site.path_of(here.row), here.site.here.service)).status_code == 200


async def test_a_stranger_with_a_proof_does_not_join(here: Here) -> None:
    """The proof is good, and for a session that is not there."""
    asked = await here.site.post(here.site.path_of(here.row, "join", "challenge"), here.ada)
    assert asked.status_code == 200, asked.text
    refused = await here.site.join(here.eve, here.row, challenge=asked.json())
    assert refused.status_code == 404


async def test_a_guest_joins(here: Here) -> None:
    """The challenge is asked for with a login, the rest is as for any session."""
    asked = (await here.site.post(here.site.path_of(here.row, "join", "challenge"), here.ada)).json()
    ticket = await here.site.join(here.ada, here.row, challenge=asked)
    assert ticket.status_code == 200, ticket.text
    page = await here.site.open_socket(here.row, {"type": "hello", "token": ticket.json()["token"]})
    assert (await reading(page))["type"] in ("waiting", "welcome")


async def test_the_room_socket_says_the_same_of_nothing(here: Here) -> None:
    """Without a ticket it closes in the same way, whether there is such a session or not."""
    nobody = msgspec.structs.replace(here.row, session_address=f"{here.row.session_address}-not")
    codes = []
    for row in (here.row, nobody):
        page = await here.site.open_socket(row, {"type": "hello", "token": "guessed"})
        codes.append(await closing(page))
    assert codes[0] == codes[1] is not None


async def test_the_page_is_that_of_an_unknown_session(here: Here) -> None:
    """The shell has no login: it says that there may be something to sign in to, also where there is nothing."""
    naddr = here.site.views.naddr(here.row)
    found, missing = [await here.site.get(f"/s/{name}") for name in (naddr, "nothing-here")]
    assert (found.status_code, found.text) == (missing.status_code, missing.text)
    assert found.status_code == 404
    assert "<podium-private-door>" in found.text


async def test_the_stream_is_for_its_people(here: Here) -> None:
    """A guest's stream begins with the session; a stranger's is refused."""
    path = here.site.path_of(here.row, "events")
    assert (await here.site.get(path)).status_code == 404
    assert (await here.site.get(path, here.eve)).status_code == 404


async def test_who_is_not_invited_any_more_is_shown_out() -> None:
    """The stream that is open ends, and the next call finds nothing."""
    async with site() as running:
        ada = new_key()
        row = await scheduled(running.here, ada)
        path = running.path_of(row, "events")
        login = running.login(ada, "GET", path)
        headers = {"Authorization": nip98.write_header(login)}
        async with running.client.stream("GET", running.base + path, headers=headers) as stream:
            lines = stream.aiter_lines()
            while not (await anext(lines)).startswith("event: session"):
                pass
            assert json.loads(await _data(lines))["title"] == row.title
            await edited(running.here, row, invited=(), title="Without you")
            async with asyncio.timeout(60):
                rest = [line async for line in lines]
        assert not any("Without you" in line for line in rest)
        assert (await running.get(running.path_of(row), ada)).status_code == 404


async def _data(lines: AsyncIterator[str]) -> str:
    while not (line := await anext(lines)).startswith("data: "):
        pass
    return line.removeprefix("data: ")


async def test_a_public_session_is_there_for_everybody(here: Here) -> None:
    """The rule is about private ones only."""
    row = await here.site.here.schedule(visibility=Visibility.PUBLIC)
    assert (await here.site.get(here.site.path_of(row))).status_code == 200
    assert (await here.site.post(here.site.path_of(row, "join", "challenge"))).status_code == 200
