"""reminded: a daemon that writes to all participants of a session, until the relay has the last message."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.blast import blast
from benchmarks.child import ROOT, cpu_seconds_of, keep_quiet
from benchmarks.interleave import Progress, Result, Row, quantile
from benchmarks.many import RunningDaemon, rss_mb
from benchmarks.messages import Drafts
from benchmarks.settings import Settings
from podium_daemon.app.run import shorten_waits
from podium_daemon.relays.embedded import RelayProcess
from podium_daemon.relays.embedded_child import RelaySettings
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Rejected, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live.reminders import LedgerState
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.session import cancel
from podium_protocol.nips import nip17
from podium_storage.outbox import outbox as outbox_module
from podium_storage.outbox.values import Delivery, DeliveryState
from podium_storage.store import Store

_BEFORE: Final = 1_800  # seconds before the start for which the one reminder is due
_LEAD: Final = 3.0  # seconds before that in which it is prepared, and so many more for each person
_LEAD_EACH: Final = 0.007
_READ_IN: Final = 500  # events a transaction, as from a relay
_PAUSE: Final = 0.002  # seconds between two looks at the event loop's lag
_LONGEST_STEP: Final = 20.0  # ms
_NAME: Final = "talk"
_REMINDERS: Final = {
    "confirmation": False,
    "day": {"enabled": False},
    "hour": {"enabled": False},
    "quarter": {"before": _BEFORE, "window": _BEFORE // 2},
}
_NOTE: Final = (
    "reminded: {people:,} people at one relay, from the moment the message is due until the relay's last OK is stored. "
    "Reminders are wrapped before, a cancellation is not. The limit of the time is the relay's own pace when all "
    "prepared messages come in one write; that of the lag what is allowed. CPU is that of the daemon and its workers."
)


class Figures(msgspec.Struct, frozen=True):
    """What one run gave: seconds, microseconds for each person, milliseconds, MB."""

    seconds: float
    cpu: float
    lag: float
    memory: float


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    people = settings.people
    progress(f"the pace of the relay for {people:,}")
    pace = await _pace(people)
    rows: list[Row] = []
    notes = [_NOTE.format(people=people)]
    for what in ("reminded", "told of a cancellation"):
        progress(f"{people:,} people are {what}")
        found = await _measured(people, is_prepared=what == "reminded")
        rows += (
            Row(what, "s", found.seconds, limit=pace, ratio_to_limit=found.seconds / pace),
            Row(f"{what}, lag p99", "ms", found.lag, limit=_LONGEST_STEP, ratio_to_limit=found.lag / _LONGEST_STEP),
        )
        notes.append(f"{what}: {found.cpu:,.0f} us of CPU for each person, {found.memory:,.0f} MB at most.")
    return Result(tuple(rows), tuple(notes))


async def _pace(people: int) -> float:
    relay = await RelayProcess.start(RelaySettings())
    try:
        return (await blast(relay.url, [wrap.to_json() for wrap in Drafts(people).wraps()])).seconds
    finally:
        await relay.kill()


async def _measured(people: int, *, is_prepared: bool) -> Figures:
    relay = await RelayProcess.start(RelaySettings())
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.reminded", relay.url, str(people), str(int(is_prepared))),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        answer, _ = await process.communicate()
    finally:
        await relay.kill()
    return msgspec.json.decode(answer.splitlines()[-1], type=Figures)  # the log may stand before it


def _answers(here: RunningDaemon, relay: str, people: int) -> Iterator[VerifiedEvent]:
    """Events of people who come to the session, and who read private messages at one relay."""
    now, session = int(time.time()), Address(kinds.SESSION, here.instructor.pubkey, _NAME)
    for _ in range(people):
        person = SecretKey(secrets.token_bytes(32))
        yield _signed(person, write_rsvp(session, RsvpStatus.CONFIRMED, pubkey=person.pubkey, now=now))
        yield _signed(person, nip17.write_dm_relays(person.pubkey, [relay], created_at=now))


def _signed(person: SecretKey, draft: UnsignedEvent) -> VerifiedEvent:
    event = verify(person.sign(draft, secrets.token_bytes(32)))
    assert not isinstance(event, Rejected)
    return event


class _Watch:
    """Watches the daemon in this process while it sends: its CPU, its memory and the event loop's lag."""

    def __init__(self, workers: Callable[[], Sequence[int]]) -> None:
        """`workers`: the daemon's worker processes."""
        self._workers = workers
        self._lags: list[float] = []
        self._memory = 0.0
        self._cpu_began = self._cpu()
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_PAUSE)
            self._lags.append(max(0.0, time.perf_counter() - began - _PAUSE) * 1000)

    def note_memory(self) -> None:
        """Look at the memory."""
        self._memory = max(self._memory, rss_mb())

    def figures(self, seconds: float, people: int) -> Figures:
        """What was seen."""
        self._looking.cancel()
        self.note_memory()
        cpu = (self._cpu() - self._cpu_began) / people * 1e6
        return Figures(seconds=seconds, cpu=cpu, lag=quantile(self._lags, 0.99), memory=self._memory)

    def _cpu(self) -> float:
        return time.process_time() + sum(map(cpu_seconds_of, self._workers()))


