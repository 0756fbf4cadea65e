"""RSVPs and the messages to people in the form of the API."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Literal, TypeVar

import msgspec

from podium_daemon.api.rsvps import NamedPersonOut, RelayAnswer, ReminderOut, RsvpOut, UnreachableOut
from podium_daemon.web.person_names import PersonNames, beside_loop, person_fields
from podium_daemon.writers.private_outbox import INVITATION
from podium_protocol.events import Pubkey
from podium_protocol.live import private
from podium_protocol.nips import nip19
from podium_storage.projections.messages import people_out_of_reach
from podium_storage.projections.rsvps import people_who_answered
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, GuestRow, LedgerRow, LetterRow, LiveSessionRow, RsvpRow, WatchRow
from podium_storage.table.table import Table

OfPerson = TypeVar("OfPerson", RsvpRow, AttendanceRow, WatchRow, LetterRow)

UNDELIVERABLE: Final = "undeliverable"


class AnswersPart(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a session's RSVPs with the messages to those people; `total`: of how many RSVPs."""

    rsvps: list[RsvpOut]
    reminders: list[ReminderOut]
    total: int


class AnswerViews:
    """Reads who answered, and what was sent to them."""

    def __init__(self, store: Store, people: PersonNames, service: Pubkey | None) -> None:
        """Read from `store`; messages to `service` itself are left out."""
        self._store = store
        self._people = people
        self._service = service

    async def rsvps(self, row: LiveSessionRow, only: Pubkey | None) -> list[RsvpOut]:
        """The RSVPs in order of arrival, or just those of `only`."""
        unreachable = {one.pubkey for one in await self.unreachable(row, only)}
        chosen = sorted(await rows_of(self._store.rsvps, row, only), key=lambda rsvp: rsvp.first_seen)
        by_key = self._store.guests.where("lessonId").equals(row.session_address)
        guests = await (by_key if only is None else self._store.guests.where("pubkey").equals(only)).to_list()
        return await self._rsvps(row, chosen, unreachable, guests)

    async def part(self, row: LiveSessionRow, *, offset: int, limit: int, query: str = "") -> AnswersPart:
        """A part of the RSVPs in order of arrival with their messages, read without a look at the other people.

        With a `query` (`live.names`), of the RSVPs of those whom it means; then `total` counts them.
        """
        by_session = self._store.rsvps.where("lessonId").equals(row.session_address)
        if query:
            chosen, total = await self._matching(row, query, offset=offset, limit=limit)
        else:
            chosen = await by_session.order_by("firstSeen").offset(offset).limit(limit).to_list()
            total = await by_session.count()
        ledger, letters = await self._messages_to(row, [one.pubkey for one in chosen])
        guests = self._store.guests.where("pubkey").any_of([one.pubkey for one in chosen])
        return AnswersPart(
            rsvps=await self._rsvps(
                row, chosen, self._away(row, ledger, letters), await guests.to_list() if chosen else []
            ),
            reminders=await self._reminders(row, ledger, letters if private.is_private(row) else []),
            total=total,
        )

    async def _matching(self, row: LiveSessionRow, query: str, *, offset: int, limit: int) -> tuple[list[RsvpRow], int]:
        people = await people_who_answered(self._store.database, [row.session_address])
        found = await self._people.matching(row, people, query)
        keys = [[row.session_address, pubkey] for pubkey in found[offset : offset + limit]]
        rows = await self._store.rsvps.where("[lessonId+pubkey]").any_of(keys).to_list() if keys else []
        return sorted(rows, key=lambda rsvp: rsvp.first_seen), len(found)

    async def _rsvps(
        self, row: LiveSessionRow, chosen: Sequence[RsvpRow], unreachable: Collection[str], guests: Sequence[GuestRow]
    ) -> list[RsvpOut]:
        names = await self._people.names_of(row, (rsvp.pubkey for rsvp in chosen))
        came = {one.pubkey: one.assurance for one in guests}
        return await beside_loop(
            len(chosen),
            lambda: [
                rsvp_out(one, names[one.pubkey], one.pubkey in unreachable, one.assurance or came.get(one.pubkey))
                for one in chosen
            ],
        )

    async def _messages_to(self, row: LiveSessionRow, people: Sequence[str]) -> tuple[list[LedgerRow], list[LetterRow]]:
        """The messages to some people about a session."""
        if not people:
            return [], []
        keys = [[row.session_address, pubkey] for pubkey in people]
        ledger = await self._store.ledger.where("[lessonId+pubkey]").any_of(keys).to_list()
        return ledger, await self._store.letters.where("[lessonId+pubkey]").any_of(keys).to_list()

    async def unreachable(self, row: LiveSessionRow, only: Pubkey | None) -> list[UnreachableOut]:
        """People to whom no message can be sent now, in the order in which that was noticed; or only `only`."""
        if only is None:
            ledger = await self._store.ledger.where("lessonId").equals(row.session_address).to_list()
            letters = await self._store.letters.where("lessonId").equals(row.session_address).to_list()
        else:
            ledger, letters = await self._messages_to(row, [only])
        away = self._away(row, ledger, letters)
        names = await self._people.names_of(row, away)
        ordered = sorted(away, key=lambda key: _tried_at(away[key][0]))
        return [_unreachable(pubkey, names[pubkey], away[pubkey]) for pubkey in ordered]

    async def unreachable_among(self, row: LiveSessionRow, people: Sequence[Pubkey]) -> Collection[str]:
        """Those of `people` to whom no message about the session can be sent now."""
        return self._away(row, *await self._messages_to(row, people)).keys()

    async def first_unreachable(self, row: LiveSessionRow, limit: int) -> tuple[list[UnreachableOut], int]:
        """The first of the people to whom no message can be sent now, and how many there are."""
        people = await people_out_of_reach(
            self._store.database, row.session_address, epoch=row.epoch, but=self._service or ""
        )
        away = self._away(row, *await self._messages_to(row, people[:limit]))
        names = await self._people.names_of(row, away)
        shown = [_unreachable(pubkey, names[pubkey], away[pubkey]) for pubkey in people if pubkey in away]
        return shown, len(people)

    def _away(
        self, row: LiveSessionRow, ledger: Sequence[LedgerRow], letters: Sequence[LetterRow]
    ) -> dict[str, list[LedgerRow | LetterRow]]:
        """The people who cannot be reached, with the messages that were tried."""
        tried: dict[str, list[LedgerRow | LetterRow]] = {}
        rows: list[LedgerRow | LetterRow] = [*letters, *(entry for entry in ledger if entry.epoch == row.epoch)]
        for each in rows:
            if each.session_address == row.session_address and each.state in TRIED and each.pubkey != self._service:
                tried.setdefault(each.pubkey, []).append(each)
        # a person who was reached since has named relays meanwhile, even if some messages were too late for that
        return {key: own for key, own in tried.items() if max(own, key=_tried_at).state == UNDELIVERABLE}

    async def reminders(self, row: LiveSessionRow, only: Pubkey | None) -> list[ReminderOut]:
        """The reminder ledger by due time, or just that of `only`."""
        if only is None:
            rows = await self._store.ledger.where("lessonId").equals(row.session_address).to_list()
        else:
            key = [row.session_address, only]
            rows = await self._store.ledger.where("[lessonId+pubkey]").equals(key).to_list()
        return await self._reminders(row, rows, await self._letters(row, only))

    async def _reminders(
        self, row: LiveSessionRow, rows: Sequence[LedgerRow], letters: Sequence[LetterRow]
    ) -> list[ReminderOut]:
        chosen = sorted(rows, key=lambda each: (each.due_at, each.id))
        names = await self._people.names_of(
            row, [*(each.pubkey for each in letters), *(each.pubkey for each in chosen)]
        )
        return await beside_loop(
            len(names),
            lambda: [
                *(_letter(row, each, names[each.pubkey]) for each in letters),
                *(_reminder(each, names[each.pubkey]) for each in chosen),
            ],
        )

    async def named_people(self, row: LiveSessionRow, limit: int | None = None) -> tuple[list[NamedPersonOut], int]:
        """The co-hosts and invited people of a session, with the state of their invitation: the first, and how many."""
        roles: dict[str, Literal["co-host", "invited"]] = dict.fromkeys(row.co_hosts, "co-host")
        roles = roles | {pubkey: "invited" for pubkey in row.invited if pubkey not in roles}
        people = list(roles)[:limit]
        keys = [[row.session_address, pubkey, INVITATION] for pubkey in people]
        letters = self._store.letters.where("[lessonId+pubkey+topic]").any_of(keys)
        sent = {one.pubkey: one for one in await letters.to_list()} if keys else {}
        names = await self._people.names_of(row, people)
        shown = [_named(pubkey, roles[pubkey], sent.get(pubkey), names[pubkey]) for pubkey in people]
        return shown, len(roles)

    async def _letters(self, row: LiveSessionRow, only: Pubkey | None) -> list[LetterRow]:
        """The sealed messages of a private session: an undeliverable invitation must be visible."""
        if not private.is_private(row):
            return []
        letters = await rows_of(self._store.letters, row, only)
        own = [each for each in letters if each.pubkey != self._service]
        return sorted(own, key=lambda each: (each.due_at, each.id))


