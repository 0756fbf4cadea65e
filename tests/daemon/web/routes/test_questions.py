"""Questions over HTTP: asking with one signature, answering, moderating; who sees what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from httpx import Response

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.questions import MAX_PINNED, write_question
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import LiveSessionRow
from tests.daemon.web.test_stream import opened
from tests.support.relays import new_key
from tests.support.site import Site, as_json, site
from tests.support.world import signed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One server: each test has its own session and its own people."""
    async with site() as running:
        yield running


def meeting_of(here: Site, row: LiveSessionRow) -> Address:
    """What a question names."""
    return Address(kinds.MEETING, here.here.service.pubkey, row.conference_room_id or "")


def question(
    here: Site, row: LiveSessionRow, key: SecretKey, text: str = "Why a bowline?", **more: object
) -> VerifiedEvent:
    """A signed question, or with `reply_to` an answer."""
    reply_to = more.get("reply_to")
    draft = write_question(
        meeting_of(here, row),
        text,
        pubkey=key.pubkey,
        now=here.here.now,
        reply_to=EventId(str(reply_to)) if reply_to else None,
    )
    return signed(key, draft)


async def send(here: Site, row: LiveSessionRow, event: VerifiedEvent, by: SecretKey | None = None) -> Response:
    """Hand an event in, in a call that nobody needs to sign, or that `by` signs."""
    return await here.post(here.path_of(row, "questions"), by, {"event": as_json(event)})


async def guest(here: Site, row: LiveSessionRow) -> SecretKey:
    """A person who has confirmed."""
    key = new_key()
    await here.here.answer(key, row)
    return key


async def asked(here: Site, row: LiveSessionRow, text: str = "Why a bowline?") -> tuple[SecretKey, VerifiedEvent]:
    """A guest's question that was taken."""
    key = await guest(here, row)
    event = question(here, row, key, text)
    answer = await send(here, row, event)
    assert answer.status_code == 200, answer.text
    return key, event


async def seen(here: Site, row: LiveSessionRow, by: SecretKey | None = None) -> list[dict[str, object]]:
    """The questions as a person sees them."""
    answer = await here.get(here.path_of(row, "questions"), by)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["questions"]
    return found


async def moderated(
    here: Site, row: LiveSessionRow, event_id: str, command: str, by: SecretKey | None = None
) -> Response:
    """What the instructor does with a question."""
    return await here.post(here.path_of(row, "questions", event_id, command), by or here.here.instructor)


def slug(answer: Response) -> str:
    """The problem's short name."""
    return str(answer.json()["type"]).rpartition(":")[2]


async def test_one_signature_asks(here: Site) -> None:
    """The question is shown to everybody and on its way to the relays, as it was signed."""
    row = await here.here.schedule()
    key, event = await asked(here, row)
    (shown,) = await seen(here, row)
    assert (shown["id"], shown["pubkey"], shown["text"]) == (event.id, key.pubkey, "Why a bowline?")
    assert (shown["role"], shown["state"], shown["pinned"], shown["answers"]) == ("participant", "shown", False, [])
    await here.here.deliver()
    assert event in here.here.published(kinds.LIVE_CHAT)


async def test_asking_twice_is_asking_once(here: Site) -> None:
    """The same event again changes nothing, from any caller."""
    row = await here.here.schedule()
    _, event = await asked(here, row)
    assert (await send(here, row, event)).status_code == 200
    assert len(await seen(here, row)) == 1


async def test_the_instructor_answers(here: Site) -> None:
    """The answer stands under its question with the role of who gave it; a participant's reply is no answer."""
    co_host = new_key()
    row = await here.here.schedule(co_hosts=(co_host.pubkey,))
    key, event = await asked(here, row)
    for answerer, text in ((here.here.instructor, "It holds."), (co_host, "And opens again.")):
        reply = question(here, row, answerer, text, reply_to=event.id)
        assert (await send(here, row, reply)).status_code == 200
    assert (await send(here, row, question(here, row, key, "Thanks!", reply_to=event.id))).status_code == 200
    first, thanks = await seen(here, row)
    answers = first["answers"]
    assert isinstance(answers, list)
    assert [(one["role"], one["text"]) for one in answers] == [
        ("instructor", "It holds."),
        ("co-host", "And opens again."),
    ]
    assert (thanks["text"], thanks["answers"]) == ("Thanks!", [])


async def test_what_is_hidden_only_leaders_see(here: Site) -> None:
    """Hidden is gone for everybody else, also for its author, and comes back when it is shown."""
    row = await here.here.schedule()
    key, event = await asked(here, row)
    answer = await moderated(here, row, event.id, "hide")
    assert [one["state"] for one in answer.json()["questions"]] == ["hidden"]
    assert await seen(here, row) == await seen(here, row, key) == []
    await moderated(here, row, event.id, "show")
    assert len(await seen(here, row)) == 1


