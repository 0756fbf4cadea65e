"""From tracks to a published recording: states, crashes, failures, publication, and who is told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from podium_daemon.app.parts import join_parts
from podium_daemon.conference.engine import EngineUnavailable, RecordingState, TrackKind
from podium_daemon.media.job import Layout
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.recording.blossom import BlossomServer
from podium_daemon.services.recording.recording import Recorder, RecordingSettings
from podium_daemon.services.recording.watching import Viewer
from podium_daemon.services.recording.work import ATTEMPTS, WorkSettings
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol import kinds, tags
from podium_protocol.keys import SecretKey
from podium_protocol.live.recording import IllegalStage, RecordingStage, moved
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import RecordingRow
from tests.support.blossom_server import blossom_peer
from tests.support.clips import Finished
from tests.support.recording import Studio, studio
from tests.support.soon import soon
from tests.support.until import until
from tests.support.world import EVERYTHING, new_key

POLICIES = {"en": "recorded"}


def file_of(here: Studio, row: RecordingRow) -> Path:
    """The finished file."""
    assert row.sha256 is not None
    return here.here.recorder.file_of(row.sha256)


class TestStates:
    """semantics.md, "Recording states": none, pending, processing, available, failed."""

    async def test_the_session_shows_each_of_them(self) -> None:
        """None while it runs, pending at the end, processing meanwhile, available when it is done."""
        async with studio() as here:
            await here.sit()
            await here.record()
            await here.here.clock.advance(2)
            assert (await here.session()).recording_state == "none"
            await here.end()
            assert (await here.session()).recording_state == "pending"
            seen: set[str] = set()
            with here.here.store.changes.subscribe(here.here.store.sessions.name) as changes:
                row = await here.make()
                batch = changes.take_changes()
                seen |= {change.after.recording_state for change in (batch.changes if batch else ()) if change.after}
            assert {"processing", "available"} <= seen
            session = await here.session()
            assert (session.recording_state, session.recording_url) == ("available", row.url)

    async def test_a_session_that_was_not_recorded_has_none(self) -> None:
        """Nothing is pending where nothing was begun, also if the engine refused to begin."""
        async with studio() as here:
            await here.sit()
            await here.end()
            assert (await here.session()).recording_state == "none"
            assert await here.here.recorder.recordings(await here.session()) == []

    def test_an_illegal_move_changes_nothing(self) -> None:
        """What is available stays so; nothing becomes available without having been processed."""
        for stage, to in [(RecordingStage.AVAILABLE, RecordingStage.PENDING), (RecordingStage.PENDING, "available")]:
            with pytest.raises(IllegalStage):
                moved(stage, RecordingStage(to))

    async def test_a_second_run_is_a_recording_of_its_own(self) -> None:
        """semantics.md, "Reopen": a second run never overwrites the first; the session shows the newest."""
        async with studio() as here:
            first = await here.recorded(2)
            reopened = await here.here.lifecycle.reopen(here.session_address, here.here.instructor.pubkey)
            assert not isinstance(reopened, Rejection)
            await here.here.clock.advance(1)
            second = await here.recorded(3)
            assert (first.run, second.run) == (0, 1)
            assert first.sha256 != second.sha256
            assert file_of(here, first).exists()
            assert abs((second.length or 0) - 3000) < 60
            assert (await here.session()).recording_url == second.url


class TestFile:
    """What is in it, and where it is."""

    async def test_it_is_kept_under_its_hash_for_its_owner_alone(self) -> None:
        """The name is the SHA-256, the mode 0600, and the tracks are gone."""
        async with studio() as here:
            row = await here.recorded()
            path = file_of(here, row)
            assert hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
            assert (path.stat().st_mode & 0o777, path.stat().st_size) == (0o600, row.size)
            assert row.url == f"http://127.0.0.1:7448/recordings/{row.sha256}.webm"
            assert list((here.folder / "work").iterdir()) == []

    async def test_the_speaker_is_seen_and_everybody_heard(self) -> None:
        """The instructor's camera is the picture, a participant's is not."""
        async with studio() as here:
            here.engine.cameras = {here.here.instructor.pubkey}
            row = await here.recorded(2, here.here.instructor, new_key())
            assert row.media_type == "video/webm"
            assert Finished(file_of(here, row)).codecs == ["vp8", "opus"]
            assert abs((row.length or 0) - 2000) < 60

    async def test_a_pause_leaves_no_hole(self) -> None:
        """The takes follow each other: what lay between them is neither in the file nor in its length."""
        async with studio() as here:
            key = new_key()
            await here.sit(key)
            await here.record()
            await here.here.clock.advance(2)
            await here.record(wanted=False)
            await here.here.clock.advance(600)
            await here.record()
            await here.here.clock.advance(1)
            await here.end()
            row = await here.make()
            assert abs((row.length or 0) - 3000) < 100
            found = Finished(file_of(here, row))
            assert found.volume(0.2, 1.8) > 0.1
            assert found.volume(2.2, 2.8) > 0.1

    async def test_the_last_second_is_not_cut_off(self) -> None:
        """The end of a session is kept in whole seconds, that of its recording is not."""
        async with studio(now=1_800_000_000.2) as here:
            await here.sit()
            await here.record()
            await here.here.clock.advance(2.7)
            await here.end()
            assert abs(((await here.make()).length or 0) - 2700) < 60

    async def test_nothing_from_before_or_after_the_consent_is_in_it(self) -> None:
        """semantics.md, "Nothing is captured before consent": what an engine captured around a take is cut off."""
        async with studio() as here:
            key = new_key()
            await here.sit(key)
            await here.record()
            begun = here.here.clock.now()
            await here.here.clock.advance(2)
            here.engine.extra = [(TrackKind.AUDIO, key.pubkey, begun - 5, begun + 30)]
            await here.end()
            row = await here.make()
            assert abs((row.length or 0) - 2000) < 60

    async def test_a_track_of_somebody_who_did_not_agree_is_left_out(self) -> None:
        """Whatever an engine brings: who has not signed is not in the file, and the notes say so."""
        async with studio() as here:
            stranger = new_key()
            await here.sit()
            await here.record()
            begun = here.here.clock.now()
            await here.here.clock.advance(1)
            here.engine.extra = [(TrackKind.AUDIO, stranger.pubkey, begun, begun + 1)]
            await here.end()
            row = await here.make()
            assert row.notes == (f"audio of {stranger.pubkey[:8]}: left out, not agreed to",)
            assert row.state == "available"

    async def test_the_grid_is_an_option(self) -> None:
        """`recording.layout = "grid"` draws all cameras."""
        async with studio() as here:
            ada = new_key()
            here.engine.cameras = {ada.pubkey}
            work = WorkSettings(layout=Layout.GRID)
            here.here.recorder.settings = RecordingSettings(policies=POLICIES, work=work)
            row = await here.recorded(1, ada)
            assert row.media_type == "video/webm"
            assert Finished(file_of(here, row)).codecs == ["vp8", "opus"]

    async def test_tracks_can_be_kept(self) -> None:
        """`recording.keep_tracks` leaves everybody's own track beside the file."""
        async with studio() as here:
            here.here.recorder.settings = RecordingSettings(
                policies={"en": "recorded"}, work=WorkSettings(keep_tracks=True)
            )
            row = await here.recorded(1)
            assert list((here.folder / "work" / str(row.id)).glob("*/tracks.json"))


