"""The link engine: the contract, then what is its own."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.conference.engine import Capability, ControlDone, Person, RoomSpec, Snapshot, Support, Unsupported
from podium_daemon.conference.engines.link import LinkEngine, LinkSettings
from podium_daemon.conference.events import ConnectionId, LeaveReason, Left, RoomClosed, RoomId
from podium_daemon.conference.seats import MAX_UNREAD, Signalling, SocketSeat
from podium_daemon.conference.signaling import Notice
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.errors import InvalidInput
from tests.daemon.conference.contract import EngineContract, Guest
from tests.support.clock import ManualClock
from tests.support.conference import new_person, new_pubkey, reading, seeded_bytes

ROOM = RoomId("b0c4")
SPEC = RoomSpec(room=ROOM, title="Rust for gardeners", meeting_url="https://meet.example.org/rust?pwd=hunter2")


def _engine(clock: ManualClock, **changes: object) -> LinkEngine:
    return LinkEngine(LinkSettings(**changes), clock=clock, random_bytes=seeded_bytes())  # type: ignore[arg-type]  # a test's shorthand


def _checked(clock: ManualClock, url: str) -> Unsupported | None:
    return _engine(clock).check_spec(msgspec.structs.replace(SPEC, meeting_url=url))


async def _seat(engine: LinkEngine, device: str = "laptop") -> SocketSeat:
    seat = await engine.take_seat(ROOM, new_person(device=device))
    assert isinstance(seat, SocketSeat)
    return seat


async def _lefts(engine: LinkEngine) -> list[Left]:
    """Every end so far."""
    await engine.open_room(msgspec.structs.replace(SPEC, room=RoomId("marker")))
    await engine.close_room(RoomId("marker"))
    async with reading(engine) as reader:
        await reader.until(RoomClosed, lambda event: event.room == "marker")
        return reader.all_of(Left)


class LinkGuest:
    """A page on a seat."""

    def __init__(self, seat: SocketSeat) -> None:
        self.seat = seat
        self.beats = True

    @property
    def connection(self) -> ConnectionId:
        """The seat's."""
        return self.seat.connection.id

    async def leave(self) -> None:
        """The page says that it goes."""
        await self.seat.receive('{"type":"leave"}')

    async def vanish(self) -> None:
        """The web layer finds the socket dead."""
        await self.seat.leave(LeaveReason.DROPPED)

    def freeze(self) -> None:
        """No more beats."""
        self.beats = False


class LinkRig:
    """The engine, with pages that beat."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.engine = _engine(self.clock)
        self.spec = SPEC
        self.guests: list[LinkGuest] = []

    async def join(self, person: Person) -> Guest | Rejection:
        """Take a seat."""
        seat = await self.engine.take_seat(ROOM, person)
        if isinstance(seat, Rejection):
            return seat
        self.guests.append(LinkGuest(seat))
        return self.guests[-1]

    async def pass_time(self, seconds: int) -> None:
        """A second at a time; each page beats every five, the engine sweeps as often."""
        for second in range(seconds):
            await self.clock.advance(1)
            if second % 5 == 4:
                for guest in self.guests:
                    if guest.beats:
                        await guest.seat.receive('{"type":"beat"}')
                await self.engine.sweep()

    def now(self) -> int:
        """The clock's."""
        return int(self.clock.now())


