"""RSVPs, and the state of the messages that follow from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import Author, Model, PersonOut


class RsvpDraftIn(Model):
    status: Literal["confirmed", "tentative", "declined"]
    pubkey: Author = None


class RsvpOut(PersonOut):
    status: str
    rsvp_time: int
    seat: str
    position: int | None
    needs_reconfirmation: bool
    reminder_sent: bool
    undeliverable: bool
    assurance: Annotated[
        Literal["signature", "link", "guest"],
        Field(description="What stands behind it: their key (also a reply by message), a link, or a name they gave."),
    ]
    note: Annotated[str | None, Field(description="What they wrote beside it: for themselves and those who lead.")]


class RsvpsOut(Model):
    rsvps: tuple[RsvpOut, ...]


class RelayAnswer(Model):
    relay: str
    said: str


class ReminderOut(PersonOut):
    message: str
    epoch: int
    due_at: int
    state: str
    relays: tuple[RelayAnswer, ...]
    reason: str | None
    attempts: int


class UnreachableOut(PersonOut):
    """A person who names no relays for private messages (kind 10050), and the messages that could not be sent."""

    messages: tuple[str, ...]


class NamedPersonOut(PersonOut):
    """A co-host or an invited person, as the session names them, and what became of their invitation."""

    role: Literal["co-host", "invited"]
    invitation: Annotated[
        str | None, Field(description="State of the message, as of a reminder; null: none is sent in a public session.")
    ]
    reason: str | None


class NamedPeopleOut(Model):
    people: tuple[NamedPersonOut, ...]


class RemindersOut(Model):
    reminders: tuple[ReminderOut, ...]
    summary: dict[str, int]
    unreachable: Annotated[
        tuple[UnreachableOut, ...], Field(description="To whom nothing can be sent as things stand.")
    ]


class AnswersOut(Model):
    """Some of a session's RSVPs, in order of arrival, with the messages to those people."""

    rsvps: tuple[RsvpOut, ...]
    reminders: tuple[ReminderOut, ...]
    total: Annotated[int, Field(description="How many RSVPs the session has, or, with `q`, of people who are meant.")]
