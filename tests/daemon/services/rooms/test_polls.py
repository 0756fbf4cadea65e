"""Polls of a room, over its real socket and the HTTP interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from podium_protocol.live.session import Visibility
from podium_storage.table.models import LiveSessionRow
from tests.support.able_engine import AbleEngine
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import Site, reading, site
from tests.support.soon import soon

pytestmark = pytest.mark.asyncio(loop_scope="module")
KNOT = {"question": "Which knot?", "options": ["Bowline", "=Hitch", "Bend"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    async with site(engine=AbleEngine) as running:
        yield running


async def live(here: Site, **fields: Any) -> LiveSessionRow:
    """A session that runs."""
    row = await here.here.schedule(starts_in=60, **fields)
    await here.here.store.sessions.where("lessonId").equals(row.session_address).modify(state="active")
    return await here.here.row(row.session_address)


async def lead(here: Site, row: LiveSessionRow, *path: object, body: object = None) -> Any:
    """A call of the instructor about polls; what it answers."""
    answer = await here.post(here.path_of(row, "polls", *map(str, path)), here.here.instructor, body)
    assert answer.status_code == 200, answer.text
    return answer.json()["polls"]


async def opened(here: Site, row: LiveSessionRow, **fields: object) -> int:
    """A poll that is open; its number."""
    poll = (await lead(here, row, body=KNOT | fields))[-1]["id"]
    await lead(here, row, poll, "open")
    return int(poll)


async def told(page: Page, *kinds: str) -> Any:
    """The next message of one of these types."""
    while (message := await reading(page))["type"] not in kinds:
        pass
    return message


async def vote(here: Site, page: Page, poll: int, *choices: int) -> None:
    """A person votes, no sooner than they may again."""
    await here.here.clock.advance(1)
    await page.socket.send(json.dumps({"type": "vote", "poll": poll, "choices": choices}))


async def test_a_poll_from_draft_to_result(here: Site) -> None:
    """A draft is unseen; opened it comes to all; one vote a person, changed until the close; then all see a result."""
    row, ada, ben = await live(here), new_key(), new_key()
    (draft,) = await lead(here, row, body=KNOT | {"right": [1]})
    adas, bens = await here.enter(ada, row), await here.enter(ben, row)
    await lead(here, row, draft["id"], "open")
    shown = await told(adas, "poll")
    assert (shown["question"], shown["stage"], shown["counts"], shown["right"]) == ("Which knot?", "open", None, None)
    await vote(here, adas, draft["id"], 0)
    assert await told(adas, "vote") == {"type": "vote", "poll": draft["id"], "choices": [0]}
    await vote(here, adas, draft["id"], 1)
    assert (await told(adas, "vote"))["choices"] == [1]
    await vote(here, bens, draft["id"], 0)
    await told(bens, "vote")
    again = await here.enter(ada, row, "phone")
    assert (await told(again, "poll"))["counts"] is None
    assert (await told(again, "vote"))["choices"] == [1]
    (closed,) = await lead(here, row, draft["id"], "close")
    assert (closed["stage"], closed["counts"], closed["voters"]) == ("closed", [1, 1, 0], 2)
    result = await told(again, "poll")
    assert (result["counts"], result["voters"], result["right"]) == ([1, 1, 0], 2, [1])
    await vote(here, adas, draft["id"], 2)
    assert (await lead(here, row, body=KNOT))[0]["counts"] == [1, 1, 0], "a vote after the close counts for nothing"
    assert await here.here.store.poll_votes.to_list() == [], "who chose what in an anonymous poll is gone"


async def test_a_live_result_is_told_in_batches(here: Site) -> None:
    """Those who lead see counts while it is open, the others where it is live; many votes are one message."""
    row, ada = await live(here), new_key()
    desk, adas = await here.enter(here.here.instructor, row), await here.enter(ada, row)
    hidden, shown = await opened(here, row), await opened(here, row, live=True, multiple=True)
    for poll, choices in ((hidden, (0,)), (shown, (0, 2)), (shown, (1, 2))):
        await vote(here, adas, poll, *choices)
        await told(adas, "vote")
    await here.here.rooms.polls.tell_results()
    seen = [await told(adas, "poll") for _ in range(2)]
    assert [(one["id"], one["counts"]) for one in seen] == [(hidden, None), (shown, [0, 1, 1])]
    leading = {one["id"]: one["counts"] for one in [await told(desk, "poll") for _ in range(6)]}
    assert leading == {hidden: [1, 0, 0], shown: [0, 1, 1]}


async def test_flawed_votes_are_counted_and_change_nothing(here: Site) -> None:
    """No such option, several where one may be chosen, none, another session's poll, a draft, and too many at once."""
    row, other, ada = await live(here), await live(here), new_key()
    page = await here.enter(ada, row)
    poll, foreign = await opened(here, row), await opened(here, other)
    draft = (await lead(here, row, body=KNOT))[-1]["id"]
    dropped = here.here.rooms.polls.dropped
    before = dropped["vote_flawed"]
    flawed = ((poll, (3,)), (poll, (-1,)), (poll, (0, 1)), (poll, ()), (foreign, (0,)), (draft, (0,)))
    for count, (number, choices) in enumerate(flawed, before + 1):
        await vote(here, page, number, *choices)
        await soon(lambda count=count: dropped["vote_flawed"] == count)  # else the next one may come too early
    await vote(here, page, poll, *range(11))
    await vote(here, page, poll, 2)
    assert (await told(page, "vote"))["choices"] == [2]
    assert dropped["vote_flawed"] - before == 6
    for _ in range(9):
        await page.socket.send(json.dumps({"type": "vote", "poll": poll, "choices": [0]}))
    await page.socket.send(json.dumps({"type": "hand", "up": True}))
    await told(page, "hand")
    assert dropped["vote_too-fast"] >= 4