class TestLinkContract(EngineContract):
    """The link engine keeps the contract."""

    @pytest.fixture
    def rig(self) -> LinkRig:
        """An engine of its own for each test."""
        return LinkRig()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands."""
    return ManualClock()


@pytest.fixture
async def engine(clock: ManualClock) -> LinkEngine:
    """An engine with its room open."""
    engine = _engine(clock)
    await engine.open_room(SPEC)
    return engine


def test_it_is_what_it_says(clock: ManualClock) -> None:
    """Its attendance is presence, it remembers nothing, it has seats, nobody hears the URL unadmitted."""
    engine = _engine(clock)
    assert (engine.name, engine.evidence, engine.history) == ("link", "presence", False)
    assert isinstance(engine, Signalling)
    assert engine.capabilities.live_admit is Support.NATIVE


def test_it_has_advice_for_everything_it_cannot_do(clock: ManualClock) -> None:
    """No capability is missing without a word on what to do instead."""
    engine = _engine(clock)
    missing = [one for one in Capability if engine.capabilities.support_of(one) is not Support.NATIVE]
    assert len(missing) == len(Capability) - 1
    for capability in missing:
        answer = engine.unsupported(capability)
        assert answer == Unsupported(
            Slug.NOT_SUPPORTED,
            answer.detail,
            answer.next_step,
            capability=capability,
            support=engine.capabilities.support_of(capability),
        )
        assert answer.next_step.endswith(".")


async def test_recordings_are_the_meetings_own(engine: LinkEngine, tmp_path: object) -> None:
    """Collecting a recording names the capability; nothing is written."""
    answer = await engine.collect_recording(ROOM, tmp_path)  # type: ignore[arg-type]  # any folder
    assert isinstance(answer, Unsupported)
    assert answer.capability is Capability.RECORD


class TestMeetingUrl:
    """Where the URL comes from and when it is told."""

    async def test_the_sessions_own_goes_before_the_configured(self, clock: ManualClock) -> None:
        """A session with a meeting of its own hands that out, any other the configured one."""
        engine = _engine(clock, meeting_url="https://meet.example.org/usual")
        for spec, expected in (
            (RoomSpec(room=ROOM, title="a"), "https://meet.example.org/usual"),
            (SPEC, SPEC.meeting_url),
        ):
            await engine.open_room(spec)
            seat = await _seat(engine)
            welcome = msgspec.json.decode(await anext(seat.outgoing()))
            assert welcome == {
                "type": "welcome",
                "connection": seat.connection.id,
                "heartbeat": 5,
                "meetingUrl": expected,
            }

    async def test_none_at_all_is_said_when_the_session_is_scheduled(self, clock: ManualClock) -> None:
        """Without any URL the person hears which setting is missing, and no room opens."""
        engine = _engine(clock)
        bare = RoomSpec(room=ROOM, title="a")
        with pytest.raises(InvalidInput, match=r"conference\.meeting_url"):
            engine.check_spec(bare)
        with pytest.raises(InvalidInput):
            await engine.open_room(bare)
        assert isinstance(await engine.snapshot(ROOM), Rejection)

    def test_a_bad_one_is_refused_wherever_it_comes_from(self, clock: ManualClock) -> None:
        """A URL that leads nowhere good is refused in the configuration and in a session."""
        for url in ("javascript:alert(1)", "file:///etc/passwd", "meet.example.org", "https://a@hunter2.example/", ""):
            for build in (lambda url=url: _engine(clock, meeting_url=url), lambda url=url: _checked(clock, url)):
                with pytest.raises(InvalidInput) as error:
                    build()
                assert "hunter2" not in str(error.value)

    async def test_no_event_and_no_answer_but_the_welcome_tells_it(self, engine: LinkEngine) -> None:
        """The meeting's password is in no event or snapshot that others could read."""
        await _seat(engine)
        async with reading(engine) as reader:
            await reader.joined((await _seat(engine, "phone")).connection.id)
        for told in (*reader.kept, await engine.snapshot(ROOM)):
            assert b"hunter2" not in msgspec.json.encode(told)


