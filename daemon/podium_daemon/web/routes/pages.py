"""The page: HTML shells and the files they load, all out of the wheel. Nothing is made up from a request's path."""

from __future__ import annotations

import hashlib
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response

from podium_daemon.web.context import InContext
from podium_daemon.web.problems import Problem
from podium_protocol.errors import InvalidInput, RemoteProtocolError

router = APIRouter(include_in_schema=False)

FOLDER: Final = Path(__file__).parent.parent / "page"
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
# kept by browsers, and asked about each time: an upgraded daemon must not meet half of the old page
_CACHE: Final = "no-cache"


class PageFile(msgspec.Struct, frozen=True):
    """One file as it is served."""

    content: bytes
    media_type: str
    etag: str


@cache
def page_files() -> dict[str, PageFile]:
    """Every file of the page by its name; read once, since they change with the program only."""
    files: dict[str, PageFile] = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in MEDIA_TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            files[path.name] = PageFile(content, MEDIA_TYPES[path.suffix], etag)
    return files


@router.api_route("/", methods=["GET", "HEAD"])
async def index_page(request: Request) -> Response:
    """Upcoming, live and past sessions."""
    return _served(request, "index.html")


@router.api_route("/s/{reference}", methods=["GET", "HEAD"])
async def session_page(context: InContext, request: Request, reference: str) -> Response:
    """One session, or a page that says there is none."""
    try:
        await context.views.resolve(reference)
    except (Problem, InvalidInput, RemoteProtocolError):
        return _served(request, "unknown.html", HTTPStatus.NOT_FOUND)
    return _served(request, "session.html")


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def page_file(request: Request, name: str) -> Response:
    """A file that the page loads."""
    if name not in page_files():
        raise Problem(HTTPStatus.NOT_FOUND, "unknown-file", "the page has no such file", "Load the page again.")
    return _served(request, name)


def _served(request: Request, name: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    file = page_files()[name]
    headers = {"Cache-Control": _CACHE, "ETag": file.etag}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if status is HTTPStatus.OK and file.etag in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(file.content, status, headers=headers, media_type=file.media_type)
