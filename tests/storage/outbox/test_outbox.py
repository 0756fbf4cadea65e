"""The outbox: queued with the state, sent with the same bytes, ended once, and never lost by a crash."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import SignedEvent
from podium_storage.changes import ChangeKind
from podium_storage.database import Transaction
from podium_storage.meta import Meta
from podium_storage.outbox import outbox as outbox_sql
from podium_storage.outbox.outbox import TABLE
from podium_storage.outbox.values import (
    DeliveryState,
    OutboxItem,
    OutboxRow,
    Priority,
    PublishResult,
    RelayAccepted,
    RelayRefused,
    TryAgain,
)
from tests.support.events import NOW, key_of, signed
from tests.support.mirrors import Mirrored, lesson, mirrored
from tests.support.outbox_writer import RELAYS

ROOT = Path(__file__).parents[3]
ONE, TWO, THREE = "wss://one.example", "wss://two.example", "wss://three.example"
ALICE = key_of(1)
HERE = lesson(ALICE)


def event(text: str = "hello") -> SignedEvent:
    return signed(ALICE, content=text)


def revision(identifier: str = "room", *, at: int) -> SignedEvent:
    return signed(ALICE, kind=30313, tags=(("d", identifier),), created_at=at)


@pytest.fixture
async def here() -> AsyncIterator[Mirrored]:
    async with mirrored() as opened:
        yield opened


async def add(
    here: Mirrored,
    text: str = "hello",
    relays: Sequence[str] = (ONE,),
    *,
    not_before: int = 0,
    expires_at: int | None = None,
    priority: Priority = Priority.NORMAL,
    session_address: str | None = None,
    reference: str | None = None,
) -> None:
    item = OutboxItem(
        event=event(text),
        relays=tuple(relays),
        not_before=not_before,
        expires_at=expires_at,
        priority=priority,
        session_address=session_address,
        reference=reference,
    )
    await add_all(here, [item])


async def add_all(here: Mirrored, items: Sequence[OutboxItem]) -> None:
    await here.store.database.transact(lambda tx: here.outbox.add_many_within(tx, items))


async def texts(rows: Sequence[OutboxRow]) -> list[tuple[str, str]]:
    by_id = {event(text).id: text for text in ("hello", *"abcdefghij")}
    return [(by_id[row.event_id], row.relay.removeprefix("wss://").removesuffix(".example")) for row in rows]


async def states(here: Mirrored, text: str = "hello") -> dict[str, str]:
    return {one.relay: one.state.value for one in await here.outbox.status_of(event(text).id)}


async def test_an_event_gets_a_row_for_each_relay(here: Mirrored) -> None:
    """What is queued is due on each of its relays, with the very bytes of the event."""
    await add(here, relays=(ONE, TWO))
    rows = await here.outbox.due(NOW)
    assert {row.relay for row in rows} == {ONE, TWO}
    assert {row.event_json for row in rows} == {event().to_json()}
    assert {(row.attempts, row.expires_at, row.priority) for row in rows} == {(0, None, Priority.NORMAL)}


async def test_queueing_twice_is_queueing_once(here: Mirrored) -> None:
    """The same event for the same relay is one row, whatever has become of it since."""
    await add(here, relays=(ONE, TWO))
    await add(here, relays=(TWO, THREE))
    rows = await here.outbox.due(NOW)
    assert sorted(row.relay for row in rows) == sorted([ONE, TWO, THREE])
    await here.outbox.record([RelayAccepted(row.id) for row in rows], now=NOW)
    await add(here, relays=(ONE, TWO, THREE))
    assert await here.outbox.due(NOW) == []


async def test_queueing_is_part_of_the_transaction(here: Mirrored) -> None:
    """When the state change fails, nothing was queued (hardening.md, rule 1)."""

    async def scope(tx: Transaction) -> None:
        await here.outbox.add_within(tx, event(), [ONE], session_address=HERE, reference="reminder:1")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await here.store.database.transact(scope)
    assert await here.outbox.due(NOW) == []
    assert await here.outbox.next_due() is None


async def test_an_event_for_no_relay_is_refused(here: Mirrored) -> None:
    """An event that nobody would ever get is an error of ours, not silence."""
    with pytest.raises(LocalProtocolError, match="no relay"):
        await add(here, relays=())


async def test_nothing_is_sent_before_its_time(here: Mirrored) -> None:
    """A row is due at its second; `next_due` names the first one after a time."""
    await add(here, "a", not_before=NOW + 5)
    await add(here, "b", (TWO,), not_before=NOW + 3, priority=Priority.BULK)
    assert await here.outbox.due(NOW + 2) == []
    assert await here.outbox.next_due() == NOW + 3
    assert await here.outbox.next_due(NOW + 3) == NOW + 5
    assert await here.outbox.next_due(NOW + 5) is None
    assert await texts(await here.outbox.due(NOW + 3)) == [("b", "two")]
    assert await texts(await here.outbox.due(NOW + 5)) == [("a", "one"), ("b", "two")]


async def test_priority_goes_first_then_time(here: Mirrored) -> None:
    """On one relay the urgent precede the normal, and among equals the one that waited longer."""
    for text, priority, not_before in (
        ("a", Priority.BULK, 1),
        ("b", Priority.NORMAL, 3),
        ("c", Priority.NORMAL, 2),
        ("d", Priority.URGENT, 4),
    ):
        await add(here, text, priority=priority, not_before=not_before)
    assert [text for text, _ in await texts(await here.outbox.due(NOW))] == ["d", "c", "b", "a"]


async def test_one_relay_does_not_hold_up_another(here: Mirrored) -> None:
    """Relays take turns, so that a long queue for one leaves room for the others within the limit."""
    await add_all(here, [OutboxItem(event=event(text), relays=(ONE,), not_before=1) for text in "abcdef"])
    await add(here, "g", (TWO,), not_before=2)
    assert await texts(await here.outbox.due(NOW, limit=3)) == [("a", "one"), ("g", "two"), ("b", "one")]
    assert await texts(await here.outbox.due(NOW, per_relay=2)) == [("a", "one"), ("g", "two"), ("b", "one")]


async def test_what_is_being_sent_is_left_out(here: Mirrored) -> None:
    """Rows in flight and relays that pause are passed over, and do not use up the limit."""
    await add_all(here, [OutboxItem(event=event(text), relays=(ONE, TWO), not_before=1) for text in "abc"])
    first = await here.outbox.due(NOW, per_relay=2)
    rest = await here.outbox.due(NOW, per_relay=2, in_flight=[row.id for row in first])
    assert await texts(rest) == [("c", "one"), ("c", "two")]
    assert await texts(await here.outbox.due(NOW, per_relay=1, paused=[ONE])) == [("a", "two")]
    assert await here.outbox.due(NOW, paused=[ONE, TWO]) == []


async def test_an_accepted_row_is_done(here: Mirrored) -> None:
    """OK true ends the row on that relay and on no other; the words are kept."""
    await add(here, relays=(ONE, TWO))
    (row,) = [row for row in await here.outbox.due(NOW) if row.relay == ONE]
    (delivery,) = await here.outbox.record([RelayAccepted(row.id, "thanks")], now=NOW)
    assert (delivery.state, delivery.attempts, delivery.last_message) == (DeliveryState.DONE, 1, "thanks")
    assert await states(here) == {ONE: "done", TWO: "ready"}
    assert await here.outbox.pending_by_relay() == {TWO: 1}
    (again,) = await here.outbox.record([RelayAccepted(row.id, "duplicate: have it")], now=NOW + 1)
    assert again == delivery


async def test_a_retry_waits_and_sends_the_same_bytes(here: Mirrored) -> None:
    """An unknown outcome puts the row off, counts the attempt, and changes not one byte (hardening.md, rule 4)."""
    await add(here)
    (row,) = await here.outbox.due(NOW)
    await here.outbox.record([TryAgain(row.id, NOW + 30, "error: busy")], now=NOW)
    assert await here.outbox.due(NOW + 29) == []
    assert await here.outbox.next_due() == NOW + 30
    (again,) = await here.outbox.due(NOW + 30)
    assert (again.id, again.event_json, again.attempts) == (row.id, row.event_json, 1)


async def test_a_refusal_is_final(here: Mirrored) -> None:
    """A final answer ends the row with the relay's words, cut at 500 characters."""
    await add(here)
    (row,) = await here.outbox.due(NOW)
    (delivery,) = await here.outbox.record([RelayRefused(row.id, "blocked: " + "x" * 1000)], now=NOW)
    assert delivery.state is DeliveryState.FAILED
    assert delivery.last_message is not None
    assert len(delivery.last_message) == 500
    assert await here.outbox.due(NOW + 10**6) == []


