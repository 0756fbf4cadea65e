"""Mute-all that sticks, and what an engine without it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from podium_daemon.conference.engine import LeaveReason, Person, RoomRole, Support, TrackKind
from podium_daemon.conference.seats import SocketSeat
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.rooms.controls import RoomControls
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey
from podium_storage.table.models import LiveSessionRow
from tests.support.able_engine import AbleEngine
from tests.support.site import site
from tests.support.until import until
from tests.support.world import World, new_key, world


class Stage:
    """A live session in a room that can do everything, with the controls at work."""

    def __init__(self, here: World, row: LiveSessionRow, engine: AbleEngine, controls: RoomControls) -> None:
        self.here = here
        self.row = row
        self.engine = engine
        self.controls = controls
        self.by = Pubkey(here.instructor.pubkey)

    async def sit(self, key: SecretKey | None = None) -> tuple[SecretKey, SocketSeat]:
        """A person comes in."""
        found = key or new_key()
        role = RoomRole.INSTRUCTOR if found.pubkey == self.by else RoomRole.PARTICIPANT
        spec = self.here.room_of(self.row)
        await self.engine.open_room(spec)
        seat = await self.engine.take_seat(spec.room, Person(pubkey=found.pubkey, device="laptop", role=role))
        assert isinstance(seat, SocketSeat)
        return found, seat

    async def frames(self, seat: SocketSeat) -> list[str]:
        """What a seat was told, up to its end."""
        await seat.leave(LeaveReason.LEFT)
        return [frame async for frame in seat.outgoing()]

    async def until_said(self, *words: str) -> None:
        """Wait until the engine was told this."""

        async def said() -> bool:
            return words in self.engine.said

        await until(said, f"the engine was told {words}")


@asynccontextmanager
async def stage(*, runs: bool = True, **fields: object) -> AsyncIterator[Stage]:
    """A live session."""
    async with world(engine=AbleEngine) as here:
        row = await here.schedule(starts_in=0, **fields)
        await here.turn()
        assert isinstance(here.engine, AbleEngine)
        found = Stage(here, await here.row(row.session_address), here.engine, here.controls)
        stop = Stop()
        running = asyncio.create_task(here.controls.run(stop)) if runs else None
        try:
            yield found
        finally:
            stop.set()
            if running is not None:
                await running


async def test_mute_all_spares_those_who_lead_and_sticks() -> None:
    """All are silenced once; a participant who opens a microphone later is silenced again, the instructor is not."""
    co_host = new_key()
    async with stage(co_hosts=(co_host.pubkey,)) as here:
        assert await here.controls.mute_all(here.row, here.by, wanted=True) is None
        assert here.engine.said == [("mute_all", here.by, co_host.pubkey)]
        assert here.controls.is_muted(here.row)
        _, lead = await here.sit(here.here.instructor)
        ada, seat = await here.sit()
        here.engine.open_microphone(lead)
        here.engine.open_microphone(seat)
        await here.until_said("mute", ada.pubkey, "audio")
        assert ("mute", here.by, "audio") not in here.engine.said


async def test_unmuting_opens_nobodys_microphone() -> None:
    """Afterwards people speak when they want to, and the engine is told nothing."""
    async with stage(runs=False) as here:
        _, seat = await here.sit()
        await here.controls.mute_all(here.row, here.by, wanted=True)
        await here.controls._take(here.engine.open_microphone(seat))
        assert [word for word, *_ in here.engine.said] == ["mute_all", "mute"]
        assert await here.controls.mute_all(here.row, here.by, wanted=False) is None
        assert not here.controls.is_muted(here.row)
        await here.controls._take(here.engine.open_microphone(seat))
        assert [word for word, *_ in here.engine.said] == ["mute_all", "mute", "lift"]


async def test_mute_all_outlives_the_daemon() -> None:
    """Another daemon, with another engine, on the same store silences participants who speak."""
    async with stage(runs=False) as here:
        await here.controls.mute_all(here.row, here.by, wanted=True)
        later = RoomControls(store=here.here.store, engine=here.engine)
        stop = Stop()
        running = asyncio.create_task(later.run(stop))
        ada, seat = await here.sit()
        here.engine.open_microphone(seat)
        await here.until_said("mute", ada.pubkey, "audio")
        assert later.is_muted(here.row)
        stop.set()
        await running


async def test_one_may_speak_while_the_others_are_muted() -> None:
    """Who is excepted is told, and not muted when they open a microphone; taken back, they are like the others."""
    async with stage(runs=False) as here:
        ada, seat = await here.sit()
        _, other = await here.sit()
        refused = await here.controls.let_speak(here.row, ada.pubkey, here.by, wanted=True)
        assert isinstance(refused, Rejection)
        assert refused.slug == "not-muted"
        await here.controls.mute_all(here.row, here.by, wanted=True)
        for _ in range(2):
            assert await here.controls.let_speak(here.row, ada.pubkey, here.by, wanted=True) is None
        assert here.controls.speakers(here.row) == (ada.pubkey,)
        assert here.engine.said == [("mute_all", here.by), ("mute_all", here.by, ada.pubkey)], "twice is once"
        told = [msgspec.json.decode(frame) for frame in await here.frames(seat)]
        assert [message.get("about") for message in told if message["type"] == "notice"] == ["may-speak"]
        await here.controls._take(here.engine.open_microphone(seat))
        await here.controls._take(here.engine.open_microphone(other))
        assert here.engine.said[2:] == [("mute", other.connection.pubkey, "audio")]
        assert await here.controls.let_speak(here.row, ada.pubkey, here.by, wanted=False) is None
        await here.controls._take(here.engine.open_microphone(seat))
        assert here.engine.said[3:] == [("mute_all", here.by), ("mute", ada.pubkey, "audio")]


async def test_who_may_speak_outlives_the_daemon_and_not_the_muting() -> None:
    """Another daemon excepts the same people; a new mute-all excepts nobody."""
    async with stage(runs=False) as here:
        ada, _ = await here.sit()
        await here.controls.mute_all(here.row, here.by, wanted=True)
        await here.controls.let_speak(here.row, ada.pubkey, here.by, wanted=True)
        later = RoomControls(store=here.here.store, engine=here.engine)
        stop = Stop()
        running = asyncio.create_task(later.run(stop))

        async def known() -> bool:
            return later.speakers(here.row) == (ada.pubkey,)

        await until(known, "it is read")
        await later.mute_all(here.row, here.by, wanted=False)
        await later.mute_all(here.row, here.by, wanted=True)
        assert later.speakers(here.row) == ()
        assert [row.speakers for row in await here.here.store.controls.to_list()] == [()]
        stop.set()
        await running


async def test_one_person_is_muted_once() -> None:
    """Their microphone, or their camera; it does not stick, and a room that nobody opened is quiet already."""
    async with stage(runs=False) as here:
        ada, seat = await here.sit()
        for kind in (TrackKind.AUDIO, TrackKind.VIDEO):
            assert await here.controls.mute(here.row, ada.pubkey, kind, here.by) is None
        await here.controls._take(here.engine.open_microphone(seat))
        assert here.engine.said == [("mute", ada.pubkey, "audio"), ("mute", ada.pubkey, "video")]
        assert await here.here.store.controls.to_list() == []


async def test_the_link_engine_says_where_it_is_done() -> None:
    """Over HTTP: what this engine can is shown, a command is refused with what to do, and only leaders command."""
    async with site() as here:
        row = await here.here.schedule(starts_in=0, recording_allowed=True)
        await here.here.turn()
        room = (await here.get(here.path_of(row, "room"), here.here.instructor)).json()
        assert room["muteAll"] == room["recording"] == {"support": Support.IN_ROOM, "active": False}
        assert room["spotlight"] == {"support": Support.IN_ROOM, "pubkey": None}
        somebody = {"pubkey": new_key().pubkey}
        commands = {
            "mute-all": {"on": True},
            "recording": {"on": True},
            "mute": somebody,
            "speak": {**somebody, "on": True},
            "spotlight": somebody,
        }
        for name, body in commands.items():
            path = here.path_of(row, "room", name)
            answer = await here.post(path, here.here.instructor, body)
            assert answer.status_code == 409, name
            assert answer.json()["type"] == "urn:podium:problem:not-supported"
            assert "in the meeting itself" in answer.json()["next"]
            assert (await here.post(path, new_key(), body)).status_code == 403
        assert await here.here.store.controls.to_list() == []
