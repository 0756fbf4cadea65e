"""Attendance. Lengths in seconds, times in Unix seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import Hex64, Model, PersonOut, Time
from podium_daemon.api.rsvps import RsvpOut


class AttendanceOut(PersonOut):
    joined_at: Annotated[int | None, Field(description="null for a person who only watched the recording")]
    left_at: int | None
    total_duration: int
    percent: Annotated[int, Field(description="of the session, in time that was credited")]
    join_count: int
    evidence: str
    assurance: Annotated[str, Field(description="How they proved who they are: signature, link, guest.")]
    completed_at: int | None
    completed_by: str | None


class AttendancesOut(Model):
    attendance: tuple[AttendanceOut, ...]
    total: Annotated[int, Field(description="How many people attended, or, with `q`, are meant; else own rows only.")]


class ManualAttendanceIn(Model):
    pubkey: Hex64
    joined_at: Time
    left_at: Time | None = None
    note: Annotated[str, Field(max_length=500)] = ""


class ManualAttendanceOut(Model):
    lesson_id: str
    pubkey: str
    joined_at: int
    left_at: int | None


class IntervalOut(Model):
    """A credited stay, from `start` to `end`."""

    start: int
    end: int


class OwnOut(PersonOut):
    """What the service stores about one person in one session: sent only to that person.

    `intervals` and `missing_seconds` come with the end of the session.
    """

    role: Literal["instructor", "co-host", "participant"]
    rsvp: RsvpOut | None
    attendance: AttendanceOut | None
    intervals: tuple[IntervalOut, ...]
    missing_seconds: Annotated[int | None, Field(description="to completion by attendance; null if completed")]
    voted: Annotated[tuple[str, ...], Field(description="Questions for which the person voted, by event id.")]
