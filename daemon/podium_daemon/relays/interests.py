"""The subscriptions of the daemon, which follow from the instructors, the sessions and the people."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter
from podium_protocol.live import private
from podium_protocol.live.attendance import Assurance
from podium_protocol.live.live_status import SPACE_IDENTIFIER
from podium_protocol.live.session import Visibility
from podium_storage.changes import Batch
from podium_storage.store import Store
from podium_storage.table.models import GuestRow, LiveSessionRow, QuestionRow, RoomMemberRow, RsvpRow


class ParticipantIndex:
    """The people of some sessions in order of arrival; one more person does not make it read ten thousand again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._addresses_of: dict[str, set[str]] = {}
        self._known: set[str] = set()
        self._guests: set[str] = set()  # their keys are the service's: no relay is asked about them

    def __len__(self) -> int:
        """The number of people."""
        return len(self._addresses_of)

    @property
    def people(self) -> tuple[Pubkey, ...]:
        """The people who have answered, in order of arrival."""
        return tuple(map(Pubkey, self._addresses_of))

    def people_of(self, addresses: Collection[str]) -> tuple[Pubkey, ...]:
        """The people who have answered one of these sessions, in order of arrival."""
        wanted = set(addresses)
        return tuple(Pubkey(one) for one, theirs in self._addresses_of.items() if not wanted.isdisjoint(theirs))

    def apply(self, batch: Batch) -> None:
        """Take in what changed since; after a `resync` everything is read again."""
        if batch.resync:
            self._addresses_of, self._known = {}, set()
        for change in batch.changes:
            row = change.after or change.before
            if isinstance(row, GuestRow):
                self._guests.add(row.pubkey)  # written before anything that they say
            if not isinstance(row, RsvpRow | QuestionRow | RoomMemberRow) or row.session_address not in self._known:
                continue
            if row.pubkey in self._guests:
                continue
            if change.after is not None and _has_relays(row):
                self._addresses_of.setdefault(row.pubkey, set()).add(row.session_address)
            elif isinstance(row, RsvpRow):
                self._forget(row.pubkey, {row.session_address})

    async def track(self, addresses: Collection[str]) -> None:
        """Have the people of these sessions, and of no others."""
        if over := self._known.difference(addresses):
            self._known -= over
            for pubkey in tuple(self._addresses_of):
                self._forget(pubkey, over)
        fresh = [address for address in addresses if address not in self._known]
        if fresh:
            guests = await self._store.guests.where("lessonId").any_of(fresh).to_list()
            self._guests.update(one.pubkey for one in guests)
            rows = await self._store.rsvps.where("lessonId").any_of(fresh).to_list()
            self._known.update(fresh)
            for row in sorted(rows, key=lambda row: row.first_seen):
                self._addresses_of.setdefault(row.pubkey, set()).add(row.session_address)
            for asked in await self._store.questions.where("lessonId").any_of(fresh).to_list():
                self._addresses_of.setdefault(asked.pubkey, set()).add(asked.session_address)
            for member in await self._store.members.where("lessonId").any_of(fresh).to_list():
                if _has_relays(member):
                    self._addresses_of.setdefault(member.pubkey, set()).add(member.session_address)
            for pubkey in self._guests:
                self._addresses_of.pop(pubkey, None)

    def _forget(self, pubkey: str, addresses: set[str]) -> None:
        left = self._addresses_of.get(pubkey, set()) - addresses
        if left:
            self._addresses_of[pubkey] = left
        else:
            self._addresses_of.pop(pubkey, None)


def _has_relays(row: RsvpRow | QuestionRow | RoomMemberRow) -> bool:
    """Leave out guests: their keys are the service's, and no relay must learn of them."""
    return not isinstance(row, RoomMemberRow) or row.assurance != Assurance.GUEST


PER_FILTER: Final = 250  # values in one list: 250 keys are 17 KB of REQ, and relays refuse large ones

PEOPLE: Final = "people-"
"""The prefix of the names of subscriptions that ask for people's lists of message relays."""

FACE: Final = "face"
"""The subscription for the service's own profile and handler; it is read completely after each start."""

_OWN_KINDS: Final = (
    kinds.SPACE,
    kinds.MEETING,
    kinds.ATTENDANCE,
    kinds.RELAY_LIST,
    kinds.DM_RELAY_LIST,
    kinds.DELETION,
)

_BY_INSTRUCTORS: Final = (kinds.SESSION, kinds.CALENDAR, kinds.DELETION)


def wraps_for(service: Pubkey) -> tuple[Filter, ...]:
    """The filters for private messages to the service: its message relays get them, two days back."""
    return (Filter(kinds=(kinds.GIFT_WRAP,), tags=(("p", (service,)),)),)


