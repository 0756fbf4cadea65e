"""One daemon over HTTP, each call signed with the caller's key (NIP-98)."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from pydantic import ValidationError

from podium_daemon.api.base import Model
from podium_daemon.api.problems import TYPE, ProblemDocument
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.errors import ApiProblem, DaemonUnreachable
from podium_daemon.config.values import origin_of
from podium_daemon.signers.signer import LocalSigner, Signer
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput, LocalProtocolError, RemoteProtocolError
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip19, nip98

M = TypeVar("M", bound=Model)

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_ANSWER: Final = 64 * 1024 * 1024  # the attendance of a very large session
_MAX_FLAWS: Final = 3
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]{1,2048}")
_TIMEOUT: Final = httpx.Timeout(60, connect=10)


class Transport:
    """Calls one daemon; with `signer` None without a login, for public data."""

    def __init__(
        self,
        url: str,
        signer: SecretKey | Signer | None,
        *,
        signed_url: str | None = None,
        now: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Talk to `url`; logins name `signed_url`, the daemon's configured public address, if it differs.

        Raises:
            InvalidInput: no http(s) URL without a path.
        """
        self.url = checked_url(url)
        self.signed_url = self.url if signed_url is None else checked_url(signed_url)
        self.signer = LocalSigner(signer, random_bytes=random_bytes) if isinstance(signer, SecretKey) else signer
        self.now = now
        self.random_bytes = random_bytes
        self.is_direct = _is_loopback(self.url)
        self._client = self._open(self.url)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @property
    def pubkey(self) -> Pubkey | None:
        """The caller's public key, or None."""
        return None if self.signer is None else self.signer.pubkey

    async def get(
        self, path: str, kind: type[M], query: Mapping[str, str] | None = None, *, authorization: str = ""
    ) -> M:
        """Send a GET and return its answer; `authorization` replaces the login by a secret that the daemon gave out.

        Raises:
            DaemonUnreachable: there is no answer.
            ApiProblem: a refusal.
            RemoteProtocolError: an answer of another shape.
        """
        return _decoded(await self.get_raw(path, query, authorization=authorization), kind)

    async def get_raw(self, path: str, query: Mapping[str, str] | None = None, *, authorization: str = "") -> bytes:
        """Send a GET and return the body of its answer unchanged; raises as `get`."""
        full = path + (f"?{urlencode(query)}" if query else "")
        return await self._call("GET", full, None, authorization or await self._login("GET", full, None))

    async def post(self, path: str, kind: type[M], body: Model | Mapping[str, object] | None = None) -> M:
        """Send a POST with a value as JSON; raises as `get`."""
        if isinstance(body, Model):
            raw: bytes | None = body.model_dump_json(by_alias=True, exclude_unset=True).encode()
        else:
            raw = None if body is None else msgspec.json.encode(body)
        return _decoded(await self._call("POST", path, raw, await self._login("POST", path, raw)), kind)

    async def session(self, reference: str | SessionOut) -> SessionOut:
        """Return the session that `reference` names; a `SessionOut` is returned unchanged. Raises as `get`."""
        if isinstance(reference, SessionOut):
            return reference
        return await self.get(session_path(reference), SessionOut)

    async def post_proof(self, path: str, kind: type[M], proof: SignedEvent) -> M:
        """Send a POST without a body whose login is this event; raises as `get`."""
        return _decoded(await self._call("POST", path, None, nip98.write_header(proof)), kind)

    async def delete(self, path: str, kind: type[M], *, authorization: str = "") -> M:
        """Send a DELETE; raises as `get`."""
        return _decoded(
            await self._call("DELETE", path, None, authorization or await self._login("DELETE", path, None)), kind
        )

    async def download(self, url: str, own_path: str, write: Callable[[bytes], object]) -> None:
        """Read a file piece by piece: of this daemon, where `url` ends with `own_path`, else from wherever it is.

        Raises:
            DaemonUnreachable: it could not be read.
            ApiProblem: a refusal.
        """
        is_ours = url.endswith(own_path)
        target = self.url + own_path if is_ours else url
        login = await self._login("GET", own_path, None) if is_ours else ""
        headers = {"Authorization": login} if login else {}
        try:
            async with self._open(target) as client, client.stream("GET", target, headers=headers) as response:
                if not response.is_success:
                    raise _problem(response, await self._read(response))
                async for piece in response.aiter_bytes():
                    write(piece)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DaemonUnreachable(f"{target} could not be read ({type(error).__name__}): {error}") from None

    async def events(self, path: str) -> AsyncGenerator[tuple[str, str]]:
        """Yield the name and the data of each server-sent event, and ("beat", "") for a sign of life without one.

        Raises:
            DaemonUnreachable: there is no answer, or the connection broke.
            ApiProblem: a refusal.
            RemoteProtocolError: one event is longer than an answer may be.
        """
        headers = {"Accept": "text/event-stream"}
        if login := await self._login("GET", path, None):
            headers["Authorization"] = login
        try:
            async with self._client.stream("GET", self.url + path, headers=headers) as response:
                if not response.is_success:
                    raise _problem(response, await self._read(response))
                rest = ""
                async for piece in response.aiter_text():
                    *blocks, rest = (rest + piece).split("\n\n")
                    if len(rest) > _MAX_ANSWER:
                        raise RemoteProtocolError(f"an event of {self.url} is too long: is it a Podium daemon?")
                    for block in blocks:
                        yield _event_of(block)
        except httpx.HTTPError as error:
            raise DaemonUnreachable(f"the stream of {self.url} broke ({type(error).__name__}): {error}") from None

    async def sign(self, event: UnsignedEvent) -> SignedEvent:
        """Sign as the caller.

        Raises:
            LocalProtocolError: this client has no key.
            SignerUnavailable: a signer elsewhere did not sign.
        """
        if self.signer is None:
            raise LocalProtocolError("this client has no key: give it one to sign with")
        return await self.signer.sign(event)

    async def _login(self, method: str, path: str, body: bytes | None) -> str:
        if self.signer is None:
            return ""
        # the nonce tells two equal calls within a second apart: each login is good for one call
        nonce = ("nonce", self.random_bytes(8).hex())
        url = self.signed_url + path
        login = nip98.write(self.signer.pubkey, url, method, body, int(self.now()), (nonce,))
        return nip98.write_header(await self.signer.sign(login))

    @staticmethod
    def _open(url: str) -> httpx.AsyncClient:
        # a proxy in the environment cannot reach this machine's loopback; redirects would carry the login elsewhere
        return httpx.AsyncClient(timeout=_TIMEOUT, trust_env=not _is_loopback(url), follow_redirects=False)

    async def _call(self, method: str, path: str, body: bytes | None, authorization: str) -> bytes:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if authorization:
            headers["Authorization"] = authorization
        try:
            async with self._client.stream(method, self.url + path, content=body, headers=headers) as response:
                raw = await self._read(response)
        except httpx.ConnectError as error:
            raise DaemonUnreachable(f"no daemon answers at {self.url} ({error})", is_closed=True) from None
        except httpx.HTTPError as error:
            raise DaemonUnreachable(
                f"the daemon at {self.url} did not answer ({type(error).__name__}): {error}"
            ) from None
        if not response.is_success:
            raise _problem(response, raw)
        return raw

    async def _read(self, response: httpx.Response) -> bytes:
        raw = bytearray()
        async for chunk in response.aiter_bytes():
            raw += chunk
            if len(raw) > _MAX_ANSWER:
                raise RemoteProtocolError(
                    f"the answer of {self.url} is longer than {_MAX_ANSWER} bytes: is it a Podium daemon?"
                )
        return bytes(raw)