class TestCrashes:
    """State first: a daemon that died in the middle goes on from what it has written down."""

    async def test_a_restart_while_it_records_pauses_it_and_keeps_the_take(self) -> None:
        """Nobody is recorded without the rule having been asked; what was captured becomes the recording."""
        async with studio() as here:
            await here.sit()
            await here.record()
            await here.here.clock.advance(2)
            again = _again(here)
            await again.resume()
            row = await here.recording()
            assert row.state == "paused"
            assert "started again" in (row.reason or "")
            assert not again.is_recording(here.session_address)
            await again._turn(EVERYTHING)
            assert here.engine.calls[-2:] == [("stop", ()), ("collect", ())]
            await here.here.lifecycle.end(here.session_address, here.here.instructor.pubkey)
            await again._turn(EVERYTHING)
            await again._make(EVERYTHING)
            assert (await here.recording()).state == "available"

    async def test_a_restart_while_it_is_made_makes_it_again_from_the_tracks(self) -> None:
        """The engine is gone and has nothing any more: what was collected is enough."""
        async with studio() as here:
            await here.sit()
            await here.record()
            await here.here.clock.advance(2)
            await here.record(wanted=False)
            await here.end()
            row = await here.recording()
            ledger = here.here.recorder._ledger
            await ledger.change(row, RecordingStage.PROCESSING)
            (here.folder / "work" / str(row.id) / "recording.webm").write_bytes(b"half a file")
            here.engine._files.clear()
            again = _again(here)
            await again.resume()
            assert (await here.recording()).state == "pending"
            await again._make(EVERYTHING)
            done = await here.recording()
            assert (done.state, done.media_type) == ("available", "audio/webm")

    async def test_a_folder_without_its_list_does_not_count(self) -> None:
        """A crash while files were brought leaves half of them: the next collection brings them whole."""
        async with studio() as here:
            await here.sit()
            await here.record()
            await here.here.clock.advance(1)
            await here.end()
            half = here.folder / "work" / str((await here.recording()).id) / "1"
            half.mkdir(parents=True)
            (half / "0.webm").write_bytes(b"half")
            assert (await here.make()).state == "available"

    async def test_a_stop_ends_the_process_that_mixes(self) -> None:
        """The daemon stops within seconds whatever is being made, and the recording waits for the next start."""
        async with studio() as here:
            here.engine.cameras = {here.here.instructor.pubkey}
            work = WorkSettings(layout=Layout.GRID)
            here.here.recorder.settings = RecordingSettings(policies=POLICIES, work=work)
            await here.sit(here.here.instructor)
            await here.record()
            await here.here.clock.advance(60)
            await here.end()
            stop = Stop()
            running = asyncio.create_task(here.here.recorder.run(stop))
            await soon(lambda: _is(here, "processing"))
            stop.set()
            async with asyncio.timeout(60):
                await running
            assert (await here.recording()).state == "processing"


