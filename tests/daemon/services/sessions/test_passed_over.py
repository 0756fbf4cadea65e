"""What instructors signed and is no session here."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.writers.private_outbox import rumor_of
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_storage.languages import Languages
from podium_storage.table.models import LetterRow, LiveSessionRow
from tests.support.world import World, new_key, world


async def edited_elsewhere(here: World, row: LiveSessionRow, **changed: str | None) -> VerifiedEvent:
    """The instructor's next revision with some tags of another value, or without them."""
    before = await here.event_of(row)
    kept = [tag for tag in before.tags if tag[0] not in changed]
    fresh = [(name, value) for name, value in changed.items() if value is not None]
    created_at = max(before.created_at, row.unread_created_at or 0) + 1
    draft = UnsignedEvent(before.pubkey, created_at, before.kind, (*kept, *fresh), before.content)
    return await here.publish(here.instructor, draft)


async def notices(here: World) -> list[LetterRow]:
    """The letters about revisions that do not count."""
    return [row for row in await here.store.letters.to_list() if row.topic.startswith("unread:")]


async def foreign(here: World, key: SecretKey, *tags: tuple[str, ...]) -> VerifiedEvent:
    """A calendar event of another program."""
    rows = (("d", "knots"), ("title", "Knots"), ("start", str(here.now + 3600)), *tags)
    return await here.publish(key, UnsignedEvent(key.pubkey, here.now, kinds.SESSION, rows, ""))


async def test_the_instructor_is_told_once_with_the_reason() -> None:
    """One letter for each revision in force, to the instructor alone, however often they save it wrong."""
    async with world() as here:
        row = await here.schedule()
        await edited_elsewhere(here, row, end="soon")
        await edited_elsewhere(here, await here.row(row.session_address), title=None, name=None)
        (letter,) = await notices(here)
        assert (letter.pubkey, letter.session_address) == (here.instructor.pubkey, row.session_address)
        assert "Know your rights" in rumor_of(letter).content
        await edited_elsewhere(here, row, end=str(row.ends_at), title=row.title)
        healed = await here.row(row.session_address)
        assert healed.unread_reason is None
        await edited_elsewhere(here, healed, end="soon")
        assert len(await notices(here)) == 2


async def test_the_instructor_is_told_in_their_own_language() -> None:
    """The one that their page used last."""
    async with world() as here:
        row = await here.schedule()
        await Languages(here.store.database).note_page(here.instructor.pubkey, "de", here.now)
        await edited_elsewhere(here, row, end="soon")
        (letter,) = await notices(here)
        assert rumor_of(letter).content.startswith("Deine letzte Änderung war nicht zu lesen: Know your rights")


@pytest.mark.parametrize("state", ["ended", "cancelled"])
async def test_of_what_is_over_nobody_is_told(state: str) -> None:
    """The flag is kept, and there is nothing to put right."""
    async with world() as here:
        row = await here.schedule()
        await here.store.sessions.where("lessonId").equals(row.session_address).modify(state=state)
        await edited_elsewhere(here, row, end="soon")
        assert (await here.row(row.session_address)).unread_reason is not None
        assert await notices(here) == []


async def test_an_unreadable_edit_of_a_live_session_ends_nothing() -> None:
    """People in the room go on; the state stays active whatever the clock says of the broken times."""
    async with world() as here:
        row = await here.schedule(starts_in=900)
        await here.advance(900)
        assert (await here.row(row.session_address)).state == "active"
        await edited_elsewhere(here, row, start="1", end="2")
        await here.turn()
        after = await here.row(row.session_address)
        assert (after.state, after.withdrawn, after.runs) == ("active", False, ((here.now, None),))


async def test_it_is_listed_logged_and_counted_with_its_reason() -> None:
    """Each event once; an instructor sees their own, the service's key all, anybody else nothing."""
    async with world() as here:
        other = new_key()
        here.listed.add(other.pubkey)
        with capture_logs() as logs:
            event = await foreign(here, here.instructor)
            await here.mirror.ingest([event], received_at=here.now)
            theirs = await foreign(here, other, ("p", new_key().pubkey))
            await foreign(here, new_key())
        told = [line for line in logs if line.get("action") == "session.passed_over"]
        assert [line["session"].split(":")[1] for line in told] == [here.instructor.pubkey, other.pubkey]
        assert sum(here.passed_over.counts.values()) == 2
        own = await here.passed_over.listed(here.instructor.pubkey)
        assert not isinstance(own, Rejection)
        assert [(one.event_id, one.title, one.keeps) for one in own] == [(event.id, "Knots", False)]
        assert "another kind" in own[0].reason
        everything = await here.passed_over.listed(here.service.pubkey)
        assert not isinstance(everything, Rejection)
        assert {one.event_id for one in everything} == {event.id, theirs.id}
        assert isinstance(await here.passed_over.listed(new_key().pubkey), Rejection)


async def test_a_session_that_is_taken_is_not_listed() -> None:
    """Only what does not count; a revision that cannot be read says that the one before does."""
    async with world() as here:
        row = await here.schedule()
        assert await here.passed_over.listed(here.service.pubkey) == []
        edit = await edited_elsewhere(here, row, end="soon")
        (one,) = await here.passed_over.listed(here.service.pubkey)
        assert (one.event_id, one.session_address, one.keeps) == (edit.id, row.session_address, True)
