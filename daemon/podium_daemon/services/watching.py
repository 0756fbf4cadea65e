"""Watching a recording: one signed login opens it, played segments earn credit, enough of them complete the session.

The credit is `protocol.live.watching`: distinct seconds, and no more of them than the clock allows. What is completed
here is attested by the attendance service, which looks at the rows.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.clock import Clock
from podium_daemon.refusals import Refused
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.completion import CompletionPolicy, by_recording
from podium_protocol.live.recording import RecordingStage
from podium_protocol.live.session import Visibility
from podium_protocol.live.watching import Allowance, Segment, credit
from podium_storage.database import Transaction
from podium_storage.rows import LiveSessionRow, RecordingRow, WatchRow
from podium_storage.store import Store

_log = structlog.get_logger(__name__)
LASTS: Final = 12 * 3600  # seconds; a long recording with a long pause
MAX_OPEN: Final = 20_000  # anybody may open a public recording: memory is bounded, the oldest is forgotten
_BY_RECORDING: Final = "[lessonId+pubkey+sha256]"


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An open player: its secret, the recording, and what its person has seen of it so far."""

    secret: str
    recording: RecordingRow
    seen: WatchRow

    def __repr__(self) -> str:
        return f"<Opened {self.recording.sha256}>"


class _Viewing(msgspec.Struct, frozen=True):
    """What a secret stands for: `until` in monotonic seconds."""

    lesson_id: str
    pubkey: Pubkey
    sha256: str
    length: int
    until: float


class Watching:
    """Opens players and takes their reports. Secrets and allowances are in memory, what was seen is in the store."""

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
        self._open: dict[bytes, _Viewing] = {}
        self._allowances: dict[tuple[str, Pubkey], Allowance] = {}

    async def open(self, row: LiveSessionRow, login: VerifiedEvent) -> Opened | Refused:
        """Open the newest recording of a session to whoever signed `login`."""
        recording = await self.newest(row)
        if recording is None:
            return Refused("no-recording", "there is no recording of this session", "Look again when it has ended.")
        if not await self.may_watch(row, login.pubkey):
            return Refused("not-allowed", "this session is private", "Sign in with the key that was invited.")
        seen = await self._seen(recording, login)
        now = self._clock.monotonic()
        viewing = _Viewing(row.lesson_id, login.pubkey, seen.sha256, recording.length or 0, now + LASTS)
        secret = base64.urlsafe_b64encode(self._random_bytes(32)).rstrip(b"=").decode()
        self._forget_old(now)
        self._open[_digest(secret)] = viewing
        # one allowance for a person, whatever the number of their players: two tabs do not double the speed
        self._allowances.setdefault(_whose(viewing), Allowance.at_first(now))
        return Opened(secret=secret, recording=recording, seen=seen)

    async def report(self, secret: str, played: Sequence[Segment]) -> tuple[WatchRow, int] | Refused:
        """Credit segments (seconds of the recording, from and to) that a player says were played.

        Returns what has been seen, and the recording's length in milliseconds.
        """
        viewing = self._viewing(secret)
        if viewing is None:
            return Refused("viewing", "this player is not open any more", "Open it again with a signed call.")

        async def scope(tx: Transaction) -> WatchRow:
            table = self._store.watches.within(tx)
            key = [viewing.lesson_id, viewing.pubkey, viewing.sha256]
            before = await table.where(_BY_RECORDING).equals(key).first()
            assert before is not None, "a player that is open has a row"
            after = self._credited(before, played, viewing)
            if after.spans != before.spans or after.completed_at != before.completed_at:
                await table.put(after)
            return after

        return await self._store.database.transact(scope), viewing.length

    def opens(self, secret: str, sha256: str) -> bool:
        """Whether a player's secret lets its holder read the file with this hash."""
        viewing = self._viewing(secret)
        return viewing is not None and viewing.sha256 == sha256

    async def newest(self, row: LiveSessionRow) -> RecordingRow | None:
        """The recording that a session shows: that of the last run that has one."""
        rows = await self._store.recordings.where("lessonId").equals(row.lesson_id).to_list()
        shown = [one for one in rows if one.state == RecordingStage.AVAILABLE and one.sha256]
        return max(shown, key=lambda one: one.run, default=None)

    async def may_watch(self, row: LiveSessionRow, pubkey: Pubkey) -> bool:
        """Public sessions are anybody's; private ones are for those who lead, are invited, answered or were there."""
        if row.visibility != Visibility.PRIVATE:
            return True
        if pubkey in (row.instructor_pubkey, *row.co_hosts, *row.invited):
            return True
        key = [row.lesson_id, pubkey]
        answered = await self._store.rsvps.where("[lessonId+pubkey]").equals(key).count()
        attended = await self._store.attendance.where("[lessonId+pubkey]").equals(key).count()
        return bool(answered or attended)

    async def _seen(self, recording: RecordingRow, login: VerifiedEvent) -> WatchRow:
        assert recording.sha256 is not None, "a recording that is available has its hash"
        key = [recording.lesson_id, login.pubkey, recording.sha256]
        before = await self._store.watches.where(_BY_RECORDING).equals(key).first()
        now = int(self._clock.now())
        fresh = before or WatchRow(
            lesson_id=recording.lesson_id, pubkey=login.pubkey, sha256=recording.sha256, updated_at=now
        )
        row = msgspec.structs.replace(fresh, proof_id=login.id, updated_at=now)
        await self._store.watches.upsert([row], by=_BY_RECORDING)
        return row

    def _credited(self, before: WatchRow, played: Sequence[Segment], viewing: _Viewing) -> WatchRow:
        now = self._clock.monotonic()
        earned = credit(
            before.spans,
            played,
            length=viewing.length,
            allowance=self._allowances.get(_whose(viewing), Allowance.at_first(now)),
            now=now,
        )
        self._allowances[_whose(viewing)] = earned.allowance
        at = int(self._clock.now())
        after = msgspec.structs.replace(
            before, spans=tuple(tuple(span) for span in earned.spans), watched=earned.watched, updated_at=at
        )
        if before.completed_at is not None:
            return after  # never taken back, and never later than it was
        seconds = [(start / 1000, end / 1000) for start, end in after.spans]
        done = by_recording(seconds, viewing.length / 1000, now=at, policy=self._policy())
        if done is None:
            return after
        _log.info("somebody watched the recording", action="recording.watched", session=viewing.lesson_id)
        return msgspec.structs.replace(after, completed_at=done.at)

    def _viewing(self, secret: str) -> _Viewing | None:
        viewing = self._open.get(_digest(secret))
        return viewing if viewing is not None and viewing.until > self._clock.monotonic() else None

    def _forget_old(self, now: float) -> None:
        # in order of opening, and all last equally long: the old ones are in front
        while self._open:
            first = next(iter(self._open))
            if self._open[first].until > now and len(self._open) < MAX_OPEN:
                break
            del self._open[first]
        while len(self._allowances) >= MAX_OPEN:
            del self._allowances[next(iter(self._allowances))]


def _whose(viewing: _Viewing) -> tuple[str, Pubkey]:
    return viewing.sha256, viewing.pubkey


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
