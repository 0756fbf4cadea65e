"""What every media host promises; a host's test file subclasses `MediaHostContract` and gives it a stage with pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import av

from podium_daemon.conference.engine import Collected, RecordedTrack
from podium_daemon.conference.events import RecordingState, RoomId, TrackChange, TrackKind
from podium_daemon.conference.page_media.messages import (
    Command,
    Record,
    Recorded,
    RemoveSeat,
    Report,
    Silence,
    StopRecording,
    Up,
)
from podium_daemon.conference.page_media.recordings import collect, folder_of
from podium_protocol.events import Pubkey
from tests.support.conference import new_pubkey
from tests.support.media import MediaPage, connection_of, settled
from tests.support.until import until

AUDIO, VIDEO = TrackKind.AUDIO, TrackKind.VIDEO
ROOM = RoomId("r")


class MediaStage(Protocol):
    """A media host with pages in the room `r`."""

    @property
    def reports(self) -> Sequence[Report]: ...

    async def enter(self, pubkey: Pubkey, *, silenced: frozenset[TrackKind] = frozenset()) -> MediaPage:
        """A new person."""
        ...

    async def send(self, command: Command) -> None:
        """What the engine says."""
        ...

    def changes(self, pubkey: Pubkey) -> list[tuple[TrackKind, TrackChange]]:
        """What was told of a person's tracks, in order."""
        ...

    async def changed(self, pubkey: Pubkey, kind: TrackKind, change: TrackChange, times: int = 1) -> None:
        """Wait until something was told of a person's track."""
        ...

    def drops(self) -> list[str]:
        """Why something was dropped."""
        ...

    def convert_recording(self, folder: Path, room: RoomId) -> None:
        """See `MediaHost`."""
        ...


async def two(here: MediaStage, *kinds: str) -> tuple[Pubkey, MediaPage, Pubkey, MediaPage]:
    """A person who publishes, a person who watches."""
    teacher, pupil = new_pubkey(), new_pubkey()
    stage, bench = await here.enter(teacher), await here.enter(pupil)
    await stage.publish(*kinds)
    await bench.watch()
    return teacher, stage, pupil, bench


def _played(track: RecordedTrack) -> None:
    """Decode a recorded track to its end."""
    with av.open(str(track.path)) as container:
        frames = list(container.decode(container.streams[0]))
    if track.kind is VIDEO:
        assert len(frames) >= 5
        assert {frame.width for frame in frames} == {160}  # type: ignore[union-attr]  # pictures
    else:
        assert len(frames) >= 20
        assert max(abs(frame.to_ndarray()).max() for frame in frames[5:]) > 0.05  # type: ignore[union-attr]  # sound


