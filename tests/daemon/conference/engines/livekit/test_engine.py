"""The LiveKit engine: the contract, then what is its own, against a played server on a real socket."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import jwt
import msgspec
import pytest
from livekit import api
from structlog.testing import capture_logs

from podium_daemon.conference.engine import (
    Capability,
    Collected,
    ConnectionId,
    ControlDone,
    EngineHealth,
    EngineUnavailable,
    LeaveReason,
    MediaUp,
    Origin,
    Person,
    RecordingChanged,
    RecordingState,
    RoomId,
    RoomRole,
    RoomSpec,
    Snapshot,
    Support,
    TrackChange,
    TrackChanged,
    TrackKind,
)
from podium_daemon.conference.engines.livekit.engine import LiveKitEngine
from podium_daemon.conference.engines.livekit.identities import room_name
from podium_daemon.conference.engines.livekit.settings import LiveKitSettings
from podium_daemon.conference.redirect import Entrance, RedirectEngine, WebhookCall
from podium_daemon.conference.seats import Seat, Signalling
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.errors import InvalidInput
from podium_protocol.live.names import short_npub
from tests.daemon.conference.contract import Guest
from tests.daemon.conference.remote_contract import RemoteServerContract
from tests.support.clock import ManualClock
from tests.support.conference import new_person, new_pubkey, reading, seeded_bytes
from tests.support.fake_livekit import Client, FakeLiveKit, failed
from tests.support.http_stage import Call, Reply, http_stage

KEY = "APIpodium"
SECRET = "sTi0sOFzNOwuOrbhNNTHp1SWjVFLWhhd"
ROOM = RoomId("b0c4")
SPEC = RoomSpec(room=ROOM, title="Rust for gardeners", allow_recording=True)
NAME = room_name(ROOM)
PUBLIC = "https://podium.example.org"
FRONT_END = "https://meet.example.org"
POLL = 5
MICROPHONE, CAMERA = api.TrackSource.MICROPHONE, api.TrackSource.CAMERA


class BrowserInLiveKit:
    """A person's browser in a room."""

    def __init__(self, rig: LiveKitRig, client: Client, seat: Seat, connection: ConnectionId) -> None:
        self.rig = rig
        self.client = client
        self.seat = seat
        self._connection = connection

    @property
    def connection(self) -> ConnectionId:
        """The engine's."""
        return self._connection

    async def leave(self) -> None:
        """Click on Leave, here and there."""
        await self.rig.server.close(self.client, api.DisconnectReason.CLIENT_INITIATED)
        await self.seat.leave(LeaveReason.LEFT)

    async def vanish(self) -> None:
        """The server will notice."""
        self.client.lost_at = self.rig.clock.now()
        await self.seat.leave(LeaveReason.DROPPED)

    def freeze(self) -> None:
        """To the server it is the same."""
        self.client.lost_at = self.rig.clock.now()


