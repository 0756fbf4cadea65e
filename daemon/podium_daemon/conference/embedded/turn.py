"""STUN and TURN servers, as pages are told of them. Without configured ones there are none: nobody foreign is asked.

A TURN server is given a shared secret with us; pages get a password that is good for a few hours (the convention of
coturn's `use-auth-secret`), so that what they know is worth nothing tomorrow.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from typing import Final

from podium_daemon.conference.embedded.signals import IceServer

CREDENTIAL_SECONDS: Final = 6 * 3600  # the longest sessions; a page that begins anew gets a new one


def page_servers(urls: Sequence[str], secret: bytes | None, now: int) -> tuple[IceServer, ...]:
    """The servers with credentials of `now`, in Unix seconds; TURN servers need the `secret`."""
    if secret is None:
        return tuple(IceServer(url) for url in urls)
    name = str(now + CREDENTIAL_SECONDS)
    password = base64.b64encode(hmac.digest(secret, name.encode(), "sha1")).decode()
    return tuple(IceServer(url, name, password) if url.startswith("turn") else IceServer(url) for url in urls)
