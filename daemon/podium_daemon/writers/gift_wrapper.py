"""From a ledger row to a signed gift wrap: the text, the seal, the wrap, and the relays it goes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from podium_daemon.runtime.clock import Clock
from podium_daemon.writers.wrapping import MessageWrapping
from podium_daemon.writers.wrapping_child import WrapOrder
from podium_protocol import kinds
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.filters import Filter
from podium_protocol.live import message_texts as texts
from podium_protocol.live.languages import language_of
from podium_protocol.live.reminders import ReminderMessage, ReminderPolicy, is_start_in_time
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.nips import nip17
from podium_protocol.nips.nip11 import NOTHING_ASKED, RequiredByRelays
from podium_storage.mirror.queries import EventQueries
from podium_storage.table.models import LedgerRow, LiveSessionRow, RsvpRow

_PER_QUERY = 500  # people: the checks of their keys and the reading of their lists are some 5 ms
_MINUTES_BACK = 60


class LinkOf(Protocol):
    """Returns the address of a session's page for a message to a person, which signs them in (`Core.link_of`)."""

    def __call__(self, row: LiveSessionRow, person: Pubkey, made_at: int, *, to_recording: bool = False) -> str: ...


AskedBy = Callable[[Sequence[str]], RequiredByRelays]
"""Returns what these relays are known to ask of an event that goes to all of them."""


def nothing_asked(_: Sequence[str]) -> RequiredByRelays:
    """An `AskedBy` of relays that take everything."""
    return NOTHING_ASKED


MAX_MINED: Final = 50
"""Wraps mined in one turn, some 5 s at 16 bits: the relays of one recipient must not delay all other messages."""

_T = TypeVar("_T")


class Work:
    """The share of one turn in which wraps are mined for relays that ask for it (NIP-13)."""

    def __init__(self, most: int = MAX_MINED) -> None:
        self._most = most
        self.begin()

    def begin(self) -> None:
        """Begin a turn."""
        self._left = self._most
        self.is_put_off = False
        """Whether a wrap waits for the next turn."""

    def puts_off(self, asked: RequiredByRelays) -> bool:
        """Whether a wrap has to wait for the next turn because enough was mined in this one; if not, count it."""
        if not asked.work:
            return False
        self._left -= 1
        self.is_put_off |= self._left < 0
        return self._left < 0


async def made(asked: RequiredByRelays, make: Callable[[], _T]) -> _T:
    """Call `make` and return its result; on a thread if it has to mine, which takes too long for the event loop."""
    return await asyncio.to_thread(make) if asked.work else make()


class Wrapped(msgspec.Struct, frozen=True):
    """A finished message; `rumor_id` is what the recipient's client knows it by."""

    event: SignedEvent
    rumor_id: str


class Wrapper:
    """Writes and wraps messages as the service."""

    def __init__(
        self,
        wrapping: MessageWrapping,
        *,
        policy: ReminderPolicy,
        link_of: LinkOf,
        clock: Clock,
        asked_by: AskedBy = nothing_asked,
        most_work: Callable[[], int] = lambda: 0,
    ) -> None:
        """`asked_by`: what recipients' relays ask of a wrap; `most_work`: the most bits of work that are done."""
        self.most_work = most_work
        self.asked_by = asked_by
        self._wrapping = wrapping
        self.policy = policy
        self._link_of = link_of
        self._clock = clock

    def order(
        self, row: LedgerRow, session: LiveSessionRow, rsvp: RsvpRow | None, asked: RequiredByRelays = NOTHING_ASKED
    ) -> WrapOrder:
        """Render one message, to be sealed and wrapped as `asked` (`wrap_all`).

        It is written in the row's language, and the caller stores both: whatever the person reads later, the message
        can then be written again word for word.
        A late message names the time that really remains.
        """
        now = int(self._clock.now())
        return self._order(self._rumor(row, session, rsvp, now), row, session, now, asked)

    async def wrap_all(self, orders: Sequence[WrapOrder]) -> list[SignedEvent]:
        """Seal and wrap messages, in worker processes if they are many; the wraps are in the order of the orders."""
        return await self._wrapping.wrap_all(orders)

    def wrap_again(
        self, row: LedgerRow, session: LiveSessionRow, rsvp: RsvpRow | None, asked: RequiredByRelays
    ) -> Wrapped | None:
        """Wrap the message of `row` again, with the same rumor, for a relay that asks for another wrap.

        None: the same text cannot be written again, since the session or the RSVP has changed.
        """
        now = int(self._clock.now())
        for written_at in self._times_of_writing(row, now):
            rumor = self._rumor(row, session, rsvp, written_at)
            if rumor.id == row.rumor_id:
                return Wrapped(self._wrapping.wrap(self._order(rumor, row, session, now, asked)), rumor.id)
        return None

    def _times_of_writing(self, row: LedgerRow, now: int) -> Iterator[int]:
        """The times at which the text may have been written: in time, or late, when it names the remaining minutes."""
        first_late = row.due_at + self.policy.late_after + 1
        yield row.due_at
        yield from range(now, max(first_late, now - _MINUTES_BACK * 60), -60)
        yield first_late

    def _rumor(self, row: LedgerRow, session: LiveSessionRow, rsvp: RsvpRow | None, now: int) -> UnsignedEvent:
        rendered = texts.render(
            ReminderMessage(row.message),
            self._subject(row, session, rsvp),
            due_at=row.due_at,
            now=now,
            policy=self.policy,
            language=language_of(row.language),
        )
        return texts.write_message(
            rendered, service=self._wrapping.service, recipient=Pubkey(row.pubkey), due_at=row.due_at
        )

    def _order(
        self, rumor: UnsignedEvent, row: LedgerRow, session: LiveSessionRow, now: int, asked: RequiredByRelays
    ) -> WrapOrder:
        return self._wrapping.order(
            rumor,
            Pubkey(row.pubkey),
            now=max(now, row.due_at),  # it is sent then, and no relay must find it too old
            expiration=max(session.ends_at, row.window_ends_at),
            asked=asked,
        )

    def _subject(self, row: LedgerRow, session: LiveSessionRow, rsvp: RsvpRow | None) -> texts.Subject:
        recipient = Pubkey(row.pubkey)
        # of the due time, as the rumor itself: a message that is wrapped again must have the same text
        link = self._link_of(session, recipient, row.due_at, to_recording=row.message == ReminderMessage.RECORDING)
        page, personal, _ = link.partition("#")
        has_link = bool(personal) and row.message not in _NOTHING_TO_OPEN
        return texts.Subject(
            title=session.title,
            starts_at=session.scheduled_at,
            timezone=session.timezone or "UTC",
            join_url=link if has_link else page,
            is_personal=has_link,
            needs_key=session.e2ee_required,
            position=(rsvp.position if rsvp else None) or 0,
            tentative=rsvp is not None and rsvp.status == RsvpStatus.TENTATIVE,
            moved_from=row.told_start,
            cancel_reason=session.cancel_reason,
            began_at=self._began_at(session),
        )

    def _began_at(self, session: LiveSessionRow) -> int | None:
        """When the session began; None if in time, so that the text equals the prepared one exactly."""
        began_at = session.began_at
        in_time = began_at is not None and is_start_in_time(session.scheduled_at, began_at, self.policy)
        return None if in_time else began_at


