"""The facts for the rule who may ask, read from the store, and the rule applied to questions from relays."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice, takewhile
from typing import Final

import msgspec

from podium_protocol.events import Pubkey
from podium_protocol.live.questions import Asker, AskingPolicy, Hold, objection
from podium_storage.store import BoundTables
from podium_storage.table.models import LiveSessionRow, QuestionRow

MAX_STRANGERS: Final = 200  # waiting questions of strangers in one session; more are dropped
_BY_PERSON: Final = "[lessonId+pubkey]"
_OVER: Final = ("ended", "cancelled")


class Judged(msgspec.Struct, frozen=True):
    """The outcome for some questions: rows to write, and ids of rows to delete."""

    kept: tuple[QuestionRow, ...]
    forgotten: tuple[int, ...]


async def askers(tables: BoundTables, row: LiveSessionRow, pubkeys: Collection[str]) -> dict[str, Asker]:
    """The facts about people in one session; `asked` is left empty."""
    keys = [[row.session_address, pubkey] for pubkey in pubkeys]
    answered = {one.pubkey: one.status for one in await tables.rsvps.where(_BY_PERSON).any_of(keys).to_list()}
    standing = {one.pubkey: one.state for one in await tables.members.where(_BY_PERSON).any_of(keys).to_list()}
    controls = await tables.controls.where("lessonId").equals(row.session_address).first()
    return {
        pubkey: Asker(
            leads=leads(row, Pubkey(pubkey)),
            invited=answered.get(pubkey) in ("confirmed", "tentative") or pubkey in row.invited,
            present=standing.get(pubkey) == "admitted",
            removed=standing.get(pubkey) == "removed",
            silenced=controls is not None and pubkey in controls.silenced,
        )
        for pubkey in pubkeys
    }


async def history(tables: BoundTables, row: LiveSessionRow, pubkeys: Collection[str]) -> dict[str, list[QuestionRow]]:
    """All questions of these people in one session, in order of arrival."""
    keys = [[row.session_address, pubkey] for pubkey in pubkeys]
    found: dict[str, list[QuestionRow]] = {pubkey: [] for pubkey in pubkeys}
    for one in sorted(await tables.questions.where(_BY_PERSON).any_of(keys).to_list(), key=_place):
        found[one.pubkey].append(one)
    return found


async def objection_to(
    tables: BoundTables, row: LiveSessionRow, pubkey: Pubkey, at: int, policy: AskingPolicy
) -> Hold | None:
    """Why a person's next question is not taken, or None."""
    asker = (await askers(tables, row, [pubkey]))[pubkey]
    asked = tuple(one.created_at for one in (await history(tables, row, [pubkey]))[pubkey])
    return objection(msgspec.structs.replace(asker, asked=asked), at, ended_at(row), policy)


async def judge(tables: BoundTables, row: LiveSessionRow, held: Iterable[QuestionRow], policy: AskingPolicy) -> Judged:
    """Apply the rule to held questions, in order of arrival."""
    rows = sorted(held, key=_place)
    people = {one.pubkey for one in rows}
    known, asked = await askers(tables, row, people), await history(tables, row, people)
    strangers = (
        await tables.questions.where("lessonId").equals(row.session_address).and_("hold").equals("stranger").count()
    )
    kept: list[QuestionRow] = []
    forgotten: list[int] = []
    for one in rows:
        before = _before(one, asked[one.pubkey], policy.per_person)
        asker = msgspec.structs.replace(known[one.pubkey], asked=before)
        hold = objection(asker, one.created_at, ended_at(row), policy)
        strangers += hold is Hold.STRANGER and one.hold is None
        is_flood = len(before) >= policy.per_person or (hold is Hold.STRANGER and strangers > MAX_STRANGERS)
        if hold is not None and is_flood and one.hold is None:
            forgotten.append(_place(one))
        else:
            kept.append(msgspec.structs.replace(one, state="shown" if hold is None else "held", hold=hold))
    return Judged(tuple(kept), tuple(forgotten))


def leads(row: LiveSessionRow, pubkey: Pubkey) -> bool:
    """Whether `pubkey` is the session's instructor or a co-host."""
    return pubkey == row.instructor_pubkey or pubkey in row.co_hosts


def ended_at(row: LiveSessionRow) -> int | None:
    """When the session ended (Unix seconds), or None."""
    return (row.ended_at or row.ends_at) if row.state in _OVER else None


def _before(one: QuestionRow, asked: Iterable[QuestionRow], most: int) -> tuple[int, ...]:
    # more than `most` would change nothing: an attacker who floods must not cause quadratic work
    earlier = takewhile(lambda other: _place(other) < _place(one), asked)
    return tuple(other.created_at for other in islice(earlier, most))


def _place(row: QuestionRow) -> int:
    assert row.id is not None, "rows that were read have an id"
    return row.id
