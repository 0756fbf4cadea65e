"""Questions to a meeting and their answers: live chat messages, kind 1311 (NIP-53), and the rule who may ask.

A question names the meeting (30313) in an `a` tag; an answer names the question in an `e` tag besides. Everything here
comes from strangers and is shown to all participants, so odd messages are refused, not repaired.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, Pubkey, UnsignedEvent
from podium_protocol.live import fields
from podium_protocol.live.fields import AuthoredEvent
from podium_protocol.text import paragraphs

MAX_TEXT: Final = 1_000  # characters of one question or answer
MAX_TAGS: Final = 64  # real messages have fewer than ten
MAX_PINNED: Final = 10  # of one meeting: each is a tag of the status event
MAX_VOTES: Final = 300  # of one person in one session: as many questions as are listed
_LIVE: Final = (kinds.MEETING, kinds.LIVE_EVENT)
_ALL: Final = (*_LIVE, kinds.SPACE)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One message to a meeting, or to the room (30312): then `meeting` is that room's address.

    `reply_to` is the message that it answers, if any; `created_at` can be forged.
    """

    meeting: Address
    pubkey: Pubkey
    event_id: EventId
    text: str
    created_at: int
    reply_to: EventId | None = None


class NotAQuestion(msgspec.Struct, frozen=True):
    """Why a message is not accepted as a question."""

    reason: str


def read_question(event: AuthoredEvent) -> Question | NotAQuestion:
    """Read a live chat message to exactly one meeting (30313, or its twin for streaming clients, 30311).

    One that names no meeting and exactly one room (30312) is to that room; which meeting it means, the time tells.
    """
    if event.kind != kinds.LIVE_CHAT:
        return NotAQuestion(f"it is of kind {event.kind}, not {kinds.LIVE_CHAT}")
    if len(event.tags) > MAX_TAGS:
        return NotAQuestion(f"it has more than {MAX_TAGS} tags")
    meeting = _meeting(event.tags) or _space(event.tags)
    if meeting is None:
        return NotAQuestion("it does not name exactly one meeting")
    reply_to = _reply_to(event.tags)
    if isinstance(reply_to, NotAQuestion):
        return reply_to
    # measured before it is cleaned: a cut question would say something that its author did not
    text = paragraphs(event.content, MAX_TEXT) if len(event.content) <= MAX_TEXT else None
    if not text:
        return NotAQuestion("it has no text" if text == "" else f"its text is longer than {MAX_TEXT} characters")
    return Question(
        meeting=meeting,
        pubkey=event.pubkey,
        event_id=event.id,
        text=text,
        created_at=event.created_at,
        reply_to=reply_to,
    )


def write_question(
    meeting: Address,
    text: str,
    *,
    pubkey: Pubkey,
    now: int,
    relay_hint: str = "",
    reply_to: EventId | None = None,
    asker: Pubkey | None = None,
) -> UnsignedEvent:
    """Write the kind 1311 event for `pubkey` to sign: a question, or with `reply_to` an answer that tags `asker`.

    Raises:
        LocalProtocolError: another address than a meeting's, no text, or too much of it.
    """
    if meeting.kind not in _LIVE:
        raise LocalProtocolError(f"a question is about a kind {kinds.MEETING} address, this is kind {meeting.kind}")
    if len(text) > MAX_TEXT or not paragraphs(text, MAX_TEXT):
        raise LocalProtocolError(f"a question has 1 to {MAX_TEXT} characters")
    rows = (
        ("a", str(meeting), relay_hint, "root"),
        ("e", reply_to, relay_hint, "reply") if reply_to else None,
        ("p", asker, relay_hint) if asker else None,
    )
    return UnsignedEvent(pubkey, now, kinds.LIVE_CHAT, tags.build(rows), paragraphs(text, MAX_TEXT))


def _meeting(rows: tags.Tags) -> Address | None:
    """The one meeting: of two, two readers might take different ones."""
    named = [value for value in tags.values(rows, "a") if value.startswith(tuple(f"{kind}:" for kind in _LIVE))]
    addresses = {Address.parse(value) for value in named[:3]}
    # a client of both kinds may name a meeting and its twin: same author, same `d`
    twins = {(address.pubkey, address.identifier) for address in addresses if address is not None}
    if len(twins) != 1 or None in addresses or len(named) > len(_LIVE):
        return None
    ((pubkey, identifier),) = twins
    return Address(kinds.MEETING, pubkey, identifier)


