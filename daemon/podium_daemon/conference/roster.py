"""The people in the rooms of an engine whose server is another program. No I/O.

The server knows people by keys that the engine gave out; the roster turns the server's reports, pushed or as a list,
into connections, each with one join and one leave.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from podium_daemon.conference.engine import (
    Connection,
    ConnectionId,
    ControlDone,
    EngineHealth,
    Joined,
    LeaveReason,
    Left,
    MediaUp,
    Origin,
    Person,
    Present,
    RandomBytes,
    RoomClosed,
    RoomId,
    RoomOpen,
    RoomOpened,
    RoomSpec,
    Snapshot,
)
from podium_daemon.conference.journal import EventJournal
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey

_SKEW: Final = 120  # seconds a server's clock may be behind ours before we use our own


class Member(msgspec.Struct):
    """An open connection; times in Unix seconds. `since` orders it against lists that were asked for."""

    connection: Connection
    key: str
    joined_at: int
    evidence: int
    since: int
    has_media: bool = False


class OpenRoom(msgspec.Struct):
    """An open room: its members by the server's key, and the keys that are no longer valid."""

    spec: RoomSpec
    run: str
    members: dict[str, Member] = msgspec.field(default_factory=dict)
    people: dict[Pubkey, dict[str, Member]] = msgspec.field(default_factory=dict)  # the same, by person
    barred: set[str] = msgspec.field(default_factory=set)  # removed or replaced: later reports on them are ignored
    issued: dict[str, Pubkey] = msgspec.field(default_factory=dict)  # entrances given out, and to whom
    gone: dict[str, int] = msgspec.field(default_factory=dict)  # key -> order of its leave


