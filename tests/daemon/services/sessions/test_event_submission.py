"""Signed events that people hand in: what concerns a session here is taken, all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
import pytest

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.services.sessions.event_submission import Submitted
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.series import identifier_of, write_calendar
from podium_protocol.live.session import Session as ReadSession
from podium_protocol.live.session import SessionSpec, Visibility, cancel, read_session, spec_of
from podium_protocol.nips import nip09, nip17, nip65
from podium_storage.projections.sessions import rows_of_series
from podium_storage.table.models import LiveSessionRow
from tests.support.world import OWN_INBOX, RELAY, World, new_key, signed, world


def wish(here: World, **changes: object) -> SessionSpec:
    """A session that can be had."""
    spec = SessionSpec(identifier=os.urandom(4).hex(), title="Knots", starts_at=here.now + 3600, duration_minutes=60)
    return msgspec.structs.replace(spec, **changes)


def session(here: World, **changes: object) -> VerifiedEvent:
    """Its event, signed by the instructor."""
    return signed(here.instructor, here.draft(wish(here, **changes)))


def rsvp(here: World, key: SecretKey, row: LiveSessionRow, *, at: int | None = None) -> VerifiedEvent:
    """A person's yes."""
    address = Address.parse(row.session_address)
    assert address is not None
    return signed(key, write_rsvp(address, RsvpStatus.CONFIRMED, pubkey=key.pubkey, now=here.now if at is None else at))


def event(
    key: SecretKey, kind: int, here: World, *tags: tuple[str, ...], content: str = "", at: int = 0
) -> VerifiedEvent:
    """Any event, dated `at` seconds from now."""
    return signed(key, UnsignedEvent(key.pubkey, here.now + at, kind, tags, content))


async def taken(here: World, *events: VerifiedEvent) -> list[Submitted]:
    """The outcome of events that must be taken."""
    outcome = await here.submission.submit(events, by=events[0].pubkey)
    assert not isinstance(outcome, Rejection), outcome
    return outcome


async def refused(here: World, *events: VerifiedEvent) -> str:
    """The refusal's name; nothing of these events was kept."""
    outcome = await here.submission.submit(events, by=events[0].pubkey)
    assert isinstance(outcome, Rejection), outcome
    assert outcome.detail
    assert outcome.next_step
    assert await queued(here, events) == []
    return outcome.slug


async def queued(here: World, events: Sequence[VerifiedEvent]) -> list[str]:
    """Which of these events wait for a relay, as `kind`s."""
    ids = {one.id: one for one in events}
    return [str(ids[row.event_id].kind) for row in await here.outbox.due(here.now) if row.event_id in ids]


async def test_a_session_becomes_a_row_and_goes_to_the_relays() -> None:
    """One call mirrors the event, makes the session known and queues it for every write relay."""
    async with world() as here:
        made = session(here)
        (one,) = await taken(here, made)
        assert (one.event, one.relays) == (made, (RELAY,))
        assert (await here.row(one.session_address or "")).title == "Knots"
        (row,) = await here.outbox.due(here.now)
        assert (row.event_id, row.relay, row.event_json) == (made.id, RELAY, made.to_json())


async def test_an_rsvp_becomes_a_row() -> None:
    """A person's answer counts at once, and belongs to its session."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        (one,) = await taken(here, rsvp(here, key, row))
        assert one.session_address == row.session_address
        stored = await here.rsvp(key, row)
        assert stored is not None
        assert stored.status == "confirmed"


async def test_a_cancellation_is_two_events_in_one_step() -> None:
    """The cancelled revision and its deletion go together, also to relays that had the session before."""
    async with world() as here:
        row = await here.schedule()
        parts = cancel(await here.event_of(row), here.now)
        found = await taken(here, signed(here.instructor, parts.revision), signed(here.instructor, parts.deletion))
        assert [one.event.kind for one in found] == [kinds.SESSION, kinds.DELETION]
        assert {one.session_address for one in found} == {row.session_address}
        assert (await here.row(row.session_address)).withdrawn
        assert await taken(here, *(one.event for one in found)) == found  # who did not hear the answer asks again


async def test_one_bad_event_keeps_all_out() -> None:
    """A batch with a flaw in any place leaves nothing in the mirror, in the tables or in the outbox."""
    async with world() as here:
        key, row = new_key(), await here.schedule()
        await here.deliver()
        good, answer = session(here), rsvp(here, key, row)
        bad = event(key, 1, here, content="hello")
        for batch in ((bad, good, answer), (good, bad, answer), (good, answer, bad)):
            assert await refused(here, *batch) == "bad-kind"
        assert await here.store.sessions.to_list() == [row]
        assert await here.rsvp(key, row) is None


async def test_whoever_hands_an_event_in_need_not_be_its_author() -> None:
    """Each event proves its own author: a batch of several people's is taken."""
    async with world() as here:
        row = await here.schedule()
        keys = [new_key() for _ in range(3)]
        await taken(here, *(rsvp(here, key, row) for key in keys))
        assert len(await here.store.rsvps.to_list()) == 3