async def rows_of(table: Table[OfPerson], row: LiveSessionRow, only: Pubkey | None) -> list[OfPerson]:
    """The rows of a session, or of one person in it: read by key, also where the session has ten thousand."""
    if only is None:
        return await table.where("lessonId").equals(row.session_address).to_list()
    return await table.where("[lessonId+pubkey]").equals([row.session_address, only]).to_list()


def rsvp_out(row: RsvpRow, name: str, undeliverable: bool, assurance: str | None) -> RsvpOut:
    """One RSVP; `undeliverable`: no message reaches the person; `assurance`: how they are known, a key if None."""
    return RsvpOut(
        **person_fields(row.pubkey, name),
        status=row.status,
        rsvp_time=row.rsvp_time,
        seat=row.seat,
        position=row.position,
        needs_reconfirmation=row.needs_reconfirmation,
        reminder_sent=row.reminder_sent,
        note=row.note,
        undeliverable=undeliverable,
        assurance="link" if assurance == "link" else "guest" if assurance == "guest" else "signature",
    )


def _named(pubkey: str, role: Literal["co-host", "invited"], letter: LetterRow | None, name: str) -> NamedPersonOut:
    return NamedPersonOut(
        pubkey=pubkey,
        npub=nip19.encode_npub(Pubkey(pubkey)),
        name=name,
        role=role,
        invitation=letter.state if letter else None,
        reason=letter.reason if letter else None,
    )


