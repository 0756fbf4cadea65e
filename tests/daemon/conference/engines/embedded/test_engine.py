"""The embedded engine: the contract with media on loopback, then what is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiortc import RTCCertificate

from podium_daemon.conference.engine import ControlDone, Person, RoomSpec, Snapshot
from podium_daemon.conference.events import (
    ConnectionId,
    EngineHealth,
    LeaveReason,
    MediaUp,
    RecordingChanged,
    RecordingState,
    RoomId,
    TrackChange,
    TrackChanged,
    TrackKind,
)
from podium_daemon.conference.page_media.engine import MediaSeat, PageMediaEngine
from podium_daemon.conference.page_media.settings import PageMediaSettings
from podium_daemon.conference.seats import Signalling
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.events import Pubkey
from tests.daemon.conference.contract import EngineContract, Guest
from tests.support.clock import ManualClock
from tests.support.conference import EventReader, new_person, new_pubkey, reading, seeded_bytes
from tests.support.media import LocalMedia, MediaPage, SeatWay, settled, signing

ROOM = RoomId("b0c4")
SPEC = RoomSpec(room=ROOM, title="Rust for gardeners", allow_recording=True)


class MediaGuest:
    """A page on a seat, which watches."""

    def __init__(self, seat: MediaSeat, certificate: RTCCertificate) -> None:
        self.seat = seat
        self.page = MediaPage(SeatWay(seat), certificate)
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


class MediaRig:
    """The engine with its rooms in this process, and pages with connections of their own."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.local: LocalMedia | None = None
        self.engine = PageMediaEngine(
            "embedded",
            PageMediaSettings(recordings=folder),
            clock=self.clock,
            random_bytes=seeded_bytes(),
            media=self._media,
        )
        self.spec = SPEC
        self.guests: list[MediaGuest] = []

    def _media(self, host: object) -> LocalMedia:
        self.local = LocalMedia(host)  # type: ignore[arg-type]  # the engine
        return self.local

    async def join(self, person: Person) -> Guest | Rejection:
        """Take a seat, and ask for a connection."""
        guest = await self.sit(person)
        if not isinstance(guest, Rejection):
            await guest.page.watch()
        return guest

    async def sit(self, person: Person) -> MediaGuest | Rejection:
        """Take a seat."""
        person, certificate = signing(person)
        seat = await self.engine.take_seat(ROOM, person)
        if isinstance(seat, Rejection):
            return seat
        assert isinstance(seat, MediaSeat)
        self.guests.append(MediaGuest(seat, certificate))
        return self.guests[-1]

    async def person(self, person: Person | None = None) -> MediaGuest:
        """A person who is let in."""
        guest = await self.sit(person or new_person())
        assert not isinstance(guest, Rejection)
        return guest

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

    async def close(self) -> None:
        """Everybody goes."""
        for guest in self.guests:
            await guest.page.close()
        assert self.local is not None
        await self.local.close()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[MediaRig]:
    """An engine of its own for each test."""
    rig = MediaRig(tmp_path)
    yield rig
    await rig.close()


class TestEmbeddedContract(EngineContract):
    """The embedded engine keeps the contract."""


async def _changes(reader: EventReader, pubkey: Pubkey) -> list[tuple[TrackKind, TrackChange]]:
    return [(one.kind, one.change) for one in reader.all_of(TrackChanged) if one.connection.pubkey == pubkey]


async def test_it_is_what_it_says(rig: MediaRig) -> None:
    """Its attendance is evidence of an engine, it has seats, and it does all there is to do."""
    assert (rig.engine.name, rig.engine.evidence, rig.engine.history) == ("embedded", "engine", False)
    assert isinstance(rig.engine, Signalling)
    support = msgspec.to_builtins(rig.engine.capabilities)
    assert set(support.values()) == {"native"}


async def test_media_that_flows_is_told_once(rig: MediaRig) -> None:
    """One `MediaUp` for a connection, however often its page begins anew."""
    await rig.engine.open_room(SPEC)
    async with reading(rig.engine) as reader:
        guest = await rig.person()
        for _ in range(2):
            await guest.page.watch()
            await settled(lambda: guest.page.watching and guest.page.watching.connectionState == "connected", "it")
        up = await reader.until(MediaUp)
        assert up.connection == guest.seat.connection
        await guest.page.publish("audio")
        published = await reader.until(TrackChanged)
        assert (published.kind, published.change) == (TrackKind.AUDIO, TrackChange.PUBLISHED)
        assert len(reader.all_of(MediaUp)) == 1


