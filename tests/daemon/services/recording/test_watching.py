"""Watching a recording to its end, and what comes of it in the attendance record."""

from __future__ import annotations

import os

import msgspec
import pytest

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.services.recording import watching as watching_module
from podium_daemon.services.recording.watching import LASTS, Viewer, Watching
from podium_protocol import kinds
from podium_protocol.events import VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.attendance_record import AttendanceRecord, read_attendance_record
from podium_protocol.live.completion import CompletionPolicy
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.nips import nip98
from podium_storage.errors import StoreFull
from podium_storage.table.models import AttendanceRow, WatchRow
from tests.support.clock import ManualClock
from tests.support.full_disk import full_disk
from tests.support.recording import Studio, studio
from tests.support.world import EVERYTHING, World, new_key, signed


def login(here: World, key: SecretKey) -> VerifiedEvent:
    """The signed call that opens a player."""
    return signed(key, nip98.write(key.pubkey, "http://127.0.0.1:7448/x", "POST", None, here.now))


async def opened(here: Studio, key: SecretKey) -> str:
    """An open player's secret."""
    found = await here.here.watching.open(await here.session(), Viewer(key.pubkey), login(here.here, key).id)
    assert not isinstance(found, Rejection), found
    return found.secret


async def play(here: Studio, secret: str, begin: float, end: float, step: float = 10.0) -> WatchRow:
    """Play a stretch at the natural speed, reporting as a page does."""
    at, row = begin, None
    while at < end:
        upto = min(at + step, end)
        await here.here.clock.advance(upto - at)
        told = await here.here.watching.report(secret, [(at, upto)])
        assert not isinstance(told, Rejection), told
        row, at = told[0], upto
    assert row is not None
    return row


def records(here: Studio, key: SecretKey) -> list[AttendanceRecord]:
    """The attendance records of one person."""
    found = [read_attendance_record(event) for event in here.here.published(kinds.ATTENDANCE)]
    return [record for record in found if record is not None and record.participant == key.pubkey]


async def available(here: Studio, length: int = 40) -> None:
    """A recording that is `length` seconds long, without the work of making it."""
    row = await here.recorded(1)
    await here.here.store.recordings.put(msgspec.structs.replace(row, length=length * 1000))


async def test_who_watches_it_all_has_a_signed_completion() -> None:
    """The model, "Recording Playback": the 31953 says `recording`, with the login that opened the player as proof."""
    async with studio() as here:
        await available(here)
        key = new_key()
        proof = login(here.here, key)
        found = await here.here.watching.open(await here.session(), Viewer(proof.pubkey), proof.id)
        assert not isinstance(found, Rejection)
        row = await play(here, found.secret, 0, 35)
        assert row.completed_at is None
        row = await play(here, found.secret, 35, 36)
        assert row.completed_at == here.here.now
        await here.here.turn()
        (record,) = records(here, key)
        assert record.completed is not None
        assert (record.completed.way, record.completed.at) == ("recording", row.completed_at)
        assert (record.total_duration, record.join_count, record.joined_at) == (0, 0, None)
        assert record.proof_id == proof.id
        await here.here.turn()
        assert len(records(here, key)) == 1, "attested once"


async def test_seeking_to_the_end_completes_nothing() -> None:
    """An hour with the player open and its last seconds played is no completion."""
    async with studio() as here:
        await available(here)
        key = new_key()
        secret = await opened(here, key)
        await here.here.clock.advance(3600)
        row = await play(here, secret, 35, 40)
        await here.here.turn()
        assert (row.watched, row.completed_at, records(here, key)) == (5_000, None, [])


async def test_two_players_do_not_double_the_speed() -> None:
    """One allowance for a person: what two tabs claim in the same seconds is credited once."""
    async with studio() as here:
        await available(here)
        key = new_key()
        one, two = await opened(here, key), await opened(here, key)
        await here.here.clock.advance(5)
        await here.here.watching.report(one, [(0, 12)])
        told = await here.here.watching.report(two, [(20, 40)])
        assert not isinstance(told, Rejection)
        assert told[0].watched == 12_000


