"""The child process that is the embedded relay: nostr-sdk's LocalRelay, and nothing else.

Run as `python -m podium_daemon.relays.embedded_child SETTINGS`, where SETTINGS is a `RelaySettings` as JSON. It writes
one line of JSON to stdout, `{"url": ...}` once it listens or `{"error": ...}` before it exits with status 1. It lives
until its stdin is closed, which also happens when the parent dies, however it dies.

It is a process of its own because LocalRelay crashes some interpreters at their exit, and because its LMDB store stalls
with the event loop it was given.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from podium_daemon.relays.embedded_gate import INSIDE, DiskUse, Gate, GateLimits
from podium_daemon.runtime.logs import configure

_STDIN: Final = 0
_STDOUT: Final = 1
_EXIT_FAILED: Final = 1
_EXIT_STUCK: Final = 3
_SHUTDOWN_WITHIN: Final = 3.0  # seconds


class RelaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The settings of LocalRelay 0.45.1. `port` None: a free one. `data` None: the events are kept in memory.

    LocalRelay's own limits are generous, since it cannot exempt its own daemon from them; `gate` is for all others.
    Without a gate everything is at the one port.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    data: str | None = None
    notes_per_minute: int = 1_000_000  # a connection; LocalRelay's own default is 60
    max_subscriptions: int = 500  # a connection
    max_connections: int | None = None
    max_filter_limit: int | None = None  # LocalRelay's own default: 500 events a REQ
    login: Literal["none", "read", "write", "both"] = "none"  # NIP-42
    guard_messages: bool = False  # gift wraps are served only to their recipient, who has to log in
    min_pow: int | None = None
    gate: GateLimits | None = None
    log_format: Literal["console", "json"] = "console"


class Announcement(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one line that the child writes. `inside`: the port on loopback at which no gate is."""

    url: str | None = None
    inside: int | None = None
    error: str | None = None


def main(settings_json: str) -> None:
    """Run the relay until stdin is closed; never returns."""
    # The parent decides when the relay stops: Ctrl-C, or a service manager that signals the whole group, must not take
    # it away while the daemon still publishes.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        settings = msgspec.json.decode(settings_json, type=RelaySettings)
        if settings.data is not None:
            Path(settings.data).mkdir(mode=0o700, parents=True, exist_ok=True)
        asyncio.run(_serve(settings))
    except Exception as error:  # noqa: BLE001  (a boundary: whatever went wrong is told to the parent)
        _announce(Announcement(error=str(error).strip("'") or type(error).__name__))
    # LocalRelay segfaults in about half of all orderly interpreter exits; what it said OK to is on disk by now
    os._exit(_EXIT_FAILED)


async def _serve(settings: RelaySettings) -> None:
    if settings.gate is None:
        relay = await _build(settings)
        await relay.run()  # returns once it listens; before that `url()` would hang, and for ever if it cannot listen
        _announce(Announcement(url=str(await relay.url())))
    else:
        relay = await _serve_behind_gate(settings, settings.gate)
    await _until_stdin_closes()
    relay.shutdown()
    os._exit(0)


async def _serve_behind_gate(settings: RelaySettings, limits: GateLimits) -> Any:
    configure("warning", settings.log_format)  # to stderr: stdout is for the announcement
    ports, data = set[int](), None if settings.data is None else Path(settings.data)
    policy = _policy(ports, data, limits.max_megabytes * 1_000_000)
    relay = await _build(msgspec.structs.replace(settings, host=INSIDE, port=None), policy)
    await relay.run()
    inside = urlsplit(str(await relay.url())).port
    assert inside is not None, "it tells the port that it found"
    port = Gate(limits, inside, ports).start(settings.host, settings.port or 0)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    _announce(Announcement(url=f"ws://{host}:{port}", inside=inside))
    return relay


def _policy(strangers: set[int], data: Path | None, most: int) -> Any:
    """What refuses events of strangers, who come from these ports, once there are `most` bytes in the directory."""
    import nostr_sdk as sdk

    disk = DiskUse(data, most)

    class Policy(sdk.WritePolicy):  # type: ignore[misc]  # nostr-sdk has no types
        async def admit_event(self, event: Any, socket_addr: str) -> Any:  # noqa: ARG002
            if disk.is_full() and int(socket_addr.rpartition(":")[2]) in strangers:
                return sdk.WritePolicyResult.REJECT("this relay is full")
            return sdk.WritePolicyResult.ACCEPT()

    return Policy()


async def _build(settings: RelaySettings, policy: Any = None) -> Any:  # nostr-sdk has no types
    import nostr_sdk as sdk

    # without it, everything of Python's side that the relay is given (LMDB, policies) hangs in silence
    sdk.uniffi_set_event_loop(asyncio.get_running_loop())
    limit = sdk.RateLimit(max_reqs=settings.max_subscriptions, notes_per_minute=settings.notes_per_minute)
    builder = sdk.LocalRelayBuilder().addr(settings.host).rate_limit(limit).auth_dm(settings.guard_messages)
    if settings.port:  # given 0, it would tell port 0 in its URL
        builder = builder.port(settings.port)
    if settings.data is not None:
        builder = builder.database(await sdk.NostrLmdb.open(settings.data))
    if settings.max_connections is not None:
        builder = builder.max_connections(settings.max_connections)
    if settings.max_filter_limit is not None:
        limit = settings.max_filter_limit
        builder = builder.max_filter_limit(limit).default_filter_limit(limit)
    if settings.min_pow is not None:
        builder = builder.min_pow(settings.min_pow)
    if settings.login != "none":
        mode = sdk.LocalRelayBuilderNip42Mode[settings.login.upper()]
        builder = builder.nip42(sdk.LocalRelayBuilderNip42(mode=mode))
    if policy is not None:
        builder = builder.write_policy(policy)
    return builder.build()


async def _until_stdin_closes() -> None:
    closed = asyncio.Event()
    threading.Thread(target=_watch_stdin, args=(asyncio.get_running_loop(), closed), daemon=True).start()
    await closed.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, closed: asyncio.Event) -> None:
    """Tell the loop when the parent is gone, and end the process even if the loop is stuck."""
    while os.read(_STDIN, 4096):
        pass
    loop.call_soon_threadsafe(closed.set)
    threading.Event().wait(_SHUTDOWN_WITHIN)
    os._exit(_EXIT_STUCK)


def _announce(announcement: Announcement) -> None:
    os.write(_STDOUT, msgspec.json.encode(announcement) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
