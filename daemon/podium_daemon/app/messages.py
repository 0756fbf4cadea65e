"""Builds the services that read and send private messages: answers, seats, reminders, private sessions."""

from __future__ import annotations

import msgspec

from podium_daemon.app import policies
from podium_daemon.app.core import AllRead, Core
from podium_daemon.app.mirror import MirrorParts
from podium_daemon.app.private import PrivateParts
from podium_daemon.app.relays import RelayParts
from podium_daemon.services.private.sender import PrivateSender
from podium_daemon.services.reminders.explanations import Explanations
from podium_daemon.services.reminders.planner import PlannerSettings
from podium_daemon.services.reminders.reminders import ReminderService
from podium_daemon.services.reminders.replies import Replies
from podium_daemon.services.reminders.sending import ReminderSettings
from podium_daemon.services.seats.rsvps import SeatService
from podium_daemon.writers.gift_wrapper import Wrapper
from podium_daemon.writers.wrapping import MessageWrapping


class MessageParts(msgspec.Struct, frozen=True, kw_only=True):
    """The services that answer and send private messages, and the seats that the answers are about."""

    replies: Replies
    rsvps: SeatService
    wrapping: MessageWrapping
    sender: PrivateSender
    reminders: ReminderService

    def apply(self, core: Core) -> None:
        """Take over a new configuration."""
        self.rsvps.policy = policies.seat_policy(core.config)
        self.reminders.settings = reminder_settings(core)


def build_messages(core: Core, mirror: MirrorParts, private: PrivateParts, relays: RelayParts) -> MessageParts:
    """Build the services that read and send private messages; from here on the gift wraps have a reader."""
    replies = _build_replies(core, mirror, private, relays)
    relays.gift_wraps.deliver = replies.handle_wraps
    # not before all `stop` messages of the past are read
    may_write = AllRead(replies.caught_up, relays.gift_wraps.remembered)
    wrapping = MessageWrapping(core.signer.secret, core.clock, core.random_bytes)
    return MessageParts(
        replies=replies,
        rsvps=SeatService(
            store=core.store,
            policy=policies.seat_policy(core.config),
            clock=core.clock,
            past=replies.caught_up,
            since=core.since,
        ),
        wrapping=wrapping,
        sender=PrivateSender(
            wrapping,
            store=core.store,
            mirror=mirror.mirror,
            outbox=mirror.outbox,
            own_inbox=core.dm_relays,
            clock=core.clock,
            past=may_write,
            lists_read=relays.lists_read,
            asked_by=relays.asked_by,
        ),
        reminders=ReminderService(
            reminder_settings(core),
            store=core.store,
            mirror=mirror.mirror,
            outbox=mirror.outbox,
            wrapper=_build_wrapper(core, relays, wrapping),
            clock=core.clock,
            past=may_write,
            lists_read=relays.lists_read,
        ),
    )


def _build_replies(core: Core, mirror: MirrorParts, private: PrivateParts, relays: RelayParts) -> Replies:
    return Replies(
        core.signer.secret,
        store=core.store,
        rsvps=mirror.projections.rsvps,
        opened=private.opened,
        private_outbox=private.outbox,
        explanations=_build_explanations(core, mirror, private, relays),
        others=private.inbox.handle_messages,
        clock=core.clock,
        past=relays.past,
        remembered=lambda pubkey: private.inbox.remembered.get(pubkey, 0),
    )


def _build_explanations(core: Core, mirror: MirrorParts, private: PrivateParts, relays: RelayParts) -> Explanations:
    return Explanations(
        core.signer.secret,
        store=core.store,
        mirror=mirror.mirror,
        outbox=mirror.outbox,
        private_outbox=private.outbox,
        random_bytes=core.random_bytes,
        link_of=core.link_of,
        asked_by=relays.asked_by,
        service_language=core.language,
    )


def _build_wrapper(core: Core, relays: RelayParts, wrapping: MessageWrapping) -> Wrapper:
    return Wrapper(
        wrapping,
        policy=policies.reminder_policy(core.config),
        link_of=core.link_of,
        clock=core.clock,
        asked_by=relays.asked_by,
        most_work=core.most_work,
    )


def reminder_settings(core: Core) -> ReminderSettings:
    """Which messages are sent, and how far ahead they are prepared."""
    given = core.config.reminders
    planner = PlannerSettings(
        policy=policies.reminder_policy(core.config),
        confirmations=given.confirmation,
        recordings=given.recording.enabled,
        since=core.since,
    )
    return ReminderSettings(
        planner=planner,
        prepare_ahead=given.prepare_ahead,
        rewrap_recent=given.rewrap_recent,
        language=core.config.identity.language,
    )
