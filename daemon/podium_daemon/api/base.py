"""What all shapes of the HTTP interface stand on. Names are the model's, in camelCase; times are Unix seconds, UTC."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

# pydantic's own engine (Rust): unlike in `re`, `$` is the very end; \A and \z are unknown to readers of /openapi.json
Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Time = Annotated[int, Field(ge=0, le=2**53 - 1)]
Kind = Annotated[int, Field(ge=0, le=65_535)]


class Model(BaseModel):
    """Strict and frozen: an unknown field is a mistake worth telling."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True)


class EventModel(Model):
    """A signed Nostr event (NIP-01), as it goes on the wire."""

    model_config = ConfigDict(alias_generator=None)  # the wire's names

    id: str
    pubkey: str
    created_at: Time
    kind: Kind
    tags: list[Annotated[list[str], Field(min_length=1)]]
    content: str
    sig: str


class TemplateModel(Model):
    """An event for the caller to sign: fill in nothing but `id` and `sig`."""

    model_config = ConfigDict(alias_generator=None)  # the wire's names

    pubkey: str
    created_at: int
    kind: int
    tags: list[list[str]]
    content: str
