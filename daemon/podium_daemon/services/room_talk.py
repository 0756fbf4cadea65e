"""What people in a room say to the daemon over its socket beside what is the engine's: raised hands, passed keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from podium_daemon.conference.events import LeaveReason
from podium_daemon.conference.seat_messages import GivenKey, Hand, decode_for_daemon
from podium_daemon.conference.seats import Seat, SeatSocket, run_seat
from podium_daemon.services.room_hands import RoomHands
from podium_daemon.services.room_keys import RoomKeys
from podium_daemon.services.room_spotlight import RoomSpotlight

_BEAT: Final = '{"type":"beat"}'


class _TakenOut:
    """A socket whose messages for the daemon are taken out: the engine hears a sign of life in their place."""

    def __init__(self, socket: SeatSocket, heard: Callable[[Hand | GivenKey], Awaitable[None]]) -> None:
        self._socket = socket
        self._heard = heard

    async def receive(self) -> str | bytes:
        """See `SeatSocket`."""
        frame = await self._socket.receive()
        message = decode_for_daemon(frame)
        if message is None:
            return frame
        await self._heard(message)
        return _BEAT

    async def send(self, frame: str) -> None:
        """See `SeatSocket`."""
        await self._socket.send(frame)

    async def close(self, code: int, reason: str) -> None:
        """See `SeatSocket`."""
        await self._socket.close(code, reason)


class RoomTalk:
    """Runs the seats of all rooms, whichever engine gave them out."""

    def __init__(self, hands: RoomHands, keys: RoomKeys, spotlight: RoomSpotlight) -> None:
        self._hands = hands
        self._keys = keys
        self._spotlight = spotlight

    async def run_seat(self, lesson_id: str, seat: Seat, socket: SeatSocket, *, encrypted: bool) -> LeaveReason:
        """`seats.run_seat`; `encrypted`: the session requires end-to-end encryption."""

        async def heard(message: Hand | GivenKey) -> None:
            match message:
                case Hand(up):
                    await self._hands.put(lesson_id, seat, up=up)
                case GivenKey():
                    await self._keys.give(lesson_id, seat, message)

        self._hands.sit(lesson_id, seat)
        if encrypted:
            self._keys.sit(lesson_id, seat)
        try:
            await self._spotlight.sit(lesson_id, seat)
            return await run_seat(seat, _TakenOut(socket, heard))
        finally:
            self._hands.stand(lesson_id, seat)
            self._keys.stand(lesson_id, seat)
