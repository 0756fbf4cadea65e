"""A Blossom server on loopback that holds uploads to BUD-01, BUD-02 and BUD-11, and can misbehave on request."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.web.server import WebServer, listen
from podium_protocol import tags
from podium_protocol.events import VerifiedEvent, verify_json


class BlossomPeer:
    """`flaw` is how it misbehaves: see the tests. `tokens` are the tokens it accepted, `words` why it refused last."""

    def __init__(self, clock: Clock, *, flaw: str = "", elsewhere: str = "") -> None:
        self.clock = clock
        self.flaw = flaw
        self.elsewhere = elsewhere
        self.url = ""
        self.blobs: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.tokens: list[VerifiedEvent] = []
        self.hosts: list[str] = []
        self.words = ""

    def app(self) -> Starlette:
        """Its endpoints."""
        return Starlette(
            routes=[
                Route("/upload", self.upload, methods=["PUT"]),
                Route("/{name}", self.give, methods=["GET"]),
                Route("/{name}", self.delete, methods=["DELETE"]),
            ]
        )

    async def upload(self, request: Request) -> Response:
        """BUD-02, with the checks of BUD-11."""
        body = await request.body()
        self.words = self._objection(request, body)
        if self.words:
            return Response(status_code=401, headers={"X-Reason": self.words})
        if self.flaw == "refused":
            return Response(b'{"message": "no"}', 413, headers={"X-Reason": "too large\x1b[31m for you"})
        if self.flaw == "slow":
            await asyncio.sleep(60)
        digest = hashlib.sha256(body).hexdigest()
        self.blobs[digest], self.types[digest] = body, request.headers["content-type"]
        if self.flaw == "nonsense":
            return Response(b"<html>stored, trust me</html>", 201)
        url = f"{self.elsewhere or self.url}/{digest}.webm"
        claimed = {"url": url, "sha256": digest, "size": len(body), "type": "video/webm", "uploaded": 1}
        if self.flaw == "other hash":
            claimed["sha256"] = "0" * 64
        return JSONResponse(claimed, 201)

    async def give(self, request: Request) -> Response:
        """BUD-01."""
        self.hosts.append(request.headers["host"])
        digest = request.path_params["name"].removesuffix(".webm")
        body = self.blobs.get(digest)
        if body is None or self.flaw == "lost":
            return Response(status_code=404)
        if self.flaw == "changed":
            body = bytes([body[0] ^ 1]) + body[1:]
        if self.flaw == "truncated":
            body = body[:-1]
        if self.flaw == "longer":
            body += b"x"
        if self.flaw == "redirect":
            return RedirectResponse("http://169.254.169.254/latest", 307)
        return Response(body, media_type=self.types[digest])

    async def delete(self, request: Request) -> Response:
        """BUD-02, by a token for this very blob."""
        digest = request.path_params["name"]
        text = request.headers.get("authorization", "").removeprefix("Nostr ")
        event = verify_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        allowed = isinstance(event, VerifiedEvent) and list(tags.values(event.tags, "t")) == ["delete"]
        if not allowed or digest not in list(tags.values(event.tags, "x")) or self.flaw == "keeps":
            return Response(status_code=401, headers={"X-Reason": "this stays"})
        return Response(status_code=404 if self.blobs.pop(digest, None) is None else 204)

    def _objection(self, request: Request, body: bytes) -> str:
        """Why the token does not allow this upload, by the six checks of BUD-11; empty if it does."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme != "Nostr" or "=" in text or "+" in text or "/" in text:
            return "the header is not Nostr and URL-safe base64 without padding"
        event = verify_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(event, VerifiedEvent) or event.kind != 24242:
            return "no valid event of kind 24242"
        now, digest = self.clock.now(), hashlib.sha256(body).hexdigest()
        checks = {
            "dated in the future": event.created_at <= now,
            "expired": int(tags.first(event.tags, "expiration") or 0) > now,
            "for another action": list(tags.values(event.tags, "t")) == ["upload"],
            "for another server": "127.0.0.1" in list(tags.values(event.tags, "server")),
            "for another blob": digest in list(tags.values(event.tags, "x")),
            "without words": bool(event.content),
            "another hash announced": request.headers.get("x-sha-256") == digest,
            "another length announced": request.headers.get("content-length") == str(len(body)),
        }
        self.tokens.append(event)
        return next((why for why, is_good in checks.items() if not is_good), "")


@asynccontextmanager
async def blossom_peer(clock: Clock, *, flaw: str = "", elsewhere: str = "") -> AsyncIterator[BlossomPeer]:
    """One that serves."""
    peer = BlossomPeer(clock, flaw=flaw, elsewhere=elsewhere)
    listener = listen("127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    stop = Stop()
    serving = asyncio.create_task(WebServer(peer.app(), listener, drain_seconds=1).run(stop))
    try:
        yield peer
    finally:
        stop.set()
        await serving
        listener.close()
