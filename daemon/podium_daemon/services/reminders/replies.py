"""RSVPs and opt-outs by message: a participant answers a reminder with yes, maybe, no, stop or stop all.

Each answer is also sealed for ourselves, so that it survives a lost disk. Answers from the time when the daemon was
down are judged once all events that they may be about are read. The sender is the key that signed the seal. All other
messages are counted and dropped.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.reconcile_loop import Moment, comes
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import Watched
from podium_daemon.services.reminders.explanations import Explanations
from podium_daemon.services.reminders.reply_judging import (
    Correspondent,
    Heard,
    Outcome,
    decide,
    told_of,
)
from podium_daemon.writers.private_outbox import INVITATION, Letter, PrivateOutbox
from podium_protocol import kinds, tags
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.reminders import LedgerState
from podium_protocol.live.reply_words import language_of_reply
from podium_protocol.live.rsvp import is_courtesy, read_reaction, read_reply
from podium_protocol.live.said import Said, write_said
from podium_protocol.nips import nip40, nip59
from podium_storage.database import Transaction
from podium_storage.languages import note_language
from podium_storage.mirror.mirror import OpenedWraps
from podium_storage.projections.rsvps import RsvpProjection
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import LedgerRow, LetterRow

_log = structlog.get_logger(__name__)
_BATCH: Final = 100  # wraps opened at a time on a thread: some 40 ms
_TOLD: Final = (LedgerState.CLAIMED, LedgerState.SENT, LedgerState.FAILED)  # failed: a lost OK may still have arrived
_WRITTEN: Final = (kinds.PRIVATE_MESSAGE, kinds.REACTION)
MAX_PAST: Final = 20_000  # letters that wait until the past is read; the oldest are dropped, and read after a restart


Others = Callable[[Sequence[tuple[EventId, nip59.Unwrapped]]], Awaitable[None]]
"""Takes rumors that are no private messages, each with the id of its gift wrap; they may be given again."""


class Replies:
    """Reads gift wraps. `counts` holds their outcomes by name.

    `caught_up` is set once all messages from the time when the daemon was down have had their effect. Until then no
    message is sent.
    """

    name = "replies"

    def __init__(
        self,
        secret: SecretKey,
        *,
        store: Store,
        rsvps: RsvpProjection,
        opened: OpenedWraps,
        private_outbox: PrivateOutbox,
        explanations: Explanations,
        others: Others,
        clock: Clock,
        past: Moment,
        remembered: Callable[[Pubkey], int],
    ) -> None:
        """Take the parts that replies need.

        Args:
            secret: the service's key.
            store: holds what people were told, and takes their answers.
            rsvps: takes answers.
            opened: the wraps that had their effect.
            private_outbox: takes the copies that we seal for ourselves.
            explanations: writes back to those whose messages are unclear.
            others: gets every rumor that is no message, before the messages of its batch are read.
            clock: the daemon's.
            past: when sessions, RSVPs and our own memory are read.
            remembered: the time (Unix seconds) of a person's newest message among our own copies, 0 for none.
        """
        self._secret = secret
        self._store = store
        self._rsvps = rsvps
        self._opened = opened
        self._others = others
        self._clock = clock
        self._private_outbox = private_outbox
        self._explanations = explanations
        self._past = past
        self._remembered = remembered
        self._waiting: dict[EventId, Heard] = {}
        self.caught_up = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.tasks = Watched(self.name)

    async def run(self, stop: Stop) -> None:
        """Wait for the past and judge the messages in it, until the stop."""
        if await comes(self._past, stop):
            await self.tasks.guard(self._catch_up(stop))

    async def _catch_up(self, stop: Stop) -> None:
        reading = "reading what was said"
        self.tasks.start(self.tasks.persist(reading, self.past_is_read, clock=self._clock), reading)
        await stop.wait()

    async def past_is_read(self) -> None:
        """Judge messages from the time when the daemon was down, in their order; from then on each counts at once.

        Raises:
            StoreError: not all was stored; call it again.
        """
        now = int(self._clock.now())
        while self._waiting and not self.caught_up.is_set():
            part = sorted(self._waiting.values(), key=lambda letter: letter.at)[:_BATCH]
            # it was judged before the disk was lost, with more facts than there are now
            known = [letter.wrap_id for letter in part if letter.at <= self._remembered(letter.sender)]
            await self._judge([letter for letter in part if letter.wrap_id not in known], now, known)
            for letter in part:
                self._waiting.pop(letter.wrap_id, None)
        self.caught_up.set()

    async def handle_wraps(self, wraps: Sequence[VerifiedEvent]) -> None:
        """Handle gift wraps whose signatures are good; each has its effect once, also across restarts.

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
        others = {wrap_id: one for wrap_id, one in pairs if one.rumor.kind not in _WRITTEN}
        found = [self._letter(*pair, now) for pair in zip(fresh, opened, strict=True)]
        letters = [letter for letter in found if letter is not None]
        idle = {wrap_id for wrap_id, _ in pairs}.difference(others, (letter.wrap_id for letter in letters))
        await self._opened.add_unopened([*_hopeless(fresh, opened), *idle], now=now)
        if others:
            await self._others(list(others.items()))
        if self.caught_up.is_set():
            await self._judge(letters, now)
            return
        self._waiting |= {letter.wrap_id: letter for letter in letters}
        # messages without an answer are dropped first, then the oldest
        in_order = sorted(self._waiting, key=lambda key: self._waiting[key].reply is not None)
        for key in in_order[: max(0, len(self._waiting) - MAX_PAST)]:
            del self._waiting[key]
            self.counts["dropped"] += 1

    async def _judge(self, letters: Sequence[Heard], now: int, known: Sequence[EventId] = ()) -> None:
        """Apply messages; `known` are wraps of messages that were applied before."""
        if letters or known:
            outcome = await self._store.database.transact(lambda tx: self._apply(tx, letters, now, known))
            self._explanations.remember_explained(outcome, now)
            self._account(outcome)

    def _letter(self, wrap: VerifiedEvent, opened: nip59.Unwrapped | nip59.WrapRejected, now: int) -> Heard | None:
        if isinstance(opened, nip59.WrapRejected):
            self.counts[opened.flaw.value] += 1
            return None
        rumor = opened.rumor
        is_reaction = rumor.kind == kinds.REACTION
        reply = read_reaction(rumor.content) if is_reaction else read_reply(rumor.content)
        if rumor.kind not in _WRITTEN:
            self.counts["other_kind"] += 1
            return None
        if reply is None:
            self.counts["conversation"] += 1
            if is_reaction or is_courtesy(rumor.content):
                return None
        meant_for = tuple(tags.values(rumor.tags, "p"))
        if meant_for and self._secret.pubkey not in meant_for:
            # a message to another recipient, which a client sealed for us again
            self.counts["not_to_us"] += 1
            return None
        return Heard(
            wrap_id=wrap.id,
            rumor_id=rumor.id,
            sender=opened.sender,
            # a clock that is ahead must not outrank what the same person says through the page a minute later
            at=min(rumor.created_at, now),
            reply=reply,
            named=frozenset(tags.values(rumor.tags, "e")) | frozenset(tags.values(rumor.tags, "q")),
            is_reaction=is_reaction,
            language=None if is_reaction else language_of_reply(rumor.content),
        )

    # -- one transaction

    async def _apply(self, tx: Transaction, letters: Sequence[Heard], now: int, known: Sequence[EventId]) -> Outcome:
        people = await self._people(tx, sorted({letter.sender for letter in letters}))
        outcome = Outcome(done=list(known))
        for letter in letters:
            decide(letter, people.get(letter.sender, Correspondent()), outcome)
        await self._rsvps.fold_answers(tx, outcome.answers, received_at=now)
        await self._store.within(tx).opt_outs.upsert(list(outcome.opt_outs.values()), by="[pubkey+lessonId]")
        await self._private_outbox.add(tx, [self._memory_of(said) for said in outcome.said])
        for letter in letters:
            if letter.language is not None and letter.sender in people:
                await note_language(tx, letter.sender, letter.language, now, from_page=False)
        await self._explanations.explain_unclear(tx, outcome, people, now)
        await self._explanations.help_puzzled(tx, outcome, people, now)
        await self._opened.add_within(tx, outcome.done, now=now)
        return outcome

    def _memory_of(self, said: Said) -> Letter:
        """The copy for ourselves: the newest `stop` and the newest answer of each person and session."""
        service = self._secret.pubkey
        topic = f"{'said' if said.reply.status else 'stop'}:{said.pubkey}"
        return Letter(
            session_address=said.session_address,
            recipient=service,
            topic=topic,
            rumor=write_said(said, service=service),
        )

    async def _people(self, tx: Transaction, pubkeys: Sequence[str]) -> dict[Pubkey, Correspondent]:
        """The people who were written to or have an RSVP; all others are strangers."""
        bound = self._store.within(tx)
        ledger: list[LedgerRow | LetterRow] = [
            row
            for row in await bound.ledger.where("pubkey").any_of(pubkeys).to_list()
            if row.state in _TOLD and row.rumor_id is not None
        ]
        invited = await bound.letters.where("pubkey").any_of(pubkeys).to_list()
        ledger += [row for row in invited if row.state in _TOLD and row.topic == INVITATION]
        rsvps = await bound.rsvps.where("pubkey").any_of(pubkeys).to_list()
        addresses = sorted({row.session_address for row in ledger} | {row.session_address for row in rsvps})
        rows = await bound.sessions.where("lessonId").any_of(addresses).to_list()
        sessions = {row.session_address: row for row in rows}
        people: dict[Pubkey, Correspondent] = defaultdict(Correspondent)
        for told, row in told_of(ledger, rsvps, sessions):
            person = people[Pubkey(row.pubkey)]
            person.told.append(told)
            adopted_at = sessions[told.session_address].adopted_at
            person.known_since = adopted_at if person.known_since is None else min(person.known_since, adopted_at)
            if told.is_open:
                person.open[told.session_address] = sessions[told.session_address]
        return people

    def _account(self, outcome: Outcome) -> None:
        """Count what is stored now; the log does not say who said what."""
        self.counts["rsvp"] += len(outcome.answers)
        self.counts["opt_out"] += len(outcome.opt_outs)
        for _, why in outcome.unclear:
            self.counts[why.value] += 1
        _log.info(
            "replies read",
            action="replies.read",
            answers=len(outcome.answers),
            opt_outs=len(outcome.opt_outs),
            unclear=len(outcome.unclear),
        )


def _hopeless(wraps: Sequence[VerifiedEvent], opened: Sequence[nip59.Unwrapped | nip59.WrapRejected]) -> list[EventId]:
    """The wraps that can never be opened; one that is dated ahead may be, once its time has come."""
    return [
        wrap.id
        for wrap, one in zip(wraps, opened, strict=True)
        if isinstance(one, nip59.WrapRejected) and one.flaw is not nip59.WrapFlaw.BAD_TIME
    ]


def _open(wraps: Sequence[VerifiedEvent], secret: SecretKey, now: int) -> list[nip59.Unwrapped | nip59.WrapRejected]:
    return [nip59.unwrap(wrap, secret, now=now) for wrap in wraps]
