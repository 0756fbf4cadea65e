"""What the page may say of an instructor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.people import profiles
from podium_daemon.services.people.profiles import (
    RECHECK_SECONDS,
    RETRY_SECONDS,
    TRUSTED_SECONDS,
    Introduction,
    Profiles,
)
from podium_protocol import kinds
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_storage.table.models import GuestRow
from tests.support.relays import new_key
from tests.support.soon import soon
from tests.support.world import World, world

ADA, BEN = new_key(), new_key()


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


class Registry:
    """The service at work for Ada, in a world with a mirror."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.directory = Directory()
        self.listed = {ADA.pubkey}
        self.told = 0
        self.profiles = Profiles(
            mirror=here.mirror,
            store=here.store,
            instructors=lambda: self.listed,
            lookup=self.directory.look_up,
            clock=here.clock,
        )
        self.profiles.follow(self._count)

    async def says(self, key: SecretKey = ADA, **fields: object) -> None:
        """A person publishes a profile; each is a second newer than the last."""
        await self.here.clock.advance(1)
        draft = UnsignedEvent(key.pubkey, self.here.now, kinds.METADATA, (), json.dumps(fields))
        await self.here.publish(key, draft)

    async def shows(self, name: str, nip05: str | None = None, key: SecretKey = ADA) -> None:
        """Wait until this is what is shown."""
        expected = Introduction(name, nip05)
        await soon(lambda: self.profiles.profile_of(key.pubkey) == expected)

    async def later(self, seconds: float) -> None:
        """Let time pass in the steps that a daemon takes."""
        looks = len(self.directory.looks)
        while len(self.directory.looks) == looks and seconds > 0:
            await self.here.clock.advance(30)
            seconds -= 30

    def _count(self) -> None:
        self.told += 1


@asynccontextmanager
async def registry() -> AsyncIterator[Registry]:
    """One that runs."""
    async with world() as here:
        found = Registry(here)
        stop = Stop(here.clock)
        running = asyncio.create_task(found.profiles.run(stop))
        await here.clock.until_sleeping()
        try:
            yield found
        finally:
            stop.set()
            async with asyncio.timeout(60):
                await running


async def test_a_name_is_shown_and_follows_its_newest_profile() -> None:
    """An instructor's kind 0 gives their name, a newer one another; each is told."""
    async with registry() as here:
        assert here.profiles.profile_of(ADA.pubkey) == Introduction()
        await here.says(name="ada", picture="https://evil.example/pixel.png")
        await here.shows("ada")
        await here.says(name="ada", display_name="Ada L.")
        await here.shows("Ada L.")
        assert here.told == 2
        assert here.directory.looks == []


async def test_what_the_mirror_holds_is_read_at_the_start() -> None:
    """A daemon that starts knows the profiles it has, without a relay."""
    async with world() as world_here:
        found = Registry(world_here)
        await found.says(name="ada")
        stop = Stop(world_here.clock)
        running = asyncio.create_task(found.profiles.run(stop))
        await found.shows("ada")
        stop.set()
        await running


async def test_nobody_else_is_looked_up() -> None:
    """A profile of a person who is no instructor costs no look-up and shows nothing; once listed, they are read."""
    async with registry() as here:
        await here.says(BEN, name="ben", nip05="ben@example.org")
        await here.says(name="ada")
        await here.shows("ada")
        assert here.directory.looks == []
        assert here.profiles.profile_of(BEN.pubkey) == Introduction()
        here.directory.says["ben@example.org"] = BEN.pubkey
        here.listed.add(BEN.pubkey)
        await here.says(name="ada again")
        await here.shows("ben", "ben@example.org", BEN)
        here.listed.remove(BEN.pubkey)
        await here.says(name="ada")
        await here.shows("", None, BEN)


