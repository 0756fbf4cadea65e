"""BigBlueButton's webhooks, read. No I/O. They are forms with `event` (a JSON list), `timestamp` and `domain`."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

import msgspec

MAX_BODY: Final = 64 * 1024  # bytes; one event has under 2 kB


class _Meeting(msgspec.Struct):
    external: str = msgspec.field(name="external-meeting-id")


class _User(msgspec.Struct):
    external: str = msgspec.field(name="external-user-id", default="")


class _Attributes(msgspec.Struct):
    meeting: _Meeting
    user: _User = msgspec.field(default_factory=_User)


class _Moment(msgspec.Struct):
    ts: int  # milliseconds


class _WebhookData(msgspec.Struct):
    id: str
    attributes: _Attributes
    event: _Moment


class _Message(msgspec.Struct):
    data: _WebhookData


class WebhookEvent(msgspec.Struct, frozen=True):
    """One event: its name (`user-joined`), the meeting, the user id or empty, and Unix seconds."""

    name: str
    meeting: str
    user: str
    at: float


_decode: Final = msgspec.json.Decoder(list[_Message]).decode


def read_webhook(body: bytes) -> list[WebhookEvent] | None:
    """The events of a webhook's body that name a meeting, or None if it is none."""
    try:
        form = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8)
        (event,) = form["event"]
        messages = _decode(event)
    except (ValueError, KeyError, RecursionError):  # also msgspec's own, and bytes that are no ASCII
        return None
    return [
        WebhookEvent(
            message.data.id,
            message.data.attributes.meeting.external,
            message.data.attributes.user.external,
            message.data.event.ts / 1000,
        )
        for message in messages
    ]
