"""Seats over real WebSockets: pages that come, go, vanish, freeze and return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from podium_daemon.conference.engine import RoomSpec
from podium_daemon.conference.engines.link import LinkEngine, LinkSettings
from podium_daemon.conference.events import LeaveReason, RoomId
from podium_daemon.conference.seats import FRAMES, MAX_UNREAD, MeteredSocket, SocketGone, SocketSeat, run_seat
from podium_daemon.conference.signaling import CLOSE_CODES, Notice, Resume
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.rooms.resume_tokens import ResumeSecrets
from tests.support.clock import ManualClock
from tests.support.conference import new_person, reading, seeded_bytes
from tests.support.seat_server import REFUSED, SeatServer, knock, seat_server, sit_down

ROOM = RoomId("b0c4")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands."""
    return ManualClock()


@pytest.fixture
async def engine(clock: ManualClock) -> AsyncIterator[LinkEngine]:
    """An engine with its room open, at work."""
    engine = LinkEngine(
        LinkSettings(meeting_url="https://meet.example.org/rust"), clock=clock, random_bytes=seeded_bytes()
    )
    await engine.open_room(RoomSpec(room=ROOM, title="Rust for gardeners"))
    stop = Stop(clock)
    running = asyncio.create_task(engine.run(stop))
    yield engine
    stop.set()
    await running


@pytest.fixture
async def server(engine: LinkEngine) -> AsyncIterator[SeatServer]:
    """A WebSocket server around the engine."""
    async with seat_server(engine, ROOM) as server:
        yield server


async def test_a_page_sits_down_and_says_goodbye(clock: ManualClock, engine: LinkEngine, server: SeatServer) -> None:
    """The page learns the meeting's address, stays while it beats, and its goodbye is the end."""
    start = int(clock.now())
    async with reading(engine) as reader:
        page = await sit_down(server, new_person())
        assert page.welcome == {
            "type": "welcome",
            "connection": page.connection,
            "heartbeat": 5,
            "meetingUrl": "https://meet.example.org/rust",
        }
        for _ in range(20):
            await clock.advance(5)
            await page.say("beat")
            # the answer to a ping comes after the beat was read
            await (await page.socket.ping())
        await page.say("leave")
        assert await page.closed() == CLOSE_CODES[LeaveReason.LEFT]
        end = await reader.left(page.connection)
    assert (end.at - start, end.reason) == (100, LeaveReason.LEFT)
    assert await server.ends.get() is LeaveReason.LEFT


async def test_a_closed_tab_is_a_goodbye(clock: ManualClock, engine: LinkEngine, server: SeatServer) -> None:
    """A browser that closes the socket properly was there until then."""
    async with reading(engine) as reader:
        page = await sit_down(server, new_person())
        await clock.advance(9)
        await page.socket.close(1001)
        end = await reader.left(page.connection)
    assert (end.at, end.reason) == (int(clock.now()), LeaveReason.LEFT)


async def test_a_cut_connection_ends_at_the_last_beat(
    clock: ManualClock, engine: LinkEngine, server: SeatServer
) -> None:
    """TCP that dies without a close frame is presence until the last sign of life."""
    async with reading(engine) as reader:
        page = await sit_down(server, new_person())
        await clock.advance(4)
        await page.say("beat")
        await (await page.socket.ping())
        heard = int(clock.now())
        await clock.advance(7)
        page.socket.transport.abort()
        end = await reader.left(page.connection)
    assert (end.at, end.reason) == (heard, LeaveReason.DROPPED)
    assert await server.ends.get() is LeaveReason.DROPPED


