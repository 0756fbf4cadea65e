"""The subscriptions of the daemon, which follow from the instructors, the sessions and the people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from podium_daemon.runtime.wakeups import Wakeups
from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter
from podium_protocol.live import private
from podium_protocol.live.attendance import Assurance
from podium_protocol.live.live_status import SPACE_IDENTIFIER
from podium_storage.changes import Batch
from podium_storage.projections.rsvps import people_who_answered, sessions_answered_by
from podium_storage.store import Store
from podium_storage.table.models import GuestRow, LiveSessionRow, QuestionRow, RoomMemberRow, RsvpRow

Text = TypeVar("Text", bound=str)


class FollowedSession(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a session's row that decides about subscriptions. `people`: those whom the session names."""

    session_address: str
    conference_room_id: str | None
    state: str
    is_private: bool
    people: tuple[Pubkey, ...]
    scheduled_at: int
    epoch: int

    @classmethod
    def from_row(cls, row: LiveSessionRow) -> FollowedSession:
        """The facts of a row."""
        return cls(
            session_address=row.session_address,
            conference_room_id=row.conference_room_id,
            state=row.state,
            is_private=private.is_private(row),
            people=private.people_of(row),
            scheduled_at=row.scheduled_at,
            epoch=row.epoch,
        )

    @property
    def is_open(self) -> bool:
        """Whether answers and messages still matter, also just after the end: then recordings are announced."""
        return self.state in ("scheduled", "active", "ended")


class SessionIndex:
    """The sessions that began at most `look_back` seconds ago, or will; a change of one row costs one row."""

    def __init__(self, store: Store, *, look_back: int) -> None:
        self._store = store
        self._look_back = look_back
        self._sessions: dict[str, FollowedSession] = {}
        self._ends: Wakeups[str] = Wakeups()

    def __len__(self) -> int:
        """The number of sessions."""
        return len(self._sessions)

    def __iter__(self) -> Iterator[FollowedSession]:
        """The sessions in the order in which they became known."""
        return iter(tuple(self._sessions.values()))

    def get(self, session_address: str) -> FollowedSession | None:
        """One of them."""
        return self._sessions.get(session_address)

    async def read(self, now: float) -> None:
        """Read all of them: at the start, and when changes were lost."""
        self._sessions, self._ends = {}, Wakeups()
        async for row in self._store.sessions.where("scheduledAt").above(int(now) - self._look_back).each():
            self._take(FollowedSession.from_row(row))

    def apply(self, batch: Batch, now: float) -> dict[str, FollowedSession | None]:
        """Take in what changed; return what is another session now, and None for those that are gone."""
        changed: dict[str, FollowedSession | None] = {}
        for change in batch.changes:
            if isinstance(change.after, LiveSessionRow):
                found = FollowedSession.from_row(change.after)
                if found.scheduled_at > now - self._look_back and self._sessions.get(found.session_address) != found:
                    self._take(found)
                    changed[found.session_address] = found
            elif isinstance(change.before, LiveSessionRow):
                self._ends.set(change.before.session_address, now)
        for session_address in self._ends.due(now):
            self._ends.discard(session_address)
            if self._sessions.pop(session_address, None) is not None:
                changed[session_address] = None
        return changed

    @property
    def next_end(self) -> float | None:
        """When the next of them is too long ago."""
        return self._ends.next_at

    def _take(self, session: FollowedSession) -> None:
        self._sessions[session.session_address] = session
        self._ends.set(session.session_address, session.scheduled_at + self._look_back)


