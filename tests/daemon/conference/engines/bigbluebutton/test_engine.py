"""The BigBlueButton engine: the contract, then what is its own, against a played server on a real socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from podium_daemon.conference.engine import (
    Capability,
    ConnectionId,
    EngineHealth,
    EngineUnavailable,
    Joined,
    LeaveReason,
    Left,
    MediaUp,
    Origin,
    Person,
    RoomId,
    RoomRole,
    RoomSpec,
    Snapshot,
    Support,
)
from podium_daemon.conference.engines.bigbluebutton.engine import BigBlueButtonEngine
from podium_daemon.conference.engines.bigbluebutton.settings import WEBHOOK, BigBlueButtonSettings
from podium_daemon.conference.engines.bigbluebutton.signing import meeting_of
from podium_daemon.conference.redirect import Entrance, RedirectEngine, WebhookCall
from podium_daemon.conference.seats import Seat, Signalling
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.conference.signaling import Notice
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.errors import InvalidInput
from tests.daemon.conference.contract import Guest
from tests.daemon.conference.remote_contract import RemoteServerContract
from tests.support.clock import ManualClock
from tests.support.conference import new_person, new_pubkey, reading, seeded_bytes
from tests.support.fake_bigbluebutton import NOTICES_AFTER, FakeBigBlueButton, User, failed
from tests.support.http_stage import Call, Reply, http_stage
from tests.support.soon import soon

SECRET = "Nc3GahVNwGmcKmtl2AoPJY0sHTMbLEMZ"
ROOM = RoomId("b0c4")
SPEC = RoomSpec(room=ROOM, title="Rust & <gardeners>", allow_recording=True)
PUBLIC = "https://podium.example.org"
POLL = 5


class BrowserInBbb:
    """A person's browser in a meeting."""

    def __init__(self, rig: BbbRig, user: User, seat: Seat, connection: ConnectionId) -> None:
        self.rig = rig
        self.user = user
        self.seat = seat
        self._connection = connection

    @property
    def connection(self) -> ConnectionId:
        """The engine's."""
        return self._connection

    async def leave(self) -> None:
        """Click on Leave, here and there."""
        await self.rig.server.leave(self.user)
        await self.seat.leave(LeaveReason.LEFT)

    async def vanish(self) -> None:
        """The server will notice."""
        self.user.lost_at = self.rig.clock.now()
        await self.seat.leave(LeaveReason.DROPPED)

    def freeze(self) -> None:
        """To the server it is the same."""
        self.user.lost_at = self.rig.clock.now()


