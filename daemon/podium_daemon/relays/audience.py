"""Who has answered to the open sessions or asked there: read once, then kept in step with the change feed."""

from __future__ import annotations

from collections.abc import Collection

from podium_protocol.events import Pubkey
from podium_storage.changes import Batch
from podium_storage.store import Store
from podium_storage.table.models import QuestionRow, RsvpRow


class Audience:
    """The people of some sessions, in the order in which they came: ten thousand are not read again for one more."""

    def __init__(self, store: Store) -> None:
        """Know nobody yet."""
        self._store = store
        self._lessons_of: dict[str, set[str]] = {}
        self._known: set[str] = set()

    def __len__(self) -> int:
        """How many people there are."""
        return len(self._lessons_of)

    @property
    def people(self) -> tuple[Pubkey, ...]:
        """Those who have answered; who came later stands behind."""
        return tuple(map(Pubkey, self._lessons_of))

    def people_of(self, lessons: Collection[str]) -> tuple[Pubkey, ...]:
        """Those who have answered one of these sessions; who came later stands behind."""
        wanted = set(lessons)
        return tuple(Pubkey(one) for one, theirs in self._lessons_of.items() if not wanted.isdisjoint(theirs))

    def note(self, batch: Batch) -> None:
        """Take in what changed since; after a `resync` everything is read again."""
        if batch.resync:
            self._lessons_of, self._known = {}, set()
        for change in batch.changes:
            row = change.after or change.before
            if not isinstance(row, RsvpRow | QuestionRow) or row.lesson_id not in self._known:
                continue
            if change.after is not None:
                self._lessons_of.setdefault(row.pubkey, set()).add(row.lesson_id)
            elif isinstance(row, RsvpRow):
                self._forget(row.pubkey, {row.lesson_id})

    async def follow(self, lessons: Collection[str]) -> None:
        """Have the people of these sessions, and of no others."""
        if over := self._known.difference(lessons):
            self._known -= over
            for pubkey in tuple(self._lessons_of):
                self._forget(pubkey, over)
        fresh = [lesson for lesson in lessons if lesson not in self._known]
        if fresh:
            rows = await self._store.rsvps.where("lessonId").any_of(fresh).to_list()
            self._known.update(fresh)
            for row in sorted(rows, key=lambda row: row.first_seen):
                self._lessons_of.setdefault(row.pubkey, set()).add(row.lesson_id)
            for asked in await self._store.questions.where("lessonId").any_of(fresh).to_list():
                self._lessons_of.setdefault(asked.pubkey, set()).add(asked.lesson_id)

    def _forget(self, pubkey: str, lessons: set[str]) -> None:
        left = self._lessons_of.get(pubkey, set()) - lessons
        if left:
            self._lessons_of[pubkey] = left
        else:
            self._lessons_of.pop(pubkey, None)
