"""HEAD for every GET route (RFC 9110, 9.3.2): the head of the answer to GET, without the body."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from podium_daemon.runtime.tasks import wait_for_first

_ASKED: Final = "podium.method"


def method_asked(request: Request) -> str:
    """The method that the caller sent and signed; a route that only handles GET sees a HEAD as GET."""
    method: str = request.scope.get(_ASKED, request.method)
    return method


class HeadRequests:
    """ASGI middleware: a HEAD that no route takes is asked again as a GET."""

    def __init__(self, app: ASGIApp) -> None:
        """Pass requests on to `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        first = _Unless405(send)
        await self._app(dict(scope), receive, first)
        if first.is_refused:  # by the routing, which reads no body and runs no code of a route
            await _only_head(self._app, {**scope, "method": "GET", _ASKED: "HEAD"}, receive, send)


class _Unless405:
    """Passes an answer on, unless it is 405."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_refused = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_refused = message["status"] == HTTPStatus.METHOD_NOT_ALLOWED
        if not self.is_refused:
            await self._send(message)


async def _only_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a GET until its body begins: an event stream would go on for an hour."""
    begun = asyncio.Event()

    async def head_of(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
        elif not begun.is_set():
            begun.set()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    await wait_for_first(app(scope, receive, head_of), begun.wait())
