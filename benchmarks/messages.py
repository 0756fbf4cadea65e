"""Reminders to people who were made up for the occasion: what the works about gift wraps write."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

from podium_protocol import kinds
from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip44, nip59

TEXT: Final = (
    "Know your rights starts in one hour, at 18:00 (Europe/Berlin). "
    "Join with one click when it opens: https://podium.example/sessions/4f2a9c"
)
_AN_HOUR: Final = 3600


class Drafts:
    """One message of ours to each of some people, ready to be wrapped."""

    def __init__(self, people: int) -> None:
        """Make the people and the rumors; wrapping is left to be timed."""
        self.sender = SecretKey(os.urandom(32))
        self.now = int(time.time())
        self.people = [SecretKey(os.urandom(32)).pubkey for _ in range(people)]
        self.rumors = [
            UnsignedEvent(self.sender.pubkey, self.now, kinds.PRIVATE_MESSAGE, (("p", person),), TEXT)
            for person in self.people
        ]

    def conversation_keys(self) -> list[bytes]:
        """What is kept of a person who is written to again."""
        return [nip44.conversation_key(self.sender, person) for person in self.people]

    def wraps(self, keys: list[bytes] | None = None) -> Iterator[SignedEvent]:
        """Seal and wrap each message when it is asked for; with `keys` the conversation keys are not computed."""
        for number, (person, rumor) in enumerate(zip(self.people, self.rumors, strict=True)):
            yield nip59.gift_wrap(
                rumor,
                self.sender,
                person,
                now=self.now,
                entropy=os.urandom(nip59.ENTROPY_BYTES),
                conversation_key=None if keys is None else keys[number],
                expiration=self.now + _AN_HOUR,
            )
