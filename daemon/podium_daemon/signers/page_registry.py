"""Remote signers for pages: a browser without an extension asks its person's signer (NIP-46) through the daemon.

The daemon holds the client key and the relays, in memory only; the page holds a secret, without which a caller cannot
use its connection. What a signer returns is compared with what was asked for. A restart ends all these connections, but
a person who is in a room keeps the seat: no heartbeat is signed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.secret_table import SecretTable, digest_of
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import Watched
from podium_daemon.signers.instructors import InstructorSigners
from podium_daemon.signers.invitation import SignerInvitation
from podium_daemon.signers.known_bunkers import KnownBunker
from podium_daemon.signers.page_signer import PageSigner, Purpose
from podium_daemon.signers.remote_connection import PATIENCE, RemoteSignerConnection, SignerTransport
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip46

MAX_OPEN: Final = 2_000
"""Connections at once; a new one takes the place of the oldest one without a signer."""

IDLE_SECONDS: Final = 12 * 3600.0
"""Seconds without a request after which a page has to connect again."""

OPENED_A_MINUTE: Final = 300
"""New connections of all pages together: each costs a subscription on our relays."""

OPENED_A_MINUTE_FROM_ONE: Final = 100
"""New connections from one address: a class of sixty behind one router, with some who try twice.

