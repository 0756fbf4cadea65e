"""What the drafts of a series must hold: each date that the daemon composed is computed here again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from podium_daemon.api.sessions import DraftOut, SeriesDateOut, SessionDraftIn, SessionEditIn, SessionOut
from podium_daemon.client.errors import DraftRefused
from podium_daemon.client.looking import Expectation, revision_tags
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import UnsignedEvent
from podium_protocol.live.series import Repeat, number_of, occurrences, shifted, wall_clock_shift


def expected_dates(wish: SessionDraftIn, draft: DraftOut, events: Sequence[UnsignedEvent]) -> list[Expectation]:
    """What each event of a new series must have.

    Raises:
        DraftRefused: an event is of a date that was not asked for.
    """
    series = Address.parse(draft.series or "")
    if wish.repeat is None or wish.times is None or series is None or wish.identifier not in (None, series.identifier):
        raise DraftRefused("the daemon asked us to sign another series than we asked for. Nothing was signed")
    starts = occurrences(wish.scheduled_at, wish.timezone or "UTC", Repeat(wish.repeat), wish.times)
    is_private = wish.e2ee_required or wish.visibility == "private"
    found: list[Expectation] = []
    for event in events:
        if event.kind == kinds.CALENDAR:
            found.append((kinds.CALENDAR, (("d", series.identifier), ("title", wish.title))))
            continue
        number = number_of(tags.first(event.tags, "d") or "")
        if not 1 <= number <= wish.times:
            raise DraftRefused("the daemon asked us to sign a date that we did not ask for. Nothing was signed")
        begins = starts[number - 1]
        own = (("d", f"{series.identifier}-{number:02}"), ("a", str(series)))
        wanted = revision_tags(wish.title, begins, wish.duration, private=is_private, attendance=wish.attendance)
        found.append((kinds.SESSION, (*own, *wanted)))
    if len({expectation[1][0] for expectation in found}) < len(found):
        raise DraftRefused("the daemon asked us to sign a date twice. Nothing was signed")
    return found


def following(before: SessionOut, dates: Sequence[SeriesDateOut]) -> list[SeriesDateOut]:
    """The dates after a session that are not over."""
    own = before.series_number or 0
    return [date for date in dates if date.number > own and date.state in ("scheduled", "active")]


def expected_changes(
    before: SessionOut, changes: SessionEditIn, dates: Sequence[SeriesDateOut]
) -> Iterator[Expectation]:
    """What the revisions of the sessions that follow `before` must have."""
    zone, at = before.timezone or "UTC", before.scheduled_at
    new_zone = (changes.timezone or "UTC") if "timezone" in changes.model_fields_set else zone
    moves = changes.scheduled_at is not None or "timezone" in changes.model_fields_set
    by = wall_clock_shift(at, zone, at if changes.scheduled_at is None else changes.scheduled_at, new_zone)
    for date in dates:
        begins = shifted(date.scheduled_at, date.timezone or "UTC", by, new_zone) if moves else date.scheduled_at
        wanted = revision_tags(
            date.title if changes.title is None else changes.title,
            begins,
            changes.duration,
            private=before.visibility == "private",
            attendance=changes.attendance,
        )
        yield kinds.SESSION, (("d", date.identifier), *wanted)


def expected_cancellations(before: SessionOut, dates: Sequence[SeriesDateOut]) -> Iterator[Expectation]:
    """What the cancellations of a session, unless it is over, and of those that follow must have."""
    is_over = bool(dates) and before.state in ("ended", "cancelled")
    for address in [*([] if is_over else [before.lesson_id]), *(date.lesson_id for date in dates)]:
        yield kinds.SESSION, (("d", address.split(":", 2)[2]), ("status", "cancelled"))
        yield kinds.DELETION, (("a", address), ("k", str(kinds.SESSION)))


def expected_calendar(before: SessionOut, events: Sequence[UnsignedEvent]) -> list[Expectation]:
    """The calendar of the series, if the draft ends with one."""
    series = Address.parse(before.series or "")
    if series is None or not events or events[-1].kind != kinds.CALENDAR:
        return []
    return [(kinds.CALENDAR, (("d", series.identifier),))]


def parts_of(events: Sequence[UnsignedEvent]) -> list[list[UnsignedEvent]]:
    """The events that are handed in together: a deletion with the revision before it, all others by themselves."""
    parts: list[list[UnsignedEvent]] = []
    for event in events:
        if event.kind == kinds.DELETION and parts:
            parts[-1].append(event)
        else:
            parts.append([event])
    return parts
