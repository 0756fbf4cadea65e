"""Connections to signers that instructors left with the service, which asks them for revisions of their sessions.

No connection is opened until an event is to be signed. The caller gets a value and never an exception: a signer that
is silent or refuses is an ordinary case.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import structlog

from podium_daemon.keys.secret_file import KeyFileError
from podium_daemon.runtime.clock import Clock
from podium_daemon.signers.known_bunkers import KnownBunker, KnownBunkers
from podium_daemon.signers.remote_connection import PATIENCE, RemoteSignerConnection, SignerTransport
from podium_daemon.signers.signer import SignerRefused, SignerUnavailable
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent

_log = structlog.get_logger(__name__)
_GOODBYE_WITHIN: Final = 10.0  # seconds; a signer need not be there for us to forget it


class SigningRefused(msgspec.Struct, frozen=True):
    """The signer, or its person, refused; `words` are made safe to show. Asking again asks a person again."""

    words: str


class Unavailable(msgspec.Struct, frozen=True):
    """There is no signer, it is silent, or it returned another event than it was asked to sign: nothing was signed.

    `is_connected`: the instructor left a connection, and the signer may answer another time.
    """

    reason: str
    is_connected: bool


class InstructorSigning(Protocol):
    """What a service needs to publish in an instructor's name."""

    async def sign(self, pubkey: Pubkey, event: UnsignedEvent) -> VerifiedEvent | SigningRefused | Unavailable: ...


class _Log:
    """A listener without a person: what the signer wants of its person is logged."""

    def __init__(self, instructor: Pubkey) -> None:
        self._instructor = instructor

    def open_page(self, url: str) -> None:
        _log.warning(
            "an instructor's signer wants its person to agree on a page",
            action="signer.page",
            instructor=self._instructor,
            page=url,
        )

    def still_waiting(self) -> None:
        _log.info("waiting for an instructor's signer", action="signer.waiting", instructor=self._instructor)


class InstructorSigners:
    """The signers, one for each instructor, in files of mode 0600 named by the instructor's public key."""

    def __init__(
        self,
        files: KnownBunkers,
        transport: SignerTransport,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        patience: float = PATIENCE,
    ) -> None:
        self._files = files
        self._transport = transport
        self._clock = clock
        self._random_bytes = random_bytes
        self._patience = patience
        self._lines: dict[Pubkey, _Shared] = {}

    async def sign(self, pubkey: Pubkey, event: UnsignedEvent) -> VerifiedEvent | SigningRefused | Unavailable:
        """Have `event` signed by the instructor's signer. Its person may take minutes to agree."""
        try:
            known = await self.find(pubkey)
            if known is None:
                return Unavailable("the instructor left no signer with this service", is_connected=False)
            return await self._sign(known, event)
        except SignerRefused as error:
            return SigningRefused(str(error))
        except (SignerUnavailable, KeyFileError) as error:
            return Unavailable(str(error), is_connected=True)

    async def find(self, pubkey: Pubkey) -> KnownBunker | None:
        """The connection that the instructor left, or None.

        Raises:
            KeyFileError: a file cannot be read safely, or is damaged.
        """
        return await asyncio.to_thread(self._files.get, pubkey)

    async def save_connection(self, known: KnownBunker) -> None:
        """Store a connection whose signer has proven which key it holds; it replaces the one before.

        Raises:
            KeyFileError: the folder cannot be written.
        """
        await asyncio.to_thread(self._replace, known)
        _log.info("an instructor left a signer", action="signer.kept", instructor=known.user, signer=known.signer)

    async def forget(self, pubkey: Pubkey) -> bool:
        """Remove the instructor's connection, and tell the signer if it answers; whether there was one.

        Raises:
            KeyFileError: as `find`.
        """
        known = await self.find(pubkey)
        if known is None:
            return False
        await asyncio.to_thread(self._files.forget, known.user)  # first: the key is removed even if no signer answers
        line = self._line_to(known)
        try:
            async with asyncio.timeout(_GOODBYE_WITHIN):
                await line.resume(known)
                await line.log_out()
        except (SignerUnavailable, TimeoutError) as error:
            _log.info("a signer did not hear that it is forgotten", action="signer.gone", reason=str(error))
        finally:
            line.close()
        return True

    async def _sign(self, known: KnownBunker, event: UnsignedEvent) -> VerifiedEvent:
        shared = self._lines.setdefault(known.user, _Shared(self._line_to(known)))
        shared.users += 1
        try:
            async with shared.opening:
                if not shared.is_open:
                    await shared.line.resume(known)
                    shared.is_open = True
            return await shared.line.sign(event)
        finally:
            shared.users -= 1
            if shared.users == 0:
                del self._lines[known.user]
                shared.line.close()

    def _line_to(self, known: KnownBunker) -> RemoteSignerConnection:
        return RemoteSignerConnection(
            known.client,
            self._transport,
            listener=_Log(known.user),
            clock=self._clock,
            random_bytes=self._random_bytes,
            patience=self._patience,
        )

    def _replace(self, known: KnownBunker) -> None:
        with contextlib.suppress(InvalidInput):  # there was none
            self._files.forget(known.user)
        self._files.add(known)


class _Shared:
    """One connection for all requests to a signer at the same time."""

    def __init__(self, line: RemoteSignerConnection) -> None:
        self.line = line
        self.opening = asyncio.Lock()
        self.is_open = False
        self.users = 0
