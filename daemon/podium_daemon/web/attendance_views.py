"""Attendance in the form of the API, and the rows of one person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from podium_daemon.api.attendance import AttendanceOut, IntervalOut, OwnOut
from podium_daemon.services.attendance.observation import actual_seconds
from podium_daemon.services.attendance.participation import Participation
from podium_daemon.web.answer_views import AnswerViews, rows_of, rsvp_out
from podium_daemon.web.person_names import PersonNames, beside_loop, person_fields
from podium_protocol.events import Pubkey
from podium_protocol.live.completion import percent_attended
from podium_storage.projections.attendance import people_who_attended
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, LiveSessionRow, QuestionVoteRow, RsvpRow, WatchRow

OfPerson = TypeVar("OfPerson", WatchRow, QuestionVoteRow)


class AttendanceViews:
    """Reads who attended."""

    def __init__(
        self,
        store: Store,
        people: PersonNames,
        answers: AnswerViews,
        participation: Callable[[LiveSessionRow, Collection[Pubkey]], Awaitable[Mapping[Pubkey, Participation]]],
    ) -> None:
        """`participation` tells what people's attendance consists of, once the session has ended."""
        self._store = store
        self._people = people
        self._answers = answers
        self._participation = participation

    async def rows(self, row: LiveSessionRow, only: Pubkey | None) -> list[AttendanceOut]:
        """Attendance in the order people came, or just that of `only`."""
        chosen = sorted(await rows_of(self._store.attendance, row, only), key=lambda each: each.joined_at)
        there = {each.pubkey for each in chosen}
        others = [one for one in await rows_of(self._store.watches, row, only) if one.pubkey not in there]
        names = await self._people.names_of(row, [*(each.pubkey for each in chosen), *(each.pubkey for each in others)])
        return [*(_attendance(row, each, names[each.pubkey]) for each in chosen), *_by_watching(others, names)]

    async def part(
        self, row: LiveSessionRow, *, offset: int = 0, limit: int, query: str = ""
    ) -> tuple[list[AttendanceOut], int]:
        """A part of the attendance in the order people came, then of those who watched only; and how many they are.

        With a `query` (`live.names`), of those whom it means.
        """
        people = await people_who_attended(self._store.database, row.session_address)
        if query:
            people = await self._people.matching(row, people, query)
        chosen = people[offset : offset + limit]
        rows, watches = await self._of(row, chosen)
        names = await self._people.names_of(row, chosen)
        seen = await beside_loop(
            len(chosen),
            lambda: [*(_attendance(row, each, names[each.pubkey]) for each in rows), *_by_watching(watches, names)],
        )
        return seen, len(people)

    async def _of(self, row: LiveSessionRow, people: Sequence[Pubkey]) -> tuple[list[AttendanceRow], list[WatchRow]]:
        """What is kept of these people: their attendance, and what those without one have watched."""
        keys = [[row.session_address, pubkey] for pubkey in people]
        if not keys:
            return [], []
        came = await self._store.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
        by_person = {each.pubkey: each for each in came}
        others = [key for key in keys if key[1] not in by_person]
        watches = self._store.watches.where("[lessonId+pubkey]").any_of(others)
        in_order = [by_person[pubkey] for pubkey in people if pubkey in by_person]
        return in_order, await watches.to_list() if others else []

    async def own_rows(self, row: LiveSessionRow, people: Sequence[Pubkey]) -> dict[Pubkey, OwnOut]:
        """What is theirs, for each of `people`: read by their keys, in the same few queries however many they are."""
        keys, store = [[row.session_address, pubkey] for pubkey in people], self._store
        names = await self._people.each_alone(row, people)
        rsvps = await store.rsvps.where("[lessonId+pubkey]").any_of(keys).to_list()
        attended = await store.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
        watched = await store.watches.where("[lessonId+pubkey]").any_of(keys).to_list()
        votes = await store.question_votes.where("[lessonId+pubkey]").any_of(keys).to_list()
        unreachable = await self._answers.unreachable_among(row, people)
        participations = await self._participation(row, people)
        rsvp_of, attendance_of = {one.pubkey: one for one in rsvps}, {one.pubkey: one for one in attended}
        watches_of, votes_of = _by_person(watched), _by_person(votes)
        own = [
            _Own(
                session=row,
                pubkey=pubkey,
                name=names[pubkey],
                rsvp=rsvp_of.get(pubkey),
                attendance=attendance_of.get(pubkey),
                watches=watches_of[pubkey],
                votes=votes_of[pubkey],
                unreachable=pubkey in unreachable,
                participation=participations.get(pubkey),
            )
            for pubkey in people
        ]
        return await beside_loop(len(own), lambda: {one.pubkey: one.out() for one in own})


def _by_person(rows: Sequence[OfPerson]) -> defaultdict[str, list[OfPerson]]:
    found = defaultdict[str, list[OfPerson]](list)
    for row in rows:
        found[row.pubkey].append(row)
    return found


class _Own(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of one person."""

    session: LiveSessionRow
    pubkey: Pubkey
    name: str
    rsvp: RsvpRow | None
    attendance: AttendanceRow | None
    watches: Sequence[WatchRow]
    votes: Sequence[QuestionVoteRow]
    unreachable: bool
    participation: Participation | None

    def out(self) -> OwnOut:
        """It in the form of the API."""
        rsvp, attended = self.rsvp, self.attendance
        watched = _by_watching(self.watches, {self.pubkey: self.name})
        intervals = self.participation.intervals if self.participation else ()
        return OwnOut(
            **person_fields(self.pubkey, self.name),
            role=self._role(),
            rsvp=rsvp_out(rsvp, self.name, self.unreachable, rsvp.assurance) if rsvp else None,
            attendance=_attendance(self.session, attended, self.name) if attended else next(iter(watched), None),
            intervals=tuple(IntervalOut(start=one.start, end=one.end) for one in intervals),
            missing_seconds=self.participation.missing if self.participation else None,
            voted=tuple(vote.event_id for vote in self.votes),
        )

    def _role(self) -> Literal["instructor", "co-host", "participant"]:
        if self.pubkey == self.session.instructor_pubkey:
            return "instructor"
        return "co-host" if self.pubkey in self.session.co_hosts else "participant"


def _by_watching(rows: Sequence[WatchRow], names: Mapping[str, str]) -> list[AttendanceOut]:
    """People who never attended and have completed the session by its recording, each once."""
    done = sorted((row for row in rows if row.completed_at is not None), key=lambda row: row.completed_at or 0)
    first = {row.pubkey: row for row in reversed(done)}
    return [
        AttendanceOut(
            **person_fields(row.pubkey, names[row.pubkey]),
            joined_at=None,
            left_at=None,
            total_duration=0,
            percent=0,
            join_count=0,
            evidence="presence",
            assurance=row.assurance or "signature",
            completed_at=row.completed_at,
            completed_by="recording",
        )
        for row in sorted(first.values(), key=lambda row: row.completed_at or 0)
    ]


def _attendance(session: LiveSessionRow, row: AttendanceRow, name: str) -> AttendanceOut:
    percent = percent_attended(
        row.total_duration,
        scheduled_seconds=session.ends_at - session.scheduled_at,
        actual_seconds=actual_seconds(session, session.ended_at or 0),
    )
    return AttendanceOut(
        **person_fields(row.pubkey, name),
        joined_at=row.joined_at,
        left_at=row.left_at,
        total_duration=row.total_duration,
        percent=percent,
        join_count=row.join_count,
        evidence=row.evidence,
        assurance=row.assurance,
        completed_at=row.completed_at,
        completed_by=row.completed_by,
    )
