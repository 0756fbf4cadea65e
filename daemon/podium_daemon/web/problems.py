"""Errors of the HTTP interface as RFC 9457 problem details that say what to do next."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from podium_protocol.errors import InvalidInput, LocalProtocolError, RemoteProtocolError

_log = structlog.get_logger(__name__)
_MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  (the word of RFC 9457)
    """A refusal that is told to the caller.

    Args:
        status: HTTP status.
        slug: the last part of the problem's type; stable, for machines.
        detail: what was wrong with this request.
        next_step: what the caller can do about it.
    """

    def __init__(self, status: HTTPStatus, slug: str, detail: str, next_step: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.next_step = next_step

    def response(self) -> JSONResponse:
        body = {
            "type": f"urn:podium:problem:{self.slug}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "next": self.next_step,
        }
        headers = {"WWW-Authenticate": "Nostr"} if self.status is HTTPStatus.UNAUTHORIZED else {}
        return JSONResponse(body, self.status.value, headers=headers, media_type=_MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document; what nobody foresaw is logged and told without its inside."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _bad_shape)
    app.add_exception_handler(HTTPException, _http)
    for kind in (InvalidInput, LocalProtocolError, RemoteProtocolError):
        app.add_exception_handler(kind, _bad_value)
    app.add_exception_handler(Exception, _unforeseen)


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


async def _bad_shape(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    flaws = "; ".join(
        f"{'.'.join(str(part) for part in flaw['loc'] if part != 'body')}: {flaw['msg']}" for flaw in error.errors()
    )
    next_step = "Compare the request with /openapi.json."
    return Problem(
        HTTPStatus.BAD_REQUEST, "bad-request", flaws or "the request has the wrong shape", next_step
    ).response()


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return Problem(status, status.phrase.lower().replace(" ", "-"), str(error.detail), "See /openapi.json.").response()


async def _bad_value(_request: Request, error: Exception) -> JSONResponse:
    return Problem(HTTPStatus.BAD_REQUEST, "bad-value", str(error), "Correct the value and send it again.").response()


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    _log.error("a request failed", action="http.failed", path=request.url.path, exc_info=error)
    detail = "The daemon failed on this request. Its log says more."
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail, "Try again, or look at the log.").response()
