"""What /openapi.json says beyond the routes themselves: problem documents (RFC 9457), names, where it is served."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from podium_daemon.web.problems import MEDIA_TYPE

_PROBLEM: Final = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "title", "status", "detail", "next"],
    "properties": {
        "type": {"type": "string", "description": "urn:podium:problem:<slug>; the slug is stable, for machines"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was wrong with this request"},
        "next": {"type": "string", "description": "what the caller can do about it"},
    },
}
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
    HTTPStatus.TOO_MANY_REQUESTS: "the caller, or everybody together, asks for too much at once",
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
            redirect_slashes=False,  # a login names one URL: whoever was sent elsewhere could not use theirs
        )

    def openapi(self) -> dict[str, Any]:
        """The document; FastAPI makes it once."""
        document = super().openapi()
        # FastAPI takes models of further answers for application/json alone, so this one is put in by hand
        document["components"]["schemas"]["Problem"] = _PROBLEM
        return document


def _operation_id(route: APIRoute) -> str:
    return route.name
