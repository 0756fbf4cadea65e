"""Signing what the daemon composed, after a look at it: a key must not sign whatever a server puts before it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from podium_daemon.cli.answers import Accepted, AcceptedEvents, Draft
from podium_daemon.cli.api_client import Api, decode
from podium_daemon.cli.failures import CommandFailed, Exit
from podium_protocol import kinds, tags
from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.tags import Tag

_MAX_SKEW: Final = 600  # a later revision may be dated a second or more ahead; nobody accepts ten minutes

Expectation = tuple[int, Sequence[Tag]]
"""The kind of one event, and tags it must have with exactly these values and no other."""


def sign_and_send(
    api: Api, secret: SecretKey, draft: Draft, expected: Sequence[Expectation], now: Callable[[], float] = time.time
) -> list[Accepted]:
    """Sign the draft's events if they are what was asked for, and hand them to the daemon.

    Raises:
        CommandFailed: the daemon put something else before us (nothing was signed), or has no relay to send it to.
    """
    if len(draft.events) != len(expected):
        raise _refused(f"{len(draft.events)} events instead of {len(expected)}")
    for event, expectation in zip(draft.events, expected, strict=True):
        if flaw := flaw_of(event, secret, expectation, int(now())) or _flaw_of_deletion(event, draft.events):
            raise _refused(flaw)
    signed = [secret.sign(event, secrets.token_bytes(32)) for event in draft.events]
    accepted = decode(api.post("/api/events", {"events": signed}), AcceptedEvents).accepted
    if not all(one.relays for one in accepted):
        raise CommandFailed(
            "the daemon has taken it and has no relay to send it to: see `podium relays check`", Exit.NO_RELAY
        )
    return accepted


def flaw_of(event: UnsignedEvent, secret: SecretKey, expectation: Expectation, now: int) -> str | None:
    """What keeps us from signing `event`, in words, or None."""
    kind, wanted = expectation
    if event.pubkey != secret.pubkey:
        return "an event of another author than this key"
    if event.kind != kind:
        return f"an event of kind {event.kind} instead of {kind}"
    if abs(event.created_at - now) > _MAX_SKEW:
        return "an event dated far from now (check this machine's clock and the daemon's)"
    for name, *values in wanted:
        found = [tag[1:] for tag in tags.named(event.tags, name)]
        if [list(tag[: len(values)]) for tag in found] != [values]:
            return f"an event whose {name!r} is not what was asked for"
    return None


def _flaw_of_deletion(event: UnsignedEvent, together: Sequence[UnsignedEvent]) -> str | None:
    """A deletion may name the revision signed beside it and the one before: a longer list would delete other things."""
    if event.kind != kinds.DELETION:
        return None
    others = set(tags.values(event.tags, "e")) - {one.id for one in together}
    return "a deletion of further events" if len(others) > 1 else None


def _refused(flaw: str) -> CommandFailed:
    return CommandFailed(f"the daemon asked us to sign {flaw}. Nothing was signed", Exit.SIGNER)
