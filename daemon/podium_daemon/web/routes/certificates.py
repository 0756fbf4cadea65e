"""Certificates: the caller's own, as values and as a picture, and the check of any."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query

from podium_daemon.api.base import EventModel
from podium_daemon.api.certificates import CertificateIn, CertificateOut, CheckedCertificateOut, OwnCertificateOut
from podium_daemon.web.certificate_picture import draw_certificate
from podium_daemon.web.context import Context, InContext, granted
from podium_daemon.web.login import AnyCaller
from podium_daemon.web.strict_json import StrictRoute
from podium_protocol.events import SignedEvent
from podium_protocol.live.certificate import (
    Certificate,
    NoCertificate,
    find_certificate,
    link_to,
    read_certificate,
)
from podium_protocol.nips.nip19 import encode_npub
from podium_protocol.times import zone_or_none

router = APIRouter(tags=["certificates"], route_class=StrictRoute)
_SESSION: Final = "/api/sessions/{reference}"
Language = Annotated[Literal["en", "de"], Query(description="Of the sentences on it.")]


@router.get(f"{_SESSION}/certificate")
async def show_certificate(
    context: InContext, caller: AnyCaller, reference: str, language: Language = "en"
) -> OwnCertificateOut:
    """The caller's own certificate, once they have completed the session. The service signs it for them alone."""
    row = await context.views.resolve(reference, caller)
    issued = granted(await context.certificates.issue(row, caller.pubkey))
    picture = draw_certificate(
        issued.certificate,
        link=link_to(issued.event, public_url=context.public_url),
        service_npub=encode_npub(context.service_pubkey),
        zone=zone_or_none(row.timezone or "UTC") or ZoneInfo("UTC"),
        language=language,
    )
    return OwnCertificateOut(certificate=_out(context, issued.certificate, issued.event), picture=picture.decode())


@router.post("/api/certificates/check")
async def check_certificate(context: InContext, body: CertificateIn) -> CheckedCertificateOut:
    """Check a certificate's signature, and whether it is this service's. What is sent is not kept."""
    event = find_certificate(body.content.encode())
    found = event if isinstance(event, NoCertificate) else read_certificate(event)
    if isinstance(event, NoCertificate) or isinstance(found, NoCertificate):
        assert isinstance(found, NoCertificate)
        return CheckedCertificateOut(is_valid=False, reason=found.reason, is_ours=False, certificate=None)
    is_ours = event.pubkey == context.service_pubkey
    return CheckedCertificateOut(is_valid=True, reason=None, is_ours=is_ours, certificate=_out(context, found, event))


def _out(context: Context, certificate: Certificate, event: SignedEvent) -> CertificateOut:
    record = certificate.record
    completed = record.completed
    assert completed is not None, "only a completed record is a certificate"
    return CertificateOut(
        name=certificate.name,
        participant=record.participant,
        npub=encode_npub(record.participant),
        title=certificate.title,
        lesson_id=str(record.session),
        starts_at=certificate.starts_at,
        minutes=certificate.minutes,
        completed_by=completed.way.value,
        completed_at=completed.at,
        assurance=record.assurance.value,
        service_name=certificate.service_name,
        service_npub=encode_npub(event.pubkey),
        link=link_to(event, public_url=context.public_url),
        event=EventModel(
            id=event.id,
            pubkey=event.pubkey,
            created_at=event.created_at,
            kind=event.kind,
            tags=[list(row) for row in event.tags],
            content=event.content,
            sig=event.sig,
        ),
    )
