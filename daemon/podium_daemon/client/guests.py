"""Guests of a session over HTTP: personal links for people without a Nostr key, for those who lead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from podium_daemon.api.guests import GuestOut, GuestsOut
from podium_daemon.client.transport import Transport, session_path


class SessionGuests:
    """`podium.guests`. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def list(self, reference: str) -> GuestsOut:
        """The guests of a session, without their links."""
        return await self._transport.get(session_path(reference, "guests"), GuestsOut)

    async def invite(self, reference: str, names: Sequence[str]) -> GuestsOut:
        """Make a personal link for each name; the answer has the links, which are told once."""
        return await self._transport.post(session_path(reference, "guests"), GuestsOut, {"names": list(names)})

    async def change(self, reference: str, pubkey: str, what: Literal["renew", "revoke"]) -> GuestOut:
        """Make a new link for a guest who moved to another device, or take a guest's link back."""
        return await self._transport.post(session_path(reference, "guests", pubkey, what), GuestOut)