class BbbRig:
    """The engine, the played server, and browsers that follow redirects."""

    def __init__(self, place: str, server: FakeBigBlueButton, clock: ManualClock) -> None:
        self.server = server
        self.clock = clock
        self.spec = SPEC
        settings = BigBlueButtonSettings(
            url=f"http://{place}/bigbluebutton/",
            secret=SharedSecret(SECRET),
            public_url=PUBLIC,
            poll=POLL,
            patience=2.0,
        )
        self.engine = BigBlueButtonEngine(settings, clock=clock, random_bytes=seeded_bytes())
        self.refused: list[Rejection] = []
        self.seats: list[Seat] = []
        server.deliver = self._deliver
        self._browser = httpx.AsyncClient(trust_env=False, timeout=60)

    async def _deliver(self, checksum: str, body: bytes) -> None:
        refused = await self.engine.notified(WebhookCall(body, checksum))
        self.refused.extend([] if refused is None else [refused])

    async def visit(self, person: Person, room: RoomId = ROOM) -> Entrance | Rejection:
        """Take a seat and click on its address."""
        seat = await self.engine.take_seat(room, person)
        if isinstance(seat, Rejection):
            return seat
        self.seats.append(seat)
        return await self.click(await self.address(seat))

    async def click(self, address: str) -> Entrance | Rejection:
        """What the daemon answers to an address of its own."""
        return await self.engine.enter(address.removeprefix(f"{PUBLIC}/api/conference/enter/"))

    async def address(self, seat: Seat) -> str:
        """The newest address that a seat was sent."""
        (frame,) = [frame async for frame in _waiting(seat) if "meetingUrl" in frame]
        address: str = json.loads(frame)["meetingUrl"]
        assert address.startswith(f"{PUBLIC}/api/conference/enter/")
        return address

    async def follow(self, entrance: Entrance) -> httpx.Response:
        """Go where the daemon sends the browser."""
        return await self._browser.get(entrance.url)

    async def join(self, person: Person) -> Guest | Rejection:
        """Click, be sent on, and be in the meeting."""
        entrance = await self.visit(person)
        if isinstance(entrance, Rejection):
            return entrance
        assert (await self.follow(entrance)).status_code == 302
        user = self.server.users()[-1]
        return BrowserInBbb(self, user, self.seats[-1], self.connection_of(user))

    def connection_of(self, user: User) -> ConnectionId:
        """What the engine calls a person's connection."""
        return self.engine.roster.rooms[ROOM].members[user.user_id].connection.id

    async def pass_time(self, seconds: int) -> None:
        """A second at a time; the server drops the lost, the engine asks who is there."""
        for second in range(seconds):
            await self.clock.advance(1)
            await self.server.tick()
            if second % POLL == POLL - 1:
                await self.engine.poll()

    def now(self) -> int:
        """The clock's."""
        return int(self.clock.now())

    def runs(self) -> list[object]:
        """The server's meetings."""
        return list(self.server.meetings.values())

    def forgive(self) -> None:
        """See `RemoteRig`."""
        self.server.bad_checksums = 0

    def after_restart(self) -> BigBlueButtonEngine:
        """Another engine with the same settings."""
        return BigBlueButtonEngine(self.engine._settings, clock=self.clock, random_bytes=seeded_bytes(2))

    async def aclose(self) -> None:
        """Close what is open."""
        await self._browser.aclose()
        await self.engine._api.aclose()


async def _waiting(seat: Seat) -> AsyncIterator[str]:
    """The frames that lie in a seat's line."""
    frames = aiter(seat.outgoing())
    while True:
        try:
            async with asyncio.timeout(0):
                yield await anext(frames)
        except (TimeoutError, StopAsyncIteration):
            return


@asynccontextmanager
async def bbb() -> AsyncIterator[BbbRig]:
    """A rig while the block runs."""
    clock = ManualClock()
    server = FakeBigBlueButton(SECRET, clock.now)
    async with http_stage(server.answer) as place:
        rig = BbbRig(place, server, clock)
        await rig.engine.poll()
        try:
            yield rig
        finally:
            server.spoil = None
            await rig.aclose()
    assert server.bad_checksums == 0
    assert rig.refused == []


@pytest.fixture
async def rig() -> AsyncIterator[BbbRig]:
    """An engine and a server of its own for each test."""
    async with bbb() as here:
        yield here


class TestBigBlueButtonContract(RemoteServerContract):
    """The engine keeps the contract, as far as BigBlueButton tells why and when a person went."""

    goodbye = LeaveReason.UNKNOWN
    losses = frozenset({LeaveReason.UNKNOWN})
    frozen = LeaveReason.UNKNOWN
    notices_within = NOTICES_AFTER
    list_call = "getMeetingInfo"
    poll = POLL

    @pytest.fixture
    async def rig(self) -> AsyncIterator[BbbRig]:
        """An engine and a server of its own for each test."""
        async with bbb() as here:
            yield here


async def _inside(rig: BbbRig, device: str = "laptop", role: RoomRole = RoomRole.PARTICIPANT) -> BrowserInBbb:
    guest = await rig.join(new_person(device=device, role=role))
    assert isinstance(guest, BrowserInBbb)
    return guest


