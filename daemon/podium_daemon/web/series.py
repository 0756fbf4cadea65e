"""Series of sessions: drafts of all that one act takes, to be signed one after the other, and the dates of a series.

A draft names what is still to be done and nothing that was done before. So who stopped in the middle asks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from podium_daemon.api.base import TemplateModel
from podium_daemon.api.sessions import DraftOut, SeriesDateOut, SeriesOut, SessionDraftIn, SessionEditIn
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.drafts import Drafts, new_identifier, template
from podium_daemon.web.login import Caller
from podium_daemon.web.problems import Problem
from podium_daemon.web.views import Views
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.live.series import (
    Repeat,
    identifier_of,
    listed,
    number_of,
    occurrences,
    shifted,
    wall_clock_shift,
    write_calendar,
)
from podium_protocol.live.session_spec import MAX_IDENTIFIER_BYTES
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections.sessions import rows_of_series
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

_SLICE: Final = 10  # events composed before the event loop gets a turn: their naddr is bech32 in Python
_OVER: Final = ("ended", "cancelled")


class SeriesDrafts:
    """Composes what an instructor signs for several dates at once."""

    def __init__(self, drafts: Drafts, mirror: Mirror, store: Store, clock: Clock) -> None:
        self._drafts = drafts
        self._mirror = mirror
        self._store = store
        self._clock = clock

    async def new(self, author: Pubkey, wish: SessionDraftIn) -> DraftOut:
        """Compose the sessions of a new series that are not there yet, and the calendar that lists them.

        Raises:
            InvalidInput: the wish is not possible; says each reason.
            Problem: 409, the engine cannot do what is asked for.
        """
        assert wish.repeat is not None, "the wish was read"
        assert wish.times is not None, "the wish was read"
        series = Address(kinds.CALENDAR, author, wish.identifier or new_identifier(wish.title))
        if len(series.identifier.encode()) > MAX_IDENTIFIER_BYTES - len("-01"):
            raise InvalidInput(f"the identifier of a series must have {MAX_IDENTIFIER_BYTES - 3} bytes at most")
        starts = occurrences(wish.scheduled_at, wish.timezone or "UTC", Repeat(wish.repeat), wish.times)
        addresses = [
            str(Address(kinds.SESSION, author, identifier_of(series, number + 1))) for number in range(wish.times)
        ]
        known = {row.session_address: row for row in await rows_of_series(self._store.sessions, series)}
        events: list[TemplateModel] = []
        notice = ""
        async for part in in_slices(tuple(zip(addresses, starts, strict=True)), _SLICE):
            for address, at in part:
                if address not in known:
                    one = {"identifier": address.split(":", 2)[2], "scheduled_at": at}
                    draft = self._drafts.new_session(author, wish.model_copy(update=one), series=str(series))
                    events += draft.events
                    notice = draft.notice
        taking_place = dict.fromkeys(
            [*(key for key, row in known.items() if _stands(row)), *(key for key in addresses if key not in known)]
        )
        if wish.visibility == "public" and not wish.e2ee_required:
            events += await self._calendar(series, wish.title, sorted(taking_place))
        return DraftOut(lesson_id=addresses[0], events=tuple(events), notice=notice, series=str(series))

    async def edit(self, row: LiveSessionRow, wish: SessionEditIn) -> DraftOut:
        """Compose the next revision of a session and, if asked for, the same change of all that follow in its series.

        A new time moves those that follow as far on the wall clock: an hour later is an hour later on each date.

        Raises:
            InvalidInput: the wish is not possible.
            Problem: 409, as `Drafts.edit`.
        """
        following = wish.following
        wish = wish.model_copy(deep=True)
        wish.model_fields_set.discard("following")
        draft = await self._drafts.edit(row, wish)
        series = None if row.series is None else Address.parse(row.series)
        if not following or series is None:
            return draft
        events = list(draft.events)
        async for part in in_slices([one for one in await self._following(row) if one.id != row.id], _SLICE):
            for one in part:
                moved = wish.model_copy(update=_moved(row, one, wish))
                events += (await self._drafts.edit(one, moved)).events
        if wish.title is not None and not private.is_private(row):
            events += await self._calendar(series, wish.title, await self._standing(series))
        return DraftOut(lesson_id=draft.lesson_id, events=tuple(events), series=row.series)

    async def cancellation(self, row: LiveSessionRow, reason: str, *, following: bool) -> DraftOut:
        """Compose the cancellation of a session, or also of all that follow, and the calendar without them.

        Of each session the cancelled revision comes before its deletion.

        Raises:
            Problem: 409, it is over.
        """
        rows = await self._following(row) if following and row.series is not None else []
        events: list[TemplateModel] = []
        for one in rows or [row]:
            events += (await self._drafts.cancellation(one, reason)).events
        gone = {one.session_address for one in rows or [row]}
        return DraftOut(
            lesson_id=row.session_address,
            events=(*events, *await self._calendar_with(row, without=gone)),
            series=row.series,
        )

    async def restoration(self, row: LiveSessionRow) -> DraftOut:
        """Compose the revision that takes a cancellation back, and the calendar that lists the session again.

        Raises:
            InvalidInput: it is no longer possible.
            Problem: 409, it is not cancelled, or its time is over.
        """
        draft = await self._drafts.restoration(row)
        calendar = await self._calendar_with(row, back=row.session_address)
        return DraftOut(lesson_id=row.session_address, events=(*draft.events, *calendar), series=row.series)

    async def calendar(self, row: LiveSessionRow) -> DraftOut:
        """Compose the calendar of a session's series with the dates that take place; nothing, if it lists those."""
        return DraftOut(lesson_id=row.session_address, events=tuple(await self._calendar_with(row)), series=row.series)

    async def dates(self, views: Views, row: LiveSessionRow, viewer: Caller | None) -> SeriesOut:
        """The series of a session, as far as the viewer may see its dates.

        Raises:
            Problem: 404, the session is in no series.
        """
        series = Address.parse(row.series or "")
        if series is None:
            raise Problem(
                Slug.NOT_FOUND, "the session is in no series", "It has no other dates: look at the session itself."
            )
        found = await rows_of_series(self._store.sessions, series)
        # a link opens one session: of the others its holder sees what a stranger sees
        rows = [one for one in found if views.may_see(one, None) or views.may_see(one, viewer)]
        is_author = viewer is not None and viewer.has_key and viewer.pubkey == series.pubkey
        outdated = await self._outdated(series, found) if is_author else 0
        return SeriesOut(address=str(series), dates=tuple(_dates(views, rows)), outdated=outdated)

    async def _outdated(self, series: Address, rows: Sequence[LiveSessionRow]) -> int:
        """How many dates that another client cancelled the calendar still lists: the instructor has to sign it anew."""
        held = await self._mirror.newest(series)
        shown = set() if held is None else {str(address) for address in listed(held)}
        return sum(row.session_address in shown for row in rows if not _stands(row))

    async def _following(self, row: LiveSessionRow) -> list[LiveSessionRow]:
        """The session and those after it in its series that are not over."""
        series = Address.parse(row.series or "")
        rows = [] if series is None else await rows_of_series(self._store.sessions, series)
        later = [one for one in rows if number_of(one.session_address) >= number_of(row.session_address)]
        return [one for one in later if one.state not in _OVER and not one.withdrawn]

    async def _standing(self, series: Address) -> list[str]:
        return [row.session_address for row in await rows_of_series(self._store.sessions, series) if _stands(row)]

    async def _calendar_with(
        self, row: LiveSessionRow, *, without: set[str] | None = None, back: str | None = None
    ) -> list[TemplateModel]:
        series = Address.parse(row.series or "")
        if series is None or private.is_private(row):
            return []
        standing = {*await self._standing(series), *([] if back is None else [back])} - (without or set())
        held = await self._mirror.newest(series)
        title = None if held is None else tags.first(held.tags, "title")
        return await self._calendar(series, title or row.title, sorted(standing))

    async def _calendar(self, series: Address, title: str, addresses: Sequence[str]) -> list[TemplateModel]:
        """The next revision of the calendar, if it differs from the one that is there."""
        held = await self._mirror.newest(series)
        event = write_calendar(series, title, addresses, now=int(self._clock.now()), previous=held)
        return [] if held is not None and held.tags == event.tags else [template(event)]


def _dates(views: Views, rows: Sequence[LiveSessionRow]) -> Iterator[SeriesDateOut]:
    for row in rows:
        yield SeriesDateOut(
            lesson_id=row.session_address,
            naddr=views.naddr(row),
            number=number_of(row.session_address),
            title=row.title,
            scheduled_at=row.scheduled_at,
            ends_at=row.ends_at,
            timezone=row.timezone,
            state="cancelled" if row.withdrawn else row.state,
        )


def _moved(first: LiveSessionRow, one: LiveSessionRow, wish: SessionEditIn) -> dict[str, Any]:
    """What an edit of the time means for a session that follows `first`."""
    if wish.scheduled_at is None and "timezone" not in wish.model_fields_set:
        return {}
    before = first.timezone or "UTC"
    after = (wish.timezone or "UTC") if "timezone" in wish.model_fields_set else before
    at = first.scheduled_at if wish.scheduled_at is None else wish.scheduled_at
    by = wall_clock_shift(first.scheduled_at, before, at, after)
    return {"scheduled_at": shifted(one.scheduled_at, one.timezone or "UTC", by, after)}


def _stands(row: LiveSessionRow) -> bool:
    return not row.withdrawn and row.state != "cancelled"
