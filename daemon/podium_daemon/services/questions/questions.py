"""Questions and answers: one rule says who may ask, this service decides what is shown, and the instructor or a co-host
can override it.

A question from relays is stored in the mirror and waits as held; over HTTP it is judged before it is taken. The
questions of a private session are given to the daemon only, and are never published.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.reconcile_loop import run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.questions.judging import askers, ended_at, judge, leads, objection_to
from podium_daemon.writers.event_writer import EventWriter
from podium_protocol import kinds
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.questions import (
    DEFAULT_POLICY,
    MAX_PINNED,
    MAX_VOTES,
    AskingPolicy,
    Hold,
    Moderation,
    Question,
    read_question,
    vote_objection,
)
from podium_protocol.live.session import Visibility
from podium_protocol.nips import nip09
from podium_storage.changes import Batch
from podium_storage.database import Transaction
from podium_storage.guests import author_of
from podium_storage.mirror.fold import IngestOutcome
from podium_storage.projections.questions import QuestionProjection
from podium_storage.store import BoundTables, Store
from podium_storage.table.models import (
    LiveSessionRow,
    QuestionRow,
    QuestionVoteRow,
    RoomControlsRow,
    RoomMemberRow,
    RsvpRow,
)

_log = structlog.get_logger(__name__)
MAX_AHEAD: Final = 600  # seconds, as relays take it
MAX_BEHIND: Final = 600
VOTES_OF_A_PERSON: Final = Rate(burst=10, per_second=1)
"""A person may think again, but not write to the disk without end."""

_BY_PERSON: Final = "[lessonId+pubkey]"
_REFUSALS: Final = {
    Hold.REMOVED: Rejection(Slug.NOT_ALLOWED, "you were removed from this session"),
    Hold.SILENCED: Rejection(Slug.NOT_ALLOWED, "the instructor takes no more questions from you in this session"),
    Hold.STRANGER: Rejection(Slug.ANSWER_FIRST, "questions are for those who come", "Answer that you come, or join."),
    Hold.TOO_MANY: Rejection(Slug.TOO_MANY, "you have asked a lot in a short time", "Wait a minute, then ask again."),
    Hold.OVER: Rejection(Slug.SESSION_OVER, "the session is over", "Ask the instructor in a message."),
}
_NO_QUESTION: Final = Rejection(Slug.UNKNOWN_QUESTION, "there is no such question here", "It may be withdrawn.")
_VOTES_TOO_FAST: Final = Rejection(Slug.TOO_MANY, "you vote very often", "Wait a few seconds.")
_Person = tuple[str, str]
_MAX_STRANGERS: Final = 20_000  # people whose questions wait until they answer or join; beyond it, until a restart
_Scope = Callable[[Transaction], Awaitable[None]]


async def _nothing_against_it(_event: VerifiedEvent) -> str | None:
    return None


class _No(Exception):
    def __init__(self, refusal: Rejection) -> None:
        super().__init__(refusal.slug)
        self.refusal = refusal


class Questions:
    """Owns `state`, `hold`, `pinned`, `answered` and `votes` of the question rows, and the votes."""

    name = "questions"

    def __init__(
        self,
        *,
        store: Store,
        event_writer: EventWriter,
        projection: QuestionProjection,
        service: Pubkey,
        clock: Clock,
        policy: AskingPolicy = DEFAULT_POLICY,
        objection: Callable[[VerifiedEvent], Awaitable[str | None]] = _nothing_against_it,
    ) -> None:
        """`objection`: why a stranger's event is not stored now (`Strangers.objection`)."""
        self._store = store
        self._event_writer = event_writer
        self._projection = projection
        self._service = service
        self._clock = clock
        self._policy = policy
        self._objection = objection
        self._strangers: dict[_Person, None] = {}
        self._voting: Buckets[_Person] = Buckets(VOTES_OF_A_PERSON)

    async def run(self, stop: Stop) -> None:
        """Judge questions from relays until the stop."""
        store = self._store
        tables = (store.questions.name, store.rsvps.name, store.members.name)
        with store.changes.subscribe(*tables) as changes:
            await run_reconcile_loop(self.name, self._turn, changes, clock=self._clock, stop=stop)

    # -- from people, over HTTP

    async def submit(self, row: LiveSessionRow, event: VerifiedEvent) -> Rejection | None:
        """Take a signed question or answer, or its author's deletion of one, and queue it for the relays."""
        if await self._objection(event) is not None:
            return _REFUSALS[Hold.TOO_MANY]
        now = int(self._clock.now())
        if not now - MAX_BEHIND <= event.created_at <= now + MAX_AHEAD:
            return Rejection(Slug.BAD_TIME, "the event is not dated now", "Set your device's clock, and sign it again.")
        if event.kind == kinds.DELETION:
            relays = await self._event_writer.relays_of(row.session_address)
            return await self._transact(lambda tx: self._withdraw(tx, row, event, relays))
        question = read_question(event)
        if not isinstance(question, Question):
            return Rejection(
                Slug.NOT_A_QUESTION, question.reason, "docs/wire-formats.md says what a question looks like."
            )
        if (question.meeting.pubkey, question.meeting.identifier) != (self._service, row.conference_room_id):
            return Rejection(Slug.UNKNOWN_SESSION, "the question names another meeting", "Ask it in its own session.")
        return await self._transact(lambda tx: self._ask(tx, row, event, question))

    async def _ask(self, tx: Transaction, row: LiveSessionRow, event: VerifiedEvent, question: Question) -> None:
        tables = self._store.within(tx)
        if await tables.questions.where("eventId").equals(event.id).first() is not None:
            return  # sent twice, or a relay was quicker
        if question.reply_to is not None:
            parent = await tables.questions.where("eventId").equals(question.reply_to).first()
            if parent is None or parent.session_address != row.session_address:
                raise _No(
                    Rejection(Slug.UNKNOWN_QUESTION, "it answers a question that is not here", "It may be withdrawn.")
                )
        author = await author_of(tables, row, question.pubkey)
        question = msgspec.structs.replace(question, pubkey=author)
        hold = await objection_to(tables, row, author, question.created_at, self._policy)
        if hold is not None:
            raise _No(_REFUSALS[hold])
        await self._keep(tx, row, event, question)
        if not await tables.questions.where("eventId").equals(event.id).modify(state="shown", hold=None):
            raise _No(Rejection(Slug.FULL, "this session takes no more questions", "Ask the instructor in a message."))
        _log.info("a question was asked", action="question.asked", session=row.session_address, by=event.pubkey)

    async def _keep(self, tx: Transaction, row: LiveSessionRow, event: VerifiedEvent, question: Question) -> None:
        if row.visibility == Visibility.PRIVATE or await self._is_guest(tx, event.pubkey):
            await self._projection.add_questions(tx, row, [question], received_at=int(self._clock.now()))
            return
        (outcome,) = await self._event_writer.add(tx, [event], session_address=row.session_address)
        if outcome in (IngestOutcome.DELETED, IngestOutcome.EXPIRED):
            raise _No(Rejection(Slug.OUTDATED, f"the question is {outcome}", "Sign it anew."))

    async def _is_guest(self, tx: Transaction, pubkey: Pubkey) -> bool:
        """Whether the service keeps this key: nothing is published under it."""
        return await self._store.guests.within(tx).where("pubkey").equals(pubkey).count() > 0

    async def _withdraw(
        self, tx: Transaction, row: LiveSessionRow, event: VerifiedEvent, relays: Sequence[str]
    ) -> None:
        table = self._store.questions.within(tx)
        named = await table.where("eventId").any_of(nip09.read_deletion(event).ids).to_list()
        author = await author_of(self._store.within(tx), row, event.pubkey)
        own = [one for one in named if one.pubkey == author and one.session_address == row.session_address]
        if not own:
            raise _No(Rejection(Slug.UNKNOWN_QUESTION, "the deletion names no question of its author here"))
        if row.visibility != Visibility.PRIVATE and not await self._is_guest(tx, event.pubkey):
            await self._event_writer.add(tx, [event], session_address=row.session_address, relays=relays)
        await table.bulk_delete([one.id for one in own if one.id is not None])
        votes = self._store.question_votes.within(tx)
        await votes.where("eventId").any_of([one.event_id for one in own]).delete()

    async def vote(self, row: LiveSessionRow, event_id: str, by: Pubkey, *, wanted: bool) -> int | Rejection:
        """Count a person's one vote for a question, or take it back; return all its votes. The caller checked `by`."""
        if not self._voting.take_tokens((row.session_address, by), self._clock.monotonic()):
            return _VOTES_TOO_FAST

        async def scope(tx: Transaction) -> int:
            tables = self._store.within(tx)
            found = await tables.questions.where("eventId").equals(event_id).first()
            if found is None or not _takes_votes(row, found):
                raise _No(_NO_QUESTION)
            own = tables.question_votes.where("[eventId+pubkey]").equals([event_id, by])
            if (await own.count() > 0) is wanted:
                return found.votes
            if wanted:
                await self._check_vote(tables, row, found, by)
                vote = QuestionVoteRow(session_address=row.session_address, pubkey=by, event_id=event_id)
                await tables.question_votes.add(vote)
            else:
                await own.delete()
            votes = await tables.question_votes.where("eventId").equals(event_id).count()
            await tables.questions.put(msgspec.structs.replace(found, votes=votes))
            return votes

        try:
            return await self._store.database.transact(scope)
        except _No as no:
            return no.refusal

    async def _check_vote(self, tables: BoundTables, row: LiveSessionRow, found: QuestionRow, by: Pubkey) -> None:
        if found.pubkey == by:
            raise _No(Rejection(Slug.NOT_ALLOWED, "this is your own question"))
        voter = (await askers(tables, row, [by]))[by]
        hold = vote_objection(voter, int(self._clock.now()), ended_at(row))
        if hold is not None:
            raise _No(_REFUSALS[hold])
        if await tables.question_votes.where(_BY_PERSON).equals([row.session_address, by]).count() >= MAX_VOTES:
            raise _No(Rejection(Slug.TOO_MANY, f"you have {MAX_VOTES} votes in a session", "Take one back first."))

    # -- by the instructor or a co-host

    async def moderate(self, row: LiveSessionRow, event_id: str, command: Moderation, by: Pubkey) -> Rejection | None:
        """Show, hide, pin or mark a question, or silence its author; `by` was checked by the caller."""

        async def scope(tx: Transaction) -> None:
            tables = self._store.within(tx)
            found = await tables.questions.where("eventId").equals(event_id).first()
            if found is None or found.session_address != row.session_address:
                raise _No(_NO_QUESTION)
            if command in (Moderation.SILENCE, Moderation.UNSILENCE):
                await _silence(tables, row, found, wanted=command is Moderation.SILENCE)
            else:
                await self._change(tables, row, found, command)

        refused = await self._transact(scope)
        if refused is None:
            _log.info("a question was moderated", action=f"question.{command}", session=row.session_address, by=by)
        return refused

    async def _change(self, tables: BoundTables, row: LiveSessionRow, found: QuestionRow, command: Moderation) -> None:
        match command:
            case Moderation.SHOW:
                after = msgspec.structs.replace(found, state="shown", hold=None)
            case Moderation.HIDE:
                after = msgspec.structs.replace(found, state="hidden", hold=None, pinned=False)
            case Moderation.PIN:
                await _check_pin(tables, found)
                after = msgspec.structs.replace(found, pinned=True)
            case Moderation.ANSWERED | Moderation.UNANSWERED:
                after = msgspec.structs.replace(found, answered=command is Moderation.ANSWERED)
            case _:
                after = msgspec.structs.replace(found, pinned=False)
        await tables.questions.put(after)
        if _is_told(found) != _is_told(after):
            await self._tell_anew(tables, [row.session_address])

    async def _tell_anew(self, tables: BoundTables, addresses: Iterable[str]) -> None:
        """Have the public status published again, since it names the pinned questions."""
        now = int(self._clock.now())
        for row in await tables.sessions.where("lessonId").any_of(addresses).to_list():
            await tables.sessions.put(msgspec.structs.replace(row, status_due_at=now, version=row.version + 1))

    # -- from relays

    async def _turn(self, batch: Batch) -> float | None:
        """Judge new questions, and those of strangers again once these have answered or joined."""
        if batch.resync:
            held = await self._store.questions.where("state").equals("held").to_list()
        else:
            fresh = [row for row in _created(batch) if row.state == "held" and row.hold is None]
            known = sorted(_people(batch) & self._strangers.keys())
            waiting = await self._store.questions.where(_BY_PERSON).any_of(known).to_list() if known else []
            held = [*fresh, *(row for row in waiting if row.state == "held")]
            await self._follow_deletions(batch)
        by_session: dict[str, set[int]] = {}
        for row in held:
            if row.id is not None:
                by_session.setdefault(row.session_address, set()).add(row.id)
        for session_address, ids in by_session.items():
            await self._store.database.transact(partial(self._judge, session_address=session_address, ids=ids))
        return None

    async def _judge(self, tx: Transaction, session_address: str, ids: Collection[int]) -> None:
        tables = self._store.within(tx)
        row = await tables.sessions.where("lessonId").equals(session_address).first()
        found = await tables.questions.bulk_get(sorted(ids))
        held = [one for one in found if one is not None and one.state == "held"]
        if row is None or not held:
            return
        judged = await judge(tables, row, held, self._policy)
        await tables.questions.bulk_delete(judged.forgotten)
        await tables.questions.bulk_put(judged.kept)
        for one in judged.kept:
            self._strangers.pop((session_address, one.pubkey), None)
        strangers = [(session_address, one.pubkey) for one in judged.kept if one.hold == Hold.STRANGER]
        self._strangers |= dict.fromkeys(strangers)
        while len(self._strangers) > _MAX_STRANGERS:
            del self._strangers[next(iter(self._strangers))]
        if any(_is_told(one) for one in judged.kept):
            await self._tell_anew(tables, [session_address])

    async def _follow_deletions(self, batch: Batch) -> None:
        gone = {
            change.before.session_address
            for change in batch.changes
            if change.after is None and isinstance(change.before, QuestionRow) and _is_told(change.before)
        }
        if gone:
            await self._store.database.transact(lambda tx: self._tell_anew(self._store.within(tx), sorted(gone)))

    async def _transact(self, scope: _Scope) -> Rejection | None:
        try:
            await self._store.database.transact(scope)
        except _No as no:
            return no.refusal
        return None