class ParticipantIndex:
    """The people of some sessions in order of arrival; one more person does not make it read ten thousand again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._people: dict[Pubkey, None] = {}
        self._known: set[str] = set()
        self._guests: set[str] = set()  # their keys are the service's: no relay is asked about them
        self._beside: dict[str, set[str]] = {}  # who asked or joined, whether or not they have answered: few
        self._doubted: set[str] = set()  # people of whom something is gone: the store says whether they stay

    def __len__(self) -> int:
        """The number of people."""
        return len(self._people)

    @property
    def has_doubts(self) -> bool:
        """Whether a person may have left: `track` finds out."""
        return bool(self._doubted)

    @property
    def people(self) -> tuple[Pubkey, ...]:
        """The people who have answered, in order of arrival."""
        return tuple(self._people)

    async def people_of(self, addresses: Collection[str]) -> tuple[Pubkey, ...]:
        """The people who have answered one of these sessions, in order of arrival."""
        wanted = set(addresses)
        answered = await people_who_answered(self._store.database, wanted)
        beside = (Pubkey(one) for one, theirs in self._beside.items() if not wanted.isdisjoint(theirs))
        return tuple(one for one in dict.fromkeys((*answered, *beside)) if one not in self._guests)

    def apply(self, batch: Batch) -> set[str]:
        """Take in what changed since; after a `resync` everything is read again.

        Returns the sessions with other people than before.
        """
        if batch.resync:
            self._people, self._known, self._beside, self._doubted = {}, set(), {}, set()
        touched: set[str] = set()
        for change in batch.changes:
            row = change.after or change.before
            if isinstance(row, GuestRow):
                self._guests.add(row.pubkey)  # written before anything that they say
            if not isinstance(row, RsvpRow | QuestionRow | RoomMemberRow) or row.session_address not in self._known:
                continue
            if row.pubkey in self._guests:
                continue
            if change.after is None:
                self._doubted.add(row.pubkey)
                touched.add(row.session_address)
            elif _has_relays(row):
                self._add(row)
                touched.add(row.session_address)
        return touched

    async def track(self, addresses: Collection[str]) -> None:
        """Have the people of these sessions, and of no others."""
        if over := self._known.difference(addresses):
            self._known -= over
            self._doubted.update(await people_who_answered(self._store.database, over))
            self._doubted.update(one for one, theirs in self._beside.items() if not over.isdisjoint(theirs))
        if fresh := [address for address in addresses if address not in self._known]:
            self._known.update(fresh)
            await self._read(fresh)
        if self._doubted:
            doubted, self._doubted = self._doubted, set()
            await self._drop_who_left(doubted)

    def _add(self, row: RsvpRow | QuestionRow | RoomMemberRow) -> None:
        if not isinstance(row, RsvpRow):
            self._beside.setdefault(row.pubkey, set()).add(row.session_address)
        self._people[Pubkey(row.pubkey)] = None

    async def _read(self, fresh: Sequence[str]) -> None:
        guests = await self._store.guests.where("lessonId").any_of(fresh).to_list()
        self._guests.update(one.pubkey for one in guests)
        self._people |= dict.fromkeys(await people_who_answered(self._store.database, fresh))
        for asked in await self._store.questions.where("lessonId").any_of(fresh).to_list():
            self._add(asked)
        for member in await self._store.members.where("lessonId").any_of(fresh).to_list():
            if _has_relays(member):
                self._add(member)
        for pubkey in self._guests:
            self._people.pop(Pubkey(pubkey), None)
            self._beside.pop(pubkey, None)

    async def _drop_who_left(self, doubted: Collection[str]) -> None:
        answered = await sessions_answered_by(self._store.database, doubted)
        for pubkey in doubted:
            beside = self._beside.get(pubkey, set()) & self._known
            if pubkey in self._beside:
                self._beside[pubkey] = beside
            if not beside and self._known.isdisjoint(answered.get(Pubkey(pubkey), ())):
                self._people.pop(Pubkey(pubkey), None)
                self._beside.pop(pubkey, None)


def _has_relays(row: RsvpRow | QuestionRow | RoomMemberRow) -> bool:
    """Leave out guests: their keys are the service's, and no relay must learn of them."""
    return not isinstance(row, RoomMemberRow) or row.assurance != Assurance.GUEST


PER_FILTER: Final = 250  # values in one list: 250 keys are 17 KB of REQ, and relays refuse large ones

PEOPLE: Final = "people-"
"""The prefix of the names of subscriptions that ask for people's lists of message relays."""

NAMES: Final = "names-"
"""The prefix of the names of subscriptions that ask for people's profiles."""