async def test_a_recording_is_handed_over_once() -> None:
    """Two turns that find the same recording at the end of its session do not both hand it over."""
    async with studio() as here:
        await here.sit()
        await here.record()
        await here.here.lifecycle.end(here.session_address, here.here.instructor.pubkey)
        await asyncio.gather(*(here.here.recorder._turn(EVERYTHING) for _ in range(3)))
        assert (await here.recording()).state == "pending"


async def test_files_that_are_not_finished_are_waited_for() -> None:
    """An engine that says `ready` after the end is believed; one that never says it is not waited for for ever."""
    async with studio() as here:
        room = here.here.room_of(await here.session()).room
        await here.sit()
        stop = Stop()
        running = asyncio.create_task(here.here.recorder.run(stop))
        try:
            await soon(lambda: here.here.clock.sleeping > 1)
            here.engine.say(room, RecordingState.STARTED)
            await soon(lambda: room in here.here.recorder._unready)
            await here.record()
            await here.here.clock.advance(1)
            await here.end()

            async def waits() -> bool:
                return (await here.recording()).state == "pending"

            await until(waits, "the recording waits for its files")
            here.engine.say(room, RecordingState.READY)
            await soon(lambda: room not in here.here.recorder._unready)
        finally:
            stop.set()
            await running
        assert (await here.make()).state == "available"


