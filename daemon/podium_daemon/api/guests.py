"""People without a signer: guests by name, personal links, and what is signed for them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import Model, TemplateModel

Name = Annotated[str, Field(max_length=200, description="1 to 40 characters as they are shown")]


class GuestIn(Model):
    name: Name


class OpenLinkIn(Model):
    """`link`: what stands behind `#guest=` in the address."""

    link: Annotated[str, Field(min_length=1, max_length=128)]


class GuestLoginOut(Model):
    """The guest's login for this session, with its `token`, which is told once."""

    token: str
    expires_at: int
    pubkey: str
    npub: str
    name: str
    assurance: Literal["guest", "link"]
    has_own_key: Annotated[bool, Field(description="came by the link in their message: `pubkey` is their own key")]
    signing_key: Annotated[str, Field(description="the public key with which the service signs for them")]


class GuestEventIn(Model):
    event: TemplateModel


class GuestPasswordIn(Model):
    password: Annotated[str, Field(min_length=8, max_length=256)]


class GuestKeyOut(Model):
    """The guest's key under their password (NIP-49)."""

    ncryptsec: str


class InviteGuestsIn(Model):
    names: Annotated[list[Name], Field(min_length=1, max_length=200)]


class GuestOut(Model):
    """One guest as those who lead see them. `state`: a link is `new`, then `opened`; a guest by name is `here`."""

    pubkey: str
    npub: str
    name: str
    assurance: Literal["guest", "link"]
    state: Literal["here", "new", "opened", "revoked"]
    created_at: int
    has_own_key: Annotated[bool, Field(description="came by the link in a message to their own key")]
    link: Annotated[str | None, Field(description="the whole address; told once, when it is made")] = None


class GuestsOut(Model):
    policy: Literal["off", "invited", "anyone"]
    guests: list[GuestOut]