class MediaHostContract:
    """The suite. Subclasses define the fixture `here`."""

    async def test_sound_and_pictures_reach_a_subscriber(self, here: MediaStage) -> None:
        """What one person's camera and microphone give is decoded at another's, and both are told to have media."""
        teacher, _, pupil, bench = await two(here, "audio", "video")
        assert await bench.sees(teacher) == 160
        assert await bench.hears(teacher) > 3000
        assert set(here.changes(teacher)) == {(AUDIO, TrackChange.PUBLISHED), (VIDEO, TrackChange.PUBLISHED)}
        up = {one.connection for one in here.reports if isinstance(one, Up)}
        assert up == {connection_of(teacher), connection_of(pupil)}

    async def test_both_ways_and_a_screen_and_somebody_late(self, here: MediaStage) -> None:
        """Two who publish and watch each other, a screen beside a camera, a third who comes when all runs."""
        teacher, stage, pupil, bench = await two(here, "audio", "video")
        await bench.publish("audio", "screen")
        await stage.watch()
        assert await stage.sees(pupil, "screen") == 208
        assert await stage.hears(pupil) > 3000
        assert await bench.sees(teacher) == 160
        late = await here.enter(new_pubkey())
        await late.watch()
        assert await late.sees(teacher) == 160
        assert await late.sees(pupil, "screen") == 208

    async def test_a_person_who_goes_is_seen_no_more(self, here: MediaStage) -> None:
        """The lines of a person who left carry nothing; a new person is received on the same connection."""
        teacher, _, _, bench = await two(here, "video")
        await bench.sees(teacher)
        await here.send(RemoveSeat(connection_of(teacher)))
        await settled(lambda: bench.lines == [], "no lines")
        other = new_pubkey()
        stage = await here.enter(other)
        await stage.publish("video")
        assert await bench.sees(other) == 160

    async def test_a_page_that_publishes_again_is_received_again(self, here: MediaStage) -> None:
        """A new connection takes the place of the one before."""
        teacher, stage, _, bench = await two(here, "video")
        await bench.sees(teacher)
        await stage.publish("audio", "video")
        await here.changed(teacher, AUDIO, TrackChange.PUBLISHED)
        assert await bench.hears(teacher) > 3000

    async def test_a_description_that_is_none_is_dropped(self, here: MediaStage) -> None:
        """What a stranger wrote is counted and answered, and ends nobody's media."""
        teacher, stage, _, bench = await two(here, "video")
        await bench.sees(teacher)
        for sdp in ("", "v=0\r\n", "\x00" * 40, "m=audio 9 RTP/AVP 0\r\n"):
            await stage.say(do="publish", sdp=sdp)
        await settled(lambda: len(here.drops()) == 4, "drops")
        await settled(lambda: [one["do"] for one in stage.told].count("failed") == 4, "answers")
        await stage.publish("video")
        assert await bench.sees(teacher, more=2) == 160

    async def test_somebody_muted_is_not_heard_until_they_unmute_themselves(self, here: MediaStage) -> None:
        """Nothing is passed on; a page that has not heard of it does not undo it; the person can."""
        teacher, stage, _, bench = await two(here, "audio", "video")
        await bench.hears(teacher)
        before = stage.turn
        await here.send(Silence(connection_of(teacher), AUDIO))
        await here.changed(teacher, AUDIO, TrackChange.MUTED)
        mid = await bench.line(teacher, "audio", on=False)
        await bench.sees(teacher, more=3)
        heard = len(bench.loudness[mid])
        await bench.sees(teacher, more=3)
        assert len(bench.loudness[mid]) == heard
        told = await stage.was_told("muted", kind="audio")
        assert told["turn"] == stage.turn
        turn, stage.turn = stage.turn, before
        await stage.sending()
        stage.turn = turn
        await stage.sending()
        assert await bench.hears(teacher) > 3000
        assert here.changes(teacher).count((AUDIO, TrackChange.UNMUTED)) == 1

    async def test_muting_is_applied_again_to_whoever_publishes_anew(self, here: MediaStage) -> None:
        """A new connection does not get around mute-all."""
        teacher, stage, _, bench = await two(here, "audio", "video")
        await bench.hears(teacher)
        await here.send(Silence(connection_of(teacher), AUDIO))
        await stage.was_told("muted", kind="audio")
        await stage.publish("audio", "video")
        await here.changed(teacher, VIDEO, TrackChange.PUBLISHED, times=2)
        mid = await bench.line(teacher, "audio", on=False)
        await bench.sees(teacher, more=3)
        heard = len(bench.loudness.get(mid, []))
        await bench.sees(teacher, more=5)
        assert len(bench.loudness.get(mid, [])) == heard

    async def test_somebody_who_comes_muted_is_not_heard(self, here: MediaStage) -> None:
        """Muted before anything was published: nothing gets through until they unmute themselves."""
        teacher, pupil = new_pubkey(), new_pubkey()
        stage = await here.enter(teacher, silenced=frozenset({AUDIO}))
        bench = await here.enter(pupil)
        await stage.was_told("muted", kind="audio", turn=1)
        await stage.publish("audio", "video")
        await bench.watch()
        await bench.sees(teacher, more=5)
        assert not any(bench.loudness.values())
        assert here.changes(teacher) == [(VIDEO, TrackChange.PUBLISHED)]
        await stage.sending()
        assert await bench.hears(teacher) > 3000

    async def test_pictures_out_of_sight_are_not_received(self, here: MediaStage) -> None:
        """A page says what is in sight: no packet of another picture reaches it, the sound goes on, others see all."""
        teacher, _, _, bench = await two(here, "video", "audio")
        other = await here.enter(new_pubkey())
        await other.watch()
        for page in (bench, other):
            await page.sees(teacher)
        mid = await bench.line(teacher, "video")
        for _ in range(2):
            await bench.say(do="showing", mids=[])

            async def is_quiet() -> bool:
                before = await bench.packets(mid)
                await bench.hears(teacher, more=20)
                await other.sees(teacher, more=3)
                return await bench.packets(mid) == before

            await until(is_quiet, "no packet of a picture")
            await bench.say(do="showing", mids=[mid])
            await bench.sees(teacher, more=3)
        await bench.say(do="showing", mids=[])
        await bench.watch()

        async def is_back() -> bool:
            return await bench.packets(mid) > 0

        await until(is_back, "packets on a new connection")

    async def test_only_those_who_agreed_are_recorded(self, here: MediaStage, tmp_path: Path) -> None:
        """The tracks of the teacher become WebM with pictures and sound in them; of the pupil there is nothing."""
        teacher, stage, pupil, bench = await two(here, "audio", "video")
        await bench.publish("audio", "video")
        await stage.watch()
        await stage.sees(pupil)
        folder = folder_of(tmp_path, ROOM)
        folder.mkdir(parents=True)
        await here.send(Record(ROOM, str(folder), frozenset({teacher})))
        await bench.hears(teacher, more=40)
        await bench.sees(teacher, more=12)
        await here.send(StopRecording(ROOM))
        await settled(lambda: Recorded(ROOM, RecordingState.STOPPED) in here.reports, "the end of the recording")
        here.convert_recording(folder, ROOM)
        collected = await collect(tmp_path, ROOM, tmp_path / "into")
        assert isinstance(collected, Collected)
        assert {(track.kind, track.pubkey) for track in collected.tracks} == {(AUDIO, teacher), (VIDEO, teacher)}
        for track in collected.tracks:
            _played(track)
            assert track.started_at > 1_700_000_000
            assert track.path.stat().st_mode & 0o77 == 0
        assert not list(folder.glob(f"*{pupil}*"))
