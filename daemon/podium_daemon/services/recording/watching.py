"""Watching a recording: a login opens it, played segments earn credit, and enough credit is completion.

The rule is `protocol.live.completion`: distinct seconds, and no more of them than the clock allows. The attendance
service, which follows the rows, attests a completion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.secret_table import digest_of, new_secret
from podium_protocol.events import EventId, Pubkey
from podium_protocol.live.completion import CompletionPolicy, ReportAllowance, Segment, by_recording, credit
from podium_protocol.live.recording import RecordingStage, access_of
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import RecordingAccess
from podium_storage.database import Transaction
from podium_storage.errors import StoreError
from podium_storage.guests import guest_in, guests_for
from podium_storage.resume_tokens import StoredViewing, Viewings
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RecordingRow, WatchRow

_log = structlog.get_logger(__name__)
LASTS: Final = 12 * 3600  # seconds; a long recording with a long pause
MAX_OPEN: Final = 20_000  # any visitor may open a public recording: beyond it the oldest player is forgotten
_BY_LEADERS: Final = (RecordingStage.REVIEW, RecordingStage.AVAILABLE, RecordingStage.UNPUBLISHED)
_COMING: Final = (RsvpStatus.CONFIRMED.value, RsvpStatus.TENTATIVE.value)
_BY_RECORDING: Final = "[lessonId+pubkey+sha256]"
_CLOSED: Final = Rejection(Slug.VIEWING, "this player is not open any more", "Open it again.")


class Viewer(msgspec.Struct, frozen=True):
    """A person who wants to see a recording, and how they signed in: "key", "link" or "guest"."""

    pubkey: Pubkey
    assurance: str = "key"

    @property
    def is_key(self) -> bool:
        """Whether they signed in with their key: only then do they have the powers of instructor or co-host."""
        return self.assurance == "key"


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An open player: its secret, the recording, and what the viewer has seen of it so far."""

    secret: str
    recording: RecordingRow
    seen: WatchRow

    def __repr__(self) -> str:
        return f"<Opened {self.recording.sha256}>"


