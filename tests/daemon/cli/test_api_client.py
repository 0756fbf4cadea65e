"""Calls to the daemon, signed one by one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from podium_daemon.cli.api_client import Api, ApiProblem, DaemonUnreachable, checked_url, decode, session_path
from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.client.values import Sessions
from podium_protocol.errors import InvalidInput
from tests.support.relays import new_key
from tests.support.scripted_daemon import Reply, ScriptedDaemon, as_json, problem, scripted_daemon


def test_each_call_is_signed_by_the_caller_for_its_url_method_and_body(daemon: ScriptedDaemon) -> None:
    """The daemon's own check accepts the login of reads with a query and of writes with a body."""
    key = new_key()
    daemon.routes = {"GET /api/x": as_json([1]), "POST /api/x": as_json([2])}
    api = Api(daemon.url, key)
    assert api.get("/api/x", {"format": "csv", "a": "b c&d"}) == b"[1]"
    assert api.post("/api/x", {"title": "Knöt"}) == b"[2]"
    assert [(call.caller, call.reason) for call in daemon.calls] == [(key.pubkey, None)] * 2
    assert daemon.calls[1].body == {"title": "Knöt"}


def test_equal_calls_have_different_logins(daemon: ScriptedDaemon) -> None:
    """A login is good for one call, and two equal calls within a second are two."""
    daemon.routes = {"GET /api/x": as_json([])}
    api = Api(daemon.url, new_key(), now=lambda: 1_800_000_000.0)
    for _ in range(3):
        with pytest.raises(ApiProblem):  # dated far from now, so that the times are surely equal
            api.get("/api/x")
    assert len({call.login for call in daemon.calls}) == 3


def test_a_login_names_the_public_url_behind_a_proxy() -> None:
    """What is signed is the address the daemon believes it has, whatever the way there."""
    with scripted_daemon("https://live.example.org") as daemon:
        daemon.routes = {"GET /api/x": as_json([])}
        Api(daemon.url, new_key(), signed_url="https://live.example.org").get("/api/x")
        with pytest.raises(ApiProblem, match="not for this URL") as caught:
            Api(daemon.url, new_key()).get("/api/x")
    assert caught.value.exit_code is Exit.SIGNER


def test_without_a_key_nothing_is_signed(daemon: ScriptedDaemon) -> None:
    """What everybody may read needs no key."""
    daemon.routes = {"GET /api/x": as_json([])}
    Api(daemon.url, None).get("/api/x")
    assert daemon.calls[0].caller is None


def test_a_refusal_has_the_daemons_words_and_advice(daemon: ScriptedDaemon) -> None:
    """problem+json is told as a sentence and a next step."""
    daemon.routes = {"GET /api/x": problem(409, "session-over", "the session is ended", "Create a new session.")}
    with pytest.raises(ApiProblem) as caught:
        Api(daemon.url, None).get("/api/x")
    assert str(caught.value) == "the session is ended\nCreate a new session."
    assert caught.value.slug == "session-over"


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
def test_an_answer_of_another_server_is_told_as_such(daemon: ScriptedDaemon, reply: Reply) -> None:
    """Whatever else listens there, the error says that it may not be a daemon."""
    daemon.routes = {"GET /api/x": reply}
    with pytest.raises(CommandFailed, match="Podium daemon"):
        Api(daemon.url, None).get("/api/x")


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"sessions": 3}', b'{"sessions": [{}]}', b"\xff", b"[" * 100_000, b"NaN"]
)
def test_a_success_of_another_shape_is_told_as_such(raw: bytes) -> None:
    """An answer that cannot be read is an error, not a guess."""
    with pytest.raises(CommandFailed, match="same version"):
        decode(raw, Sessions)


def test_nobody_there_is_told_with_what_starts_it() -> None:
    """A closed port means that the daemon does not run."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(DaemonUnreachable, match="podium run"):
            Api(url, None).get("/api/x")


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


def test_a_connection_that_breaks_off_is_told(rude_server: str) -> None:
    """A server that hangs up is no traceback."""
    with pytest.raises(DaemonUnreachable, match="did not answer"):
        Api(rude_server, None).get("/api/x")


def test_redirects_are_not_followed(daemon: ScriptedDaemon) -> None:
    """A login is not carried to another address."""
    daemon.routes = {"GET /api/x": Reply(307, b"")}
    with pytest.raises(CommandFailed):
        Api(daemon.url, new_key()).get("/api/x")
    assert len(daemon.calls) == 1


def test_proxies_of_the_environment_are_not_asked_for_loopback(
    daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy can neither reach this machine's daemon nor should see its calls."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    daemon.routes = {"GET /api/x": as_json([])}
    assert Api(daemon.url, None).get("/api/x") == b"[]"


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
    """An address that is none is a usage error before anything is sent."""
    with pytest.raises(InvalidInput, match="--url"):
        checked_url(url)


def test_a_path_keeps_its_parts_apart() -> None:
    """A reference cannot climb out of its place in the path."""
    assert session_path("../../x?y#z", "start") == "/api/sessions/..%2F..%2Fx%3Fy%23z/start"
