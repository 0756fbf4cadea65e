"""What every route may answer beside its own answer, for /openapi.json: problem documents (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from podium_daemon.web.problems import MEDIA_TYPE

_SCHEMA: Final = {
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

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status.value: {"description": when, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}} for status, when in _WHEN.items()
}
"""By status code."""


def also(media_type: str, description: str, status: HTTPStatus = HTTPStatus.OK) -> dict[int | str, dict[str, Any]]:
    """The documentation of an answer in a format of its own."""
    return {status.value: {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}