async def test_a_frozen_page_is_closed(clock: ManualClock, engine: LinkEngine, server: SeatServer) -> None:
    """A page whose socket still answers pings but that does not beat is out after three heartbeats."""
    start = int(clock.now())
    async with reading(engine) as reader:
        frozen = await sit_down(server, new_person())
        alive = await sit_down(server, new_person())
        for _ in range(3):
            await clock.advance(5)
            await alive.say("beat")
            await (await alive.socket.ping())
            await (await frozen.socket.ping())
        await clock.advance(5)
        end = await reader.left(frozen.connection)
        assert await frozen.closed() == CLOSE_CODES[LeaveReason.TIMEOUT]
    assert (end.at, end.reason) == (start, LeaveReason.TIMEOUT)
    await engine.send_message(ROOM, Notice("still here"))
    assert await alive.read() == {"type": "notice", "text": "still here"}
    await alive.socket.close()


async def test_somebody_who_lost_the_socket_returns_with_the_secret(
    clock: ManualClock, engine: LinkEngine, server: SeatServer
) -> None:
    """The secret that came over the seat brings the same person and device back as a new connection."""
    book, person = ResumeSecrets(clock, seeded_bytes(9)), new_person()
    async with reading(engine) as reader:
        page = await sit_down(server, person)
        lost = (await reader.joined(page.connection)).connection
        await engine.send_message(ROOM, Resume(book.mint(lost), 120), person.pubkey)
        secret = str((await page.read())["secret"])
        page.socket.transport.abort()
        await reader.left(page.connection)
        book.connection_ended(lost.id)
        await clock.advance(30)
        kept = book.redeem(secret)
        assert kept is not None
        known = kept.connection
        assert known == lost
        back = await sit_down(server, new_person(known.pubkey, known.device))
        again = (await reader.joined(back.connection)).connection
        await back.socket.close()
    assert (again.pubkey, again.device) == (lost.pubkey, lost.device)
    assert again.id != lost.id


async def test_a_refused_page_is_closed(engine: LinkEngine, server: SeatServer) -> None:
    """A person's fourth page is closed with the refusal, the first stays."""
    person = new_person()
    pages = [await sit_down(server, new_person(person.pubkey, device)) for device in "abc"]
    refused = await knock(server, new_person(person.pubkey, "d"))
    assert await refused.closed() == REFUSED
    await engine.send_message(ROOM, Notice("hello"))
    assert (await pages[0].read())["text"] == "hello"
    for page in pages:
        await page.socket.close()


@pytest.mark.parametrize(
    ("act", "last", "reason"),
    [
        ("close", {"type": "ended"}, LeaveReason.ROOM_CLOSED),
        ("remove", {"type": "removed", "reason": "Be kind."}, LeaveReason.REMOVED),
    ],
)
async def test_the_page_is_told_before_the_socket_closes(
    engine: LinkEngine, server: SeatServer, act: str, last: dict[str, str], reason: LeaveReason
) -> None:
    """An ended room or a kick reaches the page as a message, then as the close code."""
    person = new_person()
    page = await sit_down(server, person)
    await (engine.close_room(ROOM) if act == "close" else engine.remove(ROOM, person.pubkey, "Be kind."))
    assert await page.read() == last
    assert await page.closed() == CLOSE_CODES[reason]
    assert await server.ends.get() is reason


async def test_garbage_from_a_page_does_not_close_its_socket(engine: LinkEngine, server: SeatServer) -> None:
    """Bad frames are dropped and counted; the page is still told things."""
    page = await sit_down(server, new_person())
    for frame in ("{", b"\x00\xff", '{"type":"beat","type":"beat"}', "y" * 2000):
        await page.socket.send(frame)
    await page.say("sing")
    await (await page.socket.ping())
    await engine.send_message(ROOM, Notice("ok"))
    assert (await page.read())["text"] == "ok"
    assert sum(engine.flaws.values()) == 5
    await page.socket.close()


