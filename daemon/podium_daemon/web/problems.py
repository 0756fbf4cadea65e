"""Errors of the HTTP interface as RFC 9457 problem details that say what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic.json_schema import GenerateJsonSchema
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection

from podium_daemon.api.problems import MEDIA_TYPE, TYPE, ProblemDocument
from podium_daemon.conference.engine import EngineUnavailable
from podium_daemon.runtime.outcomes import Slug
from podium_protocol.errors import InvalidInput
from podium_protocol.text import single_line
from podium_storage.errors import StoreError

_log = structlog.get_logger(__name__)
_MAX_WORDS: Final = 1000
_MAX_FLAWS: Final = 10


class Problem(HTTPException):
    """A refusal that is sent to the caller.

    It extends Starlette's exception, since FastAPI turns any other one raised while it reads a body into a plain 400.

    Args:
        slug: the last part of the problem's type; it knows the HTTP status.
        detail: what was wrong with this request.
        next_step: what the caller can do about it.
        status: instead of the slug's, if the contract demands another one.
        headers: further headers of the answer.
        values: the numbers that `detail` names.
    """

    def __init__(
        self,
        slug: Slug,
        detail: str,
        next_step: str = "",
        *,
        status: HTTPStatus | None = None,
        headers: Mapping[str, str] | None = None,
        values: Mapping[str, int] | None = None,
    ) -> None:
        self.status = slug.status if status is None else status
        own = {"WWW-Authenticate": "Nostr"} if self.status is HTTPStatus.UNAUTHORIZED else {}
        # the text may hold what a stranger sent: it goes to logs and terminals
        super().__init__(self.status.value, single_line(detail, _MAX_WORDS), headers=own | dict(headers or {}))
        self.slug = slug
        self.next_step = single_line(next_step, _MAX_WORDS)
        self.values = dict(values or {})

    def response(self) -> JSONResponse:
        """The answer to a request, or to a WebSocket upgrade that is denied."""
        document = ProblemDocument(
            type=f"{TYPE}{self.slug}",
            title=self.status.phrase,
            status=self.status.value,
            detail=self.detail,
            next=self.next_step,
            values=self.values,
        )
        return _sent(document, self.headers)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document; an unexpected one is logged, and its details are not sent."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _bad_shape)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(InvalidInput, _bad_value)
    app.add_exception_handler(StoreError, _store)
    app.add_exception_handler(EngineUnavailable, _engine)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _unforeseen)


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


async def _bad_shape(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    flaws = "; ".join(
        f"{'.'.join(str(part) for part in flaw['loc'] if part != 'body')}: {flaw['msg']}"
        for flaw in error.errors()[:_MAX_FLAWS]
    )
    detail = flaws or "the request has the wrong shape"
    next_step = "Compare the request with /openapi.json."
    return Problem(Slug.BAD_REQUEST, detail, next_step).response()


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    slug = status.phrase.lower().replace(" ", "-")
    # 405 has to say in `Allow` what is allowed (RFC 9110, 15.5.6)
    detail = single_line(str(error.detail), _MAX_WORDS)
    document = ProblemDocument(
        type=f"{TYPE}{slug}",
        title=status.phrase,
        status=status.value,
        detail=detail,
        next="See /openapi.json.",
        values={},
    )
    return _sent(document, error.headers)


async def _bad_value(_request: Request, error: Exception) -> JSONResponse:
    return Problem(Slug.BAD_VALUE, str(error), "Correct the value and send it again.").response()


async def _store(request: Request, error: Exception) -> JSONResponse:
    _log.error("the store failed a request", action="http.store_failed", route=_route(request), error=str(error))
    detail = "The daemon's database did not take this. It is not known to be done."
    next_step = "Look whether it was done, and try again; the daemon's log says more."
    return Problem(Slug.STORE, detail, next_step).response()


async def _engine(_request: Request, error: Exception) -> JSONResponse:
    # 409 is for a session that does not start without its engine
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return Problem(Slug.ENGINE, str(error), "Try again in a moment.", status=status).response()


async def _left(_request: Request, _error: Exception) -> Response:
    # the caller is gone, or was cut off by the stop: no failure of ours, and the answer goes nowhere
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _unforeseen(request: HTTPConnection, error: Exception) -> JSONResponse:
    _log.error("a request failed", action="http.failed", route=_route(request), exc_info=error)
    detail = "The daemon failed on this request. Its log says more."
    return Problem(Slug.INTERNAL, detail, "Try again, or look at the log.").response()


def _sent(document: ProblemDocument, headers: Mapping[str, str] | None) -> JSONResponse:
    return JSONResponse(document.model_dump(), document.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _route(request: HTTPConnection) -> str:
    # the pattern and not the path: the path of a calendar is its secret
    return str(getattr(request.scope.get("route"), "path", ""))


class _Untitled(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  (pydantic's signature)
        return False


_PROBLEM_BY_NAME: Final = {"$ref": "#/components/schemas/Problem"}
_WHEN: Final = {
    HTTPStatus.BAD_REQUEST: "the body, a value or an event is not valid",
    HTTPStatus.UNAUTHORIZED: "the call needs a signed login (NIP-98), or this one was refused",
    HTTPStatus.FORBIDDEN: "the caller may not do this, or a page of another origin sent it",
    HTTPStatus.NOT_FOUND: "there is no such session, calendar, signer or page",
    HTTPStatus.METHOD_NOT_ALLOWED: "the address takes other methods: see `Allow`",
    HTTPStatus.REQUEST_TIMEOUT: "the body was begun and did not come",
    HTTPStatus.CONFLICT: "the session's state, or another session of the same name, is in the way",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the body does not say that it is JSON",
    HTTPStatus.MISDIRECTED_REQUEST: "the daemon does not answer to this host",
    HTTPStatus.UNPROCESSABLE_ENTITY: "the request has the wrong shape",
    HTTPStatus.TOO_MANY_REQUESTS: "the caller, or all callers together, ask for too much at once",
    HTTPStatus.SERVICE_UNAVAILABLE: "the database or the conference engine did not take it: try again",
}


def problem(status: HTTPStatus, when: str) -> dict[int | str, dict[str, Any]]:
    """The documentation of a problem that only some calls answer with."""
    return {status.value: {"description": when, "content": {MEDIA_TYPE: {"schema": _PROBLEM_BY_NAME}}}}


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: answer for status, when in _WHEN.items() for code, answer in problem(status, when).items()
}
"""By status code."""


def also(media_type: str, description: str, status: HTTPStatus = HTTPStatus.OK) -> dict[int | str, dict[str, Any]]:
    """The documentation of an answer in a format of its own."""
    return {status.value: {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}


class DocumentedApi(FastAPI):
    """An application whose /openapi.json generators can make clients from."""

    def __init__(self, *, public_url: str) -> None:
        """Name `public_url`, where callers reach this service, as the one server of the document."""
        super().__init__(
            title="Podium",
            version=version("podium-nostr"),
            description="Live sessions over Nostr. Calls are signed with NIP-98; field names are the model's.",
            servers=[{"url": public_url.rstrip("/")}],
            docs_url=None,  # it would load scripts from elsewhere
            redoc_url=None,
            responses=PROBLEMS,
            generate_unique_id_function=_operation_id,
            redirect_slashes=False,  # a login is for one URL: after a redirect it would not be valid
        )

    def openapi(self) -> dict[str, Any]:
        """The document; FastAPI makes it once."""
        document = super().openapi()
        # FastAPI takes models of further answers for application/json only, so this one is added by hand
        document["components"]["schemas"]["Problem"] = ProblemDocument.model_json_schema(
            schema_generator=_Untitled, mode="serialization"
        )
        return document


def _operation_id(route: APIRoute) -> str:
    return route.name
