"""The language of each person: of their page, else of their replies, for a bounded time and number."""

from __future__ import annotations

from podium_storage.languages import Languages, note_language
from tests.support.mirrors import Mirrored, mirrored

ADA, BEN, EVE = "a" * 64, "b" * 64, "e" * 64
DAY = 86_400


async def note(here: Mirrored, pubkey: str, language: str, now: int, *, from_page: bool, at_most: int = 10) -> None:
    """Note a language in a transaction of its own."""
    database = here.store.database
    await database.transact(lambda tx: note_language(tx, pubkey, language, now, from_page=from_page, at_most=at_most))


async def test_the_language_of_the_page_outranks_that_of_a_reply() -> None:
    """The newest of a page's; a reply's only until a page has told one."""
    async with mirrored() as here:
        languages = Languages(here.store.database)
        await note(here, ADA, "de", 1, from_page=False)
        assert await languages.of_people([ADA, BEN]) == {ADA: "de"}
        await languages.note_page(ADA, "en", 2)
        await note(here, ADA, "de", 3, from_page=False)
        assert await languages.of_people([ADA]) == {ADA: "en"}
        await languages.note_page(ADA, "de", 4)
        await note(here, BEN, "en", 5, from_page=False)
        assert await languages.of_people([ADA, BEN]) == {ADA: "de", BEN: "en"}


async def test_what_is_known_is_not_written_again() -> None:
    """Each call of a page tells its language; a month later it is noted that it still does."""
    async with mirrored() as here:
        database = here.store.database
        seen = "SELECT seenAt FROM languages"
        for now, noted in ((DAY, DAY), (2 * DAY, DAY), (40 * DAY, 40 * DAY)):
            await Languages(database).note_page(ADA, "de", now)  # as after a restart
            assert await database.fetch_one(seen) == (noted,)


async def test_people_are_forgotten_after_a_year_and_past_a_number() -> None:
    """Those who were seen longest ago go first."""
    async with mirrored() as here:
        languages = Languages(here.store.database)
        for now, pubkey in enumerate((ADA, BEN, ADA, EVE), 1):
            await note(here, pubkey, "de", now, from_page=True, at_most=2)
        assert set(await languages.of_people([ADA, BEN, EVE])) == {ADA, EVE}
        await note(here, BEN, "de", 366 * DAY, from_page=True)
        assert set(await languages.of_people([ADA, BEN, EVE])) == {BEN}
