"""Seats for rooms on another server: the daemon's socket stays the connection to the browser.

A seated person is given an address of ours, good for one click while the seat is taken; the click is answered with the
server's signed entrance, and the next address is sent. The seat is no attendance: the server reports who is in.
"""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

import msgspec

from podium_daemon.conference.engine import Connection, ConnectionId, LeaveReason, Person, RandomBytes, RoomId
from podium_daemon.conference.seats import SocketSeat
from podium_daemon.conference.signaling import MeetingAt, Removed, RoomEnded, SeatFrameFlaw, ServerMessage, Welcome
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.secret_table import SecretTable, digest_of
from podium_protocol.events import Pubkey

_HEARTBEAT = 15  # seconds; heartbeats only keep proxies from closing a silent socket here
_MAX_PLACES: Final = 200_000  # far more than there are seats


class _Place(msgspec.Struct):
    seat: SocketSeat
    person: Person
    digest: bytes = b""


class RedirectSeats:
    """The seats of one engine, and the addresses they were given."""

    def __init__(self, *, clock: Clock, random_bytes: RandomBytes, public_url: str) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._enter = f"{public_url}/api/conference/enter/"
        self._places: dict[RoomId, dict[Pubkey, dict[str, _Place]]] = {}
        self._addresses: SecretTable[_Place] = SecretTable(clock, random_bytes, maximum=_MAX_PLACES)

    def devices(self, room: RoomId, pubkey: Pubkey) -> set[str]:
        """The devices on which a person is seated."""
        return set(self._places.get(room, {}).get(pubkey, {}))

    def seat_device(self, room: RoomId, person: Person) -> SocketSeat:
        """Seat one device; an older seat of the same device ends."""
        place = self._places.get(room, {}).get(person.pubkey, {}).get(person.device)
        if place is not None:
            self.end(place.seat, LeaveReason.REPLACED, Removed("This device joined again in another page."))
        connection = Connection(
            ConnectionId(self._random_bytes(16).hex()), room, person.pubkey, person.device, person.role
        )
        seat = SocketSeat(connection, self, wall=self._clock.now(), monotonic=self._clock.monotonic())
        place = _Place(seat, person)
        self._places.setdefault(room, {}).setdefault(person.pubkey, {})[person.device] = place
        seat.send(Welcome(connection.id, _HEARTBEAT, self._address(place)))
        return seat

    def enter(self, token: str) -> tuple[RoomId, Person] | None:
        """Use an address up: return the room and the person, or None. The seat is sent the next one, for a return."""
        place = self._addresses.get(token)
        if place is None:
            return None
        place.seat.send(MeetingAt(self._address(place)))
        return place.seat.connection.room, place.person

    def send_message(self, room: RoomId, message: ServerMessage, pubkey: Pubkey | None = None) -> int:
        """Send a message to all seats of a room, or to one person's devices; return their number."""
        seats = self._seats(room, pubkey)
        for seat in seats:
            seat.send(message)
        return len(seats)

    def remove(self, room: RoomId, pubkey: Pubkey, reason: str) -> None:
        """End a person's seats."""
        for seat in self._seats(room, pubkey):
            self.end(seat, LeaveReason.REMOVED, Removed(reason))

    def close(self, room: RoomId) -> None:
        """End all seats of a room."""
        for seat in self._seats(room):
            self.end(seat, LeaveReason.ROOM_CLOSED, RoomEnded())

    # -- what seats ask

    def heard(self, seat: SocketSeat) -> None:
        """See `SeatHost`. An open page does not show that its person is in the room."""

    def flawed(self, flaw: SeatFrameFlaw) -> None:
        """See `SeatHost`. No message of a page has an effect here."""

    def end(self, seat: SocketSeat, reason: LeaveReason, last: ServerMessage | None = None) -> None:
        """End a seat, once, with a last message; its address is void."""
        if seat.over is not None:
            return
        seat.finish(reason, last)
        connection = seat.connection
        people = self._places[connection.room]
        place = people[connection.pubkey].pop(connection.device)
        self._addresses.discard(place.digest)
        if not people[connection.pubkey]:
            del people[connection.pubkey]
        if not people:
            del self._places[connection.room]

    # -- inside

    def _address(self, place: _Place) -> str:
        self._addresses.discard(place.digest)
        token = self._addresses.issue(place)
        place.digest = digest_of(token)
        return self._enter + token

    def _seats(self, room: RoomId, pubkey: Pubkey | None = None) -> list[SocketSeat]:
        people = self._places.get(room, {})
        chosen = people.values() if pubkey is None else (people.get(pubkey, {}),)
        return [place.seat for devices in chosen for place in devices.values()]


ENTERED_ALREADY: Final = Rejection(
    Slug.ENTRANCE_USED,
    "this address opens nothing any more: it was used, or its page was closed",
    "Use the newest one.",
)
BAD_SIGNATURE: Final = Rejection(
    Slug.BAD_SIGNATURE, "the webhook is not signed by this engine's server", "Compare the secrets on both sides."
)


class Entrance(msgspec.Struct, frozen=True):
    """The signed address to which the browser is sent: never stored, never logged."""

    url: str

    def __repr__(self) -> str:
        return "<Entrance>"


class WebhookCall(msgspec.Struct, frozen=True):
    """A webhook: the body's bytes, `checksum` of the query and `Authorization` of the head, or empty."""

    body: bytes
    checksum: str = ""
    authorization: str = ""

    def __repr__(self) -> str:
        return f"<WebhookCall of {len(self.body)} bytes>"


@runtime_checkable
class RedirectEngine(Protocol):
    """The additional methods of an engine whose rooms are on another server."""

    async def enter(self, token: str) -> Entrance | Rejection:
        """Use up the address that a seat was given; the seat is sent the next one.

        Raises:
            EngineUnavailable: the server did not answer.
        """
        ...

    async def notified(self, call: WebhookCall) -> Rejection | None:
        """Take a webhook; `bad-signature` if it is not the server's. The same one twice changes nothing."""
        ...
