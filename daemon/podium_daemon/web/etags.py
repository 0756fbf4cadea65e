"""Versions of answers (RFC 9110, 8.8.3 and 13.1.2)."""

from __future__ import annotations

import hashlib


def etag_of(body: bytes) -> str:
    """The ETag of these bytes, the same after a restart."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def has_version(if_none_match: str | None, tag: str) -> bool:
    """Whether the caller has this version (weak comparison)."""
    given = [each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")]
    return tag in given or given == ["*"]
