"""The information document (NIP-11) of the embedded relay, whose own program answers no HTTP."""

from __future__ import annotations

from typing import Any, Final

from podium_daemon.relays.embedded_child import RelaySettings
from podium_protocol.events import Pubkey
from podium_protocol.limits import MAX_FILTERS

_NIPS: Final = (1, 9, 11, 42)
_EVENTS_OF_A_REQ: Final = 500  # LocalRelay's own default


def document_of(settings: RelaySettings, *, name: str, service: Pubkey, version: str) -> dict[str, Any]:
    """The relay's name and limits for NIP-11; `service` is the key of the service that runs it."""
    return {
        "name": f"{name}: relay",
        "description": "The relay of a Podium service: sessions, answers, messages and attendance records.",
        "pubkey": service,
        "supported_nips": list(_NIPS),
        "software": "podium",
        "version": version,
        "limitation": {
            "max_subscriptions": settings.max_subscriptions,
            "max_filters": MAX_FILTERS,
            "max_limit": settings.max_filter_limit or _EVENTS_OF_A_REQ,
            "min_pow_difficulty": settings.min_pow or 0,
            "auth_required": settings.login != "none",
        },
    }
