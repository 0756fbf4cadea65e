"""One daemon over HTTP, each call signed with the caller's key (NIP-98)."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from podium_daemon.client.errors import ApiProblem, DaemonUnreachable
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput, LocalProtocolError, RemoteProtocolError
from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip19, nip98

T = TypeVar("T")

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_ANSWER: Final = 64 * 1024 * 1024  # the attendance of a very large session
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]{1,2048}")
_TIMEOUT: Final = httpx.Timeout(60, connect=10)


class _ProblemDocument(msgspec.Struct):
    type: str = ""
    detail: str = ""
    next: str = ""


class Transport:
    """Calls one daemon; `secret` None calls without a login, for what everybody may read."""

    def __init__(
        self,
        url: str,
        secret: SecretKey | None,
        *,
        signed_url: str | None = None,
        now: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Talk to `url`; logins name `signed_url`, the address the daemon believes it has, where it differs.

        Raises:
            InvalidInput: no http(s) URL without a path.
        """
        self.url = _origin(url)
        self.signed_url = self.url if signed_url is None else _origin(signed_url)
        self.secret = secret
        self.now = now
        self.random_bytes = random_bytes
        # a proxy in the environment cannot reach this machine's loopback; redirects would carry the login elsewhere
        self.is_direct = urlsplit(self.url).hostname in _LOOPBACK
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=not self.is_direct, follow_redirects=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        """A GET.

        Raises:
            DaemonUnreachable: nobody answers.
            ApiProblem: a refusal.
            RemoteProtocolError: an answer of another shape.
        """
        full = path + (f"?{urlencode(query)}" if query else "")
        return _decoded(await self._call("GET", full, None, self._login("GET", full, None)), kind)

    async def post(self, path: str, kind: type[T], body: object = None) -> T:
        """A POST of a value as JSON; raises as `get`."""
        raw = None if body is None else msgspec.json.encode(body)
        return _decoded(await self._call("POST", path, raw, self._login("POST", path, raw)), kind)

    async def post_proof(self, path: str, kind: type[T], proof: SignedEvent) -> T:
        """A POST without a body whose login is this event; raises as `get`."""
        return _decoded(await self._call("POST", path, None, proof), kind)

    def sign(self, event: UnsignedEvent) -> SignedEvent:
        """Sign with the caller's key.

        Raises:
            LocalProtocolError: there is none.
        """
        if self.secret is None:
            raise LocalProtocolError("this client has no key: give it one to sign with")
        return self.secret.sign(event, self.random_bytes(32))

    def _login(self, method: str, path: str, body: bytes | None) -> SignedEvent | None:
        if self.secret is None:
            return None
        # the nonce tells two equal calls within a second apart: each login is good for one call
        nonce = ("nonce", self.random_bytes(8).hex())
        url = self.signed_url + path
        return self.sign(nip98.write(self.secret.pubkey, url, method, body, int(self.now()), (nonce,)))

    async def _call(self, method: str, path: str, body: bytes | None, login: SignedEvent | None) -> bytes:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if login is not None:
            headers["Authorization"] = nip98.write_header(login)
        try:
            async with self._client.stream(method, self.url + path, content=body, headers=headers) as response:
                raw = await self._read(response)
        except httpx.HTTPError as error:
            raise DaemonUnreachable(f"no answer from {self.url} ({type(error).__name__}): {error}") from None
        if not response.is_success:
            raise _problem(response, raw)
        return raw

    async def _read(self, response: httpx.Response) -> bytes:
        raw = bytearray()
        async for chunk in response.aiter_bytes():
            raw += chunk
            if len(raw) > _MAX_ANSWER:
                raise RemoteProtocolError(f"the answer of {self.url} is longer than {_MAX_ANSWER} bytes")
        return bytes(raw)


def session_path(reference: str, *rest: str) -> str:
    """The path of a session's resource, in characters that no proxy and no router reads otherwise.

    A path with escaped characters may be signed in one spelling and checked in another.

    Raises:
        InvalidInput: neither naddr nor address nor the plain beginning of a `d`.
    """
    address = Address.parse(reference)
    if address is None and reference.startswith(("nostr:", "naddr1")):
        nip19.parse_address(reference)  # raises for what is none
        plain = reference.removeprefix("nostr:")
    else:
        plain = reference if address is None else nip19.encode_naddr(address)
    if not _PLAIN.fullmatch(plain):
        raise InvalidInput("a session is named by its naddr, its address, or the beginning of its identifier")
    return "/".join(("/api/sessions", plain, *rest))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path not in ("", "/")
        or "@" in parts.netloc
    ):
        raise InvalidInput("expected the address of a daemon, such as http://127.0.0.1:7448")
    return f"{parts.scheme}://{parts.netloc}"


def _decoded(raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(
            f"the answer cannot be understood ({error}): is this a Podium daemon of the same version?"
        ) from None


def _problem(response: httpx.Response, raw: bytes) -> ApiProblem:
    try:
        document = msgspec.json.decode(raw, type=_ProblemDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _ProblemDocument()
    detail = document.detail or f"the daemon answered {response.status_code}"
    return ApiProblem(response.status_code, document.type.rpartition(":")[2], detail, document.next)
