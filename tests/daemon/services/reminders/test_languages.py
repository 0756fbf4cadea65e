"""Messages in the language of the person: of their page, else of their reply, else the service's."""

from __future__ import annotations

import pytest

from podium_protocol.events import VerifiedEvent, verify_json
from podium_protocol.keys import SecretKey
from podium_storage.languages import Languages
from podium_storage.table.models import LiveSessionRow
from tests.daemon.services.reminders.test_replies import invited, letter_about, say
from tests.daemon.services.reminders.test_rewrapping import plan, refuse, rumor_in, waiting
from tests.support.private import opened, scheduled
from tests.support.world import World, new_key, world

HOUR = 3600


async def uses(here: World, person: SecretKey, language: str) -> None:
    """The person's page has this language."""
    await Languages(here.store.database).note_page(person.pubkey, language, here.now)


def service_speaks(here: World, language: str) -> None:
    """The operator has set `identity.language`."""
    identity = here.core.config.identity.model_copy(update={"language": language})
    here.parts.apply(here.core.config.model_copy(update={"identity": identity}))


async def coming(here: World, *, language: str | None = None) -> tuple[SecretKey, LiveSessionRow]:
    """A person who has answered yes, of whom nothing was sent yet."""
    session, person = await here.schedule(), await here.person()
    if language is not None:
        await uses(here, person, language)
    await here.answer(person, session)
    return person, session


@pytest.mark.parametrize(
    ("page", "service", "headline"),
    [
        ("de", "en", "Du hast einen Platz: Know your rights"),
        ("en", "de", "You are confirmed: Know your rights"),
        (None, "de", "Du hast einen Platz: Know your rights"),
        (None, "en", "You are confirmed: Know your rights"),
    ],
)
async def test_a_person_is_written_to_in_the_language_of_their_page(
    page: str | None, service: str, headline: str
) -> None:
    """Else in the service's, which a reload changes."""
    async with world() as here:
        service_speaks(here, service)
        person, session = await coming(here, language=page)
        await here.turn()
        assert here.letters(person) == [headline]
        assert (await here.ledger(person, session))["confirmation"].language == (page or service)


async def test_a_message_that_is_wrapped_again_keeps_its_language() -> None:
    """The person changes the language between two wraps: the rumor, and so the message on their screen, is the same."""
    async with world() as here:
        person, session = await coming(here, language="de")
        await plan(here)
        (first,) = await refuse(here)
        await uses(here, person, "en")
        await plan(here)
        entry = (await here.ledger(person, session))["confirmation"]
        (row,) = await waiting(here)
        again = verify_json(row.event_json)
        assert isinstance(again, VerifiedEvent)
        assert again.id != first.id
        assert rumor_in(again, person, here.now) == rumor_in(first, person, here.now) == entry.rumor_id
        assert (entry.attempts, entry.language) == (2, "de")
        await here.turn()
        assert here.letters(person) == ["Du hast einen Platz: Know your rights"]


async def test_a_message_that_was_prepared_keeps_its_language() -> None:
    """Even if the session changes its title before it is sent, so that it is written anew."""
    async with world() as here:
        person, session = await coming(here, language="de")
        await here.turn()
        await here.advance(24 * HOUR - 300)
        await uses(here, person, "en")
        await here.store.sessions.update(session.id, title="Knots", event_id="0" * 64)
        await here.advance(301)
        assert here.letters(person)[1].startswith("Morgen: Knots um ")
        await here.advance(23 * HOUR)
        assert here.letters(person)[-1] == "Knots starting in 1 hour"


async def test_a_person_who_replies_in_german_is_written_to_in_german() -> None:
    """From then on, unless their page has another language."""
    async with world() as here:
        row = await here.schedule()
        one, two = await invited(here, row), await invited(here, row)
        await uses(here, two, "en")
        for person in (one, two):
            await say(here, person, "Vielleicht, danke!", to=await letter_about(here, person, row))
        await here.cancel(row)
        await here.turn()
        assert here.letters(one)[-1] == "Abgesagt: Know your rights"
        assert here.letters(two)[-1] == "Cancelled: Know your rights"


async def test_a_german_reply_is_answered_in_german() -> None:
    """Whatever the page: what could not be placed is asked about in the words it came in."""
    async with world() as here:
        rows = [await here.schedule(), await here.schedule()]
        person = await here.person()
        for row in rows:
            await here.answer(person, row)
        await here.turn()
        await uses(here, person, "en")
        await say(here, person, "ja gerne")
        text = opened(here, person)[-1].content
        assert text.startswith("Welche Veranstaltung meinst du?\n\nDu hast ja gesagt.")


async def test_words_that_are_not_understood_are_answered_in_the_persons_language() -> None:
    """They tell none themselves."""
    async with world() as here:
        row = await here.schedule()
        person = await invited(here, row)
        await uses(here, person, "de")
        await say(here, person, "Wo ist das?", to=await letter_about(here, person, row))
        assert opened(here, person)[-1].content.startswith("Das wurde nicht verstanden: Know your rights")


async def test_a_stranger_leaves_no_language_behind() -> None:
    """Any number of keys can write German: only people whom the service knows are noted."""
    async with world() as here:
        stranger = await here.person()
        await say(here, stranger, "ja")
        assert await Languages(here.store.database).of_people([stranger.pubkey]) == {}


async def test_an_invitation_is_in_the_guests_language() -> None:
    """Each guest's own, in one transaction."""
    async with world() as here:
        ada, ben = new_key(), new_key()
        for one, language in ((ada, "de"), (ben, "en")):
            await here.open_inbox(one)
            await uses(here, one, language)
        await scheduled(here, ada, ben)
        await here.turn()
        assert here.letters(ada)[-1] == "Du bist eingeladen: Know your rights"
        assert here.letters(ben)[-1] == "You are invited: Know your rights"
