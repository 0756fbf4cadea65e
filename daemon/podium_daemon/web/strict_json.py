"""JSON bodies read strictly: UTF-8, no key twice, no NaN, nothing that has no UTF-8 form, and only as JSON.

FastAPI's own reader takes UTF-16, repeated keys and lone surrogates; the last make later writers of the text fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.login import check_login_before_body
from podium_daemon.web.problems import Problem
from podium_protocol import strict_json


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the checks."""
        handle = super().get_route_handler()
        takes_json, dependant = self.body_field is not None, self.dependant

        async def strict(request: Request) -> Response:
            if takes_json and not _says_json(request.headers.get("content-type", "")):
                detail = "this call takes JSON, and the request does not say that it is"
                next_step = "Send `Content-Type: application/json`."
                raise Problem(Slug.NOT_JSON, detail, next_step)
            if takes_json:
                await check_login_before_body(request, dependant)
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


class _StrictRequest(Request):
    async def json(self) -> object:
        try:
            return read_json(await self.body())
        except (ValueError, RecursionError) as error:
            next_step = "Send one JSON object in UTF-8, each key once."
            raise Problem(Slug.BAD_JSON, f"the body is no JSON: {error}", next_step) from None


def read_json(raw: bytes) -> object:
    """Parse `raw` strictly and return its value.

    Raises:
        ValueError: it is not JSON, or two readers could read it in two ways.
        RecursionError: it is nested too deeply.
    """
    value = strict_json.read_json(raw)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # an escaped lone surrogate has no UTF-8 form
    return value


def _says_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    return content_type != "" and message.get_content_type() == "application/json"
