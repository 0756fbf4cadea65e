"""Remote signers (NIP-46) through the daemon, and the signer that an instructor left with the service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import EventModel, Model, TemplateModel


class SignerIn(Model):
    """`bunker`: the URL that the signer shows; without it the answer has one for the signer."""

    bunker: Annotated[str | None, Field(max_length=8192)] = None
    purpose: Annotated[
        Literal["page", "service"], Field(description="service: an instructor leaves it with the service")
    ] = "page"


class SigningIn(Model):
    """`id` is chosen by the page: a repeated request does not ask the person twice."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    event: TemplateModel


class SigningOut(Model):
    id: str
    state: Literal["asked", "signed", "refused", "failed"]
    event: EventModel | None
    words: str


class SignerOut(Model):
    """One connection. `version` grows with each change; `uri` and `qr` are set while it waits for a signer."""

    id: str
    version: int
    state: Literal["pairing", "connected", "kept", "over"]
    uri: str | None
    qr: Annotated[tuple[str, ...] | None, Field(description='rows of a QR code: "1" is dark; without the quiet zone')]
    pubkey: str | None
    npub: str | None
    page: Annotated[str | None, Field(description="http(s): where the signer wants its person to agree")]
    is_slow: bool
    problem: str | None
    requests: tuple[SigningOut, ...]


class OpenedOut(Model):
    """`secret` is sent only once: without it the connection cannot be used."""

    secret: Annotated[str, Field(repr=False)]
    signer: SignerOut


class LeftSignerOut(Model):
    """The signer that the caller left with the service; null for none."""

    signer: str | None
    relays: tuple[str, ...]
