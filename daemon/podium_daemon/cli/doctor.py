"""`podium doctor`: what stands between this machine and a working daemon."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, helped
from podium_daemon.cli.output import print_json, say, table
from podium_daemon.cli.relays import probe
from podium_daemon.config import Config
from podium_daemon.keys.key_file import KeyFileError, PasswordMissing, locate_key, read_key
from podium_daemon.runtime.state_directory import running_daemon
from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.live.session import SessionLimits, objection_to
from podium_protocol.nips.nip19 import encode_npub

ReachRelay = Callable[[str], Awaitable[str | None]]
"""Connects to a relay and asks it something: None if it answers, else what went wrong, in words."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_GIBIBYTE: Final = 1024**3
_LOW_SPACE: Final = _GIBIBYTE
_NO_SPACE: Final = _GIBIBYTE // 10
_OLDEST_SQLITE: Final = (3, 37, 0)  # STRICT tables
_JANUS: Final = re.compile(r"Janus version: \d+ \((\d+)\.(\d+)\.(\d+)\)")
_OLDEST_JANUS: Final = (1, 4, 1)
_AIORTC: Final = re.compile(r"1\.1[456](\..*)?")
_RELEASED: Final = 1_762_000_000  # November 2025: a clock before it is wrong


_UNREAD: Final = """
SELECT title, unreadReason FROM trainingLiveSessions
WHERE unreadReason IS NOT NULL AND state IN ('scheduled', 'active') ORDER BY scheduledAt"""
_SESSION_EVENTS: Final = "SELECT json FROM events WHERE kind = ? ORDER BY createdAt DESC LIMIT 2000"


class Verdict(StrEnum):
    """How one check went. `fail`: the daemon will not work. `warn`: it will, with less than might be expected."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True):
    """One finding and, unless it is ok, what to do about it."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""


async def examine(
    config: Config, *, environment: MutableMapping[str, str], key_option: Path | None = None, reach: ReachRelay
) -> tuple[Check, ...]:
    """Every check, in the order in which a person would correct things."""
    local = (
        check_key(config, environment, key_option),
        check_state_directory(config.state_directory),
        check_space(config.state_directory),
        *check_ports(config),
        check_public_url(config.public_url),
        check_meeting(config),
        check_clock(time.time(), time.get_clock_info("monotonic").monotonic),
        check_python(),
        check_libsecp256k1(),
        check_sqlite(sqlite3.sqlite_version_info),
        *check_sessions(config),
        *check_budget(config),
    )
    return (*local, *await check_relays(config, reach))


def check_key(config: Config, environment: MutableMapping[str, str], option: Path | None) -> Check:
    """Whether the key can be read, and by no other user."""
    try:
        place = locate_key(
            option, config.key_file, environment, allow_environment=config.identity.allow_environment_key
        )
        if place.path is None:
            advice = "Prefer a key file of mode 0600: other programs of this user can read the environment."
            return Check("key", Verdict.WARN, "the key is in the environment", advice)
        secret = read_key(place, environment, ask=lambda _: None)
    except PasswordMissing:
        return Check("key", Verdict.OK, "the key is encrypted; its password is asked for at each start")
    except KeyFileError as error:
        return Check("key", Verdict.FAIL, str(error), "`podium init` makes a key and a configuration.")
    return Check("key", Verdict.OK, f"{place.path} holds the key of {encode_npub(secret.pubkey)}")


def check_sessions(config: Config) -> Iterator[Check]:
    """The events of instructors that the daemon did not take, from its database; nothing without a database."""
    if not config.database_file.exists():
        return
    try:
        unread, other = _passed_over(config)
    except sqlite3.Error:  # locked, damaged, or of another version: the daemon says so at its start
        return
    advice = "`podium session passed-over` lists them; the instructor puts right what the reason names."
    if unread:
        detail = "; ".join(f"{title}: the last change does not count, {reason}" for title, reason in unread[:3])
        yield Check("sessions", Verdict.WARN, detail, advice)
    elif other:
        detail = f"{other} events of instructors are no sessions here"
        yield Check("sessions", Verdict.WARN, detail, advice)
    else:
        yield Check("sessions", Verdict.OK, "nothing that instructors signed was passed over")


