"""Segments (takes): the spans in which all people present have agreed, begun and ended on the engine.

The rule is `protocol.live.recording`; it is asked before a segment and whenever the room or an answer changes. Each
order is stored before it is given: a segment that is closed here ends there, whatever the engine captures afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from podium_daemon.conference.engine import ConferenceEngine, EngineUnavailable, RoomId
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, slug_of
from podium_daemon.services.recording.consent import Consents, SignedConsent
from podium_daemon.services.recording.ledger import RecordingLedger
from podium_daemon.services.recording.tracks import Tracks
from podium_protocol.events import Pubkey
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.recording import (
    Objection,
    ObjectionReason,
    RecordingStage,
    RoomToRecord,
    access_of,
    objection,
)
from podium_storage.database import Transaction
from podium_storage.table.models import LiveSessionRow, RecordingRow

_log = structlog.get_logger(__name__)
Notify = Callable[[str, str], Awaitable[None]]
"""Shows a line of text to all people in a session's room: `await notify(session_address, text)`."""

BEGUN: Final = "This session is being recorded from now on."
STOPPED: Final = "The recording was stopped."
WITHDRAWN: Final = "The recording is paused: not everybody here agrees to it."
_OBJECTIONS: Final[Mapping[ObjectionReason, tuple[str, str]]] = {
    ObjectionReason.E2EE: (
        "a session with end-to-end encryption is not recorded here: the recorder would hold the key",
        "Record on your own device, with everybody's consent.",
    ),
    ObjectionReason.NOT_ALLOWED: (
        "this session was announced without a recording",
        "Edit the session first: people agree to what it says.",
    ),
    ObjectionReason.NOT_LIVE: ("the session is not live", "Record while it is live."),
    ObjectionReason.ROSTER_UNKNOWN: ("the engine does not say who is in the room", "Try again in a moment."),
    ObjectionReason.NOBODY_PRESENT: ("nobody is in the room", "Start the recording once people are there."),
    ObjectionReason.NOT_AGREED: (
        "not everybody in the room has agreed to be recorded",
        "Ask them to agree, or let them go: nobody is sent away for a no.",
    ),
}

Closed = tuple[tuple[float, float | None], ...]


