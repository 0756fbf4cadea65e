"""Reads over HTTP: the service, sessions, answers, attendance, the ledger, the room."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from podium_daemon.api.attendance import AttendanceOut, AttendancesOut
from podium_daemon.api.chat import ChatOut
from podium_daemon.api.instructors import InstructorOut, InstructorsOut
from podium_daemon.api.rooms import RoomOut
from podium_daemon.api.rsvps import RemindersOut, RsvpOut, RsvpsOut
from podium_daemon.api.service import RelayOut, RelaysOut, ServiceOut
from podium_daemon.api.sessions import (
    CalendarOut,
    PassedOverOut,
    PassedOversOut,
    SeriesDateOut,
    SeriesOut,
    SessionOut,
    SessionsOut,
)
from podium_daemon.client.series import following
from podium_daemon.client.transport import Transport, session_path
from podium_daemon.client.watching import SessionNews, watch_session
from podium_protocol.events import Pubkey


class SessionReading:
    """What a client reads. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    @property
    def pubkey(self) -> Pubkey | None:
        """The caller's public key, or None."""
        return self._transport.pubkey

    @property
    def signed_url(self) -> str:
        """The address that logins name."""
        return self._transport.signed_url

    async def service(self) -> ServiceOut:
        """The service's keys, relays and engine."""
        return await self._transport.get("/api/service", ServiceOut)

    async def instructors(self) -> tuple[InstructorOut, ...]:
        """Those who may hold sessions here."""
        return (await self._transport.get("/api/instructors", InstructorsOut)).instructors

    async def relays(self) -> tuple[RelayOut, ...]:
        """The service's relays and their state."""
        return (await self._transport.get("/api/relays", RelaysOut)).relays

    async def sessions(self, state: str | None = None) -> tuple[SessionOut, ...]:
        """All sessions by start, or those in one state."""
        query = {} if state is None else {"state": state}
        found = await self._transport.get("/api/sessions", SessionsOut, query)
        sessions = found.sessions
        while found.next is not None and found.sessions:
            found = await self._transport.get("/api/sessions", SessionsOut, {**query, "offset": str(found.next)})
            sessions += found.sessions
        return sessions

    async def session(self, reference: str) -> SessionOut:
        """Read one session."""
        return await self._transport.get(session_path(reference), SessionOut)

    async def series(self, reference: str) -> SeriesOut:
        """All dates of the series of a session, as far as the caller may see them."""
        return await self._transport.get(session_path(reference, "series"), SeriesOut)

    async def dates_after(self, session: SessionOut) -> list[SeriesDateOut]:
        """The dates after a session in its series that are not over."""
        return following(session, await self._dates(session))

    async def passed_over(self) -> tuple[PassedOverOut, ...]:
        """Events that instructors signed elsewhere and that are no sessions here, newest first."""
        return (await self._transport.get("/api/sessions/passed-over", PassedOversOut)).events

    async def rsvps(self, reference: str) -> tuple[RsvpOut, ...]:
        """The RSVPs of all people for instructor and co-hosts, else the caller's own."""
        return (await self._transport.get(session_path(reference, "rsvps"), RsvpsOut)).rsvps

    async def attendance(self, reference: str) -> tuple[AttendanceOut, ...]:
        """The attendance of all people for instructor and co-hosts, else the caller's own."""
        return (await self._transport.get(session_path(reference, "attendance"), AttendancesOut)).attendance

    async def attendance_csv(self, reference: str, *, intervals: bool = False) -> bytes:
        """The attendance as CSV: one row for each person, or one for each interval."""
        query = {"format": "csv-intervals" if intervals else "csv"}
        return await self._transport.get_raw(session_path(reference, "attendance"), query)

    async def chat(self, reference: str) -> ChatOut:
        """The chat that is kept, for instructor and co-hosts."""
        return await self._transport.get(session_path(reference, "chat"), ChatOut)

    async def chat_text(self, reference: str) -> bytes:
        """The same as plain text (UTF-8)."""
        return await self._transport.get_raw(session_path(reference, "chat"), {"format": "text"})

    async def reminders(self, reference: str) -> RemindersOut:
        """The ledger: the state of each message."""
        return await self._transport.get(session_path(reference, "reminders"), RemindersOut)

    async def room(self, reference: str) -> RoomOut:
        """The room; its people are listed for instructor and co-hosts only."""
        return await self._transport.get(session_path(reference, "room"), RoomOut)

    async def calendar(self, *, revoke: bool = False) -> str:
        """The secret address of the caller's calendar; `revoke` ends those given out before."""
        path = "/api/calendar/revoke" if revoke else "/api/calendar"
        return (await self._transport.post(path, CalendarOut)).url

    def watch(self, reference: str) -> AsyncGenerator[SessionNews]:
        """Each change of a session as it happens, for as long as the generator is open; raises as `watch_session`."""
        return watch_session(self._transport, reference)

    async def _dates(self, before: SessionOut) -> tuple[SeriesDateOut, ...]:
        return () if before.series is None else (await self.series(before.naddr)).dates
