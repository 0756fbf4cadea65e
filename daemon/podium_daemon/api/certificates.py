"""Certificates of completion."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from podium_daemon.api.base import EventModel, Model, Time


class CertificateOut(Model):
    """A certificate: what the service signed of one participant. `link` leads to the page that checks it."""

    name: str
    participant: str
    npub: str
    title: str
    lesson_id: str
    starts_at: Time
    minutes: int
    completed_by: Literal["live", "recording"]
    completed_at: Time
    assurance: Literal["signature", "link", "guest"]
    service_name: str
    service_npub: str
    link: str
    event: EventModel


class OwnCertificateOut(Model):
    """The caller's certificate, and the picture of it (SVG, A4 across) to print and keep."""

    certificate: CertificateOut
    picture: str


class CertificateIn(Model):
    """A certificate in any of its forms: the picture's text, the link, or the signed event as JSON."""

    content: Annotated[str, Field(max_length=200_000)]


class CheckedCertificateOut(Model):
    """`is_ours`: this service signed it. `reason`: why it is not valid."""

    is_valid: bool
    reason: str | None
    is_ours: bool
    certificate: CertificateOut | None
