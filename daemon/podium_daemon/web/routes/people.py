"""RSVPs, attendance and reminders of one session. Instructor and co-hosts see all people, others see themselves."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response

from podium_daemon.api.attendance import AttendancesOut
from podium_daemon.api.rooms import NamesIn, PeopleNamesOut
from podium_daemon.api.rsvps import AnswersOut, NamedPeopleOut, RemindersOut, RsvpDraftIn, RsvpsOut
from podium_daemon.api.sessions import DraftOut
from podium_daemon.web import attendance_csv
from podium_daemon.web.context import Context, InContext, forbidden
from podium_daemon.web.login import AnyCaller, Caller, KeyCaller, OptionalCaller, author_of
from podium_daemon.web.problems import also
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.events import Pubkey
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import LiveSessionRow

router = APIRouter(prefix="/api/sessions/{reference}", tags=["people"], route_class=StrictRoute)
CsvFormat = Literal["csv", "csv-intervals"]
_MOST: Final = 200  # RSVPs in one answer
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


@router.get("/answers")
async def list_answers(
    context: InContext,
    caller: KeyCaller,
    reference: str,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="How many in one answer.")] = _MOST,
    offset: Annotated[int, Query(ge=0, le=2**31, description="How many to leave out.")] = 0,
) -> AnswersOut:
    """A part of the RSVPs with the messages to those people: for the instructor and co-hosts, whose page shows it."""
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts see who answered")
    part = await context.views.answers.part(row, offset=offset, limit=limit)
    return AnswersOut(rsvps=tuple(part.rsvps), reminders=tuple(part.reminders), total=part.total)


@router.get("/attendance", response_model=AttendancesOut, responses=also("text/csv", "Rows as JSON, or as CSV."))
async def list_attendance(
    context: InContext,
    caller: AnyCaller,
    reference: str,
    format: CsvFormat | None = None,  # noqa: A002 (the query's word)
) -> AttendancesOut | Response:
    """Attendance as observed so far; `format=csv` for one row per person, `csv-intervals` for each interval."""
    row = await context.views.resolve(reference, caller)
    only = _only(context, row, caller)
    if format is None:
        return AttendancesOut(attendance=tuple(await context.views.attendance.rows(row, only)))
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
    return NamedPeopleOut(people=tuple(await context.views.answers.named_people(row)))


async def _people_csv(context: Context, row: LiveSessionRow) -> str:
    answers = await context.store.rsvps.where("lessonId").equals(row.session_address).to_list()
    return attendance_csv.people(
        await context.views.attendance.rows(row, None),
        answers={each.pubkey: each.status for each in answers},
    )


def _only(context: Context, row: LiveSessionRow, caller: Caller) -> Pubkey | None:
    """Whose rows the caller may see: those of all people (None), or their own."""
    return None if leads(row, caller) or caller.pubkey == context.service_pubkey else caller.pubkey
