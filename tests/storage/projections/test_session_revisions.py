"""Revisions of a session by clients of all kinds: which one is in force, and what it leaves as it was."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.session import Session, names_service
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections.sessions import SessionProjection
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow
from tests.support.events import NOW, key_of, verified

INSTRUCTOR, SERVICE, HELPER, GUEST = (key_of(number) for number in range(1, 5))
ADDRESS = Address(kinds.SESSION, INSTRUCTOR.pubkey, "knots")
START = NOW + 3600
RULES = {
    "max_participants": "7",
    "rsvp": "required",
    "waiting_room": "on",
    "recording": "allowed",
    "guests": "off",
}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty disk."""
    async with await Store.open(tmp_path / "podium.sqlite3") as opened:
        yield opened


class Daemon:
    """The mirror and its rows, as a daemon keeps them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.passed_over: list[tuple[str, str]] = []
        projection = SessionProjection(
            store.sessions,
            service=SERVICE.pubkey,
            accepts=self.accepts,
            passed_over=lambda event, reason: self.passed_over.append((event.id, reason)),
        )
        self.mirror = Mirror(store.database, store.interner, [projection])

    @staticmethod
    def accepts(session: Session) -> bool:
        """What the allow-list says."""
        return session.instructor == INSTRUCTOR.pubkey and names_service(session, SERVICE.pubkey)

    async def reads(self, *events: VerifiedEvent, at: int = NOW) -> LiveSessionRow | None:
        """The session's row after these events, one by one."""
        for event in events:
            await self.mirror.ingest([event], received_at=at)
        return await self.store.sessions.where("lessonId").equals(str(ADDRESS)).first()

    async def row_after(self, *events: VerifiedEvent) -> LiveSessionRow:
        """The same, and insist on it."""
        row = await self.reads(*events)
        assert row is not None
        return row


@pytest.fixture
def daemon(store: Store) -> Daemon:
    """A daemon that knows nothing yet."""
    return Daemon(store)


def revision(title: str = "Knots", *, at: int = NOW, without: tuple[str, ...] = (), **changed: str) -> VerifiedEvent:
    """A revision that names the service without a role, as clients on the market write it."""
    values = {"d": "knots", "title": title, "start": str(START), "end": str(START + 5400), "p": SERVICE.pubkey}
    rows = {key: value for key, value in (values | changed).items() if key not in without}
    return verified(INSTRUCTOR, kind=kinds.SESSION, tags=tuple(rows.items()), created_at=at)


def deletion(*, at: int, e: str | None = None) -> VerifiedEvent:
    """A kind 5 by the author."""
    tag = ("e", e) if e is not None else ("a", str(ADDRESS))
    return verified(INSTRUCTOR, kind=kinds.DELETION, tags=(tag,), created_at=at)


UNREADABLE = {
    "a wrong end": (revision("x", at=NOW + 5, end="soon"), "end"),
    "an end before the start": (revision("x", at=NOW + 5, end=str(START - 60)), "end"),
    "no title": (revision(at=NOW + 5, without=("title",)), "title"),
    "our key gone": (revision("x", at=NOW + 5, p=GUEST.pubkey), "name this service"),
    "every key gone": (revision("x", at=NOW + 5, without=("p",)), "another kind"),
    "a start in words": (revision("x", at=NOW + 5, start="2026-12-01T18:00:00Z"), "start"),
    "milliseconds": (revision("x", at=NOW + 5, start=str(START * 1000), end=str(START * 1000)), "start"),
    "no start": (revision("x", at=NOW + 5, without=("start",)), "start"),
    "a broken cap": (revision("x", at=NOW + 5, max_participants="many"), "max_participants"),
}
unreadable = pytest.mark.parametrize(("edit", "reason"), UNREADABLE.values(), ids=UNREADABLE)


