"""A series: sessions that repeat, each an event of its own (kind 31923), and the calendar that lists them (kind 31924).

NIP-52 has no repeating event, so each date is a session with its own address. They are tied together by what they are
named: a session belongs to the series `31924:<instructor>:<d>` if it requests to be listed there (its `a` tag, NIP-52)
and its own `d` is `<d>-<number>`. So the same date gets the same address, however often it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.events import UnsignedEvent
from podium_protocol.live.fields import MAX_TIME, AuthoredEvent, next_created_at
from podium_protocol.tags import Tag, Tags
from podium_protocol.text import single_line
from podium_protocol.times import at_wall_clock, expectation, wall_clock, zone_or_none

MAX_TIMES: Final = 52
"""A weekly session for a year. Each one is a signature, and its number has two digits."""

_MAX_TITLE: Final = 200
_NUMBERED: Final = re.compile(r"(.+)-([0-9]{2})", re.DOTALL)
_OWNED: Final = frozenset({"d", "title", "alt", "nonce", "expiration"})  # what each revision of a calendar writes anew


class Repeat(StrEnum):
    """How often a session takes place.

    `monthly` keeps the weekday of the month: what begins on a second Tuesday is on each second Tuesday. Not every month
    has a fifth one, so that one stands for the last.
    """

    WEEKLY = "weekly"
    TWO_WEEKLY = "2-weekly"
    MONTHLY = "monthly"


def occurrences(starts_at: int, zone_name: str, repeat: Repeat, times: int) -> tuple[int, ...]:
    """The starts of a series in Unix seconds, the first one exactly as given.

    All have the same time on the wall clock of the zone, before and after a change of the clocks. A time that the
    clocks skip is counted with the offset from before it (02:30 becomes 03:30), and of one that happens twice the
    first is meant, as RFC 5545 (3.3.5) reads local times.

    Raises:
        InvalidInput: an unknown zone, a number of times outside 2 to `MAX_TIMES`, or a start beyond the year 3000.
    """
    zone = zone_or_none(zone_name)
    if zone is None:
        raise InvalidInput(expectation(zone_name))
    if not 2 <= times <= MAX_TIMES:
        raise InvalidInput(f"a series of {times} sessions: 2 to {MAX_TIMES} are expected")
    if not 0 < starts_at <= MAX_TIME - 31 * times * 86_400:
        raise InvalidInput("the start is no usable time: Unix seconds are expected")
    first = wall_clock(starts_at, zone)
    later = (at_wall_clock(datetime.combine(day, first.time()), zone) for day in _days(first.date(), repeat, times))
    return (starts_at, *later)


def shifted(starts_at: int, zone_name: str, by: timedelta, new_zone_name: str) -> int:
    """The start of a later session after the one before it was moved `by` on the wall clock, perhaps to another zone.

    Raises:
        InvalidInput: an unknown zone, or a time out of range.
    """
    zone, new_zone = zone_or_none(zone_name), zone_or_none(new_zone_name)
    if zone is None or new_zone is None:
        raise InvalidInput(expectation(zone_name if zone is None else new_zone_name))
    try:
        return at_wall_clock(wall_clock(starts_at, zone) + by, new_zone)
    except (OverflowError, ValueError):
        raise InvalidInput("a later session of the series would be moved out of range") from None


def wall_clock_shift(before: int, zone_name: str, after: int, new_zone_name: str) -> timedelta:
    """By how much a start moved on the wall clock: from 18:00 in one zone to 19:00 in another is an hour."""
    zone, new_zone = zone_or_none(zone_name), zone_or_none(new_zone_name)
    if zone is None or new_zone is None:
        raise InvalidInput(expectation(zone_name if zone is None else new_zone_name))
    return wall_clock(after, new_zone) - wall_clock(before, zone)


def identifier_of(series: Address, number: int) -> str:
    """The `d` of the session with this number, counted from 1."""
    return f"{series.identifier}-{number:02}"


def number_of(session_address: str) -> int:
    """The number of a session in its series."""
    found = _NUMBERED.fullmatch(session_address)
    return int(found[2]) if found else 0


def series_of(session: Address, rows: Tags) -> Address | None:
    """The series to which a session's `d` and `a` tags say that it belongs, or None."""
    found = _NUMBERED.fullmatch(session.identifier)
    if found is None or not 1 <= int(found[2]) <= MAX_TIMES:
        return None
    series = Address(kinds.CALENDAR, session.pubkey, found[1])
    return series if str(series) in tags.values(rows, "a") else None


def write_calendar(
    series: Address, title: str, sessions: Sequence[str], *, now: int, previous: AuthoredEvent | None = None
) -> UnsignedEvent:
    """The calendar that lists these sessions by their addresses, for the instructor to sign.

    What another client wrote into `previous` stays: other tags, the description, and addresses outside the series.
    """
    name = single_line(title, _MAX_TITLE)
    own: tuple[Tag, ...] = (
        ("d", series.identifier),
        ("title", name),
        *(("a", address) for address in dict.fromkeys(sessions)),
        ("alt", f"Calendar: {name}"),
    )
    return UnsignedEvent(
        pubkey=series.pubkey,
        created_at=next_created_at(now, previous.created_at if previous else None),
        kind=kinds.CALENDAR,
        tags=(*own, *(row for row in (previous.tags if previous else ()) if not _is_owned(row, series))),
        content=previous.content if previous else "",
    )


def listed(calendar: AuthoredEvent) -> tuple[Address, ...]:
    """The sessions that a calendar lists, in its order."""
    return tuple(dict.fromkeys(_listed(calendar.tags)))


def _listed(rows: Tags) -> Iterator[Address]:
    for value in tags.values(rows, "a"):
        if value.startswith(f"{kinds.SESSION}:") and (address := Address.parse(value)) is not None:
            yield address


def _is_owned(row: Tag, series: Address) -> bool:
    if row[0] != "a":
        return row[0] in _OWNED
    address = Address.parse(row[1]) if len(row) > 1 else None
    return address is not None and series_of(address, (("a", str(series)),)) == series


def _days(first: date, repeat: Repeat, times: int) -> Iterator[date]:
    """The days after the first."""
    for step in range(1, times):
        match repeat:
            case Repeat.WEEKLY:
                yield first + timedelta(weeks=step)
            case Repeat.TWO_WEEKLY:
                yield first + timedelta(weeks=2 * step)
            case Repeat.MONTHLY:
                yield _same_weekday(first, step)


def _same_weekday(first: date, months: int) -> date:
    """The same weekday of the month some months later; a fifth one stands for the last."""
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    begin = date(year, month + 1, 1)
    ahead = timedelta(days=(first.weekday() - begin.weekday()) % 7)
    found = begin + ahead + timedelta(weeks=(first.day - 1) // 7)
    return found if found.month == begin.month else found - timedelta(weeks=1)
