"""Local times and IANA time zones: times that do not exist or exist twice are refused by name."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from podium_protocol.errors import InvalidInput
from podium_protocol.live.fields import MAX_TIME

UTC: Final = zoneinfo.ZoneInfo("UTC")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,63}(/[A-Za-z0-9_+-]{1,63}){0,3}")
# "right/" zones count leap seconds, so their epochs are not Unix time; the others differ from machine to machine
_UNUSABLE: Final = ("right/", "posix/")
_LOCAL_NAMES: Final = frozenset({"localtime", "posixrules", "Factory"})


@lru_cache(maxsize=1024)
def zone_or_none(name: str) -> zoneinfo.ZoneInfo | None:
    """The zone called exactly `name`, or None: paths, leap-second zones and the machine's own zone are refused."""
    if _NAME.fullmatch(name) is None or name.startswith(_UNUSABLE) or name in _LOCAL_NAMES:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def expectation(name: str) -> str:
    """The text that says what to write instead of the unknown zone `name`, with the nearest real name, if any."""
    nearest = _nearest(name)
    advice = f"did you mean {nearest}?" if nearest else "an IANA name such as Europe/Berlin or UTC is expected"
    return f"unknown time zone {name[:64]!r}: {advice}"


def _nearest(name: str) -> str | None:
    folded = {zone.casefold(): zone for zone in sorted(zoneinfo.available_timezones())}
    folded |= {zone.rpartition("/")[2]: folded[zone] for zone in list(folded) if "/" in zone}  # "berlin" alone
    wanted = name[:64].strip().replace(" ", "_").casefold()
    found = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


_FORM: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_EXPECTED: Final = "a time such as 2026-12-01 18:00 is expected, or with its offset 2026-12-01T18:00+01:00"


def parse_local_time(text: str, zone_name: str, fold: int | None = None) -> int:
    """Unix seconds of a time as people write it ("2026-12-01 18:00") in an IANA zone.

    A time with its own offset ("+01:00", "Z") is taken as it stands. `fold` chooses between the two times of an hour
    that happens twice: 0 the earlier, 1 the later.

    Raises:
        InvalidInput: not a time, an unknown zone (the nearest name is given), a time that the clocks skip (the nearest
            valid ones are given), or one that happens twice with no `fold` (both spellings with offset are given).
    """
    zone = zone_or_none(zone_name)
    if zone is None:
        raise InvalidInput(expectation(zone_name))
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{text[:40]!r} is no time: {_EXPECTED}")
    naive = _naive(match)
    offset = match[7]
    epoch = _in_zone(naive, zone, fold) if offset is None else _at_offset(naive, offset)
    if not 0 < epoch <= MAX_TIME:
        raise InvalidInput(f"{text[:40]!r} is out of range: a time between 1970 and 3000 is expected")
    return epoch


def wall_clock(at: int, zone: ZoneInfo) -> datetime:
    """What the clocks of the zone show at Unix second `at`, as a naive time."""
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)


def at_wall_clock(naive: datetime, zone: ZoneInfo) -> int:
    """Unix seconds when the clocks of the zone show `naive`: the first time if that happens twice.

    A time that the clocks skip is counted with the offset from before it (RFC 5545, 3.3.5).
    """
    return _epoch(naive) - _offset_seconds(naive, zone, 0)


def offset_name(offset: timedelta) -> str:
    """`UTC+01:00`, or `UTC` where there is no difference."""
    total = int(offset.total_seconds())
    if total == 0:
        return "UTC"
    hours, minutes = divmod(abs(total) // 60, 60)
    return f"UTC{'-' if total < 0 else '+'}{hours:02}:{minutes:02}"


def _naive(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  (local, until the zone is applied)
    except ValueError as error:
        raise InvalidInput(f"{match[0]!r} is on no calendar ({error}): {_EXPECTED}") from None


def _at_offset(naive: datetime, offset: str) -> int:
    hours, minutes = (0, 0) if offset == "Z" else (int(offset[1:3]), int(offset[4:6]))
    if hours > 18 or minutes > 59:
        raise InvalidInput(f"{offset!r} is no UTC offset: {_EXPECTED}")
    away = timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1)
    return _epoch(naive) - int(away.total_seconds())


def _in_zone(naive: datetime, zone: ZoneInfo, fold: int | None) -> int:
    earlier, later = (_epoch(naive) - _offset_seconds(naive, zone, choice) for choice in (0, 1))
    if earlier == later:
        return earlier
    # in a gap the offset grows, so the reading with the offset from before it is the later instant (PEP 495)
    if earlier > later:
        raise InvalidInput(_gap_message(naive, zone, later, earlier))
    if fold is None:
        raise InvalidInput(_twice_message(naive, zone))
    return later if fold else earlier


def _gap_message(naive: datetime, zone: ZoneInfo, before: int, after: int) -> str:
    change = _transition(zone, before, after)
    last, first = (datetime.fromtimestamp(at, zone) for at in (change - 60, change))
    return (
        f"{naive:%Y-%m-%d %H:%M} does not exist in {zone.key}: the clocks are set forward; "
        f"the nearest times are {last:%Y-%m-%d %H:%M} and {first:%Y-%m-%d %H:%M}"
    )


def _twice_message(naive: datetime, zone: ZoneInfo) -> str:
    spellings = (f"{naive:%Y-%m-%dT%H:%M:%S}{_suffix(naive, zone, fold)}" for fold in (0, 1))
    return (
        f"{naive:%Y-%m-%d %H:%M} happens twice in {zone.key}, when the clocks are set back; "
        f"write {' or '.join(spellings)}"
    )


def _suffix(naive: datetime, zone: ZoneInfo, fold: int) -> str:
    return offset_name(timedelta(seconds=_offset_seconds(naive, zone, fold))).removeprefix("UTC") or "Z"


def _transition(zone: ZoneInfo, before: int, after: int) -> int:
    """The second at which the offset changes, somewhere in (before, after]."""
    old = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


def _offset_seconds(naive: datetime, zone: ZoneInfo, fold: int) -> int:
    offset = naive.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()
    return int(offset.total_seconds())


def _epoch(naive: datetime) -> int:
    return int(naive.replace(tzinfo=UTC).timestamp())