class Watching:
    """Opens players and takes their reports.

    Players and watched spans are in the store, so that no viewer loses them by a restart; allowances are in memory, and
    after a restart follow from the last report.
    """

    def __init__(
        self,
        store: Store,
        *,
        policy: Callable[[], CompletionPolicy],
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._random_bytes = random_bytes
        self._open = Viewings(store.database, at_most=MAX_OPEN)
        self._allowances: dict[tuple[str, str], ReportAllowance] = {}

    async def open(self, row: LiveSessionRow, viewer: Viewer, login_id: EventId | None = None) -> Opened | Rejection:
        """Open the newest recording of a session to a person; `login_id` is of the event that they signed for it."""
        recording = await self.newest(row, viewer)
        if recording is None:
            return Rejection(
                Slug.NO_RECORDING, "there is no recording of this session", "Look again when it has ended."
            )
        if not await self.may_watch(row, recording, viewer):
            detail = "this recording is for those who answered yes or maybe, were invited or took part"
            return Rejection(Slug.NOT_ALLOWED, detail, "Sign in with the key with which you answered or joined.")
        secret = new_secret(self._random_bytes)
        viewing = self._player(row, recording, viewer, secret)
        seen = await self._store.database.transact(lambda tx: self._keep(tx, viewing, viewer, login_id))
        self._forget_old()
        # one allowance for a person, however many players they have: two tabs do not double the speed
        self._allowances.setdefault(_whose(seen), ReportAllowance.at_first(self._clock.monotonic()))
        return Opened(secret=secret, recording=recording, seen=seen)

    async def report(self, secret: str, played: Sequence[Segment]) -> tuple[WatchRow, int] | Rejection:
        """Credit segments (from and to, in seconds of the recording) that a player reports as played.

        Returns the watched spans, and the recording's length in milliseconds.
        """
        viewing = await self._viewing(secret)
        if viewing is None:
            return _CLOSED

        async def scope(tx: Transaction) -> WatchRow | None:
            table = self._store.watches.within(tx)
            key = [viewing.lesson, viewing.pubkey, viewing.sha256]
            before = await table.where(_BY_RECORDING).equals(key).first()
            if before is None:
                return None  # the row was deleted with the session's attendance (retention)
            after = self._credited(before, played, viewing.length)
            if after.spans != before.spans or after.completed_at != before.completed_at:
                await table.put(after)
            return after

        try:
            row = await self._store.database.transact(scope)
        except StoreError:
            # a report that was not stored earns no credit: the allowance follows from the last stored one
            self._allowances.pop((viewing.sha256, viewing.pubkey), None)
            raise
        return _CLOSED if row is None else (row, viewing.length)

    async def opens(self, secret: str, row: LiveSessionRow, recording: RecordingRow) -> bool:
        """Whether a player's secret lets its holder read the file of a recording now."""
        viewing = await self._viewing(secret)
        if viewing is None or viewing.sha256 != recording.sha256:
            return False
        return await self.may_watch(row, recording, Viewer(Pubkey(viewing.pubkey), "key" if viewing.leads else "link"))

    async def newest(self, row: LiveSessionRow, viewer: Viewer) -> RecordingRow | None:
        """The recording of a session that a person is shown: that of the last run that has one."""
        rows = await self._store.recordings.where("lessonId").equals(row.session_address).to_list()
        stages = _BY_LEADERS if _leads(row, viewer) else (RecordingStage.AVAILABLE,)
        shown = [one for one in rows if one.state in stages and one.sha256]
        return max(shown, key=lambda one: one.run, default=None)

    async def may_watch(self, row: LiveSessionRow, recording: RecordingRow, viewer: Viewer) -> bool:
        """Whether a person may see a recording of the session (semantics.md, "Who may see it")."""
        if _leads(row, viewer):
            return True
        if recording.state != RecordingStage.AVAILABLE:
            return False
        return access_of(row, recording.access) is RecordingAccess.PUBLIC or await self.takes_part(row, viewer)

    async def takes_part(self, row: LiveSessionRow, viewer: Viewer) -> bool:
        """Whether a person leads the session, is invited to it, by a link too, is coming, or attended it."""
        pubkey = viewer.pubkey
        if _leads(row, viewer) or pubkey in row.invited:
            return True
        key = [row.session_address, pubkey]
        answers = await self._store.rsvps.where("[lessonId+pubkey]").equals(key).to_list()
        attended = await self._store.attendance.where("[lessonId+pubkey]").equals(key).count()
        guest = await guest_in(self._store, row.session_address, pubkey)
        links = [*filter(None, [guest]), *await guests_for(self._store, row.session_address, [pubkey])]
        holds_link = any(one.assurance == "link" and one.revoked_at is None for one in links)
        return bool(attended) or holds_link or any(answer.status in _COMING for answer in answers)

    def _player(self, row: LiveSessionRow, recording: RecordingRow, viewer: Viewer, secret: str) -> StoredViewing:
        assert recording.sha256 is not None, "a recording that is available has its hash"
        return StoredViewing(
            digest=digest_of(secret),
            lesson=recording.session_address,
            pubkey=viewer.pubkey,
            sha256=recording.sha256,
            length=recording.length or 0,
            until=int(self._clock.now()) + LASTS,
            leads=_leads(row, viewer),
        )

    async def _keep(
        self, tx: Transaction, viewing: StoredViewing, viewer: Viewer, login_id: EventId | None
    ) -> WatchRow:
        now = int(self._clock.now())
        await self._open.add(tx, viewing, now=now)
        table = self._store.watches.within(tx)
        before = await table.where(_BY_RECORDING).equals([viewing.lesson, viewing.pubkey, viewing.sha256]).first()
        fresh = before or WatchRow(
            session_address=viewing.lesson, pubkey=viewer.pubkey, sha256=viewing.sha256, updated_at=now
        )
        # credit that was earned by a link stays so
        assurance = fresh.assurance or (None if viewer.is_key else viewer.assurance)
        row = msgspec.structs.replace(fresh, proof_id=login_id or fresh.proof_id, assurance=assurance, updated_at=now)
        await table.upsert([row], by=_BY_RECORDING)
        return row

    def _credited(self, before: WatchRow, played: Sequence[Segment], length: int) -> WatchRow:
        now = self._clock.monotonic()
        allowance = self._allowances.get(_whose(before)) or self._recalled(before, now)
        earned = credit(before.spans, played, length=length, allowance=allowance, now=now)
        self._allowances[_whose(before)] = earned.allowance
        at = int(self._clock.now())
        after = msgspec.structs.replace(
            before, spans=tuple(tuple(span) for span in earned.spans), watched=earned.watched, updated_at=at
        )
        if before.completed_at is not None:
            return after  # a completion is never withdrawn, and never becomes later
        seconds = [(start / 1000, end / 1000) for start, end in after.spans]
        done = by_recording(seconds, length / 1000, now=at, policy=self._policy())
        if done is None:
            return after
        _log.info("a viewer watched the recording", action="recording.watched", session=before.session_address)
        return msgspec.structs.replace(after, completed_at=done.at)

    def _recalled(self, before: WatchRow, now: float) -> ReportAllowance:
        """The allowance after a restart: the time since the last report, without what was left before it."""
        return ReportAllowance(0.0, now - max(self._clock.now() - before.updated_at, 0.0))

    async def _viewing(self, secret: str) -> StoredViewing | None:
        return await self._open.get(digest_of(secret), now=int(self._clock.now()))

    def _forget_old(self) -> None:
        while len(self._allowances) >= MAX_OPEN:
            del self._allowances[next(iter(self._allowances))]


def _whose(row: WatchRow) -> tuple[str, str]:
    return row.sha256, row.pubkey


def _leads(row: LiveSessionRow, viewer: Viewer) -> bool:
    return viewer.is_key and viewer.pubkey in (row.instructor_pubkey, *row.co_hosts)