def dates(here: World, times: int, **changes: object) -> tuple[Address, list[VerifiedEvent]]:
    """A series of sessions, a day apart."""
    series = Address(kinds.CALENDAR, here.instructor.pubkey, os.urandom(4).hex())
    made = [
        session(
            here,
            identifier=identifier_of(series, number),
            series=str(series),
            starts_at=here.now + number * 86_400,
            **changes,
        )
        for number in range(1, times + 1)
    ]
    return series, made


def calendar(here: World, series: Address, sessions: Sequence[VerifiedEvent]) -> VerifiedEvent:
    """The calendar that lists them."""
    addresses = [str(Address.from_event(one)) for one in sessions]
    return signed(here.instructor, write_calendar(series, "Knots", addresses, now=here.now))


async def test_a_series_and_its_calendar() -> None:
    """The dates are sessions of their own, the calendar goes to the relays beside them, and a later one replaces it."""
    async with world() as here:
        series, made = dates(here, 3)
        whole = calendar(here, series, made)
        found = await taken(here, *made, whole)
        assert (found[-1].session_address, found[-1].relays) == (None, (RELAY,))
        rows = await rows_of_series(here.store.sessions, series)
        assert [row.event_id for row in rows] == [one.id for one in made]
        assert await queued(here, found_events(found)) == ["31923", "31923", "31923", "31924"]
        shorter = write_calendar(series, "Knots", [rows[0].session_address], now=here.now, previous=whole)
        newer = signed(here.instructor, shorter)
        await taken(here, newer)
        assert await here.mirror.newest(series) == newer


def found_events(found: Sequence[Submitted]) -> list[VerifiedEvent]:
    """The events that were taken."""
    return [one.event for one in found]


async def test_other_calendars_are_refused() -> None:
    """A calendar that is no series' here is not ours to publish, not even if it lists a session here."""
    async with world() as here:
        series, made = dates(here, 2)
        assert await refused(here, calendar(here, series, made)) == "unknown-session"
        await taken(here, *made)
        other = Address(kinds.CALENDAR, here.instructor.pubkey, "courses")
        assert await refused(here, calendar(here, other, made)) == "unknown-session"
        stranger = new_key()
        theirs = write_calendar(msgspec.structs.replace(series, pubkey=stranger.pubkey), "Mine", [], now=here.now)
        assert await refused(here, signed(stranger, theirs)) == "unknown-session"


async def test_a_calendar_names_no_private_session() -> None:
    """What travels sealed is listed in no public event, whether it is handed in together or later, or is another's."""
    async with world() as here:
        series, made = dates(here, 2, visibility=Visibility.PRIVATE)
        assert await refused(here, *made, calendar(here, series, made)) == "bad-event"
        await taken(here, *made)
        assert await refused(here, calendar(here, series, made)) == "bad-event"
        public, open_dates = dates(here, 2)
        await taken(here, *open_dates)
        assert await refused(here, calendar(here, public, [*open_dates, made[0]])) == "bad-event"


async def test_a_client_that_drops_our_tags_leaves_the_session_in_its_series() -> None:
    """An edit by a client that knows NIP-52 only loses the `a` tag; the address still says where it belongs."""
    async with world() as here:
        series, made = dates(here, 2)
        await taken(here, *made)
        kept = {"d", "title", "start", "end", "p"}
        rows = tuple(row for row in made[0].tags if row[0] in kept)
        edit = UnsignedEvent(here.instructor.pubkey, made[0].created_at + 1, kinds.SESSION, rows, "")
        await taken(here, signed(here.instructor, edit))
        assert (await here.row(str(Address.from_event(made[0])))).series == str(series)