async def _run(relay: str, people: int, *, is_prepared: bool) -> Figures:
    with TemporaryDirectory() as folder:
        async with await Store.open(Path(folder) / "podium.sqlite3") as store:
            here = RunningDaemon(store, Path(folder), relay, reminders=_REMINDERS)
            running = asyncio.create_task(here.daemon.supervisor.run())
            await here.daemon.supervisor.ready.wait()
            shorten_waits()
            send = _remind if is_prepared else _cancel
            found = await send(here, relay, people)
            running.cancel()
            return found


async def _remind(here: RunningDaemon, relay: str, people: int) -> Figures:
    answers = list(_answers(here, relay, people))
    due_at = int(time.time() + _LEAD + people * _LEAD_EACH)
    await _read_in(here, [here.session(_NAME, due_at + _BEFORE), *answers])
    await _until_state(here, LedgerState.PREPARED, people)
    if time.time() >= due_at:
        raise RuntimeError("the reminders were due before they were prepared")
    await asyncio.sleep(due_at - time.time() - 0.1)
    return await _sent(here, people, due_at)


async def _cancel(here: RunningDaemon, relay: str, people: int) -> Figures:
    answers = list(_answers(here, relay, people))
    session = here.session(_NAME, int(time.time()) + 2 * 24 * 3600)
    await _read_in(here, [session, *answers])
    await _until_state(here, LedgerState.SCHEDULED, 2 * people)
    cancelled = cancel(session, int(time.time()) + 1)
    drafts = (cancelled.revision, cancelled.deletion)
    await _read_in(here, [_signed(here.instructor, draft) for draft in drafts])
    return await _sent(here, people, time.time())


async def _read_in(here: RunningDaemon, events: Sequence[VerifiedEvent]) -> None:
    for start in range(0, len(events), _READ_IN):
        await here.daemon.parts.mirror.mirror.ingest(events[start : start + _READ_IN], received_at=int(time.time()))


async def _until_state(here: RunningDaemon, state: LedgerState, count: int) -> None:
    ledger = here.store.ledger
    with here.store.changes.subscribe(ledger.name) as changes:
        while await ledger.where("[state+dueAt]").between([state, 0], [state, 2**53]).count() < count:
            await changes.wait()
            changes.take_changes()


async def _sent(here: RunningDaemon, people: int, since: float) -> Figures:
    """Watch until the relay's last OK is stored; `since`: when the messages are due."""
    parts, done = here.daemon.parts, 0
    watch = _Watch(lambda: (*parts.relays.judges.pids, *parts.messages.wrapping.pids))
    with here.store.changes.subscribe(outbox_module.TABLE) as changes:
        while done < people:
            await changes.wait()
            batch = changes.take_changes()
            assert batch is not None
            assert not batch.resync
            deliveries = [one.after for one in batch.changes if isinstance(one.after, Delivery)]
            done += sum(one.reference is not None and one.state is DeliveryState.DONE for one in deliveries)
            watch.note_memory()
    return watch.figures(time.time() - since, people)


async def _print(relay: str, people: str, is_prepared: str) -> None:
    found = await _run(relay, int(people), is_prepared=bool(int(is_prepared)))
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(found) + b"\n")
    sys.stdout.flush()
    os._exit(0)  # the daemon was measured; its orderly stop is none of this work's business


if __name__ == "__main__":
    keep_quiet()
    asyncio.run(_print(*sys.argv[1:]))
