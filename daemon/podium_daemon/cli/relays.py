"""`podium relays`: whether they answer, and what the daemon says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec
import typer

from podium_daemon.cli.api_client import DaemonUnreachable, decode
from podium_daemon.cli.caller import Caller, caller_of
from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.cli.options import Json, helped
from podium_daemon.cli.output import print_json, table
from podium_daemon.cli.relay_probe import probe
from podium_daemon.cli.times import shown_time
from podium_daemon.client.values import Relay, Relays, Service
from podium_daemon.config import Config

_HEADS: Final = ("relay", "answers", "daemon", "waiting", "last error", "refused", "says")

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
    answers = asyncio.run(_probe_all(urls))
    if as_json:
        print_json({"relays": [_object(url, answers[url], known.get(url)) for url in urls]})
    else:
        table(_HEADS, (_row(url, answers[url], known.get(url)) for url in urls), empty="")
    if known and (trouble := _trouble_of_daemon(caller, config)) is not None:
        raise CommandFailed(trouble)
    if all(answer is not None for answer in answers.values()):
        raise CommandFailed("no relay answers: correct their URLs, or list others", Exit.NO_RELAY)


def _known_to_daemon(caller: Caller, config: Config) -> dict[str, Relay]:
    try:
        raw = caller.api(config, None).get("/api/relays")
    except DaemonUnreachable:
        return {}
    return {relay.url: relay for relay in decode(raw, Relays).relays}


def _trouble_of_daemon(caller: Caller, config: Config) -> str | None:
    """Why the daemon sends nothing to any relay."""
    try:
        return decode(caller.api(config, None).get("/api/service"), Service).trouble
    except (DaemonUnreachable, CommandFailed):
        return None


async def _probe_all(urls: Iterable[str]) -> dict[str, str | None]:
    asked = list(urls)
    return dict(zip(asked, await asyncio.gather(*map(probe, asked)), strict=True))


def _row(url: str, trouble: str | None, known: Relay | None) -> tuple[object, ...]:
    if known is None:
        return url, _answers(trouble), None, None, None, None, None
    return url, _answers(trouble), known.state, known.pending, known.last_error, _refused(known), known.last_notice


def _refused(relay: Relay) -> str:
    """What the relay takes from us or serves us no more, in its own words."""
    found = [f"{name}: {words}" for name, words in (relay.partial | relay.closed_subscriptions).items()]
    if (last := relay.last_refusal) is not None:
        events = "1 event" if last.count == 1 else f"{last.count} events, the last"
        found.insert(0, f"{events} on {shown_time(last.at)}: {last.words}")
    return "; ".join(found)


def _answers(trouble: str | None) -> str:
    return "yes" if trouble is None else f"no: {trouble}"


def _object(url: str, trouble: str | None, known: Relay | None) -> dict[str, object]:
    refusal = None if known is None else known.last_refusal
    return {
        "url": url,
        "answers": _answers(trouble),
        "state": None if known is None else known.state,
        "pending": None if known is None else known.pending,
        "lastError": None if known is None else known.last_error,
        "lastRefusal": None if refusal is None else msgspec.structs.asdict(refusal),
        "lastNotice": None if known is None else known.last_notice,
        "closedSubscriptions": {} if known is None else known.closed_subscriptions,
        "partial": {} if known is None else known.partial,
        "limits": {} if known is None else known.limits,
    }
