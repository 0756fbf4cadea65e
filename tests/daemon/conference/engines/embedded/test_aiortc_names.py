"""The self-check at the media process's start."""

from __future__ import annotations

import pytest
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpsender import RTCRtpSender

from podium_daemon.conference.engines.embedded.aiortc_names import NamesMissing, check_names


async def test_the_installed_aiortc_has_every_name() -> None:
    """What tests run on is what the forwarder stands on."""
    await check_names()


async def test_a_missing_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that moves a private name is refused at start, with the name and what to install."""
    monkeypatch.delattr(RTCDtlsTransport, "_handle_rtp_data")
    with pytest.raises(NamesMissing) as error:
        await check_names()
    assert "RTCDtlsTransport._handle_rtp_data is missing" in str(error.value)
    assert "aiortc>=1.14,<1.17" in str(error.value)


async def test_other_parameters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is there and means something else is as bad."""

    async def send(self: object, parameters: object, stream: object) -> None:
        """Not what we call."""

    monkeypatch.setattr(RTCRtpSender, "send", send)
    with pytest.raises(NamesMissing, match=r"RTCRtpSender\.send takes other parameters"):
        await check_names()
