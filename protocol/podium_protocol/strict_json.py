"""JSON read strictly: UTF-8, no key twice, no NaN, so that two readers of the same bytes read the same."""

from __future__ import annotations

import json
from typing import NoReturn


class RepeatedKey(ValueError):
    """An object has a key twice: a proxy that checks the first value and we, who use the last, would disagree."""


def read_json(raw: str | bytes) -> object:
    """Parse `raw` strictly and return its value.

    Raises:
        ValueError: it is not JSON, or two readers could read it in two ways.
        RecursionError: it is nested too deeply.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8")  # `json.loads` would take UTF-16 and UTF-32 as well
    value: object = json.loads(text, object_pairs_hook=unique_keys, parse_constant=_refuse_constant)
    return value


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make the object of these pairs, as an `object_pairs_hook` for `json.loads`.

    Raises:
        RepeatedKey: two of them have the same key.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RepeatedKey("a key is repeated")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")
