"""The client: sessions, RSVPs, attendance, reminders, rooms, and drafts that are checked before they are signed."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Self
from urllib.parse import urlsplit

from podium_daemon.api.attendance import AttendanceOut, AttendancesOut
from podium_daemon.api.chat import ChatOut
from podium_daemon.api.instructors import InstructorIn, InstructorOut, InstructorsOut
from podium_daemon.api.rooms import ChallengeOut, JoinOut, RoomOut
from podium_daemon.api.rsvps import RemindersOut, RsvpOut, RsvpsOut
from podium_daemon.api.service import RelayOut, RelaysOut, ServiceOut
from podium_daemon.api.sessions import (
    AcceptedEvent,
    CalendarOut,
    DraftOut,
    EventsOut,
    PassedOverOut,
    PassedOversOut,
    SeriesDateOut,
    SeriesOut,
    SessionDraftIn,
    SessionEditIn,
    SessionOut,
    SessionsOut,
)
from podium_daemon.client.badges import SessionBadges
from podium_daemon.client.calling import TrainingCalling
from podium_daemon.client.errors import DraftRefused
from podium_daemon.client.guests import SessionGuests
from podium_daemon.client.hook import LiveSessionHook
from podium_daemon.client.left_signer import LeftSigner
from podium_daemon.client.looking import Expectation, flaw_of, revision_tags
from podium_daemon.client.questions import LiveQuestions, RoomLeading
from podium_daemon.client.recordings import LiveRecordings
from podium_daemon.client.seat import RoomMessage, RoomSeat
from podium_daemon.client.series import (
    expected_calendar,
    expected_cancellations,
    expected_changes,
    expected_dates,
    following,
    parts_of,
)
from podium_daemon.client.transport import Transport, session_path
from podium_daemon.client.watching import SessionNews, watch_session
from podium_daemon.signers.signer import Signer
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput, RemoteProtocolError
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.join_proof import Consent, write_join_proof
from podium_protocol.live.rsvp import RsvpStatus


class PodiumClient:
    """One person's view of one daemon. A session is named by naddr, address, or the beginning of its `d`.

    Every call raises `DaemonUnreachable` without an answer, `ApiProblem` if the daemon refuses, and
    `RemoteProtocolError` if the answer has another form.
    """

    def __init__(
        self,
        base_url: str,
        secret: SecretKey | Signer | None = None,
        *,
        signed_url: str | None = None,
        now: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Talk to `base_url` with this key; without a key, only public data can be read.

        Args:
            base_url: scheme, host and port of the daemon.
            secret: the key that signs every call and is never sent, or a remote signer.
            signed_url: the daemon's `web.public_url`, if that differs (a tunnel, a proxy).
            now: wall clock, Unix seconds.
            random_bytes: unguessable bytes.

        Raises:
            InvalidInput: `base_url` or `signed_url` is not a valid address.
        """
        self._transport = Transport(base_url, secret, signed_url=signed_url, now=now, random_bytes=random_bytes)
        self.calling = TrainingCalling(self._transport)
        """The model's `TrainingCallingIntegration`."""
        self.questions = LiveQuestions(self._transport)
        """Questions and answers."""
        self.guests = SessionGuests(self._transport)
        """Personal links for people without a key."""
        self.badges = SessionBadges(self._transport, self._looked_at)
        """Public badges for participants who ask for one."""
        self.leading = RoomLeading(self._transport)
        """Raised hands, mute-all, recording."""
        self.recordings = LiveRecordings(self._transport)
        """Recordings and the consents to them."""
        self.left_signer = LeftSigner(self._transport)
        """The signer that the caller leaves with the service."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; seats stay until `leave`."""
        await self._transport.close()

    @property
    def pubkey(self) -> Pubkey | None:
        """The caller's public key, or None."""
        return self._transport.pubkey

    @property
    def signed_url(self) -> str:
        """The address that logins name."""
        return self._transport.signed_url

    # -- reads

    async def service(self) -> ServiceOut:
        """The service's keys, relays and engine."""
        return await self._transport.get("/api/service", ServiceOut)

    async def instructors(self) -> tuple[InstructorOut, ...]:
        """Those who may hold sessions here."""
        return (await self._transport.get("/api/instructors", InstructorsOut)).instructors

    async def add_instructor(self, pubkey: Pubkey) -> tuple[InstructorOut, ...]:
        """Add an instructor; the caller has the service's key. Returns the list."""
        wish = InstructorIn(pubkey=pubkey)
        return (await self._transport.post("/api/instructors", InstructorsOut, wish)).instructors

    async def remove_instructor(self, pubkey: Pubkey) -> tuple[InstructorOut, ...]:
        """Remove an instructor who was added while the service ran. Returns the list."""
        wish = InstructorIn(pubkey=pubkey)
        return (await self._transport.post("/api/instructors/remove", InstructorsOut, wish)).instructors

    async def relays(self) -> tuple[RelayOut, ...]:
        """The service's relays and their state."""
        return (await self._transport.get("/api/relays", RelaysOut)).relays

    async def sessions(self, state: str | None = None) -> tuple[SessionOut, ...]:
        """All sessions by start, or those in one state."""
        query = {} if state is None else {"state": state}
        found = await self._transport.get("/api/sessions", SessionsOut, query)
        sessions = found.sessions
        while found.next is not None and found.sessions:
            found = await self._transport.get("/api/sessions", SessionsOut, {**query, "offset": str(found.next)})
            sessions += found.sessions
        return sessions

    async def session(self, reference: str) -> SessionOut:
        """Read one session."""
        return await self._transport.get(session_path(reference), SessionOut)

    async def series(self, reference: str) -> SeriesOut:
        """All dates of the series of a session, as far as the caller may see them."""
        return await self._transport.get(session_path(reference, "series"), SeriesOut)

    async def dates_after(self, session: SessionOut) -> list[SeriesDateOut]:
        """The dates after a session in its series that are not over."""
        return following(session, await self._dates(session))

    async def passed_over(self) -> tuple[PassedOverOut, ...]:
        """Events that instructors signed elsewhere and that are no sessions here, newest first."""
        return (await self._transport.get("/api/sessions/passed-over", PassedOversOut)).events

    async def rsvps(self, reference: str) -> tuple[RsvpOut, ...]:
        """The RSVPs of all people for instructor and co-hosts, else the caller's own."""
        return (await self._transport.get(session_path(reference, "rsvps"), RsvpsOut)).rsvps

    async def attendance(self, reference: str) -> tuple[AttendanceOut, ...]:
        """The attendance of all people for instructor and co-hosts, else the caller's own."""
        return (await self._transport.get(session_path(reference, "attendance"), AttendancesOut)).attendance

    async def attendance_csv(self, reference: str, *, intervals: bool = False) -> bytes:
        """The attendance as CSV: one row for each person, or one for each interval."""
        query = {"format": "csv-intervals" if intervals else "csv"}
        return await self._transport.get_raw(session_path(reference, "attendance"), query)

    async def chat(self, reference: str) -> ChatOut:
        """The chat that is kept, for instructor and co-hosts."""
        return await self._transport.get(session_path(reference, "chat"), ChatOut)

    async def chat_text(self, reference: str) -> bytes:
        """The same as plain text (UTF-8)."""
        return await self._transport.get_raw(session_path(reference, "chat"), {"format": "text"})

    async def reminders(self, reference: str) -> RemindersOut:
        """The ledger: the state of each message."""
        return await self._transport.get(session_path(reference, "reminders"), RemindersOut)

    async def room(self, reference: str) -> RoomOut:
        """The room; its people are listed for instructor and co-hosts only."""
        return await self._transport.get(session_path(reference, "room"), RoomOut)

    async def calendar(self, *, revoke: bool = False) -> str:
        """The secret address of the caller's calendar; `revoke` ends those given out before."""
        path = "/api/calendar/revoke" if revoke else "/api/calendar"
        return (await self._transport.post(path, CalendarOut)).url

    def watch(self, reference: str) -> AsyncGenerator[SessionNews]:
        """Each change of a session as it happens, for as long as the generator is open; raises as `watch_session`."""
        return watch_session(self._transport, reference)

    def live_session(self, reference: str) -> LiveSessionHook:
        """The model's `useLiveSession` for one session."""
        return LiveSessionHook(self, reference)

    # -- drafts: the daemon composes, we check, sign and submit

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

    # -- commands of instructor and co-hosts

    async def start(self, reference: str) -> SessionOut:
        """Start the session now."""
        return await self._transport.post(session_path(reference, "start"), SessionOut)

    async def end(self, reference: str) -> SessionOut:
        """End the session now."""
        return await self._transport.post(session_path(reference, "end"), SessionOut)

    async def reopen(self, reference: str) -> SessionOut:
        """Reopen the session shortly after its end."""
        return await self._transport.post(session_path(reference, "reopen"), SessionOut)

    async def admit(self, reference: str, pubkeys: Sequence[Pubkey] | None = None) -> RoomOut:
        """Let these people in, or all who wait (None)."""
        body = {"everybody": True} if pubkeys is None else {"pubkeys": pubkeys}
        return await self._transport.post(session_path(reference, "room", "admit"), RoomOut, body)

    async def remove(self, reference: str, pubkey: Pubkey, reason: str = "") -> RoomOut:
        """Remove a person for the rest of the session."""
        body = {"pubkey": pubkey, "reason": reason}
        return await self._transport.post(session_path(reference, "room", "remove"), RoomOut, body)

    # -- the room

    async def join(
        self,
        reference: str,
        *,
        consent: bool | None = None,
        device: str | None = None,
        patience: float = 15.0,
        heard: Callable[[RoomMessage], None] = lambda _message: None,
    ) -> RoomSeat:
        """Join with one signature and take a seat.

        Args:
            reference: the session.
            consent: to the recording policy of `challenge`; None is no answer, which is refused if a policy is shown.
            device: a name for this device; a second join with it replaces the first.
            patience: seconds to stay in the waiting room.
            heard: called with every message of the room.

        Raises:
            TurnedAway: the door refused the caller.
            StillWaiting: the caller was not let in in time.
            DraftRefused: the daemon asked to sign a proof for another place. Nothing was signed.
        """
        session = await self.session(reference)
        asked = await self.challenge(session.naddr)
        ticket = await self._ticket(session, asked, consent, device or self._transport.random_bytes(4).hex())
        greeting = {"type": "hello", "token": ticket.token}
        url, direct = self._socket_url(ticket), self._transport.is_direct
        return await RoomSeat.take(url, greeting, patience=patience, direct=direct, heard=heard)

    async def challenge(self, reference: str) -> ChallengeOut:
        """Ask for the challenge of a join proof, with the recording policy and the notice to show before signing."""
        return await self._transport.post(session_path(reference, "join", "challenge"), ChallengeOut)

    async def _ticket(self, session: SessionOut, asked: ChallengeOut, consent: bool | None, device: str) -> JoinOut:
        path = session_path(session.naddr, "join")
        # else a daemon could have a proof signed that another daemon accepts
        if asked.url != self._transport.signed_url + path or asked.lesson_id != session.lesson_id:
            raise DraftRefused("the daemon asked for a join proof for another place or session. Nothing was signed")
        address, pubkey = Address.parse(session.lesson_id), self.pubkey
        if address is None or pubkey is None:
            raise DraftRefused("a join takes a key and a session's address. Nothing was signed")
        policy = asked.recording_policy_hash
        proof = write_join_proof(
            pubkey,
            url=asked.url,
            method="POST",
            body=None,
            session=address,
            nonce=asked.nonce,
            device=device,
            now=int(self._transport.now()),
            consent=Consent(consent, policy) if policy and consent is not None else None,
        )
        return await self._transport.post_proof(path, JoinOut, await self._transport.sign(proof))

    def _socket_url(self, ticket: JoinOut) -> str:
        """The socket's URL on the host that we talk to: the token must go nowhere else."""
        named, own = urlsplit(ticket.socket_url), urlsplit(self._transport.url)
        public = urlsplit(self._transport.signed_url)
        if named.scheme not in ("ws", "wss") or named.netloc != public.netloc:
            raise RemoteProtocolError("the daemon sent us to a room's socket on another host")
        scheme = "wss" if own.scheme == "https" else "ws"
        return named._replace(scheme=scheme, netloc=own.netloc).geturl()

    async def _dates(self, before: SessionOut) -> tuple[SeriesDateOut, ...]:
        return () if before.series is None else (await self.series(before.naddr)).dates

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
