"""Errors as problem documents (RFC 9457): one shape for all, with the next step."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from httpx import ASGITransport, AsyncClient, Response
from structlog.testing import capture_logs

from podium_daemon.conference.engine import EngineUnavailable
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web import problems
from podium_daemon.web.problems import Problem
from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_storage.errors import CommitUncertain, StoreFull
from podium_storage.table.models import LiveSessionRow
from tests.support.relays import new_key
from tests.support.site import Site, site

one_loop = pytest.mark.asyncio(loop_scope="module")


class Desk:
    """A server with one session."""

    def __init__(self, here: Site, row: LiveSessionRow) -> None:
        self.here = here
        self.row = row

    async def post(self, path: str, content: bytes, content_type: str | None = "application/json") -> Response:
        """A signed call with these bytes."""
        target = path.replace("{id}", self.here.views.naddr(self.row))
        headers = {"Content-Type": content_type} if content_type is not None else {}
        key = self.here.here.instructor if path == "/api/sessions/draft" else new_key()  # others may draft none
        return await self.here.call("POST", target, by=key, content=content, headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    """One server for all."""
    async with site() as here:
        yield Desk(here, await here.here.schedule())


def problem(answer: Response, status: int, slug: str | None = None) -> dict[str, object]:
    """The problem document of an answer, which has all its parts."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, object] = answer.json()
    assert list(document) == ["type", "title", "status", "detail", "next", "values"]
    assert document["status"] == status
    assert str(document["type"]).startswith("urn:podium:problem:")
    assert all(isinstance(document[name], str) for name in ("title", "detail", "next"))
    assert document["next"]
    if slug is not None:
        assert document["type"] == f"urn:podium:problem:{slug}"
    return document


@pytest.mark.family("HTTP")
@one_loop
@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/", "/api/sessions/", "/api/nothing", "/docs", "/redoc"])
async def test_an_unknown_address_is_404(desk: Desk, path: str) -> None:
    """There is no page of documentation that would load scripts from elsewhere, and no redirect to another path."""
    problem(await desk.here.get(path), 404)


@one_loop
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/sessions"),
        ("PUT", "/api/events"),
        ("GET", "/api/events"),
        ("PATCH", "/api/sessions/x"),
        ("POST", "/api/sessions/x/rsvps"),
        ("TRACE", "/api/sessions"),
    ],
)
async def test_a_wrong_method_is_405_and_says_which_is_right(desk: Desk, method: str, path: str) -> None:
    """The answer names the methods that the address knows (RFC 9110, 15.5.6)."""
    answer = await desk.here.call(method, path)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


@pytest.mark.family("HTTP")
@one_loop
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/jsonp",
        "nonsense",
    ],
)
@pytest.mark.parametrize("path", ["/api/events", "/api/sessions/draft", "/api/sessions/{id}/rsvp/draft"])
async def test_a_body_that_does_not_say_it_is_json_is_415(desk: Desk, content_type: str | None, path: str) -> None:
    """A form of another site's page can send any text, but not name it JSON without asking first."""
    problem(await desk.post(path, b"{}", content_type), 415, "not-json")


@one_loop
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_may_name_its_charset(desk: Desk, content_type: str) -> None:
    """The usual spellings pass."""
    answer = await desk.post("/api/sessions/{id}/rsvp/draft", b'{"status": "declined"}', content_type)
    assert answer.status_code == 200


@pytest.mark.family("HTTP")
@one_loop
@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"status": "confirmed", "status": "declined"}',
        b'{"status": NaN}',
        b'{"status": "\\ud800"}',
        '{"status": "confirmed"}'.encode("utf-16"),
        b'{"status": "\xff"}',
        b"[" * 50_000,
        b'{"a":' * 20_000,
    ],
)
async def test_broken_json_is_400(desk: Desk, content: bytes) -> None:
    """What is no JSON, or could be read in two ways, is told as such."""
    problem(await desk.post("/api/sessions/{id}/rsvp/draft", content), 400, "bad-json")


