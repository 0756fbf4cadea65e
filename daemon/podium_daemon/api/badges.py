"""Badges of a session."""

from __future__ import annotations

from podium_daemon.api.base import Model, Time


class BadgeOut(Model):
    """The caller's badge. `asked_at` is null until they ask; `award_id` is the event that the instructor signed."""

    asked_at: Time | None
    award_id: str | None


class AskedBadgeOut(Model):
    """A participant who asked for the badge."""

    pubkey: str
    npub: str
    name: str
    asked_at: Time
    award_id: str | None


class AskedBadgesOut(Model):
    """All who asked for the badge of a session, in the order in which they did."""

    badges: tuple[AskedBadgeOut, ...]
