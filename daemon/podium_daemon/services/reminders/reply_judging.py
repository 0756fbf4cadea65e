"""What a message to the service comes to, given what its writer was told. No I/O: `Replies` reads and writes."""

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
    """What somebody wrote to us; `reply` is None where we do not understand it."""

    wrap_id: EventId
    rumor_id: EventId
    sender: Pubkey
    at: int
    reply: Reply | None
    named: frozenset[str]
    is_reaction: bool = False


class Outcome(msgspec.Struct):
    """What a batch of letters comes to."""

    answers: list[FoldedRsvp] = []
    opt_outs: dict[tuple[str, str], OptOutRow] = {}
    unclear: list[tuple[Heard, Unclear]] = []
    puzzling: list[Heard] = []
    said: list[Said] = []
    done: list[EventId] = []


class Correspondent(msgspec.Struct):
    """What we know of somebody who writes.

    `told` by us, what is `open` for them by its address, and `known_since` when this disk knows of the first of it.
    """

    told: list[MessageAboutSession] = []
    open: dict[str, LiveSessionRow] = {}
    known_since: int | None = None


def decide(letter: Heard, person: Correspondent, outcome: Outcome) -> None:
    """Add what one message comes to."""
    if letter.reply is None:
        outcome.puzzling.append(letter)
        return
    if letter.is_reaction and not any(one.rumor_id in letter.named for one in person.told):
        return  # it reacts to something else
    meant: str | Unclear
    if letter.reply is Reply.STOP_ALL:
        meant = ALL if person.told else Unclear.STRANGER  # else strangers without number could fill the table
    else:
        meant = session_meant(letter.reply, person.told, named=letter.named, at=letter.at)
    if isinstance(meant, Unclear) and letter.is_reaction:
        outcome.done.append(letter.wrap_id)  # a thumb under a cancellation asks for no answer
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
    """The open session that somebody wrote about, or was told of last.

    Where the service has the key of a person, words that name no message of ours are for that person.
    """
    open_ones = [one for one in person.told if one.session_address in person.open]
    named = [one for one in open_ones if one.rumor_id in letter.named]
    newest = max(named or open_ones, key=lambda one: one.at, default=None)
    row = None if newest is None else person.open[newest.session_address]
    return None if row is None or (row.instructor_pubkey == service and not named) else row


def told_of(
    ledger: Sequence[LedgerRow | LetterRow], rsvps: Sequence[RsvpRow], sessions: dict[str, LiveSessionRow]
) -> Iterator[tuple[MessageAboutSession, LedgerRow | LetterRow | RsvpRow]]:
    """What each person was told, and what they answered to without our remembering that we told them of it.

    The latter is what a daemon knows that lost its disk. It cannot say what came last, hence the same time for all.
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
    """Whether this person can still answer; who is not invited any more cannot."""
    is_held = session.state in (SessionState.SCHEDULED, SessionState.ACTIVE) and not session.withdrawn
    return is_held and private.may_attend(session, pubkey)
