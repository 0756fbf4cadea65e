"""The service's own profile (kind 0), handler (NIP-89) and relay lists.

The handler says which kinds Podium opens; the lists say where it writes (NIP-65) and reads private messages (NIP-17).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.signers.signer import Signer
from podium_daemon.writers.event_writer import EventWriter
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.live.fields import next_created_at
from podium_protocol.live.profile import is_service_profile, write_service_profile
from podium_protocol.nips import nip13, nip17, nip65, nip89
from podium_storage.mirror.mirror import Mirror
from podium_storage.store import Store

_log = structlog.get_logger(__name__)

HANDLER_IDENTIFIER: Final = "podium"
ABOUT: Final = (
    "A program that holds live sessions with Podium: it invites, reminds and opens the room. "
    "Answer its messages with yes, maybe, no or stop."
)
_OPENS: Final = (kinds.SESSION, kinds.RSVP, kinds.MEETING)


class ServiceFace(msgspec.Struct, frozen=True, kw_only=True):
    """The service's own description. `nip05`: its name at the public URL, if that can have one."""

    name: str
    public_url: str
    nip05: str | None = None


def handler_of(service: Pubkey) -> Address:
    """The address of a service's handler event."""
    return Address(kinds.HANDLER, service, HANDLER_IDENTIFIER)


async def announce_profile(
    face: ServiceFace,
    *,
    store: Store,
    mirror: Mirror,
    event_writer: EventWriter,
    signer: Signer,
    clock: Clock,
    profile_is_known: bool,
) -> None:
    """Publish handler and profile if they differ from those on the relays.

    A profile that the service did not write is left unchanged: the key may be a person's own, with their name and
    picture. Without `profile_is_known`, some relay may still have such a profile, and none is written.
    """
    now, hint = int(clock.now()), next(iter(event_writer.relays), "")
    handler = handler_of(signer.pubkey)
    drafts = [(_handler(face, signer.pubkey, now), await mirror.newest(handler))]
    if profile_is_known:
        before = await mirror.newest_replaceable(kinds.METADATA, signer.pubkey)
        profile = write_service_profile(
            name=face.name,
            about=ABOUT,
            nip05=face.nip05,
            service=signer.pubkey,
            handler=handler,
            relay_hint=hint,
            created_at=now,
        )
        if before is None or is_service_profile(before, handler):
            drafts.append((profile, before))
        else:
            _log.info("the key of this service has a profile of its own, which is left", action="profile.left")
    for draft, before in drafts:
        if before is None or (nip13.without_nonce(before.tags), before.content) != (draft.tags, draft.content):
            await _publish(draft, before, store=store, event_writer=event_writer, signer=signer)


def _handler(face: ServiceFace, service: Pubkey, now: int) -> UnsignedEvent:
    handler = nip89.Handler(
        identifier=HANDLER_IDENTIFIER,
        name=face.name,
        about=ABOUT,
        url=f"{face.public_url.rstrip('/')}/s/<bech32>",
        opens=_OPENS,
    )
    return nip89.write_handler(handler, pubkey=service, created_at=now)


async def _publish(
    draft: UnsignedEvent, before: VerifiedEvent | None, *, store: Store, event_writer: EventWriter, signer: Signer
) -> None:
    created_at = next_created_at(draft.created_at, before.created_at if before else None)
    signed = await signer.sign(UnsignedEvent(draft.pubkey, created_at, draft.kind, draft.tags, draft.content))
    await store.database.transact(lambda tx: event_writer.add(tx, [signed]))


async def announce_relay_lists(
    *,
    store: Store,
    mirror: Mirror,
    event_writer: EventWriter,
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
        await store.database.transact(lambda tx, signed=signed: event_writer.add(tx, [signed]))  # type: ignore[misc]