@pytest.mark.family("session semantics")
@unreadable
@pytest.mark.parametrize("state", ["scheduled", "active", "ended"])
async def test_a_revision_that_cannot_be_read_leaves_the_one_before_in_force(
    daemon: Daemon, edit: VerifiedEvent, reason: str, state: str
) -> None:
    """It is no cancellation, live included: the row stays as it is, flagged with the reason."""
    before = await daemon.row_after(revision(**RULES))
    await daemon.store.sessions.where("lessonId").equals(str(ADDRESS)).modify(state=state)
    row = await daemon.row_after(edit)
    assert (row.withdrawn, row.state, row.event_id, row.title) == (False, state, before.event_id, "Knots")
    assert (row.scheduled_at, row.ends_at, row.epoch) == (before.scheduled_at, before.ends_at, 0)
    assert (row.unread_event_id, row.unread_created_at) == (edit.id, edit.created_at)
    assert reason in (row.unread_reason or "")
    assert row.version > before.version
    assert [event_id for event_id, _ in daemon.passed_over] == [edit.id]


@unreadable
async def test_the_next_readable_revision_heals(daemon: Daemon, edit: VerifiedEvent, reason: str) -> None:
    """Its words count, and nothing is left of the flag; one that is older than the unreadable one keeps it."""
    older = await daemon.row_after(revision(), edit, revision("Older", at=NOW + 3))
    assert (older.title, older.unread_event_id, reason in (older.unread_reason or "")) == ("Older", edit.id, True)
    row = await daemon.row_after(healed := revision("Healed", at=NOW + 9))
    assert (row.title, row.event_id, row.withdrawn) == ("Healed", healed.id, False)
    assert (row.unread_event_id, row.unread_created_at, row.unread_reason) == (None, None, None)


@unreadable
async def test_a_relay_that_is_behind_helps_a_daemon_that_lost_its_disk(
    daemon: Daemon, edit: VerifiedEvent, reason: str
) -> None:
    """The newest revision comes first and cannot be read; an older one that another relay still has is in force."""
    assert await daemon.reads(edit) is None
    row = await daemon.row_after(revision(**RULES))
    assert (row.title, row.unread_event_id, row.max_participants) == ("Knots", edit.id, 7)
    assert reason in (row.unread_reason or "")


@pytest.mark.parametrize("by_id", [True, False])
async def test_the_author_can_still_delete_what_could_not_be_read(daemon: Daemon, by_id: bool) -> None:
    """A kind 5 for the newest revision, by id or by address, withdraws the session though an older one is shown."""
    edit = UNREADABLE["no title"][0]
    row = await daemon.row_after(revision(), edit, deletion(at=NOW + 6, e=edit.id if by_id else None))
    assert row.withdrawn


async def test_a_deletion_of_the_revision_in_force_alone_withdraws(daemon: Daemon) -> None:
    """A kind 5 by address that is older than the unreadable revision reaches the one that is shown; one before none."""
    edit = UNREADABLE["no title"][0]
    early = await daemon.row_after(revision(), edit, deletion(at=NOW - 1))
    assert not early.withdrawn
    assert (await daemon.row_after(deletion(at=NOW + 2))).withdrawn
    row = await daemon.row_after(revision("Again", at=NOW + 9))
    assert (row.withdrawn, row.title) == (False, "Again")


async def test_an_expired_revision_is_no_cancellation(daemon: Daemon) -> None:
    """NIP-40 lets relays forget an event; a service that held it keeps the session."""
    row = await daemon.row_after(revision(expiration=str(NOW + 60)))
    await daemon.mirror.sweep_expired(NOW + 61)
    assert not (await daemon.row_after()).withdrawn
    assert row.title == "Knots"


async def test_an_edit_by_a_client_that_knows_nip_52_only_keeps_the_rules(daemon: Daemon) -> None:
    """Seats, RSVP requirement, waiting room, recording and guests stay; the words and the time are the new ones."""
    await daemon.row_after(revision(**RULES))
    row = await daemon.row_after(edit := revision("New", at=NOW + 5, start=str(START + 60), end=str(START + 3660)))
    assert (row.title, row.event_id, row.scheduled_at, row.duration) == ("New", edit.id, START + 60, 60)
    assert (row.max_participants, row.requires_rsvp, row.waiting_room) == (7, True, True)
    assert (row.allow_recording, row.guests, row.unread_event_id) == (True, "off", None)


