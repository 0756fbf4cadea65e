"""Guests: the service makes a key for each, keeps it encrypted, and signs with it what a guest may say.

Nothing is published under a guest's key. Each belongs to one session. The key of a guest who came by the link in a
person's message speaks for that person.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec
import structlog
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)

from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.secret_table import digest_of, new_secret
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, Rejected, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live import private
from podium_protocol.live.guests import (
    MAX_NAME,
    RECORDING_LINK_SECONDS,
    PersonalLink,
    comparable_name,
    guest_name,
    guests_of,
    is_signed_for_guests,
    personal_link_key,
    read_personal_link,
)
from podium_protocol.live.names import own_name, short_npub
from podium_protocol.live.session import GuestPolicy
from podium_protocol.nips import nip49
from podium_storage.database import Transaction
from podium_storage.guests import given_names, guest_in, guests_for, people_in
from podium_storage.logins import links_ended_at
from podium_storage.slices import in_slices
from podium_storage.store import BoundTables, Store
from podium_storage.table.models import GuestRow, LiveSessionRow

BY_NAME: Final = "guest"
BY_LINK: Final = "link"

MAX_OF_A_SESSION: Final = 500
"""A class is smaller; each costs a row and a place in every list."""

OF_A_SESSION: Final = Rate(burst=100, per_second=0.5)
"""A class that comes at once, then thirty a minute."""

OF_AN_ADDRESS: Final = Rate(burst=100, per_second=20 / 3600)
"""A class of sixty behind one address, with some who come twice; an attacker then gets twenty an hour."""

LOGIN_SECONDS: Final = 7 * 24 * 3600
"""A guest's login lasts this long after the session's end: for their attendance, the recording and the certificate."""

_KEY_CONTEXT: Final = b"podium guest keys 1"
_NONCE_BYTES: Final = 24
_OVER: Final = ("ended", "cancelled")
_log = structlog.get_logger(__name__)

_NO_GUESTS: Final = Rejection(
    Slug.NO_GUESTS,
    "this session takes no guests by name",
    "Sign in with a Nostr key, or ask the instructor for a link.",
)
_OVER_NOW: Final = Rejection(Slug.LINK_ENDED, "the session of this link is over", "Ask the instructor.")
_UNKNOWN_LINK: Final = Rejection(Slug.UNKNOWN_LINK, "this link is not one of this session", "Ask for a new link.")
_REVOKED: Final = Rejection(Slug.LINK_REVOKED, "the instructor took this link back", "Ask the instructor.")
_USED: Final = Rejection(
    Slug.LINK_USED,
    "this link was opened in another browser, and is good for that one only",
    "Moved to another device? Sign out in the first browser, or ask the instructor for a new link.",
)
_SIGNED_OUT: Final = Rejection(
    Slug.LINK_SIGNED_OUT, "this link was ended by signing out everywhere", "Sign in with your key."
)
_OFF: Final = Rejection(
    Slug.LINKS_OFF, "the links in messages do not sign people in to this session", "Sign in with your key."
)
_NEEDS_KEY: Final = Rejection(
    Slug.NEEDS_KEY,
    "the room is encrypted from end to end, and the service must not enter it in your name",
    "Open the page where your key is, and sign in.",
)
_UNKNOWN_GUEST: Final = Rejection(Slug.UNKNOWN_GUEST, "there is no such guest in this session")


class GuestKeys:
    """Encrypts guests' keys with one that is derived from the service's own: a copied database gives none of them."""

    def __init__(self, service: SecretKey, random_bytes: Callable[[int], bytes]) -> None:
        self._key = hmac.new(service.expose(), _KEY_CONTEXT, hashlib.sha256).digest()
        self._random_bytes = random_bytes

    def seal(self, secret: SecretKey) -> bytes:
        """The nonce and the ciphertext, bound to the guest's public key."""
        nonce = self._random_bytes(_NONCE_BYTES)
        aad = secret.pubkey.encode()
        return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(secret.expose(), aad, nonce, self._key)

    def open(self, row: GuestRow) -> SecretKey:
        """The guest's key.

        Raises:
            CryptoError: it was sealed by another service's key, or was changed.
        """
        nonce, text = row.sealed[:_NONCE_BYTES], row.sealed[_NONCE_BYTES:]
        return SecretKey(crypto_aead_xchacha20poly1305_ietf_decrypt(text, row.pubkey.encode(), nonce, self._key))


