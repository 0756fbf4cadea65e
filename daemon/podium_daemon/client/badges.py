"""Badges of a session over HTTP: asked for by participants, drafted for the instructor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from podium_daemon.api.badges import AskedBadgesOut, BadgeOut
from podium_daemon.api.sessions import DraftOut
from podium_daemon.client.looking import Expectation
from podium_daemon.client.transport import Transport, session_path
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.live.badge import badge_address


class SessionBadges:
    """`podium.badges`. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport, looked_at: Callable[[DraftOut, Sequence[Expectation]], DraftOut]) -> None:
        """Call through this transport; `looked_at` returns a draft that is what was asked for, and raises otherwise."""
        self._transport = transport
        self._looked_at = looked_at

    async def ask(self, reference: str) -> BadgeOut:
        """Ask the instructor for the badge of a session that the caller completed."""
        return await self._transport.post(session_path(reference, "badge"), BadgeOut)

    async def asked(self, reference: str) -> AskedBadgesOut:
        """Who asked for the badge, and who has it; for those who lead."""
        return await self._transport.get(session_path(reference, "badges"), AskedBadgesOut)

    async def draft(self, reference: str) -> DraftOut:
        """Draft the awards that are still to be signed, before the first one the definition.

        Raises:
            DraftRefused: it names a participant who does not wait, or another badge.
        """
        session = await self._transport.session(reference)
        asked = (await self.asked(session.naddr)).badges
        draft = await self._transport.post(session_path(session.naddr, "badges", "draft"), DraftOut)
        badge = str(badge_address(Address(kinds.SESSION, Pubkey(session.instructor_pubkey), session.identifier)))
        first = not any(one.award_id for one in asked)
        definition: list[Expectation] = [(kinds.BADGE_DEFINITION, (("a", session.lesson_id),))] if first else []
        waiting = [one.pubkey for one in asked if one.award_id is None][: max(0, len(draft.events) - len(definition))]
        awards: list[Expectation] = [(kinds.BADGE_AWARD, (("a", badge), ("p", pubkey))) for pubkey in waiting]
        return self._looked_at(draft, [*definition, *awards])
