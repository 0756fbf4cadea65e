"""The limits that a relay names (NIP-11), asked over HTTP at the same address to which its WebSocket is opened.

The guard of `addresses` has chosen that address; nothing is resolved again, no redirect is followed, and little is read
in little time. A relay without the document has no limits that we know of.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog

from podium_daemon.relays.addresses import Destination
from podium_daemon.runtime.clock import Clock
from podium_protocol.errors import RemoteProtocolError
from podium_protocol.nips.nip11 import MEDIA_TYPE, NO_LIMITS, RelayLimits, read_limits

MAX_BYTES: Final = 64 * 1024
WITHIN: Final = 3.0  # seconds in all: the first REQs to the relay wait for it
_GOOD_FOR: Final = 3600.0  # seconds
_AGAIN_AFTER: Final = 600.0  # seconds until the next try after a failure

_log = structlog.get_logger(__name__)


async def fetch_limits(to: Destination, *, tls: ssl.SSLContext, within: float = WITHIN) -> RelayLimits:
    """Ask a relay for its information document.

    Raises:
        OSError: no usable document came: no answer in time, an error, a redirect, or other content.
    """
    try:
        async with asyncio.timeout(within):
            return read_limits(await _fetched(to, tls))
    except TimeoutError:
        raise OSError(f"no information document within {within:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, RemoteProtocolError) as error:
        raise OSError(str(error) or type(error).__name__) from error


async def _fetched(to: Destination, tls: ssl.SSLContext) -> bytes:
    parts = urlsplit(to.url)
    address = f"[{to.addresses[0]}]" if ":" in to.addresses[0] else to.addresses[0]
    url = f"{'https' if to.is_secure else 'http'}://{address}:{to.port}{parts.path or '/'}"
    # TLS and Host name the relay, the socket goes to the checked address; a small body may unpack to a large one
    headers = {"Host": parts.netloc, "Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=2 * WITHIN, verify=tls) as client,
        client.stream(
            "GET", f"{url}?{parts.query}" if parts.query else url, headers=headers, extensions={"sni_hostname": to.host}
        ) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise OSError(f"it answered HTTP {response.status_code}")
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MAX_BYTES:
                raise OSError(f"its information document is too long: {MAX_BYTES} bytes are read")
        return bytes(body)


class Information:
    """One relay's limits, kept over its connections and asked for again once an hour."""

    def __init__(self, *, tls: ssl.SSLContext, clock: Clock) -> None:
        self._tls = tls
        self._clock = clock
        self._again_at = float("-inf")
        self.limits = NO_LIMITS

    async def read(self, to: Destination) -> RelayLimits:
        """Return the limits, asking again if the last answer is old; without a new answer the old limits stay."""
        if self._clock.monotonic() < self._again_at:
            return self.limits
        self._again_at = self._clock.monotonic() + _AGAIN_AFTER
        try:
            self.limits = await fetch_limits(to, tls=self._tls)
        except OSError as error:
            _log.debug("a relay says nothing of itself", action="relay.no_information", relay=to.url, why=str(error))
        else:
            self._again_at += _GOOD_FOR - _AGAIN_AFTER
        return self.limits
