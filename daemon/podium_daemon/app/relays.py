"""Builds the connections to relays: the pool, the subscriptions, and the limits on strangers' events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec

from podium_daemon.app.core import AllRead, Core
from podium_daemon.app.mirror import MirrorParts, reads_presence
from podium_daemon.app.private import PrivateParts
from podium_daemon.conference.engine import ConferenceEngine
from podium_daemon.config import Config
from podium_daemon.relays.embedded import EmbeddedRelay, document_of
from podium_daemon.relays.embedded_child import RelaySettings
from podium_daemon.relays.embedded_gate import GateLimits
from podium_daemon.relays.gift_wraps import GiftWraps, split_wraps
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.judging import JudgingProcesses
from podium_daemon.relays.outbox_model import OutboxModel, OutboxSettings
from podium_daemon.relays.pool import RelayPool
from podium_daemon.relays.relay_state import Gaps
from podium_daemon.relays.strangers import DiskBudget, Strangers
from podium_daemon.relays.syncer import Syncer, SyncHooks
from podium_daemon.runtime.allowances import Allowances
from podium_daemon.services.sessions.spreading import Spreading
from podium_daemon.signers.signer import MiningSigner
from podium_daemon.writers.gift_wrapper import AskedBy, ListsRead
from podium_protocol.events import Pubkey
from podium_protocol.nips.nip11 import RequiredByRelays, asked_by
from podium_protocol.relay_url import normalise
from podium_storage.mirror.mirror import Watermarks

SYNC_PATIENCE: Final = 12.0  # seconds; two more than an EOSE may take


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """The limits on storing other people's events."""

    allowances: Allowances
    budget: DiskBudget
    strangers: Strangers
    strangers_of_relays: Strangers


class RelayParts(msgspec.Struct, frozen=True, kw_only=True):
    """The pool and the services that read through it."""

    embedded: EmbeddedRelay | None
    admission: Admission
    judges: JudgingProcesses
    pool: RelayPool
    syncer: Syncer
    gift_wraps: GiftWraps
    outbox_model: OutboxModel
    gaps: Gaps
    mining: MiningSigner
    asked_by: AskedBy
    lists_read: ListsRead
    past: AllRead

    def apply(self, core: Core) -> None:
        """Take over a new configuration, except for the relays, which are replaced before."""
        self.outbox_model.settings = outbox_settings(core.config)
        self.syncer.doors = core.config.lifecycle.doors

    def relays_changed(self) -> None:
        """Tell the readers that the pool's relays have changed."""
        self.syncer.relays_changed()
        self.gift_wraps.relays_changed()


def build_relays(core: Core, mirror: MirrorParts, private: PrivateParts, engine: ConferenceEngine) -> RelayParts:
    """Build the pool and its readers; the receiver of private messages is set on `gift_wraps` afterwards."""
    clock, admission = core.clock, _build_admission(core, mirror)
    watermarks = Watermarks(core.store.database)
    spreading, judges = Spreading(core.store, mirror.event_writer), JudgingProcesses(clock)
    syncer = _build_syncer(
        core,
        mirror=mirror,
        engine=engine,
        watermarks=watermarks,
        spreading=spreading,
        admission=admission,
        judges=judges,
    )
    gift_wraps = _build_gift_wraps(core, watermarks, private, judges)
    pool, embedded = _build_pool(core, syncer, gift_wraps), _build_embedded(core)
    if embedded is not None:
        pool.reach_inside(core.config.embedded_url, lambda: embedded.inside)
    outbox_model = OutboxModel(
        outbox_settings(core.config),
        pool=pool,
        syncer=syncer,
        mirror=mirror.mirror,
        spread=lambda indexers: spreading.give_lists(indexers, core.service),
        clock=clock,
    )
    demands = _Demands(core, pool)
    return RelayParts(
        embedded=embedded,
        admission=admission,
        judges=judges,
        pool=pool,
        syncer=syncer,
        gift_wraps=gift_wraps,
        outbox_model=outbox_model,
        gaps=Gaps(pool.states, syncer.told_in_part, syncer.relays_behind),
        mining=MiningSigner(core.signer, bits=demands.work_of_ours),
        asked_by=demands.asked_by,
        lists_read=core.outside.lists_read or _ListsRead(syncer, outbox_model).of,
        past=AllRead(syncer.caught_up, gift_wraps.caught_up),
    )


def _build_gift_wraps(core: Core, watermarks: Watermarks, private: PrivateParts, judges: JudgingProcesses) -> GiftWraps:
    return GiftWraps(
        service=core.service,
        watermarks=watermarks,
        clock=core.clock,
        past_is_read=private.inbox.past_is_read,
        patience=SYNC_PATIENCE,
        judges=judges,
    )


