"""The HTTP application as a whole: what it documents is what it serves."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib import import_module
from pkgutil import iter_modules

import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from podium_daemon.web import routes
from podium_daemon.web.strict_json import StrictRoute
from tests.support.site import Site, site

one_loop = pytest.mark.asyncio(loop_scope="module")
OURS = ("/api/", "/healthz", "/readyz", "/metrics", "/calendar/", "/.well-known/")


def routes_of_all_modules() -> list[APIRoute]:
    """Every call that a module of routes declares; the pages of the browser are not among them."""
    modules = [import_module(f"{routes.__name__}.{module.name}") for module in iter_modules(routes.__path__)]
    found = [route for module in modules for route in module.router.routes if isinstance(route, APIRoute)]
    return [route for route in found if route.path.startswith(OURS)]


ROUTES = routes_of_all_modules()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One for all."""
    async with site() as running:
        yield running


@one_loop
async def test_the_description_loads_and_names_every_route(here: Site) -> None:
    """Each call of the interface is in /openapi.json, with a sentence of what it does."""
    schema = (await here.get("/openapi.json")).json()
    assert schema["openapi"].startswith("3.")
    for route in ROUTES:
        for method in route.methods:
            if method == "HEAD":
                continue
            operation = schema["paths"][route.path][method.lower()]
            assert operation["description"].endswith("."), route.path
            assert operation["summary"]


@one_loop
async def test_names_in_the_description_are_the_model_s(here: Site) -> None:
    """Fields are camelCase, but for Nostr's own names in events."""
    schema = (await here.get("/openapi.json")).json()
    wire = {"created_at"}
    for name, model in schema["components"]["schemas"].items():
        for field in model.get("properties", {}):
            assert re.fullmatch(r"[a-z][A-Za-z0-9]*", field) or field in wire, f"{name}.{field}"
    shown = schema["components"]["schemas"]["SessionOut"]["properties"]
    assert {"scheduledAt", "requiresRSVP", "e2eeRequired", "conferenceRoomId", "recordingUrl"} <= set(shown)


@one_loop
async def test_every_reference_of_the_description_resolves(here: Site) -> None:
    """A client can be generated from it: nothing is referred to that is not there."""
    text = (await here.get("/openapi.json")).text
    schema = (await here.get("/openapi.json")).json()
    for name in set(re.findall(r'"\$ref":\s*"#/components/schemas/([^"]+)"', text)):
        assert name in schema["components"]["schemas"]


@one_loop
async def test_errors_are_described_as_they_are_sent(here: Site) -> None:
    """The description knows problem documents and not the framework's own errors."""
    schema = (await here.get("/openapi.json")).json()
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    for route in ROUTES:
        for method in route.methods - {"HEAD"}:
            answers = schema["paths"][route.path][method.lower()]["responses"]
            problems = {status: answer for status, answer in answers.items() if int(status) >= 400}
            assert {"400", "401", "404", "421"} <= set(problems), route.path
            for status, answer in problems.items():
                if (route.path, status) == ("/readyz", "503"):
                    continue
                (described,) = answer["content"].items()
                assert described[0] == "application/problem+json", (route.path, status)
                assert described[1]["schema"] == {"$ref": "#/components/schemas/Problem"}
    problem = schema["components"]["schemas"]["Problem"]
    assert set(problem["properties"]) == {"type", "title", "status", "detail", "next", "values"}


def test_bodies_are_read_strictly_on_every_route() -> None:
    """No route that takes JSON is left to the framework's lax reader."""
    for route in ROUTES:
        if route.body_field is not None:
            assert isinstance(route, StrictRoute), route.path


def test_nothing_changes_anything_on_a_get() -> None:
    """Unsafe methods are the only ones that the origin check guards, so a GET must be safe."""
    words = ("start", "end", "reopen", "admit", "remove", "draft", "join", "challenge", "revoke", "manual")
    for route in ROUTES:
        if "GET" in route.methods:
            assert route.path.rpartition("/")[2] not in words, route.path


@one_loop
async def test_calls_that_need_a_login_say_so(here: Site) -> None:
    """The description marks every call that is refused without a signature, and only those."""
    schema = (await here.get("/openapi.json")).json()
    assert schema["components"]["securitySchemes"]["HTTPBase"]["scheme"] == "Nostr"
    row = await here.here.schedule()
    open_to_all = {
        "/api/sessions/{reference}/join",
        "/api/sessions/{reference}/events",
        "/api/stream",
        "/calendar/{token}.ics",
    }
    open_to_all |= {"/api/sessions/{reference}/questions"}  # a question's own signature is its login
    open_to_all |= {"/api/certificates/check"}  # a certificate is checked by whoever is shown it
    # this is how people without a signer get their login
    open_to_all |= {"/api/sessions/{reference}/guest", "/api/sessions/{reference}/guest/open"}
    # a login is not needed here, and shows a private session to those who belong to it
    open_to_all |= {"/api/sessions", "/api/sessions/{reference}", "/api/sessions/{reference}/calendar.ics"}
    open_to_all |= {"/api/sessions/{reference}/join/challenge", "/api/sessions/{reference}/join/name"}
    # signed events are their own envelopes, and a draft is for the person who will sign it
    open_to_all |= {"/api/events", "/api/sessions/draft", "/api/sessions/{reference}/rsvp/draft"}
    for route in ROUTES:
        path = route.path.replace("{reference}", here.views.naddr(row))
        for method in route.methods - {"HEAD"}:
            if route.path in open_to_all:
                continue
            body = {} if method == "POST" and route.body_field is not None else None
            answer = await here.call(method, path, body=body)
            marked = bool(schema["paths"][route.path][method.lower()].get("security"))
            assert marked == (answer.status_code in (401, 422)), (method, route.path, answer.status_code)