class LiveKitRig:
    """The engine, the played server, and browsers that follow redirects to a front end."""

    def __init__(self, place: str, server: FakeLiveKit, clock: ManualClock, recordings: Path | None) -> None:
        self.server = server
        self.clock = clock
        self.spec = SPEC
        self.settings = LiveKitSettings(
            url=f"ws://{place}",
            api_key=KEY,
            secret=SharedSecret(SECRET),
            front_end=FRONT_END,
            public_url=PUBLIC,
            recordings=recordings,
            poll=POLL,
            patience=2.0,
        )
        self.engine = LiveKitEngine(self.settings, clock=clock, random_bytes=seeded_bytes())
        self.refused: list[Rejection] = []
        self.seats: list[Seat] = []
        server.deliver = self._deliver

    async def _deliver(self, authorization: str, body: bytes) -> None:
        refused = await self.engine.notified(WebhookCall(body, authorization=authorization))
        self.refused.extend([] if refused is None else [refused])

    async def visit(self, person: Person) -> Entrance | Rejection:
        """Take a seat and click on its address."""
        seat = await self.engine.take_seat(ROOM, person)
        if isinstance(seat, Rejection):
            return seat
        self.seats.append(seat)
        frame = await anext(aiter(seat.outgoing()))
        return await self.engine.enter(json.loads(frame)["meetingUrl"].removeprefix(f"{PUBLIC}/api/conference/enter/"))

    async def join(self, person: Person) -> Guest | Rejection:
        """Click, be sent on, and be in the room."""
        entrance = await self.visit(person)
        if isinstance(entrance, Rejection):
            return entrance
        client = await self.server.connect(token_of(entrance))
        assert client is not None
        assert any(each is client for each in self.server.clients)
        return BrowserInLiveKit(self, client, self.seats[-1], self.connection_of(client))

    def connection_of(self, client: Client) -> ConnectionId:
        """What the engine calls a person's connection."""
        return self.engine.roster.rooms[ROOM].members[client.info.sid].connection.id

    async def pass_time(self, seconds: int) -> None:
        """A second at a time; the server gives up the silent, the engine asks who is there."""
        for second in range(seconds):
            await self.clock.advance(1)
            await self.server.tick()
            if second % POLL == POLL - 1:
                await self.engine.poll()

    def now(self) -> int:
        """The clock's."""
        return int(self.clock.now())

    def runs(self) -> list[object]:
        """The server's rooms."""
        return list(self.server.rooms.values())

    def forgive(self) -> None:
        """See `RemoteRig`."""
        self.server.refused_tokens.clear()

    def after_restart(self) -> LiveKitEngine:
        """Another engine with the same settings."""
        return LiveKitEngine(self.settings, clock=self.clock, random_bytes=seeded_bytes(2))


def token_of(entrance: Entrance) -> str:
    """The token in the address of the front end."""
    return parse_qs(urlsplit(entrance.url).query)["token"][0]


@asynccontextmanager
async def livekit(recordings: Path | None = None) -> AsyncIterator[LiveKitRig]:
    """A rig while the block runs."""
    clock = ManualClock()
    server = FakeLiveKit(KEY, SECRET, clock.now)
    async with http_stage(server.answer) as place:
        rig = LiveKitRig(place, server, clock, recordings)
        await rig.engine.poll()
        try:
            yield rig
        finally:
            await rig.engine._server.aclose()
    assert server.refused_tokens == []
    assert rig.refused == []


@pytest.fixture
async def rig() -> AsyncIterator[LiveKitRig]:
    """An engine and a server of its own for each test, with a folder for recordings."""
    with TemporaryDirectory() as folder:
        async with livekit(Path(folder)) as here:
            yield here


class TestLiveKitContract(RemoteServerContract):
    """The engine keeps the contract."""

    list_call = "ListParticipants"
    poll = POLL

    @pytest.fixture
    async def rig(self) -> AsyncIterator[LiveKitRig]:
        """An engine and a server of its own for each test."""
        with TemporaryDirectory() as folder:
            async with livekit(Path(folder)) as here:
                yield here


async def _inside(rig: LiveKitRig, device: str = "laptop", role: RoomRole = RoomRole.PARTICIPANT) -> BrowserInLiveKit:
    guest = await rig.join(new_person(device=device, role=role))
    assert isinstance(guest, BrowserInLiveKit)
    return guest


async def _present(rig: LiveKitRig) -> list[ConnectionId]:
    snapshot = await rig.engine.snapshot(ROOM)
    assert isinstance(snapshot, Snapshot)
    return [one.connection.id for one in snapshot.present]


