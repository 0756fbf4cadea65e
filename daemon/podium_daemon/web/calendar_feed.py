"""One person's sessions as an iCalendar object (RFC 5545), for any calendar program to subscribe to.

The same entries give the same bytes, so that their hash is the feed's ETag. The library does escaping and line folding;
control characters in strangers' texts are removed before (hardening.md).

Times are in UTC and the zone stands in the text. With VTIMEZONE three of eight readers read summer an hour off, and an
hour that happens twice has no local spelling at all (RFC 5545 has no fold): an end in it came before its start.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog
from icalendar import STATUS, Alarm, Calendar, Event

from podium_protocol.events import Pubkey, pubkey_or_none
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.message_texts import spoken_time
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.text import paragraphs, single_line
from podium_storage.database import Database
from podium_storage.meta import Meta
from podium_storage.table.models import LiveSessionRow, RsvpRow

_log = structlog.get_logger(__name__)
_PRODID: Final = "-//Podium//Live sessions over Nostr//EN"
_REFRESH: Final = timedelta(hours=1)
_MAX_TITLE: Final = 200
_MAX_TEXT: Final = 4000
_WAITING: Final = "waiting"


class Entry(msgspec.Struct, frozen=True):
    """One session in one person's calendar. `rsvp` is None for instructor and co-hosts; `page` is where people join.

    `alarms`: at how many seconds before the start the person wants to be reminded.
    """

    row: LiveSessionRow
    rsvp: RsvpRow | None
    page: str
    alarms: tuple[int, ...] = ()


class Written(msgspec.Struct, frozen=True):
    """The content of an entry; any change in it is a new revision of the entry. Times in Unix seconds."""

    session_address: str
    starts_at: int
    ends_at: int
    title: str
    description: str
    page: str
    status: str
    alarms: tuple[int, ...]

    @property
    def digest(self) -> str:
        """A hash of the content, equal for equal texts and times."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]


class Revision(msgspec.Struct, frozen=True):
    """The version of an entry: its SEQUENCE, and when it was made (Unix seconds)."""

    sequence: int
    revised_at: int


class Face(msgspec.Struct, frozen=True):
    """The settings of all calendars of a service: its name, and the reminder offsets (seconds) for alarms in feeds."""

    name: str = "Podium"
    alarms: tuple[int, ...] = ()


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


_SECRET: Final = "calendarSecret"  # noqa: S105  (the name it is kept under)
_COUNTER: Final = "calendarRevocations"
_CONTEXT: Final = b"podium calendar 1"
_TOKEN: Final = re.compile(r"([0-9a-f]{64})([0-9a-f]{64})")


class CalendarTokens:
    """Makes, checks and revokes tokens."""

    def __init__(self, database: Database, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        """Keep the secret and the counters in this database."""
        self._meta = Meta(database)
        self._random_bytes = random_bytes
        self._secret: bytes | None = None

    async def token(self, pubkey: Pubkey) -> str:
        """The token of a person, the same until it is revoked."""
        return f"{pubkey}{await self._proof(pubkey)}"

    async def revoke(self, pubkey: Pubkey) -> None:
        """Revoke every token given to this person so far."""
        await self._meta.count(_name_of(pubkey))

    async def owner(self, token: str) -> Pubkey | None:
        """The person of a token; None if it was revoked, or never made here."""
        match = _TOKEN.fullmatch(token)
        pubkey = pubkey_or_none(match[1]) if match else None
        if match is None or pubkey is None:
            return None
        # constant time, or the answer's delay would tell how many of the guessed digits are right
        return pubkey if hmac.compare_digest(match[2], await self._proof(pubkey)) else None

    async def _proof(self, pubkey: Pubkey) -> str:
        if self._secret is None:
            self._secret = bytes.fromhex(await self._meta.settled(_SECRET, lambda: self._random_bytes(32).hex()))
        counter = int(await self._meta.get(_name_of(pubkey)) or "0")
        message = _CONTEXT + bytes.fromhex(pubkey) + counter.to_bytes(8, "big")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def _name_of(pubkey: Pubkey) -> str:
    return f"{_COUNTER}:{pubkey}"