async def test_mute_all_reaches_those_who_come_later(rig: MediaRig) -> None:
    """Everybody but those it spares is silent, also who joins or publishes afterwards; each may unmute themselves."""
    await rig.engine.open_room(SPEC)
    teacher, early, late = new_pubkey(), new_pubkey(), new_pubkey()
    stage, bench = await rig.person(new_person(teacher)), await rig.person(new_person(early))
    async with reading(rig.engine) as reader:
        await stage.page.publish("audio")
        await reader.until(TrackChanged)
        done = await rig.engine.mute_all(ROOM, keep={teacher})
        assert done == ControlDone((bench.connection,))
        newcomer = await rig.person(new_person(late))
        for guest in (bench, newcomer):
            await guest.page.was_told("muted", kind="audio")
            await guest.page.publish("audio")
        await stage.page.watch()
        await newcomer.page.watch()
        assert await newcomer.page.hears(teacher) > 3000
        await newcomer.page.sending()
        assert await stage.page.hears(late) > 3000
        assert {one.connection.pubkey for one in reader.all_of(TrackChanged)} == {teacher, late}


async def test_a_lifted_mute_all_lets_newcomers_speak(rig: MediaRig) -> None:
    """A person who comes after it was lifted is heard without doing anything about it; twice is once."""
    await rig.engine.open_room(SPEC)
    teacher, late = new_pubkey(), new_pubkey()
    stage = await rig.person(new_person(teacher))
    await rig.engine.mute_all(ROOM, keep={teacher})
    for _ in range(2):
        await rig.engine.lift_mute_all(ROOM)
    newcomer = await rig.person(new_person(late))
    await newcomer.page.publish("audio")
    await stage.page.watch()
    assert await stage.page.hears(late) > 3000


async def test_a_mute_reaches_every_device(rig: MediaRig) -> None:
    """A person's phone does not go on talking while their laptop is muted."""
    await rig.engine.open_room(SPEC)
    pubkey = new_pubkey()
    guests = [await rig.person(new_person(pubkey, device)) for device in ("laptop", "phone")]
    async with reading(rig.engine) as reader:
        for guest in guests:
            await guest.page.publish("audio")
        await settled(lambda: len(reader.all_of(TrackChanged)) == 2, "two microphones")
        done = await rig.engine.mute(ROOM, pubkey)
        assert isinstance(done, ControlDone)
        assert set(done.connections) == {guest.connection for guest in guests}
        await settled(lambda: len(reader.all_of(TrackChanged)) == 4, "two mutes")
        assert (await _changes(reader, pubkey))[2:] == [(TrackKind.AUDIO, TrackChange.MUTED)] * 2


async def test_a_signature_names_the_browser(rig: MediaRig) -> None:
    """The certificate of the join proof is the one the page must have."""
    await rig.engine.open_room(SPEC)
    signed = "sha-256 " + ":".join(["AB"] * 32)
    guest = await rig.person(msgspec.structs.replace(new_person(), fingerprint=signed))
    await guest.page.publish("audio")
    await guest.page.was_told("failed", side="publish")
    assert rig.engine.flaws["sdp_other_certificate"] == 1


async def test_what_a_page_repeats_does_not_reach_the_media_process(rig: MediaRig) -> None:
    """A page that says the same a thousand times says it once; after a mute the same words mean something again."""
    await rig.engine.open_room(SPEC)
    guest = await rig.person()
    sending = '{"type":"media","do":"sending","audio":true,"video":false,"screen":false}'
    for _ in range(1000):
        await guest.seat.receive(sending)
    assert rig.engine.flaws["unchanged"] == 999
    await rig.engine.mute(ROOM, guest.seat.connection.pubkey)
    await guest.seat.receive(sending)
    assert rig.engine.flaws["unchanged"] == 999