def _build_admission(core: Core, mirror: MirrorParts) -> Admission:
    budget = DiskBudget(core.store.database, lambda: core.config.storage.max_megabytes * 1_000_000, core.clock)
    allowances = Allowances(core.clock)

    def is_own(pubkey: Pubkey) -> bool:
        return mirror.is_own(core, pubkey)

    return Admission(
        allowances=allowances,
        budget=budget,
        strangers=Strangers(allowances, budget, is_own),
        # buckets of their own: events from relays must not use up the allowance of pages
        strangers_of_relays=Strangers(Allowances(core.clock), budget, is_own),
    )


def _build_syncer(
    core: Core,
    *,
    mirror: MirrorParts,
    engine: ConferenceEngine,
    watermarks: Watermarks,
    spreading: Spreading,
    admission: Admission,
    judges: JudgingProcesses,
) -> Syncer:
    return Syncer(
        mirror=mirror.mirror,
        store=core.store,
        watermarks=watermarks,
        instructors=lambda: mirror.instructors.pubkeys,
        service=core.service,
        patience=SYNC_PATIENCE,
        doors=core.doors(),
        clock=core.clock,
        hooks=SyncHooks(
            kept_from=core.kept_from,
            outdated=spreading.catch_up,
            reads_presence=lambda: reads_presence(engine),
            objection=admission.strangers_of_relays.objection,
        ),
        judges=judges,
    )


def _build_pool(core: Core, syncer: Syncer, gift_wraps: GiftWraps) -> RelayPool:
    def take_in(events: Sequence[Incoming]) -> Awaitable[object]:
        wraps, public = split_wraps(events)
        if not wraps:
            return syncer.apply_events(public)
        return asyncio.gather(gift_wraps.apply_events(wraps), syncer.apply_events(public))

    async def on_eose(name: str, relay: str, partial: bool) -> None:
        await gift_wraps.on_eose(name, relay, partial)
        await syncer.on_eose(name, relay, partial)

    pool = core.outside.pool(core.relays, sink=take_in, on_eose=on_eose, signer=core.sign_in, clock=core.clock)
    syncer.join(pool)
    gift_wraps.join(pool)
    return pool


class _Demands:
    """What relays ask of our events, as far as they have said."""

    def __init__(self, core: Core, pool: RelayPool) -> None:
        self._core = core
        self._pool = pool

    def asked_by(self, relays: Sequence[str]) -> RequiredByRelays:
        return asked_by(self._pool.limits_of(relays), most_work=self._core.most_work())

    def work_of_ours(self) -> int:
        """Bits of work that our write relays want."""
        return self.asked_by(self._core.write_relays()).work


class _ListsRead:
    def __init__(self, syncer: Syncer, outbox_model: OutboxModel) -> None:
        self._syncer = syncer
        self._outbox_model = outbox_model

    def of(self, pubkey: str) -> bool | None:
        """Whether the person's message relays were read on our relays and on theirs; None: not asked yet."""
        told, looked = self._syncer.has_read_lists(pubkey), self._outbox_model.has_looked(pubkey)
        if told is False or looked is False:
            return False
        return None if told is None or looked is None else True


def outbox_settings(config: Config) -> OutboxSettings:
    """Whose relays are read besides our own."""
    indexers = tuple(dict.fromkeys(normalise(url) or url for url in config.outbox.indexers))
    return OutboxSettings(enabled=config.outbox.enabled, indexers=indexers)


def _build_embedded(core: Core) -> EmbeddedRelay | None:
    if not core.config.runs_embedded_relay:
        return None
    return EmbeddedRelay(_embedded_settings(core.config), clock=core.clock)


def _embedded_settings(config: Config) -> RelaySettings:
    own = config.embedded
    data = None if own.in_memory else str(config.state_directory / "relay")
    gate = GateLimits(
        connections=own.connections,
        connections_per_address=own.connections_per_address,
        messages_per_minute=own.messages_per_minute,
        max_megabytes=own.max_megabytes,
        trusted_proxies=config.web.trusted_proxies,
    )
    return RelaySettings(host=own.host, port=own.port, data=data, gate=gate, log_format=config.logging.format)


def relay_information(core: Core) -> dict[str, Any] | None:
    """The embedded relay's information document (NIP-11); None if it does not run."""
    if not core.config.runs_embedded_relay:
        return None
    name = core.config.identity.service_name
    return document_of(
        _embedded_settings(core.config), name=name, service=core.service, version=version("podium-nostr")
    )
