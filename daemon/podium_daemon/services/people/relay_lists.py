"""The service's own relay lists: where it writes (NIP-65) and where it reads private messages (NIP-17)."""

from __future__ import annotations

from collections.abc import Sequence

from podium_daemon.runtime.clock import Clock
from podium_daemon.signers.signer import Signer
from podium_daemon.writers.event_writer import EventWriter
from podium_protocol.events import UnsignedEvent
from podium_protocol.nips import nip13, nip17, nip65
from podium_storage.mirror.mirror import Mirror
from podium_storage.store import Store


async def announce_relay_lists(
    *,
    store: Store,
    mirror: Mirror,
    outgoing: EventWriter,
    signer: Signer,
    clock: Clock,
    read: Sequence[str],
    write: Sequence[str],
    dm: Sequence[str],
) -> None:
    """Publish kind 10002 and 10050 if they differ from those on the relays."""
    now = int(clock.now())
    lists = nip65.RelayList(read=tuple(read), write=tuple(write))
    drafts = [nip65.write_relay_list(signer.pubkey, lists, created_at=now)]
    if dm:
        drafts.append(nip17.write_dm_relays(signer.pubkey, dm, created_at=now))
    for draft in drafts:
        before = await mirror.newest_replaceable(draft.kind, signer.pubkey)
        if before is not None and nip13.without_nonce(before.tags) == draft.tags:
            continue
        created_at = max(now, before.created_at + 1) if before else now
        event = UnsignedEvent(draft.pubkey, created_at, draft.kind, draft.tags, draft.content)
        signed = await signer.sign(event)
        await store.database.transact(lambda tx, signed=signed: outgoing.add(tx, [signed]))  # type: ignore[misc]
