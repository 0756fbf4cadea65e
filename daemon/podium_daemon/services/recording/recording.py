"""Recording a session: the service that owns recordings and the answers to their policy.

`segments` begins and ends segments, `work` makes the files; this service tells them when.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from podium_daemon.conference.engine import ConferenceEngine, RecordingChanged, RecordingState, RoomId, Support
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.keyed_locks import KeyedLocks
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.reconcile_loop import run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.recording.consent import Consents, hash_of
from podium_daemon.services.recording.files import LocalFiles
from podium_daemon.services.recording.ledger import RecordingLedger
from podium_daemon.services.recording.publishing import RecordingPublisher
from podium_daemon.services.recording.segments import STOPPED, WITHDRAWN, Notify, Segments
from podium_daemon.services.recording.tracks import Tracks
from podium_daemon.services.recording.work import RecordingWork, WorkSettings
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.recording import RecordingStage, policies_for, policy_in
from podium_storage.changes import Batch
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RecordingConsentRow, RecordingRow, RoomMemberRow

_log = structlog.get_logger(__name__)
_RESTARTED: Final = "the daemon was started again while it recorded"
_BEING_MADE: Final = (RecordingStage.RECORDING, RecordingStage.PENDING, RecordingStage.PROCESSING)
_FILES_WITHIN: Final = 30.0  # seconds after the end
_UNPUBLISHED: Final = (RecordingStage.REVIEW, RecordingStage.UNPUBLISHED)
_KEPT: Final = (*_UNPUBLISHED, RecordingStage.AVAILABLE)
_DELETABLE: Final = (*_KEPT, RecordingStage.FAILED)
_SETTLED: Final = (RecordingStage.AVAILABLE, RecordingStage.UNPUBLISHED, RecordingStage.DELETED)
_ENGINE_ENDED: Final = "the engine ended it"


class RecordingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`policies`: the text that people agree to, by language; who may see the recording is added to each."""

    policies: Mapping[str, str]
    work: WorkSettings = WorkSettings()


