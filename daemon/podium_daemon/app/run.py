"""`podium run`: the whole daemon, built and run until it is asked to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import sys
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

import structlog

from podium_daemon.app.core import Core, Current, relays_of
from podium_daemon.app.parts import join_parts
from podium_daemon.app.reload import Reloader
from podium_daemon.app.web import build_web
from podium_daemon.config import Config
from podium_daemon.keys.key_file import locate_key, new_secret, read_key, write_key_file
from podium_daemon.runtime import logs
from podium_daemon.runtime.clock import Clock, ClockWatch, SystemClock
from podium_daemon.runtime.state_directory import explained, lock_state_directory, prepare_state_directory
from podium_daemon.runtime.supervisor import Supervisor, cancel_on_signals, leave_on_signals, stop_on_signals
from podium_daemon.signers.signer import LocalSigner
from podium_daemon.web.server import listen
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip19
from podium_storage.meta import Meta
from podium_storage.store import Store

_log = structlog.get_logger(__name__)

_GREETING = """
Podium {version} is running.

  page and API   {public_url}
  service        {npub}
  relays         {relays}
  state          {state}

Schedule a session from a second terminal:

  {command} session create "Know your rights" --at "tomorrow 18:00" --tz Europe/Berlin --duration 90

Stop with Ctrl-C. `{command} --help` shows the rest.
"""


_CLAIM = """
Nobody but the service itself may hold sessions yet. Who opens this link and signs in becomes an instructor; it is good
once, for a day:

  {link}
"""


_SWITCH_AFTER = 0.001  # seconds; Python's default is 0.005


def shorten_waits() -> None:
    """Keep the event loop's waits short; call it when everything is imported and built.

    While the database's thread computes, each step of the loop would wait five milliseconds for its turn. And a full
    garbage collection would look at all that was imported: 50 ms.
    """
    sys.setswitchinterval(_SWITCH_AFTER)
    gc.freeze()


def run(config: Config, *, key_option: Path | None = None) -> None:
    """Run the daemon in this process until it is asked to stop.

    Raises:
        InvalidInput: the key, the port or the state directory cannot be used; says what to do.
        AlreadyRunning: another daemon holds the state directory.
        DatabaseDamaged: the database cannot be read any more.
        ServiceFailed: a part of the daemon ended on its own; says which.
    """
    logs.configure(config.logging.level, config.logging.format)
    with leave_on_signals():
        prepare_state_directory(config.state_directory)
        with lock_state_directory(config.state_directory), explained(config.database_file):
            asyncio.run(_serve(config, key_option))


async def _serve(config: Config, key_option: Path | None) -> None:
    clock = SystemClock()
    with cancel_on_signals():
        async with AsyncExitStack() as stack:
            await _serve_within(stack, config, key_option, clock)


async def _serve_within(stack: AsyncExitStack, config: Config, key_option: Path | None, clock: Clock) -> None:
    listener = listen(config.web.host, config.web.port)
    stack.callback(listener.close)
    signer = LocalSigner(_service_key(config, key_option))
    store = await stack.enter_async_context(await Store.open(config.database_file))
    meta = Meta(store.database)
    await meta.bind_service(signer.pubkey, now=int(clock.now()))
    since = await meta.created_at() or 0
    core = Core(current=Current(config), store=store, meta=meta, signer=signer, clock=clock, since=since)
    daemon = Daemon(core, listener)
    await daemon.parts.mirror.instructor_list.load()
    claim = await daemon.parts.mirror.instructor_list.new_claim()
    supervisor = daemon.supervisor
    shorten_waits()
    with stop_on_signals(supervisor):
        greeting = asyncio.create_task(_greet(config, signer, supervisor, claim))
        try:
            await supervisor.run()
        finally:
            greeting.cancel()


class Daemon:
    """Every part, joined, with the web server; nothing runs before `supervisor` does."""

    def __init__(self, core: Core, listener: socket.socket) -> None:
        self.parts = join_parts(core)
        self.web = build_web(
            self.parts, listener, missing=lambda: self.supervisor.missing, watched=self.parts.watched()
        )
        reloader = Reloader(core.config, self.apply)
        services = [ClockWatch(core.clock), *self.parts.services(), reloader, self.web.server]
        self.supervisor = Supervisor(services, clock=core.clock)

    def apply(self, config: Config) -> None:
        """Take over what a running daemon can of a new configuration.

        Raises:
            InvalidInput: no relay would be left; nothing has changed then.
        """
        self.parts.apply(config)
        logs.set_level(config.logging.level)


def _service_key(config: Config, key_option: Path | None) -> SecretKey:
    """The service's key; a fresh machine gets one, in the state directory only."""
    place = locate_key(key_option, config.key_file, os.environ, allow_environment=config.identity.allow_environment_key)
    is_default = place.path == config.state_directory / "podium.key"
    if is_default and place.path is not None and not place.path.exists():
        write_key_file(place.path, new_secret())
        _log.info("made a key for this service", action="key.made", path=str(place.path))
    return read_key(place, os.environ)


async def _greet(config: Config, signer: LocalSigner, supervisor: Supervisor, claim: str | None) -> None:
    """Print where everything is and what to type next, once the daemon runs."""
    await supervisor.ready.wait()
    relays = ", ".join(relay.url for relay in relays_of(config))
    text = _GREETING.format(
        version=version("podium-nostr"),
        public_url=config.public_url,
        npub=nip19.encode_npub(signer.pubkey),
        relays=relays,
        state=config.state_directory,
        command="podium" if shutil.which("podium") else sys.argv[0],
    )
    sys.stdout.write(text)
    if claim is not None:
        sys.stdout.write(_CLAIM.format(link=f"{config.public_url.rstrip('/')}/#claim={claim}"))
    sys.stdout.flush()
