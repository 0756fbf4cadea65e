"""A signer that first does the proof of work that relays ask for (NIP-13), before the event is signed and stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from podium_daemon.signers.signer import Signer
from podium_protocol import kinds
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.nips import nip13


class MiningSigner:
    """Mines events for relays that ask for work, and signs them through another signer."""

    def __init__(self, signer: Signer, *, bits: Callable[[], int]) -> None:
        """`bits`: the work to do now, 0 for none."""
        self._signer = signer
        self._bits = bits
        self._turn = asyncio.Lock()  # one event at a time: threads that compute slow the event loop down

    @property
    def pubkey(self) -> Pubkey:
        return self._signer.pubkey

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Mine on a thread if needed, and sign; see `Signer.sign`. Logins and other ephemeral events are not mined."""
        bits = 0 if kinds.is_ephemeral(event.kind) else self._bits()
        if bits:
            async with self._turn:
                mined = await asyncio.to_thread(nip13.mine, event, bits)
            return await self._signer.sign(event if mined is None else mined)
        return await self._signer.sign(event)
