"""One page's remote signer: paired, then asked for signatures. The page sees its state as numbered versions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal

import msgspec

from podium_daemon.keys.secret_file import KeyFileError
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.signers.instructors import InstructorSigners
from podium_daemon.signers.known_bunkers import KnownBunker
from podium_daemon.signers.remote_connection import RemoteSignerConnection
from podium_daemon.signers.signer import SignerRefused, SignerUnavailable
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.nips import nip98

Purpose = Literal["page", "service"]
"""The page signs in with it, or an instructor leaves it with the service (`InstructorSigners`)."""

State = Literal["pairing", "connected", "kept", "over"]

MAX_ASKED: Final = 16
"""The most requests that one page may have open, and the most answers that wait for it to read them."""

_GOODBYE_WITHIN: Final = 10.0


class SigningRequest(msgspec.Struct, frozen=True):
    """One request. `event` once signed; `words` say what went wrong: a stranger's text, made safe to show."""

    id: str
    state: Literal["asked", "signed", "refused", "failed"]
    event: VerifiedEvent | None = None
    words: str = ""


class View(msgspec.Struct, frozen=True):
    """The state of the connection. `version` grows with each change.

    `page`: http(s), where the signer wants its person to agree; `is_slow`: it has not answered for a while.
    """

    id: str
    version: int
    state: State
    url: str | None
    user: Pubkey | None
    page: str | None
    is_slow: bool
    problem: str | None
    asked: tuple[SigningRequest, ...]


class PageSigner:
    """A connection, which is also the `Listener` of its signer."""

    line: RemoteSignerConnection
    digest: bytes
    """The hash of the secret that the page has."""

    def __init__(self, signer_id: str, purpose: Purpose, *, clock: Clock) -> None:
        self.id = signer_id
        self.purpose = purpose
        self.tasks: set[asyncio.Task[None]] = set()
        self.last_used = clock.monotonic()
        self._clock = clock
        self._version = 0
        self._state: State = "pairing"
        self._url: str | None = None
        self._page: str | None = None
        self._is_slow = False
        self._problem: str | None = None
        self._asked: dict[str, SigningRequest] = {}
        self._changed = asyncio.Event()
        self._hurry = False

    @property
    def is_connected(self) -> bool:
        """Whether a signer is connected and can be asked."""
        return self._state == "connected"

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended."""
        return self._state in ("kept", "over")

    # -- what the page sees

    @property
    def view(self) -> View:
        """The state now."""
        known = self.line.known
        return View(
            id=self.id,
            version=self._version,
            state=self._state,
            url=self._url if self._state == "pairing" else None,
            user=None if known is None else known.user,
            page=self._page,
            is_slow=self._is_slow,
            problem=self._problem,
            asked=tuple(self._asked.values()),
        )

    async def news(self, seen: int, within: float) -> View:
        """Wait until the view differs from version `seen`, for `within` seconds at most, and return it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._version == seen and not self._hurry:
                    await self._changed.wait()
        return self.view

    def hurry(self) -> None:
        """Wake all callers that wait for news."""
        self._hurry = True
        self._change()

    # -- the listener

    def open_page(self, url: str) -> None:
        """The signer wants its person to agree on a page."""
        self._page = url
        self._change()

    def still_waiting(self) -> None:
        """The signer has not answered yet."""
        self._is_slow = True
        self._change()

    # -- pairing

    def show(self, url: str) -> None:
        """Let the page show this URL to the person's signer: we listen now."""
        self._url = url
        self._change()

    async def pair(
        self,
        pairing: Callable[[], Coroutine[Any, Any, KnownBunker]],
        hand_over: Callable[[], Coroutine[Any, Any, None]] | None,
    ) -> None:
        """Wait for the pairing, and then hand the connection over if that is its purpose."""
        try:
            await pairing()
            if hand_over is not None:
                await hand_over()
        except (SignerUnavailable, KeyFileError) as error:
            self.end(str(error))
            return
        self._state = "connected" if hand_over is None else "kept"
        self._be_calm()
        if hand_over is not None:
            self.line.close()

    async def hand_over(
        self, instructors: InstructorSigners, is_instructor: Callable[[Pubkey], bool], public_url: str
    ) -> None:
        """Hand the connection to the service, once the signer has proven by one signature which key it holds.

        Raises:
            SignerUnavailable: the key is not an instructor's, or the signer does not sign.
            KeyFileError: the connection cannot be stored.
        """
        known = self.line.known
        assert known is not None, "it is paired"
        if not is_instructor(known.user):
            raise SignerUnavailable("this key is not on the service's list of instructors: ask its operator")
        # `get_public_key` is only a claim: with it an attacker could put their own signer in an instructor's place
        url = f"{public_url.rstrip('/')}/api/service/signer"
        proof = nip98.write(known.user, url, "PUT", None, int(self._clock.now()), (("nonce", self.id),))
        await self.line.sign(proof)
        await instructors.save_connection(known)

    # -- asking

    def request_signature(self, request_id: str, event: UnsignedEvent) -> Coroutine[Any, Any, None] | Rejection | None:
        """Return the work of one request; None if it is under way already: a page that lost an answer asks again."""
        if request_id in self._asked:
            return None
        if not self.is_connected:
            return Rejection(Slug.SIGNER_NOT_CONNECTED, "no signer is connected yet", "Connect the signer first.")
        if event.pubkey != self.line.pubkey:
            return Rejection(Slug.BAD_PUBKEY, "the event names another author than the signer's", "Sign in again.")
        done = [one.id for one in self._asked.values() if one.state != "asked"]
        if len(self._asked) >= MAX_ASKED and not done:
            return Rejection(
                Slug.TOO_MANY_REQUESTS, "the signer is asked for too much at once", "Answer what it asks first."
            )
        if len(self._asked) >= MAX_ASKED:
            del self._asked[done[0]]  # the oldest answer, read or not
        self._note(SigningRequest(request_id, "asked"))
        return self._sign(request_id, event)

    async def _sign(self, request_id: str, event: UnsignedEvent) -> None:
        try:
            signed = await self.line.sign(event)
        except SignerRefused as error:
            answer = SigningRequest(request_id, "refused", words=str(error))
        except SignerUnavailable as error:
            answer = SigningRequest(request_id, "failed", words=str(error))
        else:
            answer = SigningRequest(request_id, "signed", signed)
        if request_id in self._asked:
            self._note(answer)
        if all(one.state != "asked" for one in self._asked.values()):
            self._be_calm()

    # -- the end

    async def say_goodbye(self) -> None:
        """Tell the signer that this page will not come again."""
        try:
            async with asyncio.timeout(_GOODBYE_WITHIN):
                await self.line.log_out()
        except (SignerUnavailable, TimeoutError):
            return  # it need not be there for us to forget it
        finally:
            self.line.close()

    def end(self, why: str) -> None:
        """End the connection and its open requests; `why` is shown on the page."""
        self.give_up(why)
        self.line.close()

    def give_up(self, why: str) -> None:
        """As `end`, but the connection to the signer stays open for `say_goodbye`."""
        if self.is_over:
            return
        self._state, self._problem = "over", why
        self._asked = {
            one.id: SigningRequest(one.id, "failed", words=why) if one.state == "asked" else one
            for one in self._asked.values()
        }
        for task in self.tasks - {asyncio.current_task()}:
            task.cancel()
        self._be_calm()

    # -- inside

    def _note(self, asked: SigningRequest) -> None:
        self._asked[asked.id] = asked
        self._change()

    def _be_calm(self) -> None:
        self._page, self._is_slow = None, False
        self._change()

    def _change(self) -> None:
        self._version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
