"""Signing what the daemon composed, after the client has looked at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium_daemon.cli.failures import CommandFailed, Exit

if TYPE_CHECKING:
    from podium_daemon.api.sessions import DraftOut
    from podium_daemon.client import PodiumClient


async def sign_and_send(podium: PodiumClient, draft: DraftOut) -> None:
    """Sign the draft's events, and hand them to the daemon.

    Raises:
        CommandFailed: the daemon has no relay to send them to.
    """
    accepted = await podium.submit(await podium.sign(draft))
    if not all(one.relays for one in accepted):
        raise CommandFailed(
            "the daemon has taken it and has no relay to send it to: see `podium relays check`", Exit.NO_RELAY
        )
