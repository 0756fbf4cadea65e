"""The certificate as a picture."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
import pytest
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.web.certificate_picture import WORDS, draw_certificate
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.attendance import Assurance
from podium_protocol.live.certificate import Certificate, find_certificate, link_to, read_certificate
from podium_protocol.live.completion import Completion, CompletionWay
from podium_protocol.nips.nip19 import encode_npub
from tests.protocol.live.test_certificate import CERTIFICATE, SERVICE, issued


def drawn(certificate: Certificate = CERTIFICATE, language: str = "en") -> tuple[bytes, VerifiedEvent]:
    """The picture, and the event it holds."""
    event = issued(certificate)
    link = link_to(event, public_url="https://school.example")
    picture = draw_certificate(
        certificate,
        link=link,
        service_npub=encode_npub(SERVICE.pubkey),
        zone=ZoneInfo("Asia/Tokyo"),
        language=language,
    )
    return picture, event


def texts(picture: bytes) -> list[str]:
    """What can be read on it."""
    return [node.text or "" for node in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("language", sorted(WORDS))
def test_the_picture_says_what_was_signed(language: str) -> None:
    """Name, title, minutes, the day in the session's zone, assurance and the service's key stand on it."""
    picture, event = drawn(language=language)
    said = "\n".join(texts(picture))
    for part in ("Ana", "Knots for beginners", "31", "Harbour school", encode_npub(SERVICE.pubkey)):
        assert part in said
    assert WORDS[language].assurance[Assurance.LINK] in said
    assert find_certificate(picture) == event


def test_who_watched_the_recording_is_not_said_to_have_been_there() -> None:
    """A completion by the recording is named as one."""
    record = msgspec.structs.replace(
        CERTIFICATE.record, total_duration=0, completed=Completion(CompletionWay.RECORDING, 1_790_000_000)
    )
    said = texts(drawn(msgspec.structs.replace(CERTIFICATE, record=record))[0])
    assert "watched the recording of" in said
    assert not any("minutes" in line for line in said)


@settings(deadline=None)  # a QR code takes a while on a busy machine
@given(st.text(max_size=120), st.text(max_size=300))
def test_any_name_makes_a_well_formed_picture(name: str, title: str) -> None:
    """A name with markup or odd characters stays text, and the picture can be read again."""
    certificate = msgspec.structs.replace(CERTIFICATE, name=name, title=f"K{title}")
    event = issued(certificate)
    signed = read_certificate(event)
    assert isinstance(signed, Certificate)
    picture, _ = drawn(signed)
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert len(picture) < 100_000


@pytest.mark.family("output injection")
@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "Ana & Ben", "\u202eevil", "名" * 100])
def test_markup_in_a_name_stays_text(name: str) -> None:
    """No name becomes an element of the picture."""
    event = issued(msgspec.structs.replace(CERTIFICATE, name=name))
    signed = read_certificate(event)
    assert isinstance(signed, Certificate)
    kinds = {node.tag.rpartition("}")[2] for node in ElementTree.fromstring(drawn(signed)[0]).iter()}
    assert kinds == {"svg", "title", "metadata", "rect", "text", "g", "path"}
