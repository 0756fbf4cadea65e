"""The private names of aiortc that the forwarder stands on, checked at start.

They have been the same from 1.9 to 1.16. A release that moves one would otherwise be noticed as a silent black picture.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Final

from aioice import Candidate, ice
from aiortc import RTCConfiguration, RTCPeerConnection, rtcdtlstransport

from podium_protocol.errors import PodiumError

SUPPORTED: Final = "aiortc>=1.14,<1.17"

_NAMES: Final[Mapping[str, Mapping[str, tuple[str, ...] | None]]] = {
    "RTCDtlsTransport": {
        "_handle_rtp_data": ("data", "arrival_time_ms"),
        "_handle_rtcp_data": ("data",),
        "_recv_next": (),
        "_state": None,
        "_tx_srtp": None,
        "transport": None,
    },
    "aiortc.rtcdtlstransport": {"State": None},
    "State": {"CONNECTED": None},
    "RTCRtpReceiver": {"receive": ("parameters",)},
    "RTCRtpSender": {"send": ("parameters",), "_ssrc": None, "_stream_id": None},
    "RTCRtpTransceiver": {"_codecs": None, "_headerExtensions": None},
    "aioice.ice": {"get_host_addresses": ("use_ipv4", "use_ipv6")},
    "StunProtocol": {"datagram_received": ("data", "addr"), "transport": None},
    "CandidatePair": {"remote_addr": None},
    "CandidatePair()": {"protocol": None},
    "Connection": {
        "data_received": ("data", "component"),
        "_queue": None,
        "_check_list": None,
        "_early_checks": None,
        "_nominated": None,
    },
}


_CANDIDATE: Final = "1 1 udp 1 192.0.2.1 9 typ host"


class NamesMissing(PodiumError):
    """The installed aiortc is not one the forwarder works on; says which name is missing and what to install."""


async def check_names() -> None:
    """Make a connection that goes nowhere, and look for every private name on it, with its parameters.

    Raises:
        NamesMissing: one is missing or takes other parameters.
    """
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        transceiver = connection.addTransceiver("video", "sendonly")
        ice_connection = transceiver.sender.transport.transport._connection
        protocol = ice.StunProtocol(ice_connection)
        protocol.connection_made(asyncio.DatagramTransport())
        owners = {
            "RTCDtlsTransport": transceiver.sender.transport,
            "RTCRtpReceiver": transceiver.receiver,
            "RTCRtpSender": transceiver.sender,
            "RTCRtpTransceiver": transceiver,
            "aioice.ice": ice,
            "aiortc.rtcdtlstransport": rtcdtlstransport,
            "State": rtcdtlstransport.State,
            "StunProtocol": protocol,
            "CandidatePair": ice.CandidatePair,
            "CandidatePair()": ice.CandidatePair(protocol, Candidate.from_sdp(_CANDIDATE)),
            "Connection": ice_connection,
        }
        flaws = list(_flaws(owners))
    finally:
        await connection.close()
    if flaws:
        raise NamesMissing(
            f"the embedded conference engine does not work with aiortc {version('aiortc')}: {', '.join(flaws)}. "
            f'Install {SUPPORTED}, or set conference.engine = "link"'
        )


def _flaws(owners: Mapping[str, object]) -> Iterator[str]:
    for owner, names in _NAMES.items():
        for name, parameters in names.items():
            if not hasattr(owners[owner], name):
                yield f"{owner}.{name} is missing"
                continue
            member = getattr(owners[owner], name)
            if parameters is not None and tuple(inspect.signature(member).parameters) != parameters:
                yield f"{owner}.{name} takes other parameters"