class TestSilence:
    """Heartbeats, and what happens without them."""

    async def test_the_time_out_is_three_heartbeats(self, clock: ManualClock, engine: LinkEngine) -> None:
        """Fifteen seconds of silence are forgiven, one more is not; the end is the last sign of life."""
        seat = await _seat(engine)
        await clock.advance(7)
        seat.beat()
        heard = int(clock.now())
        await clock.advance(15)
        assert await engine.sweep() == 0
        await clock.advance(1)
        assert await engine.sweep() == 1
        assert [(end.at, end.reason) for end in await _lefts(engine)] == [(heard, LeaveReason.TIMEOUT)]
        assert seat.over is LeaveReason.TIMEOUT

    @settings(max_examples=40, deadline=None)
    @given(gaps=st.lists(st.integers(1, 25), min_size=1, max_size=12), heartbeat=st.integers(1, 6))
    def test_any_rhythm_is_credited_until_its_first_long_gap(self, gaps: list[int], heartbeat: int) -> None:
        """Presence lasts from the join to the last beat before the first silence over three heartbeats."""

        async def sit() -> tuple[int, list[Left]]:
            clock = ManualClock()
            engine = _engine(clock, heartbeat=heartbeat)
            await engine.open_room(SPEC)
            seat, start = await _seat(engine), int(clock.now())
            for gap in gaps:
                await clock.advance(gap)
                await engine.sweep()
                seat.beat()
            await clock.advance(1000)
            await engine.sweep()
            return start, await _lefts(engine)

        start, lefts = asyncio.run(sit())
        present = 0
        for gap in gaps:
            if gap > 3 * heartbeat:
                break
            present += gap
        assert [(end.at - start, end.reason) for end in lefts] == [(present, LeaveReason.TIMEOUT)]

    async def test_whoever_was_long_silent_when_the_room_closes_left_before(
        self, clock: ManualClock, engine: LinkEngine
    ) -> None:
        """Between two sweeps, a close or a kick credits nobody beyond the time-out."""
        start = int(clock.now())
        await _seat(engine, "silent")
        await clock.advance(16)
        await engine.close_room(ROOM)
        assert [end.at for end in await _lefts(engine)] == [start]

    async def test_a_snapshot_tells_the_last_sign_of_life(self, clock: ManualClock, engine: LinkEngine) -> None:
        """Silence shows in the snapshot before it is long enough to end a seat."""
        seat, start = await _seat(engine), int(clock.now())
        await clock.advance(4)
        seat.beat()
        await clock.advance(9)
        snapshot = await engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert [(one.joined_at, one.last_evidence) for one in snapshot.present] == [(start, start + 4)]

    async def test_whoever_left_leaves_nothing_behind(self, engine: LinkEngine) -> None:
        """People who come and go during a long session do not add up in memory."""
        for _ in range(10):
            await (await _seat(engine)).leave(LeaveReason.LEFT)
        assert engine._rooms[ROOM]._people == {}
        assert not engine._silence

    async def test_a_goodbye_after_a_silence_counts(self, clock: ManualClock, engine: LinkEngine) -> None:
        """A page that says goodbye was there to say it, even if it was late with its beats."""
        seat = await _seat(engine)
        await clock.advance(18)
        await seat.receive(b'{"type":"leave"}')
        assert [end.at for end in await _lefts(engine)] == [int(clock.now())]

    @pytest.mark.parametrize("step", [3600, -3600])
    async def test_a_clock_that_jumps_changes_no_duration(
        self, clock: ManualClock, engine: LinkEngine, step: int
    ) -> None:
        """An hour's step of the wall clock while a person sits there neither adds to their time nor ends it."""
        seat, start = await _seat(engine), int(clock.now())
        await clock.advance(10)
        clock.jump(step)
        assert await engine.sweep() == 0
        seat.beat()
        await clock.advance(10)
        await seat.leave(LeaveReason.LEFT)
        assert [end.at - start for end in await _lefts(engine)] == [20]

    async def test_the_service_sweeps_once_a_heartbeat(self, clock: ManualClock, engine: LinkEngine) -> None:
        """Nobody has to ask: run as a service, the engine notices a frozen page and stops when told."""
        stop = Stop(clock)
        running = asyncio.create_task(engine.run(stop))
        seat = await _seat(engine)
        await clock.until_sleeping()
        await clock.advance(15)
        assert await _lefts(engine) == []
        await clock.advance(5)
        assert seat.over is LeaveReason.TIMEOUT
        await clock.advance(5)
        later = await _seat(engine)
        await clock.advance(20)
        assert later.over is LeaveReason.TIMEOUT
        stop.set()
        await running

    async def test_a_daemon_that_was_stalled_judges_nobody_at_once(
        self, clock: ManualClock, engine: LinkEngine
    ) -> None:
        """After we slept for a minute everybody gets a heartbeat's time to be heard; who is silent still is out."""
        waits = _ScriptedWaits(clock, [60, 5, 60, 5])
        there, gone = await _seat(engine, "there"), await _seat(engine, "gone")
        running = asyncio.create_task(engine.run(waits))  # type: ignore[arg-type]  # the part of Stop that is used
        await waits.passed(1)
        assert (there.over, gone.over) == (None, None)
        there.beat()
        await waits.passed(2)
        assert (there.over, gone.over) == (None, LeaveReason.TIMEOUT)
        await waits.passed(4)
        await running
        assert there.over is LeaveReason.TIMEOUT

    async def test_an_overloaded_daemon_still_ends_seats(self, clock: ManualClock, engine: LinkEngine) -> None:
        """A loop that is always late skips every other round, not every round."""
        waits = _ScriptedWaits(clock, [60, 60])
        seat = await _seat(engine)
        running = asyncio.create_task(engine.run(waits))  # type: ignore[arg-type]  # the part of Stop that is used
        await waits.passed(2)
        await running
        assert seat.over is LeaveReason.TIMEOUT