@pytest.mark.parametrize(
    ("newer", "relay", "state"),
    [
        (revision(at=NOW + 1), ONE, DeliveryState.CANCELLED),
        (revision(at=NOW - 1), ONE, DeliveryState.READY),
        (revision(at=NOW + 1), TWO, DeliveryState.READY),
        (revision("other", at=NOW + 1), ONE, DeliveryState.READY),
    ],
)
async def test_a_replaced_revision_is_not_tried_for_ever(
    here: Mirrored, newer: SignedEvent, relay: str, state: DeliveryState
) -> None:
    """After a failed attempt it ends if a newer revision of the same address goes to the same relay."""
    old = revision(at=NOW)
    for one, where in ((old, ONE), (newer, relay)):
        item = OutboxItem(event=one, relays=(where,))
        await here.store.database.transact(lambda tx, item=item: here.outbox.add_many_within(tx, [item]))  # type: ignore[misc]
    row = next(row for row in await here.outbox.due(NOW) if row.event_id == old.id)
    (told,) = await here.outbox.record([TryAgain(row.id, NOW + 60, "error: unknown")], now=NOW)
    assert (told.state, told.last_message) == (state, "error: unknown")


@pytest.mark.parametrize("kind", [1, 30313, 10002])
async def test_of_two_revisions_of_one_second_the_lower_id_stays(here: Mirrored, kind: int) -> None:
    """As NIP-01 has it; events of other kinds replace nothing."""
    pair = sorted((signed(ALICE, kind=kind, content=text, created_at=NOW) for text in "ab"), key=lambda one: one.id)
    items = [OutboxItem(event=one, relays=(ONE,)) for one in pair]
    await here.store.database.transact(lambda tx: here.outbox.add_many_within(tx, items))
    due = await here.outbox.due(NOW)
    told = await here.outbox.record([TryAgain(row.id, NOW + 60) for row in due], now=NOW)
    states = {one.event_id: one.state for one in told}
    last = DeliveryState.READY if kind == 1 else DeliveryState.CANCELLED
    assert states == {pair[0].id: DeliveryState.READY, pair[1].id: last}


