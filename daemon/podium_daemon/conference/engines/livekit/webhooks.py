"""LiveKit's webhooks: a signed token with the body's hash in `Authorization`, and JSON. No I/O."""

from __future__ import annotations

from typing import Final

import jwt
from google.protobuf.json_format import ParseError
from livekit import api

from podium_daemon.conference.engines.livekit.settings import LiveKitSettings
from podium_daemon.conference.redirect import WebhookCall

MAX_BODY: Final = 64 * 1024  # bytes; one event has a few kB
_LONGEST_TOKEN: Final = 4096


class NotTheServers(Exception):
    """The webhook is not signed by the server."""


class NotReadable(Exception):
    """The webhook is signed, but its content is not an event."""


def read_webhook(call: WebhookCall, settings: LiveKitSettings) -> api.WebhookEvent:
    """The event of a webhook.

    Raises:
        NotTheServers: no signature, a wrong or old one, or one of another body.
        NotReadable: the body is no event.
    """
    token = call.authorization.removeprefix("Bearer ")
    if len(call.body) > MAX_BODY or not 0 < len(token) <= _LONGEST_TOKEN:
        raise NotTheServers
    receiver = api.WebhookReceiver(api.TokenVerifier(settings.api_key, settings.secret.reveal()))
    try:
        event = receiver.receive(call.body.decode(), token)
    except ParseError:
        raise NotReadable from None
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        raise NotTheServers from None
    except Exception as error:
        # the library raises the bare class for a hash that is missing or wrong; whatever it is, it is no signature
        raise NotTheServers from error
    if not event.id or not event.event:  # also what JSON of another shape comes out as
        raise NotReadable
    return event
