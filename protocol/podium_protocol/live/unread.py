"""The message to an instructor whose newest revision of a session cannot be read: the session stays as it was."""

from __future__ import annotations

import msgspec

from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.live.message_texts import MAX_TITLE, spoken_time
from podium_protocol.nips import nip17
from podium_protocol.text import single_line


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose older revision stays in force, and the reason. `page` is where it can be edited."""

    title: str
    starts_at: int
    timezone: str
    reason: str
    page: str


def write_unread(told: Unread, *, service: Pubkey, recipient: Pubkey, created_at: int) -> UnsignedEvent:
    """Write the kind 14 rumor (NIP-17) for the instructor; with the revision's `created_at` it is always the same."""
    title = single_line(told.title, MAX_TITLE)
    headline = f"Your last change could not be read: {title}"
    text = "\n\n".join(
        (
            headline,
            f"Reason: {told.reason}.",
            f"The session stays as it was: {spoken_time(told.starts_at, told.timezone)}.",
            f"Put this right where you made the change, or edit the session here: {told.page}",
        )
    )
    return nip17.write_message(service, recipient, text, created_at=created_at, subject=headline)
