"""The reading connection: many questions at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium_storage.errors import StoreClosed, StoreError
from podium_storage.sqlite.backend import SqliteBackend
from podium_storage.sqlite.connection import QUESTIONS_A_HOP, SqliteReader


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[SqliteReader]:
    """A reading connection to an empty file."""
    backend = SqliteBackend(tmp_path / "a.db")
    await (await backend.open_writer()).close()
    opened = await backend.open_reader()
    yield opened
    await opened.close()


async def test_each_of_many_gets_its_own_answer(reader: SqliteReader) -> None:
    """Questions asked at once, more than fit one hop, are answered each with its own rows."""
    count = 3 * QUESTIONS_A_HOP + 5
    answers = await asyncio.gather(*(reader.fetch_all("SELECT ?", (number,)) for number in range(count)))
    assert answers == [[(number,)] for number in range(count)]


async def test_they_share_hops(reader: SqliteReader) -> None:
    """Questions of one moment are put to the thread once."""
    posted = 0
    post = reader._thread.post

    def counted(function: object) -> None:
        nonlocal posted
        posted += 1
        post(function)  # type: ignore[arg-type]  # the reader's own function, passed on

    reader._thread.post = counted  # type: ignore[method-assign]  # counts, and passes on
    await asyncio.gather(*(reader.fetch_all("SELECT 1") for _ in range(50)))
    assert posted < 5


async def test_one_bad_question_spoils_no_other(reader: SqliteReader) -> None:
    """An error goes to the one who asked, the others get their rows."""
    answers = await asyncio.gather(
        reader.fetch_all("SELECT 1"),
        reader.fetch_all("SELECT * FROM nowhere"),
        reader.fetch_all("SELECT 2"),
        return_exceptions=True,
    )
    assert answers[0] == [(1,)]
    assert isinstance(answers[1], StoreError)
    assert answers[2] == [(2,)]


async def test_a_cancelled_question_holds_up_nobody(reader: SqliteReader) -> None:
    """Who was cancelled gets nothing, and who asked before and after gets an answer."""
    tasks = [asyncio.create_task(reader.fetch_all("SELECT ?", (number,))) for number in range(9)]
    await asyncio.sleep(0)
    tasks[4].cancel()
    await asyncio.wait(tasks)
    assert [None if task.cancelled() else task.result() for task in tasks] == [
        None if number == 4 else [(number,)] for number in range(9)
    ]


async def test_questions_keep_coming_while_others_are_answered(reader: SqliteReader) -> None:
    """Tasks that ask again as soon as they have an answer never get stuck."""

    async def ask(number: int) -> int:
        total = 0
        for _ in range(100):
            total += int((await reader.fetch_all("SELECT ?", (number,)))[0][0] or 0)
        return total

    async with asyncio.timeout(60):
        assert await asyncio.gather(*(ask(number) for number in range(20))) == [100 * number for number in range(20)]


async def test_closing_answers_everybody(tmp_path: Path) -> None:
    """When the connection is closed under many questions, each is answered or refused, and none waits for ever."""
    backend = SqliteBackend(tmp_path / "a.db")
    await (await backend.open_writer()).close()
    reader = await backend.open_reader()
    tasks = [asyncio.create_task(reader.fetch_all("SELECT 1")) for _ in range(5 * QUESTIONS_A_HOP)]
    await asyncio.sleep(0)
    await reader.close()
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(answer == [(1,)] or isinstance(answer, StoreError) for answer in answers)
    with pytest.raises(StoreClosed):
        await reader.fetch_all("SELECT 1")
