"""RSVPs, attendance and reminders of one session. Instructor and co-hosts see all people, others see themselves."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response

from podium_daemon.api.attendance import AttendancesOut
from podium_daemon.api.base import Model
from podium_daemon.api.rooms import NamesIn, PeopleNamesOut
from podium_daemon.api.rsvps import AnswersOut, NamedPeopleOut, RemindersOut, RsvpDraftIn, RsvpsOut
from podium_daemon.api.sessions import DraftOut
from podium_daemon.web import attendance_csv
from podium_daemon.web.context import Context, InContext, forbidden
from podium_daemon.web.login import AnyCaller, Caller, KeyCaller, OptionalCaller, author_of
from podium_daemon.web.person_names import beside_loop
from podium_daemon.web.problems import also
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.events import Pubkey
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import LiveSessionRow

router = APIRouter(prefix="/api/sessions/{reference}", tags=["people"], route_class=StrictRoute)
CsvFormat = Literal["csv", "csv-intervals"]
_MOST: Final = 200  # rows in one answer
Offset = Annotated[int, Query(ge=0, le=2**31, description="How many to leave out.")]
Sought = Annotated[
    str, Query(max_length=100, description="Only people whose name has this in it, or whose npub begins so.")
]
_FILES: Final[dict[CsvFormat, str]] = {"csv": "attendance.csv", "csv-intervals": "attendance-intervals.csv"}


@router.post("/rsvp/draft")
async def draft_rsvp(context: InContext, caller: OptionalCaller, reference: str, wish: RsvpDraftIn) -> DraftOut:
    """Compose the RSVP of the caller, or of `pubkey`, for them to sign: what they sign is all the proof there is."""
    author = author_of(caller, wish.pubkey)
    row = await context.views.resolve(reference, caller)
    counted = await context.store.rsvps.where("[lessonId+pubkey]").equals([row.session_address, author]).first()
    return await context.drafts.rsvp(row, author, RsvpStatus(wish.status), counted)


@router.post("/names")
async def list_people_names(context: InContext, caller: AnyCaller, reference: str, wish: NamesIn) -> PeopleNamesOut:
    """The names of people of this session, for a page that shows them. It tells two of the same name apart itself."""
    row = await context.views.resolve(reference, caller)
    return PeopleNamesOut(names=await context.views.people.own_names(row, wish.pubkeys))


@router.get("/rsvps")
async def list_rsvps(context: InContext, caller: AnyCaller, reference: str) -> RsvpsOut:
    """RSVPs with seats and waiting-list positions."""
    row = await context.views.resolve(reference, caller)
    return RsvpsOut(rsvps=tuple(await context.views.answers.rsvps(row, _only(context, row, caller))))


@router.get("/answers", response_model=AnswersOut)
async def list_answers(
    context: InContext,
    caller: KeyCaller,
    reference: str,
    *,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="How many in one answer.")] = _MOST,
    offset: Offset = 0,
    q: Sought = "",
) -> Response:
    """A part of the RSVPs with the messages to those people: for the instructor and co-hosts, whose page shows it."""
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts see who answered")
    part = await context.views.answers.part(row, offset=offset, limit=limit, query=q.strip())
    answer = AnswersOut(rsvps=tuple(part.rsvps), reminders=tuple(part.reminders), total=part.total)
    return await _written(answer, len(part.rsvps) + len(part.reminders))


@router.get("/attendance", response_model=AttendancesOut, responses=also("text/csv", "Rows as JSON, or as CSV."))
async def list_attendance(
    context: InContext,
    caller: AnyCaller,
    reference: str,
    *,
    format: CsvFormat | None = None,  # noqa: A002 (the query's word)
    limit: Annotated[
        int | None,
        Query(ge=1, le=_MOST, description="How many in one answer; all if there is no `offset` or `q` either."),
    ] = None,
    offset: Offset = 0,
    q: Sought = "",
) -> Response:
    """Attendance as observed so far; `format=csv` for one row per person, `csv-intervals` for each interval.

    `limit`, `offset` and `q` are for the instructor and co-hosts; others get their own row.
    """
    row = await context.views.resolve(reference, caller)
    only = _only(context, row, caller)
    if format is None and only is None and (limit is not None or offset or q):
        shown, total = await context.views.attendance.part(row, offset=offset, limit=limit or _MOST, query=q.strip())
        return await _written(AttendancesOut(attendance=tuple(shown), total=total), len(shown))
    if format is None:
        shown = await context.views.attendance.rows(row, only)
        return await _written(AttendancesOut(attendance=tuple(shown), total=len(shown)), len(shown))
    if only is not None:
        raise forbidden("only the instructor and co-hosts export attendance")
    if format == "csv":
        text = await _people_csv(context, row)
    else:
        text = attendance_csv.intervals(
            await context.store.intervals.where("lessonId").equals(row.session_address).to_list()
        )
    headers = {"Content-Disposition": f'attachment; filename="{_FILES[format]}"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/reminders")
async def list_reminders(context: InContext, caller: AnyCaller, reference: str) -> RemindersOut:
    """The ledger: for each person and message its state, and the relays' answers."""
    row = await context.views.resolve(reference, caller)
    only = _only(context, row, caller)
    rows = tuple(await context.views.answers.reminders(row, only))
    unreachable = tuple(await context.views.answers.unreachable(row, only))
    return RemindersOut(reminders=rows, summary=dict(Counter(each.state for each in rows)), unreachable=unreachable)


@router.get("/named-people")
async def list_named_people(context: InContext, caller: KeyCaller, reference: str) -> NamedPeopleOut:
    """The co-hosts and invited people, with the state of their invitations: for the instructor and co-hosts."""
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts see who is invited")
    people, _ = await context.views.answers.named_people(row)
    return NamedPeopleOut(people=tuple(people))


async def _written(answer: Model, count: int) -> Response:
    """The answer as JSON, written beside the event loop if it has many rows."""
    return Response(
        await beside_loop(count, lambda: answer.model_dump_json(by_alias=True)), media_type="application/json"
    )


async def _people_csv(context: Context, row: LiveSessionRow) -> str:
    answers = await context.store.rsvps.where("lessonId").equals(row.session_address).to_list()
    return attendance_csv.people(
        await context.views.attendance.rows(row, None),
        answers={each.pubkey: each.status for each in answers},
    )


def _only(context: Context, row: LiveSessionRow, caller: Caller) -> Pubkey | None:
    """Whose rows the caller may see: those of all people (None), or their own."""
    return None if leads(row, caller) or caller.pubkey == context.service_pubkey else caller.pubkey
