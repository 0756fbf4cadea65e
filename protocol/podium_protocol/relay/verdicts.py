"""Interprets a relay's answers and faults: from its words to a verdict, from its faults to a score. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol.limits import MAX_MESSAGE_CHARS, PENALTY_HALF_LIFE, PENALTY_SCORE


class EventAccepted(msgspec.Struct, frozen=True, tag=True):
    """The relay has the event, or had it already, or has a newer revision of it."""

    message: str = ""


class RateLimited(msgspec.Struct, frozen=True, tag=True):
    """Wait before anything more is sent to this relay (`backoff.rate_limit_delays`)."""

    message: str = ""


class AuthRequired(msgspec.Struct, frozen=True, tag=True):
    """The relay asks for a login (NIP-42), and we did not, may not or could not log in."""

    message: str = ""


class Restricted(msgspec.Struct, frozen=True, tag=True):
    """The relay refuses although we are logged in: final for this relay."""

    message: str = ""


class BlockedByRelay(msgspec.Struct, frozen=True, tag=True):
    """The relay does not take this event, or anything from its author: final for this relay."""

    message: str = ""


class Pow(msgspec.Struct, frozen=True, tag=True):
    """The relay asks for proof of work (NIP-13); `bits` where its words name a number."""

    bits: int | None = None
    message: str = ""


class Invalid(msgspec.Struct, frozen=True, tag=True):
    """The relay finds a fault in what was sent; where it complains of the time, it may be signed again once."""

    about_time: bool = False
    message: str = ""


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """`error:`, no prefix, no answer, or a lost connection: the relay may have it. Retry with the same bytes."""

    message: str = ""


Verdict = EventAccepted | RateLimited | AuthRequired | Restricted | BlockedByRelay | Pow | Invalid | Unknown

_PREFIX: Final = re.compile(r"\s*([A-Za-z-]{1,32})\s*:")
_NUMBER: Final = re.compile(r"(?<![0-9])[0-9]{1,3}(?![0-9])")
_MAX_POW_BITS: Final = 256  # a SHA-256 has no more
_ABOUT_TIME: Final = re.compile(
    r"created[ _]?at|creation (?:date|time)|timestamp|(?:in|from) the (?:future|past)"
    r"|too (?:old|new|late|early|far)",
    re.IGNORECASE,
)

_BY_PREFIX: Final[dict[str, Callable[[str], Verdict]]] = {
    "duplicate": EventAccepted,
    "replaced": EventAccepted,  # an addressable event whose newer revision the relay has
    "rate-limited": RateLimited,
    "auth-required": AuthRequired,
    "restricted": Restricted,
    "blocked": BlockedByRelay,
    "deleted": BlockedByRelay,
    "mute": BlockedByRelay,  # no client was subscribed to an ephemeral event: it was not delivered, and will not be
}


def of_ok(accepted: bool, message: str) -> Verdict:
    """The verdict on a publication, from the OK that answers it."""
    return EventAccepted(message[:MAX_MESSAGE_CHARS]) if accepted else _of_refusal(message)


def of_closed(message: str) -> Verdict:
    """The verdict on a subscription, from the CLOSED that ends it. Never `EventAccepted`: nothing more is sent."""
    verdict = _of_refusal(message)
    return Unknown(verdict.message) if isinstance(verdict, EventAccepted) else verdict


def is_final(verdict: Verdict) -> bool:
    """Whether sending the same bytes to the same relay again is of no use."""
    return not isinstance(verdict, RateLimited | Unknown)


def _of_refusal(message: str) -> Verdict:
    text = message[:MAX_MESSAGE_CHARS]
    match = _PREFIX.match(text)
    prefix = match[1].lower() if match else ""
    if prefix == "pow":
        return Pow(_bits(text), text)
    if prefix in ("invalid", "unsupported"):
        return Invalid(_ABOUT_TIME.search(text) is not None, text)
    return _BY_PREFIX.get(prefix, Unknown)(text)


def _bits(text: str) -> int | None:
    """The highest plausible number in the text: "difficulty 26 is less than 30" asks for 30."""
    numbers = [int(digits) for digits in _NUMBER.findall(text)]
    return max((bits for bits in numbers if 1 <= bits <= _MAX_POW_BITS), default=None)


class Violation(StrEnum):
    """A fault of a relay; the name of the counter that is raised."""

    OVERSIZED_FRAME = "oversized_frame"
    BAD_FRAME = "bad_frame"
    MALFORMED = "malformed"
    UNKNOWN_LABEL = "unknown_label"
    UNKNOWN_SUBSCRIPTION = "unknown_subscription"
    STRAY_END = "stray_end"  # EOSE or CLOSED of a subscription that does not exist (any more)
    UNSOLICITED_OK = "unsolicited_ok"
    FLOOD = "flood"
    OUTSIDE_FILTER = "outside_filter"  # reported by the caller, which parses the events
    BAD_EVENT = "bad_event"  # also reported by the caller: malformed, wrong id, bad signature


WEIGHTS: Final[dict[Violation, float]] = {
    Violation.OVERSIZED_FRAME: 10.0,
    Violation.BAD_FRAME: 5.0,
    Violation.MALFORMED: 0.1,
    Violation.UNKNOWN_LABEL: 0.1,  # a message of a NIP we do not speak
    Violation.UNKNOWN_SUBSCRIPTION: 2.0,
    Violation.STRAY_END: 0.1,  # a busy relay may end what was closed minutes ago
    Violation.UNSOLICITED_OK: 0.1,  # may be a second answer through a proxy
    Violation.FLOOD: 0.1,  # one for each event above the rate
    Violation.OUTSIDE_FILTER: 2.0,
    Violation.BAD_EVENT: 5.0,  # relays must verify what they pass on
}


class Misbehaviour:
    """The faults of one relay over its connections, and a score that halves every ten minutes. Times are monotonic."""

    def __init__(self) -> None:
        self.counts: Counter[Violation] = Counter()
        self._score = 0.0
        self._as_of = 0.0

    def add(self, violation: Violation, now: float) -> None:
        """Count one fault."""
        self.counts[violation] += 1
        self._score = self.score(now) + WEIGHTS[violation]
        self._as_of = now

    def score(self, now: float) -> float:
        """The sum of the weights of all faults, each halved every ten minutes."""
        return float(self._score * 0.5 ** (max(0.0, now - self._as_of) / PENALTY_HALF_LIFE))

    def is_banned(self, now: float) -> bool:
        """Whether the relay belongs in the penalty box for now."""
        return self.score(now) > PENALTY_SCORE
