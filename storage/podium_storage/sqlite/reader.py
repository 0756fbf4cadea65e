"""A connection that only reads, and answers many questions in one hop."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from podium_storage.backend import SqlRow, Value
from podium_storage.sqlite.connection import SqliteConnection, SqliteThread
from podium_storage.sqlite.failures import DRIVER_ERRORS, classified

QUESTIONS_A_HOP: Final = 64  # answered before the loop hears of the first: some 2 ms of lookups


class SqliteReader(SqliteConnection):
    """A connection that only reads. What many tasks ask for at once is answered in one hop.

    Waking the other thread and being woken by it costs several times what a lookup does.
    """

    def __init__(self, thread: SqliteThread) -> None:
        super().__init__(thread)
        self._waiting: deque[_Question] = deque()
        self._is_posted = False

    async def fetch_all(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        """Run one statement and return every row of its answer."""
        question = _Question(sql, parameters, asyncio.get_running_loop().create_future())
        self._thread.opened()
        self._waiting.append(question)
        if not self._is_posted:
            self._is_posted = True
            self._thread.post(self._answer)
        return await question.answer

    def _answer(self, connection: sqlite3.Connection) -> None:
        """Answer what is waiting, on the thread of the connection."""
        # lowered before the first look: a question that comes from now on posts another visit, perhaps for nothing
        self._is_posted = False
        while self._waiting:
            questions = [self._waiting.popleft() for _ in range(min(len(self._waiting), QUESTIONS_A_HOP))]
            answers = [(question.answer, _asked(connection, question)) for question in questions]
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile, and nobody waits
                questions[0].answer.get_loop().call_soon_threadsafe(_deliver, answers)


class _Question(NamedTuple):
    sql: str
    parameters: Sequence[Value]
    answer: asyncio.Future[list[SqlRow]]


def _asked(connection: sqlite3.Connection, question: _Question) -> list[SqlRow] | Exception:
    try:
        return connection.execute(question.sql, question.parameters).fetchall()
    except DRIVER_ERRORS as error:
        return classified(error, question.sql)
    except Exception as error:  # noqa: BLE001  (handed to whoever asked)
        return error


def _deliver(answers: list[tuple[asyncio.Future[list[SqlRow]], list[SqlRow] | Exception]]) -> None:
    for future, answer in answers:
        if future.done():
            continue  # whoever asked was cancelled
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
