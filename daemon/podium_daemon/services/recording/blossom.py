"""Recordings on a Blossom server (BUD-01, BUD-02, BUD-11): uploaded with a signed token, fetched back and compared.

The operator chooses the server, which may be in a private network. Its answers are a stranger's: a link to another host
is followed only to a public address, the connection goes to that address, and no redirect is followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog

from podium_daemon.relays.addresses import Lookup, Network, is_public
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.trust import system_trust
from podium_daemon.services.recording.files import EXTENSION, MadeFile
from podium_daemon.signers.signer import Signer, SignerUnavailable
from podium_protocol import blossom
from podium_protocol.text import single_line

_log = structlog.get_logger(__name__)
_CHUNK: Final = 256 * 1024
_SILENCE: Final = 60.0  # seconds without a byte in either direction
_STORED: Final = (httpx.codes.OK, httpx.codes.CREATED)
_GONE: Final = (httpx.codes.NOT_FOUND, httpx.codes.GONE)
_RETRY: Final = "Look at the server, then `podium recording retry`."
_MAX_WORDS: Final = 300


class BlossomServer:
    """One server that takes uploads of the service's key."""

    name: Final = "blossom"

    def __init__(
        self,
        url: str,
        *,
        signer: Signer,
        lookup: Lookup,
        clock: Clock,
        within: int,
        permitted: Collection[Network] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`within`: seconds that an upload, and reading it back, may each take.

        `permitted` are networks into which a link of the server may lead although they are not public.
        """
        self._url = url.rstrip("/")
        self._signer = signer
        self._lookup = lookup
        self._clock = clock
        self.within = within
        self._permitted = tuple(permitted)
        self._tls = tls

    async def store_file(self, made: MadeFile) -> str | Rejection:
        """Upload a file; return its URL once the bytes were fetched back and were equal."""
        try:
            async with asyncio.timeout(self.within):
                answer = await self._upload(made)
        except TimeoutError:
            return _failed(f"the upload took longer than {self.within} s", _RETRY)
        except (httpx.HTTPError, OSError, SignerUnavailable) as error:
            return _failed(f"the upload failed: {_words(error)}", _RETRY)
        if isinstance(answer, Rejection):
            return answer
        return await self._proven(made, answer)

    async def forget(self, sha256: str) -> Rejection | None:
        """Have the server delete a blob (BUD-02); one that it does not have counts as deleted."""
        try:
            async with asyncio.timeout(self.within), self._client() as client:
                now = int(self._clock.now())
                token = await self._signer.sign(
                    blossom.write_delete_token(
                        self._signer.pubkey, sha256=sha256, server=self._url, now=now, lifetime=self.within
                    )
                )
                headers = {"Authorization": blossom.write_header(token)}
                async with client.stream("DELETE", f"{self._url}/{sha256}", headers=headers) as response:
                    if response.is_success or response.status_code in _GONE:
                        return None
                    return _refused(response, await _little(response), "deletion")
        except (TimeoutError, httpx.HTTPError, OSError, SignerUnavailable) as error:
            return _failed(f"the deletion failed: {_words(error)}", "Look at the server; it is tried again each hour.")

    async def _upload(self, made: MadeFile) -> blossom.Descriptor | Rejection:
        token = await self._signer.sign(
            blossom.write_upload_token(
                self._signer.pubkey,
                sha256=made.sha256,
                server=self._url,
                words=f"Upload the recording of {single_line(made.title, 200) or 'a session'}",
                now=int(self._clock.now()),
                lifetime=self.within,
            )
        )
        headers = {
            "Authorization": blossom.write_header(token),
            "Content-Type": made.media_type,
            "Content-Length": str(made.size),
            "X-SHA-256": made.sha256,
        }
        async with (
            self._client() as client,
            client.stream("PUT", f"{self._url}/upload", content=_content(made.path), headers=headers) as response,
        ):
            body = await _little(response)
            if response.status_code not in _STORED:
                return _refused(response, body)
        descriptor = blossom.read_descriptor(body)
        if descriptor is None or (descriptor.sha256, descriptor.size) != (made.sha256, made.size):
            return _failed("the server says that it stored something else", "Try again, or use another server.")
        return descriptor

    async def _proven(self, made: MadeFile, descriptor: blossom.Descriptor) -> str | Rejection:
        """The first of the possible URLs that serves exactly these bytes."""
        own = f"{self._url}/{made.sha256}{EXTENSION}"
        refused = _failed("nothing could be fetched back", _RETRY)
        for url in dict.fromkeys((own, descriptor.url or own)):
            try:
                async with asyncio.timeout(self.within):
                    flaw = await self._flaw_behind(url, made)
            except TimeoutError:
                flaw = f"it took longer than {self.within} s"
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                flaw = _words(error)
            if flaw is None:
                return url
            _log.warning("a recording was not found where it was put", action="recording.unproven", url=url, why=flaw)
            refused = _failed(f"the upload was fetched back from {url[:200]}, and {flaw}", _RETRY)
        return refused

    async def _flaw_behind(self, url: str, made: MadeFile) -> str | None:
        digest, size = hashlib.sha256(), 0
        target, extensions, headers = await self._target(url)
        async with (
            self._client() as client,
            client.stream("GET", target, headers=headers, extensions=extensions) as response,
        ):
            if response.status_code != httpx.codes.OK:
                return f"the server answered {response.status_code}"
            async for piece in response.aiter_raw():
                digest.update(piece)
                size += len(piece)
                if size > made.size:
                    return "it is longer than what was sent"
        if size < made.size:
            return f"it ends after {size} of {made.size} bytes"
        return None if digest.hexdigest() == made.sha256 else "its hash is another one"

    async def _target(self, url: str) -> tuple[str, dict[str, str], dict[str, str]]:
        """Where to connect, and the TLS and Host names: the host for the operator's server, else a checked address.

        Raises:
            OSError: the link leads to no public address.
        """
        parts = urlsplit(url)
        plain = {"Accept-Encoding": "identity"}  # a small body may unpack to a large one
        if _origin(url) == _origin(self._url):
            return url, {}, plain
        host, port = parts.hostname or "", parts.port
        address = await self._public_address(host, port or (443 if parts.scheme == "https" else 80))
        at = f"[{address}]" if ":" in address else address
        place = at if port is None else f"{at}:{port}"
        named = host if port is None else f"{host}:{port}"
        rest = url.split("//", 1)[1][len(parts.netloc) :]
        return f"{parts.scheme}://{place}{rest}", {"sni_hostname": host}, plain | {"Host": named}

    async def _public_address(self, host: str, port: int) -> str:
        for address in await self._lookup(host, port):
            permitted = any(ipaddress.ip_address(address) in network for network in self._permitted)
            if is_public(address) or permitted:
                return address
        raise OSError(f"{host} leads to no public address")

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=_SILENCE,
            verify=self._tls or system_trust(),
        )


async def _content(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


async def _little(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > blossom.MAX_DESCRIPTOR:
            break
    return bytes(body[: blossom.MAX_DESCRIPTOR])


def _refused(response: httpx.Response, body: bytes, what: str = "upload") -> Rejection:
    # BUD-01: `X-Reason` is only for people; older servers give the reason in the body
    words = response.headers.get("x-reason") or body[:_MAX_WORDS].decode(errors="replace")
    detail = f"the server refused the {what} ({response.status_code}): {single_line(words, _MAX_WORDS)}"
    return _failed(detail, "Ask its operator whether the service's key may upload files of this size.")


def _failed(detail: str, next_step: str) -> Rejection:
    return Rejection(Slug.BLOSSOM, detail, next_step)


def _words(error: Exception) -> str:
    return single_line(str(error), _MAX_WORDS) or type(error).__name__


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
