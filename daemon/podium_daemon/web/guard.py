"""What every request passes before a route sees it: Host, Origin, size, and the headers every answer carries.

Written as plain ASGI, so that WebSocket upgrades pass the same door.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from podium_daemon.web.problems import Problem

MAX_BODY_BYTES: Final = 256 * 1024  # a signed session with its description is under 64 KiB; four fit
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: refuses foreign hosts and origins and bodies over the cap."""

    def __init__(self, app: ASGIApp, *, public_url: str, hosts: Collection[str]) -> None:
        """Let pass what is addressed to `hosts` (`name` or `name:port`) and comes from `public_url`'s origin."""
        parts = urlsplit(public_url)
        self._app = app
        self._hosts = frozenset(host.lower() for host in (*hosts, parts.netloc))
        self._origins = frozenset({f"{parts.scheme}://{parts.netloc}".lower()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = self._refusal(scope)
        if problem is None:
            await self._app(scope, _capped(receive), _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": problem.slug})
        else:
            await problem.response()(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        # DNS rebinding sends no Origin on a plain GET: the Host is looked at on every request, without exception
        if headers.get("host", "").lower() not in self._hosts:
            detail = f"this daemon does not answer to the host {headers.get('host', '')!r}"
            return Problem(HTTPStatus.MISDIRECTED_REQUEST, "wrong-host", detail, "Use the address of web.public_url.")
        origin = headers.get("origin")
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if unsafe and origin is not None and origin.lower() not in self._origins:
            detail = "a page of another origin sent this request"
            return Problem(HTTPStatus.FORBIDDEN, "wrong-origin", detail, "Open the page under web.public_url.")
        if int_or(headers.get("content-length"), 0) > MAX_BODY_BYTES:
            detail = f"a request body is {MAX_BODY_BYTES} bytes at most"
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, "Send less at once.")
        return None


def int_or(text: str | None, default: int) -> int:
    """The text as a plain decimal number, else `default`; `int()` alone takes signs, spaces and underscores."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else default


def _capped(receive: Receive) -> Receive:
    left = MAX_BODY_BYTES

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:  # a chunked body has no Content-Length to look at
                detail = f"a request body is {MAX_BODY_BYTES} bytes at most"
                raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, "Send less at once.")
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return adding