async def _lefts(rig: BbbRig) -> list[Left]:
    marker = msgspec.structs.replace(SPEC, room=RoomId("marker"))
    await rig.engine.open_room(marker)
    async with reading(rig.engine) as reader:
        await reader.until(type(reader.kept[0]) if reader.kept else EngineHealth)
        await soon(lambda: any(getattr(event, "room", "") == "marker" for event in reader.kept))
        return reader.all_of(Left)


def test_it_is_what_it_says() -> None:
    """Media on its server is the evidence, nobody enters unadmitted, and all else has advice."""
    settings = BigBlueButtonSettings(
        url="https://bbb.example.org/bigbluebutton/", secret=SharedSecret(SECRET), public_url=PUBLIC
    )
    engine = BigBlueButtonEngine(settings, clock=ManualClock(), random_bytes=seeded_bytes())
    assert (engine.name, engine.evidence, engine.history) == ("bigbluebutton", "engine", False)
    assert isinstance(engine, RedirectEngine)
    assert isinstance(engine, Signalling)
    assert engine.capabilities.live_admit is Support.NATIVE
    for capability in (Capability.MUTE_ALL, Capability.RECORD, Capability.KICK):
        assert engine.unsupported(capability).support is Support.IN_ROOM
        assert "Use the button in BigBlueButton" in engine.unsupported(capability).next_step


@pytest.mark.parametrize(
    "url",
    ["", "bbb.example.org/bigbluebutton/", "https://bbb.example.org/", "https://a:b@bbb.example.org/bigbluebutton/"],
)
def test_an_address_that_is_none_is_said_when_the_engine_is_built(url: str) -> None:
    """An operator who gives another address than the API's is told which one is meant."""
    with pytest.raises(InvalidInput, match="bbb-conf --secret"):
        BigBlueButtonSettings(url=url, secret=SharedSecret(SECRET), public_url=PUBLIC)