class TestFailures:
    """Failed shows why, keeps the tracks, and can be tried again."""

    async def test_nothing_heard_or_seen_is_a_failure_with_a_reason(self) -> None:
        """An engine without files gives no recording, and says so to the instructor."""
        async with studio() as here:
            await here.sit()
            await here.record()
            here.engine._begun.clear()
            await here.end()
            row = await here.make()
            assert (row.state, (await here.session()).recording_state) == ("failed", "failed")
            assert "no tracks" in (row.reason or "")

    async def test_a_recording_that_is_too_large_fails_and_can_be_tried_again(self) -> None:
        """With more room allowed the same tracks become the recording."""
        async with studio() as here:
            here.here.recorder.settings = RecordingSettings(
                policies={"en": "recorded"}, work=WorkSettings(max_megabytes=0)
            )
            row = await here.recorded(1)
            assert (row.state, row.url) == ("failed", None)
            assert "max_megabytes" in (row.reason or "")
            here.here.recorder.settings = RecordingSettings(policies=POLICIES)
            assert await here.here.recorder.retry(await here.session()) is None
            assert (await here.session()).recording_state == "pending"
            again = await here.make()
            assert (again.state, again.reason) == ("available", None)

    async def test_a_folder_that_cannot_be_written_is_a_failure(self) -> None:
        """The disk's own words are the reason."""
        async with studio() as here:
            (here.folder / "work").write_bytes(b"a file in the way")
            row = await here.recorded(1)
            assert row.state == "failed"

    async def test_an_engine_that_stays_away_is_given_up(self) -> None:
        """It is asked a few times; then the recording fails with its words, and can be retried later."""
        async with studio() as here:
            await here.sit()
            await here.record()
            await here.here.clock.advance(1)
            await here.end()
            here.engine.away = True
            for _ in range(ATTEMPTS - 1):
                with pytest.raises(EngineUnavailable):
                    await here.make()
            row = await here.make()
            assert (row.state, "away" in (row.reason or "")) == ("failed", True)
            here.engine.away = False
            await here.here.recorder.retry(await here.session())
            assert (await here.make()).state == "available"

    async def test_a_signer_that_is_away_costs_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The service's own signer may be remote: the recording waits, and is published when it answers."""
        async with studio() as here:
            await here.sit()
            await here.record()
            await here.here.clock.advance(1)
            await here.end()
            sign = here.here.signer.sign

            async def away(_event: object) -> object:
                raise SignerUnavailable("away")

            monkeypatch.setattr(here.here.signer, "sign", away)
            with pytest.raises(SignerUnavailable):
                await here.make()
            assert (await here.recording()).state == "pending"
            monkeypatch.setattr(here.here.signer, "sign", sign)
            assert (await here.make()).state == "available"

    async def test_there_is_nothing_to_retry_without_a_failure(self) -> None:
        """The answer says so."""
        async with studio() as here:
            refused = await here.here.recorder.retry(await here.session())
            assert refused is not None
            assert refused.slug == "nothing-failed"


