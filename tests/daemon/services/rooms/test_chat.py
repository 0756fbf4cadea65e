"""The chat of a room, over its real socket and the HTTP interface."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from podium_protocol.keys import SecretKey
from podium_protocol.live.chat import MAX_LINES, MAX_TEXT
from podium_protocol.live.session import Visibility
from podium_storage.table.models import ChatLineRow, LiveSessionRow
from tests.support.able_engine import AbleEngine
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import Site, reading, site

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEALED = "12." + "A" * 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    async with site(engine=AbleEngine) as running:
        yield running


async def live(here: Site, *people: SecretKey, encrypted: bool = False) -> LiveSessionRow:
    """A session that runs."""
    invited = tuple(person.pubkey for person in people)
    private = Visibility.PRIVATE if encrypted else Visibility.PUBLIC
    row = await here.here.schedule(starts_in=60, e2ee_required=encrypted, visibility=private, invited=invited)
    await here.here.store.sessions.where("lessonId").equals(row.session_address).modify(state="active")
    return await here.here.row(row.session_address)


async def told(page: Page, *kinds: str) -> Any:
    """The next message of one of these types."""
    while (message := await reading(page))["type"] not in kinds:
        pass
    return message


async def say(here: Site, page: Page, text: str, **fields: object) -> None:
    """A person writes, no sooner than they may again."""
    await here.here.clock.advance(1)
    await page.socket.send(json.dumps({"type": "chat", "text": text} | fields))


async def test_all_read_what_one_writes_and_latecomers_too(here: Site) -> None:
    """A line comes to all who are there, with its sender; who comes later gets what is kept, in one message."""
    row, ada, ben = await live(here), new_key(), new_key()
    adas, bens = await here.enter(ada, row), await here.enter(ben, row)
    await say(here, adas, " Hello\n<b>there</b> ")
    lines = [await told(page, "chat") for page in (adas, bens)]
    assert lines[0] == lines[1]
    assert (lines[0]["from"], lines[0]["text"]) == (ada.pubkey, "Hello\n<b>there</b>")
    assert "private" not in lines[0]
    await say(here, bens, "Hi")
    await told(adas, "chat")
    late = await here.enter(new_key(), row)
    history = await told(late, "chat-history")
    assert [line["text"] for line in history["lines"]] == ["Hello\n<b>there</b>", "Hi"]


async def test_a_private_line_is_for_those_who_lead(here: Site) -> None:
    """Its sender and the leaders have it, also when they come again; other participants never do."""
    row, ada, ben = await live(here), new_key(), new_key()
    lead, adas, bens = [await here.enter(key, row) for key in (here.here.instructor, ada, ben)]
    await say(here, adas, "May I leave early?", private=True)
    for page in (lead, adas):
        assert (await told(page, "chat"))["private"] is True
    await say(here, adas, "Hello")
    assert (await told(bens, "chat", "chat-history"))["text"] == "Hello"
    seen = {}
    for name, key in (("ada", ada), ("ben", ben), ("lead", here.here.instructor)):
        again = await here.enter(key, row, "phone")
        seen[name] = [line["text"] for line in (await told(again, "chat-history"))["lines"]]
    assert seen["ben"] == ["Hello"]
    assert seen["ada"] == seen["lead"] == ["May I leave early?", "Hello"]


async def test_who_writes_too_fast_is_told(here: Site) -> None:
    """A line a second in the long run; what is too much or no line is counted, told to its sender and kept nowhere."""
    row, ada = await live(here), new_key()
    page = await here.enter(ada, row)
    before = dict(here.here.rooms.chat.dropped)
    await here.here.clock.advance(2)
    for number in range(4):
        await page.socket.send(json.dumps({"type": "chat", "text": f"line {number}"}))
    kinds = [(await told(page, "chat", "chat-refused")) for _ in range(4)]
    assert [one["type"] for one in kinds] == ["chat", "chat", "chat-refused", "chat-refused"]
    assert kinds[2]["reason"] == "too-fast"
    for flawed in ("", " \n", "x" * (MAX_TEXT + 1)):
        await say(here, page, flawed)
        assert (await told(page, "chat-refused"))["reason"] == "flawed"
    await say(here, page, "x" * 9_000)
    await say(here, page, "hello", to="ben")
    await say(here, page, "é" * MAX_TEXT)
    assert (await told(page, "chat", "chat-refused"))["text"] == "é" * MAX_TEXT
    dropped = here.here.rooms.chat.dropped
    assert dropped["chat_too-fast"] - before.get("chat_too-fast", 0) == 2
    assert dropped["chat_flawed"] - before.get("chat_flawed", 0) == 3
    assert len(await here.here.rooms.chat.lines(row.session_address)) == 3


async def test_a_room_is_not_flooded_by_many(here: Site) -> None:
    """However many keys write at once, a room carries so many lines, since each goes to all people."""
    row = await live(here)
    keys = [new_key() for _ in range(30)]
    pages = [await here.enter(key, row) for key in keys]
    for page in pages:
        for _ in range(2):
            await page.socket.send(json.dumps({"type": "chat", "text": "flood"}))
    for page in pages:
        await page.socket.send(json.dumps({"type": "hand", "up": True}))
        await told(page, "hand")
    assert len(await here.here.rooms.chat.lines(row.session_address)) == 40


async def test_the_newest_lines_are_kept(here: Site) -> None:
    """Past 500 lines the oldest goes."""
    row, ada = await live(here), new_key()
    line = ChatLineRow(
        session_address=row.session_address, pubkey=ada.pubkey, text="old", private=False, sealed=False, sent_at=1
    )
    await here.here.store.chat.bulk_add([line] * MAX_LINES)
    page = await here.enter(ada, row)
    await say(here, page, "new")
    await told(page, "chat")
    lines = await here.here.rooms.chat.lines(row.session_address)
    assert (len(lines), lines[-1].text) == (MAX_LINES, "new")


async def test_leaders_keep_the_chat(here: Site) -> None:
    """They delete a line and switch the chat off, which all are told; others may do neither."""
    row, ada = await live(here), new_key()
    lead, adas = await here.enter(here.here.instructor, row), await here.enter(ada, row)
    await say(here, adas, "Something rude")
    line = (await told(lead, "chat"))["id"]
    path = here.path_of(row, "chat")
    for refused in (f"{path}/{line}/delete", path):
        body = {"on": False} if refused == path else None
        assert (await here.post(refused, ada, body)).status_code == 403
    assert (await here.get(path, ada)).status_code == 403
    answer = await here.post(f"{path}/{line}/delete", here.here.instructor)
    assert answer.json()["lines"] == []
    assert (await told(adas, "chat-deleted"))["id"] == line
    assert (await here.post(f"{path}/{line}/delete", here.here.instructor)).status_code == 404
    assert (await here.post(path, here.here.instructor, {"on": False})).json()["open"] is False
    assert (await told(adas, "chat-state"))["open"] is False
    await say(here, adas, "Still here?")
    assert (await told(adas, "chat-refused"))["reason"] == "closed"
    await say(here, adas, "You can be asked", private=True)
    assert (await told(adas, "chat"))["private"] is True
    await say(here, lead, "We go on")
    assert (await told(adas, "chat"))["text"] == "We go on"
    late = await here.enter(new_key(), row)
    assert (await told(late, "chat-state"))["open"] is False
    await here.post(path, here.here.instructor, {"on": True})
    assert (await told(adas, "chat-state"))["open"] is True


async def test_a_line_of_another_session_is_not_deleted(here: Site) -> None:
    """Who leads one session cannot delete in another."""
    row, other, ada = await live(here), await live(here), new_key()
    page = await here.enter(ada, row)
    await say(here, page, "Hello")
    line = (await told(page, "chat"))["id"]
    answer = await here.post(here.path_of(other, "chat", str(line), "delete"), here.here.instructor)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:podium:problem:unknown-line")
    assert len(await here.here.rooms.chat.lines(row.session_address)) == 1


async def test_the_chat_as_text(here: Site) -> None:
    """Time, key and text of each line, for those who lead, also after the session."""
    row, ada = await live(here), new_key()
    page = await here.enter(ada, row)
    await say(here, page, "Hello\nthere")
    await told(page, "chat")
    answer = await here.get(here.path_of(row, "chat") + "?format=text", here.here.instructor)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert 'filename="chat.txt"' in answer.headers["content-disposition"]
    assert ": Hello\n    there\n" in answer.text
    assert (await here.get(here.path_of(row, "chat") + "?format=text", ada)).status_code == 403


async def test_an_encrypted_chat_is_cipher_text(here: Site) -> None:
    """What a page sent in the clear is refused and not kept; cipher text is passed on, and no export can read it."""
    ada = new_key()
    row = await live(here, ada, encrypted=True)
    page = await here.enter(ada, row)
    await say(here, page, "In the clear")
    assert (await told(page, "chat-refused"))["reason"] == "flawed"
    await say(here, page, SEALED)
    assert (await told(page, "chat"))["text"] == SEALED
    (line,) = await here.here.rooms.chat.lines(row.session_address)
    assert (line.text, line.sealed) == (SEALED, True)
    answer = await here.get(here.path_of(row, "chat") + "?format=text", here.here.instructor)
    assert "the service cannot read it" in answer.text
    assert SEALED not in answer.text


async def react(page: Page, kind: str) -> None:
    """A person reacts."""
    await page.socket.send(json.dumps({"type": "reaction", "kind": kind}))


async def test_all_see_a_reaction_and_it_is_kept_nowhere(here: Site) -> None:
    """It comes to all who are there with its sender, and to no newcomer; what is unknown or too much is counted."""
    row, ada, ben = await live(here), new_key(), new_key()
    adas, bens = await here.enter(ada, row), await here.enter(ben, row)
    before = dict(here.here.rooms.chat.dropped)
    await here.here.clock.advance(60)
    for kind in ("boo", "heart", "heart", "heart", "heart"):
        await react(adas, kind)
    for page in (adas, bens):
        for _ in range(3):
            assert await told(page, "reaction") == {"type": "reaction", "from": ada.pubkey, "kind": "heart"}
    await here.here.clock.advance(1)
    await react(adas, "party")
    assert (await told(bens, "reaction"))["kind"] == "party"
    dropped = here.here.rooms.chat.dropped
    assert dropped["reaction_flawed"] - before.get("reaction_flawed", 0) == 1
    assert dropped["reaction_too-fast"] - before.get("reaction_too-fast", 0) == 1
    late = await here.enter(new_key(), row)
    await react(late, "laugh")
    assert (await told(late, "reaction", "chat-history"))["kind"] == "laugh"


async def test_a_reaction_in_an_encrypted_room_is_cipher_text(here: Site) -> None:
    """The daemon passes on what it cannot read, and nothing that it can."""
    ada = new_key()
    row = await live(here, ada, encrypted=True)
    page = await here.enter(ada, row)
    await react(page, "heart")
    await react(page, SEALED)
    assert (await told(page, "reaction"))["kind"] == SEALED