@pytest.mark.parametrize(
    "kind",
    [0, 1, 3, 4, 7, 13, 14, 1059, 1311, 10312, 22242, 24242, 27235, 30023, 30312, 30313, 31922, 31953, 65535],
)
async def test_other_kinds_are_refused(kind: int) -> None:
    """The daemon is no open door to its relays, not even for the instructor."""
    async with world() as here:
        assert await refused(here, event(here.instructor, kind, here, ("d", "x"))) == "bad-kind"


@pytest.mark.parametrize(("seconds", "is_taken"), [(-3601, False), (-3600, True), (600, True), (601, False)])
async def test_events_are_dated_about_now(seconds: int, is_taken: bool) -> None:
    """An hour back is allowed, for slow signers, and ten minutes ahead, for clocks that differ."""
    async with world() as here:
        row = await here.schedule()
        await here.clock.advance(7200)
        answer = rsvp(here, new_key(), row, at=here.now + seconds)
        outcome = await here.submission.submit([answer], by=answer.pubkey)
        assert isinstance(outcome, Rejection) is not is_taken
        if isinstance(outcome, Rejection):
            assert outcome.slug == "bad-time"


async def test_only_instructors_schedule() -> None:
    """A person who is not on the list, and a session that names another service, are refused."""
    async with world() as here:
        stranger = new_key()
        draft = here.draft(wish(here))
        own = UnsignedEvent(stranger.pubkey, draft.created_at, draft.kind, draft.tags, draft.content)
        assert await refused(here, signed(stranger, own)) == "not-an-instructor"
        tags = tuple(tag for tag in draft.tags if tag[-1] != "service")
        foreign = UnsignedEvent(draft.pubkey, draft.created_at, draft.kind, tags, draft.content)
        assert await refused(here, signed(here.instructor, foreign)) == "not-an-instructor"


@pytest.mark.parametrize("missing", ["d", "title", "start"])
async def test_what_is_no_session_is_refused(missing: str) -> None:
    """Calendar events that lack what a session needs are told why."""
    async with world() as here:
        draft = here.draft(wish(here))
        tags = tuple(tag for tag in draft.tags if tag[0] != missing)
        broken = UnsignedEvent(draft.pubkey, draft.created_at, draft.kind, tags, draft.content)
        assert await refused(here, signed(here.instructor, broken)) == "not-a-session"


async def test_a_private_session_is_taken_and_not_published() -> None:
    """It becomes a row like any other; no relay is given its event, the service's own inbox will have it sealed."""
    async with world() as here:
        event = session(here, visibility=Visibility.PRIVATE)
        (one,) = await taken(here, event)
        assert (one.private, one.relays) == (True, (OWN_INBOX,))
        assert (await here.row(one.session_address or "")).visibility == "private"
        assert await queued(here, [event]) == []


async def test_encryption_that_the_engine_cannot_do_is_not_promised() -> None:
    """`e2ee = required` is refused by an engine without it, and the reason says so."""
    async with world() as here:
        assert await refused(here, session(here, e2ee_required=True)) == "e2ee-unavailable"


@pytest.mark.parametrize(("before", "after"), [("private", "public"), ("public", "private")])
async def test_visibility_is_for_good(before: str, after: str) -> None:
    """People answered because of what it was: neither way is open to an edit."""
    async with world() as here:
        spec = wish(here, visibility=Visibility(before))
        first = signed(here.instructor, here.draft(spec))
        await taken(here, first)
        changed = here.draft(msgspec.structs.replace(spec, visibility=Visibility(after)), first)
        assert await refused(here, signed(here.instructor, changed)) == "visibility-fixed"


async def test_another_clients_cancellation_of_a_private_session_is_sealed() -> None:
    """It may have lost the tag that says private, with all the others: what it ends is private still."""
    async with world() as here:
        first = session(here, visibility=Visibility.PRIVATE)
        await taken(here, first)
        d = next(tag for tag in first.tags if tag[0] == "d")
        named = next(tag for tag in first.tags if tag[-1] == "service")
        bare = event(here.instructor, kinds.SESSION, here, d, named, ("title", ""), ("status", "cancelled"), at=1)
        (one,) = await taken(here, bare)
        assert one.private
        assert (await here.row(one.session_address or "")).withdrawn
        assert await queued(here, [bare]) == []


