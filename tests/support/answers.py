"""Whole answers of the HTTP interface, of which a test names only the fields it is about."""

from __future__ import annotations

from typing import Any, get_args

from pydantic_core import PydanticUndefined

from podium_daemon.api.base import Model


def answer(model: type[Model], **given: object) -> dict[str, object]:
    """A complete answer under the wire's names: what is given, and neutral values for the rest."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    unknown = given.keys() - fields.keys()
    assert not unknown, f"{model.__name__} has no {unknown}"
    neutral = {
        name: _neutral(field.annotation) if field.default is PydanticUndefined else field.default
        for name, field in fields.items()
    }
    return neutral | given


def _neutral(kind: Any) -> object:
    if isinstance(kind, type) and issubclass(kind, Model):
        return answer(kind)
    if kind in (str, int, bool, float):
        return kind()
    arguments = get_args(kind)
    if type(None) in arguments:
        return None
    if arguments and isinstance(arguments[0], str):  # of a Literal
        return arguments[0]
    return {} if getattr(kind, "__origin__", None) is dict else []
