"""One person's calls to the daemon's HTTP interface, each signed with their own key (NIP-98)."""

from __future__ import annotations

import secrets
import time
from typing import Final

import httpx
import msgspec

from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip98

_decode_template: Final = msgspec.json.Decoder(UnsignedEvent).decode


class Answer(Exception):  # noqa: N818  (what the daemon said, when it said no)
    """The daemon refused a call."""


class Api:
    """The interface as one key sees it."""

    def __init__(self, base: str, secret: SecretKey) -> None:
        self._base = base.rstrip("/")
        self._secret = secret

    def sign(self, event: UnsignedEvent) -> SignedEvent:
        """Sign as this person."""
        return self._secret.sign(event, secrets.token_bytes(32))

    async def get(self, path: str) -> dict[str, object]:
        """A signed GET."""
        return await self._call("GET", path, None, None)

    async def post(self, path: str, body: object = None) -> dict[str, object]:
        """A signed POST with a JSON body."""
        return await self._call("POST", path, None if body is None else msgspec.json.encode(body), None)

    async def post_proof(self, path: str, proof: SignedEvent) -> dict[str, object]:
        """A POST whose login is the given proof."""
        return await self._call("POST", path, None, proof)

    async def sign_and_submit(self, draft: dict[str, object]) -> dict[str, object]:
        """Sign the templates of a draft in their order and hand them in."""
        templates = draft["events"]
        assert isinstance(templates, list), "a draft holds a list of events"
        signed = [self.sign(_decode_template(msgspec.json.encode(template))) for template in templates]
        return await self.post("/api/events", {"events": signed})

    async def _call(self, method: str, path: str, body: bytes | None, proof: SignedEvent | None) -> dict[str, object]:
        url = f"{self._base}{path}"
        # two equal calls within one second would be one event, and an event is good for one call
        unique = (("nonce", secrets.token_hex(8)),)
        login = proof or self.sign(nip98.write(self._secret.pubkey, url, method, body, int(time.time()), unique))
        headers = {"Authorization": nip98.write_header(login), "Content-Type": "application/json"}
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            response = await client.request(method, url, content=body, headers=headers)
        if response.status_code >= 400:
            raise Answer(f"{method} {path}: {response.status_code} {response.text[:300]}")
        return msgspec.json.decode(response.content, type=dict[str, object])
