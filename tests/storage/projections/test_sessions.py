"""Session rows out of session events, and after a lost disk out of the service's own status, in whatever order."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.live_status import Meeting, MeetingStatus, read_meeting, write_meeting
from podium_protocol.live.session import RecordingAccess, Visibility
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections.sessions import SessionProjection, room_of
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow
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


def revision(title: str = "Knots", *, at: int = NOW, d: str = "knots", **changed: str) -> VerifiedEvent:
    """A revision of a session; `changed` are further tags, or other values of those that are there."""
    values = {"d": d, "title": title, "start": str(NOW + 3600), "end": str(NOW + 7200), "t": "live-session"}
    return verified(INSTRUCTOR, kind=kinds.SESSION, tags=tuple((values | changed).items()), created_at=at)


def deletion(*, at: int, by: SecretKey = INSTRUCTOR, e: str | None = None, reason: str = "") -> VerifiedEvent:
    """A kind 5 for the session, by its address or by an event's id."""
    tag = ("e", e) if e is not None else ("a", str(ADDRESS))
    return verified(by, kind=kinds.DELETION, tags=(tag,), created_at=at, content=reason)


async def folded(store: Store, *events: VerifiedEvent, at: int = NOW, together: bool = False) -> LiveSessionRow:
    """The session's row after these events, one by one or as one batch."""
    mirror = mirror_of(store)
    for batch in [events] if together else [[event] for event in events]:
        await mirror.ingest(batch, received_at=at)
    row = await store.sessions.where("lessonId").equals(str(ADDRESS)).first()
    assert row is not None
    return row


async def test_a_session_becomes_a_row(store: Store) -> None:
    """What the event says is in the row, with a room of its own and an announcement due at once."""
    event = revision(
        summary="About ropes", max_participants="7", rsvp="required", waiting_room="on", recording="allowed"
    )
    row = await folded(store, event, at=NOW + 5)
    assert (row.session_address, row.instructor_pubkey, row.title, row.summary) == (
        str(ADDRESS),
        INSTRUCTOR.pubkey,
        "Knots",
        "About ropes",
    )
    assert (row.scheduled_at, row.ends_at, row.duration) == (NOW + 3600, NOW + 7200, 60)
    assert (row.max_participants, row.requires_rsvp, row.waiting_room, row.allow_recording) == (7, True, True, True)
    assert (row.state, row.epoch, row.version, row.withdrawn) == ("scheduled", 0, 0, False)
    assert (row.adopted_at, row.status_due_at, row.revisions) == (NOW + 5, NOW + 5, ((event.id, NOW + 3600),))
    assert row.conference_room_id == room_of(str(ADDRESS))


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("",), "public"),
        (("private",), "private"),
        (("public", "private"), "private"),
        (("private", "public"), "private"),
        (("private", ""), "private"),
        (("", "public"), "public"),
    ],
)
async def test_what_was_to_be_sealed_is_never_published(store: Store, words: tuple[str, ...], kept: str) -> None:
    """Attendance can become private, and stays so: people came because they were told."""
    revisions = [revision(at=NOW + number, attendance=word) for number, word in enumerate(words)]
    assert (await folded(store, *revisions)).attendance == kept


async def test_a_session_that_does_not_say_where_attendance_goes_has_the_default(store: Store) -> None:
    """The service's default holds for a session from another client, and what the session says before it."""
    sealing = SessionProjection(
        store.sessions,
        service=SERVICE.pubkey,
        accepts=lambda _: True,
        attendance=lambda: Visibility.PRIVATE,
    )
    mirror = Mirror(store.database, store.interner, [sealing])
    await mirror.ingest([revision()], received_at=NOW)
    (row,) = await store.sessions.to_list()
    assert row.attendance == "private"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("",), "participants"),
        (("public",), "public"),
        (("public", ""), "public"),
        (("public", "participants"), "participants"),
    ],
)
async def test_who_may_see_the_recording_is_kept(store: Store, words: tuple[str, ...], kept: str) -> None:
    """The newest word counts, and a revision by a client that does not know the tag changes nothing."""
    revisions = [revision(at=NOW + number, recording_access=word) for number, word in enumerate(words)]
    assert (await folded(store, *revisions)).recording_access == kept


