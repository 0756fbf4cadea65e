"""The HTTP interface against its own documentation: schemathesis makes the calls, /openapi.json says what is right.

The daemon is a real one. Calls are signed by its instructor, by a stranger, or by nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from podium_daemon.client import PodiumClient, SessionWish
from podium_daemon.keys.key_file import read_key_file
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip98
from tests.support.installed import Site, free_port
from tests.support.world import new_key

EXAMPLES: Final = 30
ENDLESS: Final = {"/api/sessions/{reference}/events", "/api/stream"}  # read by tests/daemon/web/test_stream.py
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


class Signed(requests.auth.AuthBase):
    """A login for exactly the request that goes out."""

    def __init__(self, key: SecretKey) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else request.body
        nonce = ("nonce", new_key().pubkey)
        event = nip98.write(
            self._key.pubkey, str(request.url), str(request.method), body or None, int(time.time()), (nonce,)
        )
        request.headers["Authorization"] = nip98.write_header(self._key.sign(event, bytes(32)))
        return request


async def test_every_answer_is_documented(tmp_path: Path) -> None:
    """No call makes the daemon fail, and each status, content type and shape of an answer is in the document."""
    site = Site(tmp_path / "podium", relays=[], settings={"embedded.port": free_port(), "embedded.in_memory": True})
    pubkey = await site.make_key()
    site.set(instructors__allow=[pubkey])
    async with site.running():
        instructor = read_key_file(site.key_file)
        async with PodiumClient(site.base, instructor) as podium:
            wish = SessionWish(title="Knots", scheduled_at=int(time.time()) + 600, duration=30, waiting_room=True)
            session = await podium.session(await podium.create_session(wish))
        async with PodiumClient(site.base, new_key()) as somebody:  # whose calendar no other call revokes
            token = (await somebody.calendar()).rpartition("/")[2].removesuffix(".ics")
        known = {"reference": session.naddr, "token": token}
        played, flaws = await asyncio.to_thread(play, site.base, known, instructor)
        async with PodiumClient(site.base) as reader:
            assert (await reader.session(session.naddr)).lesson_id == session.lesson_id
    assert not flaws, "\n".join(flaws)
    assert played > 20
    assert "a request failed" not in site.texts()


def play(base: str, known: Mapping[str, str], instructor: SecretKey) -> tuple[int, list[str]]:
    """How many operations were tried, and what was wrong with each that was not right."""
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    flaws = []
    operations = list(_operations(schema))
    for operation in operations:
        try:
            _tried(operation, base, known, instructor)()
        except (Exception, FailureGroup) as error:  # noqa: BLE001  (each operation's flaw is told, not only the first one's)
            flaws.append(f"{operation.label}: {_told(error)}")
    return len(operations), flaws


def _operations(schema: Any) -> Iterator[Any]:
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path not in ENDLESS:
            yield operation


def _tried(operation: Any, base: str, known: Mapping[str, str], instructor: SecretKey) -> Any:
    callers = [Signed(instructor), Signed(new_key()), None]

    @seed(1)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
    )
    @given(case=operation.as_strategy(), caller=st.sampled_from(callers), is_known=st.booleans())
    def tried(case: Any, caller: Signed | None, is_known: bool) -> None:
        if is_known:
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
        response = case.call(base_url=base, auth=caller, timeout=60)
        case.validate_response(response, checks=CHECKS)

    return tried


def _told(error: BaseException) -> str:
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    return " | ".join(f"{type(part).__name__}: {part}" for part in parts)[:1500]
