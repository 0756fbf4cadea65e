"""Coming back without a new signature: two minutes, once, unless thrown out."""

from __future__ import annotations

import pytest

from podium_daemon.conference.events import Connection, ConnectionId, RoomId, RoomRole
from podium_daemon.runtime.secret_table import digest_of
from podium_daemon.services.rooms.resume_tokens import RESUME_SECONDS, ResumeSecrets
from tests.support.clock import ManualClock
from tests.support.conference import new_pubkey, seeded_bytes

ROOM = RoomId("r1")


def _connection(name: str = "c1", room: RoomId = ROOM) -> Connection:
    return Connection(ConnectionId(name), room, new_pubkey(), "laptop", RoomRole.PARTICIPANT)


def redeemed(book: ResumeSecrets, secret: str) -> Connection | None:
    """The connection that a secret stood for."""
    kept = book.redeem(secret)
    return None if kept is None else kept.connection


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def book(clock: ManualClock) -> ResumeSecrets:
    return ResumeSecrets(clock, seeded_bytes())


async def test_a_secret_brings_back_who_lost_the_seat_once(clock: ManualClock, book: ResumeSecrets) -> None:
    """Within two minutes of the loss the secret names the lost connection; then it is spent."""
    connection = _connection()
    secret = book.mint(connection)
    book.connection_ended(connection.id)
    await clock.advance(RESUME_SECONDS - 0.1)
    assert redeemed(book, secret) == connection
    assert redeemed(book, secret) is None


async def test_two_minutes_are_two_minutes(clock: ManualClock, book: ResumeSecrets) -> None:
    """Then the door is the ordinary one; a loss that is told again does not lengthen them."""
    connection = _connection()
    secret = book.mint(connection)
    book.connection_ended(connection.id)
    await clock.advance(100)
    book.connection_ended(connection.id)
    await clock.advance(RESUME_SECONDS - 100)
    assert redeemed(book, secret) is None


async def test_a_page_that_reloads_fast_is_back_before_its_loss_is_noticed(
    clock: ManualClock, book: ResumeSecrets
) -> None:
    """While the old connection still counts as open, its secret is good, however long it lasted."""
    connection = _connection()
    secret = book.mint(connection)
    await clock.advance(9999)
    assert redeemed(book, secret) == connection


def test_a_removed_person_does_not_come_back_this_way(book: ResumeSecrets) -> None:
    """A kick withdraws that person's secrets, a close those of the room; others keep theirs."""
    kicked, stays, elsewhere = _connection("c1"), _connection("c2"), _connection("c3", RoomId("r2"))
    secrets = [book.mint(one) for one in (kicked, stays, elsewhere)]
    book.forget(ROOM, kicked.pubkey)
    assert redeemed(book, secrets[0]) is None
    assert redeemed(book, secrets[1]) == stays
    book.mint(stays)
    book.forget(ROOM)
    assert len(book) == 1
    assert redeemed(book, secrets[2]) == elsewhere


def test_a_goodbye_on_one_device_is_none_on_another(book: ResumeSecrets) -> None:
    """Dropping one connection's secret leaves the same person's other device able to return."""
    phone = _connection("c1")
    laptop = Connection(ConnectionId("c2"), phone.room, phone.pubkey, "desk", phone.role)
    secrets = [book.mint(phone), book.mint(laptop)]
    book.drop(phone.id)
    book.drop(phone.id)
    assert [redeemed(book, secret) for secret in secrets] == [None, laptop]


def test_a_guess_brings_nobody(book: ResumeSecrets) -> None:
    """Unknown, empty, endless or unencodable secrets are nobody's."""
    secret = book.mint(_connection())
    for guess in ("", secret[:-1], secret + "A", "\ud800", "9" * 100_000):
        assert redeemed(book, guess) is None
    assert redeemed(book, secret) is not None


async def test_what_changed_is_told_once(clock: ManualClock, book: ResumeSecrets) -> None:
    """New and ended connections with their digests, and the digests of what is no way back any more."""
    one, other = _connection("c1"), _connection("c2")
    secrets = [book.mint(one), book.mint(other)]
    digests = [digest_of(secret) for secret in secrets]
    kept, gone = book.changes()
    assert ([(each.connection, each.digest, each.until) for each in kept], gone) == (
        [(one, digests[0], None), (other, digests[1], None)],
        [],
    )
    assert book.changes() == ([], [])
    book.connection_ended(one.id)
    book.drop(other.id)
    kept, gone = book.changes()
    assert ([(each.connection, each.until) for each in kept], gone) == (
        [(one, clock.monotonic() + RESUME_SECONDS)],
        [digests[1]],
    )
    await clock.advance(1)
    redeemed(book, secrets[0])
    assert book.changes() == ([], [digests[0]])


def test_what_could_not_be_kept_is_told_again(book: ResumeSecrets) -> None:
    """As it is by then: what was withdrawn meanwhile is only withdrawn."""
    one, other = _connection("c1"), _connection("c2")
    secrets = [book.mint(one), book.mint(other)]
    changes = book.changes()
    book.drop(other.id)
    book.not_kept(*changes)
    kept, gone = book.changes()
    assert ([each.connection for each in kept], gone) == ([one], [digest_of(secrets[1])])


async def test_what_was_kept_before_a_restart_is_a_way_back_again(book: ResumeSecrets) -> None:
    """Until the time that was left to it, and not beside a newer secret of the same connection."""
    clock = ManualClock(monotonic=0)
    before, book = book, ResumeSecrets(clock, seeded_bytes(2))
    one, late = _connection("c1"), _connection("c2")
    secrets = [before.mint(one), before.mint(late)]
    for connection, secret, until in zip((one, late), secrets, (50.0, 40.0), strict=True):
        book.recall(connection, digest_of(secret), until)
    assert book.changes() == ([], [])
    await clock.advance(45)
    assert redeemed(book, secrets[0]) == one
    assert redeemed(book, secrets[1]) is None


def test_minting_again_withdraws_the_first(book: ResumeSecrets) -> None:
    """A connection has one secret."""
    connection = _connection()
    first, second = book.mint(connection), book.mint(connection)
    assert redeemed(book, first) is None
    assert redeemed(book, second) == connection
    assert len(book) == 0


async def test_old_secrets_are_forgotten(clock: ManualClock) -> None:
    """Memory is for the open and the just lost."""
    book = ResumeSecrets(clock, seeded_bytes(), seconds=10)
    gone, back = _connection("c1"), _connection("c2")
    book.mint(gone)
    secret = book.mint(back)
    book.connection_ended(gone.id)
    await clock.advance(1)
    book.connection_ended(back.id)
    book.connection_ended(ConnectionId("never"))
    await clock.advance(9.5)
    book.expire()
    assert len(book) == 1
    assert redeemed(book, secret) == back
    assert len(book._secrets) == 0