class Roster:
    """The rooms, people and events of one engine."""

    def __init__(
        self, *, clock: Clock, random_bytes: RandomBytes, devices: int, remembered: int, keys_return: bool
    ) -> None:
        """`keys_return`: whether the server may show a key again after it left, or never does."""
        self._keys_return = keys_return
        self._clock = clock
        self._random_bytes = random_bytes
        self._devices = devices
        self._order = 0
        self.run = random_bytes(8).hex()
        """Different for each start of the daemon: the prefix of ids that do not come from a connection."""
        self._changes = 0
        self._is_up: bool | None = None
        self.rooms: dict[RoomId, OpenRoom] = {}
        self.journal = EventJournal(self.run, remembered)

    def now(self) -> int:
        """Unix seconds."""
        return int(self._clock.now())

    def mark(self) -> int:
        """Return a mark, taken before a list is asked for and given to `reconcile` with the list."""
        self._order += 1
        return self._order

    # -- the server's health

    @property
    def is_up(self) -> bool:
        """Whether the server answered when it was last asked."""
        return self._is_up is True

    def say_health(self, up: bool, detail: str = "") -> None:
        """Note whether the server's reports are reliable; a change is reported."""
        if up is self._is_up:
            return
        self._is_up = up
        self._changes += 1
        name = f"{self.run}/health/{self._changes}"
        self.journal.append(EngineHealth(id=name, at=self.now(), up=up, detail=detail))

    # -- rooms

    def open(self, spec: RoomSpec) -> RoomOpen:
        """Open the room, or bring it up to date."""
        room = self.rooms.get(spec.room)
        if room is not None:
            room.spec = spec
            return RoomOpen(spec.room, created=False)
        room = self.rooms[spec.room] = OpenRoom(spec, self._random_bytes(8).hex())
        self.journal.append(RoomOpened(id=f"{room.run}/opened", at=self.now(), room=spec.room))
        return RoomOpen(spec.room, created=True)

    def close(self, room: RoomId) -> ControlDone:
        """End all connections, then close the room; one that is not open stays so."""
        closed = self.rooms.get(room)
        if closed is None:
            return ControlDone()
        ended = [self._end(closed, member, self.now(), LeaveReason.ROOM_CLOSED) for member in _all(closed)]
        del self.rooms[room]
        self.journal.append(RoomClosed(id=f"{closed.run}/closed", at=self.now(), room=room))
        return ControlDone(tuple(ended))

    # -- entrances

    def too_many_devices(self, room: RoomId, person: Person, seated: Collection[str]) -> Rejection | None:
        """Why one more device of a person may not come in; `seated` are those in the lobby. None: it may."""
        opened = self.rooms.get(room)
        if opened is None:
            return no_room(room)
        devices = {member.connection.device for member in _all(opened, person.pubkey)} | set(seated)
        if person.device in devices or len(devices) < self._devices:
            return None
        # as in the link engine: the newest device is refused
        detail = f"this key is on all the devices that may be in the room: {self._devices}"
        return Rejection(Slug.TOO_MANY_DEVICES, detail, "Leave on one of them, then join again.")

    def issued(self, room: RoomId, entrance: str, pubkey: Pubkey) -> None:
        """Note that an entrance was given out; `entrance` is how the server will name it."""
        self.rooms[room].issued[entrance] = pubkey

    # -- reports of the server

    def arrived(
        self, room: RoomId, key: str, person: Person, at: float, *, origin: Origin = Origin.PUSH, entrance: str = ""
    ) -> bool:
        """Note that a person is in the server's room under `key`; False if `key` is no longer valid."""
        opened = self.rooms.get(room)
        if opened is None or key in opened.barred or entrance in opened.barred:
            return False
        if key in opened.members or (key in opened.gone and not self._keys_return):
            return True
        replaced = [each for each in _all(opened, person.pubkey) if each.connection.device == person.device]
        for member in replaced:
            self._bar(opened, member, member.evidence, LeaveReason.REPLACED)
        joined_at = self._believed(at)
        connection = Connection(
            ConnectionId(self._random_bytes(16).hex()), room, person.pubkey, person.device, person.role
        )
        member = Member(connection, key, joined_at, joined_at, self.mark())
        opened.members[key] = opened.people.setdefault(person.pubkey, {})[key] = member
        self.journal.append(Joined(id=f"{connection.id}/joined", at=joined_at, origin=origin, connection=connection))
        return True

    def note_departure(self, room: RoomId, key: str, at: float, reason: LeaveReason) -> None:
        """Note that a person has left the server's room, by its report at `at` (Unix seconds)."""
        opened = self.rooms.get(room)
        if opened is None:
            return
        if (member := opened.members.get(key)) is not None:
            self._end(opened, member, max(self._believed(at), member.joined_at), reason)
        elif not self._keys_return:
            opened.gone[key] = self.mark()  # a join that is reported after this is late

    def heard(self, room: RoomId, key: str) -> None:
        """Note a sign of life."""
        opened = self.rooms.get(room)
        if opened is not None and (member := opened.members.get(key)) is not None:
            member.evidence = max(member.evidence, self.now())

    def media_up(self, room: RoomId, key: str, at: float, *, origin: Origin = Origin.PUSH) -> None:
        """Note that media flows between a person and the server; it is reported once."""
        opened = self.rooms.get(room)
        member = None if opened is None else opened.members.get(key)
        if member is None or member.has_media:
            return
        member.has_media = True
        connection = member.connection
        self.journal.append(
            MediaUp(id=f"{connection.id}/media", at=self._believed(at), origin=origin, connection=connection)
        )

    def reconcile(
        self, room: RoomId, people: Mapping[str, Person], mark: int, entrances: Mapping[str, str] | None = None
    ) -> list[str]:
        """Compare with the server's own list, asked for at `mark`; returns keys that should not be there.

        `entrances`: the entrance of each key, if the server shows it apart from the key.
        """
        opened = self.rooms.get(room)
        if opened is None:
            return []
        for member in _all(opened):
            # a person who came while the list was under way is missing from it
            if member.key not in people and member.since < mark:
                self._end(opened, member, member.evidence, LeaveReason.UNKNOWN, Origin.SNAPSHOT)
        unwanted = []
        for key, person in people.items():
            if opened.gone.get(key, 0) > mark:
                continue  # the person left while the list was under way
            entrance = (entrances or {}).get(key, "")
            if self.arrived(room, key, person, self.now(), origin=Origin.SNAPSHOT, entrance=entrance):
                self.heard(room, key)
            else:
                unwanted.append(key)
        return unwanted

    # -- what the daemon asks

    def remove(self, room: RoomId, pubkey: Pubkey) -> tuple[ControlDone, list[str]] | Rejection:
        """Remove a person's connections and entrances; return the server's keys to remove."""
        opened = self.rooms.get(room)
        if opened is None:
            return no_room(room)
        given = [entrance for entrance, holder in opened.issued.items() if holder == pubkey]
        members = _all(opened, pubkey)
        ended = tuple(self._bar(opened, member, self.now(), LeaveReason.REMOVED) for member in members)
        opened.barred.update(given)
        return ControlDone(ended), [member.key for member in members]

    def connection(self, room: RoomId, key: str) -> Connection | None:
        """The open connection under a key, or None."""
        member = self.rooms[room].members.get(key) if room in self.rooms else None
        return None if member is None else member.connection

    def members(self, room: RoomId, pubkey: Pubkey | None = None) -> list[Member] | Rejection:
        """The people in a room, or the devices of one person."""
        opened = self.rooms.get(room)
        return no_room(room) if opened is None else _all(opened, pubkey)

    def snapshot(self, room: RoomId) -> Snapshot | Rejection:
        """See `ConferenceEngine`."""
        members = self.members(room)
        if isinstance(members, Rejection):
            return members
        present = tuple(Present(each.connection, each.joined_at, each.evidence, each.has_media) for each in members)
        return Snapshot(room, self.now(), present)

    # -- inside

    def _bar(self, room: OpenRoom, member: Member, at: int, reason: LeaveReason) -> ConnectionId:
        room.barred.add(member.key)
        return self._end(room, member, at, reason)

    def _end(
        self, room: OpenRoom, member: Member, at: int, reason: LeaveReason, origin: Origin = Origin.PUSH
    ) -> ConnectionId:
        connection = member.connection
        del room.members[member.key]
        del room.people[connection.pubkey][member.key]
        if not room.people[connection.pubkey]:
            del room.people[connection.pubkey]
        room.gone[member.key] = self.mark()
        self.journal.append(
            Left(id=f"{connection.id}/left", at=at, origin=origin, connection=connection, reason=reason)
        )
        return connection.id

    def _believed(self, at: float) -> int:
        """A server's time, or ours if its clock is ahead of ours or far behind: a join cannot be in the future."""
        now = self.now()
        return int(at) if now - _SKEW <= int(at) <= now else now


def no_room(room: RoomId) -> Rejection:
    """The rejection for a room that is not open."""
    return Rejection(Slug.NO_ROOM, f"the room {room!r} is not open", "Open it, then ask again.")


def _all(room: OpenRoom, pubkey: Pubkey | None = None) -> list[Member]:
    return list((room.members if pubkey is None else room.people.get(pubkey, {})).values())
