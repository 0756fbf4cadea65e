"""NIP-11: what a relay says of itself, as far as it changes what is sent there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from podium_protocol.errors import RemoteProtocolError
from podium_protocol.limits import MAX_BACKDATING

MEDIA_TYPE: Final = "application/nostr+json"

_MOST: Final = 2**53 - 1
_LEAST_MESSAGE: Final = 1024
"""Bytes. A relay that names a smaller limit means something else: one signed event with a few tags is larger."""

_TEN_YEARS: Final = 10 * 365 * 86_400
"""Seconds. A larger limit on the age of events is a date written by mistake, or no limit."""


class RelayLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limits a relay names. None and 0 stand for none. Times are seconds before and after its clock."""

    max_subscriptions: int | None = None
    max_filters: int | None = None
    max_limit: int | None = None
    max_message_length: int | None = None
    min_pow_difficulty: int = 0
    created_at_lower_limit: int | None = None
    created_at_upper_limit: int | None = None

    @property
    def backdating(self) -> int:
        """How far back a gift wrap may be dated for this relay, in seconds: two days, as NIP-59 says, or less."""
        if self.created_at_lower_limit is None:
            return MAX_BACKDATING
        # a tenth is left for clocks that differ and for the time until it is sent
        return min(MAX_BACKDATING, self.created_at_lower_limit * 9 // 10)


NO_LIMITS: Final = RelayLimits()


class RequiredByRelays(msgspec.Struct, frozen=True, kw_only=True):
    """What one event must fulfil so that several relays accept it.

    `backdating`: seconds that a gift wrap may be dated back. A limit on future times asks nothing of us, since our
    events are never dated ahead. `work`: bits of proof of work (NIP-13) to do for these relays.
    """

    backdating: int = MAX_BACKDATING
    work: int = 0


NOTHING_ASKED: Final = RequiredByRelays()


def asked_by(limits: Iterable[RelayLimits], *, most_work: int = 0) -> RequiredByRelays:
    """What relays with these limits ask of one event that goes to all of them: the tightest limit counts.

    A relay that asks for more than `most_work` bits will refuse the event, and no work is done for it.
    """
    known = tuple(limits)
    bits = (one.min_pow_difficulty for one in known if one.min_pow_difficulty <= most_work)
    backdating = min((one.backdating for one in known), default=MAX_BACKDATING)
    return RequiredByRelays(backdating=backdating, work=max(bits, default=0))


class _Document(msgspec.Struct):
    limitation: msgspec.Raw = msgspec.Raw(b"{}")


_decode_document: Final = msgspec.json.Decoder(_Document).decode
_decode_limitation: Final = msgspec.json.Decoder(dict[str, object]).decode


def read_limits(document: bytes) -> RelayLimits:
    """Read the limits in a relay's information document; each field with an impossible value is ignored.

    Raises:
        RemoteProtocolError: `document` is not a relay's information document.
    """
    try:
        said = _decode_limitation(_decode_document(document).limitation)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError(f"it is no information document (NIP-11): {error}") from None
    return RelayLimits(
        max_subscriptions=_number(said, "max_subscriptions"),
        max_filters=_number(said, "max_filters"),
        max_limit=_number(said, "max_limit"),
        max_message_length=_number(said, "max_message_length", least=_LEAST_MESSAGE),
        min_pow_difficulty=_number(said, "min_pow_difficulty", most=256) or 0,
        created_at_lower_limit=_number(said, "created_at_lower_limit", most=_TEN_YEARS),
        created_at_upper_limit=_number(said, "created_at_upper_limit", most=_TEN_YEARS),
    )


def _number(said: dict[str, object], name: str, *, least: int = 1, most: int = _MOST) -> int | None:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        return None
    return value
