"""Hostile relays: whatever one does is counted or dropped, no task dies, and the others do not notice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from podium_daemon.relays.pool import PoolRelay, RelayStatus
from podium_daemon.relays.relay_state import ConnectionOptions, ConnectionState
from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.limits import MAX_AUTH_ATTEMPTS, MAX_FRAME_BYTES, MAX_MESSAGE_CHARS
from podium_protocol.nips import nip42
from podium_protocol.relay.verdicts import EventAccepted, Unknown, Violation
from tests.support.clock import ManualClock
from tests.support.pools import PoolInTest, running_pool
from tests.support.relays import new_key, running_relay, signed
from tests.support.scripted_relay import Talk, raw_server, scripted_relay

pytestmark = [pytest.mark.real_peer, pytest.mark.faults]

KEY = new_key()
EVENT = json.loads(signed(KEY, "from a hostile relay", created_at=1_700_000_000).to_json())
ID = EVENT["id"]
WANTED = Filter(kinds=(1,), limit=10)


async def login(url: str, challenge: str) -> SignedEvent:
    """Sign whatever is asked."""
    return KEY.sign(nip42.write_auth(KEY.pubkey, url, challenge, int(time.time())), b"\x01" * 32)


class Case(msgspec.Struct, frozen=True):
    """One behaviour, and what must be known of that relay afterwards."""

    behaviour: Callable[[Talk], Awaitable[None]]
    expected: Callable[[RelayStatus], bool]


CASES: dict[str, Case] = {}


def case(expected: Callable[[RelayStatus], bool]) -> Callable[[Any], Any]:
    """Register a behaviour under its name."""

    def register(behaviour: Callable[[Talk], Awaitable[None]]) -> Callable[[Talk], Awaitable[None]]:
        CASES[behaviour.__name__.replace("_", " ")] = Case(behaviour, expected)
        return behaviour

    return register


def counted(violation: str, at_least: int = 1) -> Callable[[RelayStatus], bool]:
    """The violation was counted, and the connection is still the first one."""
    return lambda state: (
        state.violations.get(violation, 0) >= at_least and (state.state, state.connections) == (ConnectionState.OPEN, 1)
    )


def punished(violation: str) -> Callable[[RelayStatus], bool]:
    """The violations were so many that the relay is in the penalty box."""
    return lambda state: violation in state.violations and state.state == ConnectionState.PENALTY


def lost(words: str) -> Callable[[RelayStatus], bool]:
    """The connection ended, and the reason is told."""
    return lambda state: state.state == ConnectionState.WAITING and words in (state.last_error or "")


def unharmed(received: int) -> Callable[[RelayStatus], bool]:
    """Nothing was held against it."""
    return lambda state: not state.violations and state.received >= received


@case(counted("unknown_subscription", 3))
async def sends_events_for_subscriptions_nobody_made(talk: Talk) -> None:
    for name in ("other", "Notes", "notes\u0000"):
        await talk.send("EVENT", name, EVENT)


@case(counted("stray_end", 4))
async def ends_and_closes_subscriptions_nobody_made(talk: Talk) -> None:
    for _ in range(2):
        await talk.send("EOSE", "other")
        await talk.send("CLOSED", "other", "error: gone")


@case(counted("unsolicited_ok", 3))
async def answers_publications_nobody_made(talk: Talk) -> None:
    for number in range(3):
        await talk.send("OK", f"{number:064x}", True, "")


@case(counted("malformed", 7))
async def sends_malformed_answers(talk: Talk) -> None:
    await talk.send("OK", ID.upper()[:-1], True, "")
    await talk.send("OK", ID[:-1], True, "")
    await talk.send("OK", ID + "\n", True, "")
    await talk.send("OK", ID, "true", "")
    await talk.send("OK", ID, 1, "")
    await talk.send("OK", ID)
    await talk.send("EOSE", 5)


@case(lambda state: not state.violations and state.last_notice == "the end")
async def leaves_words_out(talk: Talk) -> None:
    _, name, *_ = await talk.receive_until("REQ")
    await talk.send("NOTICE")
    await talk.send("NOTICE", None)
    await talk.send("CLOSED", name)
    await talk.send("CLOSED", name, None)
    await talk.send("NOTICE", "the end")


@case(counted("bad_frame", 6))
async def sends_what_is_no_message(talk: Talk) -> None:
    for frame in ("hello", "null", "{}", "[]", "[1]", '"EVENT"'):
        await talk.send_raw(frame)


@case(counted("bad_frame", 3))
async def sends_binary_messages(talk: Talk) -> None:
    for data in (b"", b"\x00\xff", json.dumps(["EVENT", "notes", EVENT]).encode()):
        await talk.send_raw(data)


@case(counted("bad_frame", 5))
async def sends_broken_utf_8_and_lone_surrogates(talk: Talk) -> None:
    flat = (b'["NOTICE","\xff\xfe"]', b'["NOTICE","\xed\xa0\x80"]', b'["NOTICE","\\ud800"]')
    for data in (*flat, b'["OK","x",1,"\xff"]', b'["CLOSED","\xff",5]'):  # of the last two the shape is wrong as well
        await talk.socket.send(data, text=True)


@case(counted("bad_frame", 2))
async def nests_without_end(talk: Talk) -> None:
    await talk.send_raw("[" * 100_000)
    await talk.send_raw('["EVENT","notes",' + '{"a":' * 50_000)


@case(counted("unknown_label", 2))
async def speaks_of_other_nips(talk: Talk) -> None:
    await talk.send("COUNT", "notes", {"count": 5})
    await talk.send("NEG-MSG", "notes", "6100")


@case(counted("malformed", 2))
async def uses_subscription_ids_that_are_not_allowed(talk: Talk) -> None:
    await talk.send("EVENT", "", EVENT)
    await talk.send("EVENT", "x" * 65, EVENT)


@case(counted("oversized_frame"))
async def sends_a_frame_too_large_to_look_at(talk: Talk) -> None:
    await talk.send("EVENT", "notes", {**EVENT, "content": "x" * MAX_FRAME_BYTES})


@case(lost("above the size limit"))
async def sends_a_frame_too_large_to_read(talk: Talk) -> None:
    await talk.send_raw("x" * (8 * MAX_FRAME_BYTES + 1))


@case(lost("above the size limit"))
async def announces_nine_exabytes(talk: Talk) -> None:
    await talk.write(b"\x81\x7f" + b"\x7f" * 8)


@case(counted("flood", 50))
async def sends_more_stored_events_than_were_asked_for(talk: Talk) -> None:
    await talk.receive_until("REQ")
    for _ in range(200):
        await talk.send("EVENT", "notes", EVENT)


@case(unharmed(50))
async def sends_one_event_again_and_again(talk: Talk) -> None:
    await talk.receive_until("REQ")
    for _ in range(50):
        await talk.send("EVENT", "notes", EVENT)


@case(unharmed(4))
async def sends_events_that_are_none(talk: Talk) -> None:
    await talk.receive_until("REQ")
    for thing in ({}, None, [1], {**EVENT, "kind": "1"}):
        await talk.send("EVENT", "notes", thing)


@case(punished("bad_frame"))
async def floods_with_junk(talk: Talk) -> None:
    while True:
        await talk.send_raw("junk")


@case(punished("malformed"))
async def floods_with_empty_frames(talk: Talk) -> None:
    burst = Frame(Opcode.TEXT, b"").serialize(mask=False) * 10_000
    while True:
        await talk.write(burst)


@case(punished("unknown_subscription"))
async def floods_with_events_nobody_asked_for(talk: Talk) -> None:
    while True:
        await talk.send("EVENT", "other", EVENT)


@case(lambda state: state.last_notice is not None and len(state.last_notice) == MAX_MESSAGE_CHARS)
async def shouts(talk: Talk) -> None:
    for _ in range(100):
        await talk.send("NOTICE", "\x1b[2J" + "A" * 100_000)


@case(lambda state: state.state == ConnectionState.OPEN and state.connections == 1)
async def asks_for_logins_again_and_again(talk: Talk) -> None:
    for number in range(200):
        await talk.send("AUTH", f"challenge {number}")
    _, name, *_ = await talk.receive_until("REQ")
    await talk.send("CLOSED", name, "auth-required: who are you?")


@case(counted("malformed", 3))
async def challenges_with_nonsense(talk: Talk) -> None:
    for challenge in ("", "x" * 100_000, 5):
        await talk.send("AUTH", challenge)


@case(lambda state: bool(state.closed_subscriptions))
async def never_accepts_a_login(talk: Talk) -> None:
    await talk.send("AUTH", "challenge")
    while True:
        match await talk.receive():
            case ["REQ", name, *_]:
                await talk.send("CLOSED", name, "auth-required: who are you?")
            case ["AUTH", event]:
                await talk.send("OK", event["id"], False, "restricted: not you")


@case(lambda state: state.state == ConnectionState.OPEN and bool(state.closed_subscriptions))
async def closes_every_subscription(talk: Talk) -> None:
    while True:
        _, name, *_ = await talk.receive_until("REQ")
        await talk.send("CLOSED", name, "error: not today")


@case(lost("dropped the connection"))
async def hangs_up_at_once(talk: Talk) -> None:
    talk.socket.transport.abort()


@case(lost("closed the connection: 1008 go away"))
async def sends_us_away(talk: Talk) -> None:
    await talk.socket.close(1008, "go away")


@case(lost("broke the WebSocket protocol"))
async def compresses_although_nobody_agreed(talk: Talk) -> None:
    await talk.write(b"\xc1\x01x")


@case(lambda state: state.last_notice == "x" * 100 and not state.violations)
async def drips(talk: Talk) -> None:
    for byte in json.dumps(["NOTICE", "x" * 100]).encode():
        await talk.write((b"\x01\x01" if byte == ord("[") else b"\x00\x01") + bytes([byte]))
        await asyncio.sleep(0.001)
    await talk.write(b"\x80\x00")


@case(punished("flood"))
async def floods_with_pings(talk: Talk) -> None:
    burst = Frame(Opcode.PING, b"").serialize(mask=False) * 1_000
    while True:
        await talk.write(burst)
        await asyncio.sleep(0)


@case(lambda state: state.state == ConnectionState.OPEN and not state.violations)
async def never_says_anything(talk: Talk) -> None:
    await talk.receive_until("REQ")


async def check_good_relay(pool: PoolInTest, url: str) -> None:
    """The other relay publishes and delivers, on the connection it had."""
    event = signed(KEY, f"still fine at {time.monotonic_ns()}")
    assert (await pool.publish(url, event)).is_done
    await pool.inbox.until(lambda inbox: event.id in inbox.ids(url))
    assert pool.state_of(url).connections == 1


@pytest.mark.parametrize("name", CASES)
async def test_a_hostile_relay_is_counted_and_the_other_does_not_notice(name: str) -> None:
    """The behaviour is seen for what it is, and everything else goes on."""
    behaviour, expected = CASES[name].behaviour, CASES[name].expected
    async with (
        running_relay() as good,
        scripted_relay(behaviour) as bad,
        running_pool(good.url, bad.url, signer=login) as pool,
    ):
        pool.subscribe("notes", [WANTED])
        await pool.inbox.until_end("notes", good.url)
        await check_good_relay(pool, good.url)
        await pool.until_state(bad.url, expected)
        await check_good_relay(pool, good.url)


async def test_no_more_logins_are_signed_than_a_few() -> None:
    """A relay that asks for ever does not turn our signer into an oracle."""
    signatures: list[str] = []

    async def count(url: str, challenge: str) -> SignedEvent:
        signatures.append(challenge)
        return await login(url, challenge)

    async def greedy(talk: Talk) -> None:
        number = 0
        while True:
            await talk.send("AUTH", f"challenge {(number := number + 1)}")
            match await talk.receive():
                case ["REQ", name, *_]:
                    await talk.send("CLOSED", name, "auth-required: again")
                case ["AUTH", event]:
                    await talk.send("OK", event["id"], False, "error: again")

    async with scripted_relay(greedy) as relay, running_pool(relay.url, signer=count) as pool:
        for number in range(20):
            pool.subscribe(f"notes-{number}", [WANTED])
        await pool.until_state(relay.url, lambda state: len(state.closed_subscriptions) == 20)
        assert len(signatures) == MAX_AUTH_ATTEMPTS


async def test_a_relay_in_the_penalty_box_is_left_alone_and_says_so() -> None:
    """Nothing is sent there, publications come back with the time to wait, and later it gets another chance."""
    clock = ManualClock()

    async def junk_first(talk: Talk) -> None:
        if talk.relay.connections == 1:
            for _ in range(25):
                await talk.send_raw("junk")
        await talk.serve_honestly()

    async with scripted_relay(junk_first) as relay, running_pool(relay.url, clock=clock) as pool:
        await pool.until(relay.url, ConnectionState.PENALTY)
        outcome = await pool.publish(relay.url, signed(KEY, "hello"))
        assert isinstance(outcome.verdict, Unknown)
        assert "broke the rules" in outcome.verdict.message
        assert outcome.retry_after == 900
        assert pool.state_of(relay.url).next_attempt_at == clock.now() + 900
        assert relay.connections == 1
        await clock.advance(901)
        assert (await pool.publish(relay.url, signed(KEY, "again"))).is_done


async def test_what_weighs_longer_than_one_penalty_is_not_even_connected_to() -> None:
    """A relay that was very bad stays in the box until its score has faded."""
    clock = ManualClock()
    async with scripted_relay(Talk.serve_honestly) as relay, running_pool(relay.url, clock=clock) as pool:
        await pool.opened(relay.url)
        pool.report_violation(relay.url, *[Violation.BAD_EVENT] * 1000)
        await clock.advance(1)
        await pool.until(relay.url, ConnectionState.PENALTY)
        await clock.advance(901)
        assert pool.state_of(relay.url).state == ConnectionState.PENALTY
        assert relay.connections == 1
        for _ in range(4):
            await clock.advance(901)
        await pool.opened(relay.url)


async def test_faults_that_the_ingest_finds_count_too() -> None:
    """Forged events and events outside the filter are reported by the code that checks them."""
    async with scripted_relay(Talk.serve_honestly) as relay, running_pool(relay.url) as pool:
        await pool.opened(relay.url)
        for _ in range(60):
            pool.report_violation(relay.url, Violation.OUTSIDE_FILTER, Violation.BAD_EVENT)
        await pool.until(relay.url, ConnectionState.PENALTY)
        assert pool.state_of(relay.url).violations == {"outside_filter": 60, "bad_event": 60}
        pool.report_violation("wss://unknown.example.org", Violation.BAD_EVENT)


async def test_lies_in_an_ok_are_this_relays_lies_only() -> None:
    """Yes from a liar settles its own row; the other relay's answer is its own."""

    async def lie(talk: Talk) -> None:
        while True:
            _, event = await talk.receive_until("EVENT")
            await talk.send("OK", event["id"], True, "")
            await talk.send("OK", event["id"], False, "blocked: changed my mind")

    async with running_relay() as good, scripted_relay(lie) as bad, running_pool(good.url, bad.url) as pool:
        event = signed(KEY, "hello")
        forged = SignedEvent(event.id, event.pubkey, 5, 1, (), "", event.sig)
        assert (await pool.publish(bad.url, forged)).verdict == EventAccepted()
        assert not (await pool.publish(good.url, forged)).is_done
        await pool.until_state(bad.url, counted("unsolicited_ok"))


