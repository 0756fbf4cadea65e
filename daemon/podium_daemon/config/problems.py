"""The problems of a configuration, in words that name the place, what was expected, and the nearest known name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args, get_origin

import msgspec
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from podium_daemon.config.model import FIELDS, Config
from podium_daemon.config.sections import RelaySection
from podium_daemon.config.values import Form, Section
from podium_protocol.errors import InvalidInput
from podium_protocol.text import single_line

_SECRET: Final = re.compile(r"nsec1[02-9ac-hj-np-z]{6}", re.IGNORECASE)
_MAX_SHOWN: Final = 60


class ConfigProblem(msgspec.Struct, frozen=True):
    """One thing to correct. `source` is a file, an environment variable or the command line; `key` may be empty."""

    source: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.key + ': ' if self.key else ''}{self.message}"


class ConfigError(InvalidInput):
    """The configuration cannot be used. Every problem found is listed, one a line."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def find_secret(text: str) -> int | None:
    """The line (from 1) on which `text` holds a secret key, in whatever place, comments too; None if there is none."""
    match = _SECRET.search(text)
    return None if match is None else text.count("\n", 0, match.start()) + 1


LEAK_MESSAGE: Final = (
    "holds a secret key (nsec). Configuration is shown, copied and backed up, so take it out, put the key into a "
    "file of mode 0600 and set identity.key_file; if others may have read this one, make a new key"
)


def explain(error: ValidationError, origins: Mapping[str, str], otherwise: str) -> list[ConfigProblem]:
    """The validation's findings in our words, each place once.

    Args:
        error: what pydantic found.
        origins: dotted key -> where its value came from.
        otherwise: the source of keys that `origins` does not know.
    """
    problems: dict[tuple[str, str], ConfigProblem] = {}
    for detail in error.errors(include_url=False):
        key, message = _key_of(detail), _message_of(detail)
        source = source_of(_plain(key), origins) or otherwise
        problems.setdefault((source, key), ConfigProblem(source, key, message))
    return list(problems.values())


def source_of(key: str, origins: Mapping[str, str]) -> str | None:
    """The source of the value of a dotted key, or of the table it is in, or of a key in it; None if unknown."""
    within = next((origin for known, origin in origins.items() if known.startswith(f"{key}.")), None)
    while key and key not in origins:
        key = key.rpartition(".")[0]
    return origins.get(key, within)


def _plain(key: str) -> str:
    return re.sub(r"\[[0-9]+\]", "", key)


def _key_of(detail: ErrorDetails) -> str:
    key = ""
    for part in detail["loc"]:
        if isinstance(part, int):
            key += f"[{part}]"
        elif re.fullmatch(r"bool|literal\[.*\]", part):  # a branch of a union, not a name in the file
            break
        else:
            key += ("." if key else "") + single_line(part, _MAX_SHOWN)
    return key


def _message_of(detail: ErrorDetails) -> str:
    key = _plain(_key_of(detail))
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(key)
        case "missing":
            return f"is missing: expected {_form_of(_field(key))}"
        case "value_error":
            return f"{detail['ctx']['error']}{_got(key, detail['input'])}"
        case _:
            return f"expected {_form_of(_field(key))}{_got(key, detail['input'])}"


def _got(key: str, value: object) -> str:
    """The value as written, where it is short and cannot be a secret: a wrong key may stand in any place."""
    field = _field(key)
    hidden = field is not None and isinstance(field.json_schema_extra, dict) and "unshown" in field.json_schema_extra
    if hidden or isinstance(value, dict | list | tuple):
        return ""
    text = _as_written(value)
    return "" if re.search(r"[0-9a-fA-F]{64}|sec1", text) else f", got {text}"


def _as_written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{single_line(value, _MAX_SHOWN)}"' if isinstance(value, str) else single_line(str(value), _MAX_SHOWN)


def _unknown(key: str) -> str:
    nearest = nearest_key(key)
    return "there is no such key" + (f"; did you mean {nearest}?" if nearest else "; `podium config show` lists all")


def nearest_key(key: str) -> str | None:
    """The known key most like `key`: in the same section, or of the same name in another one."""
    section, _, name = key.rpartition(".")
    names = _names_in(section)
    if close := difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6):
        return f"{section}.{close[0]}" if section else close[0]
    elsewhere = {known.rpartition(".")[2]: known for known in reversed(FIELDS)}
    close = difflib.get_close_matches(name.lower(), elsewhere, n=1, cutoff=0.8)
    return elsewhere[close[0]] if close else None


def _names_in(section: str) -> list[str]:
    kind = _section(section)
    return [] if kind is None else list(kind.model_fields)


def _section(key: str) -> type[Section] | None:
    if key == "relays":
        return RelaySection
    kind: object = Config
    for name in filter(None, key.split(".")):
        field = kind.model_fields.get(name) if isinstance(kind, type) and issubclass(kind, Section) else None
        kind = None if field is None else field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _field(key: str) -> FieldInfo | None:
    section, _, name = key.rpartition(".")
    kind = _section(section)
    return None if kind is None else kind.model_fields.get(name)


def _form_of(field: FieldInfo | None) -> str:
    """The expected form of a field, in words."""
    if field is None:
        return "another value"
    return form_of(field.annotation, field.metadata)


def form_of(kind: object, marks: Iterable[object] = ()) -> str:
    """The expected form of a declared type, in words that follow "expected"."""
    for mark in marks:
        if isinstance(mark, Form):
            return mark.text
    arguments = get_args(kind)
    if hasattr(kind, "__metadata__"):
        return form_of(arguments[0], kind.__metadata__)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in arguments)
    if get_origin(kind) is tuple:
        item = arguments[0]
        return (
            "a list of tables, each under [[relays]]" if item is RelaySection else f"a list, each item {form_of(item)}"
        )
    return " or ".join(form_of(choice) for choice in arguments) if arguments else _form_of_plain(kind)


def _form_of_plain(kind: object) -> str:
    if isinstance(kind, type) and issubclass(kind, Section):
        return "a table"
    return "true or false" if kind is bool else "text"
