"""Builds the service's public profile, and the connections to people's remote signers."""

from __future__ import annotations

import asyncio

import msgspec

from podium_daemon.app.core import Core
from podium_daemon.app.mirror import MirrorParts
from podium_daemon.app.relays import RelayParts
from podium_daemon.config import Config
from podium_daemon.relays.mailboxes import Mailboxes
from podium_daemon.relays.publisher import Publisher
from podium_daemon.services.people.service_profile import ServiceFace, announce_profile, announce_relay_lists
from podium_daemon.services.people.twin_watch import TwinWatch
from podium_daemon.signers.instructors import InstructorSigners
from podium_daemon.signers.known_bunkers import KnownBunkers
from podium_daemon.signers.page_registry import PageSignerRegistry
from podium_daemon.writers.live_status import StatusEvents, StatusSettings
from podium_protocol.nips import nip05


class PeopleParts(msgspec.Struct, frozen=True, kw_only=True):
    """The service's own events, and the watch that stops sending if another daemon has the same key."""

    status: StatusEvents
    announcements: Announcements
    twins: TwinWatch
    publisher: Publisher

    def apply(self, core: Core) -> None:
        """Take over a new configuration."""
        self.status.settings = status_settings(core.config)


class SignerParts(msgspec.Struct, frozen=True, kw_only=True):
    """Remote signers: those of pages, and those that instructors left with the service."""

    mailboxes: Mailboxes
    instructors: InstructorSigners
    pages: PageSignerRegistry

    def apply(self, core: Core) -> None:
        """Take over a new configuration, but for the relays."""
        self.pages.service_name = core.config.identity.service_name


class Announcements:
    """Publishes the service's profile and relay lists."""

    def __init__(self, core: Core, mirror: MirrorParts, relays: RelayParts) -> None:
        self._core = core
        self._mirror = mirror
        self._relays = relays

    def face(self) -> ServiceFace:
        """The content of the profile."""
        config = self._core.config
        url = config.public_url
        return ServiceFace(name=config.identity.service_name, public_url=url, nip05=nip05.root_name(url))

    async def announce(self) -> bool:
        """Publish profile and lists if they have changed; False if the profile has to wait for a relay."""
        core, mirror = self._core, self._mirror
        # a person's own profile may be on the relay that is slow; a key that is the service's alone has none to lose
        is_known = self._relays.syncer.has_read_face() or not mirror.instructors.allows(core.service)
        await announce_profile(
            self.face(),
            store=core.store,
            mirror=mirror.mirror,
            event_writer=mirror.event_writer,
            signer=core.signer,
            clock=core.clock,
            profile_is_known=is_known,
        )
        await announce_relay_lists(
            store=core.store,
            mirror=mirror.mirror,
            event_writer=mirror.event_writer,
            signer=self._relays.mining,
            clock=core.clock,
            read=core.read_relays(),
            write=core.write_relays(),
            dm=core.dm_relays(),
        )
        return is_known


def build_people(core: Core, mirror: MirrorParts, relays: RelayParts) -> PeopleParts:
    """Build what the service publishes about itself, and its watch for another daemon with the same key."""
    status = StatusEvents(
        status_settings(core.config),
        store=core.store,
        mirror=mirror.mirror,
        event_writer=mirror.event_writer,
        signer=relays.mining,
        clock=core.clock,
    )
    twins = _build_twin_watch(core, mirror, relays, status)
    relays.syncer.watch = twins.inspect_events
    return PeopleParts(
        status=status,
        announcements=Announcements(core, mirror, relays),
        twins=twins,
        publisher=Publisher(
            outbox=mirror.outbox,
            store=core.store,
            pool=relays.pool,
            clock=core.clock,
            may_send=lambda: twins.may_send,
        ),
    )


def _build_twin_watch(core: Core, mirror: MirrorParts, relays: RelayParts, status: StatusEvents) -> TwinWatch:
    async def announce() -> None:
        await status.announce_space(anew=True)

    async def answer(not_before: int) -> None:
        event = await status.announce_space(anew=True, not_before=not_before)
        assert event is not None, "it was asked for anew"
        # the outbox has it too but is stopped: the other daemon must still be told
        await asyncio.gather(*(relays.pool.publish(relay, event) for relay in core.write_relays()))

    return TwinWatch(
        core.service,
        space=status.space,
        outbox=mirror.outbox,
        mirror=mirror.mirror,
        announce=announce,
        answer=answer,
        caught_up=relays.syncer.caught_up,
        clock=core.clock,
    )


def build_signers(core: Core, mirror: MirrorParts) -> SignerParts:
    """Build the connections to remote signers (NIP-46)."""
    mailboxes = Mailboxes(core.relays, clock=core.clock, signer=core.sign_in)
    instructors = InstructorSigners(
        KnownBunkers(core.config.state_directory / "instructor-signers", by="user"),
        mailboxes,
        clock=core.clock,
        random_bytes=core.random_bytes,
    )
    pages = PageSignerRegistry(
        mailboxes,
        relays=core.meeting_relays,
        instructors=instructors,
        is_instructor=mirror.instructors.allows,
        service_name=core.config.identity.service_name,
        public_url=core.config.public_url,
        clock=core.clock,
        random_bytes=core.random_bytes,
    )
    return SignerParts(mailboxes=mailboxes, instructors=instructors, pages=pages)


def status_settings(config: Config) -> StatusSettings:
    """The service's details in the room and the live status."""
    return StatusSettings(
        space_name=config.identity.service_name,
        public_url=config.public_url,
        refresh=config.lifecycle.live_refresh,
        announce_live_event=config.lifecycle.announce_live_event,
    )