async def test_an_edit_with_one_of_our_tags_says_all(daemon: Daemon) -> None:
    """A client that knows our tags leaves out what is not to be."""
    row = await daemon.row_after(revision(**RULES), revision(at=NOW + 5, rsvp="optional"))
    assert (row.max_participants, row.requires_rsvp, row.waiting_room) == (None, False, False)
    assert (row.allow_recording, row.guests) == (False, "invited")


async def test_encryption_and_privacy_are_kept(daemon: Daemon) -> None:
    """A plain edit must not open what was closed."""
    row = await daemon.row_after(revision(e2ee="required"), revision("New", at=NOW + 5))
    assert (row.title, row.e2ee_required, row.visibility) == ("New", True, "private")


async def test_people_keep_their_role_while_they_are_named(daemon: Daemon) -> None:
    """A client that writes `p` without our roles takes no co-host away; one who is not named any more is none."""
    people = (
        ("p", SERVICE.pubkey, "", "service"),
        ("p", HELPER.pubkey, "", "co-host"),
        ("p", GUEST.pubkey, "", "co-host"),
    )
    base = (("d", "knots"), ("title", "Knots"), ("start", str(START)), ("end", str(START + 60)))
    first = verified(INSTRUCTOR, kind=kinds.SESSION, tags=(*base, *people, ("rsvp", "optional")), created_at=NOW)
    plain = (*base, ("p", SERVICE.pubkey), ("p", HELPER.pubkey))
    edit = verified(INSTRUCTOR, kind=kinds.SESSION, tags=plain, created_at=NOW + 5)
    assert (await daemon.row_after(first, edit)).co_hosts == (HELPER.pubkey,)


async def test_a_missing_end_is_the_duration_before_else_an_hour(daemon: Daemon) -> None:
    """NIP-52 lets `end` out: an edit keeps the length, and moves with its start."""
    row = await daemon.row_after(revision(), revision(at=NOW + 5, start=str(START + 600), without=("end",)))
    assert (row.scheduled_at, row.ends_at, row.duration) == (START + 600, START + 6000, 90)
    again = await daemon.row_after(revision(at=NOW + 6, start=str(START + 900), without=("end",)))
    assert (again.ends_at, again.duration, again.unread_event_id) == (START + 6300, 90, None)


async def test_a_first_revision_without_end_lasts_an_hour(daemon: Daemon) -> None:
    """There is nothing to keep."""
    row = await daemon.row_after(revision(without=("end",)))
    assert (row.ends_at, row.duration) == (START + 3600, 60)


HISTORY = (
    revision("First", **RULES),
    revision("Second", at=NOW + 2, start=str(START + 60), without=("end",)),
    revision("Third", at=NOW + 4, start=str(START + 120), without=("end",)),
    revision(at=NOW + 6, without=("title",)),
)


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_what_is_in_force_does_not_depend_on_the_order(daemon: Daemon, order: tuple[int, ...]) -> None:
    """Two relays, a restart, a lost disk: the same revisions give the same session."""
    row = await daemon.row_after(*(HISTORY[number] for number in order))
    assert (row.title, row.event_id, row.unread_event_id) == ("Third", HISTORY[2].id, HISTORY[3].id)
    assert (row.scheduled_at, row.ends_at, row.duration) == (START + 120, START + 5520, 90)
    assert (row.max_participants, row.requires_rsvp, row.waiting_room, row.guests) == (7, True, True, "off")
    assert (row.allow_recording, row.withdrawn, row.state) == (True, False, "scheduled")


async def test_reading_the_mirror_again_changes_nothing(daemon: Daemon) -> None:
    """As a daemon does when the list of instructors changes."""
    before = await daemon.row_after(*HISTORY)
    events = list(HISTORY)
    random.Random(3).shuffle(events)
    assert msgspec.structs.replace(await daemon.row_after(*events)) == before