async def test_flawed_signals_are_counted_and_end_nothing(rig: MediaRig) -> None:
    """Junk of every kind: the seat stays, the counters say what it was."""
    await rig.engine.open_room(SPEC)
    guest = await rig.person()
    for frame in ('{"type":"media"}', '{"type":"media","do":"x"}', "x" * 70_000, b"\xff\xfe", '{"type":"media","do"'):
        await guest.seat.receive(frame)
    await guest.page.publish("audio")
    await guest.page.was_told("accept")
    assert guest.seat.over is None
    assert rig.engine.flaws == {"bad_shape": 2, "too_large": 1, "not_json": 2}


async def test_only_those_who_consented_are_recorded(rig: MediaRig, tmp_path: Path) -> None:
    """The rest of the room is not on disk; the recording is ready once it was stopped, and can be collected."""
    await rig.engine.open_room(SPEC)
    yes, no = await rig.person(), await rig.person()
    async with reading(rig.engine) as reader:
        done = await rig.engine.start_recording(ROOM, only={yes.seat.connection.pubkey})
        assert done == ControlDone((yes.connection,))
        for guest in (yes, no):
            await guest.page.publish("audio")
        await settled(lambda: len(reader.all_of(TrackChanged)) == 2, "two microphones")
        still = await rig.engine.collect_recording(ROOM, tmp_path / "out")
        assert isinstance(still, Rejection)
        assert still.slug == "still-recording"
        await yes.page.watch()
        await yes.page.hears(no.seat.connection.pubkey, more=10)
        assert await rig.engine.stop_recording(ROOM) == await rig.engine.stop_recording(ROOM) == ControlDone()
        await reader.until(RecordingChanged, lambda one: one.state is RecordingState.READY)
        assert [one.state for one in reader.all_of(RecordingChanged)] == ["started", "stopped", "ready"]
    collected = await rig.engine.collect_recording(ROOM, tmp_path / "out")
    assert not isinstance(collected, Rejection)
    assert [track.pubkey for track in collected.tracks] == [yes.seat.connection.pubkey]


async def test_a_session_without_recording_is_not_recorded(rig: MediaRig) -> None:
    """What was scheduled counts, whatever is clicked."""
    await rig.engine.open_room(msgspec.structs.replace(SPEC, allow_recording=False))
    refused = await rig.engine.start_recording(ROOM, only=())
    assert isinstance(refused, Rejection)
    assert refused.slug == "no-recording"


async def test_an_encrypted_room_is_not_recorded(rig: MediaRig) -> None:
    """Nobody is told that they are recorded where only noise would be on disk."""
    await rig.engine.open_room(msgspec.structs.replace(SPEC, e2ee=True))
    refused = await rig.engine.start_recording(ROOM, only=())
    assert isinstance(refused, Rejection)
    assert refused.slug == "e2ee"


async def test_a_process_that_died_is_told_everything_again(rig: MediaRig) -> None:
    """Seats stay, engine health says that nothing was seen for a while, mutes are as before."""
    await rig.engine.open_room(SPEC)
    pubkey = new_pubkey()
    guest = await rig.person(new_person(pubkey))
    await rig.engine.mute(ROOM, pubkey)
    await guest.page.was_told("muted", turn=1)
    assert rig.local is not None
    async with reading(rig.engine) as reader:
        await rig.local.close()
        rig.engine.media_down("it died")
        await reader.until(EngineHealth, lambda one: not one.up)
        await guest.page.was_told("away")
        fresh = LocalMedia(rig.engine)
        fresh.restarts = 1
        rig.engine.media = rig.local = fresh
        guest.page.told.clear()
        rig.engine.media_up()
        await reader.until(EngineHealth, lambda one: one.up and one != reader.kept[0])
        await guest.page.was_told("begin")
        await guest.page.was_told("muted", kind="audio", turn=1)
        snapshot = await rig.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert [one.connection.id for one in snapshot.present] == [guest.connection]


async def test_a_recording_in_a_room_that_is_not_open_is_not_stopped(rig: MediaRig) -> None:
    """The answer says that the room is not open."""
    answer = await rig.engine.stop_recording(ROOM)
    assert isinstance(answer, Rejection)
    assert answer.slug == "no-room"
