"""The certificate of one participant: an attendance record with a name and a title, signed by the service.

The event is of the record's kind (31953) and names the same session and person; `name`, `title`, `start` and `service`
are under the same signature, so that nothing printed on the certificate can be changed. Only the participant gets it.
It has three forms: JSON, a link to the page that checks it (the QR code), and the picture that holds the link.
"""

from __future__ import annotations

import base64
import re
import zlib
from typing import Final

import msgspec

from podium_protocol import tags
from podium_protocol.events import Pubkey, Rejected, SignedEvent, UnsignedEvent, VerifiedEvent, verify_json
from podium_protocol.live import fields
from podium_protocol.live.attendance_record import AttendanceRecord, read_attendance_record, write_attendance_record
from podium_protocol.text import single_line

MAX_NAME_CHARS: Final = 100
MAX_TITLE_CHARS: Final = 200
MAX_FILE_BYTES: Final = 256 * 1024
"""Longer files are refused unread: a certificate has some 40 kB."""

_MAX_EVENT_BYTES: Final = 16 * 1024
_TAGS: Final = ("name", "title", "start", "service")
_LINK: Final = re.compile(rb"/verify#([A-Za-z0-9_-]{100,16000})")
_CODE: Final = re.compile(rb"#?([A-Za-z0-9_-]{100,16000})")


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a certificate.

    Args:
        record: the attendance that the service observed; it is completed.
        name: the participant's, as the service shows it; empty if none is known.
        title: the session's.
        starts_at: the session's start, in Unix seconds.
        service_name: the service's own name.
    """

    record: AttendanceRecord
    name: str
    title: str
    starts_at: int
    service_name: str

    @property
    def minutes(self) -> int:
        """Credited minutes in the room; 0 for a participant who watched the recording only."""
        return self.record.total_duration // 60


class NoCertificate(msgspec.Struct, frozen=True):
    """`reason`: why a file or a text is no certificate, as a clause that can be shown."""

    reason: str


def write_certificate(certificate: Certificate, *, service: Pubkey) -> UnsignedEvent:
    """The event for the service to sign. It is dated at the completion: the same certificate is always the same event,
    and a relay that is given it keeps the newer record.

    Raises:
        ValueError: the record is not completed.
    """
    completed = certificate.record.completed
    if completed is None:
        raise ValueError("a certificate needs a completed record")
    title = single_line(certificate.title, MAX_TITLE_CHARS)
    event = write_attendance_record(certificate.record, service=service, title=title, now=completed.at)
    more = tags.build(
        (
            ("name", single_line(certificate.name, MAX_NAME_CHARS)),
            ("title", title),
            ("start", str(certificate.starts_at)),
            ("service", single_line(certificate.service_name, MAX_NAME_CHARS)),
        )
    )
    return msgspec.structs.replace(event, tags=(*event.tags, *more))


def read_certificate(event: VerifiedEvent) -> Certificate | NoCertificate:
    """Read the certificate in a verified event. The caller checks which key signed it."""
    record = read_attendance_record(event)
    if record is None or record.completed is None:
        return NoCertificate("the signed event is no record of a completed session")
    if any(fields.is_repeated(event.tags, name) for name in _TAGS):
        return NoCertificate("the signed event says one thing twice")
    starts_at = fields.timestamp(tags.first(event.tags, "start"))
    title = single_line(tags.first(event.tags, "title") or "", MAX_TITLE_CHARS)
    if starts_at is None or not title:
        return NoCertificate("the signed event names no session")
    return Certificate(
        record=record,
        name=single_line(tags.first(event.tags, "name") or "", MAX_NAME_CHARS),
        title=title,
        starts_at=starts_at,
        service_name=single_line(tags.first(event.tags, "service") or "", MAX_NAME_CHARS),
    )


def link_to(event: SignedEvent, *, public_url: str) -> str:
    """The address of the page that checks `event`; the event is in the fragment, which browsers send to no server."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    raw = packed.compress(event.to_json()) + packed.flush()
    return f"{public_url.rstrip('/')}/verify#{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def find_certificate(content: bytes) -> VerifiedEvent | NoCertificate:
    """Find the signed event in a file or a text: a certificate's picture, a link to the page that checks it, or JSON.

    Only the signature is checked here; `read_certificate` reads the content.
    """
    if len(content) > MAX_FILE_BYTES:
        return NoCertificate(f"it is longer than {MAX_FILE_BYTES // 1024} KiB")
    text = content.strip()
    found = _LINK.search(text) or _CODE.fullmatch(text)
    raw = _unpacked(found[1]) if found else text
    if raw is None or not raw.startswith(b"{"):
        return NoCertificate("there is no signed record in it")
    event = verify_json(raw)
    return NoCertificate(f"its signature does not hold: {event.detail}") if isinstance(event, Rejected) else event


def _unpacked(code: bytes) -> bytes | None:
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # a bomb of zeros ends at the cap (a few bytes can stand for gigabytes)
        raw = unpack.decompress(base64.urlsafe_b64decode(code + b"=" * (-len(code) % 4)), _MAX_EVENT_BYTES)
    except (ValueError, zlib.error):
        return None
    return raw if unpack.eof and not unpack.unused_data else None