async def test_a_session_that_does_not_say_who_may_see_its_recording_has_the_default(store: Store) -> None:
    """As it is configured when the session is adopted."""
    open_handed = SessionProjection(
        store.sessions,
        service=SERVICE.pubkey,
        accepts=lambda _: True,
        recording_access=lambda: RecordingAccess.PUBLIC,
    )
    await Mirror(store.database, store.interner, [open_handed]).ingest([revision()], received_at=NOW)
    (row,) = await store.sessions.to_list()
    assert row.recording_access == "public"


def test_a_room_s_name_does_not_show_the_session() -> None:
    """The name is the same each time, another for each session, and holds neither key nor identifier."""
    name = room_of(str(ADDRESS))
    assert name == room_of(str(ADDRESS)) != room_of(f"{ADDRESS}2")
    assert re.fullmatch(r"[0-9a-f]{32}", name)


async def test_only_sessions_that_are_accepted_become_rows(store: Store) -> None:
    """A stranger's session, and a calendar event of another kind, are mirrored and no session of ours."""
    projection = SessionProjection(
        store.sessions, service=SERVICE.pubkey, accepts=lambda session: session.instructor == STRANGER.pubkey
    )
    mirror = Mirror(store.database, store.interner, [projection])
    plain = verified(STRANGER, kind=kinds.SESSION, tags=(("d", "x"), ("title", "x"), ("start", "5"), ("end", "6")))
    assert [one.value for one in await mirror.ingest([revision(), plain], received_at=NOW)] == ["stored", "stored"]
    assert await store.sessions.to_list() == []


@pytest.mark.parametrize("together", [True, False])
async def test_an_edit_changes_the_words_and_keeps_the_epoch(store: Store, together: bool) -> None:
    """A new title is no move: people are not told of another time."""
    row = await folded(store, revision("Old"), edit := revision("New", at=NOW + 1), together=together)
    assert (row.title, row.epoch, row.moved_from, row.event_id) == ("New", 0, None, edit.id)
    assert (row.version, len(row.revisions), row.withdrawn) == (1, 2, False)


@pytest.mark.parametrize("change", [{"start": str(NOW + 5000)}, {"end": str(NOW + 9000)}])
async def test_another_time_begins_an_epoch(store: Store, change: dict[str, str]) -> None:
    """A new start or end is a move; what it was before is kept for the message."""
    row = await folded(store, revision(), revision(at=NOW + 1, **change), at=NOW + 60)
    assert (row.epoch, row.moved_from, row.moved_at) == (1, NOW + 3600, NOW + 60)
    again = await folded(store, revision(at=NOW + 2, **change), at=NOW + 90)
    assert (again.epoch, again.moved_at) == (1, NOW + 60)


@pytest.mark.parametrize("together", [True, False])
async def test_an_older_revision_that_comes_late_changes_nothing(store: Store, together: bool) -> None:
    """Relays give events in any order: the newest counts, and at equal times the one with the lower id."""
    row = await folded(store, newest := revision("New", at=NOW + 5), revision("Old", at=NOW), together=together)
    assert (row.title, row.event_id, row.epoch) == ("New", newest.id, 0)
    twins = sorted((revision(f"twin {number}", at=NOW + 9) for number in range(2)), key=lambda event: event.id)
    assert (await folded(store, *twins)).event_id == twins[0].id
    assert (await folded(store, *twins[::-1])).event_id == twins[0].id


@pytest.mark.parametrize("state", ["active", "ended"])
async def test_what_has_begun_keeps_its_hour(store: Store, state: str) -> None:
    """Credit and reminders are counted from the hour that was announced: a late edit does not move it."""
    await folded(store, revision())
    await store.sessions.where("lessonId").equals(str(ADDRESS)).modify(state=state, started_at=NOW + 3600)
    row = await folded(store, revision("New", at=NOW + 1, start=str(NOW + 9000), end=str(NOW + 9600)))
    assert (row.title, row.scheduled_at, row.ends_at, row.duration) == ("New", NOW + 3600, NOW + 7200, 60)
    assert (row.epoch, row.moved_from, row.state) == (0, None, state)


