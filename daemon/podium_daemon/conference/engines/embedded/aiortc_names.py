"""The private names of aiortc that the forwarder stands on, checked at start.

They have been the same from 1.9 to 1.16. A release that moves one would otherwise be noticed as a silent black picture.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Final

from aioice import ice
from aiortc import RTCConfiguration, RTCPeerConnection

from podium_protocol.errors import PodiumError

SUPPORTED: Final = "aiortc>=1.14,<1.17"

_NAMES: Final[Mapping[str, Mapping[str, tuple[str, ...] | None]]] = {
    "RTCDtlsTransport": {
        "_handle_rtp_data": ("data", "arrival_time_ms"),
        "_handle_rtcp_data": ("data",),
        "_send_rtp": ("data",),
        "_recv_next": (),
    },
    "RTCRtpReceiver": {"receive": ("parameters",)},
    "RTCRtpSender": {"send": ("parameters",), "_ssrc": None, "_stream_id": None},
    "RTCRtpTransceiver": {"_codecs": None, "_headerExtensions": None},
    "aioice.ice": {"get_host_addresses": ("use_ipv4", "use_ipv6")},
    "StunProtocol": {"datagram_received": ("self", "data", "addr")},
    "CandidatePair": {"remote_addr": None},
    "Connection": {
        "data_received": ("data", "component"),
        "_queue": None,
        "_check_list": None,
        "_early_checks": None,
    },
}


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
        owners = {
            "RTCDtlsTransport": transceiver.sender.transport,
            "RTCRtpReceiver": transceiver.receiver,
            "RTCRtpSender": transceiver.sender,
            "RTCRtpTransceiver": transceiver,
            "aioice.ice": ice,
            "StunProtocol": ice.StunProtocol,
            "CandidatePair": ice.CandidatePair,
            "Connection": transceiver.sender.transport.transport._connection,
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
            member = getattr(owners[owner], name, None)
            if member is None:
                yield f"{owner}.{name} is missing"
            elif parameters is not None and tuple(inspect.signature(member).parameters) != parameters:
                yield f"{owner}.{name} takes other parameters"
