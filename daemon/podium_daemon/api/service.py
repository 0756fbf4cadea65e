"""The service itself and its relays."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from podium_daemon.api.base import Model


class RefusalOut(Model):
    words: str
    at: int
    count: int


class RelayOut(Model):
    url: str
    state: str
    read: bool
    write: bool
    dm: bool
    last_error: str | None
    last_refusal: Annotated[RefusalOut | None, Field(description="The last event that it refused for good.")]
    last_notice: Annotated[str | None, Field(description="The last words that it had for people.")]
    closed_subscriptions: Annotated[dict[str, str], Field(description="What it does not serve, with its words.")]
    partial: Annotated[dict[str, str], Field(description="Whose past it has not told whole, with the reason.")]
    limits: Annotated[dict[str, int], Field(description="What it says that it allows (NIP-11).")]
    pending: int


class RelaysOut(Model):
    relays: tuple[RelayOut, ...]


class ServiceOut(Model):
    service_pubkey: str
    npub: str
    public_url: str
    relays: tuple[str, ...]
    instructors: tuple[str, ...]
    version: str
    engine: str
    attendance: Annotated[str, Field(description="Of sessions that do not say: public or private.")]
    guests: Annotated[str, Field(description="Who may come to such sessions without a signer: off, invited, anyone.")]
    trouble: Annotated[str | None, Field(description="Why nothing is sent: another daemon has the same key.")] = None


class NamesOut(Model):
    """The document of NIP-05."""

    names: Annotated[dict[str, str], Field(description="Public keys in hex, by name.")]
