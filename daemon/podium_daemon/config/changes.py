"""What a reload changed, and what of it a running daemon cannot take over."""

from __future__ import annotations

from collections.abc import Iterable

from podium_daemon.config.model import FIELDS, Config


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


def needs_restart(key: str) -> bool:
    """Whether a running daemon cannot take over a change of `key`."""
    return _is_marked(key, "restart")


def is_unshown(key: str) -> bool:
    """Whether the value of `key` is for the daemon alone, such as a meeting's address."""
    return _is_marked(key, "unshown")


def _is_marked(key: str, mark: str) -> bool:
    extra = FIELDS[key].json_schema_extra
    return isinstance(extra, dict) and mark in extra