async def _check_pin(tables: BoundTables, found: QuestionRow) -> None:
    if found.state != "shown":
        raise _No(Rejection(Slug.NOT_SHOWN, "only what everybody sees can be pinned", "Show it first."))
    pinned = await tables.questions.where("lessonId").equals(found.session_address).and_("pinned").equals(True).count()
    if not found.pinned and pinned >= MAX_PINNED:
        raise _No(Rejection(Slug.TOO_MANY_PINNED, f"{MAX_PINNED} are pinned already", "Unpin one of them first."))


async def _silence(tables: BoundTables, row: LiveSessionRow, found: QuestionRow, *, wanted: bool) -> None:
    if leads(row, Pubkey(found.pubkey)):
        raise _No(Rejection(Slug.NOT_ALLOWED, "instructor and co-hosts are not silenced"))
    controls = await tables.controls.where("lessonId").equals(row.session_address).first()
    controls = controls or RoomControlsRow(session_address=row.session_address)
    others = tuple(pubkey for pubkey in controls.silenced if pubkey != found.pubkey)
    silenced = (*others, found.pubkey) if wanted else others
    await tables.controls.upsert([msgspec.structs.replace(controls, silenced=silenced)], by="lessonId")


def _takes_votes(row: LiveSessionRow, found: QuestionRow) -> bool:
    is_answer = found.reply_to is not None and leads(row, Pubkey(found.pubkey))
    return found.session_address == row.session_address and found.state == "shown" and not is_answer


def _is_told(row: QuestionRow) -> bool:
    """Whether the public status names the question."""
    return row.pinned and row.state == "shown"


def _created(batch: Batch) -> Sequence[QuestionRow]:
    return [change.after for change in batch.changes if isinstance(change.after, QuestionRow)]


def _people(batch: Batch) -> set[_Person]:
    rows = (change.after or change.before for change in batch.changes)
    return {(row.session_address, row.pubkey) for row in rows if isinstance(row, RsvpRow | RoomMemberRow)}
