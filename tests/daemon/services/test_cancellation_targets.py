"""Where a deletion goes."""

from __future__ import annotations

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.writers.event_writer import EventWriter
from podium_protocol.live.session import SessionSpec, cancel
from tests.support.world import RELAY, signed, world

FORMER = "wss://former.example.org"


async def test_a_cancellation_goes_to_every_relay_the_session_was_ever_given_to() -> None:
    """A relay that is no longer configured is told too; the inboxes of people are not."""
    async with world() as here:
        before = EventWriter(here.mirror, here.outbox, lambda: [FORMER], here.clock)
        submission = here.submission_through(before)
        spec = SessionSpec(identifier="x", title="Know your rights", starts_at=here.now + 7200, duration_minutes=60)
        event = signed(here.instructor, here.draft(spec))
        assert not isinstance(await submission.submit([event], by=event.pubkey), Rejection)
        row = (await here.store.sessions.to_list())[0]
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        cancelled = cancel(event, here.now + 1)
        events = [signed(here.instructor, cancelled.revision), signed(here.instructor, cancelled.deletion)]
        submitted = await here.submission.submit(events, by=events[0].pubkey)
        assert not isinstance(submitted, Rejection)
        assert [set(one.relays) for one in submitted] == [{RELAY, FORMER}, {RELAY, FORMER}]