async def test_a_private_session_without_an_inbox_of_the_service_is_refused() -> None:
    """It would be forgotten with the disk, and nobody could answer: the operator is told what to set."""
    async with world() as here:
        here.submission._own_inbox = lambda: ()
        assert await refused(here, session(here, visibility=Visibility.PRIVATE)) == "no-relay"


async def test_a_private_session_that_no_relay_would_take_sealed_is_refused() -> None:
    """Sealing doubles the size: what fits as a public event may not fit as a private one."""
    async with world() as here:
        description = "x" * 16_000 + '"' * 300
        invited = [new_key().pubkey for _ in range(120)]
        assert await taken(here, session(here, description=description, invited=tuple(invited)))
        private = session(here, description=description, invited=tuple(invited), visibility=Visibility.PRIVATE)
        assert await refused(here, private) == "too-large"


async def test_an_uninvited_answer_is_told_that_there_is_no_such_session() -> None:
    """A stranger who knows the address learns nothing from the refusal."""
    async with world() as here:
        (one,) = await taken(here, session(here, visibility=Visibility.PRIVATE))
        row, eve = await here.row(one.session_address or ""), new_key()
        elsewhere = rsvp(here, eve, msgspec.structs.replace(row, session_address=f"{row.session_address}x"))
        before = await here.submission.submit([elsewhere], by=eve.pubkey)
        assert await here.submission.submit([rsvp(here, eve, row)], by=eve.pubkey) == before
        assert isinstance(before, Rejection)


@pytest.mark.parametrize("known", [True, False])
async def test_taking_a_private_answer_back_is_not_published(known: bool) -> None:
    """The deletion would show relays that there was an answer; one that names what nobody knows is kept back too."""
    async with world() as here:
        ada = new_key()
        (one,) = await taken(here, session(here, visibility=Visibility.PRIVATE, invited=(ada.pubkey,)))
        row = await here.row(one.session_address or "")
        yes = rsvp(here, ada, row)
        await taken(here, yes)
        address = str(Address.from_event(yes)) if known else f"31925:{ada.pubkey}:of-another-client"
        gone = event(ada, kinds.DELETION, here, ("a", address), ("k", "31925"), at=1)
        (taken_back,) = await taken(here, gone)
        assert taken_back.private
        assert await queued(here, [gone, yes]) == []
        assert (await here.rsvp(ada, row) is None) is known


async def test_taking_a_public_answer_back_is_published_though_there_is_a_private_one() -> None:
    """A person with answers of both kinds: the deletion of the public one goes to the relays, as ever."""
    async with world() as here:
        ada, row = new_key(), await here.schedule()
        (one,) = await taken(here, session(here, visibility=Visibility.PRIVATE, invited=(ada.pubkey,)))
        await taken(here, rsvp(here, ada, await here.row(one.session_address or "")))
        yes = rsvp(here, ada, row)
        await taken(here, yes)
        gone = event(ada, kinds.DELETION, here, ("a", str(Address.from_event(yes))), ("k", "31925"), at=1)
        (taken_back,) = await taken(here, gone)
        assert not taken_back.private
        assert await queued(here, [gone]) == ["5"]


async def test_an_event_that_relays_would_refuse_is_refused_here() -> None:
    """Many relays refuse 64 KiB: a caller who submits more is told at once, not by silence."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        answer = rsvp(here, key, row)
        large = UnsignedEvent(answer.pubkey, answer.created_at, answer.kind, answer.tags, "x" * 65_000)
        assert await refused(here, signed(key, large)) == "too-large"


async def test_an_rsvp_to_nothing_here_is_refused() -> None:
    """An answer to a session nobody here knows, or to none at all, is not ours to publish."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        elsewhere = msgspec.structs.replace(row, session_address=f"31923:{new_key().pubkey}:x")
        assert await refused(here, rsvp(here, key, elsewhere)) == "unknown-session"
        assert (
            await refused(here, event(key, kinds.RSVP, here, ("d", "x"), ("status", "accepted"))) == "unknown-session"
        )
        wrong = event(key, kinds.RSVP, here, ("d", "x"), ("a", row.session_address), ("status", "confirmed"))
        assert await refused(here, wrong) == "unknown-session"


