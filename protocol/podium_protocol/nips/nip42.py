"""NIP-42: logging in to a relay."""

from __future__ import annotations

from podium_protocol import kinds, relay_url, tags
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.limits import MAX_CHALLENGE_CHARS


def write_auth(pubkey: Pubkey, url: str, challenge: str, now: int) -> UnsignedEvent:
    """Write the login that answers `challenge`, to be signed and handed to `RelaySession.authenticate`.

    Raises:
        LocalProtocolError: `url` is no relay URL, or there is no challenge.
    """
    relay = relay_url.normalise(url)
    if relay is None:
        raise LocalProtocolError("a login names the relay by its ws or wss URL")
    if not 1 <= len(challenge) <= MAX_CHALLENGE_CHARS:
        raise LocalProtocolError(f"a challenge has 1 to {MAX_CHALLENGE_CHARS} characters")
    return UnsignedEvent(pubkey, now, kinds.RELAY_AUTH, (("relay", relay), ("challenge", challenge)), "")


def is_login_to(event: SignedEvent, url: str) -> bool:
    """Whether `event` is a login to the relay at `url`. A login to another relay must not be handed to this one."""
    relay = tags.first(event.tags, "relay")
    return event.kind == kinds.RELAY_AUTH and relay is not None and relay_url.same_relay(relay, url)


def challenge_of(event: SignedEvent) -> str | None:
    """The challenge that the login answers."""
    return tags.first(event.tags, "challenge")
