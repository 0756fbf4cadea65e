"""Builds the parts for private sessions: no relay gets any of their events in the clear."""

from __future__ import annotations

import msgspec

from podium_daemon.app.core import Core
from podium_daemon.app.mirror import MirrorParts
from podium_daemon.services.private.inbox import PrivateInbox
from podium_daemon.writers.private_notifications import PrivateNotifications
from podium_daemon.writers.private_outbox import PrivateOutbox
from podium_storage.mirror.mirror import OpenedWraps


class PrivateParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that read and write events of private sessions."""

    outbox: PrivateOutbox
    notifications: PrivateNotifications
    inbox: PrivateInbox
    opened: OpenedWraps


def build_private(core: Core, mirror: MirrorParts) -> PrivateParts:
    """Build the parts for private sessions."""
    store, derived = core.store, mirror.projections
    private_outbox = PrivateOutbox(store, core.clock)
    notifications = PrivateNotifications(
        private_outbox,
        store=store,
        rsvps=derived.rsvps,
        service=core.service,
        link_of=core.link_of,
        clock=core.clock,
        name_of=lambda pubkey: mirror.profiles.profile_of(pubkey).name,
        service_language=core.language,
    )
    opened = OpenedWraps(store.database)
    inbox = PrivateInbox(
        notifications,
        store=store,
        mirror=mirror.mirror,
        sessions=derived.sessions,
        rsvps=derived.rsvps,
        attendance=derived.attendance,
        opened=opened,
        accepts=mirror.instructors.accepts,
        clock=core.clock,
        kept_from=core.kept_from,
    )
    return PrivateParts(outbox=private_outbox, notifications=notifications, inbox=inbox, opened=opened)