async def test_an_rsvp_is_taken_until_the_end() -> None:
    """RSVPs stay open while a session is live; after the end and after a cancellation they are closed."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        await taken(here, rsvp(here, new_key(), row))
        await here.advance(3600)
        assert await refused(here, rsvp(here, new_key(), row)) == "session-over"
        other = await here.schedule()
        await here.cancel(other)
        await here.turn()
        assert await refused(here, rsvp(here, new_key(), other)) == "session-over"


async def test_a_deletion_must_be_of_something_here() -> None:
    """Only the author's own session or RSVP can be deleted through this door."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        address = Address.parse(row.session_address)
        assert address is not None
        foreign = signed(key, UnsignedEvent(key.pubkey, here.now, kinds.DELETION, (("a", row.session_address),), ""))
        assert await refused(here, foreign) == "unknown-session"
        unknown = nip09.write_deletion(
            key.pubkey, created_at=here.now, addresses=[Address(kinds.SESSION, key.pubkey, "x")]
        )
        assert await refused(here, signed(key, unknown)) == "unknown-session"
        assert await refused(here, event(key, kinds.DELETION, here, ("e", "0" * 64))) == "unknown-session"
        own = nip09.write_deletion(here.instructor.pubkey, created_at=here.now, addresses=[address])
        (one,) = await taken(here, signed(here.instructor, own))
        assert one.session_address == row.session_address


async def test_an_rsvp_can_be_deleted() -> None:
    """A kind 5 on one's own answer makes it no answer."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        answer = rsvp(here, key, row)
        await taken(here, answer)
        own = Address.from_event(answer)
        assert own is not None
        gone = nip09.write_deletion(key.pubkey, created_at=here.now, addresses=[own])
        await taken(here, signed(key, gone))
        assert await here.rsvp(key, row) is None


async def test_a_session_and_its_deletion_in_one_batch() -> None:
    """A deletion may name a session that the same batch brings."""
    async with world() as here:
        made = session(here)
        address = Address.from_event(made)
        assert address is not None
        gone = nip09.write_deletion(here.instructor.pubkey, created_at=here.now, addresses=[address])
        found = await taken(here, made, signed(here.instructor, gone))
        assert len(found) == 2


async def test_relay_lists_are_taken() -> None:
    """Where a person reads messages is needed to remind them."""
    async with world() as here:
        key = new_key()
        inbox = nip17.write_dm_relays(key.pubkey, ["wss://inbox.example.org"], created_at=here.now)
        lists = nip65.RelayList(read=("wss://a.example.org",), write=("wss://b.example.org",))
        outbox = nip65.write_relay_list(key.pubkey, lists, created_at=here.now)
        found = await taken(here, signed(key, inbox), signed(key, outbox))
        assert [one.session_address for one in found] == [None, None]


async def test_relay_lists_of_others_are_refused() -> None:
    """Everybody's lists are public: a stranger who hands them in would fill our disk, and our relays, with them."""
    async with world() as here:
        owner, stranger = new_key(), new_key()
        inbox = signed(owner, nip17.write_dm_relays(owner.pubkey, ["wss://a.example.org"], created_at=here.now))
        outcome = await here.submission.submit([inbox], by=stranger.pubkey)
        assert isinstance(outcome, Rejection)
        assert outcome.slug == "not-the-author"
        assert await here.mirror.get(inbox.id) is None
        assert await queued(here, [inbox]) == []


