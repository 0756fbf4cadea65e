"""Mailboxes on relays: ephemeral events to keys that we made for one conversation each, such as with a remote signer.

One pool serves them all, apart from the pool of the sessions: strangers choose some of these relays and can write to
any of these keys. The operator's relays are used while there is a mailbox on them. Others come from `bunker://` URLs,
so they pass the guard of `addresses`, and are left when no mailbox needs them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from podium_daemon.relays.addresses import AddressRefused, Lookup, Network
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.pool import PoolRelay, RelayPool
from podium_daemon.relays.pump import AuthSigner
from podium_daemon.relays.relay_state import ConnectionState
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import Watched
from podium_protocol import kinds
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.relay.verdicts import Violation

T = TypeVar("T")

_OPEN_WITHIN: Final = 10.0  # seconds for one of the relays to listen with us
_LOOK_BACK: Final = 600  # seconds; the other side's clock may be behind ours
_KEYS_OF_A_REQ: Final = 200  # with a thousand pages open, one more must not make us send all the keys again
_AT_ONCE: Final = 16  # events before the event loop gets a turn: each costs the receiver a signature check


class MailboxReceiver(Protocol):
    """Reads a mailbox."""

    def receive(self, raw: bytes) -> bool:
        """Take one unchecked event to the mailbox's key; any stranger may have sent it.

        Returns False for an event that no relay may pass on.
        """
        ...

    @property
    def unanswered(self) -> tuple[SignedEvent, ...]:
        """The events to send again to a relay that was lost and came back: relays do not store them."""
        ...


class _Head(msgspec.Struct):
    kind: int
    tags: list[list[str]]


class Mailbox:
    """One key on its relays."""

    def __init__(self, owner: Mailboxes, key: Pubkey, relays: tuple[str, ...], receiver: MailboxReceiver) -> None:
        self.key = key
        self.relays = relays
        self.receiver = receiver
        self._owner = owner
        self.heard = asyncio.Condition()
        self.listening = 0
        self._given_over: dict[str, int] = {}  # by relay: the number of the connection over which it got an event

    async def listens(self) -> str | None:
        """Wait until a relay serves our subscription, so that no answer is missed; None, or the reason if none does."""
        return None if await self._reopened(0) else self._owner.problems_of(self.relays)

    async def send(self, event: SignedEvent) -> str | None:
        """Send an event to every relay; None once one has it, else the reason why none has.

        A relay that comes back meanwhile gets it then.
        """
        before = self.listening
        if await self._is_taken(event) or (await self._reopened(before) and await self._is_taken(event)):
            return None
        return self._owner.problems_of(self.relays)

    def close(self) -> None:
        """Close the mailbox and drop its key from the relays."""
        self._owner.forget(self)

    async def on_eose(self, relay: str, connection: int) -> None:
        """Note that a relay serves the mailbox, over its connection of this number."""
        async with self.heard:
            self.listening += 1
            self.heard.notify_all()
        if self._given_over.get(relay, connection) != connection:
            # The relay was lost, and answers in the meantime were missed. Not awaited: the relay's OK comes through
            # the same task that calls this. Never over the same connection: a signer would ask its person twice.
            del self._given_over[relay]
            for event in self.receiver.unanswered:
                self._owner.run_in_background(self._give(relay, event))

    async def _is_taken(self, event: SignedEvent) -> bool:
        flights = [self._owner.run_in_background(self._give(url, event)) for url in self.relays]
        for flight in asyncio.as_completed(flights):
            if await flight:
                return True  # the slower relays get it too, but we do not wait for them
        return False

    async def _give(self, url: str, event: SignedEvent) -> bool:
        done = (await self._owner.pool.publish(url, event)).is_done
        if done:
            self._given_over[url] = self._owner.pool.connections_of(url)
        return done

    async def _reopened(self, before: int) -> bool:
        try:
            async with asyncio.timeout(_OPEN_WITHIN), self.heard:
                await self.heard.wait_for(lambda: self.listening > before)
        except TimeoutError:
            return False
        return True


class Mailboxes:
    """The service that keeps the mailboxes and their relays."""

    name = "mailboxes"

    def __init__(
        self,
        own: Iterable[PoolRelay],
        *,
        clock: Clock,
        signer: AuthSigner | None = None,
        lookup: Lookup | None = None,
        permitted: Iterable[Network] = (),
    ) -> None:
        """`own`: the operator's relays, which need no guard; `signer` signs logins to them."""
        self._own = tuple(own)
        self._clock = clock
        self._boxes: dict[Pubkey, Mailbox] = {}
        self._shards: dict[str, list[set[Pubkey]]] = defaultdict(list)  # by relay: the keys of each subscription there
        self._tasks = Watched(self.name)
        self.pool = RelayPool(
            (),
            sink=self._take,
            on_eose=self._on_eose,
            signer=signer,
            clock=clock,
            lookup=lookup,
            permitted=permitted,
        )

    def use(self, own: Iterable[PoolRelay]) -> None:
        """Replace the operator's relays."""
        self._own = tuple(own)
        if self._boxes:
            self.pool.configure(self._own)

    async def run(self, stop: Stop) -> None:
        """Keep the connections until the stop."""
        try:
            await self.pool.run(stop)
        finally:
            await asyncio.gather(*self._tasks.errands, return_exceptions=True)

    def open(self, key: Pubkey, relays: Sequence[str], receiver: MailboxReceiver) -> Mailbox:
        """Open a mailbox for `key` on `relays`; an older one for this key is closed.

        Raises:
            InvalidInput: none of the relays may be connected to.
        """
        if (before := self._boxes.get(key)) is not None:
            self.forget(before)
        if not self._boxes:
            self.pool.configure(self._own)
        ensured = [self.pool.ensure(url) for url in relays]
        urls = tuple(dict.fromkeys(url for url in ensured if isinstance(url, str)))
        if not urls:
            self._leave_if_empty()
            refused = [f"{one.url}: {one.reason}" for one in ensured if isinstance(one, AddressRefused)]
            raise InvalidInput(f"no relay can be used: {'; '.join(refused) or 'none is named'}")
        box = self._boxes[key] = Mailbox(self, key, urls, receiver)
        for url in urls:
            self._join(url, key)
        return box

    def forget(self, box: Mailbox) -> None:
        """Close a mailbox; safe to call twice."""
        if self._boxes.get(box.key) is not box:
            return
        del self._boxes[box.key]
        for url in box.relays:
            self._part(url, box.key)
        self._leave_if_empty()

    def run_in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as a task of this service, which waits for it at its end."""
        return self._tasks.errand(work, "bringing an event to a signer's relay")

    def problems_of(self, relays: Sequence[str]) -> str:
        """Why none of these relays does what was asked, in words."""
        states = [one for one in self.pool.states() if one.url in relays]
        away = [f"{one.url} ({one.last_error or one.state.value})" for one in states]
        is_open = any(one.state is ConnectionState.OPEN for one in states)
        return f"{'refused by' if is_open else 'away are'} {', '.join(away)}"

    def _join(self, url: str, key: Pubkey) -> None:
        shards = self._shards[url]
        number = next((at for at, keys in enumerate(shards) if len(keys) < _KEYS_OF_A_REQ), len(shards))
        if number == len(shards):
            shards.append(set())
        shards[number].add(key)
        self._subscribe(url, number)

    def _part(self, url: str, key: Pubkey) -> None:
        shards = self._shards[url]
        number = next(at for at, keys in enumerate(shards) if key in keys)
        shards[number].discard(key)
        if shards[number]:
            self._subscribe(url, number)
        else:
            self.pool.unsubscribe(_name_of(url, number))  # its number is free for the next one
        if not any(shards):
            del self._shards[url]

    def _subscribe(self, url: str, number: int) -> None:
        wanted = Filter(
            kinds=(kinds.REMOTE_SIGNING,),
            tags=(("p", tuple(sorted(self._shards[url][number]))),),
            since=int(self._clock.now()) - _LOOK_BACK,
        )
        self.pool.subscribe(_name_of(url, number), (wanted,), relays=(url,))

    def _leave_if_empty(self) -> None:
        if not self._boxes:
            self.pool.configure(())

    async def _on_eose(self, name: str, relay: str, _partial: bool) -> None:
        for number, keys in enumerate(self._shards.get(relay, ())):
            if name == _name_of(relay, number):
                connection = self.pool.connections_of(relay)
                for box in [self._boxes[key] for key in keys]:
                    await box.on_eose(relay, connection)

    async def _take(self, events: Sequence[Incoming]) -> None:
        for number, event in enumerate(events, 1):
            for box in self._boxes_of(event):
                if not box.receiver.receive(bytes(event.raw)):
                    self.pool.report_violation(event.relay_url, Violation.BAD_EVENT)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _boxes_of(self, event: Incoming) -> list[Mailbox]:
        try:
            head = msgspec.json.decode(event.raw, type=_Head)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.pool.report_violation(event.relay_url, Violation.BAD_EVENT)
            return []
        if head.kind != kinds.REMOTE_SIGNING:
            self.pool.report_violation(event.relay_url, Violation.OUTSIDE_FILTER)
            return []
        named = {tag[1] for tag in head.tags if len(tag) > 1 and tag[0] == "p"}
        boxes = [box for key in named if (box := self._boxes.get(Pubkey(key))) is not None]
        # no mailbox has the key: the event may be for one that was just closed
        return [box for box in boxes if event.relay_url in box.relays]


def _name_of(url: str, number: int) -> str:
    return f"mail-{hashlib.sha256(url.encode()).hexdigest()[:16]}-{number}"
