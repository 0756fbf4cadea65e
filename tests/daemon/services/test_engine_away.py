"""An engine whose server is away: sessions wait for it, nobody is lost, and it is said."""

from __future__ import annotations

import os

from podium_daemon.conference.engine import EngineUnavailable, RoomOpen, RoomSpec, Unsupported
from podium_daemon.conference.engines.link import LinkEngine, LinkSettings
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.live.lifecycle import SessionState
from tests.support.site import site
from tests.support.world import World, world


class Away(LinkEngine):
    """A link engine that cannot open rooms while `is_away`."""

    is_away = True

    async def open_room(self, spec: RoomSpec) -> RoomOpen | Unsupported:
        """As a server that does not answer."""
        if self.is_away:
            raise EngineUnavailable("the server did not answer")
        return await super().open_room(spec)


def _away(here: World) -> Away:
    engine = Away(LinkSettings(meeting_url="https://meet.example.org/"), clock=here.clock, random_bytes=os.urandom)
    here.join(engine)
    return engine


async def test_a_session_waits_for_the_engine_and_others_do_not() -> None:
    """What cannot start says why and starts when the server is back; another session's end is not held up."""
    async with world() as here:
        ending = await here.schedule(starts_in=60, minutes=15)
        await here.advance(61)
        assert (await here.row(ending.session_address)).state == SessionState.ACTIVE
        engine = _away(here)
        waiting = await here.schedule(starts_in=10)
        await here.advance(20)
        row = await here.row(waiting.session_address)
        assert (row.state, row.blocked_reason) == (SessionState.SCHEDULED, "the server did not answer")
        await here.advance(16 * 60)
        assert (await here.row(ending.session_address)).state == SessionState.ENDED
        engine.is_away = False
        await here.advance(30)
        assert (await here.row(waiting.session_address)).state == SessionState.ACTIVE


async def test_a_start_by_hand_is_refused_with_the_reason() -> None:
    """The instructor is told that it is the server, and nothing has begun."""
    async with world() as here:
        _away(here)
        row = await here.schedule(starts_in=60)
        refused = await here.lifecycle.start(row.session_address, here.instructor.pubkey)
        assert isinstance(refused, Rejection)
        assert refused.detail == "the server did not answer"
        assert (await here.row(row.session_address)).state == SessionState.SCHEDULED


async def test_somebody_at_the_door_is_told_and_can_come_again() -> None:
    """The room socket closes with words, not with a failure; the next try goes through."""
    async with world() as here:
        engine = _away(here)
        row = await here.schedule(starts_in=60)
        async with site(here) as running:
            page = await running.knock(here.instructor, row)
            told = await page.read()
            assert (told["type"], told["reason"]) == ("refused", "engine")
            assert "does not answer" in str(told["text"])
            engine.is_away = False
            page = await running.knock(here.instructor, row)
            assert (await page.read())["type"] == "welcome"
