"""What decides on one event from a relay: its shape, the filter, the time, the id and the signature.

Frame size, JSON and the subscription were checked by the relay session. Nothing here waits or remembers, so that a
worker process judges as the daemon itself does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.events import ParsedEvent, Rejected, VerifiedEvent, parse_json, verify_parsed
from podium_protocol.filters import Filter, matches_any
from podium_protocol.limits import max_bytes_of
from podium_protocol.live.rsvp import read_rsvp

MAX_AHEAD: Final = 600  # seconds (wire-formats.md: dated more than 10 min in the future is dropped)
_RSVP_PREFIX: Final = f"{kinds.RSVP}:"
_CONCERNED: Final = frozenset({str(kinds.RSVP), str(kinds.SESSION), str(kinds.LIVE_CHAT)})


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One event as a relay sent it, with the filters it should answer."""

    relay: str
    filters: tuple[Filter, ...]
    raw: bytes
    is_live: bool = False  # it came after the relay's EOSE for our own events


def judge(raw: bytes, filters: tuple[Filter, ...], now: float) -> VerifiedEvent | str:
    """The event in `raw`, or the name of the counter that says why there is none; `now` is in Unix seconds."""
    parsed = parse_json(raw)
    if isinstance(parsed, Rejected):
        return parsed.reason.value
    if len(raw) > max_bytes_of(parsed.event.kind):
        return "too_large"
    refusal = _refusal(parsed, filters, now)
    if refusal is not None:
        return refusal
    verified = verify_parsed(parsed)
    if isinstance(verified, Rejected):
        return verified.reason.value
    is_idle = verified.kind == kinds.RSVP and not _answers_what_was_asked(verified, filters)
    return "no_answer" if is_idle else verified


def judge_all(arrivals: Sequence[Arrival], now: float) -> list[VerifiedEvent | str]:
    """Judge each of them, in order."""
    return [judge(arrival.raw, arrival.filters, now) for arrival in arrivals]


def _refusal(parsed: ParsedEvent, filters: tuple[Filter, ...], now: float) -> str | None:
    event = parsed.event
    if not matches_any(filters, event):
        return "not_asked_for"
    if event.created_at > now + MAX_AHEAD:
        return "from_the_future"
    if event.kind == kinds.DELETION and not _may_concern_us(parsed):
        return "deletes_something_else"
    return None


def _answers_what_was_asked(event: VerifiedEvent, filters: tuple[Filter, ...]) -> bool:
    """Whether an RSVP answers a session that the filters ask for: a filter matches any `a` tag of an event.

    Otherwise one key could fill the mirror with answers to sessions that do not exist.
    """
    if (rsvp := read_rsvp(event)) is None:
        return False
    asked = [wanted for one in filters if (wanted := one.wanted("a")) is not None]  # hundreds of sessions, so sets
    return not asked or any(rsvp.session_address in wanted for wanted in asked)


def _may_concern_us(parsed: ParsedEvent) -> bool:
    """Whether a deletion could be about a session, an RSVP or a question: people delete many other things."""
    stated = set(tags.values(parsed.event.tags, "k"))
    if stated:
        return not stated.isdisjoint(_CONCERNED)
    addresses = list(tags.values(parsed.event.tags, "a"))
    concerned = (f"{kinds.SESSION}:", _RSVP_PREFIX)
    return any(address.startswith(concerned) for address in addresses) or not addresses
