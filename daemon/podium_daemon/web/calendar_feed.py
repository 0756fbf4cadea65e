"""One person's sessions as an iCalendar object (RFC 5545), for any calendar program to subscribe to.

Values in, bytes out: the same sessions give the same bytes, so that their hash is the feed's ETag. Escaping and line
folding are the library's; what strangers wrote loses its controls before (hardening.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from icalendar import STATUS, Calendar, Event, Timezone, TimezoneDaylight, TimezoneStandard

from podium_protocol.live.lifecycle import State
from podium_protocol.live.plain_text import paragraphs, single_line
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.rows import LiveSessionRow, RsvpRow

_PRODID: Final = "-//Podium//Live sessions over Nostr//EN"
_SEQUENCE_FROM: Final = 1_577_836_800  # 2020-01-01: keeps the numbers inside 32 bits until 2088
_REFRESH: Final = timedelta(hours=1)
_MAX_TITLE: Final = 200
_MAX_TEXT: Final = 4000
_WAITING: Final = "waiting"


class Entry(msgspec.Struct, frozen=True):
    """One session in one person's calendar. `rsvp` is None for those who lead it; `page` is where people join."""

    row: LiveSessionRow
    rsvp: RsvpRow | None
    page: str


def feed(entries: Iterable[Entry], *, name: str) -> bytes:
    """The calendar named `name`, with the zones its times need."""
    calendar = Calendar.new(
        prodid=_PRODID, name=single_line(name, _MAX_TITLE), method="PUBLISH", refresh_interval=_REFRESH, uid=_uid(name)
    )
    chosen = sorted(entries, key=lambda entry: (entry.row.scheduled_at, entry.row.lesson_id))
    zones = {zone.key for entry in chosen if isinstance(zone := _zone(entry.row.timezone), ZoneInfo)}
    for key in sorted(zones):
        calendar.add_component(_vtimezone(key))
    for entry in chosen:
        calendar.add_component(_event(entry))
    raw: bytes = calendar.to_ical()
    return raw


def uid_of(lesson_id: str) -> str:
    """The UID of a session for good: its address, hashed, since a `d` may hold what programs do not take in a UID."""
    return f"{hashlib.sha256(lesson_id.encode()).hexdigest()[:40]}@podium"


def sequence_of(row: LiveSessionRow) -> int:
    """The SEQUENCE: grows with each revision the instructor signs, and once more when the session is cancelled.

    It comes from the revision's own time: a counter would begin again after the daemon lost its disk, and programs
    ignore an entry whose number went back (RFC 5545, 3.8.7.4).
    """
    return max(0, row.event_created_at - _SEQUENCE_FROM) + int(_is_cancelled(row))


def _event(entry: Entry) -> Event:
    row, zone = entry.row, _zone(entry.row.timezone)
    revised = datetime.fromtimestamp(row.event_created_at, UTC)
    return Event.new(
        uid=uid_of(row.lesson_id),
        sequence=sequence_of(row),
        stamp=revised,
        last_modified=revised,
        start=datetime.fromtimestamp(row.scheduled_at, zone),
        end=datetime.fromtimestamp(row.ends_at, zone),
        summary=single_line(row.title, _MAX_TITLE),
        description=_description(entry),
        location=entry.page,
        url=entry.page,
        status=_status(entry),
    )


def _status(entry: Entry) -> STATUS:
    if _is_cancelled(entry.row):
        return STATUS.CANCELLED
    rsvp = entry.rsvp
    # whoever is on the waiting list has no seat to rely on
    unsure = rsvp is not None and (rsvp.status != RsvpStatus.CONFIRMED or rsvp.seat == _WAITING)
    return STATUS.TENTATIVE if unsure else STATUS.CONFIRMED


def _is_cancelled(row: LiveSessionRow) -> bool:
    return row.state == State.CANCELLED or (row.withdrawn and row.state == State.SCHEDULED)


def _description(entry: Entry) -> str:
    row, rsvp = entry.row, entry.rsvp
    lines = [row.summary, row.description]
    if rsvp is not None and rsvp.seat == _WAITING:
        lines.append(f"You are number {rsvp.position} on the waiting list.")
    if row.recording_url is not None:
        lines.append(f"Recording: {row.recording_url}")
    lines.append(f"Join: {entry.page}")
    return "\n\n".join(clean for line in lines if (clean := paragraphs(line, _MAX_TEXT)))


def _uid(name: str) -> str:
    return f"{hashlib.sha256(name.encode()).hexdigest()[:40]}@podium"


@lru_cache(maxsize=256)
def _zone(name: str | None) -> tzinfo:
    """The zone the session was announced in; UTC where its name is no zone of ours."""
    try:
        zone = ZoneInfo(name or "UTC")
    except (ValueError, OSError, KeyError):  # no path, a folder's name, unknown
        return UTC
    return UTC if zone.key == "UTC" else zone


@lru_cache(maxsize=64)
def _vtimezone(key: str) -> Timezone:
    # the library computes every transition between the dates, which takes longer than the rest of the feed
    zone = Timezone.from_tzid(key, first_date=date(2020, 1, 1), last_date=date(2038, 1, 1))
    for rules in zone.subcomponents:
        if isinstance(rules, TimezoneStandard | TimezoneDaylight):
            _by_the_clock_before(rules)
    return zone


def _by_the_clock_before(rules: TimezoneStandard | TimezoneDaylight) -> None:
    """Move the onsets to where RFC 5545, 3.6.5 has them: the library writes a skipped hour by the clock after it."""
    skipped = rules.TZOFFSETTO - rules.TZOFFSETFROM
    if skipped <= timedelta(0):
        return
    further = [onset - skipped for onset, *_ in rules.rdates]
    rules.DTSTART -= skipped
    rules.pop("RDATE", None)
    if further:
        rules.add("RDATE", further)
