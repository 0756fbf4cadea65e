"""The caller's signature from a remote signer: `--bunker` in the place of `--key`, so that the key is never here."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from podium_daemon.cli.options import pubkeys
from podium_daemon.cli.output import note
from podium_daemon.cli.signer_channel import SignerChannel
from podium_daemon.clock import SystemClock
from podium_daemon.keyfile import new_secret
from podium_daemon.signers.base import SignerUnavailable
from podium_daemon.signers.bunker import BunkerClient, BunkerSigner
from podium_daemon.signers.known_bunkers import KnownBunker, KnownBunkers
from podium_protocol import kinds
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip46

_KINDS: Final = (kinds.SESSION, kinds.RSVP, kinds.DELETION, kinds.HTTP_AUTH)
_NAME: Final = "Podium"
_GOODBYE_WITHIN: Final = 10.0  # seconds; a signer need not be there for us to forget it
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
    """A channel to one signer and the conversation over it; lives on a loop that runs while somebody waits for it."""

    def __init__(self, client: SecretKey, signer: Pubkey, relays: tuple[str, ...]) -> None:
        self._runner = asyncio.Runner()
        clock = SystemClock()
        self.channel = SignerChannel(client, signer, relays, clock=clock, random_bytes=secrets.token_bytes)
        self.bunker = BunkerClient(
            client,
            signer,
            self.channel,
            listener=TerminalListener(),
            clock=clock,
            random_bytes=secrets.token_bytes,
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def open(self) -> None:
        self.run(self.channel.open(self.bunker))

    def close(self) -> None:
        try:
            self.run(self.channel.close())
        finally:
            self._runner.close()


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
            self._line = _Line(self._known.client, self._known.signer, self._known.relays)
            self._line.open()
        return self._line.run(BunkerSigner(self._line.bunker, self._known.user).sign(event))

    def close(self) -> None:
        """Leave the relays, where they were ever joined."""
        if self._line is not None:
            self._line.close()
            self._line = None


def find_signer(named: str, known: KnownBunkers) -> KnownBunker:
    """The signer that `--bunker` names: one that is connected, by its key or its URL, or a new one by its URL.

    Raises:
        InvalidInput: neither a bunker URL nor a key of a signer that is connected.
        SignerUnavailable: a new one could not be connected.
    """
    if named.strip().startswith("bunker://"):
        url = nip46.parse_bunker(named)
        return known.get(url.signer) or connect(url, known)
    found = known.get(pubkeys([named], "--bunker")[0])
    if found is None:
        raise InvalidInput("--bunker: that signer is not connected: give its bunker:// URL once, see `podium signer`")
    return found


def connect(url: nip46.BunkerUrl, known: KnownBunkers) -> KnownBunker:
    """Introduce a fresh client key to a signer, and keep it once the signer let it in.

    Raises:
        InvalidInput: it is connected already.
        SignerUnavailable: it does not answer, or refuses.
    """
    if known.get(url.signer) is not None:
        raise InvalidInput("that signer is connected already: `podium signer forget` first, for a new connection")
    client = new_secret()
    line = _Line(client, url.signer, url.relays)
    try:
        line.open()
        line.run(line.bunker.connect(url.secret, perms=_KINDS, name=_NAME))
        user = line.run(line.bunker.get_public_key())
    finally:
        line.close()
    made = KnownBunker(url.signer, user, url.relays, client)
    known.add(made)
    return made


def say_goodbye(known: KnownBunker) -> None:
    """Tell a signer that this client will not come again, if it hears it."""
    line = _Line(known.client, known.signer, known.relays)
    try:
        with contextlib.suppress(SignerUnavailable, TimeoutError):
            line.run(asyncio.wait_for(_log_out(line), _GOODBYE_WITHIN))
    finally:
        line.close()


async def _log_out(line: _Line) -> None:
    await line.channel.open(line.bunker)
    await line.bunker.log_out()
