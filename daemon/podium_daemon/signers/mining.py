"""A signer that first does the work that relays ask for (NIP-13): an event is mined before it is signed and stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from podium_daemon.signers.signer import Signer
from podium_protocol import kinds
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.nips import nip13


class MiningSigner:
    """Signs through another signer what goes to relays that may ask for work."""

    def __init__(self, signer: Signer, *, bits: Callable[[], int]) -> None:
        """`bits`: the work that is to be done now, 0 for none."""
        self._signer = signer
        self._bits = bits
        self._turn = asyncio.Lock()  # one event at a time: threads that compute slow the event loop down

    @property
    def pubkey(self) -> Pubkey:
        return self._signer.pubkey

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Mine on a thread if need be, and sign; see `Signer.sign`. Logins and what else is not stored is not mined."""
        bits = 0 if kinds.is_ephemeral(event.kind) else self._bits()
        if bits:
            async with self._turn:
                mined = await asyncio.to_thread(nip13.mine, event, bits)
            return await self._signer.sign(event if mined is None else mined)
        return await self._signer.sign(event)
