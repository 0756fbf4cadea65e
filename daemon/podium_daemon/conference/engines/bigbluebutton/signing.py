"""BigBlueButton's checksums and the identities in its meetings. No I/O.

A call is signed by SHA-256 over its name, its query and the secret (API documentation, "Usage"); a webhook by the same
over the callback's address, the body and the secret (bbb-webhooks, "Callbacks"). SHA-1, which the API still takes, is
neither made nor believed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from podium_daemon.conference.engine import Person, RoomId, RoomRole
from podium_daemon.conference.shared_secret import SharedSecret
from podium_protocol.events import Pubkey

_BY_LENGTH: Final = {64: "sha256", 96: "sha384", 128: "sha512"}  # hex digits; 40 would be SHA-1
_USER: Final = re.compile(r"([0-9a-f]{64})#([A-Za-z0-9_-]{1,64})#(instructor|co-host|participant)#[0-9a-f]{32}")


def call_url(base: str, call: str, parameters: Mapping[str, str], secret: SharedSecret) -> str:
    """The signed address of an API call; `base` ends in `/bigbluebutton/`. A caller that has it can make the call."""
    query = urlencode(parameters, quote_via=quote)
    checksum = hashlib.sha256(f"{call}{query}{secret.reveal()}".encode()).hexdigest()
    return f"{base}api/{call}?{query}{'&' if query else ''}checksum={checksum}"


def is_signed(callback: str, body: bytes, checksum: str, secret: SharedSecret) -> bool:
    """Whether a webhook's checksum is the server's."""
    algorithm = _BY_LENGTH.get(len(checksum))
    if algorithm is None or not checksum.isascii():
        return False
    ours = hashlib.new(algorithm, callback.encode() + body + secret.reveal().encode()).hexdigest()
    return hmac.compare_digest(ours, checksum)  # a comparison that stops early tells how many digits were right


def meeting_of(room: RoomId) -> str:
    """The meeting's id: of one shape, and not to be guessed by other users of the server who know the room's name."""
    return "podium-" + hashlib.sha256(f"bigbluebutton {room}".encode()).hexdigest()[:40]


def user_of(person: Person, nonce: bytes) -> str:
    """The user id of one entrance: who it is for, and 16 bytes that make it unlike any other."""
    return f"{person.pubkey}#{person.device}#{person.role.value}#{nonce.hex()}"


def person_of(user: str) -> Person | None:
    """The person of an entrance, or None if it is not one of ours: the person came by another front end."""
    found = _USER.fullmatch(user)
    if found is None:
        return None
    pubkey, device, role = found.groups()
    return Person(pubkey=Pubkey(pubkey), device=device, role=RoomRole(role))