class TestPublication:
    """semantics.md: published and told only after the file was fetched back and its hash matched."""

    async def test_the_live_status_has_the_link(self) -> None:
        """The 30313 that says `ended` carries the recording's URL."""
        async with studio() as here:
            row = await here.recorded(1)
            await here.here.deliver()
            status = here.here.published(kinds.MEETING)[-1]
            assert tags.first(status.tags, "status") == "ended"
            assert tags.first(status.tags, "recording") == row.url

    async def test_of_a_private_session_nothing_public_is_said(self) -> None:
        """No status is published; the service remembers the link in a letter to itself, and the file stays here."""
        async with studio() as here:
            session = await here.session()
            await here.here.store.sessions.put(msgspec.structs.replace(session, visibility="private"))
            await here.here.deliver()
            here.here.sent.clear()
            row = await here.recorded(1)
            await here.here.deliver()
            assert here.here.published(kinds.MEETING) == here.here.published(kinds.SESSION) == []
            letters = await here.here.store.letters.to_list()
            assert any("http://127.0.0.1:7448/s/" in bytes(letter.rumor).decode() for letter in letters)
            assert not any(row.sha256 in bytes(letter.rumor).decode() for letter in letters)
            assert (row.store, row.attach_at) == ("local", None)

    async def test_the_link_of_one_for_participants_stands_nowhere(self) -> None:
        """Status and session lead to the page, which opens it for whom it is; no revision with the file is signed."""
        async with studio(recording_access=None) as here:
            row = await here.recorded(1)
            await here.make()
            await here.here.deliver()
            assert row.sha256 is not None
            assert (row.access, row.attach_at, row.store) == ("participants", None, "local")
            status = here.here.published(kinds.MEETING)[-1]
            assert tags.first(status.tags, "recording") == (await here.session()).recording_url
            everything = [*here.here.published(kinds.MEETING), *here.here.published(kinds.SESSION)]
            assert not any(row.sha256 in event.to_json().decode() for event in everything)
            assert "/s/" in ((await here.session()).recording_url or "")

    async def test_what_was_agreed_to_for_participants_is_not_published_later(self) -> None:
        """A revision that says `public` after the recording changes nothing of it."""
        async with studio(recording_access=None) as here:
            await here.sit()
            await here.record()
            await here.here.clock.advance(1)
            await here.end()
            session = await here.session()
            await here.here.store.sessions.put(msgspec.structs.replace(session, recording_access="public"))
            row = await here.make()
            assert "/s/" in ((await here.session()).recording_url or "")
            assert row.attach_at is None

    async def test_people_are_told_once_and_only_then(self) -> None:
        """The recording reminder goes to people who answered, after the publication and not before."""
        async with studio() as here:
            person = await here.here.person()
            await here.here.answer(person, await here.session(), RsvpStatus.CONFIRMED)
            await here.sit()
            await here.record()
            await here.here.clock.advance(1)
            await here.end()
            await here.here.turn()
            assert "recording" not in await here.here.states(person, await here.session())
            row = await here.make()
            await here.here.turn()
            assert (await here.here.states(person, await here.session()))["recording"] == "sent"
            assert any("ecording" in letter for letter in here.here.letters(person))
            assert row.published_at == here.here.now

    async def test_the_instructors_signer_attaches_it_to_the_session(self) -> None:
        """The next revision of the 31923 has the link in `r`, signed by the instructor and sent to the relays."""
        async with studio() as here:
            here.here.signing.keys[here.here.instructor.pubkey] = here.here.instructor
            row = await here.recorded(1)
            assert row.attached_at is not None
            event = await here.here.event_of(await here.session())
            assert ("r", row.url) in event.tags
            assert event.pubkey == here.here.instructor.pubkey
            await here.here.deliver()
            assert event.id in {sent.id for sent in here.here.published(kinds.SESSION)}
            assert (await here.session()).recording_state == "available"

    async def test_a_signer_that_is_away_is_asked_again(self) -> None:
        """The recording is available all the same; an hour later the signer answers."""
        async with studio() as here:
            row = await here.recorded(1)
            assert (row.state, row.attached_at, row.attach_at) == ("available", None, here.here.now + 3600)
            await here.make()
            assert len(here.here.signing.asked) == 1, "not before its time"
            here.here.signing.keys[here.here.instructor.pubkey] = here.here.instructor
            await here.here.clock.advance(3601)
            assert (await here.make()).attached_at is not None

    async def test_a_signer_of_somebody_else_changes_nothing(self) -> None:
        """Only what the instructor signed becomes the session's next revision."""
        async with studio() as here:
            here.here.signing.keys[here.here.instructor.pubkey] = new_key()
            row = await here.recorded(1)
            assert row.attached_at is None
            assert ("r", row.url) not in (await here.here.event_of(await here.session())).tags


