"""The one place where the parts of the daemon are joined: for `podium run`, and for tests with a replaced `Outside`."""

from __future__ import annotations

from typing import Protocol

import msgspec

from podium_daemon.app.core import Core
from podium_daemon.app.messages import MessageParts, build_messages
from podium_daemon.app.mirror import MirrorParts, build_mirror
from podium_daemon.app.people import PeopleParts, SignerParts, build_people, build_signers
from podium_daemon.app.private import PrivateParts, build_private
from podium_daemon.app.relays import RelayParts, build_relays
from podium_daemon.app.rooms import RoomParts, build_engine, build_rooms
from podium_daemon.app.sessions import (
    AttendanceParts,
    HousekeepingParts,
    SessionParts,
    build_attendance,
    build_housekeeping,
    build_sessions,
)
from podium_daemon.config import Config
from podium_daemon.runtime.supervisor import Service
from podium_daemon.runtime.tasks import Watched


class _Feature(Protocol):
    def apply(self, core: Core, /) -> None: ...


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """All parts but the web server; nothing runs yet."""

    core: Core
    mirror: MirrorParts
    private: PrivateParts
    relays: RelayParts
    people: PeopleParts
    signers: SignerParts
    messages: MessageParts
    rooms: RoomParts
    sessions: SessionParts
    attendance: AttendanceParts
    housekeeping: HousekeepingParts

    def services(self) -> list[Service | tuple[Service, ...]]:
        """The services in the order in which they start; they stop in the reverse order, those in a tuple together."""
        relays, people, messages, sessions = self.relays, self.people, self.messages, self.sessions
        own_relay = [] if relays.embedded is None else [relays.embedded]
        return [
            *own_relay,
            (relays.judges, messages.wrapping),
            relays.pool,
            (relays.syncer, relays.outbox_model, relays.gift_wraps, people.publisher, self.rooms.engine),
            (
                self.mirror.instructors,
                self.mirror.profiles,
                messages.replies,
                messages.rsvps,
                messages.sender,
                self.attendance.attendance,
                messages.reminders,
                sessions.lifecycle,
            ),
            self.rooms.rooms,
            (
                self.housekeeping.housekeeping,
                self.rooms.controls,
                sessions.questions,
                self.rooms.recorder,
                people.twins,
                self.signers.mailboxes,
            ),
            self.signers.pages,
        ]

    def watched(self) -> list[Watched]:
        """The tasks whose failures are counted, and keep the daemon from being ready."""
        return [self.relays.syncer.tasks, self.relays.gift_wraps.tasks, self.messages.replies.tasks]

    def apply(self, config: Config) -> None:
        """Take over what running parts can of a new configuration.

        Raises:
            InvalidInput: no relay would be left, or one cannot be used; nothing has changed then.
        """
        core = self.core
        relays, before = core.current.relays_with(config), core.relays
        if relays != before:
            self.relays.pool.configure(relays)
        core.current.replace(config)
        if relays != before:
            self.relays.relays_changed()
            self.signers.mailboxes.use(relays)
        for feature in self._features():
            feature.apply(core)
        core.store.changes.resync()  # by the new settings, work may be due earlier than by the old ones

    def _features(self) -> list[_Feature]:
        return [
            self.mirror,
            self.relays,
            self.people,
            self.signers,
            self.messages,
            self.rooms,
            self.attendance,
            self.housekeeping,
            self.sessions,
        ]


def join_parts(core: Core) -> Parts:
    """Build every part, each from those before it.

    Raises:
        InvalidInput: the engine's settings are bad; says which.
    """
    engine = build_engine(core)
    mirror = build_mirror(core, engine)
    private = build_private(core, mirror)
    relays = build_relays(core, mirror, private, engine)
    people = build_people(core, mirror, relays)
    signers = build_signers(core, mirror)
    rooms = build_rooms(core, engine, mirror=mirror, relays=relays, people=people, signers=signers)
    return Parts(
        core=core,
        mirror=mirror,
        private=private,
        relays=relays,
        people=people,
        signers=signers,
        messages=build_messages(core, mirror, private, relays),
        rooms=rooms,
        sessions=build_sessions(core, mirror=mirror, private=private, relays=relays, people=people, rooms=rooms),
        attendance=build_attendance(core, mirror=mirror, private=private, relays=relays, rooms=rooms),
        housekeeping=build_housekeeping(core, mirror=mirror, private=private, relays=relays, rooms=rooms),
    )