def _write(path: Path, text: str) -> None:
    """What a worker does."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def _pubkey(guest: BrowserInLiveKit) -> str:
    return guest.client.info.identity.partition("#")[0]


def test_it_is_what_it_says() -> None:
    """Its server's word is the evidence; it records only where there is a folder for it, and says so."""
    settings = LiveKitSettings(
        url="wss://livekit.example.org",
        api_key=KEY,
        secret=SharedSecret(SECRET),
        front_end=FRONT_END,
        public_url=PUBLIC,
    )
    engine = LiveKitEngine(settings, clock=ManualClock(), random_bytes=seeded_bytes())
    assert (engine.name, engine.evidence, engine.history) == ("livekit", "engine", False)
    assert isinstance(engine, RedirectEngine)
    assert isinstance(engine, Signalling)
    assert engine.capabilities.mute_all is Support.NATIVE
    assert engine.capabilities.record is Support.NONE
    assert "conference.livekit.recordings" in engine.unsupported(Capability.RECORD).next_step
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("url", "", "livekit.url"),
        ("url", "ftp://livekit.example.org", "livekit.url"),
        ("url", "wss://a:b@livekit.example.org", "livekit.url"),
        ("url", "wss://livekit.example.org/?x=1", "livekit.url"),
        ("front_end", "", "front_end"),
        ("front_end", "javascript:alert(1)", "front_end"),
        ("api_key", "", "api_key"),
        ("poll", 0, "1 or more"),
    ],
)
def test_a_setting_that_is_missing_is_said_when_the_engine_is_built(field: str, value: object, said: str) -> None:
    """An operator learns which key of the section is wrong before the daemon runs."""
    good: dict[str, object] = {
        "url": "wss://livekit.example.org",
        "api_key": KEY,
        "secret": SharedSecret(SECRET),
        "front_end": FRONT_END,
        "public_url": PUBLIC,
    }
    with pytest.raises(InvalidInput, match=said):
        LiveKitSettings(**(good | {field: value}))  # type: ignore[arg-type]  # one of them is wrong on purpose


def test_without_its_library_it_says_what_to_install() -> None:
    """Without the extra, the choice of this engine gives one line, not a traceback; other engines do not need it."""
    program = """
import sys
sys.modules["livekit"] = None
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.conference.engines.livekit.settings import LiveKitSettings
from podium_daemon.conference.registry import EngineParts, build_engine
from podium_daemon.conference.registry import Servers
from podium_daemon.conference.shared_secret import SharedSecret
settings = LiveKitSettings(url="wss://l.example", api_key="k", secret=SharedSecret("x" * 20),
                           front_end="https://m.example", public_url="https://p.example")
parts = EngineParts(clock=SystemClock(), random_bytes=lambda n: bytes(n), servers=Servers(livekit=settings))
try:
    build_engine("livekit", parts)
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.startswith("InvalidInput")
    assert "pip install 'podium-nostr[livekit]'" in said


class TestTokens:
    """What the server is told of a person."""

    async def test_a_token_is_for_one_room_one_identity_and_five_minutes(self, rig: LiveKitRig) -> None:
        """Nothing in it lets its holder run the room, hide, record, or change who they are."""
        await rig.engine.open_room(SPEC)
        person = new_person(device="phone", role=RoomRole.CO_HOST)
        entrance = await rig.visit(person)
        assert isinstance(entrance, Entrance)
        parts = urlsplit(entrance.url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{FRONT_END}/custom"
        assert parse_qs(parts.query)["liveKitUrl"] == [rig.settings.url]
        claims = jwt.decode(token_of(entrance), SECRET, algorithms=["HS256"], issuer=KEY)
        assert claims["sub"] == f"{person.pubkey}#phone"
        assert claims["name"] == short_npub(person.pubkey), "a person without a name"
        assert 290 < claims["exp"] - time.time() <= 300
        assert claims["video"] == {
            "roomJoin": True,
            "room": NAME,
            "canPublish": True,
            "canSubscribe": True,
            "canPublishData": True,
            "canPublishSources": ["microphone", "camera", "screen_share", "screen_share_audio"],
            "canUpdateOwnMetadata": False,
        }
        assert token_of(entrance) not in repr(entrance)

    async def test_a_token_of_an_earlier_run_is_sent_out(self, rig: LiveKitRig) -> None:
        """The server would take it for five minutes; we do not."""
        await rig.engine.open_room(SPEC)
        entrance = await rig.visit(new_person())
        assert isinstance(entrance, Entrance)
        await rig.engine.close_room(ROOM)
        await rig.engine.open_room(SPEC)
        await rig.server.connect(token_of(entrance))
        assert rig.server.clients == []
        assert await _present(rig) == []
        assert rig.engine.flaws["sent_out"] == 1

    @pytest.mark.parametrize("used_before", [False, True])
    @pytest.mark.parametrize("webhooks", [False, True])
    async def test_a_token_of_somebody_removed_is_sent_out(
        self, rig: LiveKitRig, used_before: bool, webhooks: bool
    ) -> None:
        """Used or unused, told by webhook or found by asking: it lets nobody back in. A new admission does."""
        await rig.engine.open_room(SPEC)
        person = new_person()
        entrance = await rig.visit(person)
        assert isinstance(entrance, Entrance)
        if used_before:
            await rig.server.connect(token_of(entrance))
        await rig.engine.remove(ROOM, person.pubkey, "out")
        assert rig.server.clients == []
        rig.server.sends_webhooks = webhooks
        await rig.server.connect(token_of(entrance))
        await rig.pass_time(POLL)
        assert rig.server.clients == []
        assert await _present(rig) == []
        rig.server.sends_webhooks = True
        assert isinstance(await rig.join(person), BrowserInLiveKit)


class TestControls:
    """What the instructor does."""

    async def test_mute_silences_one_kind_of_one_person(self, rig: LiveKitRig) -> None:
        """The microphone of that person, on every device; nothing else."""
        await rig.engine.open_room(SPEC)
        one, other = await _inside(rig), await _inside(rig)
        tracks = [await rig.server.publish(one.client, source) for source in (MICROPHONE, CAMERA)]
        others = await rig.server.publish(other.client, MICROPHONE)
        pubkey = type(new_pubkey())(_pubkey(one))
        assert await rig.engine.mute(ROOM, pubkey) == ControlDone((one.connection,))
        assert [track.muted for track in (*tracks, others) if track is not None] == [True, False, False]
        assert await rig.engine.mute(ROOM, pubkey) == ControlDone()

    async def test_mute_all_spares_those_who_are_kept(self, rig: LiveKitRig) -> None:
        """Everybody else's microphone is silent."""
        await rig.engine.open_room(SPEC)
        guests = [await _inside(rig) for _ in range(3)]
        tracks = [await rig.server.publish(guest.client, MICROPHONE) for guest in guests]
        done = await rig.engine.mute_all(ROOM, keep={type(new_pubkey())(_pubkey(guests[0]))})
        assert isinstance(done, ControlDone)
        assert set(done.connections) == {guest.connection for guest in guests[1:]}
        assert [track.muted for track in tracks if track is not None] == [False, True, True]


