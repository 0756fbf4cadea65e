"""NIP-98: who makes an HTTP call. A refusal is a value with the reason in words; the caller answers 401."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, Pubkey, Rejected, SignedEvent, UnsignedEvent, VerifiedEvent, verify_json
from podium_protocol.limits import HTTP_LOGIN_WINDOW, MAX_HTTP_LOGIN_CHARS
from podium_protocol.tags import Tag

_METHOD: Final = re.compile(r"[A-Z]+")
_SCHEME: Final = re.compile(r"nostr +([A-Za-z0-9+/=]+)", re.IGNORECASE)  # schemes have no case (RFC 9110, 11.1)


class HttpLogin(msgspec.Struct, frozen=True):
    """A checked login. The caller must still accept each `event_id` only once."""

    pubkey: Pubkey
    event_id: EventId
    created_at: int


class LoginRefusal(msgspec.Struct, frozen=True):
    """Why a login was not accepted, in words for the caller."""

    reason: str


def write(  # noqa: PLR0917  (the order of a request: who, where, how, what, when)
    pubkey: Pubkey, url: str, method: str, body: bytes | None, now: int, extra_tags: Iterable[Tag] = ()
) -> UnsignedEvent:
    """Write the login for one call: the absolute `url` with its query, the method in capitals, and the body if any.

    Raises:
        LocalProtocolError: the method is not in capitals, or an extra tag has a name that the login itself uses.
    """
    if not _METHOD.fullmatch(method):
        raise LocalProtocolError("HTTP methods are case-sensitive and written in capitals (RFC 9110)")
    extra = tuple(extra_tags)
    if any(tag[0] in _OWN_TAGS for tag in extra):
        raise LocalProtocolError("a login says `u`, `method` and `payload` once, from the call itself")
    payload = ("payload", _digest(body)) if body else None
    rows = tags.build([("u", url), ("method", method), payload])
    return UnsignedEvent(pubkey, now, kinds.HTTP_AUTH, rows + extra, "")


def check(
    event: VerifiedEvent, *, url: str, method: str, body: bytes | None, now: int, window: int = HTTP_LOGIN_WINDOW
) -> HttpLogin | LoginRefusal:
    """Check that `event` is a login for exactly this call, and return it or the reason against it (NIP-98).

    `url` is built from the configured public URL, never from the Host header; `method` is in capitals. `now` and
    `window` are seconds.
    """
    reason = _flaw(event, url, method, body) or _flaw_of_time(event.created_at, now, window)
    return LoginRefusal(reason) if reason else HttpLogin(event.pubkey, event.id, event.created_at)


def flaw_before_body(event: VerifiedEvent, *, url: str, method: str, now: int, window: int) -> str | None:
    """The reason against a login that is known before the call's body was read, or None; see `check`."""
    return _flaw_of_head(event, url, method) or _flaw_of_time(event.created_at, now, window)


def write_header(event: SignedEvent) -> str:
    """The value of the Authorization header."""
    return "Nostr " + base64.b64encode(event.to_json()).decode("ascii")


def read_header(value: str) -> VerifiedEvent | LoginRefusal:
    """The event in an Authorization header, its id and signature checked."""
    if len(value) > MAX_HTTP_LOGIN_CHARS:
        return LoginRefusal(f"the Authorization header is longer than {MAX_HTTP_LOGIN_CHARS} characters")
    match = _SCHEME.fullmatch(value)
    raw = None if match is None else _strict_base64(match[1])
    if raw is None:
        return LoginRefusal("the Authorization header is not `Nostr` and an event in base64 (NIP-98)")
    event = verify_json(raw)
    if isinstance(event, Rejected):
        return LoginRefusal(f"the login event is not valid: {event.reason.value}")
    return event


_OWN_TAGS: Final = ("u", "method", "payload")


def _flaw(event: VerifiedEvent, url: str, method: str, body: bytes | None) -> str | None:
    return _flaw_of_head(event, url, method) or _flaw_of_payload(tags.first(event.tags, "payload"), body)


def _flaw_of_head(event: VerifiedEvent, url: str, method: str) -> str | None:
    if event.kind != kinds.HTTP_AUTH:
        return f"the event is of kind {event.kind}, a login is of kind {kinds.HTTP_AUTH}"
    # two values for one question: another reader may take the other one
    if any(sum(tag[0] == name for tag in event.tags) > 1 for name in _OWN_TAGS):
        return "the login has a tag twice"
    if tags.first(event.tags, "u") != url:
        return f"the login is not for this URL, {url}"
    # nostr-tools' own example signs "post"; no two methods of HTTP differ by their case alone
    named = tags.first(event.tags, "method") or ""
    if not named.isascii() or named.upper() != method:  # "\u017f" in capitals is an S, too
        return f"the login is not for the method {method}"
    return None


def _flaw_of_payload(payload: str | None, body: bytes | None) -> str | None:
    if payload is None:
        return "the call has a body, and the login has no `payload` with its SHA-256" if body else None
    return None if payload == _digest(body) else "the `payload` of the login is not the SHA-256 of the body"


def _flaw_of_time(created_at: int, now: int, window: int) -> str | None:
    if abs(now - created_at) <= window:
        return None
    age = now - created_at
    return f"the login is dated {abs(age)} s {'ago' if age > 0 else 'ahead'}; {window} s either way are allowed"


def _digest(body: bytes | None) -> str:
    return hashlib.sha256(body or b"").hexdigest()


def _strict_base64(text: str) -> bytes | None:
    try:
        raw = binascii.a2b_base64(text)
    except ValueError:
        return None
    # the decoder is lax about padding and trailing bits; the encoding of one event is one text
    return raw if base64.b64encode(raw).decode("ascii") == text else None
