"""The documented example file, written from the declarations of the keys, and a configuration as TOML."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from podium_daemon.config.changes import is_unshown, needs_restart, value_of
from podium_daemon.config.model import FIELDS, Config
from podium_daemon.config.sections import RelaySection
from podium_daemon.config.values import DURATION_FORM, Form, Section, format_duration

_WIDTH: Final = 118
_HEAD: Final = """\
# Podium's configuration: every key with its default. Take the # in front of a key away to set it.
#
# A flag wins over an environment variable, that over this file, and this file over the defaults. The variable of
# [web] port is PODIUM_WEB__PORT; lists are separated by commas. SIGHUP reads the file again, and an invalid file leaves
# the old values in force; keys marked (restart) wait for the next start.
#
# Durations are whole seconds, or text such as "90s", "15 min", "24h" or "14 days". Relative paths start at this file's
# folder. A secret key never stands in here.

"""
_RELAYS: Final = """\
# Each relay is a table of its own:
#
"""


def example_toml() -> str:
    """The text of relays.example.toml: all keys commented out, so that it parses to the defaults."""
    return _HEAD + "\n".join(_documented(Config(), {})) + "\n"


def starting_toml(chosen: dict[str, str]) -> str:
    """The example with some keys set: dotted key -> text."""
    return _HEAD + "\n".join(_documented(Config(), chosen)) + "\n"


def effective_toml(config: Config) -> str:
    """The values in force as TOML, for people; keys that are never shown are left out."""
    lines = [] if config.relays else ["relays = []"]
    section = ""
    for key in FIELDS:
        if key == "relays":
            continue
        if (found := key.rpartition(".")[0]) != section:
            section = found
            lines += ["", f"[{section}]"]
        shown = "# set, not shown" if is_unshown(key) and value_of(config, key) else shown_default(config, key)
        lines.append(f"{key.rpartition('.')[2]} = {shown}" if not shown.startswith("#") else f"# {key}: {shown[2:]}")
    for relay in config.relays:
        lines += [
            "",
            "[[relays]]",
            *(f"{name} = {to_toml(getattr(relay, name))}" for name in RelaySection.model_fields),
        ]
    return "\n".join(lines).strip() + "\n"


def effective_values(config: Config) -> dict[str, object]:
    """Dotted key -> value in force, ready for JSON; a key that is never shown has the value "(set, not shown)"."""
    found: dict[str, object] = {}
    for key in FIELDS:
        value = value_of(config, key)
        found[key] = "(set, not shown)" if is_unshown(key) and value else _for_json(value)
    return found


def _for_json(value: object) -> object:
    if isinstance(value, tuple):
        return [item.model_dump(mode="json") if isinstance(item, Section) else item for item in value]
    return str(value) if isinstance(value, Path) else value


def _documented(defaults: Config, chosen: dict[str, str]) -> Iterator[str]:
    yield from _comment(FIELDS["relays"].description or "")
    yield "#relays = []"
    yield "#"
    yield from _RELAYS.splitlines()
    yield from _relay_lines()
    section = ""
    for key, field in FIELDS.items():
        if key == "relays":
            continue
        if (found := key.rpartition(".")[0]) != section:
            section = found
            yield from ("", *_comment(purpose_of(section)), f"[{section}]")
        yield from _comment(f"{field.description}{' (restart)' if needs_restart(key) else ''}")
        name = key.rpartition(".")[2]
        yield f"{name} = {to_toml(chosen[key])}" if key in chosen else f"#{name} = {shown_default(defaults, key)}"


def _relay_lines() -> Iterator[str]:
    yield "#     [[relays]]"
    for name, field in RelaySection.model_fields.items():
        default = "wss://relay.example.org" if field.is_required() else field.default
        yield f"#     {name} = {to_toml(default)}  # {field.description}"


def purpose_of(section: str) -> str:
    kind: object = Config
    for name in section.split("."):
        assert isinstance(kind, type)
        assert issubclass(kind, Section)
        kind = kind.model_fields[name].annotation
    return (kind.__doc__ or "").split("\n\n")[0].replace("`", "")


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def shown_default(config: Config, key: str) -> str:
    value = value_of(config, key)
    is_duration = any(isinstance(mark, Form) and mark.text.startswith(DURATION_FORM) for mark in FIELDS[key].metadata)
    return to_toml(format_duration(value) if is_duration and isinstance(value, int) else value)


def to_toml(value: object) -> str:
    """A value as TOML: JSON's strings, lists, numbers and booleans are TOML's too (TOML 1.0, "Strings")."""
    if value is None:
        return '""'
    if isinstance(value, tuple):
        return f"[{', '.join(to_toml(item) for item in value)}]"
    if isinstance(value, bool | int):
        return json.dumps(value)
    # JSON leaves DEL as it is, which TOML forbids
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
