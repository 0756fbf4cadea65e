"""How much of everything is measured."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a run; the defaults take less than six minutes on two cores."""

    rounds: int = 5
    events: int = 20_000  # read from a socket
    people: int = 1_000  # written to
    rows: int = 200_000  # looked things up in
    batch: int = 400  # verified, or wrapped, in one turn of a contestant
    watchers: int = 30  # who receive one speaker
    room: int = 25  # people in a room
    crowd: int = 50  # in a fuller one
    watched: float = 4.0  # seconds for which they do, in one turn of a contestant
    lookups: int = 1_000  # in one turn of a contestant
    sessions: int = 10_000  # in the store of a daemon
    told: int = 2_000  # sessions that are read in while another is due
    streams: int = 1_000  # pages that listen to one session
    idle: float = 10.0  # seconds in which an idle daemon is watched