async def test_only_leaders_lead_polls(here: Site) -> None:
    """Others neither see drafts nor make, open, close, delete or export; what cannot be asked is refused in words."""
    row, ada = await live(here), new_key()
    poll, path = await opened(here, row), here.path_of(row, "polls")
    assert (await here.get(path, ada)).status_code == 403
    assert (await here.get(f"{path}/{poll}/votes", ada)).status_code == 403
    assert (await here.post(path, ada, KNOT)).status_code == 403
    for command in ("open", "close", "delete"):
        assert (await here.post(f"{path}/{poll}/{command}", ada)).status_code == 403
    instructor = here.here.instructor
    assert (await here.post(f"{path}/{poll}/open", instructor)).status_code == 404, "it is open already"
    bad = await here.post(path, instructor, {"question": "Which?", "options": ["one"]})
    assert (bad.status_code, bad.json()["detail"]) == (400, "a poll has 2 to 10 options")
    page = await here.enter(ada, row)
    assert await lead(here, row, poll, "delete") == []
    assert (await told(page, "poll-deleted"))["id"] == poll
    other = await opened(here, await live(here))
    assert (await here.post(f"{path}/{other}/close", instructor)).status_code == 404


async def test_results_as_csv(here: Site) -> None:
    """A named poll: who chose what, and whether it was right; an anonymous one: counts. No cell is a formula."""
    row, ada = await live(here), new_key()
    page = await here.enter(ada, row)
    named, anonymous = await opened(here, row, named=True, right=[1]), await opened(here, row)
    for poll in (named, anonymous):
        await vote(here, page, poll, 1)
        await told(page, "vote")
        await lead(here, row, poll, "close")
    path = here.path_of(row, "polls")
    answers = [await here.get(f"{path}/{poll}/votes", here.here.instructor) for poll in (named, anonymous)]
    assert [answer.headers["content-type"] for answer in answers] == ["text/csv; charset=utf-8"] * 2
    people, counts = [answer.text.splitlines() for answer in answers]
    assert people[0] == "name,npub,choices,right"
    assert people[1].endswith(",'=Hitch,yes")
    assert counts == ["option,votes,right", "Bowline,0,", "'=Hitch,1,", "Bend,0,"]


SEALED = {"sealed": "0." + "A" * 80, "sealedRight": "0." + "B" * 60}


async def encrypted(here: Site) -> LiveSessionRow:
    """An encrypted session that runs, with a place for one more person."""
    return await live(here, e2ee_required=True, visibility=Visibility.PRIVATE)