def _space(rows: tags.Tags) -> Address | None:
    """The one room, where no meeting is named: clients that know rooms only chat under the room."""
    named = {value for value in tags.values(rows, "a") if value.startswith(tuple(f"{kind}:" for kind in _ALL))}
    address = Address.parse(named.pop()) if len(named) == 1 else None
    return address if address is not None and address.kind == kinds.SPACE else None


def _reply_to(rows: tags.Tags) -> EventId | NotAQuestion | None:
    """The direct parent (NIP-53): the `e` marked `reply` (NIP-10), else the only one."""
    replied = [row for row in tags.named(rows, "e") if len(row) > 3 and row[3] == "reply"] or list(
        tags.named(rows, "e")
    )
    if not replied:
        return None
    parent = fields.event_id(replied[0][1]) if len(replied) == 1 else None
    return NotAQuestion("its parent message is not clear") if parent is None else parent


# -- who may ask, and what the instructor or a co-host does about it


class Moderation(StrEnum):
    """What the instructor or a co-host does with a question, and (silence) with its author."""

    SHOW = "show"
    HIDE = "hide"
    PIN = "pin"
    UNPIN = "unpin"
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    SILENCE = "silence"
    UNSILENCE = "unsilence"


class Hold(StrEnum):
    """Why a question waits for the instructor or a co-host instead of being shown to all."""

    STRANGER = "stranger"  # has neither answered nor come
    REMOVED = "removed"
    SILENCED = "silenced"
    TOO_MANY = "too_many"
    OVER = "over"


class AskingPolicy(msgspec.Struct, frozen=True):
    """At most `burst` questions in `burst_seconds`, and `per_person` for one session."""

    burst: int = 5
    burst_seconds: int = 60
    per_person: int = 30


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """The author of a question.

    Args:
        leads: instructor or co-host.
        invited: has answered, and not with a no.
        present: is in the room, or was.
        removed: was removed from it.
        silenced: the instructor or a co-host has silenced them.
        asked: when (Unix seconds) their questions so far were asked.
    """

    leads: bool = False
    invited: bool = False
    present: bool = False
    removed: bool = False
    silenced: bool = False
    asked: Sequence[int] = ()


DEFAULT_POLICY: Final = AskingPolicy()


def objection(asker: Asker, at: int, ended_at: int | None, policy: AskingPolicy = DEFAULT_POLICY) -> Hold | None:
    """Why a question asked at `at` is not shown at once, or None. `ended_at`: when the session ended. Unix seconds."""
    if asker.leads:
        return None
    near = sum(1 for one in asker.asked if abs(one - at) < policy.burst_seconds)
    reasons = (
        (asker.removed, Hold.REMOVED),
        (asker.silenced, Hold.SILENCED),
        (not (asker.invited or asker.present), Hold.STRANGER),
        (ended_at is not None and at > ended_at, Hold.OVER),
        (near >= policy.burst or len(asker.asked) >= policy.per_person, Hold.TOO_MANY),
    )
    return next((hold for applies, hold in reasons if applies), None)


def vote_objection(voter: Asker, at: int, ended_at: int | None) -> Hold | None:
    """Why a person's vote for a question at `at` does not count, or None. Unix seconds.

    People vote who may ask; to ask no more (`silenced`, `asked`) takes no vote away.
    """
    return objection(msgspec.structs.replace(voter, silenced=False, asked=()), at, ended_at)


class Votable(Protocol):
    """What decides the place of a question in the list."""

    @property
    def pinned(self) -> bool: ...

    @property
    def answered(self) -> bool: ...

    @property
    def votes(self) -> int: ...


Q = TypeVar("Q", bound=Votable)


def ranked(questions: Sequence[Q], most: int) -> list[Q]:
    """Pinned questions, then open ones, those with most votes first, then answered ones; equal ones as they arrived.

    `questions` are in order of arrival. Of more than `most` beside the pinned ones, answered ones are left out first,
    then those with fewest votes, of these the oldest.
    """
    rest = [(place, one) for place, one in enumerate(questions) if not one.pinned]
    kept = sorted(rest, key=lambda each: (each[1].answered, -each[1].votes, -each[0]))[:most]
    kept.sort(key=lambda each: (each[1].answered, -each[1].votes, each[0]))
    return [*(one for one in questions if one.pinned), *(one for _, one in kept)]
