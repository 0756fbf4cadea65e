"""What the live-session rules read: events whose author is known, signed or out of a checked seal."""

from __future__ import annotations

from typing import TypeAlias

from podium_protocol.events import UnsignedEvent, VerifiedEvent

AuthoredEvent: TypeAlias = VerifiedEvent | UnsignedEvent
"""A verified event, or a rumor that `nips.nip59.unwrap` accepted: its seal's signature vouches for the author.

Private sessions, their RSVPs and their attendance records travel as such rumors (wire-formats.md, "Public or private").
Never hand in an unsigned event that came from outside in any other way.
"""
