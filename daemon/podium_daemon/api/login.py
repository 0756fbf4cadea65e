"""Signing in and out."""

from __future__ import annotations

from typing import Literal

from podium_daemon.api.base import Model


class SignedInOut(Model):
    """`token` is sent only once."""

    token: str
    expires_at: int
    pubkey: str
    npub: str


class LoginOut(Model):
    """`assurance`: known by their key, by a personal link, or by the name they gave; `lesson_id`: its only session."""

    pubkey: str
    npub: str
    assurance: Literal["key", "link", "guest"]
    lesson_id: str | None


class SignOutIn(Model):
    everywhere: bool = False
