"""What an operator can set of seats, whatever engine is behind them."""

from __future__ import annotations

import msgspec

from podium_daemon.conference.grants import MAX_DEVICES
from podium_daemon.conference.journal import REMEMBERED_EVENTS
from podium_protocol.errors import InvalidInput


class SeatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`heartbeat` is in seconds; `devices` are of one person.

    A seat that is silent for longer than `missed_heartbeats * heartbeat` is over.

    Raises:
        InvalidInput: a number below 1.
    """

    heartbeat: int = 5
    missed_heartbeats: int = 3
    devices: int = MAX_DEVICES
    remembered_events: int = REMEMBERED_EVENTS

    def __post_init__(self) -> None:
        if min(self.heartbeat, self.missed_heartbeats, self.devices, self.remembered_events) < 1:
            raise InvalidInput("conference: heartbeat, missed heartbeats, devices and remembered events are 1 or more")
