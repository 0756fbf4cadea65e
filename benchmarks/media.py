"""media: how many people can watch one speaker for each core that the embedded engine takes, beside Janus.

Besides: what a picture costs that only some pages of a room show.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from benchmarks import namespace
from benchmarks.child import Run, in_child
from benchmarks.interleave import Contestant, Progress, Result, compared, interleaved
from benchmarks.settings import Settings
from benchmarks.speaker import RATE

_NOTE: Final = (
    "media: {watchers} watch one speaker of {rate} packets/s; CPU of the engine's process only, for each packet that "
    "arrived, in us: {cpu}. The limit is SRTP and sendto alone, in one tight loop."
)
_SHOWN_NOTE: Final = (
    "media: in a room of {people} whose pages show {shown} pictures each, {shown} of {people} see any one. The limit "
    "is what the engine spends where all see it; packets/s sent: {rates}."
)
_PEOPLE: Final = 25  # in a full room
_SHOWN: Final = 9  # pictures on one page of it


def missing() -> str | None:
    """Why this cannot be measured here, or None."""
    if shutil.which("janus") is None:
        return "Janus is not installed: on Debian 12, apt-get install janus"
    return namespace.missing()


async def run(settings: Settings, progress: Progress) -> Result:
    """The work; no line where Janus or a network namespace for it is missing, and a note that says what is."""
    if (reason := missing()) is not None:
        return Result((), (f"media: left out. {reason}.",))
    runs = await interleaved(_contestants(settings), settings.rounds, progress)
    rates = {name: [_viewers(run) for run in of_one] for name, of_one in runs.items()}
    row = compared(
        "media",
        "viewers/core",
        rates["ours"],
        peer=rates["Janus"],
        peer_name=f"Janus {_version()}",
        limit=rates["SRTP and sendto"],
    )
    shown = await _shown(settings, progress)
    note = _NOTE.format(watchers=settings.watchers, rate=RATE, cpu=_cpu(runs))
    return Result((row, *shown.rows), (note, *shown.notes))


async def _shown(settings: Settings, progress: Progress) -> Result:
    """What a picture costs that few pages show, of what it costs where all do."""
    people = min(_PEOPLE, settings.watchers)
    few = max(1, people * _SHOWN // _PEOPLE)

    def once(shown: int) -> Contestant[Run]:
        sizes = {"watchers": people, "seconds": settings.watched, "shown": shown}
        return lambda: in_child("benchmarks.media_runs:embedded", inside=namespace.INSIDE, **sizes)

    runs = await interleaved({"some": once(few), "all": once(people)}, settings.rounds, progress)
    cores = {name: [run.cpu_seconds / run.seconds * 100 for run in of_one] for name, of_one in runs.items()}
    row = compared("media, shown by some", "% of a core", cores["some"], limit=cores["all"])
    rates = " and ".join(f"{median(run.rate for run in runs[name]):,.0f}" for name in ("some", "all"))
    return Result((row,), (_SHOWN_NOTE.format(people=people, shown=few, rates=rates),))


def _contestants(settings: Settings) -> dict[str, Contestant[Run]]:
    def once(what: str) -> Contestant[Run]:
        sizes = {"watchers": settings.watchers, "seconds": settings.watched}
        return lambda: in_child(f"benchmarks.media_runs:{what}", inside=namespace.INSIDE, **sizes)

    return {"ours": once("embedded"), "Janus": once("janus"), "SRTP and sendto": once("sending")}


def _viewers(run: Run) -> float:
    return 1e6 / run.cpu_us / RATE


def _cpu(runs: Mapping[str, Sequence[Run]]) -> str:
    return ", ".join(f"{name} {median(run.cpu_us for run in of_one):.1f}" for name, of_one in runs.items())


def _version() -> str:
    told = subprocess.run(["janus", "--version"], check=False, capture_output=True, text=True).stdout  # noqa: S607  (the one that is measured, by PATH)
    found = re.search(r"\d+\.\d+\.\d+", told)
    return found[0] if found else ""