async def test_what_was_seen_is_there_the_next_day() -> None:
    """A player that is opened again goes on from what the person has seen."""
    async with studio() as here:
        await available(here)
        key = new_key()
        await play(here, await opened(here, key), 0, 20)
        await here.here.clock.advance(24 * 3600)
        row = await play(here, await opened(here, key), 20, 36)
        assert row.completed_at is not None


async def test_a_restart_of_the_daemon_costs_no_credit() -> None:
    """The same player goes on with its secret, and what was played while the daemon was away is credited too."""
    async with studio() as here:
        await available(here, length=120)
        key = new_key()
        secret = await opened(here, key)
        await play(here, secret, 0, 40)
        await here.here.clock.advance(30)  # killed; what the page plays from now on it cannot tell
        here.here.watching = Watching(
            here.here.store,
            policy=CompletionPolicy,
            # another machine's monotonic clock: the same hour
            clock=(clock := ManualClock(now=here.here.clock.now(), monotonic=5.0)),
            random_bytes=os.urandom,
        )
        told = await here.here.watching.report(secret, [(40, 70)])
        assert not isinstance(told, Rejection)
        assert told[0].watched == 70_000
        for begin in range(70, 120, 10):
            await clock.advance(10)
            told = await here.here.watching.report(secret, [(begin, begin + 10)])
            assert not isinstance(told, Rejection)
        assert (told[0].watched, told[1]) == (120_000, 120_000)
        assert told[0].completed_at is not None


async def test_a_restart_gives_nobody_more_than_the_clock_allows() -> None:
    """A viewer who claims it all in the moment after one is credited twice the time since their last report."""
    async with studio() as here:
        await available(here, length=120)
        secret = await opened(here, new_key())
        await play(here, secret, 0, 10)
        await here.here.clock.advance(5)
        watching = Watching(here.here.store, policy=CompletionPolicy, clock=here.here.clock, random_bytes=os.urandom)
        told = await watching.report(secret, [(10, 120)])
        assert not isinstance(told, Rejection)
        assert told[0].watched == 20_000


async def test_a_full_disk_costs_no_credit() -> None:
    """A report that could not be stored is told again by the page, and credited then."""
    async with studio() as here:
        await available(here)
        secret = await opened(here, new_key())
        await play(here, secret, 0, 10)
        await here.here.clock.advance(10)
        with full_disk(here.here.store), pytest.raises(StoreFull):
            await here.here.watching.report(secret, [(10, 20)])
        told = await here.here.watching.report(secret, [(10, 20)])
        assert not isinstance(told, Rejection)
        assert told[0].watched == 20_000