class Segments:
    """Begins, checks and ends segments. Callers must make only one call at a time for a session."""

    def __init__(
        self,
        *,
        engine: ConferenceEngine,
        ledger: RecordingLedger,
        consents: Consents,
        tracks: Tracks,
        policy_hashes: Callable[[LiveSessionRow], frozenset[str]],
        notify: Notify,
        clock: Clock,
    ) -> None:
        """`policy_hashes` returns the hashes of the texts in force, one of which people of a session agree to."""
        self._engine = engine
        self._ledger = ledger
        self._consents = consents
        self._tracks = tracks
        self._policy_hashes = policy_hashes
        self._notify = notify
        self._clock = clock
        self._live: set[str] = set()
        self._only: dict[str, frozenset[Pubkey]] = {}  # the people whom the engine records; all of them agree
        self._agreed: dict[str, frozenset[str]] = {}  # the texts to which they agreed, by their hashes

    def is_active(self, session_address: str) -> bool:
        """Whether a session is being recorded: newcomers must then agree before they enter."""
        return session_address in self._live

    def invalidate_consents(self) -> None:
        """Note that the policy has changed: all people who are recorded must agree again."""
        self._only.clear()

    async def undecided(self, row: LiveSessionRow) -> list[Pubkey]:
        """The people in the room who have not agreed."""
        room, _ = await self._room_and_answers(row, await self._consents.roster(row))
        found = objection(room)
        return list(found.people) if found is not None else []

    async def begin(self, row: LiveSessionRow) -> Rejection | None:
        """Begin a segment, or return why not. During a segment it changes nothing."""
        if row.session_address in self._live:
            return None
        self._live.add(row.session_address)  # first, so that people who come during the check agree at the door
        has_begun = False
        try:
            refused = await self._begun(row)
            has_begun = refused is None
        finally:
            if not has_begun:
                self._live.discard(row.session_address)
        if has_begun:
            await self._notify(row.session_address, BEGUN)
        return refused

    async def pause(self, session_address: str, reason: str, words: str) -> None:
        """Close the segment, then stop the engine: what it captures in between is cut off."""
        session = await self._ledger.session(session_address)
        row = None if session is None else await self._ledger.current(session)
        if session is None or row is None or row.state != RecordingStage.RECORDING:
            return
        row = await self.close(row, reason)
        _log.info("a recording was paused", action="recording.paused", session=session_address, why=reason)
        await self._halt(row, session)
        await self._notify(session_address, words)

    async def close(self, row: RecordingRow, reason: str | None) -> RecordingRow:
        """End the segment in the ledger."""
        row = await self._ledger.change(
            row, RecordingStage.PAUSED, takes=_closed(row, self._clock.now()), reason=reason
        )
        self._off(row.session_address)
        return row

    async def reconcile(self, stale: RecordingRow, doubtful: frozenset[str] | None) -> None:
        """Check a recording that is not over. `doubtful`: people whose answer may have changed; None for all."""
        session = await self._ledger.session(stale.session_address)
        row = next((one for one in await self._ledger.recordings_of(stale.session_address) if one.id == stale.id), None)
        # while this call waited for its turn, another one may have handed the recording over
        if session is None or row is None or row.state not in (RecordingStage.RECORDING, RecordingStage.PAUSED):
            return
        if session.state != SessionState.ACTIVE or row.run != len(session.runs) - 1:
            await self._finish(row, session)
        elif row.state == RecordingStage.RECORDING:
            await self._check(row, session, doubtful)
        elif row.state == RecordingStage.PAUSED and row.engine_on:
            await self._halt(row, session)

    # -- inside

    async def _begun(self, row: LiveSessionRow) -> Rejection | None:
        room, answers = await self._room_and_answers(row, await self._consents.roster(row))
        if (found := objection(room)) is not None:
            return _refusal(found, len(room.roster or ()))
        recording = await self._ledger.open(row)
        if recording.engine_on:  # the engine may still run from before: its files are collected first
            await self._halt(recording, row)
        before = recording.takes
        takes = (*before, (self._clock.now(), None))
        access = access_of(row, recording.access) if before else access_of(row)  # of several segments the narrower
        recording = await self._write(recording, RecordingStage.RECORDING, answers, takes=takes, access=access)
        try:
            begun = await self._engine.start_recording(_room_of(row), only=sorted(answers))
        except EngineUnavailable as error:  # it may have begun: it is told to stop as soon as it answers again
            await self._ledger.change(recording, RecordingStage.PAUSED, takes=before, reason=str(error))
            raise
        if isinstance(begun, Rejection):
            undone = {"takes": before, "reason": begun.detail, "engine_on": False}
            await self._ledger.change(recording, RecordingStage.PAUSED, **undone)
            return begun
        self._only[row.session_address] = frozenset(answers)
        self._agreed[row.session_address] = self._policy_hashes(row)
        return None

    async def _check(self, row: RecordingRow, session: LiveSessionRow, doubtful: frozenset[str] | None) -> None:
        """Pause if a person in the room no longer agrees; record newcomers who agree.

        Only newcomers and doubtful people are checked: a thousand arrivals must not cost a million checks.
        """
        roster = await self._consents.roster(session)
        if roster is None:
            return  # the people who were there had agreed, and no person enters without agreeing
        if self._agreed.get(row.session_address) != self._policy_hashes(
            session
        ):  # the session's policy has changed since
            doubtful = None
        recorded = self._only.get(row.session_address, frozenset())
        to_check = roster if doubtful is None else roster & doubtful
        room, answers = await self._room_and_answers(session, to_check | (roster - recorded))
        found = objection(room)
        if found is not None and found.reason is not ObjectionReason.NOBODY_PRESENT:
            await self.pause(row.session_address, _refusal(found, len(roster)).detail, WITHDRAWN)
            return
        self._agreed[row.session_address] = self._policy_hashes(session)
        if not recorded.issuperset(answers):
            await self._write(row, None, answers, takes=row.takes, access=row.access)
            await self._engine.start_recording(_room_of(session), only=sorted(recorded.union(answers)))
            self._only[row.session_address] = recorded.union(answers)

    async def _halt(self, row: RecordingRow, session: LiveSessionRow) -> None:
        """Stop the engine and collect its files. An engine that does not answer is tried again at the next turn."""
        room = _room_of(session)
        try:
            await self._engine.stop_recording(room)
            refused = await self._tracks.collect(row, room)
        except EngineUnavailable as error:
            _log.warning("the engine was not told to stop", action="recording.retry", reason=str(error))
            return
        if refused is not None:
            _log.info("the engine has no files yet", action="recording.collect", why=refused.detail)
        await self._ledger.change(row, engine_on=False)

    async def _finish(self, row: RecordingRow, session: LiveSessionRow) -> None:
        """After the session: hand the recording over to be made, if there is anything in it."""
        self._off(row.session_address)
        try:
            await self._engine.stop_recording(_room_of(session))
        except EngineUnavailable as error:
            _log.warning("the engine was not told to stop", action="recording.finish", reason=str(error))
        now = self._clock.now()
        ended = dict(enumerate(end for _, end in session.runs)).get(row.run)
        # runs end on whole seconds, rounded down: the last second belongs to the recording
        takes = _closed(row, now if ended is None else min(ended + 1.0, now))
        if not takes:  # it was opened, and the engine refused: there is nothing to make a file from
            await self._ledger.forget(row)
            return
        await self._ledger.change(row, RecordingStage.PENDING, takes=takes, engine_on=False, reason=None)

    async def _write(
        self,
        row: RecordingRow,
        to: RecordingStage | None,
        answers: Mapping[Pubkey, SignedConsent],
        *,
        takes: Closed,
        access: str | None,
    ) -> RecordingRow:
        """Store a segment with these people, together with their signed answers."""

        async def also(tx: Transaction, session: LiveSessionRow) -> LiveSessionRow:
            await self._consents.store_answers(tx, row.session_address, answers)
            return session

        people = tuple(dict.fromkeys((*row.recorded, *sorted(answers))))
        events = tuple(dict.fromkeys((*row.consents, *(answers[one].event.id for one in sorted(answers)))))
        return await self._ledger.change(
            row, to, also, takes=takes, recorded=people, consents=events, access=access, engine_on=True, reason=None
        )

    async def _room_and_answers(
        self, row: LiveSessionRow, roster: frozenset[Pubkey] | None
    ) -> tuple[RoomToRecord, dict[Pubkey, SignedConsent]]:
        session = await self._ledger.session(row.session_address) or row
        policy_hashes = self._policy_hashes(session)
        answers = await self._consents.answers(row.session_address, roster or (), policy_hashes)
        room = RoomToRecord(
            state=SessionState(session.state),
            allowed=session.allow_recording,
            e2ee=session.e2ee_required,
            roster=roster,
            policy_hashes=policy_hashes,
            answers={one: answer.consent for one, answer in answers.items()},
        )
        return room, answers

    def _off(self, session_address: str) -> None:
        self._live.discard(session_address)
        self._only.pop(session_address, None)
        self._agreed.pop(session_address, None)


def _closed(row: RecordingRow, at: float) -> Closed:
    """The segments, with the last one ended."""
    if not row.takes or row.takes[-1][1] is not None:
        return row.takes
    start = row.takes[-1][0]
    return (*row.takes[:-1], (start, max(at, start)))


def _refusal(found: Objection, present: int) -> Rejection:
    detail, step = _OBJECTIONS[found.reason]
    if not found.people:
        return Rejection(slug_of(found.reason), detail, step)
    missing = len(found.people)
    detail = f"{missing} of {present} people in the room have not agreed to be recorded"
    return Rejection(slug_of(found.reason), detail, step, {"missing": missing, "present": present})


def _room_of(row: LiveSessionRow) -> RoomId:
    assert row.conference_room_id is not None, "every adopted session has its room"
    return RoomId(row.conference_room_id)
