"""Publishes a finished recording: in the session's row, the live status (30313) and the session itself (31923).

The reminders service tells people: it follows the session's row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.services.recording.ledger import RecordingLedger
from podium_daemon.signers.instructors import InstructorSigning, SigningRefused, Unavailable
from podium_daemon.signers.signer import Signer, SignerUnavailable
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.live_status import StatusEvents
from podium_daemon.writers.private_outbox import PrivateOutbox, status_letter
from podium_protocol.addresses import Address
from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.live.recording import RecordingStage, access_of
from podium_protocol.live.session import RecordingAccess
from podium_protocol.live.session_writing import attach_recording, detach_recording
from podium_storage.database import Transaction
from podium_storage.mirror.mirror import Mirror
from podium_storage.table.models import LiveSessionRow, RecordingRow

_log = structlog.get_logger(__name__)
_ATTEMPTS: Final = 5  # the lifecycle may write the same session in between
_SIGN_WITHIN: Final = 60.0  # seconds; the signer's person may be asleep, and is asked again
_ASK_AGAIN: Final = 3600
_ASK_FOR: Final = 14 * 24 * 3600  # seconds after the publication


class _Stale(PodiumError):
    """The session was written meanwhile."""


class InstructorOrService:
    """Signs as the service for an instructor whose key it has, and asks other instructors' own signers."""

    def __init__(self, service: Signer, others: InstructorSigning) -> None:
        self._service = service
        self._others = others

    async def sign(self, pubkey: Pubkey, event: UnsignedEvent) -> VerifiedEvent | SigningRefused | Unavailable:
        """See `InstructorSigning`."""
        if pubkey != self._service.pubkey:
            return await self._others.sign(pubkey, event)
        try:
            return await self._service.sign(event)
        except SignerUnavailable as error:
            return Unavailable(str(error), is_connected=True)


class RecordingPublisher:
    """Writes the session's row, the live status and the session event."""

    def __init__(
        self,
        ledger: RecordingLedger,
        *,
        status: StatusEvents,
        private_outbox: PrivateOutbox,
        mirror: Mirror,
        event_writer: EventWriter,
        instructors: InstructorSigning,
        page_of: Callable[[LiveSessionRow], str],
        clock: Clock,
    ) -> None:
        """`page_of`: the address of a session's page, published instead of the file if a recording is not public."""
        self._ledger = ledger
        self._status = status
        self._private_outbox = private_outbox
        self._mirror = mirror
        self._event_writer = event_writer
        self._instructors = instructors
        self._page_of = page_of
        self._clock = clock

    async def publish(self, row: RecordingRow, url: str, **fields: object) -> RecordingRow:
        """Make a recording available under `url`: row, session and live status in one transaction.

        Raises:
            IllegalStage: the recording was not being processed.
        """
        now = int(self._clock.now())
        fields |= {"url": url, "published_at": now, "attach_at": now, "progress": 100, "reason": None}
        return await self._shown_as(row, RecordingStage.AVAILABLE, url, fields)

    async def withdraw(self, row: RecordingRow, to: RecordingStage, **fields: object) -> RecordingRow:
        """Withdraw a recording from status and page, in one transaction. `attach` then removes the `r` tag.

        Raises:
            IllegalStage: the recording is not available.
        """
        was_told = row.attach_at is not None or row.attached_at is not None
        fields = {"attach_at": int(self._clock.now()) if was_told else None} | fields
        return await self._shown_as(row, to, None, fields)

    async def _shown_as(
        self, row: RecordingRow, to: RecordingStage, url: str | None, fields: dict[str, object]
    ) -> RecordingRow:
        for attempt in range(_ATTEMPTS):
            session = await self._ledger.session(row.session_address)
            try:
                return await self._written(row, session, to, url, fields)
            except _Stale:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _written(
        self,
        row: RecordingRow,
        session: LiveSessionRow | None,
        to: RecordingStage,
        url: str | None,
        fields: dict[str, object],
    ) -> RecordingRow:
        if session is None:
            return await self._ledger.change(row, to, **fields)
        # signed outside of the transaction, and valid only for the row from which it was made
        is_public = access_of(session, row.access) is RecordingAccess.PUBLIC
        told_url = url if is_public or url is None else self._page_of(session)
        shown = msgspec.structs.replace(session, recording_state=to.shown, recording_url=told_url)
        events, memory = await self._status.status_events_of(shown), await self._status.memory_of(shown)
        told = [event.created_at for event in events] + ([] if memory is None else [memory.created_at])
        created_at = max(told, default=session.status_created_at)

        async def also(tx: Transaction, found: LiveSessionRow) -> LiveSessionRow:
            if found.version != session.version:
                raise _Stale("the session was written meanwhile: try again")
            await self._event_writer.add(tx, events, session_address=row.session_address)
            await self._private_outbox.add(tx, [] if memory is None else [status_letter(shown, memory)])
            return self._status.refreshed_at(shown, created_at)

        if not is_public and to is RecordingStage.AVAILABLE:
            fields = fields | {"attach_at": None}  # people are told in private, and the session's page is known
        done = await self._ledger.change(row, to, also, **fields)
        _log.info("a recording is shown otherwise", action=f"recording.{to}", session=row.session_address, run=row.run)
        return done

    async def attach(self, row: RecordingRow) -> RecordingRow:
        """Ask the instructor's signer for the session's next revision, with the recording's URL or without it.

        The URL of a withdrawn recording is removed. If the signer does not answer, it is asked again later.
        """
        now = int(self._clock.now())
        is_there = row.state == RecordingStage.AVAILABLE
        address = Address.parse(row.session_address)
        newest = await self._mirror.newest(address) if address is not None else None
        if newest is None or row.url is None:
            return await self._ledger.change(row, attach_at=None)
        if (("r", row.url) in newest.tags) is is_there:
            return await self._ledger.change(row, attach_at=None, attached_at=now if is_there else None)
        draft = attach_recording(newest, row.url, now) if is_there else detach_recording(newest, row.url, now)
        try:
            async with asyncio.timeout(_SIGN_WITHIN):
                answer = await self._instructors.sign(newest.pubkey, draft)
        except TimeoutError:
            answer = Unavailable("it did not answer in time", is_connected=True)
        if isinstance(answer, VerifiedEvent):
            if _is_same(answer, draft):
                return await self._attached(row, answer, now if is_there else None)
            answer = Unavailable("it signed something else than was asked", is_connected=True)
        late = is_there and now > (row.published_at or now) + _ASK_FOR
        # a person who refused is not asked again every hour
        again = None if late or isinstance(answer, SigningRefused) else now + _ASK_AGAIN
        why = answer.reason if isinstance(answer, Unavailable) else answer.words
        _log.info("the session does not show how its recording stands", action="recording.unattached", why=why)
        return await self._ledger.change(row, attach_at=again)

    async def _attached(self, row: RecordingRow, revision: VerifiedEvent, at: int | None) -> RecordingRow:
        relays = await self._event_writer.relays_of(row.session_address)

        async def also(tx: Transaction, _session: LiveSessionRow) -> LiveSessionRow:
            await self._event_writer.add(tx, [revision], session_address=row.session_address, relays=relays)
            found = await self._ledger.within(tx, row.session_address)  # the mirror has just written a newer row
            assert found is not None, "a session whose recording is changed is there"
            return found

        return await self._ledger.change(row, None, also, attach_at=None, attached_at=at)


def _is_same(signed: VerifiedEvent, asked: UnsignedEvent) -> bool:
    return all(getattr(signed, name) == getattr(asked, name) for name in asked.__struct_fields__)
