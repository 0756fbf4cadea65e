"""Times as people type and read them: in the viewer's zone, and in the session's where that is another."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from podium_daemon.config import parse_duration
from podium_protocol.errors import InvalidInput
from podium_protocol.times import UTC, expectation, offset_name, parse_local_time, zone_or_none

_FROM_NOW: Final = re.compile(r"\s*(\+|in\s)(.*)", re.IGNORECASE | re.DOTALL)
_NAMED_DAY: Final = re.compile(r"\s*(today|tomorrow)\s+(?:at\s+)?([0-9]{1,2}:[0-9]{2})\s*", re.IGNORECASE | re.ASCII)
_DAYS: Final = {"today": 0, "tomorrow": 1}
_ZONES: Final = "/zoneinfo/"
_OF_TIMES: Final = ("At", "Time")  # how the names of times end in the HTTP interface
_LOCALTIME: Final = Path("/etc/localtime")


def viewer_zone() -> ZoneInfo:
    """The zone of this terminal: TZ, else the machine's, else UTC."""
    named = os.environ.get("TZ", "").removeprefix(":")
    target = os.path.realpath(_LOCALTIME)
    return zone_or_none(named) or zone_or_none(target.partition(_ZONES)[2]) or UTC


def shown_time(at: int | None, session_zone: str | None = None, viewer: ZoneInfo | None = None) -> str:
    """`Tue 2026-12-01 18:00 UTC+01:00`, followed by the session's own clock where that reads otherwise."""
    if at is None:
        return ""
    here = datetime.fromtimestamp(at, viewer or viewer_zone())
    there_zone = zone_or_none(session_zone) if session_zone else None
    there = here if there_zone is None else here.astimezone(there_zone)
    own = f"{here:%a %Y-%m-%d %H:%M} {_offset(here)}"
    if there.utcoffset() == here.utcoffset():
        return own
    day = "" if there.date() == here.date() else f"{there:%a} "
    return f"{own} ({day}{there:%H:%M} {session_zone})"


def shown_minute(at: int | None, zone: ZoneInfo) -> str:
    """`2026-12-01 18:00`, for tables that have many times and say below which `zone` they are in."""
    return "" if at is None else f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def shown_clock(at: int) -> str:
    """`18:00:05 UTC+01:00` on this terminal's clock, for lines that are printed as things happen."""
    here = datetime.fromtimestamp(at, viewer_zone())
    return f"{here:%H:%M:%S} {_offset(here)}"


def session_zone(name: str | None) -> ZoneInfo:
    """The zone of a session's clock; this terminal's where the daemon names none that is known here."""
    return zone_or_none(name or "") or viewer_zone()


def named_zone(zone: ZoneInfo, at: int) -> str:
    """`Europe/Berlin, UTC+01:00`: the zone, and its offset at that time."""
    return f"{zone.key}, {_offset(datetime.fromtimestamp(at, zone))}"


def with_iso_times(value: object, zone: ZoneInfo) -> object:
    """JSON in which each time (Unix seconds) has the same in ISO 8601 beside it: `joinedAt` and `joinedAtIso`."""
    if isinstance(value, list):
        return [with_iso_times(one, zone) for one in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, object] = {}
    for name, one in value.items():
        found[name] = with_iso_times(one, zone)
        if type(one) is int and str(name).endswith(_OF_TIMES):
            found[f"{name}Iso"] = datetime.fromtimestamp(one, zone).isoformat()
    return found


def start_of(text: str, zone: str, now: int) -> int:
    """Unix seconds of `--at`: a local time in `zone`, a time with its offset, `tomorrow 18:00` there, or `in 2 hours`.

    Raises:
        InvalidInput: no time, or one that the zone's clocks skip or show twice.
    """
    if (distance := _FROM_NOW.fullmatch(text)) is not None:
        try:
            return now + parse_duration(distance[2])
        except ValueError as error:
            raise InvalidInput(f"--at: {error}, after {distance[1].strip()!r}") from None
    if (named := _NAMED_DAY.fullmatch(text)) is not None and (known := zone_or_none(zone)) is not None:
        day = datetime.fromtimestamp(now, known).date() + timedelta(days=_DAYS[named[1].lower()])
        return _local_time(f"{day} {named[2]:0>5}", zone)
    return _local_time(text, zone)


def _local_time(text: str, zone: str) -> int:
    try:
        return parse_local_time(text, zone)
    except InvalidInput as error:
        raise InvalidInput(f'--at: {error}, or "tomorrow 18:00", or "in 2 hours"') from None


def minutes_of(text: str) -> int:
    """`--duration` in whole minutes: a bare number is minutes, as in the model.

    Raises:
        InvalidInput: no duration, or none in whole minutes.
    """
    is_bare = text.isascii() and text.isdigit() and len(text) <= 6
    try:
        minutes, rest = (int(text), 0) if is_bare else divmod(parse_duration(text), 60)
    except ValueError:
        minutes, rest = 0, 0
    if rest or minutes < 1:
        raise InvalidInput('--duration: expected whole minutes, at least one, such as 60, "90 min" or "1h 30m"')
    return minutes


def shown_length(seconds: int) -> str:
    """`1:05:09`, as on a player."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def checked_zone(name: str | None) -> str:
    """The zone's name, the viewer's own where none is given.

    Raises:
        InvalidInput: unknown, with the nearest known name.
    """
    if name is None:
        return viewer_zone().key
    if zone_or_none(name) is None:
        raise InvalidInput(f"--tz: {expectation(name)}")
    return name


def _offset(local: datetime) -> str:
    offset = local.utcoffset()
    assert offset is not None
    return offset_name(offset)
