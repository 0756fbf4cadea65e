"""What people and programs see of the demo: a live table, or one JSON line a step."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from typing import Self

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from podium_daemon.demo.script import Step, Story, new_key
from podium_daemon.demo.stage import DaemonFailed, DemoPlan, raised

_MEANING = {
    "daemon": "the daemon is up",
    "inboxes": "participants say where they read messages",
    "schedule": "the instructor signs a session",
    "planned": "the service announces it",
    "rsvp": "three people answer",
    "seats": "the answers are counted",
    "confirmations": "confirmations arrive",
    "reminder-day": "first reminder (24 h in real use)",
    "reminder-hour": "second reminder (1 h)",
    "reminder-quarter": "third reminder (15 min), with the link",
    "live": "it starts by itself",
    "reminder-start": '"Live now", with the link',
    "join": "two people join",
    "present": "they are seen",
    "drop": "one connection dies",
    "leave-early": "one leaves too early",
    "return": "the first one comes back",
    "end": "it ends by itself",
    "attendance": "attendance is attested",
    "silence": "nobody got too much",
}


def run(*, relay: str | None, as_json: bool, keep: bool = False) -> int:
    """Play the demo; 0 only if every step was observed.

    Args:
        relay: a relay to use instead of the daemon's own.
        as_json: print one line a step and a last one with the sum.
        keep: leave the daemon running afterwards, until SIGINT or SIGTERM, and say where its pages are.
    """
    try:
        return asyncio.run(_play(relay, _JsonShow() if as_json else _TableShow(), keep=keep))
    except KeyboardInterrupt:
        return 130


class _JsonShow:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def begin(self, name: str) -> None:
        """Nothing to say yet."""

    def step(self, step: Step) -> None:
        sys.stdout.write(msgspec.json.encode(step).decode() + "\n")
        sys.stdout.flush()

    def sum(self, ok: bool, steps: int, seconds: float) -> None:
        sys.stdout.write(msgspec.json.encode({"ok": ok, "steps": steps, "seconds": round(seconds, 1)}).decode() + "\n")

    def pages(self, urls: Sequence[str]) -> None:
        sys.stdout.write(msgspec.json.encode({"pages": urls}).decode() + "\n")
        sys.stdout.flush()


class _TableShow:
    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=4, transient=False)
        self._steps: list[Step] = []
        self._next = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.__exit__(None, None, None)

    def begin(self, name: str) -> None:
        self._next = name
        self._draw()

    def step(self, step: Step) -> None:
        self._steps.append(step)
        names = list(_MEANING)
        after = names.index(step.step) + 1
        self._next = names[after] if step.ok and after < len(names) else ""
        if not self._console.is_terminal:
            self._console.print(
                Text(f"{'ok ' if step.ok else 'FAILED'} {_MEANING[step.step]}: {step.saw}"), soft_wrap=True
            )
        self._draw()

    def sum(self, ok: bool, steps: int, seconds: float) -> None:
        verdict = f"{steps} steps observed from outside" if ok else "the last step was not observed"
        self._console.print(Text(f"{'ok' if ok else 'FAILED'}: {verdict}, {seconds:.0f} s"))

    def pages(self, urls: Sequence[str]) -> None:
        lines = ["", "The demo's pages, until Ctrl-C:", *(f"  {url}" for url in urls)]
        self._console.print(Text("\n".join(lines)), soft_wrap=True)
        self._console.file.flush()

    def _draw(self) -> None:
        if not self._console.is_terminal:
            return
        table = Table(title="One session's life", expand=True)
        for name, ratio in (("", None), ("what happens", 2), ("what was seen from outside", 4)):
            table.add_column(name, ratio=ratio, no_wrap=ratio is None)
        for step in self._steps:
            mark = Text("ok", style="green") if step.ok else Text("failed", style="bold red")
            table.add_row(mark, Text(_MEANING[step.step]), Text(step.saw))
        if self._next:
            table.add_row(
                Text("..", style="yellow"), Text(_MEANING[self._next], style="dim"), Text("waiting", style="dim")
            )
        self._live.update(table)


async def _play(relay: str | None, show: _JsonShow | _TableShow, *, keep: bool) -> int:
    began, steps, ok = time.monotonic(), 0, False
    plan, instructor = DemoPlan(), new_key()
    async with contextlib.AsyncExitStack() as stack:
        story: Story | None = None
        with show:
            show.begin("daemon")
            try:
                stage = await stack.enter_async_context(
                    raised(plan, instructor=instructor, service=new_key(), relay=relay)
                )
                show.step(Step("daemon", ok=True, saw=f"{stage.base_url} answers, relay {stage.relay_url}"))
                story, steps = Story(plan, stage, instructor), 1
                async for step in story.play_steps():
                    show.step(step)
                    steps, ok = steps + 1, step.ok
            except DaemonFailed as error:
                show.step(Step("daemon", ok=False, saw=str(error)))
                ok = False
        show.sum(ok, steps, time.monotonic() - began)
        if keep and story is not None:
            await _look_at(story, show)
    return 0 if ok else 1


async def _look_at(story: Story, show: _JsonShow | _TableShow) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    show.pages(story.pages)
    await ended.wait()
