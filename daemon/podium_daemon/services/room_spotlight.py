"""Who is shown large to everybody in a room: kept with the room's controls, told to every seat and to newcomers."""

from __future__ import annotations

import msgspec

from podium_daemon.conference.base import ConferenceEngine, RoomId, Support
from podium_daemon.conference.seat_messages import Spotlight
from podium_daemon.conference.seats import Seat, Signalling
from podium_daemon.runtime.outcomes import Refused
from podium_protocol.events import Pubkey
from podium_storage.database import Transaction
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RoomControlsRow

_ELSEWHERE = Refused(
    "not-supported",
    "people are shown by the meeting itself, not by this service",
    "Pin the person in the meeting itself.",
)


class Lit(msgspec.Struct, frozen=True):
    """Whether this service can do it with this engine, and who is shown large."""

    support: Support
    pubkey: Pubkey | None


class RoomSpotlight:
    """Owns `spotlight` of the room controls."""

    def __init__(self, store: Store, engine: ConferenceEngine) -> None:
        assert isinstance(engine, Signalling), "engines whose door is not our socket show people elsewhere"
        self._store = store
        self._seats: Signalling = engine
        self._support = engine.capabilities.screen_share  # whoever shows screens shows people

    async def of(self, lesson_id: str) -> Lit:
        """Who is shown large in a session's room."""
        row = await self._store.controls.where("lessonId").equals(lesson_id).first()
        return Lit(self._support, Pubkey(row.spotlight) if row is not None and row.spotlight is not None else None)

    async def put(self, row: LiveSessionRow, pubkey: Pubkey | None) -> Refused | None:
        """Show somebody large to everybody, or nobody (None)."""
        if self._support is not Support.NATIVE:
            return _ELSEWHERE
        assert row.conference_room_id is not None, "every adopted session has its room"
        await self._keep(row.lesson_id, pubkey)
        await self._seats.tell(RoomId(row.conference_room_id), Spotlight(pubkey))
        return None

    async def sit(self, lesson_id: str, seat: Seat) -> None:
        """Somebody takes a seat: whom they are to see large they are told, unless it is nobody."""
        lit = await self.of(lesson_id)
        if lit.pubkey is not None:
            seat.send(Spotlight(lit.pubkey))

    async def _keep(self, lesson_id: str, pubkey: Pubkey | None) -> None:
        async def scope(tx: Transaction) -> None:
            table = self._store.controls.within(tx)
            row = await table.where("lessonId").equals(lesson_id).first() or RoomControlsRow(lesson_id=lesson_id)
            await table.upsert([msgspec.structs.replace(row, spotlight=pubkey)], by="lessonId")

        await self._store.database.transact(scope)