async def test_pins_come_first_and_into_the_public_status(here: Site) -> None:
    """A pinned question is listed first and named by a `pinned` tag of the 30313 (NIP-53), until it is unpinned."""
    row = await here.here.schedule()
    _, first = await asked(here, row, "First?")
    _, second = await asked(here, row, "Second?")
    for command, pinned in (("pin", [second.id]), ("unpin", []), ("pin", [second.id]), ("hide", [])):
        assert (await moderated(here, row, second.id, command)).status_code == 200
        await here.here.turn()
        own = [one for one in here.here.published(kinds.MEETING) if tags.first(one.tags, "d") == row.conference_room_id]
        assert list(tags.values(own[-1].tags, "pinned")) == pinned
        listed = [one["id"] for one in await seen(here, row)]
        assert listed[0] == (second.id if pinned else first.id)


async def test_what_cannot_be_pinned(here: Site) -> None:
    """Nothing hidden is pinned, and not everything at once."""
    row = await here.here.schedule()
    _, event = await asked(here, row)
    await moderated(here, row, event.id, "hide")
    answer = await moderated(here, row, event.id, "pin")
    assert (answer.status_code, slug(answer)) == (409, "not-shown")
    for _ in range(MAX_PINNED):
        _, one = await asked(here, row)
        assert (await moderated(here, row, one.id, "pin")).status_code == 200
    _, more = await asked(here, row)
    assert slug(await moderated(here, row, more.id, "pin")) == "too-many-pinned"


async def test_only_leaders_moderate(here: Site) -> None:
    """A participant, and a caller who does not sign, is refused; a question of another session is not found."""
    row, other = await here.here.schedule(), await here.here.schedule()
    key, event = await asked(here, row)
    assert (await moderated(here, row, event.id, "hide", key)).status_code == 403
    assert (await here.post(here.path_of(row, "questions", event.id, "hide"))).status_code == 401
    assert (await moderated(here, other, event.id, "hide")).status_code == 404
    assert (await moderated(here, row, event.id, "burn")).status_code == 422
    assert [one["state"] for one in await seen(here, row)] == ["shown"]


async def test_who_may_not_ask_is_told_why(here: Site) -> None:
    """Strangers, decliners, the removed, the silenced and the hasty are refused, each with a reason."""
    row = await here.here.schedule()
    stranger, decliner = new_key(), new_key()
    await here.here.answer(decliner, row, RsvpStatus.DECLINED)
    for key in (stranger, decliner):
        answer = await send(here, row, question(here, row, key))
        assert (answer.status_code, slug(answer)) == (409, "answer-first")
    hasty, event = await asked(here, row)
    for number in range(4):
        assert (await send(here, row, question(here, row, hasty, f"{number}?"))).status_code == 200
    answer = await send(here, row, question(here, row, hasty, "And?"))
    assert (answer.status_code, slug(answer)) == (429, "too-many")
    await here.here.clock.advance(61)
    assert (await moderated(here, row, event.id, "silence")).json()["questions"][0]["silenced"] is True
    answer = await send(here, row, question(here, row, hasty, "Now?"))
    assert (answer.status_code, slug(answer)) == (403, "not-allowed")
    await moderated(here, row, event.id, "unsilence")
    assert (await send(here, row, question(here, row, hasty, "Now?"))).status_code == 200
    await here.post(here.path_of(row, "room", "remove"), here.here.instructor, {"pubkey": hasty.pubkey, "reason": ""})
    answer = await send(here, row, question(here, row, hasty, "Please?"))
    assert (answer.status_code, slug(answer)) == (403, "not-allowed")


async def test_who_is_let_in_may_ask_without_an_rsvp(here: Site) -> None:
    """A person in the room asks; a person at its door does not."""
    row = await here.here.schedule(starts_in=0, waiting_room=True)
    await here.here.turn()
    row = await here.here.row(row.session_address)
    key = new_key()
    page = await here.knock(key, row)
    assert slug(await send(here, row, question(here, row, key))) == "answer-first"
    await here.post(here.path_of(row, "room", "admit"), here.here.instructor, {"everybody": True})
    while (await page.read())["type"] != "resume":
        pass
    assert (await send(here, row, question(here, row, key))).status_code == 200


