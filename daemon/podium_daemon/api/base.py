"""The base of all models of the HTTP interface. Names are the model's, in camelCase; times are Unix seconds, UTC."""

from __future__ import annotations

from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from podium_protocol.errors import InvalidInput
from podium_protocol.events import UnsignedEvent

# pydantic's own engine (Rust): unlike in `re`, `$` is the very end; \A and \z are unknown to readers of /openapi.json
Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Time = Annotated[int, Field(ge=0, le=2**53 - 1)]
Author = Annotated[Hex64 | None, Field(description="who will sign it, where the call itself has no login")]
Kind = Annotated[int, Field(ge=0, le=65_535)]
TagRow = Annotated[list[str], Field(min_length=1)]


class Model(BaseModel):
    """Strict and frozen: an unknown field is refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True)


def whole(answer: Model) -> dict[str, object]:
    """The JSON value of an answer, with the wire's names; fields that a newer daemon added are kept if allowed."""
    fields = type(answer).model_fields
    known = {field.alias or name: _whole(getattr(answer, name)) for name, field in fields.items()}
    return known | (answer.model_extra or {})


def _whole(value: object) -> object:
    if isinstance(value, Model):
        return whole(value)
    return list(map(_whole, value)) if isinstance(value, list | tuple) else value


class EventModel(Model):
    """A signed Nostr event (NIP-01), as it goes on the wire."""

    model_config = ConfigDict(alias_generator=None)  # the wire's names

    id: str
    pubkey: str
    created_at: Time
    kind: Kind
    tags: list[TagRow]
    content: str
    sig: str


class TemplateModel(Model):
    """An event for the caller to sign: fill in only `id` and `sig`."""

    model_config = ConfigDict(alias_generator=None)  # the wire's names

    pubkey: str
    created_at: Time
    kind: Kind
    tags: list[TagRow]
    content: str

    def unsigned(self) -> UnsignedEvent:
        """The event itself.

        Raises:
            InvalidInput: no event has such fields (NIP-01).
        """
        fields = self.model_dump() | {"tags": tuple(map(tuple, self.tags))}
        try:
            return msgspec.convert(fields, UnsignedEvent)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"that is no event to sign: {error}") from None


class PersonOut(Model):
    """A person: their key, and what to call them in this list."""

    pubkey: str
    npub: str
    name: Annotated[str, Field(description="Their own name, or the short npub; told apart where two are the same.")]