@pytest.mark.parametrize(
    ("kind", "most"), [(kinds.RSVP, 8_192), (kinds.DM_RELAY_LIST, 8_192), (kinds.DELETION, 32_768)]
)
async def test_each_kind_has_its_size(kind: int, most: int) -> None:
    """40 KB of an answer are no answer: what strangers may write is as large as its kind needs."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        tags = (("a", row.session_address), ("d", "x"), ("status", "accepted"), ("relay", "wss://a.example"))
        fits = event(key, kind, here, *tags, content="x" * (most - 700))
        over = event(key, kind, here, *tags, content="x" * most)
        assert await refused(here, over) == "too-large"
        outcome = await here.submission.submit([fits], by=key.pubkey)
        assert not isinstance(outcome, Rejection) or outcome.slug != "too-large"


async def test_the_same_event_twice_is_no_mistake() -> None:
    """A caller who lost the answer may ask again: nothing is doubled and nothing refused."""
    async with world() as here:
        made, row, key = session(here), await here.schedule(), new_key()
        answer = rsvp(here, key, row)
        for _ in range(2):
            await taken(here, made, answer)
        assert len(await here.store.sessions.to_list()) == 2
        assert await queued(here, [made, answer]) == ["31923", "31925"]


async def test_an_edit_that_loses_against_a_newer_one_is_told() -> None:
    """Two edits of one revision: the one that comes late with an older date must not look as if it had counted."""
    async with world() as here:
        row = await here.schedule()
        previous = await here.event_of(row)
        read = read_session(previous)
        assert isinstance(read, ReadSession)
        await here.clock.advance(60)
        first = here.draft(msgspec.structs.replace(spec_of(read), title="first"), previous)
        await here.clock.advance(60)
        second = here.draft(msgspec.structs.replace(spec_of(read), title="second"), previous)
        await taken(here, signed(here.instructor, second))
        assert await refused(here, signed(here.instructor, first)) == "outdated"
        assert (await here.row(row.session_address)).title == "second"


async def test_an_answer_that_loses_against_a_newer_one_is_told() -> None:
    """An RSVP older than the one that counts changes nothing, and says so."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        await here.clock.advance(600)
        late = rsvp(here, key, row, at=here.now - 300)
        await taken(here, rsvp(here, key, row))
        assert await refused(here, late) == "outdated"
        tags = tuple(("d", "another click") if tag[0] == "d" else tag for tag in late.tags)
        other = UnsignedEvent(late.pubkey, late.created_at, late.kind, tags, late.content)
        assert await refused(here, signed(key, other)) == "outdated"


async def test_an_edit_after_a_cancellation_is_told() -> None:
    """An edit drafted before the session was cancelled does not bring it back."""
    async with world() as here:
        row = await here.schedule()
        previous = await here.event_of(row)
        read = read_session(previous)
        assert isinstance(read, ReadSession)
        edit = signed(here.instructor, here.draft(msgspec.structs.replace(spec_of(read), title="edited"), previous))
        await here.clock.advance(60)
        await here.cancel(row)
        assert await refused(here, edit) == "outdated"
        assert (await here.row(row.session_address)).withdrawn


async def test_an_expired_event_is_refused() -> None:
    """An event whose own time is over (NIP-40) would be dropped in silence everywhere."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        answer = rsvp(here, key, row)
        tags = (*answer.tags, ("expiration", str(here.now)))
        expired = UnsignedEvent(answer.pubkey, answer.created_at, answer.kind, tags, answer.content)
        assert await refused(here, signed(key, expired)) == "expired"


async def test_a_private_session_stays_private_when_an_edit_knows_nothing_of_it() -> None:
    """A client without our tags drops them all; the edit is sealed like the session, and no relay is given it."""
    async with world() as here:
        first = session(here, visibility=Visibility.PRIVATE)
        (known,) = await taken(here, first)
        kept = tuple(tag for tag in first.tags if tag[0] in ("d", "start", "end", "p"))
        tags = (*kept, ("title", "Renamed"))
        edit = signed(here.instructor, UnsignedEvent(first.pubkey, first.created_at + 1, first.kind, tags, ""))
        (one,) = await taken(here, edit)
        row = await here.row(known.session_address or "")
        assert (one.private, row.title, row.visibility) == (True, "Renamed", "private")
        assert await queued(here, [edit]) == []


@pytest.mark.parametrize(("why", "slug"), [("disk", "no-room"), ("key", "too-many"), ("all", "too-many")])
async def test_what_is_too_much_is_refused_whole(why: str, slug: str) -> None:
    """Where the disk has no room, or a person has sent their share, nothing of a batch is kept."""
    async with world() as here:
        row, key = await here.schedule(), new_key()

        async def objection(one: VerifiedEvent) -> str | None:
            return why if one.pubkey == key.pubkey else None

        here.submission._objection = objection
        assert await refused(here, session(here), rsvp(here, key, row)) == slug
        await taken(here, session(here))
