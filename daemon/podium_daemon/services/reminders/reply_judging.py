"""The effect of a message to the service, given what its sender was told. No I/O: `Replies` reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from podium_protocol.events import EventId, Pubkey
from podium_protocol.live import private
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.replies import MessageAboutSession, Unclear, session_meant
from podium_protocol.live.rsvp import Reply, Rsvp
from podium_protocol.live.said import ALL, Said
from podium_storage.projections.rsvps import FoldedRsvp
from podium_storage.table.models import LedgerRow, LetterRow, LiveSessionRow, OptOutRow, RsvpRow


class Heard(msgspec.Struct, frozen=True):
    """A message to us; `reply` is None if we do not understand it. `language`: the tag of its own, if it has one."""

    wrap_id: EventId
    rumor_id: EventId
    sender: Pubkey
    at: int
    reply: Reply | None
    named: frozenset[str]
    is_reaction: bool = False
    language: str | None = None


class Outcome(msgspec.Struct):
    """The effects of a batch of messages."""

    answers: list[FoldedRsvp] = []
    opt_outs: dict[tuple[str, str], OptOutRow] = {}
    unclear: list[tuple[Heard, Unclear]] = []
    puzzling: list[Heard] = []
    said: list[Said] = []
    done: list[EventId] = []


class Correspondent(msgspec.Struct):
    """The facts about the sender of a message.

    `told`: the messages they got from us. `open`: the sessions they can answer, by address. `known_since`: since when
    this disk has known of them.
    """

    told: list[MessageAboutSession] = []
    open: dict[str, LiveSessionRow] = {}
    known_since: int | None = None


def decide(letter: Heard, person: Correspondent, outcome: Outcome) -> None:
    """Add the effect of one message to `outcome`."""
    if letter.reply is None:
        outcome.puzzling.append(letter)
        return
    if letter.is_reaction and not any(one.rumor_id in letter.named for one in person.told):
        return  # it reacts to another event
    meant: str | Unclear
    if letter.reply is Reply.STOP_ALL:
        meant = ALL if person.told else Unclear.STRANGER  # else any number of strangers could fill the table
    else:
        meant = session_meant(letter.reply, person.told, named=letter.named, at=letter.at)
    if isinstance(meant, Unclear) and letter.is_reaction:
        outcome.done.append(letter.wrap_id)  # a thumb under a cancellation needs no answer
        return
    if isinstance(meant, Unclear):
        outcome.unclear.append((letter, meant))
        return
    outcome.done.append(letter.wrap_id)
    status = letter.reply.status
    outcome.said.append(
        Said(pubkey=letter.sender, session_address=meant, reply=letter.reply, at=letter.at, rumor_id=letter.rumor_id)
    )
    if status is None:
        outcome.opt_outs[letter.sender, meant] = OptOutRow(
            pubkey=letter.sender, session_address=meant, created_at=letter.at
        )
        return
    rsvp = Rsvp(
        session_address=meant, pubkey=letter.sender, status=status, created_at=letter.at, event_id=letter.rumor_id
    )
    outcome.answers.append(FoldedRsvp(rsvp))


def session_spoken_of(letter: Heard, person: Correspondent, service: Pubkey) -> LiveSessionRow | None:
    """The open session that the sender wrote about, or was told of last.

    If the service's key is a person's, a message that names none of ours is for that person.
    """
    open_ones = [one for one in person.told if one.session_address in person.open]
    named = [one for one in open_ones if one.rumor_id in letter.named]
    newest = max(named or open_ones, key=lambda one: one.at, default=None)
    row = None if newest is None else person.open[newest.session_address]
    return None if row is None or (row.instructor_pubkey == service and not named) else row


def told_of(
    ledger: Sequence[LedgerRow | LetterRow], rsvps: Sequence[RsvpRow], sessions: dict[str, LiveSessionRow]
) -> Iterator[tuple[MessageAboutSession, LedgerRow | LetterRow | RsvpRow]]:
    """The messages that each person got, and sessions that they answered without a record that we told them.

    A daemon that lost its disk knows only the latter, not their order, so all have the same time.
    """
    written = {(row.session_address, row.pubkey) for row in ledger}
    for row in ledger:
        if (session := sessions.get(row.session_address)) is not None:
            is_open = _is_open(session, row.pubkey)
            yield MessageAboutSession(row.session_address, row.due_at, EventId(row.rumor_id or ""), is_open), row
    for answer in rsvps:
        session = sessions.get(answer.session_address)
        if session is not None and (answer.session_address, answer.pubkey) not in written:
            yield MessageAboutSession(answer.session_address, 0, EventId(""), _is_open(session, answer.pubkey)), answer


def _is_open(session: LiveSessionRow, pubkey: str) -> bool:
    """Whether this person can still answer; a person who is no longer invited cannot."""
    is_held = session.state in (SessionState.SCHEDULED, SessionState.ACTIVE) and not session.withdrawn
    return is_held and private.may_attend(session, pubkey)