def check_budget(config: Config) -> Iterator[Check]:
    """Whether the database has room for what strangers send; nothing where there is none, or no bound."""
    from podium_daemon.relays.strangers import USED_BYTES

    most = config.storage.max_megabytes * 1_000_000
    if not most or not config.database_file.exists():
        return
    try:
        with contextlib.closing(
            sqlite3.connect(f"{config.database_file.as_uri()}?mode=ro", uri=True, timeout=2)
        ) as raw:
            (used,) = raw.execute(USED_BYTES).fetchone()
    except sqlite3.Error:  # locked, damaged, or of another version: the daemon says so at its start
        return
    detail = f"the database has {used // 1_000_000} of {most // 1_000_000} MB"
    if used >= most:
        advice = "Raise storage.max_megabytes, or lower attendance.retention_days."
        yield Check("storage", Verdict.WARN, f"{detail}: what strangers send is refused", advice)
    else:
        yield Check("storage", Verdict.OK, detail)


def _passed_over(config: Config) -> tuple[list[tuple[str, str]], int]:
    """Coming sessions with a revision that cannot be read, each with the reason; the number of other such events."""
    from podium_storage.mirror.queries import read_event

    with contextlib.closing(sqlite3.connect(f"{config.database_file.as_uri()}?mode=ro", uri=True, timeout=2)) as raw:
        unread = raw.execute(_UNREAD).fetchall()
        service = raw.execute("SELECT value FROM meta WHERE name = 'service'").fetchone()
        events = [read_event(row[0]) for row in raw.execute(_SESSION_EVENTS, (kinds.SESSION,))]
    if service is None:
        return unread, 0
    limits = SessionLimits(default_duration_minutes=config.lifecycle.default_minutes)
    return unread, sum(objection_to(event, Pubkey(service[0]), limits) is not None for event in events)


def check_state_directory(path: Path) -> Check:
    """Whether data can be kept, and whether a daemon is there already."""
    name = "state directory"
    if running := running_daemon(path):
        who = "a daemon" if running.pid is None else f"a daemon (process {running.pid})"
        return Check(name, Verdict.OK, f"{path} is held by {who}")
    if not path.exists():
        usable = _nearest_existing(path)
        if usable.is_dir() and os.access(usable, os.W_OK | os.X_OK):
            return Check(name, Verdict.OK, f"{path} will be made by `podium run`")
        advice = f"Make {path} yourself, or set storage.state_directory."
        return Check(name, Verdict.FAIL, f"{path} is not there, and {usable} cannot be written", advice)
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Check(
            name, Verdict.FAIL, f"{path} cannot be written", "Run as its owner, or set storage.state_directory."
        )
    return Check(name, Verdict.OK, f"{path} can be written, and no daemon runs on it")


def check_space(path: Path) -> Check:
    """Whether the disk has room: a full disk loses nothing, and nothing new is taken either."""
    free = shutil.disk_usage(_nearest_existing(path)).free
    verdict = Verdict.FAIL if free < _NO_SPACE else Verdict.WARN if free < _LOW_SPACE else Verdict.OK
    advice = "" if verdict is Verdict.OK else "Free some space, or move the state directory to another disk."
    return Check("disk space", verdict, f"{free / _GIBIBYTE:.1f} GiB free", advice)


def check_ports(config: Config) -> Iterator[Check]:
    """Whether the addresses to listen on are free, or our own daemon's."""
    is_running = running_daemon(config.state_directory) is not None
    wanted = [("web", config.web.host, config.web.port)]
    if config.runs_embedded_relay:
        wanted.append(("embedded", config.embedded.host, config.embedded.port))
    for section, host, port in wanted:
        yield _check_port(section, host, port, is_running=is_running)


