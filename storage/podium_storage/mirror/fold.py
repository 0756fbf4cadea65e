"""Which events stay: replacement (NIP-01), deletion (NIP-09) and expiration (NIP-40), as a fold without I/O.

What stays is a function of the set of events that were seen, not of their order or their batches. Two things make it
so: a tombstone waits for the event it names, and each address has a floor, the newest position that is known to be
dead. Whatever does not outrank the floor stays dead, so no older revision comes back when a newer one is deleted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.nips import nip09, nip40

_EVERY_ID: Final = EventId("")  # lower than any id, hence newer than each event of the same second


class IngestOutcome(StrEnum):
    """The outcome for one event handed to the mirror."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"  # a newer revision of its address is here
    DELETED = "deleted"  # a tombstone of its author, or its address' floor, waited for it
    EXPIRED = "expired"
    EPHEMERAL = "ephemeral"  # good, but not for storing (NIP-01)


class Death(StrEnum):
    """Why an event does not count any more."""

    SUPERSEDED = "superseded"  # a newer revision of its address is here, whatever that one says
    DELETED = "deleted"  # its author asked for it (NIP-09)
    BURIED = "buried"  # it stood, or would have, under a newer revision that its author deleted
    EXPIRED = "expired"  # its own time is over (NIP-40)


_DEATHS: Final = {
    IngestOutcome.SUPERSEDED: Death.SUPERSEDED,
    IngestOutcome.DELETED: Death.DELETED,
    IngestOutcome.EXPIRED: Death.EXPIRED,
}

_BENEATH: Final = {Death.DELETED: Death.BURIED, Death.BURIED: Death.BURIED, Death.EXPIRED: Death.SUPERSEDED}
"""The death of the older revisions of an address, by the death of the newer one."""


class Position(msgspec.Struct, frozen=True, gc=False):
    """The position of a revision among those of its address."""

    created_at: int
    id: EventId

    def outranks(self, other: Position) -> bool:
        """Whether this revision counts and `other` does not: the newer, at equal times the lower id (NIP-01)."""
        return self.created_at > other.created_at or (self.created_at == other.created_at and self.id < other.id)


class MirrorEntry(msgspec.Struct, frozen=True, gc=False):
    """An event with what the rules look at; `row` is its surrogate key, None if it is not stored."""

    event: VerifiedEvent
    address: Address | None
    expires_at: int | None
    row: int | None = None

    @classmethod
    def from_event(cls, event: VerifiedEvent, row: int | None = None) -> Self:
        """Read the tags once."""
        return cls(event, Address.from_event(event), nip40.expiration(event), row)

    @property
    def position(self) -> Position:
        """The event's position among the revisions of its address."""
        return Position(self.event.created_at, self.event.id)


class EventChange(msgspec.Struct, frozen=True, gc=False):
    """One step for the projections: the event is held from now on, or it is dead for good, and `death` says why.

    Dead events are reported even if they were never held: that an RSVP was made and then deleted matters although the
    deletion came first. A replacement comes before the death of the event it replaced. The projection decides what a
    replacement means: two events of one address may be about different things, or the newer one may be unreadable.
    """

    event: VerifiedEvent
    is_live: bool
    death: Death | None = None


