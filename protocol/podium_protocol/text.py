"""Text by strangers made safe to show: no control characters, no bidirectional overrides, a bounded length.

Titles end in terminals, messages and calendars. A C1 control can move a terminal's cursor, a bidi override can make
"exe.gpj" read as "jpg.exe" (Trojan Source), and a line feed in a title would start a line of the stranger's own.
"""

from __future__ import annotations

import re
from typing import Final

# C0 and C1 controls, bidi marks and overrides, interlinear and tag characters, BOM, lone surrogates (no UTF-8 form)
_FORBIDDEN: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
_forbidden: Final = re.compile(f"[{_FORBIDDEN}]")
_spaces: Final = re.compile(r"\s+")
_LINE_BREAKS: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_ELLIPSIS: Final = "…"


def single_line(text: str, limit: int) -> str:
    """One line of at most `limit` characters: breaks become spaces, controls go, a cut is marked with an ellipsis."""
    visible = _forbidden.sub("", _LINE_BREAKS.sub(" ", text))
    return _cut(_spaces.sub(" ", visible).strip(), limit)


def paragraphs(text: str, limit: int) -> str:
    """Text that may have lines: line feeds and tabs stay, every other control goes, at most `limit` characters."""
    return _cut(_forbidden.sub("", _LINE_BREAKS.sub("\n", text)).strip(), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + _ELLIPSIS
