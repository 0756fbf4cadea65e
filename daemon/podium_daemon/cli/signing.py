"""Signing what the daemon composed, after a look at it: a key must not sign whatever a server puts before it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from podium_daemon.cli.api_client import Api, CallerSigner, decode
from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.client.looking import Expectation, flaw_of
from podium_daemon.client.values import Accepted, AcceptedEvents, Draft


def sign_and_send(
    api: Api, secret: CallerSigner, draft: Draft, expected: Sequence[Expectation], now: Callable[[], float] = time.time
) -> Sequence[Accepted]:
    """Sign the draft's events if they are what was asked for, and hand them to the daemon.

    Raises:
        CommandFailed: the daemon put something else before us (nothing was signed), or has no relay to send it to.
    """
    if flaw := flaw_of(draft.events, expected, secret.pubkey, int(now())):
        raise CommandFailed(f"the daemon asked us to sign {flaw}. Nothing was signed", Exit.SIGNER)
    signed = [secret.sign(event, secrets.token_bytes(32)) for event in draft.events]
    accepted = decode(api.post("/api/events", {"events": signed}), AcceptedEvents).accepted
    if not all(one.relays for one in accepted):
        raise CommandFailed(
            "the daemon has taken it and has no relay to send it to: see `podium relays check`", Exit.NO_RELAY
        )
    return accepted
