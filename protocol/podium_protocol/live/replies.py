"""Which session a reply by message is about (wire-formats.md, "RSVP by message").

A reply that names one of our messages is about that message's session. Where it names none (many clients do not), it is
about the open session the person was told of last. A person told of two within the hour may mean either, and we ask.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol.events import EventId
from podium_protocol.live.rsvp import Reply

TOGETHER: Final = 3600  # seconds: of messages this close to each other, either may be the one that is answered
SKEW: Final = 600  # seconds by which the clock of the person who replies may be behind ours


class MessageAboutSession(msgspec.Struct, frozen=True):
    """One message that a person got, about one session; `is_open`: the session is scheduled or active."""

    session_address: str
    at: int
    rumor_id: EventId
    is_open: bool


class Unclear(StrEnum):
    """Why a reply changes nothing."""

    STRANGER = "stranger"  # we never wrote to them, or nothing that is still open
    AMBIGUOUS = "ambiguous"
    OVER = "session_over"


def session_meant(
    reply: Reply, told: Sequence[MessageAboutSession], *, named: Collection[str], at: int
) -> str | Unclear:
    """Return the session that `reply` is about, or why it is unclear. Do not call it for `stop all`, which needs none.

    Args:
        reply: what the person said.
        told: the messages that this person got, and no others: naming the id of another person's message must not help.
        named: the event ids that the reply names.
        at: when it was written (Unix seconds). It cannot answer a message that was sent later.
    """
    quoted = [one for one in told if one.rumor_id in named]
    if quoted:
        is_late = reply.status is not None and not quoted[0].is_open
        return Unclear.OVER if is_late else quoted[0].session_address
    # people are told of a recording after the end, and a `stop` means those messages too
    known = [one for one in told if one.at <= at + SKEW and (one.is_open or reply.status is None)]
    if not known:
        return Unclear.STRANGER if not told else Unclear.OVER
    newest = max(known, key=lambda one: one.at)
    together = {one.session_address for one in known if newest.at - one.at < TOGETHER}
    return newest.session_address if len(together) == 1 else Unclear.AMBIGUOUS
