"""NIP-05 names over HTTPS, on behalf of a stranger's text: pinned to a public address, no redirects, little read."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from podium_daemon.relays.addresses import Lookup, is_public
from podium_protocol.events import Pubkey, pubkey_or_none

MAX_BYTES: Final = 64 * 1024
_SECONDS: Final = 5.0


class _Names(msgspec.Struct):
    names: dict[str, str] = {}


_decode = msgspec.json.Decoder(_Names).decode


async def look_up(name: str, lookup: Lookup) -> Pubkey | None:
    """The key that `local@domain` names now (NIP-05), or None.

    Raises:
        OSError: nobody answered, or only from an address that is not public.
    """
    local, _, domain = name.rpartition("@")
    local = local or "_"
    address = await _public_address(domain, lookup)
    url = f"https://{_in_url(address)}/.well-known/nostr.json?name={quote(local)}"
    extensions = {"sni_hostname": domain}  # TLS and Host name the domain, the socket goes to the checked address
    try:
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=_SECONDS) as client,
            client.stream("GET", url, headers={"Host": domain}, extensions=extensions) as response,
        ):
            if response.status_code != httpx.codes.OK:
                return None
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MAX_BYTES:
                    return None
    except httpx.HTTPError as error:
        raise OSError(str(error) or type(error).__name__) from error
    try:
        return pubkey_or_none(_decode(bytes(body)).names.get(local, ""))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def _public_address(domain: str, lookup: Lookup) -> str:
    async with asyncio.timeout(_SECONDS):
        found = await lookup(domain, 443)
    for address in found:
        if is_public(address):
            return address
    raise OSError(f"{domain} leads to no public address")


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
