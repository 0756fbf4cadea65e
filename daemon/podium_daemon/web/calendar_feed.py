"""One person's sessions as an iCalendar object (RFC 5545), for any calendar program to subscribe to.

The same entries give the same bytes, so that their hash is the feed's ETag. The library does escaping and line folding;
control characters in strangers' texts are removed before (hardening.md).

Times are in UTC and the zone stands in the text. With VTIMEZONE three of eight readers read summer an hour off, and an
hour that happens twice has no local spelling at all (RFC 5545 has no fold): an end in it came before its start.

The library is 3 MB of memory and a third of a second: import this module when a calendar is asked for, on a thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from icalendar import STATUS, Alarm, Calendar, Event

from podium_daemon.web.calendars import Entry, Revision, Written
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.message_texts import spoken_time
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.text import paragraphs, single_line
from podium_storage.table.models import LiveSessionRow

_log = structlog.get_logger(__name__)
_PRODID: Final = "-//Podium//Live sessions over Nostr//EN"
_REFRESH: Final = timedelta(hours=1)
_MAX_TITLE: Final = 200
_MAX_TEXT: Final = 4000
_WAITING: Final = "waiting"


def write_entries(entries: Iterable[Entry]) -> list[Written]:
    """Make the content of the entries, by start. One that cannot be written is logged and left out."""
    chosen = sorted(entries, key=lambda entry: (entry.row.scheduled_at, entry.row.session_address))
    found = []
    for entry in chosen:
        try:
            written = _write(entry)
            _event(written, Revision(0, 0)).to_ical()
        except Exception as error:  # noqa: BLE001  (a boundary: one odd session must not break a person's calendar)
            _log.warning(
                "not in a calendar", action="calendar.left_out", session=entry.row.session_address, error=str(error)
            )
        else:
            found.append(written)
    return found


def feed(entries: Iterable[tuple[Written, Revision]], *, name: str, owner: str) -> bytes:
    """Write the calendar named `name`; `owner` tells the calendars of one service apart."""
    uid = f"{_hashed(owner)}@podium"
    calendar = Calendar.new(
        prodid=_PRODID, name=single_line(name, _MAX_TITLE), method="PUBLISH", refresh_interval=_REFRESH, uid=uid
    )
    for written, revision in entries:
        calendar.add_component(_event(written, revision))
    raw: bytes = calendar.to_ical()
    return raw


def uid_of(session_address: str) -> str:
    """The permanent UID of a session: a hash of its address, since a `d` may hold characters no UID can have."""
    return f"{_hashed(session_address)}@podium"


def _write(entry: Entry) -> Written:
    row, status = entry.row, _status(entry)
    return Written(
        session_address=row.session_address,
        starts_at=row.scheduled_at,
        ends_at=row.ends_at,
        title=single_line(row.title, _MAX_TITLE),
        description=_description(entry),
        page=entry.page,
        status=status.value,
        alarms=() if status is STATUS.CANCELLED else tuple(sorted(set(entry.alarms), reverse=True)),
    )


def _event(written: Written, revision: Revision) -> Event:
    revised = datetime.fromtimestamp(revision.revised_at, UTC)
    has_length = written.ends_at > written.starts_at  # RFC 5545, 3.8.2.2: DTEND is later than DTSTART, or not there
    event = Event.new(
        uid=uid_of(written.session_address),
        sequence=revision.sequence,
        stamp=revised,
        last_modified=revised,
        start=datetime.fromtimestamp(written.starts_at, UTC),
        end=datetime.fromtimestamp(written.ends_at, UTC) if has_length else None,
        summary=written.title,
        description=written.description,
        location=written.page,
        url=written.page,
        status=STATUS(written.status),
    )
    for before in written.alarms:
        event.add_component(_alarm(before, written.title))
    return event


def _alarm(before: int, title: str) -> Alarm:
    alarm = Alarm.new(description=title)
    alarm.add("action", "DISPLAY")
    alarm.TRIGGER = timedelta(seconds=-before)
    return alarm


def _status(entry: Entry) -> STATUS:
    if _is_cancelled(entry.row):
        return STATUS.CANCELLED
    rsvp = entry.rsvp
    # a person on the waiting list has no seat to rely on
    unsure = rsvp is not None and (rsvp.status != RsvpStatus.CONFIRMED or rsvp.seat == _WAITING)
    return STATUS.TENTATIVE if unsure else STATUS.CONFIRMED


def _is_cancelled(row: LiveSessionRow) -> bool:
    return row.state == SessionState.CANCELLED or (row.withdrawn and row.state == SessionState.SCHEDULED)


def _description(entry: Entry) -> str:
    row, rsvp = entry.row, entry.rsvp
    lines = [f"When: {spoken_time(row.scheduled_at, row.timezone or 'UTC')}", row.summary, row.description]
    if _is_cancelled(row) and row.cancel_reason:
        lines.insert(0, f"Cancelled: {row.cancel_reason}")
    if rsvp is not None and rsvp.seat == _WAITING:
        lines.append(f"You are number {rsvp.position} on the waiting list.")
    if row.recording_url is not None:
        lines.append(f"Recording: {row.recording_url}")
    lines.append(f"Join: {entry.page}")
    return "\n\n".join(clean for line in lines if (clean := paragraphs(line, _MAX_TEXT)))


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:40]