class InvitedGuest(msgspec.Struct, frozen=True):
    """A guest and the secret of their link, which is told once."""

    row: GuestRow
    link: str

    def __repr__(self) -> str:
        return f"<InvitedGuest {self.row.pubkey}>"


class Guests:
    """Takes guests in, makes and revokes their links, and signs for them."""

    def __init__(
        self,
        store: Store,
        *,
        service: SecretKey,
        default: Callable[[], GuestPolicy],
        links_in_messages: Callable[[], bool] = lambda: True,
        name_of: Callable[[Pubkey], str],
        own_names: Callable[[Collection[Pubkey]], Awaitable[Mapping[Pubkey, str]]],
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`default`: for sessions that do not say who may come; `name_of`: the name of a person with a key, or "".

        `own_names` reads them first, of many people.

        `links_in_messages`: whether the links in people's messages sign them in.
        """
        self._store = store
        self._service = service.pubkey
        self._keys = GuestKeys(service, random_bytes)
        self._link_key = personal_link_key(service.expose())
        self._default = default
        self._links_in_messages = links_in_messages
        self._name_of = name_of
        self._own_names = own_names
        self._clock = clock
        self._random_bytes = random_bytes
        self._of_a_session = Buckets[str](OF_A_SESSION)
        self._of_an_address = Buckets[str](OF_AN_ADDRESS)

    def policy(self, row: LiveSessionRow) -> GuestPolicy:
        """Who may come to a session without a signer."""
        return guests_of(row, self._default())

    async def find(self, row: LiveSessionRow, pubkey: Pubkey) -> GuestRow | None:
        """The guest of this session with this key, or who speaks for this person; also one whose link was revoked."""
        return await self._find(row.session_address, pubkey)

    async def _find(self, session_address: str, pubkey: Pubkey) -> GuestRow | None:
        if (found := await guest_in(self._store, session_address, pubkey)) is not None:
            return found
        return next(iter(await guests_for(self._store, session_address, [pubkey])), None)

    async def of(self, row: LiveSessionRow) -> list[GuestRow]:
        """All guests of a session, in the order in which they were made."""
        rows = await self._store.guests.where("lessonId").equals(row.session_address).to_list()
        return sorted(rows, key=lambda one: one.id or 0)

    # -- by name

    async def enter(self, row: LiveSessionRow, name: str, address: str) -> GuestRow | Rejection:
        """Take in a person who gave their name, from this network address ("" for one that stands for many)."""
        if self.policy(row) is not GuestPolicy.ANYONE:
            return _NO_GUESTS
        if row.state in _OVER:
            return Rejection(Slug.SESSION_OVER, f"the session is {row.state}")
        now = self._clock.monotonic()
        is_crowded = address != "" and not self._of_an_address.holds(address, now)
        if is_crowded or not self._of_a_session.holds(row.session_address, now):
            detail = "too many guests came in a short time"
            return Rejection(Slug.TOO_MANY, detail, "Wait a few minutes, then try again.")
        made = await self._make(row, [name], BY_NAME)
        if isinstance(made, Rejection):
            return made
        self._of_a_session.take_tokens(row.session_address, now)
        if address:
            self._of_an_address.take_tokens(address, now)
        return made[0].row

    # -- by link

    async def invite(self, row: LiveSessionRow, names: Sequence[str]) -> list[InvitedGuest] | Rejection:
        """Make a link for each of these people."""
        if self.policy(row) is GuestPolicy.OFF:
            return Rejection(Slug.NO_GUESTS, "this session takes no guests", "Edit it: guests `invited` or `anyone`.")
        if row.state in _OVER:
            return Rejection(Slug.SESSION_OVER, f"the session is {row.state}")
        return await self._make(row, names, BY_LINK)

    async def open_link(self, row: LiveSessionRow, link: str) -> GuestRow | Rejection:
        """The guest of a link that no browser has opened yet; it is this browser's from now on."""
        personal = read_personal_link(link, row.session_address, self._link_key)
        if personal is not None:
            return await self._open_personal(row, personal)
        digest = digest_of(link).hex()

        async def scope(tables: BoundTables) -> GuestRow | Rejection:
            found = await tables.guests.where("linkDigest").equals(digest).first()
            if found is None or found.session_address != row.session_address:
                return _UNKNOWN_LINK
            if found.revoked_at is not None:
                return _REVOKED
            if row.state in _OVER:
                return _OVER_NOW
            if found.opened_at is not None:
                return _USED
            opened = msgspec.structs.replace(found, opened_at=int(self._clock.now()))
            await tables.guests.put(opened)
            return opened

        return await self._store.transaction("rw", [self._store.guests], scope)

    async def _open_personal(self, row: LiveSessionRow, link: PersonalLink) -> GuestRow | Rejection:
        """As `open_link`, for the link in a person's message."""
        if not private.may_attend(row, link.person):
            return _UNKNOWN_LINK
        if (row.guests or self._default()) == GuestPolicy.OFF or not self._links_in_messages():
            return _OFF
        now = int(self._clock.now())
        if now >= link.made_at + RECORDING_LINK_SECONDS if link.to_recording else row.state in _OVER:
            return _OVER_NOW

        async def scope(tx: Transaction) -> GuestRow | Rejection:
            tables = self._store.within(tx)
            ended_at = await links_ended_at(tx, link.person, row.session_address)
            if ended_at is not None and ended_at >= link.made_at:
                return _SIGNED_OUT
            found = next(iter(await guests_for(tables, row.session_address, [link.person])), None)
            if found is not None and found.revoked_at is not None:
                return _REVOKED
            if found is not None and _is_bound(row, found, ended_at, now):
                return _USED
            opened = msgspec.structs.replace(found or self._guest_for(row, link.person), opened_at=now)
            await tables.guests.put(opened)
            return opened

        return await self._store.database.transact(scope)

    async def release(self, session_address: str, pubkey: Pubkey) -> None:
        """Let another browser open a guest's link: the first one has signed out."""
        found = await self._find(session_address, pubkey)
        if found is not None and found.assurance == BY_LINK:
            await self._store.guests.put(msgspec.structs.replace(found, opened_at=None))

    async def renew(self, row: LiveSessionRow, pubkey: Pubkey) -> InvitedGuest | Rejection:
        """A new link for a guest who moved to another device; the old one is worth nothing.

        The links in a person's messages are theirs alone: the newest can be opened again, and there is no other one.
        """
        found = await self.find(row, pubkey)
        if found is None or found.assurance != BY_LINK:
            return _UNKNOWN_GUEST
        if found.person is not None:
            again = msgspec.structs.replace(found, opened_at=None, revoked_at=None)
            await self._store.guests.put(again)
            return InvitedGuest(again, "")
        link = new_secret(self._random_bytes)
        renewed = msgspec.structs.replace(found, link_digest=digest_of(link).hex(), opened_at=None, revoked_at=None)
        await self._store.guests.put(renewed)
        return InvitedGuest(renewed, link)

    async def revoke(self, row: LiveSessionRow, pubkey: Pubkey) -> GuestRow | Rejection:
        """Take a guest's link back, or end the guest who came by name."""
        found = await self.find(row, pubkey)
        if found is None:
            return _UNKNOWN_GUEST
        revoked = msgspec.structs.replace(found, revoked_at=found.revoked_at or int(self._clock.now()))
        await self._store.guests.put(revoked)
        _log.info("a guest was revoked", action="guest.revoked", session=row.session_address)
        return revoked

    # -- their keys

    async def sign(
        self, row: LiveSessionRow, pubkey: Pubkey, event: UnsignedEvent, *, public_url: str
    ) -> VerifiedEvent | Rejection:
        """Sign with a guest's key what a guest may say in their session, and nothing else; `public_url` is ours."""
        found = await self.find(row, pubkey)
        if found is None or found.revoked_at is not None:
            return _UNKNOWN_GUEST
        meeting = str(Address(kinds.MEETING, self._service, row.conference_room_id or ""))
        is_allowed = is_signed_for_guests(
            event, session_address=row.session_address, meeting=meeting, public_url=public_url.rstrip("/")
        )
        if row.e2ee_required and event.kind == kinds.HTTP_AUTH:
            return _NEEDS_KEY
        if event.pubkey not in (pubkey, found.pubkey) or not is_allowed:
            detail = "this is not signed for guests: an answer, a question, a join and a consent of this session are"
            return Rejection(Slug.NOT_ALLOWED, detail, "Sign in with a key of your own.")
        ours = msgspec.structs.replace(event, pubkey=Pubkey(found.pubkey))
        signed = verify(self._keys.open(found).sign(ours, self._random_bytes(32)))
        assert not isinstance(signed, Rejected), "a key that was sealed here signs what verifies"
        return signed

    async def take_along(self, row: LiveSessionRow, pubkey: Pubkey, password: str) -> str | Rejection:
        """The guest's key under a password of theirs (NIP-49), for them to keep."""
        found = await self.find(row, pubkey)
        if found is None or found.pubkey != pubkey:
            return _UNKNOWN_GUEST
        secret, random = self._keys.open(found), self._random_bytes
        salt, nonce = random(nip49.SALT_BYTES), random(nip49.NONCE_BYTES)
        # scrypt takes half a second: not on the loop
        return await asyncio.to_thread(
            nip49.encrypt, secret, password, salt=salt, nonce=nonce, log_n=16, security=nip49.KeySecurity.INSECURE
        )

    async def _make(self, row: LiveSessionRow, names: Sequence[str], assurance: str) -> list[InvitedGuest] | Rejection:
        clean = [guest_name(name) for name in names]
        new = [name for name in clean if name is not None]
        if not new or len(new) < len(clean):
            return Rejection(Slug.BAD_NAME, "a name has 1 to 40 characters", "Write another one.")

        named = await self._profiles_in(row)  # before: profiles are read outside of transactions

        async def scope(tables: BoundTables) -> list[InvitedGuest] | Rejection:
            present = await tables.guests.where("lessonId").equals(row.session_address).to_list()
            if sum(one.person is None for one in present) + len(new) > MAX_OF_A_SESSION:
                return Rejection(Slug.FULL, f"a session has {MAX_OF_A_SESSION} guests at most", "Ask the instructor.")
            taken: set[str] = set()
            async for part in in_slices(list((await given_names(tables, row.session_address) | named).values())):
                taken |= {comparable_name(own_name(one)) for one in part}
            for name in new:
                if comparable_name(name) in taken:
                    detail = f"there is already a person called {name!r} here"
                    return Rejection(Slug.NAME_TAKEN, detail, "Add something that tells you apart.")
                taken.add(comparable_name(name))
            invited = [self._guest(row, name, assurance) for name in new]
            await tables.guests.bulk_add([one.row for one in invited])
            return invited

        return await self._store.transaction("rw", [self._store.guests, self._store.members], scope)

    async def _profiles_in(self, row: LiveSessionRow) -> dict[Pubkey, str]:
        """The names in the profiles of all people of a session who have a key."""
        people = {*private.people_of(row), *await people_in(self._store.database, row.session_address)}
        named: dict[Pubkey, str] = {}
        async for part in in_slices(sorted(people)):
            named |= {one: name for one, name in (await self._own_names(part)).items() if name}
        return named

    def _guest_for(self, row: LiveSessionRow, person: Pubkey) -> GuestRow:
        name = guest_name(self._name_of(person)[:MAX_NAME]) or short_npub(person)
        made = self._guest(row, name, BY_LINK).row
        return msgspec.structs.replace(made, link_digest=None, person=person)

    def _guest(self, row: LiveSessionRow, name: str, assurance: str) -> InvitedGuest:
        secret, link = SecretKey(self._random_bytes(32)), new_secret(self._random_bytes)
        guest = GuestRow(
            session_address=row.session_address,
            pubkey=secret.pubkey,
            name=name,
            sealed=self._keys.seal(secret),
            assurance=assurance,
            link_digest=digest_of(link).hex() if assurance == BY_LINK else None,
            created_at=int(self._clock.now()),
        )
        return InvitedGuest(guest, link)


def _is_bound(row: LiveSessionRow, guest: GuestRow, ended_at: int | None, now: int) -> bool:
    """Whether a browser has the link: it opened it, signed out nowhere since, and is still signed in."""
    if guest.opened_at is None or (ended_at is not None and guest.opened_at <= ended_at):
        return False
    return now < max(row.ends_at, guest.opened_at) + LOGIN_SECONDS
