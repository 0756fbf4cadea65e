"""Checks datagrams on the media sockets before aioice and aiortc see them: an attacker can send anything to a port.

aiortc ends a connection at a datagram that it cannot read (it looks for the first byte of an empty one), and uvloop
closes a socket whose datagram raised (a STUN attribute of the wrong length does in aioice). aioice passes on what is
not STUN, from any sender. Here all of these are dropped and counted.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from enum import StrEnum
from typing import Final

from aioice import ice
from aiortc import RTCDtlsTransport

Address = tuple[str, int]

_STUN_COOKIE: Final = bytes.fromhex("2112a442")
_STUN_HEADER: Final = 20  # bytes; RFC 8489, 5
_DTLS_RECORD: Final = 13  # bytes; RFC 6347, 4.1; records of DTLS 1.3 with the short header carry 16 bytes of ciphertext
_RTP_HEADER: Final = 12  # bytes; RFC 3550, 5.1; SRTCP has 8 of its own and 4 of an index
_MAX_UNREAD: Final = 1024  # datagrams of one connection that wait for DTLS: they are not read before ICE has ended


class Sort(StrEnum):
    """The class of a datagram by its first byte (RFC 7983, 7)."""

    STUN = "stun"
    MEDIA = "media"  # DTLS, SRTP or SRTCP


class Drop(StrEnum):
    """Why a datagram went no further; the names of the counters."""

    UNKNOWN = "datagram_unknown"  # empty, or neither STUN nor DTLS nor RTP
    SHORT = "datagram_short"  # too short for what its first byte says
    BAD_STUN = "datagram_bad_stun"
    STRANGER = "datagram_stranger"  # media from an address that has not proved to know this connection's password
    FLOOD = "datagram_flood"
    FAILED = "datagram_failed"  # something raised that we did not foresee


def sort(data: bytes) -> Sort | Drop:
    """Classify a datagram, or return why it is dropped."""
    first = data[0] if data else -1
    if 0 <= first <= 3:
        is_stun = len(data) >= _STUN_HEADER and data[4:8] == _STUN_COOKIE
        return Sort.STUN if is_stun else Drop.BAD_STUN
    if 20 <= first <= 63:
        return Sort.MEDIA if len(data) >= _DTLS_RECORD else Drop.SHORT
    if 128 <= first <= 191:
        return Sort.MEDIA if len(data) >= _RTP_HEADER else Drop.SHORT
    return Drop.UNKNOWN


_stun_received = ice.StunProtocol.datagram_received
_data_received = ice.Connection.data_received
_recv_next = RTCDtlsTransport._recv_next


def guard(counts: Counter[str]) -> None:
    """Check every datagram of this process's connections from now on; drops are added to `counts`.

    Sockets of connections that are there already are looked at too.
    """

    def received(self: ice.StunProtocol, data: bytes, addr: tuple[object, ...]) -> None:
        if (drop := _take(self, data, addr)) is not None:
            counts[drop] += 1

    def not_stun(self: ice.Connection, data: bytes, component: int) -> None:  # noqa: ARG001  (aioice's signature)
        counts[Drop.BAD_STUN] += 1  # aioice could not read it, and would pass it on as media

    async def recv_next(self: RTCDtlsTransport) -> None:
        try:
            await _recv_next(self)
        except ConnectionError:  # the connection is over, by ICE or by the other side's authenticated word
            raise
        except Exception:  # noqa: BLE001  (a boundary: no datagram ends a connection)
            counts[Drop.FAILED] += 1
            if counts[Drop.FAILED] == 1:  # since the last report: the log is not for a flood
                traceback.print_exc()
            await asyncio.sleep(0)  # were it to raise for ever, others still have their turn

    for owner, name, method in (
        (ice.StunProtocol, "datagram_received", received),
        (ice.Connection, "data_received", not_stun),
        (RTCDtlsTransport, "_recv_next", recv_next),
    ):
        setattr(owner, name, method)


def _take(protocol: ice.StunProtocol, data: bytes, addr: tuple[object, ...]) -> Drop | None:
    match sort(data):
        case Drop() as drop:
            return drop
        case Sort.STUN:
            try:
                _stun_received(protocol, data, addr)
            except Exception:  # noqa: BLE001  (a boundary: aioice raises struct.error, KeyError and more at odd attributes)
                return Drop.BAD_STUN
            return None
        case Sort.MEDIA:
            return _pass_on(protocol, data, addr)


def _pass_on(protocol: ice.StunProtocol, data: bytes, addr: tuple[object, ...]) -> Drop | None:
    connection = protocol.receiver
    if connection._queue.qsize() >= _MAX_UNREAD:
        return Drop.FLOOD
    if not _is_known(protocol, (str(addr[0]), int(str(addr[1])))):
        return Drop.STRANGER
    _data_received(connection, data, protocol.local_candidate.component)
    return None


def _is_known(protocol: ice.StunProtocol, addr: Address) -> bool:
    """Whether a check with the right password came from this address (RFC 8445, 7.3.1.3), now or before."""
    known: set[Address] = protocol.__dict__.setdefault("known_addresses", set())
    if addr in known:
        return True
    connection = protocol.receiver
    pairs = (pair.remote_addr == addr for pair in connection._check_list)
    early = (check[1] == addr for check in connection._early_checks)
    if any(pairs) or any(early):
        known.add(addr)
        return True
    return False
