"""What every conference engine promises; an engine's test file subclasses `EngineContract` and gives it a rig."""

from __future__ import annotations

import random
from typing import Protocol

import msgspec
import pytest

from podium_daemon.conference.engine import (
    Capability,
    ConferenceEngine,
    ControlDone,
    Person,
    RoomOpen,
    RoomSpec,
    Snapshot,
    Support,
    Unsupported,
)
from podium_daemon.conference.events import (
    ConnectionId,
    EngineHealth,
    Joined,
    LeaveReason,
    Left,
    RoomClosed,
    RoomId,
    RoomOpened,
    RoomRole,
)
from podium_daemon.runtime.outcomes import Rejection
from tests.support.conference import EventReader, new_person, new_pubkey, reading


class Guest(Protocol):
    """A person in a room, with their browser."""

    @property
    def connection(self) -> ConnectionId: ...

    async def leave(self) -> None:
        """Go, and say so."""
        ...

    async def vanish(self) -> None:
        """The network is gone; nothing is said."""
        ...

    def freeze(self) -> None:
        """The browser stops doing anything, with its sockets open."""
        ...


class Rig(Protocol):
    """An engine with a way into it and a clock that can be moved."""

    @property
    def engine(self) -> ConferenceEngine: ...

    @property
    def spec(self) -> RoomSpec:
        """A room this engine can open."""
        ...

    async def join(self, person: Person) -> Guest | Rejection:
        """Let a person into the room as the daemon does, or why the engine refuses it."""
        ...

    async def pass_time(self, seconds: int) -> None:
        """Let time pass while every guest that is not frozen behaves as a browser does."""
        ...

    def now(self) -> int:
        """The engine's time in Unix seconds."""
        ...


async def _joined(rig: Rig, person: Person | None = None) -> Guest:
    guest = await rig.join(person or new_person())
    assert not isinstance(guest, Rejection), guest
    return guest


async def _present(rig: Rig, room: RoomId) -> set[ConnectionId]:
    snapshot = await rig.engine.snapshot(room)
    assert isinstance(snapshot, Snapshot)
    return {one.connection.id for one in snapshot.present}


def _present_by_events(reader: EventReader) -> set[ConnectionId]:
    present: set[ConnectionId] = set()
    for event in reader.kept:
        if isinstance(event, Joined):
            present.add(event.connection.id)
        elif isinstance(event, Left):
            present.remove(event.connection.id)
    return present


