"""The certificate: what is signed, and how it is found again in a file."""

from __future__ import annotations

import base64
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.addresses import Address
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.live.attendance import Assurance, Evidence
from podium_protocol.live.attendance_record import AttendanceRecord
from podium_protocol.live.certificate import (
    MAX_FILE_BYTES,
    Certificate,
    NoCertificate,
    find_certificate,
    link_to,
    read_certificate,
    write_certificate,
)
from podium_protocol.live.completion import Completion, CompletionWay
from tests.support.events import NOW, key_of, verified

INSTRUCTOR, SERVICE, PARTICIPANT = (key_of(number) for number in range(1, 4))
RECORD = AttendanceRecord(
    session=Address(31923, INSTRUCTOR.pubkey, "knots"),
    participant=PARTICIPANT.pubkey,
    total_duration=1860,
    join_count=2,
    evidence=Evidence.ENGINE,
    assurance=Assurance.LINK,
    joined_at=NOW,
    left_at=NOW + 2000,
    completed=Completion(CompletionWay.LIVE, NOW + 1800),
)
CERTIFICATE = Certificate(
    record=RECORD, name="Ana", title="Knots for beginners", starts_at=NOW, service_name="Harbour school"
)


def issued(certificate: Certificate = CERTIFICATE) -> VerifiedEvent:
    """The certificate as the service signs it."""
    return sealed(write_certificate(certificate, service=SERVICE.pubkey))


def sealed(draft: UnsignedEvent) -> VerifiedEvent:
    """The draft under the service's signature."""
    return verified(SERVICE, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=draft.created_at)


def test_what_is_signed_is_read_again() -> None:
    """The signed event says who completed what, when, for how long, and how that person was known."""
    event = issued()
    assert read_certificate(event) == CERTIFICATE
    assert (CERTIFICATE.minutes, event.created_at) == (31, NOW + 1800)


def test_a_link_leads_back_to_the_event() -> None:
    """The link holds the whole event in its fragment, short enough for a QR code (2,900 bytes)."""
    event = issued()
    link = link_to(event, public_url="https://school.example/")
    assert link.startswith("https://school.example/verify#")
    assert len(link) < 1_200
    assert find_certificate(link.encode()) == event
    assert find_certificate(link.partition("#")[2].encode()) == event


@pytest.mark.parametrize("around", [b"<svg><metadata>%s</metadata></svg>", b'{"url": "%s"}', b" %s\n"])
def test_a_file_that_holds_the_link_is_a_certificate(around: bytes) -> None:
    """A picture is a certificate by the link that it holds."""
    event = issued()
    assert find_certificate(around % link_to(event, public_url="https://school.example").encode()) == event


def test_json_is_a_certificate() -> None:
    """The bare event is a form too."""
    assert find_certificate(b"\n" + issued().to_json()) == issued()


def test_a_changed_name_is_found_out() -> None:
    """A certificate whose name was changed does not hold."""
    forged = issued().to_json().replace(b'"Ana"', b'"Eve"')
    assert isinstance(find_certificate(forged), NoCertificate)


def test_a_record_without_completion_is_none() -> None:
    """There is no certificate of a session that was not completed."""
    with pytest.raises(ValueError, match="completed"):
        issued(msgspec.structs.replace(CERTIFICATE, record=msgspec.structs.replace(RECORD, completed=None)))


@pytest.mark.parametrize("row", [("name", "Eve"), ("title", "Another"), ("start", "1"), ("service", "Another school")])
def test_a_thing_said_twice_is_no_certificate(row: tuple[str, str]) -> None:
    """Two readers might take another of two names: such an event certifies nothing."""
    draft = write_certificate(CERTIFICATE, service=SERVICE.pubkey)
    assert isinstance(read_certificate(sealed(_with(draft, row))), NoCertificate)


def _with(draft: UnsignedEvent, row: tuple[str, str]) -> UnsignedEvent:
    return msgspec.structs.replace(draft, tags=(*draft.tags, row))


def test_a_bomb_ends_at_the_cap() -> None:
    """A few bytes that stand for a gigabyte are no certificate, and cost nothing."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(b"{" + b" " * (1 << 20)) for _ in range(8)) + packer.flush()
    assert isinstance(find_certificate(base64.urlsafe_b64encode(bomb).rstrip(b"=")), NoCertificate)


def test_a_long_file_is_not_looked_at() -> None:
    """A file over the limit is refused before anything is searched in it."""
    assert isinstance(find_certificate(b"x" * (MAX_FILE_BYTES + 1)), NoCertificate)


@given(st.binary(max_size=3000))
def test_any_bytes_get_an_answer(content: bytes) -> None:
    """Whatever is dropped on the page is no certificate, and no error."""
    assert isinstance(find_certificate(content), NoCertificate)
    assert isinstance(find_certificate(b"https://school.example/verify#" + content), NoCertificate)


@given(st.text(max_size=300), st.text(min_size=1, max_size=300).filter(lambda text: bool(text.strip())))
def test_any_name_survives(name: str, title: str) -> None:
    """A name in any script comes back as it was signed, without what could change how it reads."""
    event = issued(msgspec.structs.replace(CERTIFICATE, name=name, title=f"K{title}"))
    read = read_certificate(event)
    assert isinstance(read, Certificate)
    assert find_certificate(link_to(event, public_url="https://school.example").encode()) == event
