"""Who may hold sessions here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.sessions.instructors import RECHECK_SECONDS, RETRY_SECONDS, Instructors
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey
from podium_protocol.live.session import Session
from podium_storage.errors import StoreFull
from tests.support.clock import ManualClock
from tests.support.relays import new_key

SERVICE, ADA, BEN, CLEO = (new_key().pubkey for _ in range(4))


class Directory:
    """Where names lead: to a key, to nobody (None), or nowhere (an error). Each look is counted."""

    def __init__(self) -> None:
        self.says: dict[str, Pubkey | OSError | None] = {}
        self.looks: list[str] = []

    async def look_up(self, name: str) -> Pubkey | None:
        """One look."""
        self.looks.append(name)
        answer = self.says.get(name)
        if isinstance(answer, OSError):
            raise answer
        return answer


class Office:
    """The allow-list at work."""

    def __init__(self, keys: Sequence[Pubkey], names: Sequence[str]) -> None:
        self.clock = ManualClock()
        self.stop = Stop(self.clock)
        self.directory = Directory()
        self.told: list[frozenset[Pubkey]] = []
        self.failing = 0
        self.list = Instructors(
            service=SERVICE,
            keys=keys,
            names=names,
            lookup=self.directory.look_up,
            changed=self.changed,
            clock=self.clock,
        )

    async def changed(self) -> None:
        """The daemon looks at the sessions again."""
        if self.failing:
            self.failing -= 1
            raise StoreFull("no space left")
        self.told.append(self.list.pubkeys)


@asynccontextmanager
async def office(keys: Sequence[Pubkey] = (), names: Sequence[str] = (), **says: object) -> AsyncIterator[Office]:
    """A list that runs; `says` is what the directory says from the beginning, by the local part of the name."""
    found = Office(keys, names)
    for local, answer in says.items():
        assert answer is None or isinstance(answer, str | OSError)
        found.directory.says[f"{local}@example.org"] = Pubkey(answer) if isinstance(answer, str) else answer
    running = asyncio.create_task(found.list.run(found.stop))
    await found.clock.until_sleeping()
    try:
        yield found
    finally:
        found.stop.set()
        async with asyncio.timeout(60):
            await running


def session(instructor: Pubkey, *services: Pubkey) -> Session:
    """A session by a person, for some services."""
    return Session(
        address=Address(31923, instructor, "x"),
        event_id=EventId("0" * 64),
        created_at=1,
        title="x",
        starts_at=1,
        ends_at=2,
        named=services,
    )


def listed(keys: Sequence[Pubkey] = (), names: Sequence[str] = ()) -> Instructors:
    """A list that was not run."""
    return Office(keys, names).list


def test_an_empty_list_is_the_service_itself() -> None:
    """In the single-user default the service's own key is the only instructor."""
    assert listed().pubkeys == {SERVICE}
    assert listed().allows(SERVICE)
    assert not listed().allows(ADA)


def test_a_list_of_keys_is_those_keys() -> None:
    """A listed instructor may hold sessions; the service's own key is not listed by itself then."""
    found = listed([ADA, BEN])
    assert [found.allows(key) for key in (ADA, BEN, CLEO, SERVICE)] == [True, True, False, False]


def test_a_list_of_names_alone_lets_nobody_in_before_they_are_looked_up() -> None:
    """A name that was not resolved yet is nobody, and not the service either."""
    assert listed(names=["ada@example.org"]).pubkeys == frozenset()


def test_a_session_must_name_the_service() -> None:
    """An instructor's session for another service is not taken over; the service's own need not name itself."""
    found = listed([ADA])
    assert found.accepts(session(ADA, SERVICE))
    assert found.accepts(session(ADA, BEN, SERVICE))
    assert not found.accepts(session(ADA))
    assert not found.accepts(session(ADA, BEN))
    assert not found.accepts(session(CLEO, SERVICE))
    assert listed().accepts(session(SERVICE))


async def test_names_are_looked_up_at_the_start() -> None:
    """Keys that names lead to count beside the listed ones, and the sessions are looked at again."""
    async with office([BEN], ["ada@example.org"], ada=ADA) as here:
        assert here.list.pubkeys == {ADA, BEN}
        assert here.list.names == {"ada@example.org": ADA}
        assert here.list.accepts(session(ADA, SERVICE))
        assert here.told == [{ADA, BEN}]


async def test_nothing_is_told_when_nothing_changed() -> None:
    """Without names there is nothing to look up and nothing to tell; the same answer again is no news."""
    async with office([BEN]) as here:
        assert (here.told, here.directory.looks) == ([], [])
    async with office(names=["ada@example.org"], ada=ADA) as here:
        await here.clock.advance(RECHECK_SECONDS)
        await here.clock.until_sleeping()
        assert len(here.directory.looks) == 2
        assert here.told == [{ADA}]


async def test_names_are_checked_again_every_hour() -> None:
    """A name that says another key has that key from then on, and the old one has lost it."""
    async with office(names=["ada@example.org"], ada=ADA) as here:
        here.directory.says["ada@example.org"] = CLEO
        await here.clock.advance(RECHECK_SECONDS - 1)
        assert here.list.pubkeys == {ADA}
        await here.clock.advance(1)
        await here.clock.until_sleeping()
        assert here.list.pubkeys == {CLEO}
        assert not here.list.allows(ADA)
        assert here.told == [{ADA}, {CLEO}]