class TestTheServersWord:
    """Webhooks and lists."""

    async def test_tracks_are_told_and_so_is_what_no_webhook_says(self, rig: LiveKitRig) -> None:
        """Published and unpublished by webhook; muted and unmuted by asking, so that mute-all can stick."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        track = await rig.server.publish(guest.client, MICROPHONE)
        assert track is not None
        for muted in (True, False):
            track.muted = muted
            await rig.pass_time(POLL)
        await rig.server.tell(NAME, "track_unpublished", guest.client.info, track)
        async with reading(rig.engine) as reader:
            last = await reader.until(TrackChanged, lambda event: event.change is TrackChange.UNPUBLISHED)
            changes = [(event.change, event.origin) for event in reader.all_of(TrackChanged)]
            assert len(reader.all_of(MediaUp)) == 1
        assert last.connection.id == guest.connection
        assert last.kind is TrackKind.AUDIO
        assert changes == [
            (TrackChange.PUBLISHED, Origin.PUSH),
            (TrackChange.MUTED, Origin.SNAPSHOT),
            (TrackChange.UNMUTED, Origin.SNAPSHOT),
            (TrackChange.UNPUBLISHED, Origin.PUSH),
        ]

    async def test_media_is_up_once_the_connection_to_the_server_is(self, rig: LiveKitRig) -> None:
        """Also for a person who only listens, and not for one who is still connecting; by webhook or by the list."""
        await rig.engine.open_room(SPEC)
        told = await _inside(rig)
        rig.server.sends_webhooks = False
        entrance = await rig.visit(new_person())
        assert isinstance(entrance, Entrance)
        client = await rig.server.connect(token_of(entrance))
        assert client is not None
        found = []
        for state in (api.ParticipantInfo.State.JOINED, api.ParticipantInfo.State.ACTIVE):
            client.info.state = state
            await rig.pass_time(POLL)
            snapshot = await rig.engine.snapshot(ROOM)
            assert isinstance(snapshot, Snapshot)
            found.append({one.connection.id == told.connection: one.has_media for one in snapshot.present})
        assert found == [{True: True, False: False}, {True: True, False: True}]
        async with reading(rig.engine) as reader:
            await reader.until(MediaUp, lambda event: event.connection.id != told.connection)
            assert len(reader.all_of(MediaUp)) == 2

    async def test_without_webhooks_the_list_says_it_all(self, rig: LiveKitRig) -> None:
        """Joins, tracks and leaves come with the next list."""
        rig.server.sends_webhooks = False
        await rig.engine.open_room(SPEC)
        entrance = await rig.visit(new_person())
        assert isinstance(entrance, Entrance)
        client = await rig.server.connect(token_of(entrance))
        assert client is not None
        await rig.server.publish(client, CAMERA)
        await rig.pass_time(POLL)
        connection, seen = rig.connection_of(client), rig.now()
        await rig.server.close(client, api.DisconnectReason.CLIENT_INITIATED)
        await rig.pass_time(POLL)
        async with reading(rig.engine) as reader:
            end = await reader.left(connection)
            assert (end.origin, end.at, end.reason) == (Origin.SNAPSHOT, seen, LeaveReason.UNKNOWN)
            assert [event.kind for event in reader.all_of(TrackChanged)] == [TrackKind.VIDEO]

    async def test_strangers_are_counted_and_left_alone(self, rig: LiveKitRig) -> None:
        """Recorders and agents of the operator's own have no key here."""
        await rig.engine.open_room(SPEC)
        for identity, kind in (("EG_recorder", 2), ("somebody", 0), (f"{'f' * 64}#a", 0), (f"{new_pubkey()}#a b", 0)):
            info = api.ParticipantInfo(sid=f"PA_{identity}", identity=identity, state=2, kind=kind)
            rig.server.clients.append(Client(NAME, info))
        await rig.pass_time(POLL)
        assert await _present(rig) == []
        assert rig.engine.flaws["strangers"] == 4
        assert len(rig.server.clients) == 4

    async def test_events_out_of_order_and_again_change_nothing(self, rig: LiveKitRig) -> None:
        """A leave that overtakes its join leaves nobody behind; a join told again after the leave is no return."""
        await rig.engine.open_room(SPEC)
        rig.server.sends_webhooks = False
        entrance = await rig.visit(new_person())
        assert isinstance(entrance, Entrance)
        client = await rig.server.connect(token_of(entrance))
        assert client is not None
        for name in ("participant_left", "participant_joined", "participant_joined"):
            authorization, body = rig.server.webhook(rig.server.event(NAME, name, client.info))
            for _ in range(2):
                assert await rig.engine.notified(WebhookCall(body, authorization=authorization)) is None
        assert await _present(rig) == []

    async def test_a_crash_of_the_server_is_noticed_and_the_room_made_again(self, rig: LiveKitRig) -> None:
        """People were there until they were last seen; the next click makes a new room."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        await rig.pass_time(POLL)
        seen = rig.now()
        rig.server.crash()
        await rig.pass_time(POLL)
        async with reading(rig.engine) as reader:
            assert (await reader.left(guest.connection)).at == seen
        await _inside(rig)

    @pytest.mark.parametrize(
        "claims",
        [
            pytest.param({"sha256": None}, id="no hash"),
            pytest.param({"sha256": "AAAA"}, id="hash of another body"),
            pytest.param({"sha256": "no base64!"}, id="hash that is none"),
            pytest.param({"iss": "another key"}, id="another key"),
            pytest.param({"exp": 1}, id="old"),
            pytest.param({"exp": None}, id="never ends"),
            pytest.param({"video": []}, id="odd claims"),
        ],
    )
    async def test_a_webhook_that_is_not_the_servers_is_refused(
        self, rig: LiveKitRig, claims: dict[str, object]
    ) -> None:
        """Nobody else can say who left."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        event = rig.server.event(NAME, "participant_left", guest.client.info)
        authorization, body = rig.server.webhook(event, **claims)
        answer = await rig.engine.notified(WebhookCall(body, authorization=authorization))
        assert isinstance(answer, Rejection)
        assert answer.slug == "bad-signature"
        assert await _present(rig) == [guest.connection]

    async def test_other_signatures_and_bodies_are_refused(self, rig: LiveKitRig) -> None:
        """No token, another secret, another algorithm, a changed body, bytes, too much of it."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        authorization, body = rig.server.webhook(rig.server.event(NAME, "participant_left", guest.client.info))
        claims = jwt.decode(authorization, options={"verify_signature": False})
        for token, sent in (
            ("", body),
            ("Bearer", body),
            (jwt.encode(claims, "another secret of that length!!!", algorithm="HS256"), body),
            (jwt.encode(claims, None, algorithm="none"), body),
            (authorization, body + b" "),
            (authorization, b"\xff\xfe"),
            (authorization, body + b" " * 70_000),
            ("x" * 10_000, body),
        ):
            answer = await rig.engine.notified(WebhookCall(sent, authorization=token))
            assert isinstance(answer, Rejection)
            assert answer.slug == "bad-signature"
        assert await _present(rig) == [guest.connection]

    async def test_signed_nonsense_is_refused(self, rig: LiveKitRig) -> None:
        """What the server's own key signed and nobody can read is counted, not raised."""
        for body in (b"[]", b"{", b'{"event": 1}', b'{"participant": []}', b""):
            authorization, _ = rig.server.webhook(body)
            answer = await rig.engine.notified(WebhookCall(body, authorization=authorization))
            assert isinstance(answer, Rejection)
        assert rig.engine.flaws["not_readable"] + rig.engine.flaws["bad_signature"] == 5