This machine's own addresses have no limit: there a proxy speaks for all callers, and limits them itself.
"""

OPENED_A_MINUTE_TO_ONE: Final = 6
"""New connections to one signer, from all callers together: each one asks a person to agree."""

_SWEEP: Final = 15.0
_KEY_BYTES: Final = 32


class _Opened(NamedTuple):
    at: float
    address: str
    key: str


class PageSignerRegistry:
    """The service that holds the connections of all pages."""

    name = "signers"

    def __init__(
        self,
        transport: SignerTransport,
        *,
        relays: Callable[[], Sequence[str]],
        instructors: InstructorSigners,
        is_instructor: Callable[[Pubkey], bool],
        service_name: str,
        public_url: str,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`relays`: ours, to which signers are invited; `service_name` and `public_url` are for signers to show."""
        self._transport = transport
        self._relays = relays
        self._instructors = instructors
        self._is_instructor = is_instructor
        self.service_name = service_name
        self._public_url = public_url
        self._clock = clock
        self._random_bytes = random_bytes
        self._open: SecretTable[PageSigner] = SecretTable(clock, random_bytes, maximum=MAX_OPEN)
        self._recent: deque[_Opened] = deque()
        self._tasks = Watched(self.name)
        self.closed = False

    async def run(self, stop: Stop) -> None:
        """Close unused connections until the stop, then all of them."""
        while not await stop.wait_for(_SWEEP):
            self._sweep()
        self.close()
        for signer in tuple(self._open):
            self._end(signer, "the service was stopped")
        for task in self._tasks.errands:
            task.cancel()  # goodbyes: a signer need not be there
        await asyncio.gather(*self._tasks.errands, return_exceptions=True)

    def open(self, address: str, purpose: Purpose, bunker: str | None) -> tuple[PageSigner, str] | Rejection:
        """Open a connection for a page at `address`; return it with the secret that the page needs from now on.

        `bunker`: the URL that the person's signer showed; None: we show one to the signer.
        """
        try:
            url = None if bunker is None else nip46.parse_bunker(bunker)
        except InvalidInput as error:
            return Rejection(Slug.BAD_BUNKER, str(error), "Copy all of the URL that your signer shows, once more.")
        if (refusal := self._too_many(address, "" if url is None else url.signer)) is not None:
            return refusal
        signer, secret = self._new(purpose)
        self._work_for(signer, signer.pair(self._pairing(signer, url), self._kept(signer)))
        return signer, secret

    def find(self, signer_id: str, secret: str) -> PageSigner | Rejection:
        """Return the connection with this id, if `secret` is its page's."""
        signer = self._open.get(secret)
        if signer is None or signer.id != signer_id:
            return Rejection(Slug.UNKNOWN_SIGNER, "there is no such connection any more", "Connect the signer again.")
        signer.last_used = self._clock.monotonic()
        return signer

    def request_signature(self, signer: PageSigner, request_id: str, event: UnsignedEvent) -> Rejection | None:
        """Ask for a signature; `PageSigner.view` shows the result. A second call with the id does not ask again."""
        work = signer.request_signature(request_id, event)
        if isinstance(work, Rejection):
            return work
        if work is not None:
            self._work_for(signer, work)
        return None

    def leave(self, signer: PageSigner) -> None:
        """End a connection at the person's wish: tell the signer, and drop the key."""
        self._open.discard(signer.digest)
        if signer.is_connected:
            signer.give_up("the connection was ended")
            self._keep(signer.say_goodbye())
        else:
            signer.end("the connection was ended")

    def close(self) -> None:
        """Wake all callers that wait for news: the server stops."""
        self.closed = True
        for signer in self._open:
            signer.hurry()

    # -- inside

    def _new(self, purpose: Purpose) -> tuple[PageSigner, str]:
        signer = PageSigner(self._random_bytes(8).hex(), purpose, clock=self._clock)
        secret = self._open.issue(signer)
        signer.digest = digest_of(secret)
        return signer, secret

    def _pairing(
        self, signer: PageSigner, url: nip46.BunkerUrl | None
    ) -> Callable[[], Coroutine[Any, Any, KnownBunker]]:
        key = SecretKey(self._random_bytes(_KEY_BYTES))
        line = signer.line = RemoteSignerConnection(
            key, self._transport, listener=signer, clock=self._clock, random_bytes=self._random_bytes, patience=PATIENCE
        )
        if url is not None:
            return lambda: line.connect(url, name=self.service_name, page=self._public_url)
        relays = self._relays()
        invitation = SignerInvitation(
            key, relays, name=self.service_name, url=self._public_url, random_bytes=self._random_bytes
        )
        return lambda: line.accept(invitation, relays, signer.show)

    def _kept(self, signer: PageSigner) -> Callable[[], Coroutine[Any, Any, None]] | None:
        if signer.purpose == "page":
            return None
        return lambda: signer.hand_over(self._instructors, self._is_instructor, self._public_url)

    def _too_many(self, address: str, key: str) -> Rejection | None:
        now = self._clock.monotonic()
        while self._recent and self._recent[0].at <= now - 60:
            self._recent.popleft()
        from_here = sum(one.address == address for one in self._recent)
        to_it = sum(one.key == key for one in self._recent)
        is_over = (bool(address) and from_here >= OPENED_A_MINUTE_FROM_ONE) or (
            bool(key) and to_it >= OPENED_A_MINUTE_TO_ONE
        )
        if is_over or len(self._recent) >= OPENED_A_MINUTE:
            return Rejection(Slug.TOO_MANY_SIGNERS, "too many signers are being connected", "Try again in a minute.")
        if len(self._open) >= MAX_OPEN and not self._make_room():
            return Rejection(Slug.TOO_MANY_SIGNERS, "too many signers are connected here", "Try again later.")
        self._recent.append(_Opened(now, address, key))
        return None

    def _make_room(self) -> bool:
        over = next((one for one in self._open if one.is_over), None)
        oldest = over or next((one for one in self._open if not one.is_connected), None)
        if oldest is None:
            return False
        self._end(oldest, "others needed the place: ask for a fresh code")
        return True

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        for signer in tuple(self._open):
            if now - signer.last_used > (PATIENCE if signer.is_over else IDLE_SECONDS):
                self._end(signer, "it was not used for too long")

    def _end(self, signer: PageSigner, why: str) -> None:
        self._open.discard(signer.digest)
        signer.end(why)

    def _work_for(self, signer: PageSigner, work: Coroutine[Any, Any, None]) -> None:
        task = self._keep(work)
        signer.tasks.add(task)

        def over(task: asyncio.Task[None]) -> None:
            signer.tasks.discard(task)
            if not task.cancelled() and task.exception() is not None:
                signer.end("something went wrong here")  # or its page would wait for ever

        task.add_done_callback(over)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.errand(work, "talking with a page's signer")