async def test_a_name_that_names_nobody_loses_its_key() -> None:
    """The domain decides: a person it no longer names is no instructor by that name."""
    async with office(names=["ada@example.org"], ada=ADA) as here:
        here.directory.says["ada@example.org"] = None
        await here.clock.advance(RECHECK_SECONDS)
        await here.clock.until_sleeping()
        assert here.list.pubkeys == frozenset()


async def test_a_name_that_cannot_be_reached_keeps_its_key() -> None:
    """A server that is away takes nobody's rights, and is asked again within a minute."""
    async with office(names=["ada@example.org"], ada=ADA) as here:
        here.directory.says["ada@example.org"] = OSError("away")
        await here.clock.advance(RECHECK_SECONDS)
        await here.clock.until_sleeping()
        assert here.list.pubkeys == {ADA}
        here.directory.says["ada@example.org"] = CLEO
        await here.clock.advance(RETRY_SECONDS)
        await here.clock.until_sleeping()
        assert here.list.pubkeys == {CLEO}


async def test_one_bad_name_does_not_hold_up_the_others() -> None:
    """Each name is looked up for itself."""
    names = ["ada@example.org", "ben@example.org"]
    async with office(names=names, ada=OSError("away"), ben=BEN) as here:
        assert here.list.pubkeys == {BEN}


async def test_a_name_and_a_key_of_one_person_are_one_person() -> None:
    """An instructor listed by key stays so when the name is gone."""
    async with office([ADA], ["ada@example.org"], ada=ADA) as here:
        here.directory.says["ada@example.org"] = None
        await here.clock.advance(RECHECK_SECONDS)
        await here.clock.until_sleeping()
        assert here.list.allows(ADA)
        assert here.told == []


class TestReload:
    """Another list takes effect at once."""

    async def test_new_keys_count_at_once_and_are_told(self) -> None:
        """Sessions of a person who was added are looked at without waiting for the next hour."""
        async with office([ADA]) as here:
            here.list.replace([ADA, BEN], [])
            assert here.list.allows(BEN)
            await here.clock.advance(0)
            await here.clock.until_sleeping()
            assert here.told == [{ADA, BEN}]

    async def test_new_names_are_looked_up_at_once(self) -> None:
        """A name that was added does not wait for the hour either."""
        async with office([ADA], ben=BEN) as here:
            here.list.replace([ADA], ["ben@example.org"])
            await here.clock.advance(0)
            await here.clock.until_sleeping()
            assert here.list.allows(BEN)

    async def test_names_that_stay_keep_their_keys_meanwhile(self) -> None:
        """A reload while a server is away takes nothing from its people; a name that was taken out is gone at once."""
        names = ["ada@example.org", "ben@example.org"]
        async with office(names=names, ada=ADA, ben=BEN) as here:
            here.directory.says["ada@example.org"] = OSError("away")
            here.list.replace([], ["ada@example.org"])
            assert here.list.pubkeys == {ADA}
            await here.clock.advance(0)
            await here.clock.until_sleeping()
            assert here.list.pubkeys == {ADA}
            assert here.told[-1] == {ADA}

    async def test_an_answer_that_comes_after_the_name_was_taken_off_counts_for_nothing(self) -> None:
        """A slow look at a name does not bring its person back."""
        begun, may_answer = asyncio.Event(), asyncio.Event()

        async def slow(name: str) -> Pubkey | None:
            begun.set()
            await may_answer.wait()
            return ADA if name == "ada@example.org" else None

        found = Office([BEN], ["ada@example.org"])
        found.list._lookup = slow
        running = asyncio.create_task(found.list.run(found.stop))
        await begun.wait()
        found.list.replace([BEN], [])
        may_answer.set()
        await found.clock.until_sleeping()
        assert found.list.pubkeys == {BEN}
        found.stop.set()
        await running

    async def test_an_emptied_list_is_the_service_again(self) -> None:
        """Nobody listed means the service itself."""
        async with office([ADA]) as here:
            here.list.replace([], [])
            assert here.list.pubkeys == {SERVICE}


async def test_a_failing_store_is_tried_again() -> None:
    """When the sessions could not be looked at, that is done later: the service goes on and nobody is forgotten."""
    found = Office([], ["ada@example.org"])
    found.directory.says["ada@example.org"] = ADA
    found.failing = 1
    running = asyncio.create_task(found.list.run(found.stop))
    await found.clock.until_sleeping()
    assert found.told == []
    assert not running.done()
    await found.clock.advance(RETRY_SECONDS)
    await found.clock.until_sleeping()
    assert found.told == [{ADA}]
    found.stop.set()
    await running


@pytest.mark.parametrize("when", ["resting", "looking"])
async def test_a_stop_is_heard(when: str) -> None:
    """The service ends while it rests, and after a look that is under way."""
    found = Office([], ["ada@example.org"])
    running = asyncio.create_task(found.list.run(found.stop))
    if when == "resting":
        await found.clock.until_sleeping()
    found.stop.set()
    async with asyncio.timeout(60):
        await running
