"""The model's hook as a value."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest

from podium_daemon.api.sessions import SessionOut
from podium_daemon.client import LiveSessionContent, LiveSessionView, PodiumClient
from podium_daemon.client.hook import LiveSessionHook
from podium_protocol.live.rsvp import RsvpStatus
from tests.support.answers import answer
from tests.support.scripted_daemon import as_json, scripted_daemon
from tests.support.site import Site, site
from tests.support.vectors import DATA
from tests.support.world import new_key

FIELDS = {
    *("lesson", "content", "isLoading", "error", "isScheduled", "isLive", "isEnded", "hasRecording"),
    *("timeUntilStart", "rsvpStatus", "canRSVP", "isAttending", "attendanceDuration", "recordingUrl"),
}


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """A running server."""
    async with site() as running:
        yield running


def test_its_fields_are_the_models() -> None:
    """Exactly the names of `UseLiveSessionReturn` that are no functions; the content has the model's type."""
    assert set(LiveSessionView().model_dump(by_alias=True)) == FIELDS
    content = LiveSessionContent(scheduled_at=1, duration=2, instructor_pubkey="a", requires_rsvp=True)
    assert content.model_dump(by_alias=True) == {
        "type": "live-session",
        "scheduledAt": 1,
        "duration": 2,
        "instructorPubkey": "a",
        "requiresRSVP": True,
        "conferenceRoomId": None,
        "recordingUrl": None,
        "maxParticipants": None,
    }


def test_the_model_itself_has_these_fields() -> None:
    """The names come from the model's document."""
    text = (DATA / "model.md").read_text().split("interface UseLiveSessionReturn {")[1].split("}")[0]
    named = dict(re.findall(r"^  (\w+): (.*);$", text, re.MULTILINE))
    assert {name for name, kind in named.items() if "=>" not in kind} == FIELDS
    functions = {name for name, kind in named.items() if "=>" in kind}
    assert functions == {"rsvp", "joinSession", "leaveSession"}
    assert all(hasattr(LiveSessionHook, re.sub("([A-Z])", r"_\1", name).lower()) for name in functions)


async def test_the_view_follows_the_session(here: Site) -> None:
    """Scheduled with the seconds left, answered, live, attending, ended: each as the model says it."""
    row = await here.here.schedule(starts_in=600)
    async with PodiumClient(here.base, new_key(), now=here.here.clock.now) as podium:
        hook = LiveSessionHook(podium, row.session_address, now=here.here.clock.now)
        assert hook.view.is_loading
        before = await hook.refresh()
        assert (before.is_loading, before.is_scheduled, before.time_until_start) == (False, True, 600)
        assert (before.rsvp_status, before.can_rsvp, before.error) == (None, True, None)
        await hook.rsvp(RsvpStatus.TENTATIVE)
        assert hook.view.rsvp_status is RsvpStatus.TENTATIVE
        await here.here.lifecycle.start(row.session_address, here.here.instructor.pubkey)
        assert await hook.join_session() == "https://meet.example.org/room"
        assert (hook.view.is_live, hook.view.is_attending, hook.view.time_until_start) == (True, True, None)
        await hook.leave_session()
        assert not hook.view.is_attending
        await here.here.lifecycle.end(row.session_address, here.here.instructor.pubkey)
        ended = await hook.refresh()
        assert (ended.is_ended, ended.can_rsvp, ended.has_recording) == (True, False, False)
        assert ended.content is not None
        assert ended.content.conference_room_id == row.conference_room_id
        told = json.loads(ended.model_dump_json(by_alias=True))
        assert (told["lesson"]["lessonId"], told["content"]["type"]) == (row.session_address, "live-session")


async def test_a_failure_is_told_and_forgets_nothing() -> None:
    """While the daemon cannot be asked, the error is there, and the last known session too."""
    shown = answer(
        SessionOut, lessonId=f"31923:{'a' * 64}:knots", naddr="knots", title="Knots", scheduledAt=2_000_000_000
    )
    with scripted_daemon() as daemon:
        daemon.routes["GET /api/sessions/knots"] = as_json(shown)
        async with PodiumClient(daemon.url) as podium:
            hook = podium.live_session("knots")
            known = await hook.refresh()
            assert (known.error, known.can_rsvp) == (None, False)  # without a key nobody answers
            del daemon.routes["GET /api/sessions/knots"]
            failed = await hook.refresh()
    assert "not known here" in (failed.error or "")
    assert failed.lesson == known.lesson is not None
    assert not failed.is_loading
