"""The service's own public events about a session: the room (30312) and the live status (30313), signed and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

import msgspec

from podium_daemon.runtime.clock import Clock
from podium_daemon.signers.signer import Signer
from podium_daemon.writers.event_writer import EventWriter
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.live import live_status as meeting
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import Visibility
from podium_protocol.nips import nip13
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections.sessions import SessionCounts, room_of, session_counts
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

SPACE_IDENTIFIER: Final = meeting.SPACE_IDENTIFIER
_LOOK_BACK: Final = 8 * 24 * 3600  # seconds


class _WrittenBy(TypedDict):
    service: Pubkey
    relay_hint: str
    now: int
    previous_created_at: int | None


class StatusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's details in the public events; `refresh` in seconds."""

    space_name: str
    public_url: str
    refresh: int = meeting.REFRESH_EVERY
    announce_live_event: bool = False


class StatusEvents:
    """Composes and signs the events; the service that changes the state stores them in the same transaction."""

    def __init__(
        self,
        settings: StatusSettings,
        *,
        store: Store,
        mirror: Mirror,
        event_writer: EventWriter,
        signer: Signer,
        clock: Clock,
    ) -> None:
        self.settings = settings
        """The service's details in the events; a reload replaces them."""
        self._store = store
        self._mirror = mirror
        self._event_writer = event_writer
        self._signer = signer
        self._clock = clock
        self.space = Address(kinds.SPACE, signer.pubkey, SPACE_IDENTIFIER)

    async def keep_space(self) -> int | None:
        """Publish the room if it has changed, or is open and getting old; return when to check again (Unix), if ever.

        Call it after each change of a session as well: that may open or close the room.
        """
        await self.announce_space()
        if await self._is_open():
            held = await self._mirror.newest(self.space)
            return held.created_at + meeting.SPACE_REFRESH_EVERY if held is not None else None
        following = await self._session(SessionState.SCHEDULED)
        return following.scheduled_at - meeting.SPACE_AHEAD if following is not None else None

    async def announce_space(self, *, anew: bool = False, not_before: int = 0) -> VerifiedEvent | None:
        """Publish the room if it is new or differs from the one on the relays, or `anew`; return the event, if any.

        `not_before`: its earliest `created_at` (Unix seconds).
        """
        before = await self._mirror.newest(self.space)
        earliest = max(before.created_at if before else 0, not_before - 1)
        now, is_open = int(self._clock.now()), await self._is_open()
        is_old = before is not None and is_open and before.created_at + meeting.SPACE_REFRESH_EVERY <= now
        space = meeting.Space(
            identifier=SPACE_IDENTIFIER,
            name=self.settings.space_name,
            service_url=self.settings.public_url,
            endpoint=f"{self.settings.public_url.rstrip('/')}/api/service",
            status=meeting.SpaceStatus.OPEN if is_open else meeting.SpaceStatus.CLOSED,
            relays=self._event_writer.relays,
        )
        event = meeting.write_space(
            space,
            service=self._signer.pubkey,
            relay_hint=self._hint,
            now=now,
            previous_created_at=earliest or None,
        )
        if before is not None and nip13.without_nonce(before.tags) == event.tags and not (anew or is_old):
            return None
        signed = await self._signer.sign(event)
        await self._store.database.transact(lambda tx: self._event_writer.add(tx, [signed]))
        return signed

    async def _is_open(self) -> bool:
        """Whether a session is live or starts soon. Private sessions do not count: the room would reveal them."""
        if await self._session(SessionState.ACTIVE) is not None:
            return True
        following = await self._session(SessionState.SCHEDULED)
        return following is not None and following.scheduled_at <= self._clock.now() + meeting.SPACE_AHEAD

    async def _session(self, state: SessionState) -> LiveSessionRow | None:
        """The first public session in a state; one that began before `_LOOK_BACK` is over, whatever its row says."""
        since = int(self._clock.now()) - _LOOK_BACK
        ordered = self._store.sessions.where("[state+scheduledAt]").between(
            [state.value, since + 1], [state.value, 2**53]
        )
        public = ordered.and_("visibility").equals(Visibility.PUBLIC.value)
        return await public.and_("withdrawn").equals(False).first()

    async def status_events_of(self, row: LiveSessionRow) -> list[VerifiedEvent]:
        """The events that show `row`, newer than the last ones; none for a private session."""
        (events,) = await self.events_of([row])
        return events

    async def events_of(self, rows: Sequence[LiveSessionRow]) -> list[list[VerifiedEvent]]:
        """The events that show each of `rows`, newer than the last ones; none for a private session."""
        described = await self._described([row for row in rows if row.visibility != Visibility.PRIVATE])
        return [await self._written(row, described.get(row.session_address)) for row in rows]

    async def _written(self, row: LiveSessionRow, described: meeting.Meeting | None) -> list[VerifiedEvent]:
        if described is None:
            return []
        writers = [meeting.write_meeting]
        if self.settings.announce_live_event:
            writers.append(meeting.write_live_event)
        return [await self._signer.sign(write(described, **self._written_by(row))) for write in writers]

    async def memory_of(self, row: LiveSessionRow) -> UnsignedEvent | None:
        """The status of a private session as a rumor, which only we read; None for a public session."""
        if row.visibility != Visibility.PRIVATE:
            return None
        (described,) = (await self._described([row])).values()
        return meeting.write_meeting(described, **self._written_by(row))

    def _written_by(self, row: LiveSessionRow) -> _WrittenBy:
        return {
            "service": self._signer.pubkey,
            "relay_hint": self._hint,
            "now": int(self._clock.now()),
            "previous_created_at": row.status_created_at or None,
        }

    async def _described(self, rows: Sequence[LiveSessionRow]) -> dict[str, meeting.Meeting]:
        """The content of the status of each session, by its address."""
        addresses = [row.session_address for row in rows]
        if not addresses:
            return {}
        counts = await session_counts(self._store.database, addresses)
        pinned = await self._pinned(addresses)
        return {
            row.session_address: self._meeting(row, counts[row.session_address], pinned.get(row.session_address, ()))
            for row in rows
        }

    def _meeting(self, row: LiveSessionRow, counted: SessionCounts, pinned: Sequence[EventId]) -> meeting.Meeting:
        session = Address.parse(row.session_address)
        assert session is not None, "a row's lessonId was parsed before it was stored"
        return meeting.Meeting(
            identifier=row.conference_room_id or room_of(row.session_address),
            space=self.space,
            session=session,
            title=row.title,
            summary=row.summary,
            status=meeting.MeetingStatus.from_state(SessionState(row.state)),
            starts_at=row.runs[0][0] if row.runs else row.scheduled_at,
            ends_at=row.ended_at or row.ends_at,
            current_participants=counted.present,
            total_participants=_total(row, counted),
            recording_url=row.recording_url,
            pinned=tuple(pinned),
        )

    def refreshed_at(self, row: LiveSessionRow, created_at: int) -> LiveSessionRow:
        """The row after its status was written at `created_at`; a live one is due before clients think it ended."""
        due = created_at + self.settings.refresh if row.state == SessionState.ACTIVE else None
        return msgspec.structs.replace(row, status_created_at=created_at, status_due_at=due)

    def due_at(self, row: LiveSessionRow) -> int | None:
        """When the status of a live session is published again; sooner than stored if `refresh` is shorter now."""
        if row.status_due_at is None or not row.status_created_at:
            return row.status_due_at
        return min(row.status_due_at, row.status_created_at + self.settings.refresh)

    async def _pinned(self, addresses: Sequence[str]) -> dict[str, list[EventId]]:
        questions = self._store.questions.where("lessonId").any_of(addresses).and_("pinned").equals(True)
        found: dict[str, list[EventId]] = {}
        for each in await questions.to_list():
            if each.state == "shown":
                found.setdefault(each.session_address, []).append(EventId(each.event_id))
        return found

    @property
    def _hint(self) -> str:
        return next(iter(self._event_writer.relays), "")


def _total(row: LiveSessionRow, counted: SessionCounts) -> int:
    """The people who came; before that, those who said that they will."""
    if counted.came or row.state not in (SessionState.SCHEDULED, SessionState.ACTIVE):
        return counted.came
    return counted.answers[RsvpStatus.CONFIRMED]
