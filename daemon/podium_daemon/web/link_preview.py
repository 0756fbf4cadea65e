"""What a pasted link says of a session: the tags in the head of its page, and a card (SVG 1.1) that they name."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from xml.sax import saxutils
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from babel.dates import format_date, format_time

from podium_protocol.text import single_line
from podium_storage.table.models import LiveSessionRow

CARD_WIDTH: Final = 1200
CARD_HEIGHT: Final = 630
_LONGEST: Final = 200  # characters of a description that previews show
_LINE: Final = 28  # characters of the card's title on one line
_LINES: Final = 3
_INK, _SOFT, _ACCENT, _PAPER = "#1d1b22", "#5d5968", "#5b3fd6", "#f6f5f2"


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a public session. `url` and `card` are addresses, of its page and of its card."""

    title: str
    summary: str
    when: str
    service: str
    instructor: str
    url: str
    card: str


def preview_of(row: LiveSessionRow, *, service: str, instructor: str, url: str, card: str) -> Preview:
    """The preview of a session, its time in its own zone."""
    return Preview(
        title=single_line(row.title, _LONGEST),
        summary=single_line(row.summary or row.description, _LONGEST),
        when=_when(row),
        service=service,
        instructor=single_line(instructor, _LINE),
        url=url,
        card=card,
    )


def head_tags(preview: Preview) -> str:
    """The tags of the page's head, escaped."""
    said = " · ".join(part for part in (preview.when, preview.summary) if part)
    tags = {
        "og:type": "website",
        "og:site_name": preview.service,
        "og:title": preview.title,
        "og:description": said,
        "og:url": preview.url,
        "og:image": preview.card,
        "og:image:type": "image/svg+xml",
        "og:image:width": str(CARD_WIDTH),
        "og:image:height": str(CARD_HEIGHT),
        "twitter:card": "summary_large_image",
        "twitter:title": preview.title,
        "twitter:description": said,
        "twitter:image": preview.card,
        "description": said,
    }
    return "\n".join(f"  {_tag(name, content)}" for name, content in tags.items())


def draw_card(preview: Preview) -> bytes:
    """The card: title, time, instructor and service, without external fonts or files."""
    title = _wrapped(preview.title)
    lines = [
        _text(120, preview.service, size=34, fill=_ACCENT, weight=700),
        *(_text(240 + 78 * number, line, size=66, weight=700) for number, line in enumerate(title)),
        _text(500, preview.when, size=36),
        _text(555, preview.instructor, size=32, fill=_SOFT),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{CARD_WIDTH}" height="{CARD_HEIGHT}" '
        f'viewBox="0 0 {CARD_WIDTH} {CARD_HEIGHT}">'
    )
    ground = (
        f"<title>{_escape(preview.title)}</title>"
        f'<rect width="{CARD_WIDTH}" height="{CARD_HEIGHT}" fill="{_PAPER}"/>'
        f'<rect width="18" height="{CARD_HEIGHT}" fill="{_ACCENT}"/>'
    )
    return f"{head}{ground}{''.join(lines)}</svg>\n".encode()


def _when(row: LiveSessionRow) -> str:
    try:
        zone = ZoneInfo(row.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo("UTC")
    start, end = datetime.fromtimestamp(row.scheduled_at, zone), datetime.fromtimestamp(row.ends_at, zone)
    # robots ask for it, whose language is not the readers': the ISO order of dates is read everywhere
    day = format_date(start, "yyyy-MM-dd", locale="en")
    times = (format_time(each, "HH:mm", locale="en") for each in (start, end))
    return f"{day} {'–'.join(times)} {start.tzname() or zone.key}"


def _wrapped(title: str) -> list[str]:
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= _LINE or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    shown = [line if len(line) <= _LINE else f"{line[: _LINE - 1]}…" for line in lines[:_LINES]]
    return shown if len(lines) <= _LINES else [*shown[:-1], f"{shown[-1][: _LINE - 1]}…"]


def _tag(name: str, content: str) -> str:
    attribute = "property" if name.startswith("og:") else "name"
    return f"<meta {attribute}={saxutils.quoteattr(name)} content={_quoted(content)}>"


def _quoted(text: str) -> str:
    # always in double quotes, whatever quotes are in the text
    return f'"{saxutils.escape(text, {chr(34): "&quot;"})}"'


def _escape(text: str) -> str:
    # XML has no such characters, and a reader would refuse the whole picture
    return saxutils.escape(text.replace("\ufffe", "").replace("\uffff", ""))


def _text(y: int, text: str, *, size: int, weight: int = 400, fill: str = _INK) -> str:
    return (
        f'<text x="80" y="{y}" font-family="system-ui, sans-serif" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}">{_escape(text)}</text>'
    )