@pytest.mark.family("HTTP")
@one_loop
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"confirmed"',
        b"7",
        b"{}",
        b'{"status": null}',
        b'{"status": 1}',
        b'{"status": "accepted"}',
        b'{"status": "Confirmed"}',
        b'{"status": ["confirmed"]}',
        b'{"status": "confirmed", "pubkey": "x"}',
        b'{"Status": "confirmed"}',
    ],
)
async def test_another_shape_is_422(desk: Desk, content: bytes) -> None:
    """Missing, unknown and mistyped fields are named, and nothing is repaired in silence."""
    problem(await desk.post("/api/sessions/{id}/rsvp/draft", content), 422, "bad-request")


@one_loop
async def test_types_are_not_converted(desk: Desk) -> None:
    """Text is no number, 1 is no true, and a number with a fraction is no whole one."""
    good = {"title": "Knots", "scheduledAt": desk.here.here.now + 3600, "duration": 60}
    wrong: list[dict[str, object]] = [
        {"duration": "60"},
        {"duration": 60.5},
        {"duration": True},
        {"duration": 0},
        {"duration": -5},
        {"scheduledAt": str(desk.here.here.now)},
        {"scheduledAt": -1},
        {"scheduledAt": 2**53},
        {"scheduledAt": 1e9},
        {"requiresRSVP": 1},
        {"requiresRSVP": "true"},
        {"waitingRoom": None},
        {"coHosts": "x"},
        {"coHosts": ["A" * 64]},
        {"coHosts": ["a" * 64 + "\n"]},
        {"coHosts": [None]},
        {"visibility": "secret"},
        {"title": 5},
        {"title": None},
        {"requires_rsvp_": True},
    ]
    for change in wrong:
        answer = await desk.post("/api/sessions/draft", json.dumps(good | change).encode())
        problem(answer, 422, "bad-request")
    assert (await desk.post("/api/sessions/draft", json.dumps(good).encode())).status_code == 200


@one_loop
async def test_a_refusal_does_not_repeat_a_flood(desk: Desk) -> None:
    """Names of unknown fields are a stranger's text: only the beginning is told."""
    many = {f"field-{number}\u202e": "x" * 50 for number in range(2000)}
    document = problem(await desk.post("/api/sessions/{id}/rsvp/draft", json.dumps(many).encode()), 422)
    assert len(str(document["detail"])) <= 1000
    assert "\u202e" not in str(document["detail"])


@one_loop
async def test_a_value_nobody_can_have_says_why(desk: Desk) -> None:
    """A wish that cannot be had is 400 with each reason in words."""
    wish = {"title": " ", "scheduledAt": 1, "duration": 100_000, "timezone": "Mars/Olympus"}
    document = problem(await desk.post("/api/sessions/draft", json.dumps(wish).encode()), 400, "bad-value")
    for word in ("title", "past", "duration", "Mars"):
        assert word in str(document["detail"])


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (InvalidInput("no such zone"), 400, "bad-value"),
        (StoreFull("no space left"), 503, "store"),
        (CommitUncertain("nobody knows"), 503, "store"),
        (EngineUnavailable("the engine is away"), 503, "engine"),
        (LocalProtocolError("our own fault, with a secret inside"), 500, "internal"),
        (RuntimeError("unforeseen, with a secret inside"), 500, "internal"),
        (KeyError("unforeseen, with a secret inside"), 500, "internal"),
    ],
)
async def test_each_error_has_its_status(error: Exception, status: int, slug: str) -> None:
    """Faults of the caller are theirs, of the disk and the engine worth another try, and ours tell nothing."""
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def fails() -> None:
        raise error

    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        document = problem(await client.get("/"), status, slug)
    assert "secret" not in str(document)


def test_a_problem_holds_no_control_characters() -> None:
    """What a stranger sent must not reach a terminal as it is."""
    document = json.loads(bytes(Problem(Slug.BUSY, "a\x1b[2J\u202eb\ud800\n" * 200, "c\x9b").response().body))
    assert document["detail"].startswith("a[2Jb")
    assert document["detail"].isprintable()
    assert len(document["detail"]) <= 1000
    assert document["next"] == "c"


async def test_a_caller_who_leaves_before_their_body_is_read_is_no_failure() -> None:
    """It happens with every closed page, and to open calls at a stop: nothing is raised, nothing is logged."""
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def read(request: Request) -> None:
        await request.body()

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        """The caller is gone."""

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    with capture_logs() as lines:
        await app(scope, receive, send)
    assert lines == []
