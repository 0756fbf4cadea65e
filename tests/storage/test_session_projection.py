"""Session rows after a lost disk: the service's own status is memory, in whatever order the relays give it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import pytest

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.meeting import Meeting, MeetingStatus, write_meeting
from podium_storage.mirror import Mirror
from podium_storage.session_projection import SessionProjection, room_of
from podium_storage.store import Store
from tests.support.events import NOW, key_of, seeded, verified, verify_or_fail

INSTRUCTOR, SERVICE, STRANGER = key_of(1), key_of(2), key_of(3)
ADDRESS = Address(kinds.SESSION, INSTRUCTOR.pubkey, "knots")
STARTED, ENDED = NOW + 30, NOW + 600


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty disk."""
    async with await Store.open(tmp_path / "podium.sqlite3") as opened:
        yield opened


def mirror_of(store: Store) -> Mirror:
    """A mirror that keeps the sessions of one service."""
    projection = SessionProjection(store.sessions, service=SERVICE.pubkey, accepts=lambda _session: True)
    return Mirror(store.database, store.interner, [projection])


def session(created_at: int = NOW) -> VerifiedEvent:
    """The instructor's event."""
    tags = (("d", "knots"), ("title", "Knots"), ("start", str(NOW)), ("end", str(NOW + 3600)), ("t", "live-session"))
    return verified(INSTRUCTOR, kind=kinds.SESSION, tags=tags, created_at=created_at)


def status_of(status: MeetingStatus, *, by: object = SERVICE) -> VerifiedEvent:
    """What was published of it, by default by the service."""
    meeting = Meeting(
        identifier=room_of(str(ADDRESS)),
        space=Address(kinds.SPACE, SERVICE.pubkey, "podium"),
        session=ADDRESS,
        title="Knots",
        status=status,
        starts_at=STARTED,
        ends_at=ENDED,
    )
    key = SERVICE if by is SERVICE else STRANGER
    event = write_meeting(meeting, service=key.pubkey, relay_hint="", now=NOW + 700)
    return verify_or_fail(key.sign(event, seeded("aux")))


@pytest.mark.parametrize("order", list(permutations(("session", "status"))))
@pytest.mark.parametrize("together", [True, False])
async def test_what_was_published_comes_back_in_whatever_order(
    store: Store, order: tuple[str, ...], together: bool
) -> None:
    """Ended stays ended, at the times that were published, also when the status is read before the session."""
    events = {"session": session(), "status": status_of(MeetingStatus.ENDED)}
    batches = [[events[name] for name in order]] if together else [[events[name]] for name in order]
    for batch in batches:
        await mirror_of(store).ingest(batch, received_at=NOW + 5000)
    (row,) = await store.sessions.to_list()
    assert (row.state, row.started_at, row.ended_at, row.runs) == ("ended", STARTED, ENDED, ((STARTED, ENDED),))
    assert row.status_created_at == NOW + 700


async def test_the_status_of_somebody_else_is_no_memory(store: Store) -> None:
    """A stranger's status event for the same room changes nothing, whenever it comes."""
    await mirror_of(store).ingest([status_of(MeetingStatus.ENDED, by=STRANGER)], received_at=NOW)
    await mirror_of(store).ingest([session()], received_at=NOW)
    (row,) = await store.sessions.to_list()
    assert (row.state, row.started_at) == ("scheduled", None)


async def test_a_revision_does_not_take_the_memory_up_again(store: Store) -> None:
    """A row that is there knows better than an old status in the mirror."""
    mirror = mirror_of(store)
    await mirror.ingest([session(), status_of(MeetingStatus.ENDED)], received_at=NOW)
    await store.sessions.where("lessonId").equals(str(ADDRESS)).modify(state="active", ended_at=None)
    await mirror.ingest([session(NOW + 1)], received_at=NOW)
    (row,) = await store.sessions.to_list()
    assert (row.state, row.ended_at) == ("active", None)