def check_public_url(url: str) -> Check:
    """Browsers give camera and microphone to https and localhost only (getUserMedia needs a secure context)."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in _LOOPBACK:
        return Check("public URL", Verdict.OK, url)
    advice = "Put a TLS proxy in front and set web.public_url to its https:// address."
    return Check("public URL", Verdict.WARN, f"{url} is plain http: no camera, microphone or signer there", advice)


def check_meeting(config: Config) -> Check:
    """Whether the engine has a room to send people to."""
    if config.conference.chosen_engine == "embedded":
        return check_aiortc(importlib.metadata.version("aiortc"))
    if config.conference.chosen_engine == "janus":
        return check_janus(config.conference.janus.program)
    servers = {"bigbluebutton": config.conference.bigbluebutton.url, "livekit": config.conference.livekit.url}
    if (engine := config.conference.engine) in servers:
        host = urlsplit(servers[engine]).hostname
        if host:
            return Check("conference", Verdict.OK, f"engine {engine} at {host}")
        advice = f"Set conference.{engine}.url and secret_file: docs/engines.md."
        return Check("conference", Verdict.FAIL, f"engine {engine} has no server", advice)
    if config.conference.meeting_url:
        return Check("conference", Verdict.OK, f"engine {config.conference.chosen_engine}, a meeting is set")
    advice = "Set conference.meeting_url, or give each session its own."
    return Check("conference", Verdict.WARN, f"engine {config.conference.engine} has no meeting to hand out", advice)


def check_janus(program: str) -> Check:
    """Whether there is a Janus, and one without the memory errors that 1.4.1 corrected."""
    found = shutil.which(program)
    if found is None:
        advice = "On Debian 12: apt-get install janus; elsewhere, install Janus 1.4.1 or newer from its own site."
        return Check("conference", Verdict.FAIL, f"engine janus has no program {program!r}", advice)
    said = subprocess.run([found, "--help"], check=False, capture_output=True, text=True, timeout=10)  # noqa: S603  (the configured program)
    version = _JANUS.search(said.stdout)
    if version is None:
        advice = "Set conference.janus.program to the Janus WebRTC server."
        return Check("conference", Verdict.FAIL, f"{found} does not say that it is a Janus", advice)
    if tuple(map(int, version.groups())) < _OLDEST_JANUS:
        advice = "Install Janus 1.4.1 or newer, or use the embedded engine."
        shown = ".".join(version.groups())
        return Check("conference", Verdict.WARN, f"Janus {shown} has memory errors that 1.4.1 corrected", advice)
    return Check("conference", Verdict.OK, f"engine janus on Janus {'.'.join(version.groups())}")


def check_aiortc(version: str) -> Check:
    """Whether the embedded engine stands on the library it was written for; it uses names that are not public."""
    if not _AIORTC.fullmatch(version):
        advice = "Install aiortc>=1.14,<1.17."
        return Check("conference", Verdict.FAIL, f"engine embedded does not work on aiortc {version}", advice)
    return Check("conference", Verdict.OK, f"engine embedded on aiortc {version}")


def check_clock(now: float, is_monotonic: bool) -> Check:
    """Whether the wall clock can be right at all. No server is asked for the time."""
    if now < _RELEASED:
        advice = "Set the clock, or start a time service such as systemd-timesyncd or chrony."
        return Check("clock", Verdict.FAIL, "the clock stands before this program was written", advice)
    if not is_monotonic:
        return Check("clock", Verdict.FAIL, "this system has no monotonic clock", "Run on a system that has one.")
    return Check("clock", Verdict.OK, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def check_python() -> Check:
    """Which interpreter runs."""
    return Check("python", Verdict.OK, f"{platform.python_implementation()} {platform.python_version()}")


def check_libsecp256k1() -> Check:
    """Whether the curve's library is there and makes the keys it should."""
    from podium_protocol.keys import SecretKey

    # secret 1 is the curve's generator: x of G, from SEC 2, section 2.4.1
    generator = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    version = importlib.metadata.version("coincurve")
    if SecretKey((1).to_bytes(32, "big")).pubkey != generator:
        advice = "Install coincurve again from a source you trust."
        return Check("libsecp256k1", Verdict.FAIL, f"coincurve {version} computes wrong keys", advice)
    return Check("libsecp256k1", Verdict.OK, f"coincurve {version}")


