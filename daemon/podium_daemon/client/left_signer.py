"""The signer that an instructor leaves with the service, so that it can publish revisions in their name."""

from __future__ import annotations

from typing import Final

from podium_daemon.api.signers import LeftSignerOut, OpenedOut, SignerIn, SignerOut
from podium_daemon.client.transport import Transport

_PATH: Final = "/api/service/signer"
_WAIT: Final = 25  # seconds that the daemon may wait before it answers a request


class LeftSigner:
    """`podium.left_signer`. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def show(self) -> LeftSignerOut:
        """The signer that the caller left, if any."""
        return await self._transport.get(_PATH, LeftSignerOut)

    async def take_back(self) -> LeftSignerOut:
        """Have the daemon delete its connection to the signer."""
        return await self._transport.delete(_PATH, LeftSignerOut)

    async def connect(self, bunker: str | None = None) -> OpenedOut:
        """Have the daemon connect a signer: by its `bunker://` URL, or by the one that the answer has for it."""
        wish = SignerIn(purpose="service") if bunker is None else SignerIn(purpose="service", bunker=bunker)
        return await self._transport.post("/api/signers", OpenedOut, wish)

    async def follow(self, opened: OpenedOut, seen: SignerOut) -> SignerOut:
        """The state of the connection, as soon as its version is another than `seen`, or after 25 seconds."""
        query = {"seen": str(seen.version), "wait": str(_WAIT)}
        path = f"/api/signers/{opened.signer.id}"
        return await self._transport.get(path, SignerOut, query, authorization=_secret_of(opened))

    async def give_up(self, opened: OpenedOut) -> SignerOut:
        """End a connection to which no signer has connected."""
        path = f"/api/signers/{opened.signer.id}"
        return await self._transport.delete(path, SignerOut, authorization=_secret_of(opened))


def _secret_of(opened: OpenedOut) -> str:
    return f"Podium-Signer {opened.secret}"