_NAMES_THAT_STAND: Final = 8

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

    def in_order(self, orders: Mapping[str, StableOrder]) -> Interests:
        """The same interests, with the named lists in orders that last."""
        return msgspec.structs.replace(self, **{name: one.follow(getattr(self, name)) for name, one in orders.items()})

    def subscriptions(self) -> dict[str, tuple[Filter, ...]]:
        """The filters of each subscription by name; the filters of a name change only if its content changes."""
        wanted: dict[str, tuple[Filter, ...]] = {"own": (Filter(kinds=_OWN_KINDS, authors=(self.service,)),)}
        wanted[FACE] = (Filter(kinds=(kinds.METADATA, kinds.HANDLER), authors=(self.service,)),)
        for number, part in enumerate(_parts(self.instructors)):
            wanted[f"sessions-{number}"] = (Filter(kinds=_BY_INSTRUCTORS, authors=part),)
        named = tuple(dict.fromkeys((*self.instructors, *self.invited)))
        for number, part in enumerate(_parts(named)):
            wanted[f"profiles-{number}"] = (Filter(kinds=(kinds.METADATA,), authors=part),)
        for number, addresses in enumerate(_parts(self.addresses)):
            wanted[f"rsvps-{number}"] = (Filter(kinds=(kinds.RSVP,), tags=(("a", addresses),)),)
        for number, addresses in enumerate(_parts(self.meetings)):
            wanted[f"chat-{number}"] = (Filter(kinds=(kinds.LIVE_CHAT,), tags=(("a", addresses),)),)
        for number, part in enumerate(_parts(self.attendees)):
            wanted[f"presence-{number}"] = (Filter(kinds=(kinds.ROOM_PRESENCE,), authors=part),)
        for number, part in enumerate(_parts(self.people)):
            wanted[f"{PEOPLE}{number}"] = (Filter(kinds=(kinds.DM_RELAY_LIST, kinds.DELETION), authors=part),)
            # apart from their lists of message relays: a relay that stops at its limit must not tell those in part
            wanted[f"{NAMES}{number}"] = (Filter(kinds=(kinds.METADATA,), authors=part),)
        return wanted


def stands(name: str) -> bool:
    """Whether relays are asked to keep telling; the names of more people than a few thousand are read once a day.

    Relays bound the bytes of all open REQs (LocalRelay: 1 MiB for each connection), and where to send a message is
    worth more of them than what a person is called.
    """
    return not name.startswith(NAMES) or int(name.removeprefix(NAMES)) < _NAMES_THAT_STAND


async def interests_in(
    sessions: Iterable[FollowedSession],
    audience: ParticipantIndex,
    *,
    service: Pubkey,
    instructors: Collection[Pubkey],
    reads_presence: bool,
) -> Interests:
    """The interests that follow from these sessions; `audience` tracks the open ones among them."""
    opened = [one for one in sessions if one.is_open]
    # people's message relays must be known before they have answered
    named = [pubkey for one in opened if one.is_private for pubkey in one.people]
    return Interests(
        service=service,
        instructors=tuple(sorted(instructors)),
        # asking relays for a private session's answers would name it to them; those come sealed
        addresses=tuple(one.session_address for one in opened if not one.is_private),
        people=tuple(dict.fromkeys((*audience.people, *named))),
        invited=tuple(dict.fromkeys(pubkey for one in opened for pubkey in one.people)),
        meetings=tuple(_meetings(opened, service)),
        attendees=await _attendees(opened, audience) if reads_presence else (),
    )


async def _attendees(opened: Sequence[FollowedSession], audience: ParticipantIndex) -> tuple[Pubkey, ...]:
    """The people whom live public sessions name, and those who answered them."""
    live = [one for one in opened if one.state == "active" and not one.is_private]
    named = [pubkey for one in live for pubkey in one.people]
    return tuple(dict.fromkeys((*named, *await audience.people_of({one.session_address for one in live}))))


def _meetings(opened: Sequence[FollowedSession], service: Pubkey) -> Iterator[str]:
    """The addresses that questions name: live status, its streaming twin, the room; private sessions have none."""
    public = [one for one in opened if not one.is_private]
    if public:
        yield f"{kinds.SPACE}:{service}:{SPACE_IDENTIFIER}"
    for one in public:
        for kind in (kinds.MEETING, kinds.LIVE_EVENT):
            yield f"{kind}:{service}:{one.conference_room_id}"


class StableOrder:
    """A list that follows a set: what comes stands last, and what leaves changes two places, not all behind it.

    Subscriptions are cut from it in groups: a session that ends must not have every group asked for again.
    """

    def __init__(self) -> None:
        self._values: list[str] = []
        self._places: dict[str, int] = {}

    def follow(self, values: Iterable[str]) -> tuple[str, ...]:
        """The values, in an order that is as near to the last one as can be."""
        wanted = dict.fromkeys(values)
        for gone in [value for value in self._values if value not in wanted]:
            place, last = self._places.pop(gone), self._values.pop()
            if last != gone:
                self._values[place] = last
                self._places[last] = place
        for value in wanted:
            if value not in self._places:
                self._places[value] = len(self._values)
                self._values.append(value)
        return tuple(self._values)


def _parts(values: tuple[Text, ...]) -> Iterator[tuple[Text, ...]]:
    """The values in groups; new values go into the last group, so that the other groups are not asked for again."""
    for start in range(0, len(values), PER_FILTER):
        yield values[start : start + PER_FILTER]