async def test_what_is_no_question_is_refused(here: Site) -> None:
    """Another kind, meeting, time or parent, no text, a bad signature: nothing is taken."""
    row, other = await here.here.schedule(), await here.here.schedule()
    key = await guest(here, row)
    good = question(here, row, key)

    def changed(**fields: object) -> VerifiedEvent:
        draft = {"created_at": good.created_at, "kind": good.kind, "tags": good.tags, "content": good.content} | fields
        return signed(key, UnsignedEvent(pubkey=key.pubkey, **draft))  # type: ignore[arg-type]  # the fields it has

    cases = {
        "not-a-question": [changed(kind=1), changed(content=""), changed(tags=()), changed(content="x" * 1001)],
        "unknown-session": [question(here, other, key)],
        "bad-time": [changed(created_at=here.here.now - 601), changed(created_at=here.here.now + 601)],
        "unknown-question": [question(here, row, key, reply_to="ab" * 32)],
    }
    for wanted, events in cases.items():
        for event in events:
            assert slug(await send(here, row, event)) == wanted
    forged = as_json(good) | {"content": "Something else"}
    answer = await here.post(here.path_of(row, "questions"), None, {"event": forged})
    assert (answer.status_code, slug(answer)) == (400, "bad-event")
    assert await seen(here, row, here.here.instructor) == []


async def test_an_ended_session_takes_no_questions(here: Site) -> None:
    """After the end the door for questions is closed, and what was asked stays readable."""
    row = await here.here.schedule(starts_in=0)
    await here.here.turn()
    key, _ = await asked(here, row)
    await here.post(here.path_of(row, "end"), here.here.instructor)
    await here.here.clock.advance(61)
    assert slug(await send(here, row, question(here, row, key, "And now?"))) == "session-over"
    assert len(await seen(here, row)) == 1


async def test_the_author_takes_it_back(here: Site) -> None:
    """A deletion by the author removes the question, here and at the relays; nobody else's does."""
    row = await here.here.schedule()
    key, event = await asked(here, row)

    def deletion(by: SecretKey) -> VerifiedEvent:
        rows = (("e", event.id), ("k", "1311"))
        return signed(by, UnsignedEvent(by.pubkey, here.here.now, kinds.DELETION, rows, ""))

    for stranger in (new_key(), here.here.instructor):
        assert (await send(here, row, deletion(stranger))).status_code == 404
    assert len(await seen(here, row)) == 1
    assert (await send(here, row, deletion(key))).status_code == 200
    assert await seen(here, row, here.here.instructor) == []
    await here.here.deliver()
    assert here.here.published(kinds.DELETION)[-1].pubkey == key.pubkey
    assert slug(await send(here, row, event)) == "outdated"


async def test_private_questions_are_published_nowhere(here: Site) -> None:
    """In a private session a question stays with the daemon: no relay gets it, and strangers do not read it."""
    row = await here.here.schedule()
    key = new_key()
    await here.here.store.sessions.put(_private(row, key))
    event = question(here, row, key, "Between us?")
    assert (await send(here, row, event)).status_code == 404, "who holds an event need not be its author"
    assert (await send(here, row, event, by=key)).status_code == 200
    assert [one["text"] for one in await seen(here, row, key)] == ["Between us?"]
    for stranger in (None, new_key()):
        assert (await here.get(here.path_of(row, "questions"), stranger)).status_code == 404
        assert (await send(here, row, question(here, row, stranger or new_key()), by=stranger)).status_code == 404
    assert (await moderated(here, row, event.id, "pin")).status_code == 200
    await here.here.turn()
    assert event not in here.here.published(kinds.LIVE_CHAT)
    assert await here.here.mirror.get(event.id) is None
    assert "Between us?" not in json.dumps([one.content for one in here.here.sent])
    deletion = signed(key, UnsignedEvent(key.pubkey, here.here.now, kinds.DELETION, (("e", event.id),), ""))
    assert (await send(here, row, deletion, by=key)).status_code == 200
    await here.here.deliver()
    assert deletion not in here.here.sent
    assert await seen(here, row, key) == []


def _private(row: LiveSessionRow, *invited: SecretKey) -> LiveSessionRow:
    return msgspec.structs.replace(row, visibility="private", invited=tuple(key.pubkey for key in invited))


async def test_the_stream_tells_everybody(here: Site) -> None:
    """A public stream brings a question when it is asked, and again without it when it is hidden; leaders keep it."""
    row = await here.here.schedule()
    async with opened(here, row) as public, opened(here, row, here.here.instructor) as leading:
        _, event = await asked(here, row)
        assert [one["id"] for one in (await public.until("questions"))["questions"]] == [event.id]
        assert [one["id"] for one in (await leading.until("questions"))["questions"]] == [event.id]
        await moderated(here, row, event.id, "hide")
        assert (await public.until("questions"))["questions"] == []
        assert [one["state"] for one in (await leading.until("questions"))["questions"]] == ["hidden"]