class TestTheWayIn:
    """Addresses that are signed at the click."""

    async def test_before_the_click_nothing_is_signed(self, rig: BbbRig) -> None:
        """What a seat is given leads to the daemon and holds neither checksum nor meeting."""
        await rig.engine.open_room(SPEC)
        seat = await rig.engine.take_seat(ROOM, new_person())
        assert not isinstance(seat, Rejection)
        address = await rig.address(seat)
        assert "checksum" not in address
        assert meeting_of(ROOM) not in address

    async def test_an_address_is_good_once_and_the_next_one_comes_by_the_socket(self, rig: BbbRig) -> None:
        """An attacker who copies a used address enters nothing; its owner can go back in."""
        await rig.engine.open_room(SPEC)
        seat = await rig.engine.take_seat(ROOM, new_person())
        assert not isinstance(seat, Rejection)
        first = await rig.address(seat)
        assert isinstance(await rig.click(first), Entrance)
        assert isinstance(await rig.click(first), Rejection)
        second = await rig.address(seat)
        assert isinstance(await rig.click(second), Entrance)

    async def test_an_address_dies_with_its_seat(self, rig: BbbRig) -> None:
        """A page that was closed leaves nothing in the browser's history that opens the meeting."""
        await rig.engine.open_room(SPEC)
        seat = await rig.engine.take_seat(ROOM, new_person())
        assert not isinstance(seat, Rejection)
        address = await rig.address(seat)
        await seat.leave(LeaveReason.LEFT)
        for token in (address, "", "x", "\ud800", "9" * 100_000):
            assert isinstance(await rig.click(token), Rejection)

    async def test_people_in_the_lobby_are_told_what_everybody_is_told(self, rig: BbbRig) -> None:
        """Notices, the end and a removal arrive on our own page, whatever the meeting's page does."""
        await rig.engine.open_room(SPEC)
        people = [new_person() for _ in range(2)]
        seats = [await rig.engine.take_seat(ROOM, each) for each in people]
        assert await rig.engine.send_message(ROOM, Notice("5 min left")) == 2
        assert await rig.engine.send_message(ROOM, Notice("you"), people[0].pubkey) == 1
        await rig.engine.remove(ROOM, people[0].pubkey, "out")
        await rig.engine.close_room(ROOM)
        told = [[json.loads(frame)["type"] for frame in [frame async for frame in _waiting(seat)]] for seat in seats]
        assert told == [["welcome", "notice", "notice", "removed"], ["welcome", "notice", "ended"]]
        assert [seat.over for seat in seats] == [LeaveReason.REMOVED, LeaveReason.ROOM_CLOSED]

    async def test_the_signed_address_says_who_and_for_which_run(self, rig: BbbRig) -> None:
        """Name, role, user id and this run of the meeting are signed with SHA-256."""
        await rig.engine.open_room(SPEC)
        person = msgspec.structs.replace(new_person(device="phone", role=RoomRole.CO_HOST), name="Ada & Ben")
        entrance = await rig.visit(person)
        assert isinstance(entrance, Entrance)
        given = dict(parse_qsl(urlsplit(entrance.url).query))
        assert (given["meetingID"], given["role"]) == (meeting_of(ROOM), "MODERATOR")
        assert given["fullName"] == "Ada & Ben"
        assert given["userID"].startswith(f"{person.pubkey}#phone#co-host#")
        assert given["createTime"] == str(rig.server.meetings[meeting_of(ROOM)].create_time)
        assert len(given["checksum"]) == hashlib.sha256().digest_size * 2
        assert "checksum" not in repr(entrance)

    async def test_an_address_of_an_earlier_run_opens_nothing(self, rig: BbbRig) -> None:
        """A signed address that was kept does not lead into the meeting's next run."""
        await rig.engine.open_room(SPEC)
        entrance = await rig.visit(new_person())
        assert isinstance(entrance, Entrance)
        await rig.engine.close_room(ROOM)
        await rig.engine.open_room(SPEC)
        assert (await rig.follow(entrance)).status_code == 200
        assert rig.server.users() == []

    async def test_a_meeting_that_the_server_ended_is_made_again(self, rig: BbbRig) -> None:
        """BigBlueButton ends meetings that stay empty; a participant who comes later still gets in."""
        await rig.engine.open_room(SPEC)
        await rig.server.end_by_moderator(meeting_of(ROOM))
        await _inside(rig)
        assert len(rig.server.users()) == 1

    async def test_recording_is_possible_only_where_it_is_allowed(self, rig: BbbRig) -> None:
        """A session without recording gets a meeting without the button."""
        await rig.engine.open_room(SPEC)
        silent = msgspec.structs.replace(SPEC, room=RoomId("silent"), allow_recording=False)
        await rig.engine.open_room(silent)
        recorded = {name: rig.server.meetings[meeting_of(name)].record for name in (ROOM, silent.room)}
        assert recorded == {ROOM: True, silent.room: False}

    async def test_somebody_replaced_or_removed_is_no_news_when_the_server_still_shows_them(self, rig: BbbRig) -> None:
        """The server keeps a removed person until a person uses its button; their time does not count meanwhile."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        pubkey = guest.user.user_id[:64]
        await rig.engine.remove(ROOM, new_person().pubkey, "somebody else")
        done = await rig.engine.remove(ROOM, type(new_pubkey())(pubkey), "out")
        await rig.pass_time(20)
        snapshot = await rig.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert snapshot.present == ()
        assert "Remove user" in getattr(done, "still_to_do", "")
        assert len(rig.server.users()) == 1

    async def test_an_unused_entrance_of_somebody_removed_counts_for_nothing(self, rig: BbbRig) -> None:
        """A person who kept a signed address and uses it after the removal is not counted as present."""
        await rig.engine.open_room(SPEC)
        person = new_person()
        entrance = await rig.visit(person)
        assert isinstance(entrance, Entrance)
        await rig.engine.remove(ROOM, person.pubkey, "out")
        await rig.follow(entrance)
        await rig.pass_time(10)
        snapshot = await rig.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert snapshot.present == ()


OTHER = msgspec.structs.replace(SPEC, room=RoomId("0ther"))


def _about(room: RoomId, name: str) -> Callable[[Call], bool]:
    return lambda call: f"/{name}?" in call.target and meeting_of(room) in call.target


class TestOneMeetingAmongMany:
    """What the server does to one meeting is nothing to the others."""

    @pytest.mark.parametrize("name", ["end", "getMeetingInfo"])
    async def test_a_meeting_that_is_refused_keeps_nobody_from_looking_at_the_others(
        self, rig: BbbRig, name: str
    ) -> None:
        """Its end, or the list of its people, is refused for good: who is elsewhere is seen, and the server is up."""
        rig.server.has_webhooks = False
        refuses = _about(OTHER.room, name)

        async def spoil(call: Call) -> Reply | None:
            return failed("internalError", "not this one") if refuses(call) else None

        rig.server.spoil = spoil
        await rig.engine.open_room(OTHER)
        await rig.engine.open_room(SPEC)
        if name == "end":
            await rig.engine.close_room(OTHER.room)
        entrance = await rig.visit(new_person())
        assert isinstance(entrance, Entrance)
        await rig.follow(entrance)
        await rig.pass_time(4 * POLL)
        snapshot = await rig.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert [each.last_evidence for each in snapshot.present] == [rig.now()]
        await rig.server.leave(rig.server.users()[0])
        await rig.pass_time(POLL)
        snapshot = await rig.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert (snapshot.present, rig.engine.roster.is_up) == ((), True)
        rig.server.spoil = None
        await rig.pass_time(POLL)
        assert (meeting_of(OTHER.room) in rig.server.meetings) == (name != "end")

    async def test_a_meeting_over_which_the_server_hangs_keeps_nobody_out_of_the_others(self, rig: BbbRig) -> None:
        """Opening, entering and closing wait for what happens to the same room, and for no other."""
        hangs, asked, may_go_on = _about(ROOM, "create"), asyncio.Event(), asyncio.Event()
        await rig.engine.open_room(SPEC)

        async def spoil(call: Call) -> Reply | None:
            if hangs(call):
                asked.set()
                await may_go_on.wait()
            return None

        rig.server.spoil = spoil
        entering = asyncio.create_task(rig.visit(new_person()))
        await asked.wait()
        await rig.engine.open_room(OTHER)
        entrance = await rig.visit(new_person(), OTHER.room)
        assert isinstance(entrance, Entrance)
        await rig.engine.close_room(OTHER.room)
        closing = asyncio.create_task(rig.engine.close_room(ROOM))
        await asyncio.sleep(0)
        assert not entering.done()
        assert ROOM in rig.engine.roster.rooms
        may_go_on.set()
        assert isinstance(await entering, Entrance)
        await closing
        assert ROOM not in rig.engine.roster.rooms
        assert not rig.engine._doors


class TestTheServersWord:
    """Webhooks and lists."""

    async def test_media_is_up_once_somebody_speaks_or_listens(self, rig: BbbRig) -> None:
        """The list says who has audio or video; to be in the meeting without is no media."""
        await rig.engine.open_room(SPEC)
        guests = [await _inside(rig) for _ in range(2)]
        guests[0].user.listens = True
        await rig.pass_time(POLL)
        snapshot = await rig.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert {one.connection.id: one.has_media for one in snapshot.present} == {
            guests[0].connection: True,
            guests[1].connection: False,
        }
        async with reading(rig.engine) as reader:
            assert (await reader.until(MediaUp)).connection.id == guests[0].connection

    async def test_without_webhooks_the_list_says_it_all(self, rig: BbbRig) -> None:
        """A server without bbb-webhooks is asked; joins and leaves come with the next list."""
        rig.server.has_webhooks = False
        await rig.engine.open_room(SPEC)
        entrance = await rig.visit(new_person())
        assert isinstance(entrance, Entrance)
        await rig.follow(entrance)
        user = rig.server.users()[0]
        await rig.pass_time(POLL)
        connection = rig.connection_of(user)
        last_seen = rig.now()
        await rig.server.leave(user)
        await rig.pass_time(POLL)
        async with reading(rig.engine) as reader:
            end = await reader.left(connection)
            begin = await reader.joined(connection)
        assert (begin.origin, begin.at) == (Origin.SNAPSHOT, last_seen)
        assert (end.origin, end.at, end.reason) == (Origin.SNAPSHOT, last_seen, LeaveReason.UNKNOWN)

    async def test_strangers_are_counted_and_not_let_into_attendance(self, rig: BbbRig) -> None:
        """A person who came by another front end has no key here."""
        await rig.engine.open_room(SPEC)
        for user_id in ("w_4711", f"{'a' * 64}#x#king#{'0' * 32}", f"{'a' * 64}##participant#{'0' * 32}", ""):
            rig.server.meetings[meeting_of(ROOM)].users.append(User(user_id, "w_x", "Eve <b>", "VIEWER"))
        await rig.pass_time(POLL)
        snapshot = await rig.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert snapshot.present == ()
        assert rig.engine.flaws["strangers"] == 4

    async def test_a_moderator_who_ends_the_meeting_ends_everybodys_time(self, rig: BbbRig) -> None:
        """The meeting is over; the session's room stays, and can be entered again."""
        await rig.engine.open_room(SPEC)
        guests = [await _inside(rig) for _ in range(2)]
        await rig.server.end_by_moderator(meeting_of(ROOM))
        assert {left.connection.id for left in await _lefts(rig)} == {guest.connection for guest in guests}
        await _inside(rig)

    async def test_a_crash_of_the_server_is_noticed_by_the_next_list(self, rig: BbbRig) -> None:
        """Without a report, people were there until they were last seen."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        await rig.pass_time(POLL)
        seen = rig.now()
        rig.server.crash()
        await rig.pass_time(POLL)
        assert [(left.connection.id, left.at) for left in await _lefts(rig)] == [(guest.connection, seen)]

    async def test_a_webhook_that_is_late_or_sent_again_changes_nothing(self, rig: BbbRig) -> None:
        """The server repeats what it saw no answer to; an old leave must not end a stay that began since."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        checksum, body = rig.server.webhook(
            PUBLIC + WEBHOOK, [rig.server.event("user-left", meeting_of(ROOM), guest.user)]
        )
        assert await rig.engine.notified(WebhookCall(body, checksum)) is None
        await rig.pass_time(POLL)  # the list says that they are there after all
        back = rig.connection_of(guest.user)
        assert back != guest.connection
        assert await rig.engine.notified(WebhookCall(body, checksum)) is None
        assert rig.connection_of(guest.user) == back

    async def test_a_time_in_the_future_is_not_believed(self, rig: BbbRig) -> None:
        """A server whose clock is wrong makes no joins that are yet to come."""
        await rig.engine.open_room(SPEC)
        entrance = await rig.visit(new_person())
        assert isinstance(entrance, Entrance)
        rig.server.now = lambda: rig.clock.now() + 5000
        await rig.follow(entrance)
        async with reading(rig.engine) as reader:
            assert (await reader.until(Joined)).at == rig.now()

    @pytest.mark.parametrize("spoil", ["sha1", "other secret", "other body", "none", "case", "other address"])
    async def test_a_webhook_that_is_not_the_servers_is_refused(self, rig: BbbRig, spoil: str) -> None:
        """Nobody else can say who came; SHA-1 is not believed even where it is right."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        callback = PUBLIC + WEBHOOK if spoil != "other address" else "https://evil.example" + WEBHOOK
        checksum, body = rig.server.webhook(callback, [rig.server.event("user-left", meeting_of(ROOM), guest.user)])
        changed = {
            "sha1": hashlib.sha1(callback.encode() + body + SECRET.encode()).hexdigest(),  # noqa: S324  (to be refused)
            "other secret": hashlib.sha256(callback.encode() + body + b"x").hexdigest(),
            "none": "",
            "case": checksum.upper(),
        }
        call = WebhookCall(body + (b"&a=b" if spoil == "other body" else b""), changed.get(spoil, checksum))
        answer = await rig.engine.notified(call)
        assert isinstance(answer, Rejection)
        assert answer.slug == "bad-signature"
        assert rig.connection_of(guest.user) == guest.connection

    async def test_signed_nonsense_is_refused(self, rig: BbbRig) -> None:
        """What the server's own key signed and nobody can read is counted, not raised."""
        await rig.engine.open_room(SPEC)
        for events in ("x", {"data": 1}, [{"data": {"id": "user-left"}}], [[[[]]]], None):
            checksum, body = rig.server.webhook(PUBLIC + WEBHOOK, events)
            answer = await rig.engine.notified(WebhookCall(body, checksum))
            assert isinstance(answer, Rejection)
            assert answer.slug == "bad-webhook"
        assert rig.engine.flaws["not_readable"] == 5

    async def test_events_of_other_meetings_and_unknown_kinds_are_passed_over(self, rig: BbbRig) -> None:
        """A hook may tell of more than we asked for."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        for event in (
            rig.server.event("user-left", "somebody-elses", guest.user),
            rig.server.event("user-emoji-changed", meeting_of(ROOM), guest.user),
        ):
            checksum, body = rig.server.webhook(PUBLIC + WEBHOOK, [event])
            assert await rig.engine.notified(WebhookCall(body, checksum)) is None
        assert rig.connection_of(guest.user) == guest.connection


class TestAServerThatIsAway:
    """Errors, silence, garbage."""

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(502, b"<html>"), id="bad gateway"),
            pytest.param(Reply(302, headers=(("Location", "https://evil.example/"),)), id="redirect"),
            pytest.param(Reply(body=b"<html><body>Welcome</body></html>"), id="another program"),
            pytest.param(Reply(body=b""), id="empty"),
            pytest.param(Reply(raw=b"\x00\xff garbage\r\n\r\n"), id="no HTTP"),
            pytest.param(Reply(raw=b""), id="hangs up"),
            pytest.param(Reply(body=b"<response><returncode>MAYBE</returncode></response>"), id="unknown code"),
            pytest.param(failed("checksumError", "x"), id="wrong secret"),
            pytest.param(Reply(body=b"<response>" + b" " * 3_000_000), id="endless"),
        ],
    )
    async def test_an_answer_that_is_none_is_an_engine_that_is_away(self, rig: BbbRig, reply: Reply) -> None:
        """Whatever else comes back, the room does not open, the words hold no checksum, and a good answer heals it."""

        async def spoil(_call: Call) -> Reply | None:
            return reply

        rig.server.spoil = spoil
        with capture_logs() as logs, pytest.raises(EngineUnavailable) as error:
            await rig.engine.open_room(SPEC)
        assert "BigBlueButton" in str(error.value)
        for text in (str(error.value), repr(error.value), str(logs)):
            assert SECRET not in text
            assert "checksum=" not in text
        assert isinstance(await rig.engine.snapshot(ROOM), Rejection)
        rig.server.spoil = None
        await rig.engine.open_room(SPEC)
        await _inside(rig)

    async def test_a_server_that_says_nothing_is_given_up(self, rig: BbbRig) -> None:
        """A connection that stays open without an answer does not hold the door for ever."""
        gate = asyncio.Event()

        async def spoil(_call: Call) -> Reply | None:
            await gate.wait()
            return None

        rig.engine._api._http._patience = 0.05
        rig.server.spoil = spoil
        with pytest.raises(EngineUnavailable, match="did not answer"):
            await rig.engine.open_room(SPEC)
        gate.set()
