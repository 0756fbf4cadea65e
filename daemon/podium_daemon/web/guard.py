"""The checks before every route: Host, Origin, secrets, size; and the headers of every answer.

Written as plain ASGI, so that WebSocket upgrades pass the same checks.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from podium_daemon.runtime.allowances import Allowances
from podium_daemon.runtime.connections import origin_of
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.problems import Problem

MAX_BODY_BYTES: Final = 256 * 1024  # a signed session with its description is under 64 KiB; four fit
BODY_SECONDS: Final = 20.0  # for the next piece of a body: a silent caller would hold a task and a connection
BODY_SECONDS_IN_ALL: Final = 60.0  # for a whole body: one that comes byte by byte would hold them for hours
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_ONCE: Final = ("host", "origin", "authorization")
_SECRET: Final = re.compile(rb"n(?:crypt)?sec1[02-9ac-hj-np-z]{6}", re.IGNORECASE)

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "worker-src 'self'; "
        # one policy, which allows one URL: that of the worker that encrypts media (page/room/frame-keys.js)
        "require-trusted-types-for 'script'; trusted-types podium-frames"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
HEADERS: Final[Mapping[str, str]] = MappingProxyType(_HEADERS)
"""The headers of every answer, unless a route sets one of them itself."""


class Guard:
    """ASGI middleware: refuses foreign hosts and origins and bodies over the cap."""

    def __init__(
        self, app: ASGIApp, *, public_url: str, hosts: Collection[str], allowances: Allowances | None = None
    ) -> None:
        """Accept requests addressed to `hosts` (`name` or `name:port`) that come from `public_url`'s origin.

        `allowances`: how many requests that may write something one address, and all of them, may send.
        """
        parts = urlsplit(public_url)
        self._app = app
        self._allowances = allowances
        self._hosts = frozenset(host.lower() for host in (*hosts, parts.netloc))
        self._public = f"{parts.scheme}://{parts.netloc}"
        self._origins = frozenset({self._public.lower()})
        self._aliases = _aliases_of(parts) & self._hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if (moved := self._moved(scope)) is not None:
            await moved(scope, receive, _with_headers(send))
            return
        problem = self._refusal(scope)
        told = _with_headers(send)
        if problem is not None:
            await problem.response()(scope, receive, told)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, _with_words(scope, receive, told))
        else:
            await self._app(scope, _capped(receive), told)

    def _moved(self, scope: Scope) -> RedirectResponse | None:
        """Send a person who opened a page under another name of this machine to the public URL, where links lead."""
        headers = Headers(scope=scope)
        is_page = scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", "")
        if not is_page or headers.get("host", "").lower() not in self._aliases:
            return None
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1")
        return RedirectResponse(f"{self._public}{path}{f'?{query}' if query else ''}")

    def _is_own(self, origin: str, host: str) -> bool:
        # a page under another name of this machine is ours if it calls the name that it came from
        return origin in self._origins or (host in self._aliases and origin == f"http://{host}")

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if any(len(headers.getlist(name)) > 1 for name in _ONCE):
            # of two values, a proxy in front may use the one and we the other
            detail = f"one of the headers {', '.join(_ONCE)} is given twice"
            return Problem(Slug.HEADER_TWICE, detail, "Send each of them once.")
        # DNS rebinding sends no Origin on a plain GET: the Host is checked on every request, without exception
        if headers.get("host", "").lower() not in self._hosts:
            detail = f"this daemon does not answer to the host {headers.get('host', '')!r}"
            return Problem(Slug.WRONG_HOST, detail, "Use the address of web.public_url.")
        origin = headers.get("origin")
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if unsafe and origin is not None and not self._is_own(origin.lower(), headers["host"].lower()):
            detail = "a page of another origin sent this request"
            return Problem(Slug.WRONG_ORIGIN, detail, "Open the page under web.public_url.")
        if _SECRET.search(unquote_to_bytes(scope["path"])) or _SECRET.search(unquote_to_bytes(scope["query_string"])):
            detail = "the address holds what looks like a SECRET key (nsec). It was not used, stored or repeated"
            advice = "It may be in histories and logs by now: make a new key. Give the public key (npub) instead."
            return Problem(Slug.SECRET_KEY, detail, advice)
        if (
            unsafe
            and self._allowances is not None
            and self._allowances.take_token(address=origin_of_caller(scope)) is not None
        ):
            detail = "too many requests that write something came in a short time"
            return Problem(Slug.TOO_MANY, detail, "Wait a minute, then try again.")
        return _too_large() if int_or(headers.get("content-length"), 0) > MAX_BODY_BYTES else None


def _aliases_of(public: SplitResult) -> frozenset[str]:
    """The other names, with the port, of a public URL that names this machine's loopback address by plain HTTP."""
    if public.scheme != "http" or public.hostname not in _LOOPBACK:
        return frozenset()
    port = "" if public.port is None else f":{public.port}"
    names = {f"[{name}]{port}" if ":" in name else f"{name}{port}" for name in _LOOPBACK}
    return frozenset(names - {public.netloc.lower()})


def origin_of_caller(scope: Scope) -> str:
    """What a call is counted by: the part of its address that is one, as a trusted proxy named it; "" for none."""
    client = scope.get("client")
    return origin_of(client[0]) if client else ""


def _too_large() -> Problem:
    detail = f"a request body is {MAX_BODY_BYTES} bytes at most"
    return Problem(Slug.TOO_LARGE, detail, "Send less at once.")


def int_or(text: str | None, default: int) -> int:
    """The text as a plain decimal number, else `default`; `int()` alone takes signs, spaces and underscores."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else default


def _capped(receive: Receive) -> Receive:
    left, more = MAX_BODY_BYTES, True
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + BODY_SECONDS_IN_ALL

    async def counted() -> Message:
        nonlocal left, more
        if not more:  # the next message is the end of the connection, which may come at any time
            return await receive()
        try:
            async with asyncio.timeout_at(min(loop.time() + BODY_SECONDS, ends_at)):
                message = await receive()
        except TimeoutError:
            detail = f"nothing of the body came for {BODY_SECONDS:g} s, or not all of it in {BODY_SECONDS_IN_ALL:g} s"
            raise Problem(Slug.TOO_SLOW, detail, "Send the request again.") from None
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            more = message.get("more_body", False)
            if left < 0:  # a chunked body has no Content-Length to look at
                raise _too_large()
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return adding


def _with_words(scope: Scope, receive: Receive, send: Send) -> Send:
    """A `send` that gives the reason when an upgrade without a route is denied."""
    accepted = False

    async def telling(message: Message) -> None:
        nonlocal accepted
        accepted = accepted or message["type"] != "websocket.close"
        if accepted:
            await send(message)
            return
        detail = "there is no WebSocket at this address"
        await Problem(Slug.NOT_FOUND, detail, "See /openapi.json.").response()(scope, receive, send)

    return telling
