"""The daemon's HTTP interface, each call signed with the caller's key (NIP-98)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec

from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.config.values import origin_of
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.nips import nip98


class CallerSigner(Protocol):
    """Signs as the caller: a key of this machine (`SecretKey`), or a signer elsewhere."""

    @property
    def pubkey(self) -> Pubkey: ...

    def sign(self, event: UnsignedEvent, aux: bytes) -> SignedEvent:
        """Sign `event`; `aux` is 32 fresh random bytes, which a remote signer does not need."""
        ...


T = TypeVar("T")

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_ANSWER: Final = 64 * 1024 * 1024  # the attendance of a very large session
_TIMEOUT: Final = httpx.Timeout(60, connect=10)
_EXIT_CODES: Final = {"login": Exit.SIGNER, "signer": Exit.SIGNER, "no-relay": Exit.NO_RELAY}


class DaemonUnreachable(CommandFailed):
    """Nobody answers at the daemon's address."""


class ApiProblem(CommandFailed):
    """The daemon refused; its words and its advice."""

    def __init__(self, slug: str, detail: str, next_step: str) -> None:
        super().__init__("\n".join(filter(None, (detail, next_step))), _EXIT_CODES.get(slug, Exit.FAILED))
        self.slug = slug


class _ProblemDocument(msgspec.Struct):
    type: str = ""
    title: str = ""
    detail: str = ""
    next: str = ""


class Api:
    """Calls one daemon."""

    def __init__(
        self,
        url: str,
        secret: CallerSigner | None,
        *,
        signed_url: str | None = None,
        now: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Talk to `url`; logins name `signed_url`, the address the daemon believes it has, where it differs.

        Raises:
            InvalidInput: no http(s) URL.
        """
        self._url = checked_url(url)
        self.signed_url = self._url if signed_url is None else checked_url(signed_url)
        self._secret = secret
        self.authorization = ""
        """Sent in the place of logins, where a secret of the daemon's own stands for the caller."""
        self._now = now
        self._random_bytes = random_bytes

    def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """The answer's body.

        Raises:
            DaemonUnreachable: nobody answers.
            ApiProblem: a refusal.
        """
        return self._call("GET", path + (f"?{urlencode(query)}" if query else ""), None)

    def post(self, path: str, body: Mapping[str, object]) -> bytes:
        """As `get`, sending `body` as JSON."""
        return self._call("POST", path, msgspec.json.encode(body))

    def delete(self, path: str) -> bytes:
        """As `get`, to remove something."""
        return self._call("DELETE", path, None)

    def download(self, url: str, own_path: str, take: Callable[[bytes], object]) -> None:
        """Read a file piece by piece: of this daemon, where `url` ends with `own_path`, else of wherever it is.

        Raises:
            CommandFailed: as `get`; no redirect is followed.
        """
        is_ours = url.endswith(own_path)
        target = self._url + own_path if is_ours else url
        headers = {"Authorization": self._login("GET", own_path, None)} if is_ours else {}
        direct = urlsplit(target).hostname in _LOOPBACK
        try:
            with (
                httpx.Client(timeout=_TIMEOUT, trust_env=not direct, follow_redirects=False) as client,
                client.stream(
                    "GET", target, headers={name: text for name, text in headers.items() if text}
                ) as response,
            ):
                if not response.is_success:
                    raise _problem(response, response.read()[:_MAX_ANSWER])
                for piece in response.iter_bytes():
                    take(piece)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CommandFailed(f"{target} could not be read ({type(error).__name__}): {error}") from None

    def _call(self, method: str, path: str, body: bytes | None) -> bytes:
        authorization = self.authorization or self._login(method, path, body)
        headers = {"Accept": "application/json", "Authorization": authorization}
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent = {name: value for name, value in headers.items() if value}
        try:
            # a proxy in the environment cannot reach this machine's loopback; redirects would carry the login elsewhere
            direct = urlsplit(self._url).hostname in _LOOPBACK
            with (
                httpx.Client(timeout=_TIMEOUT, trust_env=not direct, follow_redirects=False) as client,
                client.stream(method, self._url + path, content=body, headers=sent) as response,
            ):
                return self._answer(response)
        except httpx.ConnectError as error:
            raise DaemonUnreachable(
                f"no daemon answers at {self._url} ({error}): start it with `podium run`, or name it with --url"
            ) from None
        except httpx.HTTPError as error:
            raise DaemonUnreachable(
                f"the daemon at {self._url} did not answer ({type(error).__name__}): {error}"
            ) from None

    def _login(self, method: str, path: str, body: bytes | None) -> str:
        if self._secret is None:
            return ""
        # the nonce tells two equal calls within a second apart: each login is good for one call
        nonce = ("nonce", self._random_bytes(8).hex())
        event = nip98.write(self._secret.pubkey, self.signed_url + path, method, body, int(self._now()), (nonce,))
        return nip98.write_header(self._secret.sign(event, self._random_bytes(32)))

    def _answer(self, response: httpx.Response) -> bytes:
        raw = bytearray()
        for chunk in response.iter_bytes():
            raw += chunk
            if len(raw) > _MAX_ANSWER:
                raise CommandFailed(
                    f"the answer of {self._url} is longer than {_MAX_ANSWER} bytes: is it a Podium daemon?"
                )
        if response.is_success:
            return bytes(raw)
        raise _problem(response, bytes(raw))


def decode(raw: bytes, kind: type[T]) -> T:
    """The answer as a value.

    Raises:
        CommandFailed: it has another shape.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandFailed(
            f"the answer cannot be understood ({error}): is this the address of a Podium daemon of the same version?"
        ) from None


def session_path(reference: str, *rest: str) -> str:
    """The path of a session's resource."""
    return "/".join(("/api/sessions", quote(reference, safe=":"), *rest))


def checked_url(url: str) -> str:
    """Scheme, host and port of a daemon's address, without a slash at the end.

    Raises:
        InvalidInput: anything else.
    """
    origin = origin_of(url)
    if origin is None:
        raise InvalidInput("--url: expected the address of a daemon, such as http://127.0.0.1:7448")
    return origin


def _problem(response: httpx.Response, raw: bytes) -> CommandFailed:
    try:
        document = msgspec.json.decode(raw, type=_ProblemDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _ProblemDocument()
    if not document.detail:
        return CommandFailed(f"{response.url} answered {response.status_code}: is it the address of a Podium daemon?")
    return ApiProblem(document.type.rpartition(":")[2], document.detail, document.next)
