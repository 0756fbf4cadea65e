"""Muting: the engine silences people; this service makes mute-all stick, and keeps who may speak in spite of it.

Both are in the store, and apply to each microphone that is opened later, on any engine, until mute-all is off.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engine import (
    ConferenceEngine,
    ControlDone,
    EngineEvent,
    EngineUnavailable,
    LiftsMuteAll,
    RoomClosed,
    RoomId,
    RoomOpened,
    RoomRole,
    Support,
    TrackChange,
    TrackChanged,
    TrackKind,
)
from podium_daemon.conference.seats import Signalling
from podium_daemon.conference.signaling import Notice
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.events import Pubkey
from podium_protocol.live.lifecycle import OVER
from podium_storage.database import Transaction
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RoomControlsRow

_log = structlog.get_logger(__name__)
_MAY_SPEAK: Final = Notice("The instructor lets you speak. Switch your microphone on.", about="may-speak")
_MUTED_AGAIN: Final = Notice("You are muted again, like the others.", about="muted-again")


class RoomControls:
    """Owns `muted` and `speakers` of the room controls."""

    name = "room_controls"

    def __init__(self, *, store: Store, engine: ConferenceEngine) -> None:
        self._store = store
        self._engine = engine
        self._muted: dict[RoomId, tuple[Pubkey, ...]] = {}  # with the people who may speak nevertheless

    async def run(self, stop: Stop) -> None:
        """Keep applying mute-all to rooms until the stop."""
        self._muted |= await self._all_remembered()
        await wait_for_first(self._follow_engine(), stop.wait())

    @property
    def support(self) -> Support:
        """Who can mute all people with this engine."""
        return self._engine.capabilities.mute_all

    def is_muted(self, row: LiveSessionRow) -> bool:
        """Whether mute-all is on in a session's room."""
        return _room(row) in self._muted

    async def mute_all(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> Rejection | None:
        """Switch mute-all on or off: it silences all but instructor and co-hosts, also when they unmute again.

        The caller has been checked. Switching it off opens no microphone: people do that themselves.
        """
        room = _room(row)
        if wanted:
            if refusal := await self._silence(row, ()):
                return refusal
            self._muted[room] = ()
            await self._keep(row.session_address, muted=True)
        else:
            await self._keep(row.session_address, muted=False)  # first: a room that opens now follows what is stored
            self._muted.pop(room, None)
            if isinstance(self._engine, LiftsMuteAll):
                await self._engine.lift_mute_all(room)
        _log.info("mute-all was set", action="room.mute_all", session=row.session_address, by=by, wanted=wanted)
        return None

    def speakers(self, row: LiveSessionRow) -> tuple[Pubkey, ...]:
        """The people who may speak although mute-all is on."""
        return self._muted.get(_room(row), ())

    async def mute(self, row: LiveSessionRow, pubkey: Pubkey, kind: TrackKind, by: Pubkey) -> Rejection | None:
        """Switch off one person's microphone, camera or screen, once: they may switch it on again."""
        muted = await self._engine.mute(_room(row), pubkey, kind)
        if isinstance(muted, Rejection) and muted.slug is not Slug.NO_ROOM:
            return muted
        _log.info("a participant was muted", action="room.mute", session=row.session_address, by=by, kind=kind)
        return None

    async def let_speak(self, row: LiveSessionRow, pubkey: Pubkey, by: Pubkey, *, wanted: bool) -> Rejection | None:
        """Exempt one person from mute-all and tell them, or end that, which mutes them. It opens no microphone."""
        room = _room(row)
        if self._engine.capabilities.mute is not Support.NATIVE:
            elsewhere = await self._engine.mute(room, pubkey)  # the answer names the place
            return elsewhere if isinstance(elsewhere, Rejection) else None
        if (before := self._muted.get(room)) is None:
            return Rejection(
                Slug.NOT_MUTED, "everybody may speak: mute-all is off", "Mute everybody first, if you want to."
            )
        if wanted == (pubkey in before):
            return None
        speakers = (*before, pubkey) if wanted else tuple(one for one in before if one != pubkey)
        if refusal := await self._silence(row, speakers):
            return refusal
        self._muted[room] = speakers
        await self._keep(row.session_address, muted=True, speakers=speakers)
        if isinstance(self._engine, Signalling):
            await self._engine.send_message(room, _MAY_SPEAK if wanted else _MUTED_AGAIN, pubkey)
        _log.info("who may speak was set", action="room.speak", session=row.session_address, by=by, wanted=wanted)
        return None

    async def _silence(self, row: LiveSessionRow, speakers: Collection[Pubkey]) -> Rejection | None:
        """Mute all but instructor, co-hosts and `speakers`, also later on an engine that remembers mute-all."""
        leaders = [Pubkey(pubkey) for pubkey in (row.instructor_pubkey, *row.co_hosts)]
        muted: ControlDone | Rejection = await self._engine.mute_all(_room(row), [*leaders, *speakers])
        # the room is not open yet: people who come will be muted
        return muted if isinstance(muted, Rejection) and muted.slug is not Slug.NO_ROOM else None

    async def _follow_engine(self) -> None:
        async for event in self._engine.events():
            try:
                await self._take(event)
            except EngineUnavailable as error:
                _log.warning("the engine did not answer", action="room.controls", reason=str(error))

    async def _take(self, event: EngineEvent) -> None:
        match event:
            case RoomClosed(room=room):
                self._muted.pop(room, None)
            case RoomOpened(room=room):  # also of a session that was reopened: mute-all sticks
                self._muted |= await self._remembered(room)
            case TrackChanged(connection=one, kind=TrackKind.AUDIO, change=TrackChange.PUBLISHED | TrackChange.UNMUTED):
                speakers = self._muted.get(one.room)
                if speakers is not None and one.role is RoomRole.PARTICIPANT and one.pubkey not in speakers:
                    await self._engine.mute(one.room, one.pubkey, TrackKind.AUDIO)

    async def _keep(self, session_address: str, *, muted: bool, speakers: tuple[Pubkey, ...] = ()) -> None:
        async def scope(tx: Transaction) -> None:
            table = self._store.controls.within(tx)
            row = await table.where("lessonId").equals(session_address).first() or RoomControlsRow(
                session_address=session_address
            )
            await table.upsert([msgspec.structs.replace(row, muted=muted, speakers=speakers)], by="lessonId")

        await self._store.database.transact(scope)

    async def _remembered(self, room: RoomId) -> dict[RoomId, tuple[Pubkey, ...]]:
        session = await self._store.sessions.where("conferenceRoomId").equals(room).first()
        if session is None:
            return {}
        row = await self._store.controls.where("lessonId").equals(session.session_address).first()
        return {room: tuple(map(Pubkey, row.speakers))} if row is not None and row.muted else {}

    async def _all_remembered(self) -> dict[RoomId, tuple[Pubkey, ...]]:
        muted = {row.session_address: row.speakers for row in await self._store.controls.to_list() if row.muted}
        rows = await self._store.sessions.where("lessonId").any_of(list(muted)).to_list()
        lasting = [row for row in rows if row.state not in OVER]
        return {_room(row): tuple(map(Pubkey, muted[row.session_address])) for row in lasting}


def _room(row: LiveSessionRow) -> RoomId:
    assert row.conference_room_id is not None, "every adopted session has its room"
    return RoomId(row.conference_room_id)
