"""The files of recorded RTP packets, undecoded, as media hosts leave them and `muxing` reads them; one a track.

A file is one line of JSON (`TrackHead`), then records of a time, a length and an RTP packet. It is good up to its last
whole record, so that a crash loses only what was not flushed yet.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final

import msgspec

from podium_daemon.conference.events import ConnectionId, RoomId, TrackKind
from podium_protocol.events import Pubkey

RECORD: Final = Layout("!dH")  # monotonic seconds since the head's `started_at`, length of the packet


class TrackHead(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The first line. `started_at` is in Unix seconds, when the first packet came."""

    room: RoomId
    connection: ConnectionId
    pubkey: Pubkey
    kind: TrackKind
    started_at: float