class TestRecording:
    """Egress, one file a track."""

    async def test_only_those_who_agreed_are_recorded(self, rig: LiveKitRig) -> None:
        """Their tracks, those they publish later, each once; nobody else's."""
        await rig.engine.open_room(SPEC)
        agreed, other = await _inside(rig), await _inside(rig)
        await rig.server.publish(agreed.client, MICROPHONE)
        await rig.server.publish(other.client, MICROPHONE)
        only = {type(new_pubkey())(_pubkey(agreed))}
        assert await rig.engine.start_recording(ROOM, only=only) == ControlDone((agreed.connection,))
        await rig.server.publish(agreed.client, CAMERA)
        await rig.server.publish(other.client, CAMERA)
        await rig.engine.start_recording(ROOM, only=only)
        await rig.pass_time(POLL)
        recorded = sorted(info.track.track_id for info in rig.server.egresses.values())
        assert recorded == sorted(track.sid for track in agreed.client.info.tracks)

    async def test_files_are_collected_under_their_names(self, rig: LiveKitRig, tmp_path: Path) -> None:
        """What the workers wrote is brought here, with whose it is; a path the server invents is not followed."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        for source in (MICROPHONE, CAMERA):
            await rig.server.publish(guest.client, source)
        pubkey = type(new_pubkey())(_pubkey(guest))
        await rig.engine.start_recording(ROOM, only={pubkey})
        for info in rig.server.egresses.values():
            _write(Path(info.file_results[0].filename), info.track.track_id)
        await rig.engine.stop_recording(ROOM)
        await rig.engine.stop_recording(ROOM)
        await rig.pass_time(POLL)
        rig.server.finish_egresses()
        odd = api.EgressInfo(egress_id="EG_odd", room_name=NAME, status=api.EgressStatus.EGRESS_COMPLETE)
        odd.file_results.add(filename="/etc/passwd")
        odd.file_results.add(filename=f"x/audio-{pubkey}-TR_9-00000000.ogg")
        rig.server.egresses["EG_odd"] = odd
        async with reading(rig.engine) as reader:
            await rig.pass_time(POLL)
            await reader.until(RecordingChanged, lambda event: event.state is RecordingState.READY)
            states = [event.state for event in reader.all_of(RecordingChanged)]
        assert states == [RecordingState.STARTED, RecordingState.STOPPED, RecordingState.READY]
        collected = await rig.engine.collect_recording(ROOM, tmp_path / "into")
        assert isinstance(collected, Collected)
        assert [(track.kind, track.pubkey) for track in collected.tracks] == [
            (TrackKind.AUDIO, pubkey),
            (TrackKind.VIDEO, pubkey),
        ]
        assert [track.path.read_bytes().decode() for track in collected.tracks] == [
            track.sid for track in guest.client.info.tracks
        ]
        assert {path.name for path in (tmp_path / "into").iterdir()} == {track.path.name for track in collected.tracks}

    async def test_a_recording_that_failed_is_said_to_have(self, rig: LiveKitRig) -> None:
        """A worker that gave up is no success."""
        await rig.engine.open_room(SPEC)
        guest = await _inside(rig)
        await rig.server.publish(guest.client, MICROPHONE)
        await rig.engine.start_recording(ROOM, only={type(new_pubkey())(_pubkey(guest))})
        await rig.engine.stop_recording(ROOM)
        rig.server.finish_egresses(api.EgressStatus.EGRESS_FAILED)
        async with reading(rig.engine) as reader:
            await rig.pass_time(POLL)
            await reader.until(RecordingChanged, lambda event: event.state is RecordingState.FAILED)

    async def test_without_a_folder_it_is_refused_with_what_to_set(self) -> None:
        """Nothing is recorded to where nobody can fetch it."""
        async with livekit() as rig:
            await rig.engine.open_room(SPEC)
            for answer in (
                await rig.engine.start_recording(ROOM, only=()),
                await rig.engine.stop_recording(ROOM),
                await rig.engine.collect_recording(ROOM, Path("x")),
            ):
                assert isinstance(answer, Rejection)
                assert "recordings" in answer.next_step


class TestAServerThatIsAway:
    """Errors, silence, garbage."""

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(502, b"<html>"), id="bad gateway"),
            pytest.param(Reply(body=b"\xff\xff\xff\xff"), id="no protobuf"),
            pytest.param(Reply(body=b""), id="empty"),
            pytest.param(Reply(raw=b"\x00\xff garbage\r\n\r\n"), id="no HTTP"),
            pytest.param(Reply(raw=b""), id="hangs up"),
            pytest.param(failed(401, "unauthenticated", "invalid API key"), id="wrong key"),
            pytest.param(failed(429, "resource_exhausted", "slow down"), id="busy"),
            pytest.param(Reply(400, b"[1]", (("Content-Type", "application/json"),)), id="odd error"),
        ],
    )
    async def test_an_answer_that_is_none_is_an_engine_that_is_away(self, rig: LiveKitRig, reply: Reply) -> None:
        """Whatever else comes back, the room does not open, no secret is in the words, and a good answer heals it."""

        async def spoil(_call: Call) -> Reply | None:
            return reply

        rig.server.spoil = spoil
        with capture_logs() as logs, pytest.raises(EngineUnavailable) as error:
            await rig.engine.open_room(SPEC)
        assert "LiveKit" in str(error.value)
        assert SECRET not in str(error.value) + str(logs)
        assert isinstance(await rig.engine.snapshot(ROOM), Rejection)
        rig.server.spoil = None
        await rig.engine.open_room(SPEC)
        await _inside(rig)

    @pytest.mark.parametrize("name", ["DeleteRoom", "RemoveParticipant"])
    async def test_a_refusal_about_one_keeps_nobody_from_looking_at_the_others(
        self, rig: LiveKitRig, name: str
    ) -> None:
        """The end of another room, or a removal, is refused for good: people here are seen, and so are tracks."""
        other = msgspec.structs.replace(SPEC, room=RoomId("0ther"))

        async def spoil(call: Call) -> Reply | None:
            return Reply(500) if call.target.endswith(name) else None

        await rig.engine.open_room(other)
        await rig.engine.open_room(SPEC)
        guest, unwanted = await _inside(rig), await _inside(rig, device="phone")
        rig.server.spoil = spoil
        with contextlib.suppress(EngineUnavailable):
            await rig.engine.remove(ROOM, type(new_pubkey())(_pubkey(unwanted)), "out")
        await rig.engine.close_room(other.room)
        rig.server.deliver = None
        await rig.server.publish(guest.client, MICROPHONE)
        async with reading(rig.engine) as reader:
            await rig.pass_time(4 * POLL)
            await reader.until(TrackChanged)
            assert [event.up for event in reader.all_of(EngineHealth)] == [True]
        assert await _present(rig) == [guest.connection]
        snapshot = await rig.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert snapshot.present[0].last_evidence == rig.now()