class Recorder:
    """Owns recordings. For each session it handles one command or check at a time."""

    name = "recording"

    def __init__(
        self,
        settings: RecordingSettings,
        *,
        store: Store,
        engine: ConferenceEngine,
        ledger: RecordingLedger,
        tracks: Tracks,
        work: RecordingWork,
        publisher: RecordingPublisher,
        files: LocalFiles,
        notify: Notify,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine
        self._ledger = ledger
        self._work = work
        self._publisher = publisher
        self._files = files
        self._clock = clock
        self._consents = Consents(store, engine, clock)
        self._segments = Segments(
            engine=engine,
            ledger=ledger,
            consents=self._consents,
            tracks=tracks,
            policy_hashes=self.policy_hashes,
            notify=notify,
            clock=clock,
        )
        self._commands = KeyedLocks()
        self._unready: set[RoomId] = set()  # rooms whose files the engine has not finished

    @property
    def settings(self) -> RecordingSettings:
        """The settings in force; a reload replaces them. People have to agree again to a changed policy."""
        return self._settings

    @settings.setter
    def settings(self, settings: RecordingSettings) -> None:
        self._settings = settings
        self._work.settings = settings.work
        self._segments.invalidate_consents()

    async def run(self, stop: Stop) -> None:
        """Check what is being recorded, and make the files of what was, until the stop."""
        await self.resume()
        store = self._store
        watched = (store.sessions.name, store.intervals.name, store.members.name, store.recordings.name)
        with (
            store.changes.subscribe(*watched) as changes,
            store.changes.subscribe(store.recordings.name) as news,
        ):
            looking = run_reconcile_loop(self.name, self._turn, changes, clock=self._clock, stop=stop)
            making = run_reconcile_loop(f"{self.name} work", self._make, news, clock=self._clock, stop=stop)
            await _until_stopped(stop, looking, making, self._follow_engine())

    async def resume(self) -> None:
        """After a restart: make unfinished files again, and pause what was being recorded."""
        for row in await self._ledger.in_stages(RecordingStage.PROCESSING):
            await self._ledger.change(row, RecordingStage.PENDING, progress=0)
        for row in await self._ledger.in_stages(RecordingStage.RECORDING):
            await self._segments.close(row, _RESTARTED)

    # -- reads

    def is_recording(self, session_address: str) -> bool:
        """Whether a session is being recorded: newcomers must then agree before they enter."""
        return self._segments.is_active(session_address)

    @property
    def support(self) -> Support:
        """Whether this engine records at all."""
        return self._engine.capabilities.record

    def policy(self, row: LiveSessionRow, language: str) -> tuple[str, str]:
        """The text that people of a session agree to who read this language, and its SHA-256."""
        text = policy_in(self.policies(row), language)
        return text, hash_of(text)

    def policies(self, row: LiveSessionRow) -> dict[str, str]:
        """The texts that people of a session agree to, by language."""
        return policies_for(row, self.settings.policies)

    def policy_hashes(self, row: LiveSessionRow) -> frozenset[str]:
        """The SHA-256 of each of the texts: a signed yes to any of them is consent."""
        return frozenset(map(hash_of, self.policies(row).values()))

    async def session(self, session_address: str) -> LiveSessionRow | None:
        """Read the session."""
        return await self._ledger.session(session_address)

    async def by_hash(self, sha256: str) -> RecordingRow | None:
        """The recording whose file has this hash, or None if it is not stored here."""
        found = await self._store.recordings.where("sha256").equals(sha256).to_list()
        return next((one for one in found if one.store == LocalFiles.name and one.state in _KEPT), None)

    def file_of(self, sha256: str) -> Path:
        """The path of the file with this hash, if it is stored here."""
        return self._files.path_of(sha256)

    async def recordings(self, row: LiveSessionRow) -> list[RecordingRow]:
        """The recordings of a session, one for each run."""
        return await self._ledger.recordings_of(row.session_address)

    async def has_agreed(self, row: LiveSessionRow, person: Pubkey) -> bool:
        """Whether this person agrees to the policy in force, in the room or not."""
        return person in await self._consents.answers(row.session_address, [person], self.policy_hashes(row))

    async def undecided(self, row: LiveSessionRow) -> list[Pubkey]:
        """The people in the room who have not agreed; the instructor or a co-host decides what to do."""
        return await self._segments.undecided(row) if row.state == SessionState.ACTIVE else []

    async def evidence(self, row: LiveSessionRow) -> list[RecordingConsentRow]:
        """Every signed answer stored with the session's recordings, in the order of storing."""
        rows = await self._store.consents.where("lessonId").equals(row.session_address).to_list()
        return sorted(rows, key=lambda one: one.id or 0)

    # -- commands; the caller has checked that `by` is the instructor or a co-host

    async def record(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> Rejection | None:
        """Start recording, or stop until the next start; the file is made after the end of the session."""
        if self.support is not Support.NATIVE:
            assert row.conference_room_id is not None, "every adopted session has its room"
            unable = await self._engine.start_recording(RoomId(row.conference_room_id), only=())
            return unable if isinstance(unable, Rejection) else None
        refused = None
        async with self._commands.hold(row.session_address):
            if wanted:
                refused = await self._segments.begin(row)
            else:
                await self._segments.pause(row.session_address, "the instructor or a co-host stopped it", STOPPED)
        if refused is None:
            _log.info(
                "recording was switched", action="recording.switch", session=row.session_address, by=by, wanted=wanted
            )
        return refused

    async def answer(self, row: LiveSessionRow, event: VerifiedEvent) -> Rejection | None:
        """Take a participant's signed answer from inside the room. A no pauses the recording before this returns."""
        taken = await self._consents.accept_answer(row, event, self.policy_hashes(row))
        if isinstance(taken, Rejection):
            return taken
        if not taken.given:
            async with self._commands.hold(row.session_address):
                await self._segments.pause(row.session_address, "a participant withdrew their consent", WITHDRAWN)
        return None

    async def retry(self, row: LiveSessionRow) -> Rejection | None:
        """Make failed recordings again from their tracks."""
        failed = [
            one for one in await self._ledger.recordings_of(row.session_address) if one.state == RecordingStage.FAILED
        ]
        if not failed:
            return Rejection(Slug.NOTHING_FAILED, "no recording of this session has failed", "See `podium recording`.")
        for one in failed:
            await self._ledger.change(one, RecordingStage.PENDING, attempts=0, progress=0, reason=None)
        return None

    async def publish(self, row: LiveSessionRow) -> Rejection | None:
        """Publish a recording that was reviewed, or withdrawn before."""
        return await self._act(row, _UNPUBLISHED, Slug.NOTHING_TO_PUBLISH, lambda one: self._work.publish(one, row))

    async def unpublish(self, row: LiveSessionRow) -> Rejection | None:
        """Withdraw the recording; instructor and co-hosts can still see it here."""
        return await self._act(row, (RecordingStage.AVAILABLE,), Slug.NOTHING_PUBLISHED, self._work.unpublish)

    async def delete(self, row: LiveSessionRow) -> Rejection | None:
        """Delete the recordings of a session for good, with files and links, and tell the people who knew of them."""
        return await self._act(row, _DELETABLE, Slug.NOTHING_TO_DELETE, self._work.delete)

    async def _act(
        self,
        row: LiveSessionRow,
        stages: Collection[RecordingStage],
        slug: Slug,
        act: Callable[[RecordingRow], Awaitable[Rejection | None]],
    ) -> Rejection | None:
        async with self._commands.hold(row.session_address):
            fitting = [one for one in await self._ledger.recordings_of(row.session_address) if one.state in stages]
            if not fitting:
                words = "no recording of this session is in a state for that"
                return Rejection(
                    slug, words, "See `podium recording`; one that is being made has to be finished first."
                )
            for one in fitting:
                refused = await act(one)
                if refused is not None:
                    return refused
        return None

    async def forget(self, session_address: str) -> bool:
        """Delete the files of a session's recordings; False if one is being made, or cannot be deleted."""
        rows = await self._ledger.recordings_of(session_address)
        if any(row.state in _BEING_MADE for row in rows):
            return False
        refusals = [await self._work.forget(row) for row in rows]
        for refused in refusals:
            if refused is not None:
                _log.warning(
                    "a recording is not deleted yet",
                    action="recording.keep",
                    session=session_address,
                    why=refused.detail,
                )
        return not any(refusals)

    # -- turns

    async def _turn(self, batch: Batch) -> float | None:
        doubtful = None if batch.resync else _answered(batch)
        for row in await self._ledger.in_stages(RecordingStage.RECORDING, RecordingStage.PAUSED):
            async with self._commands.hold(row.session_address):
                await self._segments.reconcile(
                    row, None if doubtful is None else doubtful.get(row.session_address, frozenset())
                )
        return None

    async def _make(self, _batch: Batch) -> float | None:
        for row in await self._ledger.in_stages(RecordingStage.PENDING):
            if await self._is_early(row):
                return self._clock.now() + 1
            await self._work.process(row)
        now = self._clock.now()
        for row in await self._ledger.in_stages(*_SETTLED):
            if row.attach_at is not None and row.attach_at <= now:
                await self._work.finish_recording(row)
        waiting = [one.attach_at for one in await self._ledger.in_stages(*_SETTLED)]
        return min((float(at) for at in waiting if at is not None), default=None)

    async def _is_early(self, row: RecordingRow) -> bool:
        """Whether the engine may still be finishing its files; the wait for it is short."""
        session = await self._ledger.session(row.session_address)
        is_unready = session is not None and session.conference_room_id in self._unready
        if is_unready and self._clock.now() - row.updated_at < _FILES_WITHIN:
            return True
        if session is not None and session.conference_room_id is not None:
            self._unready.discard(RoomId(session.conference_room_id))
        return False

    async def _follow_engine(self) -> None:
        async for event in self._engine.events():
            if not isinstance(event, RecordingChanged):
                continue
            if event.state is RecordingState.STARTED:
                self._unready.add(event.room)
            elif event.state in (RecordingState.READY, RecordingState.FAILED):
                self._unready.discard(event.room)
            if event.state is RecordingState.FAILED:
                await self._engine_failed(event)

    async def _engine_failed(self, event: RecordingChanged) -> None:
        """Pause and say so: people must not think they are recorded, nor the instructor that there will be a file."""
        row = await self._store.sessions.where("conferenceRoomId").equals(event.room).first()
        if row is None or not self.is_recording(row.session_address):
            return
        _log.error(
            "the engine's recorder failed", action="recording.engine", session=row.session_address, why=event.detail
        )
        async with self._commands.hold(row.session_address):
            await self._segments.pause(row.session_address, f"{_ENGINE_ENDED}: {event.detail}", STOPPED)


async def _until_stopped(stop: Stop, *works: Coroutine[Any, Any, None]) -> None:
    """Run all until the stop; then the first finishes its turn, and the others are cancelled: mixing takes minutes."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if stop.is_set():
            await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _answered(batch: Batch) -> dict[str, frozenset[str]]:
    """By room, the people whose row has changed: they may have withdrawn their consent."""
    found: dict[str, set[str]] = defaultdict(set)
    for change in batch.changes:
        row = change.after or change.before
        if isinstance(row, RoomMemberRow):
            found[row.session_address].add(row.pubkey)
    return {address: frozenset(people) for address, people in found.items()}
