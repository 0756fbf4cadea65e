"""Reading a configuration: command line over environment over file over defaults; all problems are listed at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from podium_daemon.config.model import FIELDS, PATHS, Config
from podium_daemon.config.problems import LEAK_MESSAGE, ConfigError, ConfigProblem, explain, find_secret, source_of

_MAX_BYTES: Final = 1024 * 1024
_PREFIX: Final = "PODIUM_"
_DEFAULTS: Final = "defaults"

Tree = dict[str, object]


class _Setting(NamedTuple):
    """One value from outside the file."""

    key: str
    value: object
    source: str


def load_config(
    path: Path | None, overrides: Mapping[str, object] | None = None, *, environment: Mapping[str, str] | None = None
) -> Config:
    """Read and check a configuration.

    Args:
        path: the TOML file; None for none.
        overrides: from the command line, dotted key -> value or its text; None means "not given".
        environment: the process's own unless given; variables named PODIUM_SECTION__KEY and PODIUM_RELAYS are read.

    Raises:
        ConfigError: lists everything that is wrong.
    """
    tree: Tree = {} if path is None else _read(path)
    settings = [
        *_from_environment(os.environ if environment is None else environment),
        *_from_overrides(overrides or {}),
    ]
    if leaks := [ConfigProblem(item.source, item.key, LEAK_MESSAGE) for item in settings if _is_secret(item.value)]:
        raise ConfigError(leaks)
    origins: dict[str, str] = {}
    for item in settings:
        if _put(tree, item.key, item.value):
            origins[item.key] = item.source
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, origins, str(path or _DEFAULTS))) from None
    if conflicts := list(config.conflicts()):
        raise ConfigError(
            ConfigProblem(source_of(key, origins) or str(path or _DEFAULTS), key, text) for key, text in conflicts
        )
    return config.remember(lambda: load_config(path, overrides, environment=environment))


def _read(path: Path) -> Tree:
    text = _text_of(path)
    if line := find_secret(text):
        raise ConfigError([ConfigProblem(f"{path}, line {line}", "", LEAK_MESSAGE)])
    try:
        tree: Tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ConfigError([ConfigProblem(str(path), "", f"is no valid TOML: {error}")]) from None
    for key in PATHS:
        _anchor(tree, key, path.absolute().parent)
    return tree


def _text_of(path: Path) -> str:
    try:
        if path.is_dir():
            raise ConfigError([ConfigProblem(str(path), "", "is a folder, expected a TOML file")])
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ConfigError([ConfigProblem(str(path), "", "is longer than 1 MiB, which no configuration is")])
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        advice = "does not exist: `podium init` writes one, --config names another"
    except OSError as error:
        advice = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        advice = f"is not UTF-8 (byte {error.start}): save it as UTF-8"
    raise ConfigError([ConfigProblem(str(path), "", advice)])


def _anchor(tree: Tree, key: str, folder: Path) -> None:
    """Resolve a relative path in a file from that file's folder, wherever the daemon was started."""
    *sections, name = key.split(".")
    node: object = tree
    for section in sections:
        node = node.get(section) if isinstance(node, dict) else None
    if isinstance(node, dict) and isinstance(value := node.get(name), str) and value:
        node[name] = str(folder / Path(value).expanduser())


def _from_environment(environment: Mapping[str, str]) -> Iterator[_Setting]:
    for name, text in sorted(environment.items()):
        if name == "PODIUM_RELAYS" or (name.startswith(_PREFIX) and "__" in name):
            key = name.removeprefix(_PREFIX).lower().replace("__", ".")
            yield _Setting(key, _value_of(key, text), f"environment variable {name}")


def _from_overrides(overrides: Mapping[str, object]) -> Iterator[_Setting]:
    for key, value in overrides.items():
        if value is not None:
            yield _Setting(key, _value_of(key, value) if isinstance(value, str) else value, "command line")


def _value_of(key: str, text: str) -> object:
    """The text as the key's type: parsed as TOML if it is TOML, a list if the key takes one, else unchanged."""
    field = FIELDS.get(key)
    if field is None or field.annotation is str or key in PATHS or "\n" in text:
        return text
    try:
        value: object = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        value = text
    is_list = isinstance(field.default, tuple)
    return [item.strip() for item in value.split(",") if item.strip()] if is_list and isinstance(value, str) else value


def _is_secret(value: object) -> bool:
    return find_secret(str(value)) is not None


def _put(tree: Tree, key: str, value: object) -> bool:
    """Set a dotted key; False if the file has no table for it, which validation will report."""
    *sections, name = key.split(".")
    for section in sections:
        child = tree.setdefault(section, {})
        if not isinstance(child, dict):
            return False
        tree = child
    tree[name] = value
    return True
