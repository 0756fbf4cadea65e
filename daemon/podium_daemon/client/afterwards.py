"""What is left of a session, over HTTP: recordings with the signed consents to them, and badges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from podium_daemon.api.badges import AskedBadgesOut, BadgeOut
from podium_daemon.api.recordings import ConsentEventsOut, RecordingRunOut, RecordingsOut
from podium_daemon.api.sessions import DraftOut
from podium_daemon.client.looking import Expectation
from podium_daemon.client.transport import Transport, session_path
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.live.badge import badge_address


class LiveRecordings:
    """`podium.recordings`. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def list(self, reference: str) -> RecordingsOut:
        """The recordings of a session, one for each run, with their state."""
        return await self._transport.get(session_path(reference, "recording"), RecordingsOut)

    async def retry(self, reference: str) -> RecordingsOut:
        """Make a failed recording again from its tracks."""
        return await self._act(reference, "retry")

    async def publish(self, reference: str) -> RecordingsOut:
        """Publish a recording that is in review, or was unpublished."""
        return await self._act(reference, "publish")

    async def unpublish(self, reference: str) -> RecordingsOut:
        """Withdraw a published recording; it can be published again."""
        return await self._act(reference, "unpublish")

    async def delete(self, reference: str) -> RecordingsOut:
        """Delete files and links for good."""
        return await self._act(reference, "delete")

    async def consents(self, reference: str) -> ConsentEventsOut:
        """The signed answers to the recording policy, for instructor and co-hosts."""
        return await self._transport.get(session_path(reference, "recording", "consents"), ConsentEventsOut)

    async def download(self, run: RecordingRunOut, write: Callable[[bytes], object]) -> None:
        """Hand a recording's file to `write`, piece by piece; its SHA-256 is not checked here."""
        await self._transport.download(run.url or "", f"/recordings/{run.sha256}.webm", write)

    async def _act(self, reference: str, act: str) -> RecordingsOut:
        return await self._transport.post(session_path(reference, "recording", act), RecordingsOut)


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
