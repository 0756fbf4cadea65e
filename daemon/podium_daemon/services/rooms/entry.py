"""Messages between a browser at the door and the rooms service: challenges, tickets, first and waiting messages."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.events import Pubkey
from podium_protocol.live.admission import DoorRole, WaitReason
from podium_protocol.live.session import Visibility


class JoinChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """What a join proof must answer. `recording_policy` is empty if nothing is recorded. Times in Unix seconds.

    `notice` says how the attendance is used, and ends with `own_notice`, which this service adds; `attendance` says it
    in one word.
    """

    url: str
    nonce: str
    session_address: str
    issued_at: int
    expires_at: int
    recording_policy: str
    recording_policy_hash: str
    notice: str
    own_notice: str
    attendance: Visibility


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """A person in the room or at its door, and what they wait for."""

    pubkey: Pubkey
    waiting: bool
    role: DoorRole
    since: int
    waiting_for: str | None = None


class RemovedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A person who was removed at `since` and is turned away until they are let back in."""

    pubkey: Pubkey
    role: DoorRole
    since: int


class TicketHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The person a ticket is for; `returning`: skips the waiting room. `fingerprint`: their browser's, signed."""

    session_address: str
    pubkey: Pubkey
    device: str
    role: DoorRole
    returning: bool = False
    fingerprint: str | None = None


class RoomTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Opens the room socket once. `waiting_for` says why the person will wait, or None if they enter."""

    token: str
    expires_at: int
    waiting_for: str | None

    def __repr__(self) -> str:
        return f"<Ticket until {self.expires_at}>"


class Hello(msgspec.Struct, frozen=True, tag="hello", forbid_unknown_fields=True):
    """The first message of a socket: the ticket's token."""

    token: str


class Return(msgspec.Struct, frozen=True, tag="return", forbid_unknown_fields=True):
    """The first message of a person who lost the socket: the resume secret of the lost seat."""

    secret: str


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """Sent on each change of the reason to wait."""

    reason: str
    text: str


class EntryRefused(msgspec.Struct, frozen=True, tag="refused"):
    """Sent before the socket closes."""

    reason: str
    text: str


_greeting: Final[msgspec.json.Decoder[Hello | Return]] = msgspec.json.Decoder(Hello | Return)


def read_greeting(frame: str | bytes) -> Hello | Return | None:
    """Parse the first message of a socket, or None if it is neither of the two."""
    try:
        return _greeting.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


class Waiter:
    """One socket at the door, since `since` (Unix seconds). Its `bell` is set when the door should be asked again."""

    def __init__(self, entry: TicketHolder, since: int) -> None:
        self.entry = entry
        self.since = since
        self.reason: WaitReason | None = None
        self.replaced = False
        self.bell = asyncio.Event()

    async def next_look(self, reading: asyncio.Task[None]) -> None:
        """Wait until the bell is set.

        Raises:
            SocketGone: the person left: `reading` ended with it.
        """
        await wait_for_first(self.bell.wait(), asyncio.wait([reading]))
        if reading.done():
            reading.result()


class WaitingRoom:
    """The waiting rooms of all sessions. A device waits once; its newest socket counts."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Waiter, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def waiting_for(self, session_address: str) -> list[Waiter]:
        """The sockets that wait for one session, in order of arrival."""
        return list(self._waiting.get(session_address, ()))

    def addresses(self) -> list[str]:
        """The sessions for which people wait."""
        return list(self._waiting)

    def enter(self, waiter: Waiter) -> None:
        """Add a socket at the door; an older one of the same device is told that it was replaced."""
        for other in self.waiting_for(waiter.entry.session_address):
            if (other.entry.pubkey, other.entry.device) == (waiter.entry.pubkey, waiter.entry.device):
                other.replaced = True
                other.bell.set()
        self._waiting.setdefault(waiter.entry.session_address, {})[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """Remove a socket from the door."""
        waiting = self._waiting.get(waiter.entry.session_address, {})
        waiting.pop(waiter, None)
        if not waiting:
            self._waiting.pop(waiter.entry.session_address, None)

    def devices_before(self, entry: TicketHolder, waiter: Waiter | None) -> set[tuple[Pubkey, str]]:
        """The person's devices that wait already, or only those that came before `waiter`."""
        found: set[tuple[Pubkey, str]] = set()
        for other in self.waiting_for(entry.session_address):
            if other is waiter:
                break
            if other.entry.pubkey == entry.pubkey and not other.replaced:
                found.add((other.entry.pubkey, other.entry.device))
        return found

    def wake(self, addresses: Iterable[str]) -> None:
        """Have all people at these doors ask again."""
        for session_address in addresses:
            for waiter in self.waiting_for(session_address):
                waiter.bell.set()

    def wake_some(self, session_address: str, pubkeys: Collection[str] = ()) -> None:
        """Have these people ask again, and those who wait for a seat: for all others nothing has changed.

        If each arrival woke all people, a full door would cost the square of their number.
        """
        for waiter in self.waiting_for(session_address):
            # a person without a reason is being decided on, perhaps with facts that are old now
            if waiter.entry.pubkey in pubkeys or waiter.reason in (None, WaitReason.FULL):
                waiter.bell.set()