class EngineContract:
    """The suite. Subclasses define the fixture `rig`, and say how much their server tells of leaves."""

    goodbye = LeaveReason.LEFT
    """The reason of somebody who said that they go."""
    losses = frozenset({LeaveReason.DROPPED, LeaveReason.TIMEOUT})
    """The reasons of somebody whose network died."""
    frozen = LeaveReason.TIMEOUT
    """The reason of somebody whose browser froze."""
    notices_within = 0
    """Seconds for which somebody lost is still taken for present, where a server tells no last sign of life."""

    async def test_opening_twice_opens_once(self, rig: Rig) -> None:
        """A room that is open stays as it is, and its opening is told once."""
        async with reading(rig.engine) as reader:
            assert await rig.engine.open_room(rig.spec) == RoomOpen(rig.spec.room, created=True)
            guest = await _joined(rig)
            assert await rig.engine.open_room(rig.spec) == RoomOpen(rig.spec.room, created=False)
            assert await _present(rig, rig.spec.room) == {guest.connection}
            await reader.joined(guest.connection)
            assert len(reader.all_of(RoomOpened)) == 1

    async def test_a_room_that_opens_again_is_told_again(self, rig: Rig) -> None:
        """A second run of a session has events of its own, not copies of the first run's."""
        async with reading(rig.engine) as reader:
            for _ in range(2):
                await rig.engine.open_room(rig.spec)
                await rig.engine.close_room(rig.spec.room)
            opened = await reader.until(RoomOpened, lambda event: event != reader.all_of(RoomOpened)[0])
            closed = await reader.until(RoomClosed, lambda event: event != reader.all_of(RoomClosed)[0])
            assert opened.room == closed.room == rig.spec.room
            assert not reader.copies

    async def test_closing_is_idempotent(self, rig: Rig) -> None:
        """Closing what is closed, or was never open, is done without a word."""
        assert await rig.engine.close_room(RoomId("never-opened")) == ControlDone()
        await rig.engine.open_room(rig.spec)
        assert await rig.engine.close_room(rig.spec.room) == ControlDone()
        assert await rig.engine.close_room(rig.spec.room) == ControlDone()
        async with reading(rig.engine) as reader:
            await reader.until(RoomClosed)
            await rig.engine.open_room(rig.spec)
            await reader.until(RoomOpened, lambda event: event != reader.all_of(RoomOpened)[0])
            assert len(reader.all_of(RoomClosed)) == 1

    async def test_a_room_that_is_not_open_is_refused_by_that_name(self, rig: Rig) -> None:
        """A caller who asks about a closed room learns that it is closed, with the next step."""
        nowhere = RoomId("never-opened")
        for answer in (
            await rig.join(new_person()),
            await rig.engine.snapshot(nowhere),
            await rig.engine.remove(nowhere, new_pubkey(), "away"),
        ):
            assert isinstance(answer, Rejection)
            assert answer.slug == "no-room"
            assert answer.next_step

    async def test_controls_of_a_room_that_is_not_open_are_refused(self, rig: Rig) -> None:
        """Each says that the room is not open, or that the engine has no such control."""
        engine, nowhere = rig.engine, RoomId("never-opened")
        answers = (
            (Capability.MUTE, await engine.mute(nowhere, new_pubkey())),
            (Capability.MUTE_ALL, await engine.mute_all(nowhere)),
            (Capability.RECORD, await engine.start_recording(nowhere, only=())),
        )
        for capability, answer in answers:
            native = engine.capabilities.support_of(capability) is Support.NATIVE
            assert isinstance(answer, Rejection)
            assert answer.slug == ("no-room" if native else "not-supported")

    async def test_a_person_is_let_in_as_who_they_are(self, rig: Rig) -> None:
        """Room, key, device and role of a connection are those the daemon gave, whatever the browser says."""
        await rig.engine.open_room(rig.spec)
        person = new_person(device="phone-2", role=RoomRole.CO_HOST)
        async with reading(rig.engine) as reader:
            guest = await _joined(rig, person)
            connection = (await reader.joined(guest.connection)).connection
        assert (connection.room, connection.pubkey) == (rig.spec.room, person.pubkey)
        assert (connection.device, connection.role) == ("phone-2", RoomRole.CO_HOST)

    async def test_closing_ends_everybody_and_then_the_room(self, rig: Rig) -> None:
        """A person connected at the end leaves at the end, before the room is reported closed."""
        await rig.engine.open_room(rig.spec)
        guests = [await _joined(rig) for _ in range(3)]
        await rig.pass_time(12)
        async with reading(rig.engine) as reader:
            await rig.engine.close_room(rig.spec.room)
            closed = await reader.until(RoomClosed)
            ends = reader.all_of(Left)
            assert {end.connection.id for end in ends} == {guest.connection for guest in guests}
            assert {(end.reason, end.at) for end in ends} == {(LeaveReason.ROOM_CLOSED, rig.now())}
            assert reader.kept[-1] == closed

    async def test_removing_ends_every_device(self, rig: Rig) -> None:
        """A person who is thrown out is out on all devices, and nobody else is."""
        await rig.engine.open_room(rig.spec)
        bystander = await _joined(rig)
        pubkey = new_pubkey()
        inside = [await _joined(rig, new_person(pubkey, device)) for device in ("a", "b")]
        done = await rig.engine.remove(rig.spec.room, pubkey, "asked to leave")
        assert isinstance(done, ControlDone)
        assert set(done.connections) == {guest.connection for guest in inside}
        assert len(done.connections) == 2
        assert await _present(rig, rig.spec.room) == {bystander.connection}
        async with reading(rig.engine) as reader:
            for connection in done.connections:
                assert (await reader.left(connection)).reason is LeaveReason.REMOVED

    async def test_somebody_removed_can_be_let_in_again(self, rig: Rig) -> None:
        """The deny list is the daemon's: a new admission is good."""
        await rig.engine.open_room(rig.spec)
        person = new_person()
        await rig.engine.remove(rig.spec.room, person.pubkey, "by mistake")
        await _joined(rig, person)

    async def test_each_join_has_one_leave(self, rig: Rig) -> None:
        """However often a connection ends, one end is told, at the engine's time."""
        await rig.engine.open_room(rig.spec)
        guest = await _joined(rig)
        joined_at = rig.now()
        await rig.pass_time(40)
        await guest.leave()
        await guest.leave()
        await guest.vanish()
        await rig.engine.close_room(rig.spec.room)
        async with reading(rig.engine) as reader:
            await reader.until(RoomClosed)
            assert [event.at for event in reader.all_of(Joined)] == [joined_at]
            assert [(event.at, event.reason) for event in reader.all_of(Left)] == [(joined_at + 40, self.goodbye)]

    async def test_a_return_is_a_new_connection(self, rig: Rig) -> None:
        """The same device of the same person coming back is told as another connection."""
        await rig.engine.open_room(rig.spec)
        person = new_person()
        seen = set()
        for _ in range(3):
            guest = await _joined(rig, person)
            seen.add(guest.connection)
            await guest.leave()
        assert len(seen) == 3

    async def test_a_device_that_joins_again_replaces_itself(self, rig: Rig) -> None:
        """A page that was reloaded before its old socket died is in the room once."""
        await rig.engine.open_room(rig.spec)
        person = new_person()
        first, second = await _joined(rig, person), await _joined(rig, person)
        assert await _present(rig, rig.spec.room) == {second.connection}
        async with reading(rig.engine) as reader:
            assert (await reader.left(first.connection)).reason is LeaveReason.REPLACED

    async def test_a_fourth_device_is_refused(self, rig: Rig) -> None:
        """With three devices of one key in the room a fourth stays outside until one leaves; the three may return."""
        await rig.engine.open_room(rig.spec)
        pubkey = new_pubkey()
        guests = [await _joined(rig, new_person(pubkey, device)) for device in ("one", "two", "three")]
        refused = await rig.join(new_person(pubkey, "four"))
        assert isinstance(refused, Rejection)
        assert refused.slug == "too-many-devices"
        assert refused.next_step
        await _joined(rig, new_person(pubkey, "three"))
        await guests[0].leave()
        await _joined(rig, new_person(pubkey, "four"))

    async def test_a_lost_connection_ends_at_its_last_sign_of_life(self, rig: Rig) -> None:
        """A person whose network died gets no credit for the time until it was noticed."""
        await rig.engine.open_room(rig.spec)
        guest = await _joined(rig)
        await rig.pass_time(30)
        lost_at = rig.now()
        await guest.vanish()
        await rig.pass_time(60)
        async with reading(rig.engine) as reader:
            end = await reader.left(guest.connection)
        assert end.reason in self.losses
        assert lost_at - 10 <= end.at <= lost_at + self.notices_within

    async def test_a_frozen_browser_is_noticed(self, rig: Rig) -> None:
        """An open socket with nobody behind it is no presence."""
        await rig.engine.open_room(rig.spec)
        frozen, alive = await _joined(rig), await _joined(rig)
        await rig.pass_time(30)
        frozen_at = rig.now()
        frozen.freeze()
        await rig.pass_time(60)
        async with reading(rig.engine) as reader:
            end = await reader.left(frozen.connection)
        assert end.reason is self.frozen
        assert frozen_at - 10 <= end.at <= frozen_at + self.notices_within
        assert await _present(rig, rig.spec.room) == {alive.connection}

    async def test_events_keep_their_ids(self, rig: Rig) -> None:
        """Every reader, and a reader that starts again, gets the same ids; no two events share one."""
        await rig.engine.open_room(rig.spec)
        async with reading(rig.engine) as first:
            for _ in range(3):
                await (await _joined(rig)).leave()
            await rig.engine.close_room(rig.spec.room)
            await first.until(RoomClosed)
        async with reading(rig.engine) as second:
            await second.until(RoomClosed)
        before = list(first.kept)
        async with reading(rig.engine, first):
            await rig.engine.open_room(rig.spec)
            await first.until(RoomOpened, lambda event: event not in before)
        assert second.kept == before
        assert set(first.copies) <= {event.id for event in before}
        assert len({event.id for event in first.kept}) == len(first.kept) == len(before) + 1

    async def test_nothing_is_lost_while_no_reader_runs(self, rig: Rig) -> None:
        """A reader that died and starts again hears what happened in between."""
        async with reading(rig.engine) as reader:
            await rig.engine.open_room(rig.spec)
            await reader.until(RoomOpened)
        guest = await _joined(rig)
        await guest.leave()
        async with reading(rig.engine, reader):
            await reader.left(guest.connection)
        assert [event.connection.id for event in reader.all_of(Joined)] == [guest.connection]

    @pytest.mark.parametrize("seed", range(5))
    async def test_the_snapshot_agrees_with_the_events(self, rig: Rig, seed: int) -> None:
        """After any history, who the events say is there is who the snapshot says is there."""
        choose = random.Random(seed)
        people = [new_pubkey() for _ in range(4)]
        await rig.engine.open_room(rig.spec)
        guests: list[Guest] = []
        async with reading(rig.engine) as reader:
            for _ in range(40):
                step = choose.choice(("join", "join", "join", "leave", "vanish", "freeze", "remove", "wait"))
                if step == "join":
                    person = new_person(choose.choice(people), choose.choice("abcd"))
                    guest = await rig.join(person)
                    guests.extend([] if isinstance(guest, Rejection) else [guest])
                elif step == "remove":
                    await rig.engine.remove(rig.spec.room, choose.choice(people), "out")
                elif step == "wait":
                    await rig.pass_time(choose.randrange(40))
                elif guests and step == "freeze":
                    choose.choice(guests).freeze()
                elif guests:
                    await (choose.choice(guests).leave() if step == "leave" else choose.choice(guests).vanish())
            last = await _joined(rig)
            await reader.joined(last.connection)
            assert _present_by_events(reader) == await _present(rig, rig.spec.room)
            assert len(_present_by_events(reader)) > 1

    async def test_a_snapshot_says_since_when_and_when_last_heard(self, rig: Rig) -> None:
        """Each present connection has its join and its last sign of life, neither in the future."""
        await rig.engine.open_room(rig.spec)
        start = rig.now()
        guest = await _joined(rig)
        await rig.pass_time(60)
        snapshot = await rig.engine.snapshot(rig.spec.room)
        assert isinstance(snapshot, Snapshot)
        (one,) = snapshot.present
        assert one.connection.id == guest.connection
        assert (snapshot.room, snapshot.at, one.joined_at) == (rig.spec.room, start + 60, start)
        assert start + 50 <= one.last_evidence <= start + 60

    async def test_what_is_not_native_is_refused_by_name(self, rig: Rig) -> None:
        """A control the engine lacks answers with the capability, who has it instead, and what to do."""
        engine, room = rig.engine, rig.spec.room
        await engine.open_room(rig.spec)
        guest = new_person()
        await _joined(rig, guest)
        answers = {
            Capability.MUTE: (await engine.mute(room, guest.pubkey),),
            Capability.MUTE_ALL: (await engine.mute_all(room, keep=()),),
            Capability.RECORD: (
                await engine.start_recording(room, only={guest.pubkey}),
                await engine.stop_recording(room),
            ),
        }
        for capability, given in answers.items():
            support = engine.capabilities.support_of(capability)
            for answer in given:
                assert isinstance(answer, Unsupported) == (support is not Support.NATIVE)
                if isinstance(answer, Unsupported):
                    assert (answer.capability, answer.support) == (capability, support)
                    assert answer.detail
                    assert answer.next_step

    async def test_a_kick_says_what_it_could_not_do(self, rig: Rig) -> None:
        """Where a kick does not reach into the room, the answer says what a person has to do there."""
        await rig.engine.open_room(rig.spec)
        person = new_person()
        await _joined(rig, person)
        done = await rig.engine.remove(rig.spec.room, person.pubkey, "out")
        assert isinstance(done, ControlDone)
        native = rig.engine.capabilities.kick is Support.NATIVE
        assert bool(done.still_to_do) == (not native)

    async def test_encryption_is_promised_or_refused(self, rig: Rig) -> None:
        """A room that must be encrypted end to end is not opened by an engine that cannot promise it."""
        sensitive = msgspec.structs.replace(rig.spec, e2ee=True)
        objection = rig.engine.check_spec(sensitive)
        opened = await rig.engine.open_room(sensitive)
        if rig.engine.capabilities.e2ee is Support.NATIVE:
            assert objection is None
            assert isinstance(opened, RoomOpen)
        else:
            assert objection == opened
            assert isinstance(opened, Unsupported)
            assert opened.capability is Capability.E2EE
            assert isinstance(await rig.engine.snapshot(rig.spec.room), Rejection)

    async def test_an_engine_says_that_it_is_up(self, rig: Rig) -> None:
        """The first thing told is that the engine can be believed."""
        async with reading(rig.engine) as reader:
            health = await reader.until(EngineHealth)
        assert health.up
        assert reader.kept[0] == health
