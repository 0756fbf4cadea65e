"""The relays between the command line and a remote signer (NIP-46), on the daemon's own relay pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from podium_daemon.clock import Clock
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.pool import PoolRelay, RelayPool
from podium_daemon.relays.relay_state import ConnectionState
from podium_daemon.signers.base import SignerUnavailable
from podium_daemon.signers.bunker import BunkerClient
from podium_daemon.supervisor import Stop
from podium_protocol import kinds
from podium_protocol.events import EventId, Pubkey, SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip42

T = TypeVar("T")

_NAME: Final = "signer"
_OPEN_WITHIN: Final = 10.0  # seconds for one of the relays to answer
_LOOK_BACK: Final = 600  # seconds; a signer's clock may be behind ours


class SignerChannel:
    """Open while a command runs. Signatures are asked for and heard on all relays that the signer named."""

    def __init__(
        self,
        client: SecretKey,
        signer: Pubkey,
        relays: Sequence[str],
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._client = client
        self._clock = clock
        self._random_bytes = random_bytes
        since = int(clock.now()) - _LOOK_BACK
        self._wanted = (
            Filter(kinds=(kinds.REMOTE_SIGNING,), authors=(signer,), tags=(("p", (client.pubkey,)),), since=since),
        )
        self._urls = tuple(relays)
        self._pool = RelayPool(
            [PoolRelay(url, dm=False) for url in self._urls],
            sink=self._take,
            on_eose=self._on_eose,
            signer=self._sign_in,
            clock=clock,
        )
        self._bunker: BunkerClient | None = None
        self._heard = asyncio.Condition()
        self._listening = 0
        self._has: dict[str, set[EventId]] = {}
        self._stop = Stop(clock)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self, bunker: BunkerClient) -> None:
        """Listen on the relays; returns once one of them listens with us, so that no answer is missed.

        Raises:
            SignerUnavailable: none does.
        """
        self._bunker = bunker
        self._keep(self._pool.run(self._stop))
        self._pool.subscribe(_NAME, self._wanted)
        if not await self._reopened(0):
            raise SignerUnavailable(f"no relay of the signer answers: {self._problems()}")

    async def send(self, event: SignedEvent) -> str | None:
        """Bring an event to every relay; see `Channel.send`. A relay that comes back meanwhile gets it then."""
        before = self._listening
        if await self._is_taken(event) or (await self._reopened(before) and await self._is_taken(event)):
            return None
        return self._problems()

    async def close(self) -> None:
        """Leave the relays."""
        self._stop.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _is_taken(self, event: SignedEvent) -> bool:
        flights = [self._keep(self._give(url, event)) for url in self._urls]
        for flight in asyncio.as_completed(flights):
            if await flight:
                return True  # the slower relays get it too, and are not waited for
        return False

    async def _give(self, url: str, event: SignedEvent) -> bool:
        done = (await self._pool.publish(url, event)).is_done
        if done:
            self._has.setdefault(url, set()).add(event.id)
        return done

    async def _reopened(self, before: int) -> bool:
        """Whether a relay began to listen with us since there were so many times."""
        try:
            async with asyncio.timeout(_OPEN_WITHIN), self._heard:
                await self._heard.wait_for(lambda: self._listening > before)
        except TimeoutError:
            return False
        return True

    async def _take(self, events: Sequence[Incoming]) -> None:
        assert self._bunker is not None, "nothing is asked for before it is opened"
        for event in events:
            self._bunker.receive(bytes(event.raw))

    async def _on_eose(self, _name: str, relay: str, _partial: bool) -> None:
        async with self._heard:
            self._listening += 1
            self._heard.notify_all()
        if self._has.pop(relay, None) is not None and self._bunker is not None:
            # It was away, and whoever answered meanwhile was not heard. Not awaited: the relay's OK comes through
            # the very task that tells us of this.
            for event in self._bunker.unanswered:
                self._keep(self._give(relay, event))

    async def _sign_in(self, relay_url: str, challenge: str) -> SignedEvent:
        draft = nip42.write_auth(self._client.pubkey, relay_url, challenge, int(self._clock.now()))
        return self._client.sign(draft, self._random_bytes(32))

    def _problems(self) -> str:
        states = self._pool.states()
        away = [f"{one.url} ({one.last_error or one.state.value})" for one in states]
        is_open = any(one.state is ConnectionState.OPEN for one in states)
        return f"{'refused by' if is_open else 'away are'} {', '.join(away)}"

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
