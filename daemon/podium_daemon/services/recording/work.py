"""From tracks to a published recording: collected, mixed in a process of its own, stored, read back, published.

Each step is stored before the next one begins. A daemon that died in the middle begins again with the tracks it has
collected; a failed recording says why, keeps its tracks and can be tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engine import EngineUnavailable, RoomId
from podium_daemon.media.job import Layout, MixDone, MixFailed, run_mix
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.services.recording.files import Keeper, LocalFiles, MadeFile, digest_of
from podium_daemon.services.recording.ledger import RecordingLedger
from podium_daemon.services.recording.publishing import RecordingPublisher
from podium_daemon.services.recording.tracks import Tracks
from podium_protocol.errors import PodiumError
from podium_protocol.live.recording import RecordingStage, access_of
from podium_protocol.live.session import RecordingAccess
from podium_storage.table.models import LiveSessionRow, RecordingRow

_log = structlog.get_logger(__name__)
ATTEMPTS: Final = 60  # to reach an engine that does not answer, one every five seconds
_TOLD_EVERY: Final = 5  # percent: a progress bar needs no more, and each step is a transaction
_MEGABYTE: Final = 1_000_000
_AGAIN: Final = 3600  # seconds until a server that did not delete a file is asked again


class WorkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How recordings are made; `review`: the instructor or a co-host checks them before they are published."""

    layout: Layout = Layout.SPEAKER
    keep_tracks: bool = False
    max_megabytes: int = 4096
    review: bool = False


_MADE: Final = frozenset(
    {RecordingStage.REVIEW, RecordingStage.AVAILABLE, RecordingStage.UNPUBLISHED, RecordingStage.DELETED}
)


