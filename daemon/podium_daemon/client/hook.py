"""The model's `useLiveSession`: all that a program shows of one session, as one value, and its four functions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from podium_daemon.api.attendance import AttendanceOut
from podium_daemon.api.base import Model
from podium_daemon.api.rsvps import RsvpOut
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.seat import RoomSeat
from podium_protocol.errors import PodiumError
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.rsvp import RsvpStatus

if TYPE_CHECKING:
    from podium_daemon.client.podium import PodiumClient


class LiveSessionContent(Model):
    """The model's `LiveSessionContent`. `scheduled_at` in Unix seconds, `duration` in minutes."""

    type: Literal["live-session"] = "live-session"
    scheduled_at: int
    duration: int
    instructor_pubkey: str
    requires_rsvp: Annotated[bool, Field(alias="requiresRSVP")]
    conference_room_id: str | None = None
    recording_url: str | None = None
    max_participants: int | None = None


class LiveSessionView(Model):
    """What the model's hook returns, without its functions. `time_until_start` and `attendance_duration` in seconds."""

    lesson: SessionOut | None = None
    content: LiveSessionContent | None = None
    is_loading: bool = True
    error: str | None = None
    is_scheduled: bool = False
    is_live: bool = False
    is_ended: bool = False
    has_recording: bool = False
    time_until_start: int | None = None
    rsvp_status: RsvpStatus | None = None
    can_rsvp: Annotated[bool, Field(alias="canRSVP")] = False
    is_attending: bool = False
    attendance_duration: int = 0
    recording_url: str | None = None


class LiveSessionHook:
    """`view` is the newest value; `refresh` asks the daemon. Made by `PodiumClient.live_session`."""

    def __init__(self, client: PodiumClient, reference: str, *, now: Callable[[], float] = time.time) -> None:
        """Show one session, through a client."""
        self._client = client
        self._reference = reference
        self._now = now
        self._seat: RoomSeat | None = None
        self.view = LiveSessionView()

    async def refresh(self) -> LiveSessionView:
        """Ask the daemon and return the new view; a failure is in `error`, and the last known session stays."""
        try:
            session = await self._client.session(self._reference)
            rsvp, attendance = await self._own(session)
        except PodiumError as error:
            self.view = self.view.model_copy(update={"is_loading": False, "error": str(error)})
        else:
            self.view = self._viewed(session, rsvp, attendance)
        return self.view

    async def rsvp(self, status: RsvpStatus) -> None:
        """Send the caller's RSVP; raises as `PodiumClient.rsvp`."""
        await self._client.rsvp(self._reference, status)
        await self.refresh()

    async def join_session(
        self, *, consent: bool | None = None, name: str | None = None, patience: float = 15.0
    ) -> str | None:
        """Join; return the meeting's address, or None if it is on the session's page. Raises as `PodiumClient.join`."""
        if self._seat is None or self._seat.closed.is_set():
            self._seat = await self._client.join(self._reference, consent=consent, name=name, patience=patience)
        await self.refresh()
        return self._seat.meeting_url

    async def leave_session(self) -> None:
        """Leave the seat, if there is one."""
        seat, self._seat = self._seat, None
        if seat is not None and not seat.closed.is_set():
            await seat.leave()
        await self.refresh()

    async def _own(self, session: SessionOut) -> tuple[RsvpOut | None, AttendanceOut | None]:
        me = self._client.pubkey
        if me is None:
            return None, None
        rsvps, rows = await self._client.rsvps(session.naddr), await self._client.attendance(session.naddr)
        # instructor and co-hosts get the rows of all people
        own = next((one for one in rsvps if one.pubkey == me), None)
        return own, next((one for one in rows if one.pubkey == me), None)

    def _viewed(self, session: SessionOut, rsvp: RsvpOut | None, attendance: AttendanceOut | None) -> LiveSessionView:
        is_scheduled, is_live = session.state == SessionState.SCHEDULED, session.state == SessionState.ACTIVE
        return LiveSessionView(
            lesson=session,
            content=_content(session),
            is_loading=False,
            is_scheduled=is_scheduled,
            is_live=is_live,
            is_ended=session.state == SessionState.ENDED,
            has_recording=session.recording_url is not None,
            time_until_start=max(0, session.scheduled_at - int(self._now())) if is_scheduled else None,
            rsvp_status=None if rsvp is None else RsvpStatus(rsvp.status),
            can_rsvp=self._client.pubkey is not None and (is_scheduled or is_live),
            is_attending=self._seat is not None and not self._seat.closed.is_set(),
            attendance_duration=0 if attendance is None else attendance.total_duration,
            recording_url=session.recording_url,
        )


def _content(session: SessionOut) -> LiveSessionContent:
    return LiveSessionContent(
        scheduled_at=session.scheduled_at,
        duration=session.duration,
        instructor_pubkey=session.instructor_pubkey,
        requires_rsvp=session.requires_rsvp,
        conference_room_id=session.conference_room_id,
        recording_url=session.recording_url,
        max_participants=session.max_participants,
    )
