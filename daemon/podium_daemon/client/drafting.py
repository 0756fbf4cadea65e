"""Sessions and answers are drafted by the daemon, checked here, signed by the caller's key and submitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from podium_daemon.api.sessions import (
    AcceptedEvent,
    DraftOut,
    EventsOut,
    SessionDraftIn,
    SessionEditIn,
    SessionOut,
)
from podium_daemon.client.errors import DraftRefused
from podium_daemon.client.looking import Expectation, flaw_of, revision_tags
from podium_daemon.client.reading import SessionReading
from podium_daemon.client.series import (
    expected_calendar,
    expected_cancellations,
    expected_changes,
    expected_dates,
    parts_of,
)
from podium_daemon.client.transport import session_path
from podium_protocol import kinds
from podium_protocol.errors import InvalidInput
from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.live.rsvp import RsvpStatus


class SessionDrafting(SessionReading):
    """What a client writes. Every call raises as `PodiumClient`'s do."""

    async def draft_session(self, wish: SessionDraftIn) -> DraftOut:
        """Draft a first revision, or those of a series; raises `DraftRefused` if it is not what was asked for."""
        draft = await self._transport.post("/api/sessions/draft", DraftOut, wish)
        if wish.repeat is not None:
            return self._looked_at(draft, expected_dates(wish, draft, _events_of(draft)))
        own = (("d", wish.identifier),) if wish.identifier else ()
        is_private = wish.e2ee_required or wish.visibility == "private"
        wanted = revision_tags(
            wish.title, wish.scheduled_at, wish.duration, private=is_private, attendance=wish.attendance
        )
        return self._looked_at(draft, [(kinds.SESSION, (*own, *wanted))])

    async def draft_edit(self, reference: str | SessionOut, changes: SessionEditIn) -> DraftOut:
        """Draft the next revision to sign, or those of all that follow; raises as `draft_session`."""
        before = await self._transport.session(reference)
        draft = await self._transport.post(session_path(before.naddr, "draft"), DraftOut, changes)
        begins = before.scheduled_at if changes.scheduled_at is None else changes.scheduled_at
        minutes = before.duration if changes.duration is None else changes.duration
        wanted = revision_tags(
            before.title if changes.title is None else changes.title,
            begins,
            # an end that is not a whole number of minutes after the start is kept
            None if changes.scheduled_at is None and changes.duration is None else minutes,
            private=before.visibility == "private",
            attendance=changes.attendance,
        )
        expected: list[Expectation] = [(kinds.SESSION, (("d", before.identifier), *wanted))]
        if changes.following:
            expected += expected_changes(before, changes, await self.dates_after(before))
        return self._looked_at(draft, [*expected, *expected_calendar(before, _events_of(draft))])

    async def draft_cancellation(
        self, reference: str | SessionOut, reason: str = "", *, and_following: bool = False
    ) -> DraftOut:
        """Draft the cancelled revision and its deletion, perhaps of all that follow too; raises as `draft_session`."""
        before = await self._transport.session(reference)
        wish = {"reason": reason} | ({"following": True} if and_following else {})
        draft = await self._transport.post(session_path(before.naddr, "cancel", "draft"), DraftOut, wish)
        later = await self.dates_after(before) if and_following else []
        expected = [*expected_cancellations(before, later), *expected_calendar(before, _events_of(draft))]
        return self._looked_at(draft, expected)

    async def draft_restoration(self, reference: str | SessionOut) -> DraftOut:
        """Draft the revision that takes a cancellation back; raises as `draft_session`."""
        before = await self._transport.session(reference)
        draft = await self._transport.post(session_path(before.naddr, "restore", "draft"), DraftOut)
        wanted = (("d", before.identifier), ("start", str(before.scheduled_at)))
        return self._looked_at(draft, [(kinds.SESSION, wanted), *expected_calendar(before, _events_of(draft))])

    async def draft_calendar(self, reference: str | SessionOut) -> DraftOut:
        """Draft the calendar of a session's series with the dates that take place; raises as `draft_session`."""
        session = await self._transport.session(reference)
        draft = await self._transport.post(session_path(session.naddr, "series", "draft"), DraftOut)
        return self._looked_at(draft, expected_calendar(session, _events_of(draft)))

    async def draft_rsvp(self, reference: str | SessionOut, status: RsvpStatus) -> DraftOut:
        """Draft the caller's RSVP; raises as `draft_session`."""
        session = await self._transport.session(reference)
        body = {"status": status.value}
        draft = await self._transport.post(session_path(session.naddr, "rsvp", "draft"), DraftOut, body)
        return self._looked_at(draft, [(kinds.RSVP, (("a", session.lesson_id), ("status", status.wire)))])

    async def sign(self, draft: DraftOut) -> tuple[SignedEvent, ...]:
        """Sign its events, in their order.

        Raises:
            DraftRefused: one is by another author, or no event.
            LocalProtocolError: this client has no key.
            SignerUnavailable: the remote signer did not sign.
        """
        self._check_authors(draft)
        return tuple([await self._transport.sign(event) for event in _events_of(draft)])

    async def submit(self, events: Sequence[SignedEvent]) -> tuple[AcceptedEvent, ...]:
        """Submit signed events to the daemon, which sends them to the relays: all of them or none."""
        return (await self._transport.post("/api/events", EventsOut, {"events": events})).accepted

    async def sign_and_submit(
        self, draft: DraftOut, *, signed: Callable[[int, int], None] = lambda _done, _of: None
    ) -> tuple[AcceptedEvent, ...]:
        """Sign the events one after the other, and submit each at once, a deletion with the revision before it.

        What was submitted stands if a later one is not signed: the same draft asked for again holds the rest.
        `signed` is called with the number of signatures so far and in all. Raises as `sign` and `submit`.
        """
        self._check_authors(draft)
        accepted: list[AcceptedEvent] = []
        done = 0
        for part in parts_of(_events_of(draft)):
            events = [await self._transport.sign(event) for event in part]
            accepted += await self.submit(events)
            done += len(part)
            signed(done, len(draft.events))
        return tuple(accepted)

    async def create_session(self, wish: SessionDraftIn) -> str:
        """Draft, sign and submit a session, or a series; return the address of the first."""
        draft = await self.draft_session(wish)
        await self.sign_and_submit(draft)
        return draft.lesson_id

    async def edit_session(self, reference: str | SessionOut, changes: SessionEditIn) -> None:
        """Draft, sign and submit the next revision."""
        await self.sign_and_submit(await self.draft_edit(reference, changes))

    async def cancel_session(
        self, reference: str | SessionOut, reason: str = "", *, and_following: bool = False
    ) -> None:
        """Draft, sign and submit the cancellation, perhaps of all that follow too."""
        await self.sign_and_submit(await self.draft_cancellation(reference, reason, and_following=and_following))

    async def restore_session(self, reference: str | SessionOut) -> None:
        """Draft, sign and submit the revision that takes a cancellation back."""
        await self.sign_and_submit(await self.draft_restoration(reference))

    async def rsvp(self, reference: str | SessionOut, status: RsvpStatus) -> None:
        """Draft, sign and submit the caller's RSVP."""
        await self.submit(await self.sign(await self.draft_rsvp(reference, status)))

    def _check_authors(self, draft: DraftOut) -> None:
        if any(event.pubkey != self.pubkey for event in _events_of(draft) if self.pubkey is not None):
            raise DraftRefused("the draft has an event of another author than this key. Nothing was signed")

    def _looked_at(self, draft: DraftOut, expected: Sequence[Expectation]) -> DraftOut:
        author = self.pubkey
        if author is not None and (flaw := flaw_of(_events_of(draft), expected, author, int(self._transport.now()))):
            raise DraftRefused(f"the daemon asked us to sign {flaw}. Nothing was signed")
        return draft


def _events_of(draft: DraftOut) -> tuple[UnsignedEvent, ...]:
    try:
        return tuple(template.unsigned() for template in draft.events)
    except InvalidInput as error:
        raise DraftRefused(f"the daemon asked us to sign what is no event: {error}. Nothing was signed") from None