@pytest.mark.parametrize("words", [{"status": "cancelled"}, {"status": "canceled"}, {"start": "0", "end": "0"}])
async def test_a_cancelled_revision_withdraws_and_keeps_the_times(store: Store, words: dict[str, str]) -> None:
    """The times stay, for the message; what becomes of the state is the lifecycle's decision."""
    row = await folded(store, revision(), gone := revision(at=NOW + 1, **words))
    assert (row.withdrawn, row.state, row.event_id) == (True, "scheduled", gone.id)
    assert (row.scheduled_at, row.ends_at, row.title) == (NOW + 3600, NOW + 7200, "Knots")


async def test_a_session_that_was_cancelled_before_we_knew_it_is_not_announced(store: Store) -> None:
    """There is nobody to tell."""
    row = await folded(store, revision(status="cancelled"))
    assert (row.state, row.withdrawn, row.status_due_at) == ("cancelled", True, None)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("how", ["a", "e"])
async def test_a_deletion_of_the_newest_revision_withdraws(store: Store, how: str, together: bool) -> None:
    """By address or by id, the author's kind 5 ends the session."""
    event = revision()
    row = await folded(store, event, deletion(at=NOW + 1, e=event.id if how == "e" else None), together=together)
    assert row.withdrawn


async def test_a_deletion_of_an_older_revision_or_by_somebody_else_changes_nothing(store: Store) -> None:
    """An `e` counts on the newest revision only, and nobody deletes what is another's."""
    old, new = revision("Old"), revision("New", at=NOW + 5)
    row = await folded(store, old, new, deletion(at=NOW + 6, e=old.id), deletion(at=NOW + 7, by=STRANGER))
    assert (row.withdrawn, row.title) == (False, "New")
    assert not (await folded(store, deletion(at=NOW + 4))).withdrawn


@pytest.mark.parametrize("how", ["tag", "a", "e"])
@pytest.mark.parametrize("together", [True, False])
async def test_the_reason_of_a_cancellation_is_kept_until_it_is_taken_back(
    store: Store, how: str, together: bool
) -> None:
    """It stands in the cancelled revision, or in the content of the author's kind 5, as other clients write it."""
    event = revision()
    words = "The instructor is ill.\u202e\nSorry!"
    gone = {
        "tag": revision(at=NOW + 1, status="cancelled", reason=words),
        "a": deletion(at=NOW + 1, reason=words),
        "e": deletion(at=NOW + 1, e=event.id, reason=words),
    }[how]
    row = await folded(store, event, gone, together=together)
    assert (row.withdrawn, row.cancel_reason) == (True, "The instructor is ill.\nSorry!")
    back = await folded(store, revision(at=NOW + 2))
    assert (back.withdrawn, back.cancel_reason) == (False, None)


async def test_words_that_cancel_nothing_are_no_reason(store: Store) -> None:
    """Neither a stranger's deletion nor one of an older revision says why, and our own default says nothing."""
    old, new = revision("Old"), revision("New", at=NOW + 5)
    for other in (deletion(at=NOW + 7, by=STRANGER, reason="Mine!"), deletion(at=NOW + 4, reason="Old")):
        assert (await folded(store, old, new, other)).cancel_reason is None
    row = await folded(store, deletion(at=NOW + 9, reason="The session is cancelled."))
    assert (row.withdrawn, row.cancel_reason) == (True, None)


async def test_a_later_revision_takes_a_cancellation_back(store: Store) -> None:
    """The identifier is not burnt: a revision newer than the deletion is a session again."""
    row = await folded(store, revision(), deletion(at=NOW + 1), revision("Again", at=NOW + 2))
    assert (row.withdrawn, row.title) == (False, "Again")


async def test_revisions_are_remembered_up_to_a_number(store: Store) -> None:
    """RSVPs name the revision they answered to; the newest thirty are known with their starts."""
    events = [revision(at=NOW + number, start=str(NOW + 3600 + number)) for number in range(40)]
    row = await folded(store, *events, together=True)
    assert row.revisions == tuple((event.id, NOW + 3600 + number) for number, event in enumerate(events))[-30:]


