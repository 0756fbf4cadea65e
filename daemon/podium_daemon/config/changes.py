"""Which keys a reload changed, and which of them take effect only after a restart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from podium_daemon.config.model import FIELDS, Config
from podium_daemon.config.values import Section

S = TypeVar("S", bound=Section)


def value_of(config: Config, key: str) -> object:
    """The value under a dotted key."""
    value: object = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def changed_keys(old: Config, new: Config) -> tuple[str, ...]:
    """The dotted keys whose values differ; the relays are one key."""
    return tuple(key for key in FIELDS if value_of(old, key) != value_of(new, key))


def restart_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """Those of `keys` that only a restart brings into effect."""
    return tuple(key for key in keys if needs_restart(key))


def waiting_keys(started: Config, new: Config) -> tuple[str, ...]:
    """The keys that differ between `new` and the configuration at the start, and that need a restart."""
    waiting = dict.fromkeys(restart_keys(changed_keys(started, new)))
    # both follow from other keys while they are "auto"
    if started.conference.chosen_engine != new.conference.chosen_engine:
        waiting["conference.engine"] = None
    if started.runs_embedded_relay != new.runs_embedded_relay:
        waiting["embedded.enabled"] = None
    return tuple(waiting)


def in_force(started: Config, new: Config) -> Config:
    """The configuration in force after a reload: `new`, but keys that need a restart keep the value of `started`."""
    return _merged(started, new, "") if restart_keys(changed_keys(started, new)) else new


def _merged(started: S, new: S, prefix: str) -> S:
    kept: dict[str, object] = {}
    for name in type(new).model_fields:
        before, after, key = getattr(started, name), getattr(new, name), f"{prefix}{name}"
        if isinstance(after, Section):
            kept[name] = _merged(before, after, f"{key}.")
        elif needs_restart(key):
            kept[name] = before
    return new.model_copy(update=kept)


def needs_restart(key: str) -> bool:
    """Whether a change of `key` takes effect only after a restart."""
    return _is_marked(key, "restart")


def is_unshown(key: str) -> bool:
    """Whether the value of `key` is never shown to people, such as a meeting's address."""
    return _is_marked(key, "unshown")


def _is_marked(key: str, mark: str) -> bool:
    extra = FIELDS[key].json_schema_extra
    return isinstance(extra, dict) and mark in extra
