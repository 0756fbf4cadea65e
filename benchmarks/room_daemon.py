"""A daemon with the embedded engine and a session that is live: `python -m benchmarks.room_daemon FOLDER`.

It writes the address of the session's page, and for each line it reads, a number of seconds, what it took in them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.child import cpu_seconds_of, keep_quiet
from benchmarks.interleave import quantile
from podium_daemon.app.core import Core, Current
from podium_daemon.app.run import Daemon, shorten_waits
from podium_daemon.config import Config
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.signers.signer import LocalSigner
from podium_daemon.web.server import listen
from podium_protocol.events import Rejected, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live.session import SessionSpec, write_session
from podium_protocol.nips import nip19
from podium_storage.meta import Meta
from podium_storage.store import Store

_RELAY: Final = "ws://127.0.0.1:9"  # a port on which nothing listens: no relay is measured
_BEAT: Final = 0.01  # seconds between two looks at how late the loop is


class Begun(msgspec.Struct, frozen=True):
    """Where the daemon is, and its session."""

    url: str
    session: str


class Load(msgspec.Struct, frozen=True):
    """What a daemon took: percent of a core, of its media processes too; MB; milliseconds."""

    cpu: float
    media_cpu: float
    memory: float
    lag_p99: float


async def _main(folder: str) -> None:
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    instructor, service = SecretKey(secrets.token_bytes(32)), SecretKey(secrets.token_bytes(32))
    config = Config.model_validate(
        {
            "storage": {"state_directory": folder},
            "relays": [{"url": _RELAY, "read": False, "write": True, "dm": False}],
            "instructors": {"allow": [nip19.encode_npub(instructor.pubkey)]},
            "web": {"public_url": url},
            "conference": {"engine": "embedded", "media_addresses": ["127.0.0.1"]},
        }
    )
    async with await Store.open(Path(folder) / "podium.sqlite3") as store:
        core = Core(
            current=Current(config),
            store=store,
            meta=Meta(store.database),
            signer=LocalSigner(service),
            clock=SystemClock(),
        )
        daemon = Daemon(core, listener)
        running = asyncio.create_task(daemon.supervisor.run())
        await daemon.supervisor.ready.wait()
        await daemon.parts.relays.syncer.caught_up.wait()
        spec = SessionSpec(identifier="room", title="A full room", starts_at=int(time.time()) + 1, duration_minutes=60)
        draft = write_session(
            spec,
            instructor=instructor.pubkey,
            service=service.pubkey,
            relay_hint=_RELAY,
            join_url=url,
            now=int(time.time()),
            previous=None,
        )
        event = verify(instructor.sign(draft, secrets.token_bytes(32)))
        assert not isinstance(event, Rejected)
        with store.changes.subscribe(store.sessions.name) as changes:
            await daemon.parts.mirror.mirror.ingest([event], received_at=int(time.time()))
            async for batch in changes:
                if any(getattr(change.after, "state", "") == "active" for change in batch.changes):
                    break
        shorten_waits()
        _say(Begun(url, f"31923:{instructor.pubkey}:room"))
        await _answer_questions()
        running.cancel()


async def _answer_questions() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        _say(await _load(float(line)))


async def _load(seconds: float) -> Load:
    late: list[float] = []
    media = _children()
    cpu, media_cpu, began = time.process_time(), sum(map(cpu_seconds_of, media)), time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        await asyncio.sleep(_BEAT)
        late.append((time.monotonic() - now - _BEAT) * 1000)
    took = time.monotonic() - began
    return Load(
        cpu=(time.process_time() - cpu) / took * 100,
        media_cpu=(sum(map(cpu_seconds_of, media)) - media_cpu) / took * 100,
        memory=_rss_mb(),
        lag_p99=max(0.0, quantile(late, 0.99)),
    )


def _children() -> list[int]:
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def _rss_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def _say(what: object) -> None:
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(what) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    keep_quiet()
    asyncio.run(_main(sys.argv[1]))
    os._exit(0)