_NOTHING_TO_OPEN: Final = (ReminderMessage.CANCELLED, ReminderMessage.NO_SHOW, ReminderMessage.RECORDING_GONE)

ListsRead = Callable[[str], bool | None]
"""Whether every relay was read for the person's message relays; None: no relay is asked for them (yet)."""

ASKED_WITHIN: Final = 60
"""Seconds in which relays are asked about a new person."""

LOOK_AGAIN: Final = 3
"""Seconds between two checks of people about whom not all relays were read."""

_LOOKED_AT_A_SECOND: Final = 500

NOT_READ: Final = "not all relays have told yet where the recipient reads private messages"


class RecipientsUnread:
    """Rows whose recipient has no known relays while not all was read: they must not be called unreachable yet."""

    def __init__(self, lists_read: ListsRead) -> None:
        self._lists_read = lists_read
        self._rows: set[int] = set()
        self._before = 0  # how many there were at the last check
        self.again_at = 0
        """When (Unix seconds) to check those rows again."""

    def __len__(self) -> int:
        return len(self._rows)

    def look_again(self, now: int, *, told_more: bool) -> None:
        """Begin a turn; `told_more`: a new list of relays came."""
        if told_more or now >= self.again_at:
            self._before = len(self._rows)
            self._rows.clear()

    def holds(self, row_id: int | None) -> bool:
        """Whether a row was checked recently, without success."""
        return row_id in self._rows

    def keeps(self, row_id: int | None, pubkey: str, since: int, now: int) -> bool:
        """Whether a row without relays has to wait; it changed at `since` (Unix seconds)."""
        was_read = self._lists_read(pubkey)
        if was_read or (was_read is None and now - since >= ASKED_WITHIN) or row_id is None:
            return False
        if not self._rows:
            self.again_at = now + LOOK_AGAIN + self._before // _LOOKED_AT_A_SECOND
        self._rows.add(row_id)
        return True


async def inboxes_of(mirror: EventQueries, pubkeys: Collection[str]) -> dict[str, tuple[str, ...]]:
    """People's message relays, from their kind 10050 only (NIP-17); people without one are left out."""
    asked = [Pubkey(pubkey) for pubkey in sorted(set(pubkeys))]
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(asked), _PER_QUERY):
        part = tuple(asked[start : start + _PER_QUERY])
        events = await mirror.by_filter(Filter(kinds=(kinds.DM_RELAY_LIST,), authors=part))
        found |= {event.pubkey: relays for event in events if (relays := nip17.read_dm_relays(event))}
    return found


_decode: Final = msgspec.json.Decoder(SignedEvent).decode


def stored_wrap(row: LedgerRow) -> SignedEvent | None:
    """Read the wrap that a row stores; None if it has none or the bytes cannot be read.

    The signature is not checked again: we made it, and the outbox and the mirror trust what the store gives back too.
    """
    if row.wrap is None:
        return None
    try:
        return _decode(row.wrap)
    except ValueError:  # msgspec's errors, and bytes that are no UTF-8
        return None  # it is made once more
