"""The chat of a room."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from podium_daemon.api.base import Model, PersonOut


class ChatLineOut(PersonOut):
    """One line. `private`: for those who lead; `sealed`: the text is encrypted under the room's key."""

    id: int
    text: str
    sent_at: int
    private: bool
    sealed: bool


class ChatOut(Model):
    """The lines that are kept, the oldest first."""

    open: Annotated[bool, Field(description="Whether all people may write; those who lead always may.")]
    lines: tuple[ChatLineOut, ...]