class MirrorFold:
    """What the mirror holds of the ids and addresses that a batch touches; events are folded into it one by one.

    The caller first tells what is stored (`know`, `hold`, `set_floor`, `set_tombstone`), then hands events to `admit`,
    then writes `fresh`, `gone`, `raised` and `buried`.
    """

    def __init__(self) -> None:
        """Start with an empty mirror."""
        self.effects: list[EventChange] = []
        self.gone: dict[int, VerifiedEvent] = {}  # by surrogate key: stored events that are dead now
        self.raised: dict[Address, Position] = {}  # floors that are higher now
        self.buried: dict[tuple[EventId, Pubkey], None] = {}  # new tombstones, in order
        self._known: set[EventId] = set()
        self._held: dict[EventId, MirrorEntry] = {}
        self._newest: dict[Address, MirrorEntry] = {}
        self._floors: dict[Address, Position] = {}
        self._tombstones: set[tuple[EventId, Pubkey]] = set()

    def know(self, event_id: EventId) -> None:
        """Note that an event with this id is stored."""
        self._known.add(event_id)

    def add_stored(self, entry: MirrorEntry) -> None:
        """Note a stored event that the batch may replace or delete."""
        self._known.add(entry.event.id)
        self._held[entry.event.id] = entry
        if entry.address is not None:
            self._newest[entry.address] = entry

    def set_floor(self, address: Address, position: Position) -> None:
        """Note a stored floor."""
        self._floors[address] = position

    def set_tombstone(self, event_id: EventId, author: Pubkey) -> None:
        """Note that `author` has deleted this id."""
        self._tombstones.add((event_id, author))

    @property
    def fresh(self) -> list[MirrorEntry]:
        """The events that were admitted and are still held at the end of the batch, in order of arrival."""
        return [entry for entry in self._held.values() if entry.row is None]

    def admit(self, entry: MirrorEntry, now: int) -> IngestOutcome:
        """Fold one event in; `now` is the Unix second it was received at."""
        if kinds.is_ephemeral(entry.event.kind):
            return IngestOutcome.EPHEMERAL
        if entry.event.id in self._known:
            return IngestOutcome.DUPLICATE
        outcome = self._judge(entry, now)
        if outcome is IngestOutcome.STORED:
            self._admit(entry)
        else:
            death = self._death(entry, outcome)
            self.effects.append(EventChange(entry.event, is_live=False, death=death))
            if outcome is not IngestOutcome.SUPERSEDED and entry.address is not None:
                # The author replaced the older revisions with one that is dead: they must not come back.
                self._raise_floor(entry.address, entry.position, death)
        return outcome

    def expire(self, entry: MirrorEntry) -> None:
        """Remove a stored event whose NIP-40 time is over."""
        self.add_stored(entry)
        self._end(entry, Death.EXPIRED)

    def _judge(self, entry: MirrorEntry, now: int) -> IngestOutcome:
        if entry.expires_at is not None and entry.expires_at <= now:
            return IngestOutcome.EXPIRED
        event, address = entry.event, entry.address
        if event.kind != kinds.DELETION and (event.id, event.pubkey) in self._tombstones:
            return IngestOutcome.DELETED
        if address is None:
            return IngestOutcome.STORED
        floor, newest = self._floors.get(address), self._newest.get(address)
        if floor is not None and not entry.position.outranks(floor):
            return IngestOutcome.DELETED
        if newest is not None and not entry.position.outranks(newest.position):
            return IngestOutcome.SUPERSEDED
        return IngestOutcome.STORED

    def _death(self, entry: MirrorEntry, outcome: IngestOutcome) -> Death:
        """Why an event that came does not count; a floor may be that of all revisions, or of one that was deleted."""
        floor = None if entry.address is None else self._floors.get(entry.address)
        is_named = (entry.event.id, entry.event.pubkey) in self._tombstones or floor is None or floor.id == _EVERY_ID
        return Death.BURIED if outcome is IngestOutcome.DELETED and not is_named else _DEATHS[outcome]

    def _admit(self, entry: MirrorEntry) -> None:
        replaced = None if entry.address is None else self._newest.get(entry.address)
        self.effects.append(EventChange(entry.event, is_live=True))
        self.add_stored(entry)
        if replaced is not None:
            self._drop(replaced, Death.SUPERSEDED)
        if entry.event.kind == kinds.DELETION:
            self._delete_for(entry.event)

    def _delete_for(self, event: VerifiedEvent) -> None:
        deletion = nip09.read_deletion(event)
        for event_id in deletion.ids:
            self._bury(event_id, event.pubkey)
        for address in deletion.addresses:  # the author's own
            # NIP-09: every version up to its time
            self._raise_floor(address, Position(event.created_at, _EVERY_ID), Death.DELETED)

    def _bury(self, event_id: EventId, author: Pubkey) -> None:
        if (event_id, author) not in self._tombstones:
            self._tombstones.add((event_id, author))
            self.buried[event_id, author] = None
        target = self._held.get(event_id)
        # NIP-09: an author deletes only their own events, and a deletion of a deletion has no effect
        if target is not None and target.event.pubkey == author and target.event.kind != kinds.DELETION:
            self._end(target, Death.DELETED)

    def _end(self, entry: MirrorEntry, death: Death) -> None:
        if entry.address is None:
            self._drop(entry, death)
        else:
            self._raise_floor(entry.address, entry.position, death)

    def _raise_floor(self, address: Address, position: Position, death: Death) -> None:
        floor = self._floors.get(address)
        if floor is not None and not position.outranks(floor):
            return
        self._floors[address] = self.raised[address] = position
        newest = self._newest.get(address)
        if newest is not None and not newest.position.outranks(position):
            del self._newest[address]
            is_named = position.id in (_EVERY_ID, newest.event.id)
            self._drop(newest, death if is_named else _BENEATH[death])

    def _drop(self, entry: MirrorEntry, death: Death) -> None:
        del self._held[entry.event.id]
        self._known.discard(entry.event.id)
        self.effects.append(EventChange(entry.event, is_live=False, death=death))
        if entry.row is not None:
            self.gone[entry.row] = entry.event
