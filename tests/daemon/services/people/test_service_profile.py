"""The service's profile and handler: published when they say something new, and never over another person's."""

from __future__ import annotations

import json
import os

import pytest

from podium_daemon.services.people.service_profile import ServiceFace, announce_profile, handler_of
from podium_protocol import kinds, tags
from podium_protocol.events import UnsignedEvent, VerifiedEvent, verify
from podium_protocol.live.profile import read_profile
from podium_protocol.tags import Tags
from tests.support.world import World, world

FACE = ServiceFace(name="Learning", public_url="https://podium.example.org")


async def announced(here: World, face: ServiceFace = FACE, *, is_known: bool = True) -> list[VerifiedEvent]:
    """What is published by announcing this face."""
    before = len(here.sent)
    await announce_profile(
        face,
        store=here.store,
        mirror=here.mirror,
        event_writer=here.event_writer,
        signer=here.signer,
        clock=here.clock,
        profile_is_known=is_known,
    )
    await here.deliver()
    return here.sent[before:]


async def held(here: World, content: str, rows: Tags = ()) -> VerifiedEvent:
    """A profile of the service's key that came from a relay."""
    draft = UnsignedEvent(here.service.pubkey, here.now, kinds.METADATA, rows, content)
    event = verify(here.service.sign(draft, os.urandom(32)))
    assert isinstance(event, VerifiedEvent)
    await here.mirror.ingest([event], received_at=here.now)
    return event


async def test_a_service_has_a_name_and_says_that_it_is_a_program() -> None:
    """People see who writes to them: a profile with the service's name, and a handler for what it publishes."""
    async with world() as here:
        handler, profile = await announced(here)
        assert (handler.kind, profile.kind) == (kinds.HANDLER, kinds.METADATA)
        said = json.loads(profile.content)
        assert (said["name"], said["bot"]) == ("Learning", True)
        assert "nip05" not in said
        assert list(tags.values(handler.tags, "k")) == ["31923", "31925", "30313"]
        assert tags.first(handler.tags, "web") == "https://podium.example.org/s/<bech32>"


async def test_what_is_known_already_is_not_published_again() -> None:
    """A restart with the same configuration says nothing; another name is said, by events that are newer."""
    async with world() as here:
        handler, profile = await announced(here)
        await here.clock.advance(3600)
        assert await announced(here) == []
        handler_again, profile_again = await announced(here, ServiceFace(name="Others", public_url=FACE.public_url))
        assert json.loads(profile_again.content)["name"] == "Others"
        assert json.loads(handler_again.content)["name"] == "Others"
        assert profile_again.created_at > profile.created_at
        assert handler_again.created_at > handler.created_at


@pytest.mark.parametrize(
    "content",
    ['{"name":"Someone","picture":"https://x.example/me.png"}', '{"name":"Someone","bot":true}', "no JSON", "{}", "1"],
)
async def test_the_profile_of_a_person_is_left(content: str) -> None:
    """The service's key may be a person's own: what the service did not write, it never replaces."""
    async with world() as here:
        theirs = await held(here, content)
        assert [event.kind for event in await announced(here)] == [kinds.HANDLER]
        assert await here.mirror.newest_replaceable(kinds.METADATA, here.service.pubkey) == theirs


async def test_a_person_takes_the_profile_over() -> None:
    """An edit in another client, which keeps the content but not the tags, has the last word."""
    async with world() as here:
        _, ours = await announced(here)
        await here.clock.advance(60)
        theirs = await held(here, ours.content)
        assert await announced(here, ServiceFace(name="Others", public_url=FACE.public_url)) != []
        assert await here.mirror.newest_replaceable(kinds.METADATA, here.service.pubkey) == theirs


async def test_no_profile_is_written_before_every_relay_has_told() -> None:
    """A relay that is slow may hold a person's profile: nothing is written that could replace it."""
    async with world() as here:
        assert [event.kind for event in await announced(here, is_known=False)] == [kinds.HANDLER]
        (profile,) = await announced(here)
        assert read_profile(profile) is not None


async def test_another_services_mark_is_not_ours() -> None:
    """A profile of a program that another application wrote is left as well."""
    async with world() as here:
        mark = ("client", "Podium", str(handler_of(here.instructor.pubkey)), "")
        await held(here, '{"name":"Someone","bot":true}', (mark,))
        assert [event.kind for event in await announced(here)] == [kinds.HANDLER]
