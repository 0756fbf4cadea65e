"""`podium relays check`, against a real relay and servers that are none."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import Result
from websockets.asyncio.server import ServerConnection, serve

from podium_daemon.api.service import RelayOut, ServiceOut
from podium_daemon.cli.relays import probe
from tests.daemon.cli.conftest import CommandLine
from tests.support.answers import answer
from tests.support.relays import running_relay
from tests.support.scripted_daemon import as_json, scripted_daemon

Conversation = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def websocket_server(conversation: Conversation) -> AsyncIterator[str]:
    """A WebSocket server that behaves as told."""
    async with serve(conversation, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_a_relay_answers() -> None:
    """A real relay has no trouble to report."""
    async with running_relay() as relay:
        assert await probe(relay.url) is None


@pytest.mark.parametrize("frame", ['["CLOSED","probe","auth-required: log in"]', '["EOSE","probe"]'])
async def test_a_relay_that_asks_for_a_login_answers_too(frame: str) -> None:
    """A relay that asks for a login speaks Nostr, and may refuse a stranger's event."""
    refusal = f'["OK","{"0" * 64}",false,"auth-required: log in"]'
    async with websocket_server(lambda socket: _say(socket, '["AUTH","challenge"]', frame, refusal)) as url:
        assert await probe(url) is None


@pytest.mark.parametrize(
    ("frames", "trouble"),
    [
        ((), "no answer within 0.2 s"),
        (('["AUTH","challenge"]',), "no answer to a question within 0.2 s"),
        (('["EOSE","probe"]',), "no word on an event within 0.2 s"),
        (
            ('["NOTICE","too many\\u001b subscriptions"]',),
            "no answer to a question, only the notice 'too many subscriptions', within 0.2 s",
        ),
    ],
)
async def test_a_relay_that_hangs_is_told(frames: tuple[str, ...], trouble: str) -> None:
    """It takes connections, and answers no question or no event."""
    async with websocket_server(lambda socket: _say(socket, *frames)) as url:
        assert await probe(url, within=0.2) == trouble


@pytest.mark.parametrize("frame", ["hello", '["NOPE"]', "[", "{}"])
async def test_a_websocket_of_another_language_is_told(frame: str) -> None:
    """A chat server on the port is not a relay."""
    async with websocket_server(lambda socket: _say(socket, frame)) as url:
        assert "not in the language of Nostr relays" in (await probe(url) or "")


async def test_a_relay_that_hangs_up_is_told() -> None:
    """A connection that is closed without an answer is trouble."""

    async def hang_up(socket: ServerConnection) -> None:
        await socket.close()

    async with websocket_server(hang_up) as url:
        assert await probe(url) is not None


async def test_a_relay_that_says_nothing_is_given_up() -> None:
    """Silence ends with the time that was given."""

    async def silent(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with websocket_server(silent) as url:
        assert await probe(url, within=0.2) == "no answer within 0.2 s"


async def test_a_closed_port_and_a_web_server_are_told() -> None:
    """Nobody there and another person there are two different things."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        assert "cannot be reached" in (await probe(f"ws://127.0.0.1:{reserved.getsockname()[1]}") or "")
    with scripted_daemon() as web:
        assert "no WebSocket there" in (await probe(web.url.replace("http", "ws")) or "")


async def _say(socket: ServerConnection, *frames: str) -> None:
    for frame in frames:
        await socket.send(frame)
    await socket.wait_closed()


async def _check(home: Path, url: str, relays: str, *options: str) -> Result:
    (home / "relays.toml").write_text(relays)
    command = CommandLine(home, url)
    return await asyncio.to_thread(command, "--config", str(home / "relays.toml"), "relays", "check", *options)


async def test_each_relay_is_listed_with_the_daemons_view(own_home: Path) -> None:
    """What was asked now stands beside what the daemon says, for configured relays and the daemon's own."""
    with scripted_daemon() as daemon:
        async with running_relay() as one, running_relay() as own:
            known = answer(RelayOut, url=own.url, state="connected", lastError="it was away", pending=7)
            daemon.routes = {"GET /api/relays": as_json({"relays": [known]})}
            done = await _check(own_home, daemon.url, f'relays = ["{one.url}"]\n', "--json")
    assert done.exit_code == 0, done.output
    nothing = {"state": None, "pending": None, "lastError": None, "lastRefusal": None, "lastNotice": None}
    unknown = nothing | {"closedSubscriptions": {}, "partial": {}, "limits": {}}
    assert json.loads(done.stdout)["relays"] == [
        {"url": one.url, "answers": "yes"} | unknown,
        {"url": own.url, "answers": "yes"} | unknown | {"state": "connected", "pending": 7, "lastError": "it was away"},
    ]


async def test_what_a_relay_refuses_is_shown(own_home: Path) -> None:
    """Its last words, their time and their number; and no word of a relay moves the cursor."""
    with scripted_daemon() as daemon:
        async with running_relay() as relay:
            refusal = {"words": "blocked: \x1b[2Jnot you", "at": 1_800_000_000, "count": 3}
            closed = {"wraps": "restricted: members only"}
            known = answer(RelayOut, url=relay.url, state="open", lastRefusal=refusal, closedSubscriptions=closed)
            known |= {"lastNotice": "closing at noon", "partial": {"people-1": "it refused: busy"}}
            daemon.routes = {"GET /api/relays": as_json({"relays": [known]})}
            done = await _check(own_home, daemon.url, "", "--json")
            shown = await _check(own_home, daemon.url, "")
    (row,) = json.loads(done.stdout)["relays"]
    assert (row["lastRefusal"], row["closedSubscriptions"]) == (refusal, closed)
    assert "3 events, the last on Fri 2027-01-15" in shown.stdout
    assert "not you" in shown.stdout
    assert "wraps: restricted: members only" in shown.stdout
    assert "people-1: it refused: busy" in shown.stdout
    assert "closing at noon" in shown.stdout
    assert "\x1b" not in shown.stdout


async def test_a_daemon_that_sends_nothing_says_why(own_home: Path) -> None:
    """Relays may all be well while another daemon with the same key made this one stop."""
    with scripted_daemon() as daemon:
        async with running_relay() as relay:
            about = answer(ServiceOut, trouble="another daemon works with this key")
            daemon.routes = {
                "GET /api/relays": as_json({"relays": [answer(RelayOut, url=relay.url, state="open")]}),
                "GET /api/service": as_json(about),
            }
            done = await _check(own_home, daemon.url, "")
    assert (done.exit_code, "another daemon works with this key" in done.stderr) == (1, True)


async def test_one_relay_that_answers_is_enough(own_home: Path) -> None:
    """A dead relay among living ones is shown, and is no failure."""
    async with running_relay() as relay:
        done = await _check(own_home, "http://127.0.0.1:1", f'relays = ["{relay.url}", "ws://127.0.0.1:1"]\n')
    assert done.exit_code == 0
    assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == ["yes", "no:"]


@pytest.mark.parametrize("relays", ['relays = ["ws://127.0.0.1:1"]\n', ""])
async def test_no_relay_at_all_is_exit_code_4(own_home: Path, relays: str) -> None:
    """Scripts learn that there is no relay, be it that none answers or that none is listed."""
    assert (await _check(own_home, "http://127.0.0.1:1", relays)).exit_code == 4