async def voted(here: Site, row: LiveSessionRow, event_id: str, by: SecretKey | None, *, on: object = True) -> Response:
    """A person votes for a question, or takes the vote back."""
    return await here.post(here.path_of(row, "questions", event_id, "vote"), by, {"on": on})


async def own_votes(here: Site, row: LiveSessionRow, by: SecretKey) -> list[str]:
    """What the event stream tells a person of their own votes."""
    async with opened(here, row, by) as events:
        while True:
            name, _, data = await events.next()
            if name == "me":
                found: list[str] = data["voted"]
                return found


async def test_a_person_has_one_vote_and_may_take_it_back(here: Site) -> None:
    """Voting twice counts once, the others' votes are added, and only the voter is told which are theirs."""
    row = await here.here.schedule()
    ada, event = await asked(here, row)
    voters = [await guest(here, row) for _ in range(3)]
    for voter in (*voters, voters[0]):
        assert (await voted(here, row, event.id, voter)).status_code == 200
    (shown,) = await seen(here, row)
    assert (shown["votes"], shown["answered"]) == (3, False)
    assert not {voter.pubkey for voter in voters} & set(json.dumps(shown).split('"')), "nobody sees who voted"
    assert (await voted(here, row, event.id, voters[0], on=False)).json() == {"votes": 2}
    assert (await voted(here, row, event.id, voters[0], on=False)).json() == {"votes": 2}
    assert await own_votes(here, row, voters[0]) == []
    assert await own_votes(here, row, voters[1]) == [event.id]
    assert (await voted(here, row, event.id, ada)).status_code == 403, "not for one's own"


async def test_votes_put_a_question_first_and_answered_ones_last(here: Site) -> None:
    """All see the most wanted first; what instructor or co-host marks as answered stands below, until taken back."""
    row = await here.here.schedule()
    events = [(await asked(here, row, text))[1] for text in ("First?", "Second?", "Third?")]
    voter = await guest(here, row)
    await voted(here, row, events[1].id, voter)
    assert [one["text"] for one in await seen(here, row)] == ["Second?", "First?", "Third?"]
    assert (await moderated(here, row, events[1].id, "answered", voter)).status_code == 403
    assert (await moderated(here, row, events[1].id, "answered")).status_code == 200
    assert [(one["text"], one["answered"]) for one in await seen(here, row)] == [
        ("First?", False),
        ("Third?", False),
        ("Second?", True),
    ]
    assert (await moderated(here, row, events[1].id, "unanswered")).status_code == 200
    assert [one["text"] for one in await seen(here, row)] == ["Second?", "First?", "Third?"]


async def test_who_may_not_ask_does_not_vote(here: Site) -> None:
    """Strangers, callers without a login, and votes for what is not shown or is no question are refused."""
    row, other = await here.here.schedule(), await here.here.schedule()
    _, event = await asked(here, row)
    voter = await guest(here, row)
    reply = question(here, row, here.here.instructor, "It holds.", reply_to=event.id)
    await send(here, row, reply)
    assert slug(await voted(here, row, event.id, new_key())) == "answer-first"
    assert (await voted(here, row, event.id, None)).status_code == 401
    assert (await voted(here, other, event.id, voter)).status_code == 404
    assert (await voted(here, row, reply.id, voter)).status_code == 404
    assert (await voted(here, row, "ab" * 32, voter)).status_code == 404
    assert (await voted(here, row, event.id, voter, on="maybe")).status_code == 422
    await moderated(here, row, event.id, "hide")
    assert (await voted(here, row, event.id, voter)).status_code == 404
    assert await here.here.store.question_votes.where("eventId").any_of([event.id, reply.id]).count() == 0


async def test_a_question_that_is_taken_back_takes_its_votes_along(here: Site) -> None:
    """Who voted for it is not kept."""
    row = await here.here.schedule()
    ada, event = await asked(here, row)
    await voted(here, row, event.id, await guest(here, row))
    rows = (("e", event.id), ("k", str(kinds.LIVE_CHAT)))
    gone = signed(ada, UnsignedEvent(ada.pubkey, here.here.now, kinds.DELETION, rows, ""))
    assert (await send(here, row, gone)).status_code == 200
    assert await here.here.store.question_votes.where("eventId").equals(event.id).count() == 0


async def test_voting_without_end_is_slowed_down(here: Site) -> None:
    """A page that switches its vote on and off is refused after some, and the count stays that of the votes."""
    row = await here.here.schedule()
    _, event = await asked(here, row)
    voter = await guest(here, row)
    answers = [(await voted(here, row, event.id, voter, on=number % 2 == 0)).status_code for number in range(30)]
    assert set(answers) == {200, 429}
    votes = await here.here.store.question_votes.where("eventId").equals(event.id).count()
    (shown,) = await seen(here, row)
    assert shown["votes"] == votes
