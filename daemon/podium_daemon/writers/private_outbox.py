"""Messages of private sessions by gift wrap: queued in the transaction that changes the state, sent by the sender.

One letter for each (session, recipient, topic): a newer one on the topic takes the place of one that is not sent yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from podium_daemon.runtime.clock import Clock
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.live.reminders import LedgerState
from podium_storage.database import Transaction
from podium_storage.store import Store
from podium_storage.table.models import LetterRow, LiveSessionRow

SESSION: Final = "session"
DELETION: Final = "deletion"
INVITATION: Final = "invitation"
STATUS: Final = "status"
RSVP: Final = "rsvp"
ATTENDANCE: Final = "attendance"
HELP: Final = "help"
"""The explanation of what can be said by message: one letter for each person and session, not a second one."""

_BY_KEY: Final = "[lessonId+pubkey+topic]"
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(UnsignedEvent).decode


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A rumor by the service for one person. `expires_at` (Unix seconds): from then on it is of no use."""

    session_address: str
    recipient: Pubkey
    topic: str
    rumor: UnsignedEvent
    expires_at: int | None = None


class PrivateOutbox:
    """Queues rumors that only the recipient may read."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, tx: Transaction, letters: Sequence[Letter]) -> None:
        """Queue letters in the caller's transaction; one that was queued before with the same content stays."""
        if not letters:
            return
        now = int(self._clock.now())
        table = self._store.letters.within(tx)
        keys = [[letter.session_address, letter.recipient, letter.topic] for letter in letters]
        known = {
            (row.session_address, row.pubkey, row.topic, row.rumor_id)
            for row in await table.where(_BY_KEY).any_of(keys).to_list()
        }
        written: dict[int, tuple[bytes, str]] = {}  # one rumor goes to hundreds of people: it is encoded once
        for rumor in {id(letter.rumor): letter.rumor for letter in letters}.values():
            written[id(rumor)] = (_encode(rumor), rumor.id)
        fresh = [_row(letter, *written[id(letter.rumor)], now=now) for letter in letters]
        changed = [row for row in fresh if (row.session_address, row.pubkey, row.topic, row.rumor_id) not in known]
        await table.upsert(changed, by=_BY_KEY)


def attendance_letters(row: LiveSessionRow, record: UnsignedEvent, participant: Pubkey) -> list[Letter]:
    """The letters of an attendance record: to the participant, to the instructor, and to ourselves."""
    topic = f"{ATTENDANCE}:{participant}"
    recipients = dict.fromkeys((participant, Pubkey(row.instructor_pubkey), record.pubkey))
    return [Letter(session_address=row.session_address, recipient=one, topic=topic, rumor=record) for one in recipients]


def status_letter(row: LiveSessionRow, rumor: UnsignedEvent) -> Letter:
    """The letter of a status to ourselves: a private session has no 30313 on relays, and a disk can be lost."""
    return Letter(session_address=row.session_address, recipient=rumor.pubkey, topic=STATUS, rumor=rumor)


def rumor_of(row: LetterRow) -> UnsignedEvent:
    """Read the rumor that a row stores."""
    return _decode(row.rumor)


def _row(letter: Letter, rumor: bytes, rumor_id: str, *, now: int) -> LetterRow:
    return LetterRow(
        session_address=letter.session_address,
        pubkey=letter.recipient,
        topic=letter.topic,
        state=LedgerState.SCHEDULED,
        rumor=rumor,
        rumor_id=rumor_id,
        due_at=now,
        expires_at=letter.expires_at,
        updated_at=now,
    )
