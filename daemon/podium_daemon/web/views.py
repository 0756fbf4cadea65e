"""What the routes read: the session that a caller names, and the views of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from podium_daemon.runtime.outcomes import Slug
from podium_daemon.services.attendance.participation import Participation
from podium_daemon.services.people.profiles import Introduction
from podium_daemon.web.answer_views import AnswerViews
from podium_daemon.web.attendance_views import AttendanceViews
from podium_daemon.web.login import Caller
from podium_daemon.web.person_names import PersonNames
from podium_daemon.web.problems import Problem
from podium_daemon.web.session_views import PageLinks, SessionViews, identifier_of
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.live.session import GuestPolicy
from podium_protocol.nips import nip19
from podium_storage.projections.sessions import sessions_called
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow


class Views(PageLinks):
    """Finds the session that a caller names, and joins the views."""

    def __init__(
        self,
        store: Store,
        *,
        public_url: str,
        relay_hints: Callable[[], Sequence[str]],
        introduce: Callable[[Pubkey], Introduction],
        load_names: Callable[[Iterable[Pubkey]], Awaitable[None]],
        doors: Callable[[], int],
        participation: Callable[[LiveSessionRow, Collection[Pubkey]], Awaitable[Mapping[Pubkey, Participation]]],
        service: Pubkey | None = None,
        guests: Callable[[], GuestPolicy] = lambda: GuestPolicy.INVITED,
    ) -> None:
        """Join what the views are made of.

        `introduce` gives a person's names, those of participants once `load_names` was awaited for them; `doors`:
        seconds before the start at which a session can be entered; `participation` tells what people's attendance
        consists of, once the session has ended; `guests`: who may come without a signer where a
        session does not say.
        """
        super().__init__(public_url, relay_hints)
        self._store = store
        self._service = service
        self.people = PersonNames(store, introduce, load_names)
        self.sessions = SessionViews(store, self, introduce=introduce, doors=doors, service=service, guests=guests)
        self.answers = AnswerViews(store, self.people, service)
        self.attendance = AttendanceViews(store, self.people, self.answers, participation)

    def may_see(self, row: LiveSessionRow, viewer: Caller | None) -> bool:
        """Whether `viewer` may know of a session: of a private one only its people, holders of its link, the service.

        An answer needs an invitation, and is deleted with it: so people who have answered are among them.
        """
        if viewer is None:
            return private.may_attend(row, None)
        if viewer.session_address is not None:
            if viewer.session_address == row.session_address and is_led_by(row, viewer.pubkey):
                detail = "you lead this session, and a link leads nothing"
                raise Problem(Slug.NEEDS_KEY, detail, "Sign in with your key.")
            return viewer.session_address == row.session_address
        return private.may_attend(row, viewer.pubkey) or viewer.pubkey == self._service

    async def resolve(self, reference: str, viewer: Caller | None = None) -> LiveSessionRow:
        """The session that an naddr, an address, or a unique prefix of its `d` names, as far as `viewer` may know.

        The naddr may be that of its live status or of an answer to it: the service is the handler of those as well.

        Every route calls this with its caller: for a stranger (or None) a private session does not exist.

        Raises:
            Problem: 404 for none, 409 for several.
        """
        # an nsec is parsed too, since that refuses it without repeating it
        is_entity = reference.lower().startswith(("naddr1", "nsec1", "nostr:", "31923:"))
        address = nip19.parse_address(reference) if is_entity else None
        if address is not None:
            row = await self._meant(address)
            return row if row is not None and self.may_see(row, viewer) else _unknown(reference)
        addresses = await sessions_called(self._store.database, reference)
        rows = await self._store.sessions.where("lessonId").any_of(addresses).to_list() if addresses else []
        found = [row for row in rows if self.may_see(row, viewer)]
        exact = [row for row in found if identifier_of(row) == reference]
        match exact or found:
            case [row]:
                return row
            case []:
                return _unknown(reference)
            case several:
                # instructors may use the same name: their addresses tell such sessions apart
                named = [row.session_address if exact else identifier_of(row) for row in several]
                detail = f"{reference!r} could be any of {len(named)} sessions: {', '.join(sorted(named)[:5])}"
                raise Problem(Slug.AMBIGUOUS_SESSION, detail, "Give more of the name, or the naddr.")

    async def _meant(self, address: Address) -> LiveSessionRow | None:
        """The session at an address, or the one that the live status or the RSVP at that address is about."""
        session_address = str(address)
        if address.kind == kinds.MEETING and address.pubkey == self._service:
            return await self._store.sessions.where("conferenceRoomId").equals(address.identifier).first()
        if address.kind == kinds.RSVP:
            answers = self._store.rsvps.where("pubkey").equals(address.pubkey)
            answer = await answers.and_("identifier").equals(address.identifier).first()
            session_address = answer.session_address if answer is not None else session_address
        return await self._store.sessions.where("lessonId").equals(session_address).first()


def is_led_by(row: LiveSessionRow, pubkey: str) -> bool:
    """Whether this is the key of the session's instructor or of a co-host."""
    return pubkey in (row.instructor_pubkey, *row.co_hosts)


def leads(row: LiveSessionRow, caller: Caller | None) -> bool:
    """Whether the caller runs this session: its instructor or a co-host, who signed in with their key.

    A link that went to one of them may have been passed on.
    """
    return caller is not None and caller.has_key and is_led_by(row, caller.pubkey)


def _unknown(reference: str) -> LiveSessionRow:
    detail = f"no session here is called {reference!r}"
    raise Problem(Slug.UNKNOWN_SESSION, detail, "`podium session list` shows the sessions there are.")
