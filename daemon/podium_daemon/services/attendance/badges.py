"""Badges of a session (NIP-58): participants who completed it ask for one, and the instructor signs the awards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.services.attendance.certificates import Certificates, address_of
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.live import private
from podium_protocol.live.badge import badge_address, write_badge_award, write_badge_definition
from podium_storage.store import Store
from podium_storage.table.models import BadgeRow, LiveSessionRow
from podium_storage.table.query import Query

MAX_AWARDS: Final = 19  # in one draft: with the definition as many events as one submission holds

_PRIVATE: Final = Rejection(
    Slug.NO_BADGE, "a badge is public, and this session is private", "The certificate is for you alone: use that."
)
_TOO_LONG: Final = Rejection(
    Slug.NO_BADGE, "the session's identifier leaves no room for a badge", "The certificate says the same: use that."
)
_NOBODY: Final = Rejection(
    Slug.NOTHING_TO_PUBLISH, "no participant waits for a badge", "They ask for it beside their certificate."
)


class Badges:
    """Keeps who asked for a badge, and composes the awards."""

    def __init__(
        self,
        store: Store,
        *,
        certificates: Certificates,
        service_name: Callable[[], str],
        relay_hints: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._certificates = certificates
        self._service_name = service_name
        self._hints = relay_hints
        self._clock = clock

    async def ask(self, session: LiveSessionRow, participant: Pubkey) -> BadgeRow | Rejection:
        """Note that a participant wants the badge; asked twice, the first time counts.

        Rejected with `no-badge` for a private session, and with `not-completed` until the session is completed.
        """
        if private.is_private(session):
            return _PRIVATE
        if badge_address(address_of(session)) is None:
            return _TOO_LONG
        if not await self._certificates.has_completed(session, participant):
            detail, step = "you have not completed this session", "Stay as long as it asks for, or watch its recording."
            return Rejection(Slug.NOT_COMPLETED, detail, step)
        if (known := await self.of(session, participant)) is not None:
            return known
        row = BadgeRow(session_address=session.session_address, pubkey=participant, asked_at=int(self._clock.now()))
        await self._store.badges.upsert([row], by="[lessonId+pubkey]")
        return row

    async def take_back(self, session: LiveSessionRow, participant: Pubkey) -> Rejection | None:
        """Forget that a participant asked. What the instructor has signed already is on the relays, and stays there."""
        known = await self.of(session, participant)
        if known is not None and known.award_id is not None:
            detail = "the instructor has signed your badge already, and relays have it"
            return Rejection(Slug.BADGE_AWARDED, detail, "Ask the instructor to delete it with their client (NIP-09).")
        await self._where(session, participant).delete()
        return None

    async def of(self, session: LiveSessionRow, participant: Pubkey) -> BadgeRow | None:
        """What a participant asked for, or None."""
        return await self._where(session, participant).first()

    async def asked(self, session: LiveSessionRow) -> list[BadgeRow]:
        """All who asked, in the order in which they did."""
        rows = await self._store.badges.where("lessonId").equals(session.session_address).to_list()
        return sorted(rows, key=lambda row: (row.asked_at, row.pubkey))

    async def draft(self, session: LiveSessionRow) -> list[UnsignedEvent] | Rejection:
        """The events for the instructor to sign: the definition before the first award, and an award for each.

        At most `MAX_AWARDS` awards; another draft has the next. Rejected with `nothing-to-publish` if none waits.
        """
        rows = await self.asked(session)
        waiting = [row for row in rows if row.award_id is None]
        if not waiting:
            return _NOBODY
        address, now = address_of(session), int(self._clock.now())
        hint = next(iter(self._hints()), "")
        awards = [
            write_badge_award(address, Pubkey(row.pubkey), relay_hint=hint, now=now) for row in waiting[:MAX_AWARDS]
        ]
        if len(waiting) < len(rows):
            return awards
        name = self._service_name()
        return [write_badge_definition(address, title=session.title, service_name=name, now=now), *awards]

    def _where(self, session: LiveSessionRow, participant: Pubkey) -> Query[BadgeRow]:
        return self._store.badges.where("[lessonId+pubkey]").equals([session.session_address, participant])
