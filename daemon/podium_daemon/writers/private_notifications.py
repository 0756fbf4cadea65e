"""Messages about a private session to the people in it: its revisions, its end, and text for people.

They are queued as letters in the transaction that stores the change; the private sender sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from podium_daemon.runtime.clock import Clock
from podium_daemon.writers import private_outbox as topics
from podium_daemon.writers.gift_wrapper import LinkOf
from podium_daemon.writers.private_outbox import Letter, PrivateOutbox
from podium_protocol import kinds
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.live import private
from podium_protocol.live.languages import Language, language_of
from podium_protocol.live.names import short_npub
from podium_protocol.live.reminders import LedgerState
from podium_protocol.live.rsvp import Rsvp, RsvpStatus
from podium_protocol.live.said import ALL
from podium_storage.database import Transaction
from podium_storage.languages import languages_within
from podium_storage.logins import revoke_for_session
from podium_storage.projections.rsvps import FoldedRsvp, RsvpProjection
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RsvpRow

_FOR_GUESTS: Final = (topics.SESSION, topics.DELETION, topics.INVITATION)


class PrivateNotifications:
    """Writes the letters of private sessions.

    `link_of` gives the address at which a person joins; `name_of` a person's own name, or "" if it is not known.
    """

    def __init__(
        self,
        private_outbox: PrivateOutbox,
        *,
        store: Store,
        rsvps: RsvpProjection,
        service: Pubkey,
        link_of: LinkOf,
        clock: Clock,
        name_of: Callable[[Pubkey], str] = lambda _pubkey: "",
        service_language: Callable[[], str] = lambda: "en",
    ) -> None:
        """`service_language`: the tag of the language for people of whom none is known."""
        self._private_outbox = private_outbox
        self._store = store
        self._rsvps = rsvps
        self._link_of = link_of
        self._name_of = name_of
        self._service_language = service_language
        self._clock = clock
        self.service = service

    async def announce(
        self, tx: Transaction, row: LiveSessionRow, event: VerifiedEvent, before: LiveSessionRow | None
    ) -> None:
        """Send a revision of the session, or its deletion, to all people it names and to ourselves.

        Args:
            tx: the transaction that stored `event`.
            row: the session as it is now.
            event: signed by the instructor.
            before: the session as it was, or None if it was not known here.
        """
        topic = topics.SESSION if event.kind == kinds.SESSION else topics.DELETION
        people = (*private.people_of(row), self.service)
        await self._private_outbox.add(tx, self._copies(event, row.session_address, people, topic))
        if event.kind == kinds.SESSION:
            await self._private_outbox.add(tx, await self._invitations(tx, row, event, before))
            await self.forget_uninvited(tx, row)

    async def remember(self, tx: Transaction, session_address: str, event: VerifiedEvent) -> None:
        """Send a participant's signed event to ourselves: a daemon that lost its disk reads it again."""
        kind = topics.RSVP if event.kind == kinds.RSVP else topics.DELETION
        # one topic for each person: one person's answer must not take the place of another's
        await self._private_outbox.add(
            tx, self._copies(event, session_address, (self.service,), f"{kind}:{event.pubkey}")
        )

    async def forget_uninvited(self, tx: Transaction, row: LiveSessionRow) -> None:
        """Remove answer, seat, pending messages and logins by link of people who are no longer invited."""
        rsvps = await self._store.rsvps.within(tx).where("lessonId").equals(row.session_address).to_list()
        people = {*private.people_of(row), self.service}
        dead = [FoldedRsvp(_rsvp(each), held=False) for each in rsvps if each.pubkey not in people]
        await self._rsvps.fold_answers(tx, dead, received_at=int(self._clock.now()))
        kept = await self._store.letters.within(tx).where("lessonId").equals(row.session_address).to_list()
        stale = [each.id for each in kept if each.topic in _FOR_GUESTS and each.pubkey not in people]
        await self._store.letters.within(tx).bulk_delete([key for key in stale if key is not None])
        await self._sign_out(tx, row, people)

    async def _sign_out(self, tx: Transaction, row: LiveSessionRow, people: Collection[str]) -> None:
        guests = self._store.guests.within(tx)
        for one in await guests.where("lessonId").equals(row.session_address).to_list():
            if one.person is not None and one.person not in people:
                await guests.put(msgspec.structs.replace(one, opened_at=None))
                await revoke_for_session(tx, one.person, int(self._clock.now()), row.session_address)

    async def _invitations(
        self, tx: Transaction, row: LiveSessionRow, event: VerifiedEvent, before: LiveSessionRow | None
    ) -> list[Letter]:
        """Letters to guests who were told nothing yet, or something that is wrong now.

        People who have answered are told of a move or a cancellation by the reminders, as in public sessions.
        """
        rsvps = await self._store.rsvps.within(tx).where("lessonId").equals(row.session_address).to_list()
        kept = await self._store.letters.within(tx).where("lessonId").equals(row.session_address).to_list()
        told = {each.pubkey: LedgerState(each.state) for each in kept if each.topic == topics.INVITATION}
        answered = {each.pubkey for each in rsvps}
        quiet = await self._opted_out(tx, row)
        silent = [pubkey for pubkey in private.people_of(row) if pubkey not in answered | quiet]
        is_news = before is not None and _shown(before) != _shown(row)
        owed = [pubkey for pubkey in silent if (is_news if pubkey in told else not row.withdrawn)]
        reached = {pubkey for pubkey, state in told.items() if not state.is_unsent}
        guests = [pubkey for pubkey in owed if pubkey != row.instructor_pubkey]
        tags = await languages_within(tx, guests)
        languages = {pubkey: language_of(tags.get(pubkey), self._service_language()) for pubkey in guests}
        return [self._invitation(row, event, pubkey, reached, languages[pubkey]) for pubkey in guests]

    async def _opted_out(self, tx: Transaction, row: LiveSessionRow) -> set[str]:
        """The people who said `stop` for this session, or `stop all`."""
        people = list(private.people_of(row))
        found = await self._store.opt_outs.within(tx).where("pubkey").any_of(people).to_list()
        return {each.pubkey for each in found if each.session_address in (ALL, row.session_address)}

    def _invitation(
        self,
        row: LiveSessionRow,
        event: VerifiedEvent,
        recipient: Pubkey,
        reached: Collection[str],
        language: Language,
    ) -> Letter:
        instructor = Pubkey(row.instructor_pubkey)
        link = self._link_of(row, recipient, event.created_at)
        page, personal, _ = link.partition("#")
        words = private.Invitation(
            title=row.title,
            starts_at=row.scheduled_at,
            timezone=row.timezone or "UTC",
            page=page if row.withdrawn else link,
            is_personal=bool(personal),
            needs_key=row.e2ee_required,
            inviter=self._name_of(instructor) or short_npub(instructor),
            cancelled=row.withdrawn,
            cancel_reason=row.cancel_reason,
            changed=recipient in reached,
        )
        rumor = private.write_invitation(
            words, service=self.service, recipient=recipient, created_at=event.created_at, language=language
        )
        return Letter(
            session_address=row.session_address,
            recipient=recipient,
            topic=topics.INVITATION,
            rumor=rumor,
            expires_at=row.ends_at,
        )

    def _copies(self, event: VerifiedEvent, session_address: str, people: Sequence[Pubkey], topic: str) -> list[Letter]:
        rumor = private.write_copy(event, service=self.service)
        return [
            Letter(session_address=session_address, recipient=pubkey, topic=topic, rumor=rumor)
            for pubkey in dict.fromkeys(people)
        ]


def _shown(row: LiveSessionRow) -> tuple[object, ...]:
    return row.title, row.scheduled_at, row.withdrawn


def _rsvp(row: RsvpRow) -> Rsvp:
    return Rsvp(
        session_address=row.session_address,
        pubkey=Pubkey(row.pubkey),
        status=RsvpStatus(row.status),
        created_at=row.rsvp_time,
        event_id=EventId(row.event_id),
    )