async def test_results_are_recorded_together(here: Mirrored) -> None:
    """Results of every kind, for several relays, are one transaction; unknown rows are nothing."""
    await add(here, relays=(ONE, TWO, THREE))
    rows = {row.relay: row.id for row in await here.outbox.due(NOW)}
    results: list[PublishResult] = [
        RelayAccepted(rows[ONE]),
        TryAgain(rows[TWO], NOW + 1),
        RelayRefused(rows[THREE]),
        RelayAccepted(10**9),
    ]
    assert len(await here.outbox.record(results, now=NOW)) == 3
    assert await states(here) == {ONE: "done", TWO: "ready", THREE: "failed"}
    assert await here.outbox.record([], now=NOW) == []


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ("accepted", "refused", "done"),
        ("accepted", "again", "done"),
        ("cancelled", "refused", "cancelled"),
        ("cancelled", "again", "cancelled"),
        ("cancelled", "accepted", "done"),
        ("refused", "again", "failed"),
        ("refused", "accepted", "done"),
    ],
)
async def test_what_has_ended_stays_ended(here: Mirrored, first: str, second: str, state: str) -> None:
    """A late answer changes an end only when it says that the relay has the event after all."""
    await add(here, reference="r")
    (row,) = await here.outbox.due(NOW)
    results: dict[str, PublishResult] = {
        "accepted": RelayAccepted(row.id),
        "refused": RelayRefused(row.id),
        "again": TryAgain(row.id, NOW + 1),
    }
    for step in (first, second):
        if step == "cancelled":
            await here.store.database.transact(lambda tx: here.outbox.cancel_within(tx, now=NOW, references=["r"]))
        else:
            await here.outbox.record([results[step]], now=NOW)
    assert await states(here) == {ONE: state}
    assert await here.outbox.due(NOW + 10) == []


async def test_cancelling_by_reference_and_by_session(here: Mirrored) -> None:
    """Only what still waits is cancelled: by its references, by its session, and within the caller's transaction."""
    await add(here, "a", reference="reminder:1", session_address=HERE)
    await add(here, "b", (ONE, TWO), reference="reminder:2", session_address=HERE)
    await add(here, "c", reference="reminder:3", session_address=lesson(ALICE, "other"))
    await add(here, "d")
    (row,) = [row for row in await here.outbox.due(NOW) if row.event_id == event("a").id]
    await here.outbox.record([RelayAccepted(row.id)], now=NOW)

    async def cancel(*references: str, session_address: str | None = None) -> int:
        return await here.store.database.transact(
            lambda tx: here.outbox.cancel_within(tx, now=NOW, references=references, session_address=session_address)
        )

    assert await cancel("reminder:3", "reminder:1", "none") == 1
    assert await cancel(session_address=HERE) == 2
    assert await cancel(session_address="31923:nobody:x") == 0
    assert await cancel() == 0
    assert await texts(await here.outbox.due(NOW)) == [("d", "one")]
    assert await states(here, "a") == {ONE: "done"}
    assert await states(here, "b") == {ONE: "cancelled", TWO: "cancelled"}


