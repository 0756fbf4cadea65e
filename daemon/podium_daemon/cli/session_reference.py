"""Finding the session a person names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.nips import nip19

if TYPE_CHECKING:
    from podium_daemon.api.sessions import SessionOut
    from podium_daemon.client import PodiumClient

_ENTITY: Final = re.compile(r"(nostr:)?n(sec|cryptsec|pub|profile|event|addr|ote)1", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]{1,512}")


async def find_session(podium: PodiumClient, reference: str) -> SessionOut:
    """The session named by naddr, address or the beginning of its `d`.

    Raises:
        InvalidInput: it names something else, or more than one.
        ApiProblem: the daemon does not know it.
    """
    return await podium.session(await plain_reference(podium, reference))


async def plain_reference(podium: PodiumClient, reference: str) -> str:
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
    return trimmed if _PLAIN.fullmatch(trimmed) else await _by_prefix(podium, trimmed)


async def _by_prefix(podium: PodiumClient, prefix: str) -> str:
    matching = [one for one in await podium.sessions() if one.identifier.startswith(prefix)]
    exact = [one for one in matching if one.identifier == prefix]
    found = exact or matching
    if len(found) != 1:
        raise InvalidInput(
            f"SESSION: {len(found)} sessions begin like that; `podium session list` shows their identifiers"
        )
    return found[0].naddr
