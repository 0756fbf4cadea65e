"""The signer that an instructor leaves with the service: connected by the daemon, shown and taken back from here."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.cli.output import note
from podium_daemon.cli.qr_output import show_qr
from podium_protocol.errors import PodiumError

if TYPE_CHECKING:
    from podium_daemon.api.signers import OpenedOut, SignerOut
    from podium_daemon.cli.caller import CommandCaller
    from podium_daemon.client.left_signer import LeftSigner


def leave(caller: CommandCaller, bunker: str | None) -> SignerOut:
    """Have the daemon connect a signer for the instructor, by the signer's URL or by one that is shown here.

    Raises:
        CommandFailed: it was not connected; says why.
    """
    left = caller.daemon(caller.config(), None).left_signer
    opened = caller.run(left.connect(bunker))
    try:
        seen = caller.run(_followed(left, opened))
    except BaseException:  # Ctrl-C too: the command no longer waits for a signer
        with contextlib.suppress(PodiumError):
            caller.run(left.give_up(opened))
        raise
    if seen.state != "kept":
        raise CommandFailed(f"no signer was left with the service: {seen.problem}", Exit.SIGNER)
    return seen


async def _followed(left: LeftSigner, opened: OpenedOut) -> SignerOut:
    seen = opened.signer
    shown: set[str] = set()
    while seen.state == "pairing":
        if seen.uri is not None and seen.uri not in shown:
            show_qr(seen.uri)
        if seen.page is not None and seen.page not in shown:
            note(f"Your signer asks you to agree on this page: {seen.page}")
        shown |= {text for text in (seen.uri, seen.page) if text is not None}
        seen = await left.follow(opened, seen)
    return seen
