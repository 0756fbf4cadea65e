"""What the routes need of the services. Each is a shape, so that web and services need not know each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from podium_daemon.conference.seats import SeatSocket
from podium_daemon.conference.service import TrainingCallingIntegration
from podium_daemon.refusals import Refused
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_storage.rows import LiveSessionRow


class SubmittedEvent(Protocol):
    """One event that is on its way to `relays`."""

    @property
    def event(self) -> VerifiedEvent: ...
    @property
    def lesson_id(self) -> str | None: ...
    @property
    def relays(self) -> Sequence[str]: ...


class IntakePort(Protocol):
    """Takes signed events of sessions here."""

    async def submit(self, events: Sequence[VerifiedEvent]) -> Sequence[SubmittedEvent] | Refused: ...


class LifecyclePort(Protocol):
    """Commands of the instructor."""

    async def start(self, lesson_id: str, by: Pubkey) -> LiveSessionRow | Refused: ...
    async def end(self, lesson_id: str, by: Pubkey) -> LiveSessionRow | Refused: ...
    async def reopen(self, lesson_id: str, by: Pubkey) -> LiveSessionRow | Refused: ...


class CallingOf(Protocol):
    """The model's calling service in the hands of whoever signed a call; `note` goes with attendance by hand."""

    def __call__(self, by: Pubkey, note: str | None = None) -> TrainingCallingIntegration: ...


class JoinChallenge(Protocol):
    """What a join proof must contain."""

    @property
    def url(self) -> str: ...
    @property
    def nonce(self) -> str: ...
    @property
    def expires_at(self) -> int: ...
    @property
    def recording_policy(self) -> str: ...
    @property
    def recording_policy_hash(self) -> str: ...
    @property
    def notice(self) -> str: ...


class JoinTicket(Protocol):
    """The right to open the room socket once."""

    @property
    def waiting_for(self) -> str | None: ...
    @property
    def token(self) -> str: ...
    @property
    def expires_at(self) -> int: ...


class RoomGuest(Protocol):
    """Somebody in the room or at its door; `since` in Unix seconds."""

    @property
    def pubkey(self) -> Pubkey: ...
    @property
    def waiting(self) -> bool: ...
    @property
    def role(self) -> str: ...
    @property
    def since(self) -> int: ...


class RoomsPort(Protocol):
    """The door of the rooms: identity, admission, the socket."""

    async def challenge(self, row: LiveSessionRow, url: str) -> JoinChallenge | Refused: ...
    async def join(
        self, row: LiveSessionRow, proof: VerifiedEvent, url: str, body: bytes | None
    ) -> JoinTicket | Refused: ...
    async def serve(self, lesson_id: str, socket: SeatSocket) -> None: ...
    async def guests(self, row: LiveSessionRow) -> Sequence[RoomGuest]: ...
    async def admit(self, row: LiveSessionRow, pubkeys: Collection[Pubkey] | None, by: Pubkey) -> int | Refused: ...
    async def remove(self, row: LiveSessionRow, pubkey: Pubkey, reason: str, by: Pubkey) -> int | Refused: ...


class RelayState(Protocol):
    """One configured relay as it stands."""

    @property
    def url(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def last_error(self) -> str | None: ...
    @property
    def read(self) -> bool: ...
    @property
    def write(self) -> bool: ...
    @property
    def dm(self) -> bool: ...


class RelaysPort(Protocol):
    """The relay pool, as far as people may look at it."""

    def states(self) -> Sequence[RelayState]: ...
