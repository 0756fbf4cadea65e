"""The common parts for every builder of `app`: the configuration in force, the service's key, the store, the clock."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import msgspec

from podium_daemon.conference.engine import ConferenceEngine, RoomId, RoomSpec
from podium_daemon.config import Config
from podium_daemon.relays.addresses import Lookup, SystemLookup
from podium_daemon.relays.pool import RelayPool
from podium_daemon.relays.relay_state import PoolRelay
from podium_daemon.runtime.clock import Clock
from podium_daemon.services.housekeeping.housekeeping import kept_from
from podium_daemon.services.people.nip05_lookup import look_up
from podium_daemon.services.recording.segments import Notify
from podium_daemon.signers.instructors import InstructorSigning
from podium_daemon.signers.signer import LocalSigner
from podium_daemon.web.session_views import PageLinks
from podium_daemon.writers.gift_wrapper import ListsRead
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, SignedEvent
from podium_protocol.limits import MAX_DM_RELAYS
from podium_protocol.live.guests import PersonalLink, personal_link_key, write_personal_link
from podium_protocol.live.session import GuestPolicy, Visibility
from podium_protocol.nips import nip42
from podium_protocol.relay_url import normalise
from podium_storage.meta import Meta
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow


class Current:
    """The configuration in force and the relays that it names; a reload replaces both."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._has_own_relay = config.runs_embedded_relay
        self.relays = relays_of(config)

    def relays_with(self, config: Config) -> list[PoolRelay]:
        """The relays to talk to under another configuration.

        Raises:
            InvalidInput: there would be none.
        """
        if relays := relays_of(config, embedded=self._has_own_relay):
            return relays
        raise InvalidInput("relays: none is left, and the embedded relay starts with the daemon only: restart it")

    def replace(self, config: Config) -> None:
        """Take over another configuration.

        Raises:
            InvalidInput: no relay would be left; nothing has changed then.
        """
        self.relays = self.relays_with(config)
        self.config = config


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's connections to the outside, which tests replace; None: what the configuration names."""

    pool: type[RelayPool] = RelayPool
    engine: Callable[[Core], ConferenceEngine] | None = None
    lookup: Lookup = msgspec.field(default_factory=SystemLookup)
    lists_read: ListsRead | None = None
    instructor_signing: InstructorSigning | None = None
    notify: Notify | None = None


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """The common parts of the daemon."""

    current: Current
    store: Store
    meta: Meta
    signer: LocalSigner
    clock: Clock
    random_bytes: Callable[[int], bytes] = secrets.token_bytes
    outside: Outside = msgspec.field(default_factory=Outside)
    since: int = 0
    """Unix second since when this database is the service's: older answers may have been confirmed out of another."""

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.current.config

    @property
    def relays(self) -> list[PoolRelay]:
        """The configured relays, and the embedded one if it runs."""
        return self.current.relays

    @property
    def service(self) -> Pubkey:
        """The service's public key."""
        return self.signer.pubkey

    def write_relays(self) -> list[str]:
        return [relay.url for relay in self.relays if relay.write]

    def read_relays(self) -> list[str]:
        return [relay.url for relay in self.relays if relay.read]

    def dm_relays(self) -> list[str]:
        return [relay.url for relay in self.relays if relay.dm]

    def meeting_relays(self) -> list[str]:
        """The relays on which a signer that does not know us yet can reach us."""
        return [relay.url for relay in self.relays if relay.read and relay.write][:MAX_DM_RELAYS]

    def most_work(self) -> int:
        """The most bits of proof of work (NIP-13) for one of our events."""
        return self.config.publishing.proof_of_work

    def kept_from(self) -> int:
        """The Unix second before which no session is kept."""
        return kept_from(int(self.clock.now()), self.config.attendance.retention_days)

    def language(self) -> str:
        """The tag of the language for people of whom none is known."""
        return self.config.identity.language

    def doors(self) -> int:
        """Seconds before its start from which a session can be entered."""
        return self.config.lifecycle.doors

    def default_attendance(self) -> Visibility:
        return Visibility.PUBLIC if self.config.attendance.publish else Visibility.PRIVATE

    def page_of(self, row: LiveSessionRow) -> str:
        """The URL of a session's page."""
        return PageLinks(self.config.public_url, self.write_relays).page(row)

    def link_of(self, row: LiveSessionRow, person: Pubkey, made_at: int, *, to_recording: bool = False) -> str:
        """The URL of a session's page for a message to a person: it signs them in, unless links are off."""
        page = self.page_of(row)
        if not self.config.reminders.personal_links or (row.guests or self.config.conference.guests) == GuestPolicy.OFF:
            return page
        link = PersonalLink(person=person, made_at=made_at, to_recording=to_recording)
        key = personal_link_key(self.signer.secret.expose())
        return f"{page}#guest={write_personal_link(link, row.session_address, key)}"

    def room_of(self, row: LiveSessionRow) -> RoomSpec:
        """The specification of a session's room, for the engine to open it."""
        assert row.conference_room_id is not None, "every adopted session has its room"
        return RoomSpec(
            room=RoomId(row.conference_room_id),
            title=row.title,
            allow_recording=row.allow_recording,
            e2ee=row.e2ee_required,
            # without a meeting of its own, the room is on the session's page
            meeting_url=self.config.conference.meeting_url or self.page_of(row),
        )

    async def key_of(self, name: str) -> Pubkey | None:
        """Look up the key that a NIP-05 name names now. Raises OSError when its server does not answer."""
        return await look_up(name, self.outside.lookup)

    async def sign_in(self, relay_url: str, challenge: str) -> SignedEvent:
        """Answer a relay's challenge (NIP-42)."""
        draft = nip42.write_auth(self.service, relay_url, challenge, int(self.clock.now()))
        return await self.signer.sign(draft)


class AllRead:
    """An event that is set once all of several events are."""

    def __init__(self, *events: asyncio.Event) -> None:
        self._events = events

    async def wait(self) -> None:
        for event in self._events:
            await event.wait()


def relays_of(config: Config, *, embedded: bool | None = None) -> list[PoolRelay]:
    """The relays to talk to: the embedded one, if it runs (None: as configured), and those of the configuration."""
    runs = config.runs_embedded_relay if embedded is None else embedded
    own = [PoolRelay(config.embedded_url)] if runs else []
    given = [
        PoolRelay(relay.url, read=relay.read, write=relay.write, dm=relay.dm, auth=relay.auth)
        for relay in config.relays
    ]
    # one spelling for each: the outbox, the pool and the lists that people read compare by it
    return [msgspec.structs.replace(relay, url=normalise(relay.url) or relay.url) for relay in (*own, *given)]
