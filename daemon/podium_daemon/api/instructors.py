"""Who may hold sessions here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import Hex64, Model


class InstructorIn(Model):
    pubkey: Hex64


class ClaimIn(Model):
    """`secret`: what stands behind `#claim=` in the link that the daemon printed."""

    secret: Annotated[str, Field(min_length=1, max_length=64, repr=False)]


class InstructorOut(Model):
    pubkey: str
    npub: str
    name: Annotated[str, Field(description="As their kind 0 has it; empty: unknown.")]
    listed_in: Annotated[
        Literal["configuration", "list"],
        Field(description="The configuration, or the list that is changed while the service runs."),
    ]


class InstructorsOut(Model):
    instructors: tuple[InstructorOut, ...]
