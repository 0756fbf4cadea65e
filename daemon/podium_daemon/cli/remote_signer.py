"""The caller's signature from a remote signer: `--bunker` in the place of `--key`, so that the key is never here."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from podium_daemon.cli.options import pubkey_of
from podium_daemon.cli.output import note
from podium_daemon.keys.key_file import new_secret
from podium_daemon.relays.mailboxes import Mailboxes
from podium_daemon.relays.pool import PoolRelay
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.signers.invitation import SignerInvitation
from podium_daemon.signers.known_bunkers import KnownBunker, KnownBunkers
from podium_daemon.signers.remote_connection import PATIENCE, RemoteSignerConnection
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip42, nip46

NAME: Final = "Podium"
_GOODBYE_WITHIN: Final = 10.0  # seconds; a signer need not be there for us to forget it
_SAY_EVERY: Final = 30.0  # seconds
T = TypeVar("T")


class TerminalListener:
    """Tells whoever sits before the command what their signer wants."""

    def open_page(self, url: str) -> None:
        """Name the page."""
        note(f"Your signer asks you to agree on this page: {url}")

    def still_waiting(self) -> None:
        """Say what is waited for."""
        note(
            "Waiting for your signer: does it run, and does it ask you to agree? Ctrl-C ends this, with nothing signed."
        )


class _Line:
    """A line to one signer, on a loop that runs while somebody waits for it."""

    def __init__(self, client: SecretKey, relays: Sequence[str], patience: float = PATIENCE) -> None:
        self._runner = asyncio.Runner()
        self._client = client
        self._clock = SystemClock()
        self._stop = Stop(self._clock)
        self._mailboxes = Mailboxes(
            [PoolRelay(url, dm=False) for url in relays], clock=self._clock, signer=self._sign_in
        )
        self._running: asyncio.Task[None] | None = None
        self.signer = RemoteSignerConnection(
            client,
            self._mailboxes,
            listener=TerminalListener(),
            clock=self._clock,
            random_bytes=secrets.token_bytes,
            patience=patience,
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(self._beside_the_relays(work))

    def close(self) -> None:
        try:
            self._runner.run(self._end())
        finally:
            self._runner.close()

    async def _beside_the_relays(self, work: Coroutine[Any, Any, T]) -> T:
        if self._running is None:
            self._running = asyncio.create_task(self._mailboxes.run(self._stop))
        return await work

    async def _end(self) -> None:
        self.signer.close()
        self._stop.set()
        if self._running is not None:
            await self._running

    async def _sign_in(self, relay_url: str, challenge: str) -> SignedEvent:
        draft = nip42.write_auth(self._client.pubkey, relay_url, challenge, int(self._clock.now()))
        return self._client.sign(draft, secrets.token_bytes(32))


class RemoteSigner:
    """A `CallerSigner` elsewhere. Opened at the first signature; `close` it at the end of the command."""

    def __init__(self, known: KnownBunker) -> None:
        self._known = known
        self._line: _Line | None = None

    @property
    def pubkey(self) -> Pubkey:
        return self._known.user

    def sign(self, event: UnsignedEvent, _aux: bytes) -> SignedEvent:
        """Have `event` signed.

        Raises:
            SignerUnavailable: see `BunkerClient.sign`.
        """
        if self._line is None:
            self._line = _Line(self._known.client, self._known.relays)
            self._line.run(self._line.signer.resume(self._known))
        return self._line.run(self._line.signer.sign(event))

    def close(self) -> None:
        """Leave the relays, where they were ever joined."""
        if self._line is not None:
            self._line.close()
            self._line = None


def find_signer(named: str, known: KnownBunkers) -> KnownBunker:
    """The signer that `--bunker` names: one that is connected, by its key or its URL, or a new one by its URL.

    The URL of one that is connected may name relays that are new: the signer moved, and is asked there too from now on.

    Raises:
        InvalidInput: neither a bunker URL nor a key of a signer that is connected.
        SignerUnavailable: a new one could not be connected.
    """
    if named.strip().startswith("bunker://"):
        url = nip46.parse_bunker(named)
        found = known.get(url.signer)
        return connect(url, known) if found is None else known.move(found, url.relays)
    found = known.get(pubkey_of(named, "--bunker"))
    if found is None:
        raise InvalidInput("--bunker: that signer is not connected: give its bunker:// URL once, see `podium signer`")
    return found


def connect(url: nip46.BunkerUrl, known: KnownBunkers) -> KnownBunker:
    """Introduce a fresh client key to a signer, and keep it once the signer let it in.

    One that is connected, and names relays that are new, has moved: those are noted, and our key there stays.

    Raises:
        InvalidInput: it is connected already, on the same relays.
        SignerUnavailable: it does not answer, or refuses.
    """
    if (found := known.get(url.signer)) is not None:
        if (moved := known.move(found, url.relays)) != found:
            return moved
        raise InvalidInput("that signer is connected already: `podium signer forget` first, for a new connection")
    line = _Line(new_secret(), url.relays)
    try:
        made = line.run(line.signer.connect(url, name=NAME))
    finally:
        line.close()
    known.add(made)
    return made


def invite(
    relays: Sequence[str], known: KnownBunkers, *, show: Callable[[str], None], patience: float = PATIENCE
) -> KnownBunker:
    """Wait for a signer that was shown our `nostrconnect://` URL, and keep the connection in the place of an older one.

    Raises:
        SignerUnavailable: none came in time.
        KeyFileError: the connection cannot be kept.
    """
    client = new_secret()
    line = _Line(client, relays, patience)
    try:
        made = line.run(_invited(line.signer, client, relays, show, patience))
    finally:
        line.close()
    with contextlib.suppress(InvalidInput):  # there was none
        known.forget(made.signer)
    known.add(made)
    return made


async def _invited(
    line: RemoteSignerConnection, client: SecretKey, relays: Sequence[str], show: Callable[[str], None], patience: float
) -> KnownBunker:
    invitation = SignerInvitation(client, relays, name=NAME, random_bytes=secrets.token_bytes)
    saying = asyncio.create_task(_say_what_is_waited_for(patience))
    try:
        return await line.accept(invitation, relays, show)
    finally:
        saying.cancel()


async def _say_what_is_waited_for(patience: float) -> None:
    left = patience - _SAY_EVERY
    while left > 0:
        await asyncio.sleep(_SAY_EVERY)
        note(f"Waiting for a signer to scan the code: {left / 60:.1f} minutes left. Ctrl-C ends this.")
        left -= _SAY_EVERY


def say_goodbye(known: KnownBunker) -> None:
    """Tell a signer that this client will not come again, if it hears it."""
    line = _Line(known.client, known.relays)
    try:
        with contextlib.suppress(SignerUnavailable, TimeoutError):
            line.run(asyncio.wait_for(_log_out(line.signer, known), _GOODBYE_WITHIN))
    finally:
        line.close()


async def _log_out(line: RemoteSignerConnection, known: KnownBunker) -> None:
    await line.resume(known)
    await line.log_out()
