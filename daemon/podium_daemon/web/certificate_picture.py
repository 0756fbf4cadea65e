"""The certificate as a picture (SVG 1.1) to show, print and keep: A4 landscape, without external fonts or files."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from xml.sax import saxutils
from zoneinfo import ZoneInfo

import msgspec
from babel.dates import format_date

from podium_daemon.signers.qr import QUIET_ZONE, qr_code
from podium_protocol.live.attendance import Assurance
from podium_protocol.live.certificate import Certificate
from podium_protocol.nips.nip19 import encode_npub

_WIDTH: Final = 1123  # A4 across at 96 pixels an inch
_HEIGHT: Final = 794
_QR_SIDE: Final = 275
_DARK: Final = re.compile("1+")
_INK, _SOFT, _ACCENT, _PAPER = "#1d1b22", "#5d5968", "#5b3fd6", "#ffffff"


class CertificateWords(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences of one language. `{minutes}` and `{date}` are placeholders."""

    heading: str
    to: str
    attended: str
    watched: str
    on: str
    by: str
    unnamed: str
    participant_key: str
    service_key: str
    assurance: dict[Assurance, str]
    check: str


WORDS: Final = {
    "en": CertificateWords(
        heading="Certificate of attendance",
        to="This certifies that",
        attended="took part for {minutes} minutes in",
        watched="watched the recording of",
        on="on {date}",
        by="Issued by {name}",
        unnamed="the holder of the key below",
        participant_key="The participant's key",
        service_key="The key of the service, which signed this",
        assurance={
            Assurance.SIGNATURE: "The participant signed with their own key.",
            Assurance.LINK: "The participant came by a personal link.",
            Assurance.GUEST: "The participant came as a guest and gave this name.",
        },
        check="Scan the code to check the signature.",
    ),
    "de": CertificateWords(
        heading="Teilnahmebescheinigung",
        to="Hiermit wird bescheinigt:",
        attended="hat {minutes} Minuten teilgenommen an",
        watched="hat die Aufzeichnung angesehen von",
        on="am {date}",
        by="Ausgestellt von {name}",
        unnamed="Inhaberin oder Inhaber des Schlüssels unten",
        participant_key="Schlüssel der teilnehmenden Person",
        service_key="Schlüssel des Dienstes, der dies unterschrieben hat",
        assurance={
            Assurance.SIGNATURE: "Die Teilnahme wurde mit dem eigenen Schlüssel unterschrieben.",
            Assurance.LINK: "Die Teilnahme geschah über einen persönlichen Link.",
            Assurance.GUEST: "Die Teilnahme geschah als Gast; der Name ist selbst angegeben.",
        },
        check="Der Code führt zur Prüfung der Unterschrift.",
    ),
}
"""The languages of the page."""


def draw_certificate(certificate: Certificate, *, link: str, service_npub: str, zone: ZoneInfo, language: str) -> bytes:
    """Draw the picture. `link` leads to the page that checks it: it is in the QR code and in the picture's metadata.

    `language` is one of `WORDS`; `zone` is the session's, in which the date is printed.
    """
    words, record = WORDS[language], certificate.record
    by_recording = record.completed is not None and record.completed.way == "recording"
    did = words.watched if by_recording else words.attended.format(minutes=certificate.minutes)
    day = format_date(datetime.fromtimestamp(certificate.starts_at, zone), "long", locale=language)
    name = certificate.name or words.unnamed
    lines = (
        _line(130, words.heading, size=44, weight=700, fill=_ACCENT),
        _line(205, words.to, size=20, fill=_SOFT),
        _line(270, name, size=_fitting(name, 46), weight=600),
        _line(325, did, size=20, fill=_SOFT),
        _line(385, certificate.title, size=_fitting(certificate.title, 34), weight=600),
        _line(435, words.on.format(date=day), size=20, fill=_SOFT),
        _line(480, words.by.format(name=certificate.service_name), size=20),
        _small(560, words.assurance[record.assurance]),
        _small(595, words.participant_key),
        _small(617, encode_npub(record.participant)),
        _small(650, words.service_key),
        _small(672, service_npub),
        _small(710, words.check),
    )
    body = "".join((*lines, _code(link)))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" lang={saxutils.quoteattr(language)}>'
    )
    title = f"<title>{_escape(words.heading)}: {_escape(name)}, {_escape(certificate.title)}</title>"
    frame = (
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{_PAPER}"/>'
        f'<rect x="28" y="28" width="{_WIDTH - 56}" height="{_HEIGHT - 56}" rx="18" '
        f'fill="none" stroke="{_ACCENT}" stroke-width="3"/>'
    )
    return f"{head}{title}<metadata>{_escape(link)}</metadata>{frame}{body}</svg>\n".encode()


def _escape(text: str) -> str:
    # XML has no such characters, and a reader would refuse the whole picture
    return saxutils.escape(text.replace("\ufffe", "").replace("\uffff", ""))


def _line(y: int, text: str, *, size: int, weight: int = 400, fill: str = _INK) -> str:
    return (
        f'<text x="{_WIDTH // 2}" y="{y}" text-anchor="middle" font-family="system-ui, sans-serif" '
        f'font-size="{size}" font-weight="{weight}" fill="{fill}">{_escape(text)}</text>'
    )


def _small(y: int, text: str) -> str:
    return (
        f'<text x="90" y="{y}" font-family="system-ui, sans-serif" font-size="14" fill="{_SOFT}">{_escape(text)}</text>'
    )


def _fitting(text: str, size: int) -> int:
    """The font size at which a text of wide letters fits on one line."""
    return max(12, min(size, int((_WIDTH - 160) / (0.62 * max(len(text), 1)))))


def _code(link: str) -> str:
    code = qr_code(link)
    side = code.size + 2 * QUIET_ZONE
    scale = _QR_SIDE / side
    dark = "".join(
        f"M{run.start() + QUIET_ZONE},{y + QUIET_ZONE}h{len(run[0])}v1h-{len(run[0])}z"
        for y, row in enumerate(code.rows)
        for run in _DARK.finditer(row)
    )
    place = f"translate({_WIDTH - 65 - _QR_SIDE},{_HEIGHT - 60 - _QR_SIDE}) scale({scale:.4f})"
    ground = f'<rect width="{side}" height="{side}" fill="{_PAPER}"/>'
    return f'<g transform="{place}">{ground}<path d="{dark}" fill="{_INK}"/></g>'
