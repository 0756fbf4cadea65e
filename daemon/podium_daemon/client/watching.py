"""A session as it changes: the daemon's event stream, put together to one value."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Final

from pydantic import ValidationError

from podium_daemon.api.attendance import AttendanceOut, OwnOut
from podium_daemon.api.base import Model
from podium_daemon.api.rooms import RoomOut
from podium_daemon.api.rsvps import ReminderOut, RsvpOut
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.errors import DaemonUnreachable
from podium_daemon.client.transport import Transport, session_path
from podium_protocol.errors import RemoteProtocolError

LOST: Final = "lost"
_ROWS: Final = 1_000  # of each list: the most that one event may have
_FIRST_PAUSE: Final = 0.5  # seconds
_LONGEST_PAUSE: Final = 30.0


class WatchedSession(Model):
    """All that the stream told so far. `me` is sent to callers with a key; the lists and `room` to those who lead."""

    session: SessionOut | None = None
    me: OwnOut | None = None
    rsvps: tuple[RsvpOut, ...] = ()
    reminders: tuple[ReminderOut, ...] = ()
    attendance: tuple[AttendanceOut, ...] = ()
    room: RoomOut | None = None


class SessionNews(Model):
    """One event. `name`: the part that changed; `beat` without a change; `lost` while there is no connection.

    `data` is the part's JSON, `view` the whole with the part in it.
    """

    name: str
    data: str
    view: WatchedSession


class _Rsvps(Model):
    items: tuple[RsvpOut, ...] | None = None


class _Reminders(Model):
    items: tuple[ReminderOut, ...] | None = None


class _Attendance(Model):
    items: tuple[AttendanceOut, ...] | None = None


_WHOLE: Final[Mapping[str, type[Model]]] = {"session": SessionOut, "me": OwnOut, "room": RoomOut}
_LISTS: Final[Mapping[str, type[_Rsvps | _Reminders | _Attendance]]] = {
    "rsvps": _Rsvps,
    "reminders": _Reminders,
    "attendance": _Attendance,
}


async def watch_session(transport: Transport, reference: str) -> AsyncGenerator[SessionNews]:
    """Yield each change of a session, and come back when the connection is lost; to be closed by the caller.

    Raises:
        DaemonUnreachable: the first call got no answer.
        ApiProblem: a refusal, also of a later call.
        RemoteProtocolError: an event of another shape.
    """
    view, pause, is_known = WatchedSession(), _FIRST_PAUSE, False
    while True:
        try:
            async with contextlib.aclosing(
                transport.events(f"{session_path(reference, 'events')}?rows={_ROWS}")
            ) as events:
                async for name, data in events:
                    view, pause, is_known = _changed(view, name, data), _FIRST_PAUSE, True
                    yield SessionNews(name=name, data=data, view=view)
        except DaemonUnreachable:
            if not is_known:
                raise
        yield SessionNews(name=LOST, data="", view=view)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _changed(view: WatchedSession, name: str, data: str) -> WatchedSession:
    try:
        if (whole := _WHOLE.get(name)) is not None:
            return view.model_copy(update={name: whole.model_validate_json(data, extra="allow")})
        if (listed := _LISTS.get(name)) is not None:
            items = listed.model_validate_json(data, extra="ignore").items
            return view if items is None else view.model_copy(update={name: items})  # only the number is another
    except ValidationError as error:
        raise RemoteProtocolError(f"the stream's {name!r} cannot be understood: {error.error_count()} flaws") from None
    return view