class _NotMade(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RecordingWork:
    """Processes one recording at a time."""

    def __init__(
        self,
        settings: WorkSettings,
        *,
        ledger: RecordingLedger,
        tracks: Tracks,
        keeper: Keeper,
        guarded_keeper: LocalFiles,
        publisher: RecordingPublisher,
        clock: Callable[[], float],
    ) -> None:
        """`guarded_keeper`: stores recordings that are not public, wherever the others are stored."""
        self.settings = settings
        self._ledger = ledger
        self._tracks = tracks
        self._keeper = keeper
        self._guarded_keeper = guarded_keeper
        self._publisher = publisher
        self._clock = clock

    async def process(self, row: RecordingRow) -> RecordingRow:
        """Bring a pending recording to its end: available, or failed with the reason.

        Raises:
            EngineUnavailable: the engine does not answer, and it has not been asked often enough to give up.
            PodiumError: another part, such as the signer or the disk, fails for now; the recording is pending again.
        """
        session = await self._ledger.session(row.session_address)
        if session is None or session.conference_room_id is None:
            return await self._ledger.change(row, RecordingStage.FAILED, reason="its session is not known any more")
        try:
            await self._collect(row, RoomId(session.conference_room_id))
            row = await self._ledger.change(row, RecordingStage.PROCESSING, progress=0, reason=None)
            return await self._made(row, session)
        except _NotMade as error:
            _log.error("a recording failed", action="recording.failed", session=row.session_address, why=error.reason)
            return await self._ledger.change(row, RecordingStage.FAILED, reason=error.reason)
        except PodiumError:
            # the signer or the disk of the database failed: it is tried again, from the tracks
            if row.state == RecordingStage.PROCESSING:
                await self._ledger.change(row, RecordingStage.PENDING, progress=0)
            raise

    async def publish(self, row: RecordingRow, session: LiveSessionRow) -> Rejection | None:
        """Publish a recording that is stored here; a public one is stored where public recordings are."""
        is_public = access_of(session, row.access) is RecordingAccess.PUBLIC
        keeper = self._keeper if is_public else self._guarded_keeper
        assert row.sha256 is not None, "what was made has its hash"
        url: str | Rejection = self._guarded_keeper.url_of(row.sha256)
        if keeper is not self._guarded_keeper:
            url = await keeper.store_file(
                MadeFile(
                    path=self._guarded_keeper.path_of(row.sha256),
                    sha256=row.sha256,
                    size=row.size or 0,
                    media_type=row.media_type or "video/webm",
                    title=session.title,
                )
            )
        if isinstance(url, Rejection):
            return url
        await self._publisher.publish(row, url, store=keeper.name)
        return None

    async def unpublish(self, row: RecordingRow) -> Rejection | None:
        """Withdraw a recording: it stays here for instructor and co-hosts."""
        assert row.sha256 is not None, "what was made has its hash"
        if not await asyncio.to_thread(self._guarded_keeper.path_of(row.sha256).exists):
            return Rejection(
                Slug.ONLY_COPY, f"the only copy is with {row.store}", "Export it if need be, then delete it."
            )
        if row.store == self._keeper.name != self._guarded_keeper.name:
            refused = await self._keeper.forget(row.sha256)
            if refused is not None:
                return refused
        await self._publisher.withdraw(row, RecordingStage.UNPUBLISHED, store=self._guarded_keeper.name)
        return None

    async def delete(self, row: RecordingRow) -> None:
        """Delete a recording from pages and status at once, then its file; a server that fails is tried each hour."""
        row = await self._publisher.withdraw(row, RecordingStage.DELETED, attach_at=int(self._clock()))
        await self._file_gone(row)  # removing the link from the session needs the instructor's signer: see `settle`

    async def finish_recording(self, row: RecordingRow) -> RecordingRow:
        """Finish the rest of a recording: the file of a deleted one, and the link in the session's event."""
        if row.state == RecordingStage.DELETED:
            row = await self._file_gone(row)
        return row if row.state == RecordingStage.DELETED and row.store else await self._publisher.attach(row)

    async def _file_gone(self, row: RecordingRow) -> RecordingRow:
        refused = await self.forget(row)
        if refused is not None:
            _log.warning("a recording is not deleted yet", action="recording.keep", why=refused.detail)
            return await self._ledger.change(row, attach_at=int(self._clock()) + _AGAIN, reason=refused.detail)
        return await self._ledger.change(row, store=None, reason=None)

    async def forget(self, row: RecordingRow) -> Rejection | None:
        """Delete the file and the tracks of a recording; return why not if its keeper does not delete it."""
        keepers = {keeper.name: keeper for keeper in (self._guarded_keeper, self._keeper)}
        keeper = keepers.get(row.store or "")
        if row.sha256 is not None and row.store is not None:
            if keeper is None:
                return Rejection(
                    Slug.OTHER_STORE, f"recordings are not kept by {row.store} any more", "Delete it there."
                )
            refused = await keeper.forget(row.sha256) or await self._guarded_keeper.forget(row.sha256)
            if refused is not None:
                return refused
        await self._tracks.clear(row)
        return None

    async def _collect(self, row: RecordingRow, room: RoomId) -> None:
        try:
            refused = await self._tracks.collect(row, room)
        except EngineUnavailable as error:
            if row.attempts + 1 >= ATTEMPTS:
                raise _NotMade(f"the engine does not answer: {error}") from error
            await self._ledger.change(row, attempts=row.attempts + 1)
            raise
        if refused is not None:
            # a room that is gone gives no more tracks; those collected before may be all there are
            _log.info("nothing more was collected", action="recording.collect", why=refused.detail)

    async def _made(self, row: RecordingRow, session: LiveSessionRow) -> RecordingRow:
        try:
            largest = self.settings.max_megabytes * _MEGABYTE
            job, left_out = await self._tracks.job(row, session, self.settings.layout, largest)
        except OSError as error:
            raise _NotMade(f"the tracks cannot be read: {error.strerror}") from error
        if not job.tracks:
            raise _NotMade("; ".join(("there are no tracks: nobody was heard or seen while it recorded", *left_out)))

        async def told(percent: int) -> None:
            nonlocal row
            if percent >= row.progress + _TOLD_EVERY:
                row = await self._ledger.change(row, progress=percent)

        mixed = await run_mix(job, told)
        if isinstance(mixed, MixFailed):
            raise _NotMade("; ".join((mixed.reason, *left_out)))
        return await self._kept(row, session, Path(job.output), mixed, left_out)

    async def _kept(
        self, row: RecordingRow, session: LiveSessionRow, path: Path, mixed: MixDone, left_out: tuple[str, ...]
    ) -> RecordingRow:
        try:
            sha256, size = await asyncio.to_thread(digest_of, path)
        except OSError as error:
            raise _NotMade(f"the finished file cannot be read: {error.strerror}") from error
        if size > self.settings.max_megabytes * _MEGABYTE:
            raise _NotMade(f"it is larger than {self.settings.max_megabytes} MB (recording.max_megabytes)")
        is_public = access_of(session, row.access) is RecordingAccess.PUBLIC
        keeper = self._keeper if is_public and not self.settings.review else self._guarded_keeper
        made = MadeFile(path=path, sha256=sha256, size=size, media_type=mixed.media_type, title=session.title)
        url = await keeper.store_file(made)
        if isinstance(url, Rejection):
            raise _NotMade(url.detail)
        about = {"sha256": sha256, "size": size, "length": mixed.length, "media_type": mixed.media_type}
        about |= {"store": keeper.name, "notes": (*mixed.notes, *left_out)}
        if self.settings.review:
            held = {"url": url, "progress": 100, "reason": None}
            done = await self._ledger.change(row, RecordingStage.REVIEW, **about, **held)
        else:
            done = await self._publisher.publish(row, url, **about)
        if not self.settings.keep_tracks:
            await self._tracks.clear(row)
            await self._discard(done, session)
        return done

    async def _discard(self, row: RecordingRow, session: LiveSessionRow) -> None:
        """Have the engine delete its media too, unless another run of the session still needs them."""
        runs = await self._ledger.recordings_of(row.session_address)
        if all(run.state in _MADE for run in runs) and session.conference_room_id is not None:
            await self._tracks.discard(RoomId(session.conference_room_id))
