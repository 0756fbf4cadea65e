"""Rounds in which the contestants take turns, and what is read from them: medians, and medians of paired ratios.

The machine is shared and noisy. Another process slows a whole round down, so only what was measured in the same
round is compared.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

import msgspec

T = TypeVar("T")

Contestant = Callable[[], Awaitable[T]]
"""Does the work once and returns what was measured."""

Progress = Callable[[str], None]


class Row(msgspec.Struct, frozen=True):
    """One line of the table. A ratio is ours divided by theirs, so that with a rate more is better."""

    work: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str | None = None
    limit: float | None = None
    ratio_to_peer: float | None = None
    ratio_to_limit: float | None = None


class Result(msgspec.Struct, frozen=True):
    """What one work gave: lines of the table, and what has to be said beside them."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


async def interleaved(contestants: Mapping[str, Contestant[T]], rounds: int, progress: Progress) -> dict[str, list[T]]:
    """Let each contestant run once a round; each round begins with another one."""
    names = list(contestants)
    samples: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            progress(f"round {number + 1} of {rounds}: {name}")
            samples[name].append(await contestants[name]())
    return samples


def timed(work: Callable[[], object], count: int) -> Contestant[float]:
    """How many a second `work` does, which does `count` of them on this thread."""

    async def once() -> float:
        began = time.perf_counter()
        work()
        return count / (time.perf_counter() - began)

    return once


def compared(
    work: str,
    unit: str,
    ours: Sequence[float],
    *,
    peer: Sequence[float] | None = None,
    peer_name: str | None = None,
    limit: Sequence[float] | None = None,
) -> Row:
    """The line for samples of the same rounds."""
    return Row(
        work=work,
        unit=unit,
        ours=median(ours),
        peer=None if peer is None else median(peer),
        peer_name=peer_name,
        limit=None if limit is None else median(limit),
        ratio_to_peer=None if peer is None else paired_ratio(ours, peer),
        ratio_to_limit=None if limit is None else paired_ratio(ours, limit),
    )


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the rounds of ours divided by theirs."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