TRIED: Final = (UNDELIVERABLE, "prepared", "claimed", "sent")
"""The states of messages that tell whether a person can be reached."""


def _tried_at(row: LedgerRow | LetterRow) -> tuple[int, int]:
    return row.updated_at, row.due_at


def _unreachable(pubkey: str, name: str, rows: Sequence[LedgerRow | LetterRow]) -> UnreachableOut:
    missing = [row for row in rows if row.state == UNDELIVERABLE]
    return UnreachableOut(
        **person_fields(pubkey, name),
        messages=tuple(row.message if isinstance(row, LedgerRow) else row.topic.partition(":")[0] for row in missing),
    )


def _letter(row: LiveSessionRow, letter: LetterRow, name: str) -> ReminderOut:
    return ReminderOut(
        **person_fields(letter.pubkey, name),
        message=letter.topic.partition(":")[0],
        epoch=row.epoch,
        due_at=letter.due_at,
        state=letter.state,
        relays=tuple(RelayAnswer(relay=relay, said=said) for relay, said in letter.relays),
        reason=letter.reason,
        attempts=int(letter.state not in ("scheduled", UNDELIVERABLE)),
    )


def _reminder(row: LedgerRow, name: str) -> ReminderOut:
    return ReminderOut(
        **person_fields(row.pubkey, name),
        message=row.message,
        epoch=row.epoch,
        due_at=row.due_at,
        state=row.state,
        relays=tuple(RelayAnswer(relay=relay, said=said) for relay, said in row.relays),
        reason=row.reason,
        attempts=row.attempts,
    )
