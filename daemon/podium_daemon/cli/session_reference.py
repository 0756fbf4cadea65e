"""Finding the session a person names."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from podium_daemon.cli.api_client import Api, decode, session_path
from podium_daemon.client.values import Session
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.nips import nip19

_ENTITY: Final = re.compile(r"(nostr:)?n(sec|cryptsec|pub|profile|event|addr|ote)1", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]{1,512}")


class Found(msgspec.Struct, frozen=True):
    """A session and the daemon's words for it."""

    value: Session
    raw: bytes


def find_session(api: Api, reference: str) -> Found:
    """The session named by naddr, address or the beginning of its `d`.

    Raises:
        InvalidInput: it names something else, or more than one.
        CommandFailed: the daemon does not know it, or cannot be asked.
    """
    raw = api.get(session_path(plain_reference(api, reference)))
    return Found(decode(raw, Session), raw)


def plain_reference(api: Api, reference: str) -> str:
    """The reference in a form that no proxy and no router reads otherwise: an naddr, or plain characters.

    A path with escaped characters may be signed in one spelling and checked in another.
    """
    trimmed = reference.strip()
    if not trimmed:
        raise InvalidInput("SESSION is empty: give an naddr, an address, or the beginning of an identifier")
    if _ENTITY.match(trimmed):
        return nip19.encode_naddr(nip19.parse_address(trimmed))
    if (address := Address.parse(trimmed)) is not None:
        return nip19.encode_naddr(address)
    return trimmed if _PLAIN.fullmatch(trimmed) else _by_prefix(api, trimmed)


def list_sessions(api: Api, state: str | None = None) -> list[Found]:
    """All sessions by start, or those in one state, asked for part by part.

    Raises:
        CommandFailed: the daemon cannot be asked, or answers something else.
    """
    query = {} if state is None else {"state": state}
    part = decode(api.get("/api/sessions", query), _Part)
    raw = part.sessions
    while part.next is not None and part.sessions:
        part = decode(api.get("/api/sessions", {**query, "offset": str(part.next)}), _Part)
        raw += part.sessions
    return [Found(decode(bytes(one), Session), bytes(one)) for one in raw]


class _Part(msgspec.Struct):
    sessions: list[msgspec.Raw]
    next: int | None = None


def _by_prefix(api: Api, prefix: str) -> str:
    sessions = [found.value for found in list_sessions(api)]
    matching = [one for one in sessions if one.identifier.startswith(prefix)]
    exact = [one for one in matching if one.identifier == prefix]
    found = exact or matching
    if len(found) != 1:
        raise InvalidInput(
            f"SESSION: {len(found)} sessions begin like that; `podium session list` shows their identifiers"
        )
    return found[0].naddr
