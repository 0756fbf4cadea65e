"""The caller's signature from a remote signer: `--bunker` instead of `--key`, so that the key is never here."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

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
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip42, nip46

NAME: Final = "Podium"
_GOODBYE_WITHIN: Final = 10.0  # seconds; a signer need not be there for us to forget it
_SAY_EVERY: Final = 30.0  # seconds


class TerminalListener:
    """Tells the person at the terminal what their signer wants."""

    def open_page(self, url: str) -> None:
        """Name the page."""
        note(f"Your signer asks you to agree on this page: {url}")

    def still_waiting(self) -> None:
        """Say what is waited for."""
        note(
            "Waiting for your signer: does it run, and does it ask you to agree? Ctrl-C ends this, with nothing signed."
        )


@contextlib.asynccontextmanager
async def _connected(
    client: SecretKey, relays: Sequence[str], patience: float = PATIENCE
) -> AsyncIterator[RemoteSignerConnection]:
    """A connection to one signer over these relays."""
    clock = SystemClock()
    stop = Stop(clock)

    async def sign_in(relay_url: str, challenge: str) -> SignedEvent:
        return client.sign(
            nip42.write_auth(client.pubkey, relay_url, challenge, int(clock.now())), secrets.token_bytes(32)
        )

    mailboxes = Mailboxes([PoolRelay(url, dm=False) for url in relays], clock=clock, signer=sign_in)
    connection = RemoteSignerConnection(
        client,
        mailboxes,
        listener=TerminalListener(),
        clock=clock,
        random_bytes=secrets.token_bytes,
        patience=patience,
    )
    running = asyncio.create_task(mailboxes.run(stop))
    try:
        yield connection
    finally:
        connection.close()
        stop.set()
        await running


class RemoteSigner:
    """A `Signer` elsewhere. Connected at the first signature; `close` it at the end of the command."""

    def __init__(self, known: KnownBunker) -> None:
        self._known = known
        self._opened = contextlib.AsyncExitStack()
        self._connection: RemoteSignerConnection | None = None

    @property
    def pubkey(self) -> Pubkey:
        return self._known.user

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Have `event` signed.

        Raises:
            SignerUnavailable: see `BunkerClient.sign`.
        """
        if self._connection is None:
            opening = _connected(self._known.client, self._known.relays)
            self._connection = await self._opened.enter_async_context(opening)
            await self._connection.resume(self._known)
        return await self._connection.sign(event)

    async def close(self) -> None:
        """Leave the relays, where they were ever joined."""
        await self._opened.aclose()


async def find_signer(named: str, known: KnownBunkers) -> KnownBunker:
    """The signer that `--bunker` names: one that is connected, by its key or its URL, or a new one by its URL.

    The URL of one that is connected may name relays that are new: the signer moved, and is asked there too from now on.

    Raises:
        InvalidInput: neither a bunker URL nor a key of a signer that is connected.
        SignerUnavailable: a new one could not be connected.
    """
    if named.strip().startswith("bunker://"):
        url = nip46.parse_bunker(named)
        found = known.get(url.signer)
        return await connect(url, known) if found is None else known.move(found, url.relays)
    found = known.get(pubkey_of(named, "--bunker"))
    if found is None:
        raise InvalidInput("--bunker: that signer is not connected: give its bunker:// URL once, see `podium signer`")
    return found


async def connect(url: nip46.BunkerUrl, known: KnownBunkers) -> KnownBunker:
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
    async with _connected(new_secret(), url.relays) as connection:
        made = await connection.connect(url, name=NAME)
    known.add(made)
    return made


async def invite(
    relays: Sequence[str], known: KnownBunkers, *, show: Callable[[str], None], patience: float = PATIENCE
) -> KnownBunker:
    """Wait for a signer that was shown our `nostrconnect://` URL, and keep the connection in the place of an older one.

    Raises:
        SignerUnavailable: none came in time.
        KeyFileError: the connection cannot be kept.
    """
    client = new_secret()
    invitation = SignerInvitation(client, relays, name=NAME, random_bytes=secrets.token_bytes)
    async with _connected(client, relays, patience) as connection:
        saying = asyncio.create_task(_say_what_is_waited_for(patience))
        try:
            made = await connection.accept(invitation, relays, show)
        finally:
            saying.cancel()
    with contextlib.suppress(InvalidInput):  # there was none
        known.forget(made.signer)
    known.add(made)
    return made


async def _say_what_is_waited_for(patience: float) -> None:
    left = patience - _SAY_EVERY
    while left > 0:
        await asyncio.sleep(_SAY_EVERY)
        note(f"Waiting for a signer to scan the code: {left / 60:.1f} minutes left. Ctrl-C ends this.")
        left -= _SAY_EVERY


async def say_goodbye(known: KnownBunker) -> None:
    """Tell a signer that this client will not come again, if it hears it."""
    async with _connected(known.client, known.relays) as connection:
        with contextlib.suppress(SignerUnavailable, TimeoutError):
            async with asyncio.timeout(_GOODBYE_WITHIN):
                await connection.resume(known)
                await connection.log_out()
