"""The chat of a room: over the rooms' sockets, kept with the session, and never on relays.

Of an encrypted session the daemon gets and keeps cipher text only; it has no key (docs/encryption.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.events import RoomId
from podium_daemon.conference.seats import Seat, Signalling
from podium_daemon.conference.signaling import (
    ChatDeleted,
    ChatHistory,
    ChatMessage,
    ChatRefused,
    ChatSent,
    ChatState,
    ReactionMessage,
    ReactionShown,
    ServerMessage,
)
from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey
from podium_protocol.live.chat import MAX_LINES, is_reaction, read_text
from podium_storage.database import Transaction
from podium_storage.store import Store
from podium_storage.table.models import ChatLineRow, LiveSessionRow, RoomControlsRow

_log = structlog.get_logger(__name__)
OF_A_PERSON: Final = Rate(burst=2, per_second=1)
"""A line a second; the second one at once is for what the network delivers together."""

OF_A_ROOM: Final = Rate(burst=40, per_second=10)
"""Each line goes to all people, so what many write at once would be quadratic in them."""

REACTIONS_OF_A_PERSON: Final = Rate(burst=3, per_second=1)
REACTIONS_OF_A_ROOM: Final = Rate(burst=20, per_second=10)
"""More than that cannot be seen, and each goes to all people."""

_CHUNK: Final = 50  # lines in a message to a newcomer: their browser may have 64 messages unread
_HISTORY_CHARACTERS: Final = 256 * 1024  # to one newcomer: the newest lines that fit
_NO_LINE: Final = Rejection(Slug.UNKNOWN_LINE, "there is no such line in this chat", "It may be deleted already.")


class RoomChat:
    """Owns the chat lines, and `chat_closed_at` of the room controls. `dropped` counts refused lines, by reason."""

    def __init__(self, store: Store, seats: Signalling, clock: Clock) -> None:
        self._store = store
        self._seats = seats
        self._clock = clock
        self._people: Buckets[tuple[str, Pubkey]] = Buckets(OF_A_PERSON)
        self._rooms: Buckets[str] = Buckets(OF_A_ROOM)
        self._reacting: Buckets[tuple[str, Pubkey]] = Buckets(REACTIONS_OF_A_PERSON)
        self._reactions: Buckets[str] = Buckets(REACTIONS_OF_A_ROOM)
        self.dropped: Counter[str] = Counter()

    async def add_seat(self, session_address: str, seat: Seat) -> None:
        """Send a new seat the lines that its person may read, and whether the chat is switched off."""
        row = await self._session(session_address)
        if row is None:
            return
        if not await self.is_open(session_address):
            seat.send(ChatState(open=False))
        person = seat.connection.pubkey
        leading = person in _leaders(row)
        lines = [one for one in await self.lines(session_address) if not one.private or leading or one.pubkey == person]
        for chunk in _chunks(lines):
            seat.send(ChatHistory(tuple(map(_sent, chunk))))

    async def say(self, session_address: str, seat: Seat, message: ChatMessage) -> None:
        """Keep a line and send it to all, or to those who lead; a refused one is counted, and its sender is told."""
        row = await self._session(session_address)
        if row is None:
            return
        person = seat.connection.pubkey
        refused = await self._objection(row, person, message)
        text = None if refused else read_text(message.text, sealed=row.e2ee_required)
        if refused or text is None:
            reason = refused or "flawed"
            self.dropped[f"chat_{reason}"] += 1
            seat.send(ChatRefused(reason))
            return
        line = await self._keep(
            ChatLineRow(
                session_address=session_address,
                pubkey=person,
                text=text,
                private=message.private,
                sealed=row.e2ee_required,
                sent_at=int(self._clock.now()),
            )
        )
        await self._send(row, _sent(line), {*_leaders(row), person} if line.private else None)

    async def react(self, session_address: str, seat: Seat, message: ReactionMessage, *, encrypted: bool) -> None:
        """Show a person's reaction to all; it is kept nowhere. One that is too much or unknown is counted."""
        person, now = seat.connection.pubkey, self._clock.monotonic()
        if not is_reaction(message.kind, sealed=encrypted):
            self.dropped["reaction_flawed"] += 1
        elif self._reacting.take_tokens((session_address, person), now) and self._reactions.take_tokens(
            session_address, now
        ):
            await self._seats.send_message(seat.connection.room, ReactionShown(person, message.kind))
        else:
            self.dropped["reaction_too-fast"] += 1

    async def lines(self, session_address: str) -> list[ChatLineRow]:
        """The lines that are kept, the oldest first."""
        found = await self._store.chat.where("lessonId").equals(session_address).to_list()
        return sorted(found, key=lambda line: line.id or 0)

    async def is_open(self, session_address: str) -> bool:
        """Whether all people may chat."""
        controls = await self._store.controls.where("lessonId").equals(session_address).first()
        return controls is None or controls.chat_closed_at is None

    async def switch(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> None:
        """Switch the chat on or off for all but those who lead; the caller was checked."""
        closed_at = None if wanted else int(self._clock.now())

        async def scope(tx: Transaction) -> bool:
            table = self._store.controls.within(tx)
            controls = await table.where("lessonId").equals(row.session_address).first() or RoomControlsRow(
                session_address=row.session_address
            )
            if wanted is (controls.chat_closed_at is None):
                return False
            await table.upsert([msgspec.structs.replace(controls, chat_closed_at=closed_at)], by="lessonId")
            return True

        if not await self._store.database.transact(scope):
            return
        _log.info("the chat was switched", action="room.chat", session=row.session_address, by=by, wanted=wanted)
        await self._send(row, ChatState(open=wanted))

    async def delete(self, row: LiveSessionRow, line: int, by: Pubkey) -> Rejection | None:
        """Delete a line, here and on all pages; the caller was checked."""
        found = await self._store.chat.get(line)
        if found is None or found.session_address != row.session_address:
            return _NO_LINE
        await self._store.chat.delete(line)
        _log.info("a line was deleted", action="room.chat_deleted", session=row.session_address, by=by)
        await self._send(row, ChatDeleted(line))
        return None

    async def _objection(self, row: LiveSessionRow, person: Pubkey, message: ChatMessage) -> str | None:
        now = self._clock.monotonic()
        if person not in _leaders(row) and not message.private and not await self.is_open(row.session_address):
            return "closed"
        if not self._people.take_tokens((row.session_address, person), now):
            return "too-fast"
        return None if self._rooms.take_tokens(row.session_address, now) else "too-fast"

    async def _keep(self, line: ChatLineRow) -> ChatLineRow:
        async def scope(tx: Transaction) -> int:
            table = self._store.chat.within(tx)
            added = await table.add(line)
            there = await table.where("lessonId").equals(line.session_address).primary_keys()
            if len(there) > MAX_LINES:
                await table.bulk_delete(sorted(there)[:-MAX_LINES])
            return added

        return msgspec.structs.replace(line, id=await self._store.database.transact(scope))

    async def _send(
        self, row: LiveSessionRow, message: ServerMessage, people: Collection[Pubkey] | None = None
    ) -> None:
        assert row.conference_room_id is not None, "every adopted session has its room"
        room = RoomId(row.conference_room_id)
        if people is None:
            await self._seats.send_message(room, message)
            return
        for pubkey in people:
            await self._seats.send_message(room, message, pubkey)

    async def _session(self, session_address: str) -> LiveSessionRow | None:
        return await self._store.sessions.where("lessonId").equals(session_address).first()


def _leaders(row: LiveSessionRow) -> frozenset[Pubkey]:
    return frozenset(map(Pubkey, (row.instructor_pubkey, *row.co_hosts)))


def _sent(line: ChatLineRow) -> ChatSent:
    assert line.id is not None, "lines that are kept have an id"
    return ChatSent(id=line.id, sender=line.pubkey, text=line.text, at=line.sent_at, private=line.private)


def _chunks(lines: Iterable[ChatLineRow]) -> Iterator[list[ChatLineRow]]:
    """The newest lines that may go to one newcomer, in order, some at a time."""
    left, fitting = _HISTORY_CHARACTERS, list[ChatLineRow]()
    for line in reversed(list(lines)):
        left -= len(line.text)
        if left < 0:
            break
        fitting.append(line)
    fitting.reverse()
    for start in range(0, len(fitting), _CHUNK):
        yield fitting[start : start + _CHUNK]
