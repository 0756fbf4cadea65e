"""A room of Janus's VideoRoom plugin, as the daemon keeps it: made, adopted, entered by token, moderated, recorded."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from podium_daemon.conference.engines.janus.wire import JanusLink, JanusRefused, RoomReply
from podium_daemon.conference.events import RoomId

_EXISTS: Final = 427
_NO_SUCH: Final = (426, 428, 429)  # no such room, no such feed, no participant of that id
_PUBLISHERS: Final = 1000  # seats are the daemon's policy


class JanusRoom:
    """Requests about one room, on a handle of its own."""

    def __init__(self, link: JanusLink, handle: int, room: RoomId, *, admin_key: str) -> None:
        self.name = "podium-" + hashlib.sha256(f"janus {room}".encode()).hexdigest()[:40]
        # the same for every daemon that knows the key, so that one that finds the room can manage it
        self.secret = hashlib.sha256(f"{admin_key} {self.name}".encode()).hexdigest()
        self._link = link
        self._handle = handle
        self._admin_key = admin_key

    async def make(self) -> bool:
        """Make the room, or adopt the one a former daemon made; whether it was adopted."""
        try:
            await self._ask(
                "create",
                admin_key=self._admin_key,
                permanent=False,
                is_private=True,
                publishers=_PUBLISHERS,
                lock_record=True,  # else a publisher could start a recording
                audiocodec="opus",
                videocodec="vp8",
                bitrate=0,
                fir_freq=10,
                notify_joining=False,
                allowed=[secrets.token_hex(16)],  # an empty list would let any client in
            )
        except JanusRefused as refused:
            if refused.code != _EXISTS:
                raise
            await self._forget_tokens()
            return True
        return False

    async def destroy(self) -> None:
        """Remove all people and delete the room; a missing one counts as deleted."""
        await self._unless_gone("destroy", permanent=False)

    async def admit(self, token: str) -> None:
        """Let the holder of a token in."""
        await self._ask("allowed", action="add", allowed=[token])

    async def spend(self, token: str) -> None:
        """Revoke a token."""
        await self._ask("allowed", action="remove", allowed=[token])

    async def moderate(self, who: str, mid: str, *, mute: bool) -> None:
        """Stop or resume forwarding a media line; the participant cannot change that."""
        await self._unless_gone("moderate", id=who, mid=mid, mute=mute)

    async def _forget_tokens(self) -> None:
        # adding one tells all there are
        told = (await self._ask("allowed", action="add", allowed=[secrets.token_hex(16)])).allowed
        await self._ask("allowed", action="enable")
        keep = secrets.token_hex(16)
        await self._ask("allowed", action="add", allowed=[keep])
        await self._ask("allowed", action="remove", allowed=list(told))

    async def _unless_gone(self, request: str, **fields: object) -> None:
        try:
            await self._ask(request, **fields)
        except JanusRefused as refused:
            if refused.code not in _NO_SUCH:
                raise

    async def _ask(self, request: str, **fields: object) -> RoomReply:
        body = {"request": request, "room": self.name, "secret": self.secret, **fields}
        return (await self._link.ask_plugin(self._handle, body)).reply