class Interests(msgspec.Struct, frozen=True, kw_only=True):
    """The people and sessions of interest. `people` have answered an open session or asked; `addresses`: of sessions.

    `invited` are the people whom open sessions name: their own relays are read before they have answered.
    `meetings` are the addresses of the live status of public sessions: questions name those.
    `attendees` are the people of live sessions for whom presence events are evidence. They are asked for by author and
    not by room: a person who leaves names another room (NIP-53), and a filter for ours would not see that.
    """

    service: Pubkey
    instructors: tuple[Pubkey, ...] = ()
    addresses: tuple[str, ...] = ()
    people: tuple[Pubkey, ...] = ()
    invited: tuple[Pubkey, ...] = ()
    meetings: tuple[str, ...] = ()
    attendees: tuple[Pubkey, ...] = ()

    def subscriptions(self) -> dict[str, tuple[Filter, ...]]:
        """The filters of each subscription by name; the filters of a name change only if its content changes."""
        wanted: dict[str, tuple[Filter, ...]] = {"own": (Filter(kinds=_OWN_KINDS, authors=(self.service,)),)}
        wanted[FACE] = (Filter(kinds=(kinds.METADATA, kinds.HANDLER), authors=(self.service,)),)
        for number, part in enumerate(_parts(self.instructors)):
            wanted[f"sessions-{number}"] = (Filter(kinds=_BY_INSTRUCTORS, authors=part),)
        named = dict.fromkeys((*self.instructors, *self.invited))
        for number, part in enumerate(_parts(named)):
            wanted[f"profiles-{number}"] = (Filter(kinds=(kinds.METADATA,), authors=part),)
        for number, part in enumerate(_parts(self.addresses)):
            wanted[f"rsvps-{number}"] = (Filter(kinds=(kinds.RSVP,), tags=(("a", part),)),)
        for number, part in enumerate(_parts(self.meetings)):
            wanted[f"chat-{number}"] = (Filter(kinds=(kinds.LIVE_CHAT,), tags=(("a", part),)),)
        for number, part in enumerate(_parts(self.attendees)):
            wanted[f"presence-{number}"] = (Filter(kinds=(kinds.ROOM_PRESENCE,), authors=part),)
        for number, part in enumerate(_parts(self.people)):
            wanted[f"{PEOPLE}{number}"] = (Filter(kinds=(kinds.DM_RELAY_LIST, kinds.DELETION), authors=part),)
            # apart from their lists of message relays: a relay that stops at its limit must not tell those in part
            wanted[f"names-{number}"] = (Filter(kinds=(kinds.METADATA,), authors=part),)
        return wanted


def interests_in(
    sessions: Sequence[LiveSessionRow],
    audience: ParticipantIndex,
    *,
    service: Pubkey,
    instructors: Collection[Pubkey],
    reads_presence: bool,
) -> Interests:
    """The interests that follow from these sessions; `audience` tracks the open ones among them."""
    opened = [row for row in sessions if is_open(row)]
    addresses = [row.session_address for row in opened]
    secret = [row for row in opened if private.is_private(row)]
    # people's message relays must be known before they have answered
    named = [pubkey for row in secret for pubkey in private.people_of(row)]
    hidden = {row.session_address for row in secret}
    return Interests(
        service=service,
        instructors=tuple(sorted(instructors)),
        # asking relays for a private session's answers would name it to them; those come sealed
        addresses=tuple(address for address in addresses if address not in hidden),
        people=tuple(dict.fromkeys((*audience.people, *named))),
        invited=tuple(dict.fromkeys(one for row in opened for one in private.people_of(row))),
        meetings=tuple(_meetings(opened, service)),
        attendees=_attendees(sessions, audience) if reads_presence else (),
    )


def is_open(row: LiveSessionRow) -> bool:
    """Whether answers and messages still matter, also just after the end: records are read, recordings announced."""
    return row.state in ("scheduled", "active", "ended")


def _attendees(sessions: Sequence[LiveSessionRow], audience: ParticipantIndex) -> tuple[Pubkey, ...]:
    """The people whom live public sessions name, and those who answered them."""
    live = [row for row in sessions if row.state == "active" and not private.is_private(row)]
    named = [pubkey for row in live for pubkey in private.people_of(row)]
    return tuple(dict.fromkeys((*named, *audience.people_of({row.session_address for row in live}))))


def _meetings(opened: Sequence[LiveSessionRow], service: Pubkey) -> Iterator[str]:
    """The addresses that questions name: live status, its streaming twin, the room; private sessions have none."""
    public = [row for row in opened if row.visibility != Visibility.PRIVATE]
    if public:
        yield f"{kinds.SPACE}:{service}:{SPACE_IDENTIFIER}"
    for row in public:
        for kind in (kinds.MEETING, kinds.LIVE_EVENT):
            yield f"{kind}:{service}:{row.conference_room_id}"


def _parts(values: Collection[str]) -> Iterator[tuple[Pubkey, ...]]:
    """The values in groups; new values go into the last group, so that the other groups are not asked for again."""
    rows: Sequence[str] = tuple(values)
    for start in range(0, len(rows), PER_FILTER):
        yield tuple(Pubkey(value) for value in rows[start : start + PER_FILTER])