class TestReview:
    """semantics.md: "Review before publishing is the default; unpublish and delete exist everywhere"."""

    @pytest.fixture
    async def here(self) -> AsyncIterator[Studio]:
        """A recording for anybody that waits for a look."""
        async with studio() as here:
            here.here.signing.keys[here.here.instructor.pubkey] = here.here.instructor
            here.here.recorder.settings = RecordingSettings(policies=POLICIES, work=WorkSettings(review=True))
            yield here

    async def answered(self, here: Studio) -> SecretKey:
        """A person says yes, and the session is recorded."""
        person = await here.here.person()
        await here.here.answer(person, await here.session())
        await here.recorded(1)
        return person

    async def told(self, here: Studio, person: SecretKey) -> dict[str, str]:
        """What a person is told of recordings."""
        await here.here.turn()
        states = await here.here.states(person, await here.session())
        return {message: state for message, state in states.items() if message.startswith("recording")}

    async def link(self, here: Studio) -> str | None:
        """What the newest live status links to."""
        await here.here.deliver()
        return tags.first(here.here.published(kinds.MEETING)[-1].tags, "recording")

    async def test_nothing_is_published_before_a_look(self, here: Studio) -> None:
        """It is there for those who lead; no link, no message."""
        person = await self.answered(here)
        row, session = await here.recording(), await here.session()
        assert (row.state, session.recording_state, session.recording_url) == ("review", "review", None)
        assert await self.link(here) is None
        assert await self.told(here, person) == {}
        watching = here.here.watching
        assert await watching.newest(session, Viewer(person.pubkey)) is None
        assert await watching.newest(session, Viewer(here.here.instructor.pubkey)) == row
        assert not await watching.may_watch(session, row, Viewer(person.pubkey))

    async def test_published_taken_back_and_published_again(self, here: Studio) -> None:
        """Links come and go, also that in the session's event; people who were told of it are told; the file stays."""
        person, recorder = await self.answered(here), here.here.recorder
        assert await recorder.publish(await here.session()) is None
        row = await here.make()
        assert (row.state, await self.link(here)) == ("available", row.url)
        assert ("r", row.url) in (await here.here.event_of(await here.session())).tags
        assert await self.told(here, person) == {"recording": "sent"}
        assert await recorder.unpublish(await here.session()) is None
        row = await here.make()
        assert (row.state, await self.link(here)) == ("unpublished", None)
        assert ("r", row.url) not in (await here.here.event_of(await here.session())).tags
        assert (await here.session()).recording_url is None
        assert not await here.here.watching.may_watch(await here.session(), row, Viewer(person.pubkey))
        assert await self.told(here, person) == {"recording": "sent", "recording_gone": "sent"}
        assert file_of(here, row).exists()
        assert await recorder.publish(await here.session()) is None
        assert (await here.make()).state == "available"

    async def test_deleted_is_gone_for_good(self, here: Studio) -> None:
        """The file and its links; people who were told of it are told; nothing can be done with it any more."""
        person, recorder = await self.answered(here), here.here.recorder
        await recorder.publish(await here.session())
        row = await here.make()
        assert await self.told(here, person) == {"recording": "sent"}
        assert await recorder.delete(await here.session()) is None
        assert not file_of(here, row).exists()
        assert await recorder.by_hash(row.sha256 or "") is None
        gone = await here.make()
        assert (gone.state, gone.store, await self.link(here)) == ("deleted", None, None)
        assert ("r", row.url) not in (await here.here.event_of(await here.session())).tags
        assert await self.told(here, person) == {"recording": "sent", "recording_gone": "sent"}
        for act in (recorder.publish, recorder.unpublish, recorder.delete):
            assert isinstance(await act(await here.session()), Rejection)

    async def test_of_what_was_never_published_nobody_is_told(self, here: Studio) -> None:
        """It is deleted before anybody knew of it."""
        person = await self.answered(here)
        assert await here.here.recorder.delete(await here.session()) is None
        assert (await here.make()).state == "deleted"
        assert await self.told(here, person) == {}

    async def test_a_blossom_copy_comes_and_goes_with_the_publication(self, here: Studio) -> None:
        """It is uploaded when it is published, deleted there when it is taken back, and the file here stays until it is
        deleted: then one that the server keeps is asked for again.
        """
        async with blossom_peer(here.here.clock) as peer:
            recorder = here.here.recorder
            recorder._work._keeper = BlossomServer(
                peer.url, signer=here.here.signer, clock=here.here.clock, lookup=_nowhere, within=30
            )
            await self.answered(here)
            assert peer.blobs == {}
            assert await recorder.publish(await here.session()) is None
            row = await here.recording()
            assert (row.store, list(peer.blobs)) == ("blossom", [row.sha256])
            assert await self.link(here) == row.url == f"{peer.url}/{row.sha256}.webm"
            assert await recorder.unpublish(await here.session()) is None
            assert ((await here.recording()).store, peer.blobs) == ("local", {})
            await recorder.publish(await here.session())
            assert list(peer.blobs) == [row.sha256]
            assert await recorder.delete(await here.session()) is None
            assert peer.blobs == {}
            assert not file_of(here, row).exists()

    async def test_what_is_not_there_cannot_be_acted_on(self, here: Studio) -> None:
        """The refusal says where to look."""
        for act in (here.here.recorder.publish, here.here.recorder.unpublish, here.here.recorder.delete):
            refused = await act(await here.session())
            assert isinstance(refused, Rejection)
            assert "podium recording" in (refused.next_step or "")


async def _nowhere(_host: str, _port: int) -> list[str]:
    raise AssertionError("no name is looked up here")


def _again(here: Studio) -> Recorder:
    """The recorder of a daemon that was started again on the same disk."""
    return join_parts(here.here.core).rooms.recorder


async def _is(here: Studio, state: str) -> bool:
    return (await here.recording()).state == state