async def test_a_server_that_stops_drops_its_pages(clock: ManualClock, engine: LinkEngine) -> None:
    """A daemon that goes down did not hear its pages leave: they end at their last sign of life."""
    start = int(clock.now())
    async with reading(engine) as reader:
        async with seat_server(engine, ROOM) as server:
            page = await sit_down(server, new_person())
            await clock.advance(3)
        end = await reader.left(page.connection)
        await page.closed()
    assert (end.at, end.reason) == (start, LeaveReason.DROPPED)


class _StuckSocket:
    """A socket whose browser neither reads nor writes."""

    def __init__(self) -> None:
        self.closed_with: int | None = None
        self.gone = asyncio.Event()

    async def receive(self) -> str:
        """Nothing, until it is gone."""
        await self.gone.wait()
        raise SocketGone(clean=False)

    async def send(self, frame: str) -> None:
        """Never returns before it is gone."""
        await self.gone.wait()
        raise SocketGone(clean=not frame)

    async def close(self, code: int, reason: str) -> None:
        """Noted; `reason` is for people."""
        self.closed_with = code if reason else None


async def test_a_send_that_is_stuck_ends_with_its_socket(clock: ManualClock, engine: LinkEngine) -> None:
    """A browser that does not read loses its seat by time-out or by its unread messages, and the pump ends."""
    seat = await engine.take_seat(ROOM, new_person())
    assert isinstance(seat, SocketSeat)
    socket = _StuckSocket()
    pump = asyncio.create_task(run_seat(seat, socket))
    await clock.until_sleeping()
    for number in range(MAX_UNREAD + 1):
        seat.send(Notice(str(number)))
    assert seat.over is LeaveReason.DROPPED
    socket.gone.set()
    assert await pump is LeaveReason.DROPPED


async def test_a_socket_that_cannot_be_written_frees_the_seat(engine: LinkEngine) -> None:
    """Nobody is present for whom nothing can be sent, even while the reading side has not noticed."""

    class Deaf(_StuckSocket):
        async def send(self, frame: str) -> None:
            raise SocketGone(clean=not frame)

    seat = await engine.take_seat(ROOM, new_person())
    assert isinstance(seat, SocketSeat)
    socket = Deaf()
    pump = asyncio.create_task(run_seat(seat, socket))
    async with reading(engine) as reader:
        assert (await reader.left(seat.connection.id)).reason is LeaveReason.DROPPED
    socket.gone.set()
    assert await pump is LeaveReason.DROPPED


async def test_a_failure_in_the_pump_frees_the_seat(engine: LinkEngine) -> None:
    """An error nobody expected is raised, and the person is not shown as present for ever."""

    class Broken(_StuckSocket):
        async def receive(self) -> str:
            raise ZeroDivisionError

    seat = await engine.take_seat(ROOM, new_person())
    assert isinstance(seat, SocketSeat)
    with pytest.raises(ExceptionGroup) as error:
        await run_seat(seat, Broken())
    assert error.group_contains(ZeroDivisionError)
    assert seat.over is LeaveReason.DROPPED


class _Flood:
    """A socket on which there is always a frame."""

    def __init__(self) -> None:
        self.read = 0

    async def receive(self) -> str | bytes:
        """The next."""
        self.read += 1
        return "x"

    async def send(self, frame: str) -> None:
        """Nothing is sent."""

    async def close(self, code: int, reason: str) -> None:
        """Nothing is closed."""


async def test_a_socket_is_read_no_faster_than_its_bucket_fills(clock: ManualClock) -> None:
    """A page that floods waits with its own frames; what others say does not wait."""
    flood, other = _Flood(), _Flood()
    sockets = [MeteredSocket(one, clock) for one in (flood, other)]

    async def read_on() -> None:
        while True:
            await sockets[0].receive()

    reading_on = asyncio.create_task(read_on())
    await clock.until_sleeping()
    assert flood.read == FRAMES.burst
    await clock.advance(2)
    assert flood.read == FRAMES.burst + 2 * FRAMES.per_second
    await sockets[1].receive()
    assert other.read == 1
    reading_on.cancel()
