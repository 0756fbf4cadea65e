"""Recordings of a session over HTTP, and the signed consents to them."""

from __future__ import annotations

from collections.abc import Callable

from podium_daemon.api.recordings import ConsentEventsOut, RecordingRunOut, RecordingsOut
from podium_daemon.client.transport import Transport, session_path


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
