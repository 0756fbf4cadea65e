"""`podium relays`: whether they answer, and what the daemon says of them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import typer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from podium_daemon.cli.caller import CommandCaller, caller_of
from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.cli.options import Json, helped
from podium_daemon.cli.output import print_json, table
from podium_daemon.cli.times import shown_time
from podium_daemon.config import Config
from podium_daemon.keys.key_file import new_secret
from podium_protocol import kinds, messages
from podium_protocol.errors import RemoteProtocolError
from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.filters import Filter
from podium_protocol.limits import MAX_FRAME_BYTES
from podium_protocol.text import single_line

if TYPE_CHECKING:
    from podium_daemon.api.service import RelayOut

_WITHIN: Final = 10.0  # seconds, as for an EOSE (docs/hardening.md)
_GOODBYE: Final = 1.0
_QUESTION: Final = "probe"
_MAX_WORDS: Final = 200


async def probe(url: str, within: float = _WITHIN) -> str | None:
    """None if the relay answers a question with EOSE or CLOSED and an event with OK, else what went wrong, in words.

    A relay may refuse both, since a stranger asks. One that takes connections and answers nothing hangs.
    """
    heard = _Heard()
    try:
        async with asyncio.timeout(within):
            # no proxy of the environment, and a redirect must not lead elsewhere than what was configured
            # a relay that goes on sending must not delay the close frame, and with it the result
            async with connect(
                url, proxy=None, max_size=MAX_FRAME_BYTES, close_timeout=_GOODBYE, process_exception=lambda e: e
            ) as socket:
                return await _ask(socket, heard)
    except TimeoutError:
        return f"{heard.missing()} within {within:g} s"
    except (InvalidHandshake, InvalidURI) as error:
        return f"no WebSocket there ({error})"
    except WebSocketException as error:
        return f"the connection broke off ({error})"
    except OSError as error:
        return f"cannot be reached ({error.strerror or error})"


class _Heard:
    """The relay's answers so far."""

    def __init__(self) -> None:
        self.anything = False
        self.end = False
        self.ok = False
        self.notice: str | None = None

    def missing(self) -> str:
        """The answers that are missing, in words."""
        if not self.anything:
            return "no answer"
        lacks = "no word on an event" if self.end else "no answer to a question"
        return lacks if self.notice is None else f"{lacks}, only the notice {self.notice!r},"


async def _ask(socket: ClientConnection, heard: _Heard) -> str | None:
    await socket.send(messages.encode_req(_QUESTION, [Filter(kinds=(kinds.SESSION,), limit=1)]), text=True)
    await socket.send(messages.encode_event(_fleeting_event()), text=True)
    async for frame in socket:
        match messages.decode(frame):
            case messages.EoseFrame() | messages.ClosedFrame():
                heard.end = True
            case messages.OkFrame():
                heard.ok = True
            case messages.NoticeFrame(words):
                heard.notice = single_line(words, _MAX_WORDS)
            case messages.FrameRejected():
                return "it answers, and not in the language of Nostr relays (NIP-01)"
        heard.anything = True
        if heard.end and heard.ok:
            return None
    return "it closed the connection without an answer"


def _fleeting_event() -> SignedEvent:
    """An event that relays pass on and do not keep (NIP-01, ephemeral), by a key that is used once, to itself."""
    key = new_secret()
    return key.sign(
        UnsignedEvent(key.pubkey, int(time.time()), kinds.REMOTE_SIGNING, (("p", key.pubkey),), ""),
        secrets.token_bytes(32),
    )


_DETAILS: Final = ("last error", "refused", "says")
_HEADS: Final = ("relay", "answers", "daemon", "waiting", *_DETAILS)

app = typer.Typer(no_args_is_help=True, help="The relays sessions live on.")


@app.callback()
def relays() -> None:
    """Keep `check` a command of its own."""


@app.command(
    short_help="Ask each relay a question.",
    help=helped(
        "Ask each relay a question. Exit code 4 if none of them answers.",
        "podium relays check",
        "podium relays check --json",
    ),
)
def check(context: typer.Context, as_json: Json = False) -> None:
    caller = caller_of(context)
    config = caller.config()
    known = _known_to_daemon(caller, config)
    urls = list(dict.fromkeys([*(relay.url for relay in config.relays), *known]))
    if not urls:
        raise CommandFailed(
            "no relays are listed, and no daemon runs that would have its own: `podium run` starts one", Exit.NO_RELAY
        )
    answers = caller.run(_probe_all(urls))
    if as_json:
        print_json({"relays": [_object(url, answers[url], known.get(url)) for url in urls]})
    else:
        table(_HEADS, (_row(url, answers[url], known.get(url)) for url in urls), empty="", details=_DETAILS)
    if known and (trouble := _trouble_of_daemon(caller, config)) is not None:
        raise CommandFailed(trouble)
    if all(answer is not None for answer in answers.values()):
        raise CommandFailed("no relay answers: correct their URLs, or list others", Exit.NO_RELAY)


def _known_to_daemon(caller: CommandCaller, config: Config) -> dict[str, RelayOut]:
    from podium_daemon.client import DaemonUnreachable

    try:
        return {relay.url: relay for relay in caller.run(caller.daemon(config, None).relays())}
    except DaemonUnreachable:
        return {}


def _trouble_of_daemon(caller: CommandCaller, config: Config) -> str | None:
    """Why the daemon sends nothing to any relay."""
    from podium_daemon.client import ApiProblem, DaemonUnreachable

    try:
        return caller.run(caller.daemon(config, None).service()).trouble
    except (DaemonUnreachable, ApiProblem, RemoteProtocolError):
        return None


async def _probe_all(urls: Iterable[str]) -> dict[str, str | None]:
    asked = list(urls)
    return dict(zip(asked, await asyncio.gather(*map(probe, asked)), strict=True))


def _row(url: str, trouble: str | None, known: RelayOut | None) -> tuple[object, ...]:
    if known is None:
        return url, _answers(trouble), None, None, None, None, None
    return url, _answers(trouble), known.state, known.pending, known.last_error, _refused(known), known.last_notice


def _refused(relay: RelayOut) -> str:
    """What the relay refuses to take from us or to serve us, in its own words."""
    found = [f"{name}: {words}" for name, words in (relay.partial | relay.closed_subscriptions).items()]
    if (last := relay.last_refusal) is not None:
        events = "1 event" if last.count == 1 else f"{last.count} events, the last"
        found.insert(0, f"{events} on {shown_time(last.at)}: {last.words}")
    return "; ".join(found)


def _answers(trouble: str | None) -> str:
    return "yes" if trouble is None else f"no: {trouble}"


def _object(url: str, trouble: str | None, known: RelayOut | None) -> dict[str, object]:
    refusal = None if known is None else known.last_refusal
    return {
        "url": url,
        "answers": _answers(trouble),
        "state": None if known is None else known.state,
        "pending": None if known is None else known.pending,
        "lastError": None if known is None else known.last_error,
        "lastRefusal": None if refusal is None else refusal.model_dump(),
        "lastNotice": None if known is None else known.last_notice,
        "closedSubscriptions": {} if known is None else known.closed_subscriptions,
        "partial": {} if known is None else known.partial,
        "limits": {} if known is None else known.limits,
    }