async def test_a_nip_05_name_is_shown_only_if_it_leads_to_the_key() -> None:
    """A claim alone shows nothing, nor one that leads to nobody or to another person; a true one is shown."""
    async with registry() as here:
        here.directory.says = {"ada@example.org": ADA.pubkey, "ben@example.org": BEN.pubkey}
        for claim in ("nobody@example.org", "ben@example.org"):
            await here.says(name="ada", nip05=claim)
            await soon(lambda claim=claim: claim in here.directory.looks)
            await here.shows("ada")
        await here.says(name="ada", nip05="Ada@Example.org")
        await here.shows("ada", "ada@example.org")
        await here.says(name="ada", nip05="nobody@example.org")
        await here.shows("ada")


async def test_a_name_that_was_taken_away_is_not_shown_after_the_hour() -> None:
    """A verified name is asked about again each hour; when the domain says no, it goes."""
    async with registry() as here:
        here.directory.says["ada@example.org"] = ADA.pubkey
        await here.says(name="ada", nip05="ada@example.org")
        await here.shows("ada", "ada@example.org")
        here.directory.says["ada@example.org"] = None
        await here.later(RECHECK_SECONDS - 60)
        assert len(here.directory.looks) == 1
        await here.later(120)
        await here.shows("ada")
        assert len(here.directory.looks) == 2


async def test_a_domain_that_is_away_keeps_its_names_for_a_day() -> None:
    """Nobody answers: what was true is shown for a day more, and no longer; it is tried again meanwhile."""
    async with registry() as here:
        here.directory.says["ada@example.org"] = ADA.pubkey
        await here.says(name="ada", nip05="ada@example.org")
        await here.shows("ada", "ada@example.org")
        since = here.here.clock.now()
        here.directory.says["ada@example.org"] = OSError("nobody answers")
        await here.later(RECHECK_SECONDS + 60)
        await here.later(RETRY_SECONDS + 60)
        assert here.profiles.profile_of(ADA.pubkey).nip05 == "ada@example.org"
        while here.here.clock.now() < since + TRUSTED_SECONDS:
            assert here.profiles.profile_of(ADA.pubkey).nip05 == "ada@example.org"
            await here.later(RETRY_SECONDS + 60)
        await here.later(RETRY_SECONDS + 60)
        await here.shows("ada")
        here.directory.says["ada@example.org"] = ADA.pubkey
        await here.later(RETRY_SECONDS + 60)
        await here.shows("ada", "ada@example.org")


async def test_a_participants_name_is_read_when_it_is_needed_and_followed() -> None:
    """Names of people who are no instructors come out of the mirror on demand, and change with their profile."""
    async with registry() as here:
        await here.says(BEN, name="ben", nip05="ben@example.org")
        assert here.profiles.profile_of(BEN.pubkey) == Introduction()
        await here.profiles.load([BEN.pubkey, ADA.pubkey])
        assert here.profiles.profile_of(BEN.pubkey) == Introduction("ben")
        told = here.told
        await here.says(BEN, name="Benjamin")
        await here.shows("Benjamin", key=BEN)
        assert here.told == told + 1
        assert here.directory.looks == [], "a participant's NIP-05 name is a server of a stranger's choice"


async def test_many_participants_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest names go first, and are read again when they are needed."""
    monkeypatch.setattr(profiles, "MOST", 2)
    async with registry() as here:
        keys = [new_key() for _ in range(3)]
        for key in keys:
            await here.says(key, name=key.pubkey[:8])
            await here.profiles.load([key.pubkey])
        assert [here.profiles.profile_of(key.pubkey).name for key in keys] == [
            "",
            keys[1].pubkey[:8],
            keys[2].pubkey[:8],
        ]
        await here.profiles.load([keys[0].pubkey])
        assert here.profiles.profile_of(keys[0].pubkey).name == keys[0].pubkey[:8]


async def test_a_guest_is_called_by_the_name_they_gave() -> None:
    """A guest has no profile on any relay: the name from the door, or of their link, is theirs."""
    async with registry() as here:
        row, guest = await here.here.schedule(), new_key()
        kept = GuestRow(
            session_address=row.session_address,
            pubkey=guest.pubkey,
            name="Cleo",
            sealed=b"",
            assurance="guest",
            created_at=here.here.now,
        )
        await here.here.store.guests.add(kept)
        await here.profiles.load([guest.pubkey])
        assert here.profiles.profile_of(guest.pubkey).name == "Cleo"
