"""The worker process that seals and wraps messages (`runtime.worker_child`).

Its setup is the service's key: only who has it can seal. The key comes over the socket, stays in memory, and is gone
with the process some seconds after the work. A batch is a list of `WrapOrder`, the answer a list of `Made`, as msgpack.
"""

from __future__ import annotations

from typing import Final

import msgspec

from podium_daemon.runtime.worker_child import Answer, serve
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip44, nip59


class WrapOrder(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One message to seal and wrap; see `nip59.gift_wrap`."""

    rumor: UnsignedEvent
    recipient: Pubkey
    now: int
    entropy: bytes
    expiration: int | None
    backdating: int
    work: int
    conversation_key: bytes | None


class Made(msgspec.Struct, frozen=True, array_like=True):
    """A signed gift wrap as JSON, and the conversation key to keep for the recipient's next message."""

    event_json: bytes
    conversation_key: bytes


def make(order: WrapOrder, secret: SecretKey) -> Made:
    """Seal and wrap one message; about 0.25 ms, and the work that is asked for."""
    key = order.conversation_key or nip44.conversation_key(secret, order.recipient)
    event = nip59.gift_wrap(
        order.rumor,
        secret,
        order.recipient,
        now=order.now,
        entropy=order.entropy,
        conversation_key=key,
        expiration=order.expiration,
        backdating=order.backdating,
        work=order.work,
    )
    return Made(event.to_json(), key)


_decode: Final = msgspec.msgpack.Decoder(list[WrapOrder]).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def _begin(setup: bytes) -> Answer:
    secret = SecretKey(setup)
    return lambda batch: _encode([make(order, secret) for order in _decode(batch)])


if __name__ == "__main__":
    serve(_begin)