async def test_a_relay_that_never_answers_is_given_up_and_a_late_answer_changes_nothing() -> None:
    """After the time-out the outcome is unknown, so that the same bytes are sent again; EOSE is partial."""
    clock = ManualClock()

    async def late(talk: Talk) -> None:
        _, event = await talk.receive_until("EVENT")
        _, again = await talk.receive_until("EVENT")
        await talk.send("OK", event["id"], True, "")
        assert again == event

    async with scripted_relay(late) as relay, running_pool(relay.url, clock=clock) as pool:
        pool.subscribe("notes", [WANTED])
        publishing = asyncio.create_task(pool.publish(relay.url, event := signed(KEY, "hello")))
        await relay.until_messages("EVENT")
        await clock.advance(11)
        assert pool.inbox.ends == [("notes", relay.url, True)]
        await clock.advance(10)
        assert (await publishing).verdict == Unknown("the relay did not answer in time")
        assert (await pool.publish(relay.url, event)).is_done


async def test_a_relay_that_stops_reading_is_noticed() -> None:
    """What we send piles up nowhere: the silence is noticed, and the events come back."""

    async def deaf(talk: Talk) -> None:
        talk.socket.transport.pause_reading()
        await asyncio.Event().wait()

    options = ConnectionOptions(ping_after=0.2, ping_within=0.2, tick=0.05)
    async with scripted_relay(deaf) as relay, running_pool(relay.url, options=options) as pool:
        events = [signed(KEY, "x" * 60_000, created_at=number) for number in range(300)]
        outcomes = [outcome async for outcome in pool.publish_many(relay.url, events)]
        assert {type(outcome.verdict) for outcome in outcomes} == {Unknown}
        assert len(outcomes) == 300
        await pool.away(relay.url)
        assert "silent" in (pool.state_of(relay.url).last_error or "")


async def test_redirects_and_web_servers_are_told_apart_from_relays() -> None:
    """A configured URL that leads elsewhere is shown with the reason, and tried again later."""

    def elsewhere(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(HTTPStatus.FOUND, "")
        response.headers["Location"] = "ws://127.0.0.1:1/"
        return response

    async def banner(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()

    async with (
        scripted_relay(Talk.serve_honestly, process_request=elsewhere) as away,
        raw_server(banner) as mail,
        running_pool(PoolRelay(away.url), PoolRelay(mail)) as pool,
    ):
        await pool.until_state(away.url, lost("redirects (302)"))
        await pool.until_state(mail, lost("did not answer as a WebSocket server"))


async def test_a_subscription_that_is_closed_each_time_is_asked_for_less_and_less_often() -> None:
    """A relay cannot make us send REQs in a loop."""
    clock = ManualClock()
    behaviour = CASES["closes every subscription"].behaviour
    async with scripted_relay(behaviour) as relay, running_pool(relay.url, clock=clock) as pool:
        pool.subscribe("notes", [WANTED])
        await relay.until_messages("REQ")
        for _ in range(300):
            await clock.advance(1)
        assert len(relay.messages) < 15