async def test_the_oldest_of_too_many_players_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may open one, so they are counted, and those whose time is over are gone."""
    monkeypatch.setattr(watching_module, "MAX_OPEN", 3)
    async with studio() as here:
        await available(here)
        secrets = [await opened(here, new_key()) for _ in range(4)]
        told = [await here.here.watching.report(secret, [(0, 1)]) for secret in secrets]
        assert [isinstance(one, Rejection) for one in told] == [True, False, False, False]
        await here.here.clock.advance(LASTS + 1)
        await opened(here, new_key())
        ((kept,),) = await here.here.store.database.fetch_all("SELECT count(*) FROM viewings")
        assert kept == 1


async def test_somebody_who_attended_a_little_completes_by_watching() -> None:
    """The record keeps the attendance and gains the completion; live and recorded time are not added up."""
    async with studio() as here:
        key = new_key()
        await here.sit()
        seat = await here.sit(key)
        await here.record()
        await here.here.clock.advance(10)
        await here.leave(seat)
        await here.here.clock.advance(50)
        await here.end()
        await here.here.turn()
        row = await here.make()
        await here.here.store.recordings.put(msgspec.structs.replace(row, length=40_000))
        await play(here, await opened(here, key), 0, 38)
        await here.here.turn()
        assert records(here, key)[-1].completed is not None
        assert records(here, key)[-1].total_duration == 10
        attended = await _attended(here, key)
        assert (attended.completed_by, attended.total_duration) == ("recording", 10)


async def test_a_completion_is_never_taken_back() -> None:
    """A person who watched and then attends a second run keeps the completion, with its time."""
    async with studio() as here:
        await available(here)
        key = new_key()
        row = await play(here, await opened(here, key), 0, 38)
        await here.here.turn()
        assert not isinstance(
            await here.here.lifecycle.reopen(here.session_address, here.here.instructor.pubkey), Rejection
        )
        await here.sit(key)
        await here.here.clock.advance(30)
        await here.end()
        await here.here.turn()
        first, last = records(here, key)[0], records(here, key)[-1]
        assert last.completed == first.completed
        assert (last.completed and last.completed.at) == row.completed_at
        assert last.total_duration > 0


@pytest.mark.parametrize("secret", ["", "x" * 43])
async def test_a_report_takes_an_open_player(secret: str) -> None:
    """Without its secret nothing is credited."""
    async with studio() as here:
        await available(here)
        refused = await here.here.watching.report(secret, [(0, 10)])
        assert isinstance(refused, Rejection)
        assert refused.slug == "viewing"


async def test_a_player_is_open_for_half_a_day() -> None:
    """After that it takes a new signature."""
    async with studio() as here:
        await available(here)
        secret = await opened(here, new_key())
        await here.here.clock.advance(LASTS + 1)
        assert isinstance(await here.here.watching.report(secret, [(0, 1)]), Rejection)


async def test_without_a_recording_there_is_nothing_to_open() -> None:
    """A session that is not recorded, or whose recording failed."""
    async with studio() as here:
        refused = await here.here.watching.open(await here.session(), Viewer(new_key().pubkey))
        assert isinstance(refused, Rejection)
        assert refused.slug == "no-recording"


async def test_a_private_recording_is_for_those_it_concerns() -> None:
    """Instructor, co-hosts, invited people and those who were there may open it; a stranger may not."""
    async with studio() as here:
        guest, invited, stranger = new_key(), new_key(), new_key()
        await here.recorded(1, guest)
        await here.here.attendance._turn(EVERYTHING)
        row = await here.session()
        private = msgspec.structs.replace(row, visibility="private", invited=(invited.pubkey,))
        await here.here.store.sessions.put(private)
        for key in (guest, invited, here.here.instructor):
            await opened(here, key)
        refused = await here.here.watching.open(await here.session(), Viewer(stranger.pubkey))
        assert isinstance(refused, Rejection)
        assert refused.slug == "not-allowed"


async def test_one_for_participants_is_for_those_who_answered_yes_or_maybe() -> None:
    """Of a public session too: a no is none, and a stranger is told whom it is for."""
    async with studio(recording_access=None) as here:
        people = {status: new_key() for status in RsvpStatus}
        for status, key in people.items():
            await here.here.answer(key, await here.session(), status)
        await here.recorded(1)
        await opened(here, people[RsvpStatus.CONFIRMED])
        await opened(here, people[RsvpStatus.TENTATIVE])
        for key in (people[RsvpStatus.DECLINED], new_key()):
            refused = await here.here.watching.open(await here.session(), Viewer(key.pubkey), login(here.here, key).id)
            assert isinstance(refused, Rejection)
            assert refused.slug == "not-allowed"


async def _attended(here: Studio, key: SecretKey) -> AttendanceRow:
    key_of = [here.session_address, key.pubkey]
    row = await here.here.store.attendance.where("[lessonId+pubkey]").equals(key_of).first()
    assert row is not None
    return row