async def test_sessions_are_apart(store: Store) -> None:
    """Two sessions of one instructor are two rows, and the end of one is nothing to the other."""
    await folded(store, revision(), revision("Splices", d="splices"), deletion(at=NOW + 1), together=True)
    rows = {row.title: row.withdrawn for row in await store.sessions.to_list()}
    assert rows == {"Knots": True, "Splices": False}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (MeetingStatus.PLANNED, ("scheduled", None, None, ())),
        (MeetingStatus.LIVE, ("active", STARTED, None, ((STARTED, None),))),
        (MeetingStatus.ENDED, ("ended", STARTED, ENDED, ((STARTED, ENDED),))),
    ],
)
async def test_each_status_is_remembered_as_its_state(
    store: Store, status: MeetingStatus, expected: tuple[object, ...]
) -> None:
    """Planned, live and ended become scheduled, active and ended, with the times of the status."""
    row = await folded(store, session(), status_of(status))
    assert (row.state, row.started_at, row.ended_at, row.runs) == expected
    assert row.status_created_at == NOW + 700


@pytest.mark.parametrize("state", ["active", "ended", "cancelled"])
async def test_a_state_never_goes_back(store: Store, state: str) -> None:
    """An old status that a relay gives back late does not undo what has happened since."""
    await folded(store, session())
    await store.sessions.where("lessonId").equals(str(ADDRESS)).modify(state=state)
    row = await folded(store, status_of(MeetingStatus.PLANNED))
    assert row.state == state


def projection_of(store: Store) -> SessionProjection:
    """The rows of one service."""
    return SessionProjection(store.sessions, service=SERVICE.pubkey, accepts=lambda _session: True)


def told(status: MeetingStatus, created_at: int) -> Meeting:
    """A status out of a rumor."""
    meeting = read_meeting(status_of(status))
    assert meeting is not None
    return msgspec.structs.replace(meeting, created_at=created_at)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_sealed_statuses_are_remembered_in_any_order(store: Store, order: tuple[int, ...]) -> None:
    """Live, ended, opened again: whatever is read first, the newest says what is."""
    await mirror_of(store).ingest([session()], received_at=NOW)
    history = [told(MeetingStatus.LIVE, NOW + 1), told(MeetingStatus.ENDED, NOW + 2), told(MeetingStatus.LIVE, NOW + 3)]
    projection = projection_of(store)
    for number in order:
        await store.database.transact(lambda tx, number=number: projection.remember(tx, [history[number]]))
    (row,) = await store.sessions.to_list()
    assert (row.state, row.ended_at) == ("active", None)


async def test_a_sealed_status_of_an_unknown_session_is_nothing(store: Store) -> None:
    """No row is made up."""
    await store.database.transact(lambda tx: projection_of(store).remember(tx, [told(MeetingStatus.LIVE, NOW)]))
    assert await store.sessions.to_list() == []


async def test_a_sealed_end_of_a_withdrawn_session_is_its_cancellation(store: Store) -> None:
    """NIP-53 knows one word for both; people were told before the disk was lost."""
    cancelled = session(NOW + 1)
    tags = (*cancelled.tags, ("status", "cancelled"))
    withdrawn = verified(INSTRUCTOR, kind=kinds.SESSION, tags=tags, created_at=NOW + 1)
    await mirror_of(store).ingest([session(), withdrawn], received_at=NOW)
    await store.database.transact(lambda tx: projection_of(store).remember(tx, [told(MeetingStatus.ENDED, NOW + 9)]))
    (row,) = await store.sessions.to_list()
    assert (row.state, row.end_reason) == ("cancelled", "remembered")


async def test_what_was_private_stays_private(store: Store) -> None:
    """A revision without the tag, such as another client's, makes nothing public of it."""
    tags = (*session().tags, ("visibility", "private"))
    secret = verified(INSTRUCTOR, kind=kinds.SESSION, tags=tags, created_at=NOW)
    await mirror_of(store).ingest([secret, session(NOW + 1)], received_at=NOW)
    (row,) = await store.sessions.to_list()
    assert (row.visibility, row.event_created_at) == ("private", NOW + 1)
