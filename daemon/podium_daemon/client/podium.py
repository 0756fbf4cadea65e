"""The client: sessions, RSVPs, attendance, reminders, rooms, and drafts that are checked before they are signed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Self

from podium_daemon.api.instructors import InstructorIn, InstructorOut, InstructorsOut
from podium_daemon.api.rooms import RoomOut
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.afterwards import LiveRecordings, SessionBadges
from podium_daemon.client.drafting import SessionDrafting
from podium_daemon.client.hook import LiveSessionHook
from podium_daemon.client.joining import RoomJoining
from podium_daemon.client.leading import RoomLeading, SessionGuests, TrainingCalling
from podium_daemon.client.left_signer import LeftSigner
from podium_daemon.client.questions import LiveQuestions
from podium_daemon.client.transport import Transport, session_path
from podium_daemon.signers.signer import Signer
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey


class PodiumClient(SessionDrafting, RoomJoining):
    """One person's view of one daemon. A session is named by naddr, address, or the beginning of its `d`.

    Every call raises `DaemonUnreachable` without an answer, `ApiProblem` if the daemon refuses, and
    `RemoteProtocolError` if the answer has another form.
    """

    def __init__(
        self,
        base_url: str,
        secret: SecretKey | Signer | None = None,
        *,
        signed_url: str | None = None,
        now: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Talk to `base_url` with this key; without a key, only public data can be read.

        Args:
            base_url: scheme, host and port of the daemon.
            secret: the key that signs every call and is never sent, or a remote signer.
            signed_url: the daemon's `web.public_url`, if that differs (a tunnel, a proxy).
            now: wall clock, Unix seconds.
            random_bytes: unguessable bytes.

        Raises:
            InvalidInput: `base_url` or `signed_url` is not a valid address.
        """
        super().__init__(Transport(base_url, secret, signed_url=signed_url, now=now, random_bytes=random_bytes))
        self.calling = TrainingCalling(self._transport)
        """The model's `TrainingCallingIntegration`."""
        self.questions = LiveQuestions(self._transport)
        """Questions and answers."""
        self.guests = SessionGuests(self._transport)
        """Personal links for people without a key."""
        self.badges = SessionBadges(self._transport, self._looked_at)
        """Public badges for participants who ask for one."""
        self.leading = RoomLeading(self._transport)
        """Raised hands, mute-all, recording."""
        self.recordings = LiveRecordings(self._transport)
        """Recordings and the consents to them."""
        self.left_signer = LeftSigner(self._transport)
        """The signer that the caller leaves with the service."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; seats stay until `leave`."""
        await self._transport.close()

    def live_session(self, reference: str) -> LiveSessionHook:
        """The model's `useLiveSession` for one session."""
        return LiveSessionHook(self, reference)

    # -- commands of instructor and co-hosts

    async def start(self, reference: str) -> SessionOut:
        """Start the session now."""
        return await self._transport.post(session_path(reference, "start"), SessionOut)

    async def end(self, reference: str) -> SessionOut:
        """End the session now."""
        return await self._transport.post(session_path(reference, "end"), SessionOut)

    async def reopen(self, reference: str) -> SessionOut:
        """Reopen the session shortly after its end."""
        return await self._transport.post(session_path(reference, "reopen"), SessionOut)

    async def admit(self, reference: str, pubkeys: Sequence[Pubkey] | None = None) -> RoomOut:
        """Let these people in, or all who wait (None)."""
        body = {"everybody": True} if pubkeys is None else {"pubkeys": pubkeys}
        return await self._transport.post(session_path(reference, "room", "admit"), RoomOut, body)

    async def remove(self, reference: str, pubkey: Pubkey, reason: str = "") -> RoomOut:
        """Remove a person for the rest of the session."""
        body = {"pubkey": pubkey, "reason": reason}
        return await self._transport.post(session_path(reference, "room", "remove"), RoomOut, body)

    # -- commands of the operator

    async def add_instructor(self, pubkey: Pubkey) -> tuple[InstructorOut, ...]:
        """Add an instructor; the caller has the service's key. Returns the list."""
        wish = InstructorIn(pubkey=pubkey)
        return (await self._transport.post("/api/instructors", InstructorsOut, wish)).instructors

    async def remove_instructor(self, pubkey: Pubkey) -> tuple[InstructorOut, ...]:
        """Remove an instructor who was added while the service ran. Returns the list."""
        wish = InstructorIn(pubkey=pubkey)
        return (await self._transport.post("/api/instructors/remove", InstructorsOut, wish)).instructors
