"""Calls to the daemon, signed one by one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from podium_daemon.api.questions import AskedOut
from podium_daemon.api.sessions import SessionsOut
from podium_daemon.client import ApiProblem, DaemonUnreachable
from podium_daemon.client.transport import Transport, checked_url
from podium_protocol.errors import InvalidInput, RemoteProtocolError
from podium_protocol.keys import SecretKey
from tests.support.relays import new_key
from tests.support.scripted_daemon import Reply, ScriptedDaemon, as_json, problem, scripted_daemon

SAID = as_json({"id": "x"})


@pytest.fixture
def daemon() -> Iterator[ScriptedDaemon]:
    """A daemon that answers as the test tells it."""
    with scripted_daemon() as running:
        yield running


async def ask(url: str, key: SecretKey | None = None) -> bytes:
    """One call of a transport of its own."""
    transport = Transport(url, key)
    try:
        return await transport.get_raw("/api/x")
    finally:
        await transport.close()


async def test_each_call_is_signed_by_the_caller_for_its_url_method_and_body(daemon: ScriptedDaemon) -> None:
    """The daemon's own check accepts the login of reads with a query, of writes with a body, and of deletions."""
    key = new_key()
    daemon.routes = {"GET /api/x": SAID, "POST /api/x": SAID, "DELETE /api/x": SAID}
    transport = Transport(daemon.url, key)
    assert await transport.get_raw("/api/x", {"format": "csv", "a": "b c&d"}) == SAID.content
    assert (await transport.post("/api/x", AskedOut, {"title": "Knöt"})).id == "x"
    await transport.delete("/api/x", AskedOut)
    await transport.close()
    assert [(call.caller, call.reason) for call in daemon.calls] == [(key.pubkey, None)] * 3
    assert daemon.calls[1].body == {"title": "Knöt"}


async def test_equal_calls_have_different_logins(daemon: ScriptedDaemon) -> None:
    """A login is good for one call, and two equal calls within a second are two."""
    daemon.routes = {"GET /api/x": SAID}
    transport = Transport(daemon.url, new_key(), now=lambda: 1_800_000_000.0)
    for _ in range(3):
        with pytest.raises(ApiProblem):  # dated far from now, so that the times are surely equal
            await transport.get_raw("/api/x")
    await transport.close()
    assert len({call.login for call in daemon.calls}) == 3


async def test_a_login_names_the_public_url_behind_a_proxy() -> None:
    """What is signed is the address the daemon believes it has, whatever the way there."""
    with scripted_daemon("https://live.example.org") as daemon:
        daemon.routes = {"GET /api/x": SAID}
        transport = Transport(daemon.url, new_key(), signed_url="https://live.example.org")
        await transport.get_raw("/api/x")
        await transport.close()
        with pytest.raises(ApiProblem, match="not for this URL") as caught:
            await ask(daemon.url, new_key())
    assert caught.value.slug == "login"


async def test_without_a_key_nothing_is_signed(daemon: ScriptedDaemon) -> None:
    """What anybody may read needs no key."""
    daemon.routes = {"GET /api/x": SAID}
    await ask(daemon.url)
    assert daemon.calls[0].caller is None


async def test_a_refusal_has_the_daemons_words_and_advice(daemon: ScriptedDaemon) -> None:
    """problem+json is told as a sentence and a next step; a newer daemon's problems may have further fields."""
    daemon.routes = {"GET /api/x": problem(409, "session-over", "the session is ended", "Create a new session.")}
    with pytest.raises(ApiProblem) as caught:
        await ask(daemon.url)
    assert str(caught.value) == "the session is ended\nCreate a new session."
    assert caught.value.slug == "session-over"
    plain = problem(409, "session-over", "the session is ended", "")
    daemon.routes = {"GET /api/x": Reply(409, plain.content[:-1] + b', "instance": "/x"}', plain.content_type)}
    with pytest.raises(ApiProblem, match=r"^the session is ended$"):
        await ask(daemon.url)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, b"<html>"),
        Reply(502, b""),
        Reply(404, b"[]"),
        Reply(400, b'{"detail": 3}'),
        Reply(400, b'{"detail": "\\ud800"}'),
        Reply(302, b""),
        Reply(500, b"[" * 100_000),
        Reply(400, b"\xff"),
    ],
)
async def test_an_answer_of_another_server_is_told_as_such(daemon: ScriptedDaemon, reply: Reply) -> None:
    """Whatever else listens there, the error says that it may not be a daemon."""
    daemon.routes = {"GET /api/x": reply}
    with pytest.raises(ApiProblem, match="Podium daemon"):
        await ask(daemon.url)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"sessions": 3}', b'{"sessions": [{}]}', b"\xff", b"[" * 100_000, b"NaN"]
)
async def test_a_success_of_another_shape_is_told_as_such(daemon: ScriptedDaemon, raw: bytes) -> None:
    """An answer that cannot be read is an error, not a guess."""
    daemon.routes = {"GET /api/x": Reply(200, raw)}
    transport = Transport(daemon.url, None)
    with pytest.raises(RemoteProtocolError, match="same version"):
        await transport.get("/api/x", SessionsOut)
    await transport.close()


async def test_a_closed_port_is_told() -> None:
    """A closed port means that the daemon does not run, and that the call was not done."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(DaemonUnreachable, match="no daemon answers") as caught:
            await ask(f"http://127.0.0.1:{reserved.getsockname()[1]}")
    assert caught.value.is_closed


@pytest.fixture
def rude_server() -> Iterator[str]:
    """Closes each connection without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(1024)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


async def test_a_connection_that_breaks_off_is_told(rude_server: str) -> None:
    """A server that hangs up is no traceback, and it is not known whether the call was done."""
    with pytest.raises(DaemonUnreachable, match="did not answer") as caught:
        await ask(rude_server)
    assert not caught.value.is_closed


async def test_redirects_are_not_followed(daemon: ScriptedDaemon) -> None:
    """A login is not carried to another address."""
    daemon.routes = {"GET /api/x": Reply(307, b"")}
    with pytest.raises(ApiProblem):
        await ask(daemon.url, new_key())
    assert len(daemon.calls) == 1


async def test_proxies_of_the_environment_are_not_asked_for_loopback(
    daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy can neither reach this machine's daemon nor should see its calls."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    daemon.routes = {"GET /api/x": SAID}
    assert await ask(daemon.url) == SAID.content


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:7448/", "http://127.0.0.1:7448"),
        ("https://Live.example.org:443", "https://live.example.org"),
        ("http://[::1]:7448", "http://[::1]:7448"),
    ],
)
def test_an_address_has_one_spelling(given: str, used: str) -> None:
    """The daemon and its callers sign the same text."""
    assert checked_url(given) == used


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "127.0.0.1:7448",
        "ftp://x",
        "http://",
        "http://a/b",
        "http://a?b",
        "http://a b",
        "http://a:0",
        "http://a\n",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """An address that is none is told before anything is sent."""
    with pytest.raises(InvalidInput, match="address of a daemon"):
        checked_url(url)