async def test_an_encrypted_session_keeps_cipher_text_only(here: Site) -> None:
    """A poll that the service could read is refused; of the others it knows the number of options, and counts votes."""
    row, plain = await encrypted(here), await live(here)
    answer = await here.post(here.path_of(row, "polls"), here.here.instructor, KNOT)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:podium:problem:e2ee")
    for session, wish in (
        (plain, SEALED | {"options": 3}),
        (row, SEALED | {"options": 1}),
        (row, SEALED | {"options": 3, "sealed": "Which knot?"}),
        (row, SEALED | {"options": 3, "sealedRight": "010"}),
    ):
        assert (
            await here.post(here.path_of(session, "polls", "sealed"), here.here.instructor, wish)
        ).status_code == 400
    assert (
        await here.post(here.path_of(row, "polls", "sealed"), new_key(), SEALED | {"options": 3})
    ).status_code == 404
    (draft,) = await lead(here, row, "sealed", body=SEALED | {"options": 3})
    assert (draft["question"], draft["options"], draft["sealedBy"]) == (
        SEALED["sealed"],
        ["", "", ""],
        here.here.instructor.pubkey,
    )
    poll, desk = draft["id"], await here.enter(here.here.instructor, row)
    await lead(here, row, poll, "open")
    await told(desk, "poll")
    await vote(here, desk, poll, 2)
    assert (await told(desk, "vote"))["choices"] == [2]
    path = here.path_of(row, "polls", str(poll), "votes")
    assert (await here.get(path, here.here.instructor)).text.splitlines()[1:] == ["1,0,", "2,0,", "3,1,"]


async def test_what_is_right_is_cipher_text_until_the_close(here: Site) -> None:
    """People in an encrypted room get what a poll says at once, and which options are right when it is closed."""
    co_host = new_key()
    row = await encrypted(here)
    await (
        here.here.store.sessions.where("lessonId")
        .equals(row.session_address)
        .modify(co_hosts=(co_host.pubkey,), invited=((ada := new_key()).pubkey,))
    )
    await here.here.answer(ada, row)
    (draft,) = await lead(here, row, "sealed", body=SEALED | {"options": 2})
    page = await here.enter(ada, row)
    await lead(here, row, draft["id"], "open")
    shown = await told(page, "poll")
    assert (shown["question"], shown["sealedBy"]) == (SEALED["sealed"], here.here.instructor.pubkey)
    assert "sealedRight" not in shown
    newer = {"sealed": "1." + "C" * 80, "sealedRight": "1." + "D" * 60}
    path = here.path_of(row, "polls", str(draft["id"]), "seal")
    assert (await here.post(path, ada, newer)).status_code == 403
    assert (await here.post(path, co_host, newer)).status_code == 200
    shown = await told(page, "poll")
    assert (shown["question"], shown["sealedBy"]) == (newer["sealed"], co_host.pubkey)
    await lead(here, row, draft["id"], "close")
    assert (await told(page, "poll"))["sealedRight"] == newer["sealedRight"]
    assert (await here.post(path, co_host, SEALED)).status_code == 404, "a result says what was asked"


async def test_a_poll_closes_with_its_session(here: Site) -> None:
    """The end shows the result of what is open, then closes the room; a daemon that was stopped closes it later."""
    row, ada = await here.here.schedule(starts_in=60), new_key()
    assert (await here.post(here.path_of(row, "start"), here.here.instructor)).status_code == 200
    page = await here.enter(ada, row)
    poll = await opened(here, row)
    await vote(here, page, poll, 1)
    await told(page, "vote")
    assert (await here.post(here.path_of(row, "end"), here.here.instructor)).status_code == 200
    result = await told(page, "poll")
    while result["stage"] == "open":
        result = await told(page, "poll")
    assert (result["counts"], result["voters"]) == ([0, 1, 0], 1)
    await told(page, "ended")
    assert await here.here.store.poll_votes.where("pollId").equals(poll).count() == 0
    before = await live(here)
    left = await opened(here, before)
    await here.here.store.sessions.where("lessonId").equals(before.session_address).modify(state="ended")
    await here.here.rooms.polls.close_what_is_over()
    found = await here.here.store.polls.get(left)
    assert found is not None
    assert found.stage == "closed"


async def test_a_poll_that_is_deleted_while_it_is_opened_stays_deleted(here: Site) -> None:
    """Two who lead press both at the same moment: what was deleted is not written back."""
    row = await live(here)
    (draft,) = await lead(here, row, body=KNOT)
    polls, by = here.parts.rooms.rooms.polls, here.here.instructor.pubkey
    await asyncio.gather(polls.delete(row, draft["id"], by), polls.open(row, draft["id"], by))
    assert await here.here.store.polls.get(draft["id"]) is None