class _ScriptedWaits:
    """A stop whose waits take as long as written, whatever was asked for; then it stops."""

    def __init__(self, clock: ManualClock, seconds: list[int]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._turns = asyncio.Semaphore(0)
        self._asked = asyncio.Condition()
        self._count = 0

    async def wait_for(self, seconds: float) -> bool:
        """One scripted wait, when the test lets it."""
        assert seconds == 5
        async with self._asked:
            self._count += 1
            self._asked.notify_all()
        if not self._seconds:
            return True
        await self._turns.acquire()
        await self._clock.advance(self._seconds.pop(0))
        return False

    async def passed(self, count: int) -> None:
        """Let waits pass until `count` are over and what follows them is done."""
        async with self._asked:
            while self._count < count + 1:
                self._turns.release()
                await self._asked.wait()


class TestMessages:
    """What pages send, good and bad."""

    async def test_bad_frames_are_counted_and_end_nothing(self, engine: LinkEngine) -> None:
        """Garbage is dropped and counted by its flaw; the seat stays."""
        seat = await _seat(engine)
        for frame in (
            "{",
            b"\xff",
            "[]",
            '{"type":"sing"}',
            '{"type":1}',
            "x" * 5000,
            '{"type":"beat","type":"leave"}',
        ):
            await seat.receive(frame)
        assert seat.over is None
        assert engine.flaws == {"not_json": 3, "bad_shape": 2, "unknown_type": 1, "too_large": 1}

    async def test_garbage_is_no_sign_of_life_but_an_unknown_type_is(
        self, clock: ManualClock, engine: LinkEngine
    ) -> None:
        """A newer page's message proves presence, noise does not."""
        noisy, newer = await _seat(engine, "noisy"), await _seat(engine, "newer")
        await clock.advance(10)
        await noisy.receive("noise")
        await newer.receive('{"type":"wave","hand":"left"}')
        await clock.advance(10)
        await engine.sweep()
        assert (noisy.over, newer.over) == (LeaveReason.TIMEOUT, None)

    async def test_a_seat_that_is_over_hears_and_says_nothing(self, engine: LinkEngine) -> None:
        """Late beats, goodbyes and messages change nothing and raise nothing."""
        seat = await _seat(engine)
        await seat.leave(LeaveReason.LEFT)
        seat.beat()
        seat.send(Notice("too late"))
        await seat.receive('{"type":"beat"}')
        await seat.leave(LeaveReason.DROPPED)
        frames = [frame async for frame in seat.outgoing()]
        assert [msgspec.json.decode(frame)["type"] for frame in frames] == ["welcome"]
        assert seat.over is LeaveReason.LEFT

    async def test_everybody_or_one_person_can_be_told(self, engine: LinkEngine) -> None:
        """A notice reaches the room, or all devices of one person, and says how many that were."""
        pubkey = new_pubkey()
        for device in ("a", "b"):
            await engine.take_seat(ROOM, new_person(pubkey, device))
        other = await _seat(engine)
        assert await engine.send_message(ROOM, Notice("ends in 5 minutes")) == 3
        assert await engine.send_message(ROOM, Notice("only you"), pubkey) == 2
        assert await engine.send_message(RoomId("nowhere"), Notice("hello?")) == 0
        await other.leave(LeaveReason.LEFT)
        told = [msgspec.json.decode(frame) async for frame in other.outgoing()]
        assert told[1:] == [{"type": "notice", "text": "ends in 5 minutes"}]

    async def test_a_browser_that_reads_nothing_loses_its_seat(self, clock: ManualClock, engine: LinkEngine) -> None:
        """Memory for one browser is bounded: it is dropped at its last sign of life, its neighbour is not."""
        start = int(clock.now())
        stuck = await _seat(engine)
        await clock.advance(3)
        for number in range(MAX_UNREAD):
            stuck.send(Notice(str(number)))
        assert stuck.over is LeaveReason.DROPPED
        assert [(end.at, end.reason) for end in await _lefts(engine)] == [(start, LeaveReason.DROPPED)]

    @pytest.mark.parametrize(
        ("act", "last"),
        [
            ("remove", {"type": "removed", "reason": "Be kind."}),
            ("close", {"type": "ended"}),
            ("again", {"type": "removed", "reason": "This device joined again in another page."}),
        ],
    )
    async def test_the_page_hears_why_it_is_over(self, engine: LinkEngine, act: str, last: dict[str, str]) -> None:
        """The last message of a seat that is taken away says so."""
        person = new_person()
        seat = await engine.take_seat(ROOM, person)
        assert isinstance(seat, SocketSeat)
        if act == "remove":
            await engine.remove(ROOM, person.pubkey, "Be kind.")
        elif act == "close":
            await engine.close_room(ROOM)
        else:
            await engine.take_seat(ROOM, person)
        frames = [msgspec.json.decode(frame) async for frame in seat.outgoing()]
        assert frames[1:] == [last]


class TestManyPeople:
    """Nothing in the engine grows with the square of the people, or holds the loop for all of them."""

    async def test_a_large_room_closes_in_turns(self, engine: LinkEngine) -> None:
        """While a thousand seats end, others get the loop again and again, and no end is told twice."""
        for _ in range(1000):
            await _seat(engine)
        turns = 0

        async def neighbour() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        watching = asyncio.create_task(neighbour())
        done = await engine.close_room(ROOM)
        watching.cancel()
        assert turns >= 3
        assert len(set(done.connections)) == 1000
        assert len({end.id for end in await _lefts(engine)}) == 1000

    async def test_a_room_that_opens_while_it_closes_comes_after(self, engine: LinkEngine) -> None:
        """A reopening in the middle of a long close is told after the close."""
        for _ in range(600):
            await _seat(engine)
        closed, opened = await asyncio.gather(engine.close_room(ROOM), engine.open_room(SPEC))
        assert isinstance(closed, ControlDone)
        assert getattr(opened, "created", None) is True
        snapshot = await engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert snapshot.present == ()

    async def test_leaving_in_the_middle_of_a_close_is_told_once(self, engine: LinkEngine) -> None:
        """Seats that end by themselves while the room closes do not end twice."""
        seats = [await _seat(engine) for _ in range(600)]
        closing = asyncio.create_task(engine.close_room(ROOM))
        await asyncio.sleep(0)
        for seat in reversed(seats):
            await seat.leave(LeaveReason.LEFT)
        await closing
        ends = await _lefts(engine)
        assert len(ends) == 600
        assert {end.reason for end in ends} == {LeaveReason.LEFT, LeaveReason.ROOM_CLOSED}


@pytest.mark.parametrize("setting", ["heartbeat", "missed_heartbeats", "devices", "remembered_events"])
@pytest.mark.parametrize("value", [0, -1])
def test_settings_that_cannot_work_are_refused(clock: ManualClock, setting: str, value: int) -> None:
    """A heartbeat of nothing would turn the service into a busy loop."""
    with pytest.raises(InvalidInput, match="1 or more"):
        _engine(clock, **{setting: value})


async def test_the_number_of_devices_is_a_setting(clock: ManualClock) -> None:
    """An operator who allows one device gets one, and the refusal says how many there may be."""
    engine = _engine(clock, devices=1)
    await engine.open_room(SPEC)
    pubkey = new_pubkey()
    await engine.take_seat(ROOM, new_person(pubkey, "first"))
    refused = await engine.take_seat(ROOM, new_person(pubkey, "second"))
    assert isinstance(refused, Rejection)
    assert refused.detail.endswith("devices that may be in the room: 1")
