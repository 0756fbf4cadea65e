"""NIP-05 look-ups over HTTPS. The name is a stranger's text: public addresses only, no redirects, a small answer."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Collection
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from podium_daemon.relays.addresses import Lookup, Network, is_public
from podium_daemon.runtime.trust import system_trust
from podium_protocol.events import Pubkey, pubkey_or_none

MAX_BYTES: Final = 64 * 1024
WITHIN: Final = 10.0  # seconds in all: a time-out between bytes would not stop a server that sends them slowly
_GONE: Final = (httpx.codes.NOT_FOUND, httpx.codes.GONE)


class _Names(msgspec.Struct):
    names: dict[str, object] = {}


_decode = msgspec.json.Decoder(_Names).decode


async def look_up(
    name: str,
    lookup: Lookup,
    *,
    permitted: Collection[Network] = (),
    tls: ssl.SSLContext | None = None,
    port: int = 443,
) -> Pubkey | None:
    """Return the key that `local@domain` names now (NIP-05), or None if the domain does not know the name.

    `permitted` are networks that are not public but may be asked; `tls` holds the trusted authorities.

    Raises:
        OSError: no usable answer: none at all, an error, a redirect, other content, or an address that is not public.
    """
    local, _, domain = name.rpartition("@")
    local = local or "_"
    try:
        async with asyncio.timeout(WITHIN):
            address = await _checked_address(domain, lookup, permitted)
            body = await _fetched(f"https://{_in_url(address)}:{port}", domain, local, tls)
    except TimeoutError:
        raise OSError(f"{domain} did not answer within {WITHIN:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(str(error) or type(error).__name__) from error
    if body is None:
        return None
    try:
        named = _decode(body).names.get(local)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OSError(f"{domain} answered something else than names: {error}") from None
    return pubkey_or_none(named) if isinstance(named, str) else None


async def _fetched(origin: str, domain: str, local: str, tls: ssl.SSLContext | None) -> bytes | None:
    """The document with the name, or None if the server has none at its URL."""
    # TLS and Host name the domain, the socket goes to the checked address; a small body may unpack to a large one
    headers = {"Host": domain, "Accept-Encoding": "identity"}
    async with (
        httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=2 * WITHIN, verify=tls or system_trust()
        ) as client,
        client.stream(
            "GET",
            f"{origin}/.well-known/nostr.json?name={quote(local)}",
            headers=headers,
            extensions={"sni_hostname": domain},
        ) as response,
    ):
        if response.status_code in _GONE:
            return None
        if response.status_code != httpx.codes.OK:
            raise OSError(f"{domain} answered {response.status_code}")
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MAX_BYTES:
                raise OSError(f"{domain} sent a document that is too long: {MAX_BYTES} bytes are read")
        return bytes(body)


async def _checked_address(domain: str, lookup: Lookup, permitted: Collection[Network]) -> str:
    for address in await lookup(domain, 443):
        if is_public(address) or _is_in(address, permitted):
            return address
    raise OSError(f"{domain} leads to no public address")


def _is_in(text: str, networks: Collection[Network]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
