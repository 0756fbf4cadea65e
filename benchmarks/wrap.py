"""wrap: one gift wrap, for a recipient who is written to for the first time or again."""

from __future__ import annotations

from typing import Final

import nostr_sdk as sdk

from benchmarks.interleave import Contestant, Progress, Result, compared, interleaved, timed
from benchmarks.library_bound import WrapBound
from benchmarks.messages import TEXT, Drafts
from benchmarks.settings import Settings

_ROUNDS: Final = 4  # times the rounds: a turn takes a few milliseconds
_NOTE: Final = (
    "wrap: the limit is the curve alone: the recipient's point, ECDH twice (once where the conversation key was kept), "
    "a key pair, two signatures."
)


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    found = await interleaved(_contestants(max(settings.batch // 4, 2)), _ROUNDS * settings.rounds, progress)
    unit, peer, name = "wraps/s", found["nostr-sdk"], "nostr-sdk"
    first, again = found["ours"], found["ours, key kept"]
    return Result(
        (
            compared("wrap", unit, first, peer=peer, peer_name=name, limit=found["libsecp256k1"]),
            compared("wrap, key kept", unit, again, peer=peer, peer_name=name, limit=found["libsecp256k1, one ECDH"]),
        ),
        (_NOTE,),
    )


def _contestants(count: int) -> dict[str, Contestant[float]]:
    drafts = Drafts(count)
    kept = drafts.conversation_keys()
    bound = WrapBound(drafts.sender.expose(), [bytes.fromhex(person) for person in drafts.people])
    keys = sdk.Keys.generate()
    recipients = [sdk.PublicKey.parse(person) for person in drafts.people]
    return {
        "ours": timed(lambda: list(drafts.wraps()), count),
        "ours, key kept": timed(lambda: list(drafts.wraps(kept)), count),
        "libsecp256k1": timed(lambda: bound.run(ecdhs=2), count),
        "libsecp256k1, one ECDH": timed(lambda: bound.run(ecdhs=1), count),
        "nostr-sdk": timed(
            lambda: [sdk.nip17_make_private_msg(keys, recipient, TEXT) for recipient in recipients], count
        ),
    }
