"""Counters of the daemon's parts as Prometheus reads them, beside those of the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class Counted(msgspec.Struct, frozen=True):
    """One family of counters: how often each name was counted since the start.

    Args:
        name: of the family, without `_total`.
        text: what is counted, for people.
        label: what the names stand for.
        values: counts by name. Names are ours and never a stranger's text: each is a time series.
    """

    name: str
    text: str
    label: str
    values: Mapping[str, int]


def nothing_counted() -> Sequence[Counted]:
    """No counters."""
    return ()


def exposition(counted: Sequence[Counted]) -> bytes:
    """The metrics in the Prometheus text format."""
    registry = CollectorRegistry()
    registry.register(_Families(counted))
    return generate_latest(REGISTRY) + generate_latest(registry)


class _Families(Collector):
    def __init__(self, counted: Sequence[Counted]) -> None:
        self._counted = counted

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family for each."""
        for one in self._counted:
            family = CounterMetricFamily(one.name, one.text, labels=[one.label])
            for name, value in sorted(dict(one.values).items()):  # a copy: some are counted on the database's thread
                family.add_metric([name], value)
            yield family
