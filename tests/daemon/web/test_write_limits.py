"""Every call that may write something is bounded: by person, by network address, by size and by depth.

The routes are those of the application itself, so that a new one without a limit fails here.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Final

import pytest
from fastapi.routing import APIRoute

from podium_daemon.runtime.allowances import Rate
from podium_daemon.web import login, routes
from podium_daemon.web.guard import MAX_BODY_BYTES
from podium_protocol.live.session import GuestPolicy
from tests.support.relays import new_key
from tests.support.site import site

pytestmark = pytest.mark.faults

A_CLASS: Final = 60
HTTP_ADDRESS: Final = {"X-Forwarded-For": "203.0.113.9"}
"""A caller behind a proxy on this machine."""

WITHOUT_A_LOGIN: Final = {
    ("POST", "/api/certificates/check"): "writes nothing",
    ("POST", "/api/conference/webhook/{engine}"): "signed with the engine's secret",
    ("POST", "/api/sessions/{reference}/guest"): "so many of a session and of an address",
    ("POST", "/api/sessions/{reference}/guest/open"): "needs the secret of a link",
    ("POST", "/api/sessions/{reference}/join"): "needs a challenge that is good once, and a signed proof",
    ("POST", "/api/signers"): "so many of an address in a minute",
    ("DELETE", "/api/signers/{signer_id}"): "needs the secret of the page that opened it",
    ("POST", "/api/signers/{signer_id}/requests"): "needs that secret; sixteen are open at once",
    ("POST", "/api/watching"): "needs the key of a player; what is reported too fast is dropped",
}
"""Calls that no person signs, and what bounds them besides the limit of their address."""


def unsafe_routes() -> Iterator[tuple[str, str, bool]]:
    """Method, path, and whether a body of JSON is taken."""
    modules = (import_module(f"{routes.__name__}.{one.name}") for one in pkgutil.iter_modules(routes.__path__))
    for route in (route for module in modules for route in module.router.routes):
        if isinstance(route, APIRoute):
            for method in sorted(route.methods - {"GET", "HEAD", "OPTIONS"}):
                yield method, route.path, route.body_field is not None


ROUTES: Final = list(unsafe_routes())
assert ROUTES, "no routes were found"


def filled(path: str) -> str:
    """The path of things that are not there."""
    return re.sub(r"\{[^}]*\}", "nothing", path)


async def test_a_person_who_writes_without_end_is_refused_on_every_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they call, while reading goes on and others are not held up."""
    monkeypatch.setattr(login, "OF_A_CALLER", Rate(burst=1, per_second=0.001))
    key, unbounded = new_key(), set[tuple[str, str]]()
    async with site() as here:
        token = await here.sign_in(key)
        for method, path, _ in ROUTES:
            answer = await here.call(method, filled(path), by=key, body={})
            if answer.status_code != 429:
                unbounded.add((method, path))
        by_token = await here.call("PUT", "/api/me/name", token=token, body={})
        assert by_token.status_code in (404, 405, 429)
        assert (await here.call("GET", "/api/sessions", token=token)).status_code == 200
        assert (await here.post("/api/login", new_key())).status_code == 200
    assert unbounded == set(WITHOUT_A_LOGIN)


async def test_an_address_that_writes_without_end_is_refused_on_every_route() -> None:
    """Also by calls that need no login; other addresses and what only reads are answered."""
    async with site() as here:
        here.allowances._buckets["address"].rate = Rate(0, 0)
        for method, path, _ in ROUTES:
            answer = await here.call(method, filled(path), headers=HTTP_ADDRESS)
            assert answer.status_code == 429, (method, path)
        assert (await here.call("GET", "/api/sessions", headers=HTTP_ADDRESS)).status_code == 200
        assert (await here.call("POST", "/api/calendar")).status_code == 401


async def test_a_body_too_large_or_too_deep_is_refused_on_every_route() -> None:
    """From a person with a good login: 413 for the size, 400 for the depth, and nothing else comes of it."""
    key = new_key()
    as_json = {"Content-Type": "application/json"}
    deep = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    async with site() as here:
        for method, path in [(method, path) for method, path, takes_json in ROUTES if takes_json]:
            large = await here.call(method, filled(path), by=key, body={"text": "x" * MAX_BODY_BYTES})
            assert large.status_code == 413, (method, path)
            answer = await here.call(method, filled(path), by=key, content=deep, headers=as_json)
            assert answer.status_code == 400, (method, path, answer.text)


async def test_a_class_behind_one_address_comes_in_within_one_minute() -> None:
    """Sixty guests, each of whom opens the page's connections and answers, from one network address."""
    async with site() as here:
        row = await here.here.schedule(guests=GuestPolicy.ANYONE)
        path = here.path_of(row, "guest")
        answers = [
            await here.call("POST", path, body={"name": f"Guest {number}"}, headers=HTTP_ADDRESS)
            for number in range(A_CLASS)
        ]
        assert {answer.status_code for answer in answers} == {200}
        opened = [await here.call("POST", "/api/signers", body={}, headers=HTTP_ADDRESS) for _ in range(A_CLASS)]
        assert {answer.status_code for answer in opened} <= {200, 201}
