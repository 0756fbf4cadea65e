"""A remote signer (NIP-46): it is asked over relays, and all its answers are checked.

A person may have to agree to each signature, which may take long. So the time-out is for a relay to take the request,
and a silent signer is reported as silent, not as dead.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.tasks import wait_for_first
from podium_daemon.signers.signer import SignerRefused, SignerUnavailable
from podium_protocol.errors import RemoteProtocolError
from podium_protocol.events import Pubkey, Rejected, SignedEvent, UnsignedEvent, VerifiedEvent, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.live.fields import web_url
from podium_protocol.nips import nip46
from podium_protocol.text import single_line

_MAX_WORDS: Final = 200
_MAX_PAGES: Final = 3  # to agree on, for one request: a signer must not keep a person busy for ever
_ANSWERS: Final = Rate(burst=200, per_second=20.0)  # that are checked and decrypted; others may copy and forge them
_SILENT_AFTER: Final = 15.0  # seconds; then the listener is told that the signer has not answered

RandomBytes = Callable[[int], bytes]


class BunkerChannel(Protocol):
    """The relays between us and the signer."""

    async def send(self, event: SignedEvent) -> str | None:
        """Send an event to every relay; None once one of them has it, else the reason why none has."""
        ...


class Listener(Protocol):
    """Is told what a person may have to do."""

    def open_page(self, url: str) -> None:
        """Show the page on which the signer wants its person to agree; `url` is http(s)."""
        ...

    def still_waiting(self) -> None:
        """Note that the signer has not answered yet."""
        ...


class _Author(msgspec.Struct):
    pubkey: str


def _author_of(raw: bytes) -> str | None:
    """The author that an unchecked event names; None if it is no event."""
    try:
        return msgspec.json.decode(raw, type=_Author).pubkey
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Pending:
    def __init__(self, event: SignedEvent) -> None:
        self.event = event
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.pages: set[str] = set()
        self.news = asyncio.Event()
        self.has_page = False


class BunkerClient:
    """Our side of the conversation with one signer. `dropped` counts events from relays that were no answer."""

    def __init__(
        self,
        client: SecretKey,
        signer: Pubkey,
        channel: BunkerChannel,
        *,
        listener: Listener,
        clock: Clock,
        random_bytes: RandomBytes,
        patience: float = 600.0,
    ) -> None:
        """`patience`: seconds a person may take to agree, counted anew when a page to agree on is named."""
        self._client = client
        self._signer = signer
        self._channel = channel
        self._listener = listener
        self._clock = clock
        self._random_bytes = random_bytes
        self._patience = patience
        self._pending: dict[str, _Pending] = {}
        self._answers = Buckets[Pubkey](_ANSWERS)
        self.dropped: Counter[str] = Counter()

    # -- requests

    async def connect(self, secret: str | None, *, perms: Sequence[int], name: str, url: str = "") -> None:
        """Connect to the signer; `secret` is the bunker URL's, good for one client. `name` and `url` are for display.

        Raises:
            SignerUnavailable: no answer, or a refusal.
        """
        params = (self._signer, secret or "", nip46.write_perms(perms), nip46.write_metadata(name, url))
        result = await self._ask("connect", *params)
        if result != "ack" and not (secret and hmac.compare_digest(result.encode(), secret.encode())):
            raise SignerUnavailable("the signer answered `connect` with something else than an agreement")

    async def get_public_key(self) -> Pubkey:
        """Ask for the public key it signs with, which is not always the signer's own.

        Raises:
            SignerUnavailable: no answer, a refusal, or no public key.
        """
        result = await self._ask("get_public_key")
        try:
            return nip46.read_user(result)
        except RemoteProtocolError as error:
            raise SignerUnavailable(str(error)) from None

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Have `event` signed.

        Raises:
            SignerUnavailable: no answer, a refusal, or another event than was asked for.
        """
        result = await self._ask("sign_event", *nip46.sign_params(event))
        try:
            return nip46.read_signed(result, event)
        except RemoteProtocolError as error:
            raise SignerUnavailable(str(error)) from None

    async def switch_relays(self) -> tuple[str, ...]:
        """Ask for the relays that the signer wants to use from now on; empty if nothing changes.

        Raises:
            SignerUnavailable: no answer, or it does not know the method.
        """
        result = await self._ask("switch_relays")
        try:
            return nip46.read_relays(result)
        except RemoteProtocolError as error:
            raise SignerUnavailable(str(error)) from None

    async def log_out(self) -> None:
        """Tell the signer that this client will not come again.

        Raises:
            SignerUnavailable: no answer, or a refusal.
        """
        await self._ask("logout")

    @property
    def unanswered(self) -> tuple[SignedEvent, ...]:
        """The open requests, to be sent again unchanged after a relay was lost: relays do not store them."""
        return tuple(pending.event for pending in self._pending.values())

    async def _ask(self, method: str, *params: str) -> str:
        request = nip46.Request(self._random_bytes(16).hex(), method, params)
        draft = nip46.write_event(
            request, self._client, self._signer, now=int(self._clock.now()), nonce=self._random_bytes(32)
        )
        pending = self._pending[request.id] = _Pending(self._client.sign(draft, self._random_bytes(32)))
        try:
            if problem := await self._channel.send(pending.event):
                raise SignerUnavailable(f"the signer cannot be reached: {problem}")
            return await self._answer(pending)
        finally:
            del self._pending[request.id]

    async def _answer(self, pending: _Pending) -> str:
        deadline = self._clock.monotonic() + self._patience
        silent_at: float | None = self._clock.monotonic() + _SILENT_AFTER
        while not pending.answer.done():
            now = self._clock.monotonic()
            if now >= deadline:
                raise SignerUnavailable(f"the signer did not answer within {self._patience:.0f} s")
            if silent_at is not None and now >= silent_at:
                silent_at = None
                self._listener.still_waiting()
            await self._wait(pending, (deadline if silent_at is None else min(silent_at, deadline)) - now)
            if pending.has_page:  # a person who agrees there has the full time again
                pending.has_page = False
                deadline, silent_at = self._clock.monotonic() + self._patience, None
        return pending.answer.result()

    async def _wait(self, pending: _Pending, seconds: float) -> None:
        await wait_for_first(self._clock.sleep(seconds), _until(pending.news))

    # -- responses

    def receive(self, raw: bytes) -> bool:
        """Take one unchecked event; one that is no answer of our signer to an open request is counted and dropped.

        Returns False for an event that no relay may pass on: it is forged or malformed.

        Any stranger can write to our key: what need not be checked costs no signature check and no decryption.
        """
        if not self._pending:
            self.dropped["unasked"] += 1
        elif (author := _author_of(raw)) not in (None, self._signer):
            self.dropped["stranger"] += 1
        elif author is not None and not self._answers.take_tokens(self._signer, self._clock.monotonic()):
            self.dropped["too_many"] += 1
        elif isinstance(event := verify_json(raw), Rejected):
            self.dropped[event.reason.value] += 1
            return False
        else:
            self._read(event)
        return True

    def _read(self, event: VerifiedEvent) -> None:
        try:
            response = nip46.read_response(event, self._client)
        except RemoteProtocolError:
            self.dropped["unreadable"] += 1
            return
        pending = self._pending.get(response.id)
        if pending is None or pending.answer.done():
            self.dropped["unasked"] += 1
            return
        self._settle(pending, nip46.answer_of(response))

    def _settle(self, pending: _Pending, answer: nip46.Answer) -> None:
        pending.news.set()
        match answer:
            case nip46.Granted(result):
                pending.answer.set_result(result)
            case nip46.BunkerRefused(words):
                said = single_line(words, _MAX_WORDS) or "it gave no reason"
                pending.answer.set_exception(SignerRefused(f"the signer refused: {said}"))
            case nip46.ApprovalNeeded(url):
                page = web_url(url)
                if page is None or page in pending.pages or len(pending.pages) >= _MAX_PAGES:
                    self.dropped["bad_auth_url"] += 1
                    return
                pending.pages.add(page)
                pending.has_page = True
                self._listener.open_page(page)


async def _until(event: asyncio.Event) -> None:
    await event.wait()
    event.clear()


class BunkerSigner:
    """A `Signer` whose key is with a remote signer."""

    def __init__(self, client: BunkerClient, user: Pubkey) -> None:
        """`user`: the public key that `get_public_key` returned when the connection was made."""
        self._client = client
        self._user = user

    @property
    def pubkey(self) -> Pubkey:
        return self._user

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Have `event` signed; see `Signer.sign`."""
        if event.pubkey != self._user:
            raise SignerUnavailable("the event names another author than the signer's user")
        return await self._client.sign(event)
