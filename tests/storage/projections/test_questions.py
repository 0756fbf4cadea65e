"""Rows of questions out of the mirror: arrival, deletion, limits; none for what is not ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.questions import write_question
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections import questions as question_projection
from podium_storage.projections.questions import QuestionProjection
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, QuestionRow
from tests.support.events import NOW, key_of, seeded, verified, verify_or_fail

SERVICE, ADA, BEN = (key_of(number) for number in range(1, 4))
LESSON = f"31923:{key_of(9).pubkey}:knots"
SESSION = LiveSessionRow(
    session_address=LESSON,
    conference_room_id="room-1",
    scheduled_at=NOW,
    ends_at=NOW + 3600,
    duration=60,
    instructor_pubkey=key_of(9).pubkey,
    title="Knots",
    summary="",
    description="",
    requires_rsvp=False,
    waiting_room=False,
    allow_recording=False,
    e2ee_required=False,
    visibility="public",
    co_hosts=(),
    invited=(),
    state="scheduled",
    epoch=0,
    event_id="ab" * 32,
    event_created_at=NOW,
    runs=(),
    adopted_at=NOW,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A disk with one session."""
    async with await Store.open(tmp_path / "podium.sqlite3") as opened:
        await opened.sessions.add(SESSION)
        yield opened


def mirror_of(store: Store) -> Mirror:
    """A mirror that keeps the questions."""
    return Mirror(store.database, store.interner, [QuestionProjection(store, service=SERVICE.pubkey)])


def question(number: int = 0, *, room: str = "room-1", service: str = SERVICE.pubkey) -> VerifiedEvent:
    """Ada's question."""
    meeting = Address(kinds.MEETING, SERVICE.pubkey, room)
    meeting = msgspec.structs.replace(meeting, pubkey=service)
    draft = write_question(meeting, f"Why {number}?", pubkey=ADA.pubkey, now=NOW + number)
    return verify_or_fail(ADA.sign(draft, seeded("aux", number)))


async def rows(store: Store) -> list[QuestionRow]:
    """All of them."""
    return await store.questions.to_list()


async def test_what_arrives_is_held(store: Store) -> None:
    """A row says what was asked, by whom, when it was seen; nobody sees it before a service has judged."""
    event = question()
    await mirror_of(store).ingest([event], received_at=NOW + 5)
    assert await rows(store) == [
        QuestionRow(
            id=1,
            session_address=LESSON,
            pubkey=ADA.pubkey,
            event_id=event.id,
            text="Why 0?",
            created_at=NOW,
            first_seen_at=NOW + 5,
        )
    ]


async def test_a_batch_is_the_same_as_one_by_one(store: Store) -> None:
    """A question and its deletion in one batch leave nothing; repeats add nothing."""
    first, second = question(1), question(2)
    deletion = verified(ADA, kind=kinds.DELETION, tags=(("e", first.id),))
    stranger = verified(BEN, kind=kinds.DELETION, tags=(("e", second.id),))
    mirror = mirror_of(store)
    await mirror.ingest([first, second, first, deletion, stranger], received_at=NOW)
    await mirror.ingest([first, second], received_at=NOW)
    assert [row.event_id for row in await rows(store)] == [second.id]


async def test_what_is_not_ours_makes_no_row(store: Store) -> None:
    """Another room, another service, no question at all, a private session."""
    mirror = mirror_of(store)
    odd = verified(ADA, kind=kinds.LIVE_CHAT, content="Why?")
    await mirror.ingest([question(1, room="other"), question(2, service=BEN.pubkey), odd], received_at=NOW)
    await store.sessions.where("lessonId").equals(LESSON).modify(visibility="private")
    await mirror.ingest([question(3)], received_at=NOW)
    assert await rows(store) == []


async def test_a_session_has_so_many_rows_and_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood fills its place, in one batch or in many."""
    monkeypatch.setattr(question_projection, "MAX_ROWS", 3)
    mirror = mirror_of(store)
    await mirror.ingest([question(number) for number in range(5)], received_at=NOW)
    await mirror.ingest([question(7)], received_at=NOW)
    assert [row.text for row in await rows(store)] == ["Why 0?", "Why 1?", "Why 2?"]


def to_room(at: int, *, identifier: str = "podium") -> VerifiedEvent:
    """Ada's message to the service's room, of that time."""
    rows = (("a", f"30312:{SERVICE.pubkey}:{identifier}", "", "root"),)
    return verified(ADA, kind=kinds.LIVE_CHAT, content=f"Why at {at}?", created_at=at, tags=rows)


async def live(store: Store, number: int, *runs: tuple[int, int | None], visibility: str = "public") -> str:
    """A session that was live in these runs; returns its address."""
    session_address = f"{LESSON}-{number}"
    row = msgspec.structs.replace(
        SESSION,
        session_address=session_address,
        conference_room_id=f"room-of-{number}",
        state="active" if runs[-1][1] is None else "ended",
        runs=runs,
        visibility=visibility,
    )
    await store.sessions.add(row)
    return session_address


async def test_chat_under_the_room_is_about_what_was_live_then(store: Store) -> None:
    """The session whose run it was written in, also when it is read later; a private one is never meant."""
    over = await live(store, 1, (NOW, NOW + 100))
    on = await live(store, 2, (NOW + 200, None))
    await live(store, 3, (NOW, None), visibility="private")
    await mirror_of(store).ingest([to_room(NOW + 50), to_room(NOW + 250)], received_at=NOW + 300)
    assert {(row.session_address, row.created_at) for row in await rows(store)} == {(over, NOW + 50), (on, NOW + 250)}


async def test_chat_under_the_room_that_could_be_about_several_is_passed_over(store: Store) -> None:
    """With two sessions live, with none, from the past or the future, under another room: no guess is made."""
    await live(store, 1, (NOW, NOW + 200))
    await live(store, 2, (NOW + 100, None))
    projection = QuestionProjection(store, service=SERVICE.pubkey)
    mirror = Mirror(store.database, store.interner, [projection])
    odd = [to_room(NOW + 150), to_room(NOW - 1), to_room(1), to_room(NOW + 250, identifier="other")]
    await mirror.ingest(odd, received_at=NOW + 300)
    assert await rows(store) == []
    assert projection.passed_over == {"several_live": 1, "nothing_live": 1, "too_old_or_new": 1}
