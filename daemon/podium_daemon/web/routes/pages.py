"""The page: HTML shells and the files they load, all from the wheel. No path on disk is made from a request's path."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit
from xml.sax import saxutils

import msgspec
from fastapi import APIRouter, Request, Response

from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.context import Context, InContext
from podium_daemon.web.guard import HEADERS
from podium_daemon.web.link_preview import Preview, draw_card, head_tags, preview_of
from podium_daemon.web.problems import Problem
from podium_protocol.errors import InvalidInput, RemoteProtocolError
from podium_protocol.events import Pubkey
from podium_protocol.live import fields
from podium_storage.table.models import LiveSessionRow

router = APIRouter(include_in_schema=False)

FOLDER: Final = Path(__file__).parent.parent / "page"
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
# browsers keep the files but ask each time: after an upgrade, new files must not meet old ones
_CACHE: Final = "no-cache"
_PACKED: Final = 256  # files kept in gzip: those of the page, and shells that name a session
_HOST: Final = re.compile(r"([a-z0-9.-]{1,253}|\[[0-9a-f:]{2,39}\])(:[0-9]{1,5})?")


class PageFile(msgspec.Struct, frozen=True):
    """One file with its headers."""

    content: bytes
    media_type: str
    etag: str

    @property
    def packed(self) -> bytes:
        """The content in gzip."""
        return _packed(self.content)


@lru_cache(maxsize=_PACKED)
def _packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@cache
def page_files() -> dict[str, PageFile]:
    """Every file of the page by its path below the folder; read once, since they change only with the program."""
    files: dict[str, PageFile] = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in MEDIA_TYPES:
            content = path.read_bytes()
            files[path.relative_to(FOLDER).as_posix()] = PageFile(content, MEDIA_TYPES[path.suffix], _etag_of(content))
    return files


@router.api_route("/", methods=["GET", "HEAD"])
async def index_page(context: InContext, request: Request) -> Response:
    """Upcoming, live and past sessions."""
    return _served(request, _shell("index.html", context.calendar().name))


@router.api_route("/verify", methods=["GET", "HEAD"])
async def verify_page(context: InContext, request: Request) -> Response:
    """The page that checks certificates; the certificate is in the fragment, which browsers do not send."""
    return _served(request, _shell("verify.html", context.calendar().name))


@router.api_route("/s/{reference}", methods=["GET", "HEAD"])
async def session_page(context: InContext, request: Request, reference: str) -> Response:
    """One session, or a page that says there is none."""
    service = context.calendar().name
    try:
        row = await context.views.resolve(reference)
    except (Problem, InvalidInput, RemoteProtocolError):
        # also of a private session: its people come in by another door, and a pasted link says nothing
        return _served(request, _shell("unknown.html", service), HTTPStatus.NOT_FOUND)
    shell = _shell("session.html", service, _preview(context, row))
    return _served(request, shell, media_from=recording_origin(row.recording_url))


@router.api_route("/s/{reference}/card.svg", methods=["GET", "HEAD"])
async def session_card(context: InContext, request: Request, reference: str) -> Response:
    """The picture that a pasted link to a public session shows; pages of any origin may show it."""
    row = await context.views.resolve(reference)
    picture = draw_card(_preview(context, row))
    card = PageFile(picture, MEDIA_TYPES[".svg"], _etag_of(picture))
    return _served(request, card, more={"Cross-Origin-Resource-Policy": "cross-origin"})


@router.api_route("/page/{name:path}", methods=["GET", "HEAD"])
async def page_file(request: Request, name: str) -> Response:
    """A file that the page loads. `name` is looked up among the known ones and never becomes a path on the disk."""
    if name not in page_files():
        raise Problem(Slug.UNKNOWN_FILE, "the page has no such file", "Load the page again.")
    return _served(request, page_files()[name])


def recording_origin(url: str | None) -> str | None:
    """The origin of a recording in a form that is safe in a CSP header; None if there is none."""
    if fields.web_url(url) is None:
        return None
    parts = urlsplit(url or "")
    # a `;` or `,` in a host would end the directive or the policy, and a stranger could add their own
    return f"{parts.scheme}://{parts.netloc.lower()}" if _HOST.fullmatch(parts.netloc.lower()) else None


def _preview(context: Context, row: LiveSessionRow) -> Preview:
    page = context.views.page(row)
    return preview_of(
        row,
        service=context.calendar().name,
        instructor=context.views.people.name_of(Pubkey(row.instructor_pubkey)),
        url=page,
        card=f"{page}/card.svg",
    )


def _shell(name: str, service: str, preview: Preview | None = None) -> PageFile:
    """A page with the service's name in its title and header, and with the tags of a preview."""
    file = page_files()[name]
    title = service if preview is None else f"{preview.title} · {service}"
    text = file.content.decode().replace(">Podium</a>", f">{saxutils.escape(service)}</a>", 1)
    tags = "" if preview is None else f"\n{head_tags(preview)}"
    head = f"<title>{saxutils.escape(title)}</title>{tags}"
    content = text.replace("<title>Podium</title>", head, 1).encode()
    return PageFile(content, file.media_type, _etag_of(content))


def _etag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _served(
    request: Request,
    file: PageFile,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    media_from: str | None = None,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    headers = {"Cache-Control": _CACHE, "ETag": file.etag, "Vary": "Accept-Encoding", **more}
    if media_from is not None:
        # the one host of this one recording, for players alone; the page still waits for the person to ask for it
        headers["Content-Security-Policy"] = HEADERS["Content-Security-Policy"].replace(
            "media-src 'self'", f"media-src 'self' {media_from}"
        )
        # on "not modified" browsers keep the policy of the answer that they have
        headers["ETag"] = f'"{hashlib.sha256((file.etag + media_from).encode()).hexdigest()[:32]}"'
    packs = _takes_gzip(request.headers.get("accept-encoding", ""))
    if packs:  # another representation has another tag (RFC 9110, 8.8.3.3)
        headers["ETag"] = f'{headers["ETag"][:-1]}-gzip"'
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if status is HTTPStatus.OK and headers["ETag"] in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if not packs:
        return Response(file.content, status, headers=headers, media_type=file.media_type)
    # no word of a caller is in these files beside a secret, so that their length tells nothing
    return Response(file.packed, status, headers=headers | {"Content-Encoding": "gzip"}, media_type=file.media_type)


def _takes_gzip(header: str) -> bool:
    """Whether `Accept-Encoding` names gzip and does not refuse it by a weight of zero (RFC 9110, 12.5.3)."""
    for part in header.lower().split(","):
        name, *weights = (word.strip() for word in part.split(";"))
        if name == "gzip":
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", weight) for weight in weights)
    return False
