"""Questions as people see them: all see those that are shown; instructor and co-hosts also see held and hidden ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, cast

from podium_daemon.api.questions import AnswerOut, QuestionOut, QuestionsOut
from podium_daemon.web.views import is_led_by
from podium_protocol.events import Pubkey
from podium_protocol.live.questions import ranked
from podium_protocol.nips import nip19
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, QuestionRow

MAX_LISTED: Final = 300  # beside the pinned ones
NOTHING: Final = QuestionsOut(questions=(), total=0)
_SHOWN: Final = "shown"
_Role = Literal["instructor", "co-host", "participant"]
_State = Literal["shown", "held", "hidden"]


Names = Callable[[LiveSessionRow, Iterable[str]], Awaitable[Mapping[str, str]]]
"""What to call people in one list of a session, by their keys."""


async def questions_of(store: Store, row: LiveSessionRow, names_of: Names, *, leading: bool) -> QuestionsOut:
    """The questions of a session with their answers, for instructor and co-hosts (`leading`) or for all others."""
    return (await both_views(store, row, names_of))[leading]


async def both_views(store: Store, row: LiveSessionRow, names_of: Names) -> dict[bool, QuestionsOut]:
    """Both views from one read: that of instructor and co-hosts (True), and that of all others (False)."""
    found = await store.questions.where("lessonId").equals(row.session_address).to_list()
    controls = await store.controls.where("lessonId").equals(row.session_address).first()
    rows = sorted(found, key=lambda one: one.id or 0)
    silenced = frozenset(controls.silenced) if controls else frozenset[str]()
    names = await names_of(row, (one.pubkey for one in rows))
    return {True: _seen(row, rows, names, silenced, leading=True), False: _seen(row, rows, names, (), leading=False)}


def _seen(
    row: LiveSessionRow,
    rows: Sequence[QuestionRow],
    names: Mapping[str, str],
    silenced: Collection[str],
    *,
    leading: bool,
) -> QuestionsOut:
    answers, alone = _answers(row, rows)
    asked = [one for one in alone if leading or _is_public(row, one)]
    questions = [
        _question(
            row,
            one,
            [each for each in answers.get(one.event_id, ()) if leading or each.state == _SHOWN],
            names,
            silenced,
            leading=leading,
        )
        for one in ranked(asked, MAX_LISTED)
    ]
    return QuestionsOut(questions=tuple(questions), total=len(asked))


def _is_public(row: LiveSessionRow, one: QuestionRow) -> bool:
    # an answer whose question is gone would stand there like a statement
    return one.state == _SHOWN and not (one.reply_to is not None and is_led_by(row, one.pubkey))


def _answers(
    row: LiveSessionRow, rows: Sequence[QuestionRow]
) -> tuple[dict[str, list[QuestionRow]], list[QuestionRow]]:
    """The replies of instructor and co-hosts, by the question at the start of the thread, and all other rows.

    A reply of another participant counts as a question.
    """
    root: dict[str, str] = {one.event_id: one.event_id for one in rows}
    answers: dict[str, list[QuestionRow]] = {}
    alone: list[QuestionRow] = []
    for one in rows:  # in order of arrival: a question nearly always comes before its reply
        if one.reply_to in root and is_led_by(row, one.pubkey):
            root[one.event_id] = root[one.reply_to]
            answers.setdefault(root[one.event_id], []).append(one)
        else:
            alone.append(one)
    return answers, alone


def _question(
    row: LiveSessionRow,
    one: QuestionRow,
    answers: Sequence[QuestionRow],
    names: Mapping[str, str],
    silenced: Collection[str],
    *,
    leading: bool,
) -> QuestionOut:
    said = _said(row, one, names)
    return QuestionOut(
        id=said.id,
        pubkey=said.pubkey,
        npub=said.npub,
        name=said.name,
        role=said.role,
        text=said.text,
        created_at=said.created_at,
        state=said.state,
        hold=one.hold if leading else None,
        pinned=one.pinned,
        answered=one.answered,
        votes=one.votes,
        silenced=one.pubkey in silenced,
        answers=tuple(_said(row, answer, names) for answer in answers),
    )


def _said(row: LiveSessionRow, one: QuestionRow, names: Mapping[str, str]) -> AnswerOut:
    return AnswerOut(
        id=one.event_id,
        pubkey=one.pubkey,
        npub=nip19.encode_npub(Pubkey(one.pubkey)),
        name=names[one.pubkey],
        role=_role(row, one.pubkey),
        text=one.text,
        created_at=one.created_at,
        state=cast(_State, one.state),
    )


def _role(row: LiveSessionRow, pubkey: str) -> _Role:
    if pubkey == row.instructor_pubkey:
        return "instructor"
    return "co-host" if pubkey in row.co_hosts else "participant"
