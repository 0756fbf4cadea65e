"""People as they are named on the command line: by key, or by a NIP-05 name that is looked up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import pubkey_of
from podium_daemon.cli.output import note
from podium_daemon.config.values import is_nip05
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey
from podium_protocol.nips.nip19 import encode_npub

Look = Callable[[str], Awaitable[Pubkey | None]]
"""From a NIP-05 name to its key, or None; raises OSError where there is no answer to go by."""


async def named_people(texts: Sequence[str], option: str, look: Look | None = None) -> list[Pubkey]:
    """People named by hex, npub, nprofile, nostr: URI or NIP-05 name, in their order.

    Raises:
        InvalidInput: a text is none of these, or names nobody; a secret key is refused and not repeated.
        CommandFailed: a name could not be looked up.
    """
    # a mistake in one text is told before a domain is asked for another
    read = [text.lower() if is_nip05(text) else pubkey_of(text, option) for text in texts]
    names = list(dict.fromkeys(text for text in read if is_nip05(text)))
    keys = await asyncio.gather(*(_looked_up(name, option, look or _look) for name in names))
    known = dict(zip(names, keys, strict=True))
    for name, key in known.items():
        note(f"{name} is {encode_npub(key)}")
    return [known.get(text) or Pubkey(text) for text in read]


async def _looked_up(name: str, option: str, look: Look) -> Pubkey:
    try:
        key = await look(name)
    except OSError as error:
        text = f"{option}: {name} cannot be looked up ({error}): give the person's npub, or try again"
        raise CommandFailed(text) from None
    if key is None:
        raise InvalidInput(f"{option}: {name} names no key: ask the person for the name they have now, or for an npub")
    return key


async def _look(name: str) -> Pubkey | None:
    from podium_daemon.relays.addresses import SystemLookup
    from podium_daemon.services.nip05_lookup import look_up

    return await look_up(name, SystemLookup())
