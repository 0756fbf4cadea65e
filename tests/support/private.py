"""Private sessions in a `World`: scheduled as over HTTP, and what went out sealed, really opened."""

from __future__ import annotations

import os

import msgspec

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.services.sessions.event_submission import Submitted
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.session import Session, SessionSpec, Visibility, cancel, read_session, spec_of
from podium_protocol.nips import nip59
from podium_storage.table.models import LiveSessionRow
from tests.support.world import World, signed


def guests(*keys: SecretKey) -> tuple[Pubkey, ...]:
    """Their public keys."""
    return tuple(key.pubkey for key in keys)


async def scheduled(here: World, *invited: SecretKey, starts_in: int = 48 * 3600, **fields: object) -> LiveSessionRow:
    """The instructor hands a private session in; its row."""
    spec = SessionSpec(
        identifier=os.urandom(4).hex(),
        title="Know your rights",
        starts_at=here.now + starts_in,
        duration_minutes=90,
        timezone="Europe/Berlin",
        visibility=Visibility.PRIVATE,
        invited=guests(*invited),
    )
    event = signed(here.instructor, here.draft(msgspec.structs.replace(spec, **fields)))
    await taken(here, event)
    return await here.row(str(Address.from_event(event)))


async def edited(here: World, row: LiveSessionRow, **fields: object) -> LiveSessionRow:
    """The instructor hands in the next revision."""
    previous = await here.event_of(row)
    current = read_session(previous)
    assert isinstance(current, Session)
    await taken(
        here, signed(here.instructor, here.draft(msgspec.structs.replace(spec_of(current), **fields), previous))
    )
    return await here.row(row.session_address)


async def cancelled(here: World, row: LiveSessionRow) -> LiveSessionRow:
    """The instructor hands in the cancelled revision and its deletion."""
    parts = cancel(await here.event_of(row), here.now)
    await taken(here, signed(here.instructor, parts.revision), signed(here.instructor, parts.deletion))
    return await here.row(row.session_address)


async def taken(here: World, *events: VerifiedEvent) -> list[Submitted]:
    """The outcome of events that must be taken."""
    outcome = await here.submission.submit(events, by=events[0].pubkey)
    assert not isinstance(outcome, Rejection), outcome
    return outcome


def answer(
    here: World, key: SecretKey, row: LiveSessionRow, status: RsvpStatus = RsvpStatus.CONFIRMED, *, at: int = 0
) -> UnsignedEvent:
    """A person's RSVP, unsigned, dated `at` seconds from now."""
    address = Address.parse(row.session_address)
    assert address is not None
    return write_rsvp(address, status, pubkey=key.pubkey, now=here.now + at)


def opened(here: World, key: SecretKey, kind: int | None = None) -> list[UnsignedEvent]:
    """The rumors that the service has sent to a person, in order."""
    found = []
    for event in here.sent:
        if event.kind == kinds.GIFT_WRAP and tags.first(event.tags, "p") == key.pubkey:
            one = nip59.unwrap(event, key, now=here.now)
            assert isinstance(one, nip59.Unwrapped), one
            assert one.sender == here.service.pubkey
            found.append(one.rumor)
    return [rumor for rumor in found if kind in (None, rumor.kind)]


async def seal(here: World, key: SecretKey, rumor: UnsignedEvent) -> None:
    """Send a rumor to the service as a person, and let it be read."""
    entropy = os.urandom(nip59.ENTROPY_BYTES)
    wrap = nip59.gift_wrap(rumor, key, here.service.pubkey, now=here.now, entropy=entropy)
    await here.replies.handle_wraps([VerifiedEvent(*msgspec.structs.astuple(wrap))])


async def replay(source: World, target: World) -> None:
    """A service that lost its disk reads what it had sealed for itself, in an order that says nothing."""
    wraps = [event for event in source.sent if tags.first(event.tags, "p") == source.service.pubkey]
    await target.replies.handle_wraps(sorted(wraps, key=lambda wrap: wrap.id))
    await target.private_inbox.past_is_read()


def as_rumor(key: SecretKey, kind: int, *rows: tuple[str, ...], content: str = "", at: int) -> UnsignedEvent:
    """Any rumor."""
    return UnsignedEvent(key.pubkey, at, kind, rows, content)


async def status_of(here: World, key: SecretKey, row: LiveSessionRow) -> str | None:
    """A person's answer."""
    found = await here.rsvp(key, row)
    return None if found is None else found.status