def session_path(reference: str, *rest: str) -> str:
    """The path of a session's resource, in characters that every proxy and router reads alike.

    A path with escaped characters may be signed in one spelling and checked in another.

    Raises:
        InvalidInput: neither naddr nor address nor the plain beginning of a `d`.
    """
    address = Address.parse(reference)
    if address is None and reference.startswith(("nostr:", "naddr1")):
        nip19.parse_address(reference)  # raises if it is none
        plain = reference.removeprefix("nostr:")
    else:
        plain = reference if address is None else nip19.encode_naddr(address)
    if not _PLAIN.fullmatch(plain):
        raise InvalidInput("a session is named by its naddr, its address, or the beginning of its identifier")
    return "/".join(("/api/sessions", plain, *rest))


def checked_url(url: str) -> str:
    """Scheme, host and port of a daemon's address, without a slash at the end.

    Raises:
        InvalidInput: anything else.
    """
    origin = origin_of(url)
    if origin is None:
        raise InvalidInput("expected the address of a daemon, such as http://127.0.0.1:7448")
    return origin


def _event_of(block: str) -> tuple[str, str]:
    # by line feeds only: the data is JSON, in which a stranger may have put any other end of a line
    fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
    return (fields["event"], fields["data"]) if {"event", "data"} <= fields.keys() else ("beat", "")


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def _decoded(raw: bytes, kind: type[M]) -> M:
    try:
        return kind.model_validate_json(raw, extra="allow")  # a newer daemon may say more
    except ValidationError as error:
        flaws = "; ".join(
            f"{'.'.join(map(str, flaw['loc']))}: {flaw['msg']}".removeprefix(": ")
            for flaw in error.errors(include_url=False, include_input=False)[:_MAX_FLAWS]
        )
        raise RemoteProtocolError(
            f"the answer cannot be understood ({flaws}): is this the address of a Podium daemon of the same version?"
        ) from None


def _problem(response: httpx.Response, raw: bytes) -> ApiProblem:
    try:
        document = ProblemDocument.model_validate_json(raw)
    except ValidationError:
        detail = f"{response.url} answered {response.status_code}: is it the address of a Podium daemon?"
        return ApiProblem(response.status_code, "", detail, "")
    return ApiProblem(response.status_code, document.type.removeprefix(TYPE), document.detail, document.next)
