"""RSVPs and opt-outs by message: somebody answers a reminder with yes, maybe, no, stop or stop all.

What was said is also sealed for ourselves, so that a lost disk forgets none of it. What was said while we were away is
judged once everything is read that it may be about. The sender is who signed the seal. Everything that is no such
answer is counted and forgotten; only an answer that we cannot place is answered back, and only to people to whom we
wrote first, so that nobody is written to in a loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.clock import Clock
from podium_daemon.services.letters import INVITATION, Letter, Letters
from podium_daemon.services.reminder_wrapping import inboxes_of
from podium_daemon.supervisor import Stop
from podium_daemon.turns import Moment, comes
from podium_daemon.watched import Watched
from podium_protocol import kinds, tags
from podium_protocol.events import EventId, Pubkey, SignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live import private, reply_texts
from podium_protocol.live.lifecycle import State
from podium_protocol.live.reminders import LedgerState, is_old_answer
from podium_protocol.live.replies import Told, Unclear, session_meant
from podium_protocol.live.rsvp import Reply, Rsvp, read_reply
from podium_protocol.live.said import ALL, Said, write_said
from podium_protocol.nips import nip17, nip40, nip59
from podium_storage.database import Transaction
from podium_storage.deliveries import OutboxItem
from podium_storage.mirror import Mirror
from podium_storage.opened_wraps import OpenedWraps
from podium_storage.outbox import Outbox
from podium_storage.projections import Answer, RsvpProjection
from podium_storage.rows import LedgerRow, LetterRow, LiveSessionRow, OptOutRow, RsvpRow
from podium_storage.slices import in_slices
from podium_storage.store import Store

_log = structlog.get_logger(__name__)
_BATCH: Final = 100  # wraps opened in one go on a thread: some 40 ms
_WRAPS: Final = 25  # messages wrapped before others get their turn: about 10 ms
_TOLD: Final = (LedgerState.CLAIMED, LedgerState.SENT, LedgerState.FAILED)  # failed: a lost OK may still have arrived
_EXPLAIN_WITHIN: Final = 24 * 3600  # seconds; an older reply was read again after a loss, and its writer has moved on
_QUIET: Final = 600  # seconds between two explanations to one person
_KEPT_PEOPLE: Final = 10_000
MAX_PAST: Final = 20_000  # letters that wait until the past is read; the oldest are dropped, and read after a restart


Others = Callable[[Sequence[tuple[EventId, nip59.Unwrapped]]], Awaitable[None]]
"""Takes rumors that are no private messages, each with the id of its gift wrap; they may be given again."""


class _Letter(msgspec.Struct, frozen=True):
    """A reply that says something we understand."""

    wrap_id: EventId
    rumor_id: EventId
    sender: Pubkey
    at: int
    reply: Reply
    named: frozenset[str]


class _Outcome(msgspec.Struct):
    """What a batch of letters comes to."""

    answers: list[Answer] = []
    opt_outs: dict[tuple[str, str], OptOutRow] = {}
    unclear: list[tuple[_Letter, Unclear]] = []
    said: list[Said] = []
    done: list[EventId] = []


class _Person(msgspec.Struct):
    """What we know of somebody who writes.

    `told` by us, `titles` of what is open for them, and `known_since` when this disk knows of the first of it.
    """

    told: list[Told] = []
    titles: dict[str, str] = {}
    known_since: int | None = None


def _nothing_remembered(_pubkey: Pubkey) -> int:
    return 0


class Replies:
    """Reads gift wraps. `counts` says what became of them, by name.

    `caught_up` is set once everything that was said while we were away has its effect: until then nobody is written to.
    """

    name = "replies"

    def __init__(
        self,
        secret: SecretKey,
        *,
        store: Store,
        mirror: Mirror,
        outbox: Outbox,
        rsvps: RsvpProjection,
        opened: OpenedWraps,
        letters: Letters,
        others: Others,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        past: Moment | None = None,
        remembered: Callable[[Pubkey], int] = _nothing_remembered,
    ) -> None:
        """Join what replies need.

        Args:
            secret: the service's.
            store: for what people were told, and for what they say.
            mirror: for where people read messages.
            outbox: takes what is written back.
            rsvps: takes answers.
            opened: the wraps that had their effect.
            letters: take what we seal for ourselves.
            others: is given every rumor that is no letter, before the letters of its batch are read.
            clock: says when it is.
            random_bytes: makes wraps.
            past: when sessions, RSVPs and our own memory are read; None: they are.
            remembered: when somebody last said something that our own memory has (Unix seconds), 0 for never.
        """
        self._secret = secret
        self._store = store
        self._mirror = mirror
        self._outbox = outbox
        self._rsvps = rsvps
        self._opened = opened
        self._others = others
        self._clock = clock
        self._random_bytes = random_bytes
        self._letters = letters
        self._past = past
        self._remembered = remembered
        self._waiting: dict[EventId, _Letter] = {}
        self.caught_up = asyncio.Event()
        if past is None:
            self.caught_up.set()
        self._explained: dict[Pubkey, int] = {}
        self.counts: Counter[str] = Counter()
        self.tasks = Watched(self.name)

    async def run(self, stop: Stop) -> None:
        """Wait for the past and judge what was said in it, until told to stop."""
        if self._past is None or await comes(self._past, stop):
            await self.tasks.guard(self._catch_up(stop))

    async def _catch_up(self, stop: Stop) -> None:
        reading = "reading what was said"
        self.tasks.start(self.tasks.persist(reading, self.past_is_read, clock=self._clock), reading)
        await stop.wait()

    async def past_is_read(self) -> None:
        """Judge what was said while we were away, in the order in which it was said; then what comes counts at once.

        Raises:
            StoreError: not everything was stored; call it again.
        """
        now = int(self._clock.now())
        while self._waiting and not self.caught_up.is_set():
            part = sorted(self._waiting.values(), key=lambda letter: letter.at)[:_BATCH]
            # before the disk was lost it was judged with more knowledge than there is now
            known = [letter.wrap_id for letter in part if letter.at <= self._remembered(letter.sender)]
            await self._judge([letter for letter in part if letter.wrap_id not in known], now, known)
            for letter in part:
                self._waiting.pop(letter.wrap_id, None)
        self.caught_up.set()

    async def take(self, wraps: Sequence[VerifiedEvent]) -> None:
        """Deal with gift wraps whose signatures are good; each has its effects once, restarts included.

        Raises:
            StoreError: nothing of the batch at hand was stored; the same wraps can be given again.
        """
        async for part in in_slices(wraps, _BATCH):
            await self._take(part)

    async def _take(self, wraps: Sequence[VerifiedEvent]) -> None:
        now = int(self._clock.now())
        known = await self._opened.known([wrap.id for wrap in wraps])
        fresh = [wrap for wrap in wraps if wrap.id not in known and not nip40.is_expired(wrap, now)]
        self.counts["known_or_expired"] += len(wraps) - len(fresh)
        opened = await asyncio.to_thread(_open, fresh, self._secret, now)
        pairs = [(wrap.id, one) for wrap, one in zip(fresh, opened, strict=True) if isinstance(one, nip59.Unwrapped)]
        if rest := [pair for pair in pairs if pair[1].rumor.kind != kinds.PRIVATE_MESSAGE]:
            await self._others(rest)
        letters = [
            letter for pair in zip(fresh, opened, strict=True) if (letter := self._letter(*pair, now)) is not None
        ]
        if self.caught_up.is_set():
            await self._judge(letters, now)
            return
        self._waiting |= {letter.wrap_id: letter for letter in letters}
        for key in list(self._waiting)[: max(0, len(self._waiting) - MAX_PAST)]:
            del self._waiting[key]
            self.counts["dropped"] += 1

    async def _judge(self, letters: Sequence[_Letter], now: int, known: Sequence[EventId] = ()) -> None:
        """Give letters their effect; `known` are wraps of such as had theirs."""
        if letters or known:
            outcome = await self._store.database.transact(lambda tx: self._apply(tx, letters, now, known))
            self._account(outcome, now)

    def _letter(self, wrap: VerifiedEvent, opened: nip59.Unwrapped | nip59.WrapRejected, now: int) -> _Letter | None:
        if isinstance(opened, nip59.WrapRejected):
            self.counts[opened.flaw.value] += 1
            return None
        rumor = opened.rumor
        reply = read_reply(rumor.content) if rumor.kind == kinds.PRIVATE_MESSAGE else None
        if reply is None:
            self.counts["conversation" if rumor.kind == kinds.PRIVATE_MESSAGE else "other_kind"] += 1
            return None
        meant_for = tuple(tags.values(rumor.tags, "p"))
        if meant_for and self._secret.pubkey not in meant_for:
            # words that were meant for others, sealed once more for us by somebody's client
            self.counts["not_to_us"] += 1
            return None
        return _Letter(
            wrap_id=wrap.id,
            rumor_id=rumor.id,
            sender=opened.sender,
            # a clock that is ahead must not outrank what the same person says through the page a minute later
            at=min(rumor.created_at, now),
            reply=reply,
            named=frozenset(tags.values(rumor.tags, "e")) | frozenset(tags.values(rumor.tags, "q")),
        )

    # -- one transaction

    async def _apply(self, tx: Transaction, letters: Sequence[_Letter], now: int, known: Sequence[EventId]) -> _Outcome:
        people = await self._people(tx, sorted({letter.sender for letter in letters}))
        outcome = _Outcome(done=list(known))
        for letter in letters:
            _decide(letter, people.get(letter.sender, _Person()), outcome)
        await self._rsvps.take(tx, outcome.answers, received_at=now)
        await self._store.within(tx).opt_outs.upsert(list(outcome.opt_outs.values()), by="[pubkey+lessonId]")
        await self._letters.add(tx, [self._memory_of(said) for said in outcome.said])
        await self._explain(tx, outcome, people, now)
        await self._opened.add_within(tx, outcome.done, now=now)
        return outcome

    def _memory_of(self, said: Said) -> Letter:
        """What was said, for ourselves; the newest `stop` and the newest answer of each person and session."""
        service = self._secret.pubkey
        topic = f"{'said' if said.reply.status else 'stop'}:{said.pubkey}"
        return Letter(lesson_id=said.lesson_id, recipient=service, topic=topic, rumor=write_said(said, service=service))

    async def _people(self, tx: Transaction, pubkeys: Sequence[str]) -> dict[Pubkey, _Person]:
        """Everybody who was written to or has an RSVP; the others are strangers."""
        bound = self._store.within(tx)
        ledger: list[LedgerRow | LetterRow] = [
            row
            for row in await bound.ledger.where("pubkey").any_of(pubkeys).to_list()
            if row.state in _TOLD and row.rumor_id is not None
        ]
        invited = await bound.letters.where("pubkey").any_of(pubkeys).to_list()
        ledger += [row for row in invited if row.state in _TOLD and row.topic == INVITATION]
        rsvps = await bound.rsvps.where("pubkey").any_of(pubkeys).to_list()
        lessons = sorted({row.lesson_id for row in ledger} | {row.lesson_id for row in rsvps})
        rows = await bound.sessions.where("lessonId").any_of(lessons).to_list()
        sessions = {row.lesson_id: row for row in rows}
        people: dict[Pubkey, _Person] = defaultdict(_Person)
        for told, row in _told(ledger, rsvps, sessions):
            person = people[Pubkey(row.pubkey)]
            person.told.append(told)
            adopted_at = sessions[told.lesson_id].adopted_at
            person.known_since = adopted_at if person.known_since is None else min(person.known_since, adopted_at)
            if told.is_open:
                person.titles[told.lesson_id] = sessions[told.lesson_id].title
        return people

    async def _explain(self, tx: Transaction, outcome: _Outcome, people: dict[Pubkey, _Person], now: int) -> None:
        """Write back to those who may wonder: people we know, who wrote lately and were not told already."""
        asked = {
            letter.sender: (letter, why)
            for letter, why in outcome.unclear
            if why is not Unclear.STRANGER
            and now - letter.at < _EXPLAIN_WITHIN
            and now - self._explained.get(letter.sender, 0) >= _QUIET
            and not is_old_answer(letter.at, people[letter.sender].known_since or 0)
        }
        inboxes = await inboxes_of(self._mirror.within(tx), asked) if asked else {}
        items: list[OutboxItem] = []
        async for part in in_slices(list(asked.values()), _WRAPS):
            for letter, why in part:
                outcome.done.append(letter.wrap_id)
                if relays := inboxes.get(letter.sender):
                    wrap = self._wrapped(letter, why, list(people[letter.sender].titles.values()), now)
                    items.append(_item(wrap, relays, letter, now))
        await self._outbox.add_many_within(tx, items)

    def _wrapped(self, letter: _Letter, why: Unclear, titles: Sequence[str], now: int) -> SignedEvent:
        said = reply_texts.explain(why, letter.reply.value, titles)
        rumor = nip17.write_message(
            self._secret.pubkey,
            letter.sender,
            said.text,
            created_at=now,
            subject=said.headline,
            reply_to=letter.rumor_id,
        )
        entropy = self._random_bytes(nip59.ENTROPY_BYTES)
        expiration = now + _EXPLAIN_WITHIN
        return nip59.gift_wrap(rumor, self._secret, letter.sender, now=now, entropy=entropy, expiration=expiration)

    def _account(self, outcome: _Outcome, now: int) -> None:
        """Count what is stored now; who said what is in no log."""
        self.counts["rsvp"] += len(outcome.answers)
        self.counts["opt_out"] += len(outcome.opt_outs)
        for letter, why in outcome.unclear:
            self.counts[why.value] += 1
            if letter.wrap_id in outcome.done:
                if len(self._explained) >= _KEPT_PEOPLE:
                    self._explained.clear()
                self._explained[letter.sender] = now
        _log.info(
            "replies read",
            action="replies.read",
            answers=len(outcome.answers),
            opt_outs=len(outcome.opt_outs),
            unclear=len(outcome.unclear),
        )


def _open(wraps: Sequence[VerifiedEvent], secret: SecretKey, now: int) -> list[nip59.Unwrapped | nip59.WrapRejected]:
    return [nip59.unwrap(wrap, secret, now=now) for wrap in wraps]


def _decide(letter: _Letter, person: _Person, outcome: _Outcome) -> None:
    meant: str | Unclear
    if letter.reply is Reply.STOP_ALL:
        meant = ALL if person.told else Unclear.STRANGER  # else strangers without number could fill the table
    else:
        meant = session_meant(letter.reply, person.told, named=letter.named, at=letter.at)
    if isinstance(meant, Unclear):
        outcome.unclear.append((letter, meant))
        return
    outcome.done.append(letter.wrap_id)
    status = letter.reply.status
    outcome.said.append(
        Said(pubkey=letter.sender, lesson_id=meant, reply=letter.reply, at=letter.at, rumor_id=letter.rumor_id)
    )
    if status is None:
        outcome.opt_outs[letter.sender, meant] = OptOutRow(pubkey=letter.sender, lesson_id=meant, created_at=letter.at)
        return
    rsvp = Rsvp(lesson_id=meant, pubkey=letter.sender, status=status, created_at=letter.at, event_id=letter.rumor_id)
    outcome.answers.append(Answer(rsvp))


def _told(
    ledger: Sequence[LedgerRow | LetterRow], rsvps: Sequence[RsvpRow], sessions: dict[str, LiveSessionRow]
) -> Iterable[tuple[Told, LedgerRow | LetterRow | RsvpRow]]:
    """What each person was told, and what they answered to without our remembering that we told them of it.

    The latter is what a daemon knows that lost its disk. It cannot say what came last, hence the same time for all.
    """
    written = {(row.lesson_id, row.pubkey) for row in ledger}
    for row in ledger:
        if (session := sessions.get(row.lesson_id)) is not None:
            is_open = _is_open(session, row.pubkey)
            yield Told(row.lesson_id, row.due_at, EventId(row.rumor_id or ""), is_open), row
    for answer in rsvps:
        session = sessions.get(answer.lesson_id)
        if session is not None and (answer.lesson_id, answer.pubkey) not in written:
            yield Told(answer.lesson_id, 0, EventId(""), _is_open(session, answer.pubkey)), answer


def _is_open(session: LiveSessionRow, pubkey: str) -> bool:
    """Whether this person can still answer; who is not invited any more cannot."""
    is_held = session.state in (State.SCHEDULED, State.ACTIVE) and not session.withdrawn
    return is_held and private.may_attend(session, pubkey)


def _item(wrap: SignedEvent, relays: tuple[str, ...], letter: _Letter, now: int) -> OutboxItem:
    return OutboxItem(
        event=wrap,
        relays=relays,
        not_before=now,
        expires_at=now + _EXPLAIN_WITHIN,
        reference=f"reply:{letter.wrap_id}",
    )
