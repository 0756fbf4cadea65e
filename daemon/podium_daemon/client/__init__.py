"""Podium from other programs: an async client of a daemon's HTTP interface that keeps the caller's key to itself.

`async with PodiumClient("http://127.0.0.1:7448", secret) as podium: await podium.sessions()`
"""

from podium_daemon.api.sessions import SessionDraftIn as SessionWish
from podium_daemon.api.sessions import SessionEditIn as SessionChanges
from podium_daemon.client.errors import ApiProblem, DaemonUnreachable, DraftRefused, StillWaiting, TurnedAway
from podium_daemon.client.hook import LiveSessionContent, LiveSessionHook, LiveSessionView
from podium_daemon.client.podium import PodiumClient
from podium_daemon.client.seat import RoomSeat

__all__ = [
    "ApiProblem",
    "DaemonUnreachable",
    "DraftRefused",
    "LiveSessionContent",
    "LiveSessionHook",
    "LiveSessionView",
    "PodiumClient",
    "RoomSeat",
    "SessionChanges",
    "SessionWish",
    "StillWaiting",
    "TurnedAway",
]