def check_sqlite(version: tuple[int, ...]) -> Check:
    """Whether SQLite knows STRICT tables."""
    shown = ".".join(str(part) for part in version)
    if version < _OLDEST_SQLITE:
        return Check("SQLite", Verdict.FAIL, f"version {shown}", "Use a Python built with SQLite 3.37 or newer.")
    return Check("SQLite", Verdict.OK, f"version {shown}")


async def check_relays(config: Config, reach: ReachRelay) -> tuple[Check, ...]:
    """Whether each configured relay answers, and the daemon's own while it runs; all are asked at once."""
    has_own = config.runs_embedded_relay and config.embedded.port and running_daemon(config.state_directory)
    own = [config.embedded_url] if has_own else []
    urls = [*own, *(relay.url for relay in config.relays)]
    if not urls:
        return (Check("relays", Verdict.OK, "none listed: `podium run` starts its own"),)
    answers = await asyncio.gather(*map(reach, urls))
    return tuple(_relay_check(url, answer, is_own=url in own) for url, answer in zip(urls, answers, strict=True))


def _relay_check(url: str, trouble: str | None, *, is_own: bool) -> Check:
    if trouble is not None and is_own:
        return Check("relay", Verdict.FAIL, f"{url}: {trouble}", "Restart the daemon: its own relay hangs.")
    if trouble is not None:
        return Check("relay", Verdict.FAIL, f"{url}: {trouble}", "Correct its URL, or list another relay.")
    if url.startswith("ws://") and urlsplit(url).hostname not in _LOOPBACK:
        advice = "Use wss:// unless the network is yours alone."
        return Check("relay", Verdict.WARN, f"{url} answers, without encryption on the way", advice)
    return Check("relay", Verdict.OK, f"{url} answers")


def _check_port(section: str, host: str, port: int, *, is_running: bool) -> Check:
    name, where = f"{section} port", f"{host}:{port}"
    if port == 0:
        return Check(name, Verdict.OK, "any free port")
    trouble = _trouble_of_binding(host, port)
    if trouble is None:
        return Check(name, Verdict.OK, f"{where} is free")
    if is_running:
        return Check(name, Verdict.OK, f"{where} is in use, and the daemon runs")
    return Check(name, Verdict.FAIL, f"{where}: {trouble}", f"Stop what uses it, or set {section}.port.")


def _trouble_of_binding(host: str, port: int) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return error.strerror or "cannot be used"
    return None


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


app = typer.Typer()


@app.command(
    short_help="Check this machine and say what to do.",
    help=helped(
        "Check configuration, key, disk, ports and relays, and say what to do. Exit code 1 if something will not work.",
        "podium doctor",
        "podium doctor --json",
    ),
)
def doctor(context: typer.Context, as_json: Json = False) -> None:
    caller = caller_of(context)
    config = caller.config()
    found = asyncio.run(examine(config, environment=os.environ, key_option=caller.key_option, reach=probe))
    source = str(caller.config_file or "no file: defaults and environment")
    checks = (Check("configuration", Verdict.OK, source), *found)
    if as_json:
        print_json({"checks": msgspec.to_builtins(checks)})
    else:
        _show(checks)
    failed = [check.name for check in checks if check.verdict is Verdict.FAIL]
    if failed:
        raise CommandFailed(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def _show(checks: tuple[Check, ...]) -> None:
    rows = ((one.name, one.verdict.value, one.detail) for one in checks)
    table(("check", "", "finding"), rows, empty="", details=("finding",))
    advice = [f"{one.name}: {one.advice}" for one in checks if one.advice]
    if advice:
        say("\n" + "\n".join(advice))
