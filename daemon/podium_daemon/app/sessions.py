"""Builds the services of the sessions: their lifecycle, attendance, questions, and their deletion at the end."""

from __future__ import annotations

import msgspec

from podium_daemon.app import policies
from podium_daemon.app.core import Core
from podium_daemon.app.mirror import MirrorParts
from podium_daemon.app.people import PeopleParts
from podium_daemon.app.private import PrivateParts
from podium_daemon.app.relays import RelayParts
from podium_daemon.app.rooms import RoomParts
from podium_daemon.services.attendance.attendance import AttendanceService
from podium_daemon.services.attendance.attestation import AttendanceSettings
from podium_daemon.services.attendance.badges import Badges
from podium_daemon.services.attendance.certificates import Certificates
from podium_daemon.services.attendance.observation import ObservationLog
from podium_daemon.services.attendance.participation import Participations
from podium_daemon.services.guests.guests import Guests
from podium_daemon.services.housekeeping.housekeeping import Housekeeping
from podium_daemon.services.questions.questions import Questions
from podium_daemon.services.sessions.event_submission import EventSubmission
from podium_daemon.services.sessions.lifecycle import Lifecycle, LifecycleSettings
from podium_protocol.live.lifecycle_rules import StartPolicy
from podium_protocol.live.session import GuestPolicy
from podium_storage.retention import Retention


class SessionParts(msgspec.Struct, frozen=True, kw_only=True):
    """The lifecycle of sessions, and the submission of signed events about them."""

    submission: EventSubmission
    lifecycle: Lifecycle
    questions: Questions
    guests: Guests

    def apply(self, core: Core) -> None:
        """Take over a new configuration."""
        self.lifecycle.settings = lifecycle_settings(core)
        self.lifecycle.announce_again()


class AttendanceParts(msgspec.Struct, frozen=True, kw_only=True):
    """Attendance, certificates, badges, and what single people are told of their attendance."""

    attendance: AttendanceService
    certificates: Certificates
    badges: Badges
    participations: Participations

    def apply(self, core: Core) -> None:
        """Take over a new configuration."""
        self.attendance.settings = attendance_settings(core)


class HousekeepingParts(msgspec.Struct, frozen=True, kw_only=True):
    """The deletion of old data."""

    housekeeping: Housekeeping

    def apply(self, core: Core) -> None:
        """Take over a new configuration."""
        self.housekeeping.retention_days = core.config.attendance.retention_days


def build_sessions(
    core: Core, *, mirror: MirrorParts, private: PrivateParts, relays: RelayParts, people: PeopleParts, rooms: RoomParts
) -> SessionParts:
    """Build the lifecycle, and the services that take signed events and questions from pages."""
    submission = EventSubmission(
        core.store,
        mirror.event_writer,
        notifications=private.notifications,
        rsvps=mirror.projections.rsvps,
        own_inbox=core.dm_relays,
        can_encrypt=rooms.can_encrypt,
        accepts=mirror.instructors.accepts,
        clock=core.clock,
        objection=relays.admission.strangers.objection,
    )
    lifecycle = Lifecycle(
        lifecycle_settings(core),
        store=core.store,
        event_writer=mirror.event_writer,
        private_outbox=private.outbox,
        status=people.status,
        engine=rooms.engine,
        is_instructor=mirror.instructors.allows,
        notify=core.outside.notify or rooms.rooms.notify,
        clock=core.clock,
        caught_up=relays.past,
        at_start=people.announcements.announce,
        at_end=rooms.rooms.polls.close_all,
    )
    questions = Questions(
        store=core.store,
        event_writer=mirror.event_writer,
        projection=mirror.projections.questions,
        service=core.service,
        clock=core.clock,
        objection=relays.admission.strangers.objection,
    )
    guests = Guests(
        core.store,
        service=core.signer.secret,
        default=lambda: GuestPolicy(core.config.conference.guests),
        links_in_messages=lambda: core.config.reminders.personal_links,
        name_of=lambda pubkey: mirror.profiles.profile_of(pubkey).name,
        own_names=mirror.profiles.own_names,
        clock=core.clock,
        random_bytes=core.random_bytes,
    )
    return SessionParts(submission=submission, lifecycle=lifecycle, questions=questions, guests=guests)


def build_attendance(
    core: Core, *, mirror: MirrorParts, private: PrivateParts, relays: RelayParts, rooms: RoomParts
) -> AttendanceParts:
    """Build the services that follow the engine's room events and attest attendance."""
    attendance = AttendanceService(
        attendance_settings(core),
        store=core.store,
        event_writer=mirror.event_writer,
        private_outbox=private.outbox,
        engine=rooms.engine,
        signer=relays.mining,
        gaps=ObservationLog(core.meta, tolerance=3 * core.config.attendance.poll),
        clock=core.clock,
    )
    certificates = Certificates(
        core.store,
        signer=core.signer,
        name_of=lambda pubkey: mirror.profiles.profile_of(pubkey).name,
        service_name=lambda: core.config.identity.service_name,
    )
    badges = Badges(
        core.store,
        certificates=certificates,
        service_name=lambda: core.config.identity.service_name,
        relay_hints=core.write_relays,
        clock=core.clock,
    )
    participations = Participations(
        core.store, settings=lambda: attendance.settings, has_engine=rooms.engine.evidence == "engine"
    )
    return AttendanceParts(
        attendance=attendance, certificates=certificates, badges=badges, participations=participations
    )


def build_housekeeping(
    core: Core, *, mirror: MirrorParts, private: PrivateParts, relays: RelayParts, rooms: RoomParts
) -> HousekeepingParts:
    """Build the service that deletes data by the rules of retention."""
    housekeeping = Housekeeping(
        store=core.store,
        mirror=mirror.mirror,
        outbox=mirror.outbox,
        opened_wraps=private.opened,
        retention=Retention(core.store, mirror.mirror, mirror.outbox, service=core.service),
        forget_recordings=rooms.recorder.forget,
        look_at_the_room=relays.admission.budget.is_used_up,
        retention_days=core.config.attendance.retention_days,
        clock=core.clock,
    )
    return HousekeepingParts(housekeeping=housekeeping)


def lifecycle_settings(core: Core) -> LifecycleSettings:
    """When sessions change state, and which rooms they open."""
    return LifecycleSettings(
        policy=policies.lifecycle_policy(core.config),
        start_policy=StartPolicy(core.config.lifecycle.start_policy),
        room_of=core.room_of,
    )


def attendance_settings(core: Core) -> AttendanceSettings:
    """How attendance is measured, and what completes a session."""
    return AttendanceSettings(
        poll=core.config.attendance.poll,
        policy=policies.attendance_policy(core.config),
        completion=policies.completion_policy(core.config),
    )