async def test_status_by_reference(here: Mirrored) -> None:
    """A service that queued an event finds it again by the reference, with its session and how far it came."""
    await add(here, "a", (ONE, TWO), reference="reminder:1", session_address=HERE)
    await add(here, "b", reference="reminder:2")
    found = await here.outbox.status_of_references(["reminder:1", "reminder:9"])
    assert [(one.event_id, one.relay, one.session_address, one.reference) for one in found] == [
        (event("a").id, ONE, HERE, "reminder:1"),
        (event("a").id, TWO, HERE, "reminder:1"),
    ]
    assert await here.outbox.status_of_references([]) == []
    assert await here.outbox.status_of(event("j").id) == []


async def test_what_expired_is_not_sent(here: Mirrored) -> None:
    """At its expiry a row is due no more; `expire` ends it and keeps the relay's last words."""
    await add(here, "a", expires_at=NOW + 10)
    await add(here, "b", expires_at=NOW + 11)
    (row,) = [row for row in await here.outbox.due(NOW) if row.event_id == event("a").id]
    await here.outbox.record([TryAgain(row.id, NOW + 1, "error: busy")], now=NOW)
    assert await texts(await here.outbox.due(NOW + 10)) == [("b", "one")]
    assert await here.outbox.expire(NOW + 10) == 1
    (delivery,) = await here.outbox.status_of(event("a").id)
    assert (delivery.state, delivery.last_message) == (DeliveryState.FAILED, "expired: error: busy")
    assert await states(here, "b") == {ONE: "ready"}


async def test_sweeping_forgets_what_has_ended(here: Mirrored) -> None:
    """Old ends are forgotten with their bytes; what waits, and an event with a row left, is kept."""
    await add(here, "a", (ONE, TWO))
    await add(here, "b")
    rows = await here.outbox.due(NOW)
    ended = [row for row in rows if row.event_id == event("b").id or row.relay == ONE]
    await here.outbox.record([RelayAccepted(row.id) for row in ended], now=NOW)
    assert await here.outbox.sweep(NOW) == 0
    assert await here.outbox.sweep(NOW + 1) == 2
    assert await states(here, "b") == {}
    (left,) = await here.outbox.due(NOW)
    assert (left.event_id, left.relay) == (event("a").id, TWO)
    assert await here.store.database.fetch_all("SELECT count(*) FROM outboxEvents") == [(1,)]


async def test_the_feed_tells_of_deliveries(here: Mirrored) -> None:
    """The publisher hears of new events, and services of what became of theirs."""
    with here.store.changes.subscribe(TABLE) as changes:
        await add(here, reference="r")
        (row,) = await here.outbox.due(NOW)
        await here.outbox.record([RelayAccepted(row.id)], now=NOW)
        batch = changes.take_changes()
    assert batch is not None
    created, updated = batch.changes
    assert (created.kind, created.key, created.after) == (ChangeKind.CREATED, event().id, None)
    (delivery,) = await here.outbox.status_of(event().id)
    assert (updated.kind, updated.key, updated.after) == (ChangeKind.UPDATED, event().id, delivery)


async def test_what_is_due_is_found_through_an_index(here: Mirrored) -> None:
    """Asking what is due goes through the index of each relay: rows that wait for tomorrow are not looked at."""
    for sql, parameters in ((outbox_sql._DUE, (NOW, 100, "[]", "[]", 500)), (outbox_sql._NEXT_DUE, (NOW,))):
        plan = [str(row[3]) for row in await here.store.database.fetch_all(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        assert any("outboxDue (relay=? AND priority=? AND nextAttemptAt" in step for step in plan), plan
        assert not any(step in {"SCAN o", "SCAN i", "SCAN e", "SCAN r"} or "SCAN outbox" in step for step in plan), plan


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(6))
async def test_a_kill_at_any_point_loses_and_tears_nothing(tmp_path: Path, seed: int) -> None:
    """After kill -9, state and rows agree, whatever was told as committed is there, and all of it is due again."""
    path, told = tmp_path / "podium.sqlite", 0
    chance = random.Random(seed)
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.outbox_writer", str(path)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 40)):
            told = int(await process.stdout.readline())
        process.kill()
        await process.wait()
        async with mirrored(path) as here:
            written = int(await Meta(here.store.database).get("written") or 0)
            assert written >= told
            rows = await here.outbox.due(NOW, limit=10_000, per_relay=10_000)
            expected = {(event(str(number)).to_json(), relay) for number in range(1, written + 1) for relay in RELAYS}
            assert {(row.event_json, row.relay) for row in rows} == expected
            assert len(rows) == len(expected)
            assert await here.store.database.fetch_all("PRAGMA integrity_check") == [("ok",)]
